"""TradeResult: valid places of trades, and what makes a place invalid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import typed_data
from settlement.formula.templates import INTER_UTILITY, MARKET
from settlement.hashing import ZERO_HASH, keccak256
from settlement.trade import HotKeyChange, Place, Signature, Trade
from settlement.units import RATE_BOUND, WH_BOUND
from tests.contracts.market import MARKET_AGENT, PLATFORM, Market, at_time
from tests.contracts.trade_result.case import deploy_results, place_of
from tests.contracts.trading import BEGIN, CONFIG, CYCLE, DAY, HOUR, MORNING, SLOT, member_id, trade_of


def check(market: Market, place: Place, trade: Trade, signatures: Sequence[Any] | None = None) -> bytes:
    """The place's digest, with all signatures unless others are given."""
    if signatures is None:
        signatures = market.sign_all(trade.signers, trade)
    return bytes(market.result.check_place(astuple(place), astuple(trade), list(signatures)))


def market_trade(market: Market, **changes: Any) -> Trade:
    """A market-based trade: platform c buys and is the market agent."""
    fields = {
        "template": MARKET.template_id,
        "rates": (5_000_000, 100_000, 400_000),
        "buyer_platform": member_id(market, "platform_c"),
        "market_agent": member_id(market, "platform_c"),
    }
    return trade_of(market, **(fields | changes))


def inter_trade(market: Market, **changes: Any) -> Trade:
    """A trade without grid operator or market agent."""
    fields = {"template": INTER_UTILITY.template_id, "rates": (5_000_000, 100, 200, 300), "grid_operator": ZERO_HASH}
    return trade_of(market, **(fields | changes))


def test_the_slot_grid_begins_at_the_anchor() -> None:
    """In a market whose days begin a quarter of an hour later its slots do so too."""
    late = 900
    with boa.env.anchor():
        market = deploy_results(anchor=CONFIG.anchor + late)
        trade = trade_of(market, slot_start=SLOT + late, slot_end=SLOT + late + HOUR)
        place = place_of(market, trade, earliest_slot=BEGIN + late)
        assert check(market, place, trade) == market.domain.digest(trade)
        other = trade_of(market)
        with boa.reverts("TradeResult: not a slot"):
            check(market, place_of(market, other, earliest_slot=BEGIN + late), other)


@pytest.mark.parametrize("make", [trade_of, market_trade, inter_trade], ids=["four", "agent", "inter-utility"])
def test_valid_place(market: Market, make: Callable[..., Trade]) -> None:
    trade = make(market)
    digest = market.domain.digest(trade)
    assert check(market, place_of(market, trade), trade) == digest
    assert market.result.trade_digest(astuple(trade)) == digest
    # The lone leaf of a registered trade; the same member on both sides; platforms in the other order.
    assert check(market, place_of(market, trade, others=0), trade) == digest
    inside = replace(trade, seller_platform=trade.buyer_platform, seller_utility=trade.buyer_utility)
    assert check(market, place_of(market, inside), inside) == market.domain.digest(inside)
    turned = replace(trade, buyer_platform=trade.seller_platform, seller_platform=trade.buyer_platform)
    assert check(market, place_of(market, turned), turned) == market.domain.digest(turned)


def test_bounds_of_a_valid_place(market: Market) -> None:
    for changes in (
        {"contracted_wh": 1},
        {"contracted_wh": WH_BOUND - 1},
        {"rates": (RATE_BOUND - 1, 0)},
        {"slot_start": BEGIN, "slot_end": BEGIN + HOUR},
        {"slot_start": BEGIN + 23 * HOUR, "slot_end": BEGIN + 24 * HOUR},
        {"valid_until": MORNING},
    ):
        trade = trade_of(market, **changes)
        assert check(market, place_of(market, trade), trade) == market.domain.digest(trade)


def test_registered_trade_needs_no_signatures(market: Market) -> None:
    trade = trade_of(market)
    place = place_of(market, trade, others=0, sequence=0)
    assert check(market, place, trade, []) == market.domain.digest(trade)
    with boa.reverts("TradeResult: signature too many"):
        check(market, place, trade, market.sign_all(trade.signers[:1], trade))
    # Its roles are judged all the same.
    stranger = trade_of(market, seller_utility=member_id(market, "platform_b"))
    with boa.reverts("TradeResult: role not held"):
        check(market, place_of(market, stranger, sequence=0), stranger, [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"slot_start": SLOT + 1, "slot_end": SLOT + 1 + HOUR}, "TradeResult: not a slot"),
        ({"slot_end": SLOT + 2 * HOUR}, "TradeResult: not a slot"),
        ({"slot_end": SLOT - HOUR}, "TradeResult: not a slot"),
        ({"slot_start": CONFIG.anchor - HOUR, "slot_end": CONFIG.anchor}, "TradeResult: not a slot"),
        ({"template": keccak256(b"unknown")}, "TradeResult: unknown template"),
        ({"buyer_utility": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"seller_utility": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"buyer_platform": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"seller_platform": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"grid_operator": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"market_agent": b"\1" * 32}, "TradeResult: roles do not fit"),
        ({"contracted_wh": 0}, "TradeResult: out of bounds"),
        ({"contracted_wh": WH_BOUND}, "TradeResult: out of bounds"),
        ({"rates": (1,)}, "TradeResult: out of bounds"),
        ({"rates": (1, 2, 3)}, "TradeResult: out of bounds"),
        ({"rates": (1, RATE_BOUND)}, "TradeResult: out of bounds"),
        ({"slot_start": SLOT + DAY, "slot_end": SLOT + DAY + HOUR}, "TradeResult: another cycle"),
        ({"valid_until": MORNING - 1}, "TradeResult: committed too late"),
        ({"buyer_utility": b"\1" * 32}, "TradeResult: role not held"),
    ],
)
def test_trade_that_no_place_holds(market: Market, changes: dict[str, Any], reason: str) -> None:
    trade = trade_of(market, **changes)
    signed = market.sign_all(trade_of(market).signers, trade)
    with boa.reverts(reason):
        check(market, place_of(market, trade), trade, signed)


def test_optional_roles_are_filled_exactly_when_named(market: Market) -> None:
    for make, changes in (
        (market_trade, {"market_agent": ZERO_HASH}),
        (market_trade, {"grid_operator": ZERO_HASH}),
        (inter_trade, {"grid_operator": member_id(market, "utility_b")}),
    ):
        trade = make(market, **changes)
        with boa.reverts("TradeResult: roles do not fit"):
            check(market, place_of(market, trade), trade)


@pytest.mark.parametrize(
    ("role", "member"),
    [
        ("buyer_platform", "utility_a"),
        ("seller_platform", "utility_a"),
        ("buyer_utility", "platform_b"),
        ("seller_utility", "platform_b"),
        ("grid_operator", "platform_b"),
        ("market_agent", "platform_b"),
    ],
)
def test_each_role_must_be_held(market: Market, role: str, member: str) -> None:
    trade = market_trade(market, **{role: member_id(market, member)})
    with boa.reverts("TradeResult: role not held"):
        check(market, place_of(market, trade), trade)


def test_all_roles_of_one_member_must_be_held(market: Market) -> None:
    """Platform a is no market agent, and signs only once, as buyer."""
    trade = market_trade(
        market, buyer_platform=member_id(market, "platform_a"), market_agent=member_id(market, "platform_a")
    )
    with boa.reverts("TradeResult: role not held"):
        check(market, place_of(market, trade), trade)
    with boa.env.prank(market.council):
        market.registry.set_roles(trade.market_agent, PLATFORM | MARKET_AGENT)
    now = MORNING + HOUR
    at_time(now)
    assert check(market, place_of(market, trade, committed_at=now), trade) == market.domain.digest(trade)
    # Judged as of the commitment: before that it held no such role.
    with boa.reverts("TradeResult: role not held"):
        check(market, place_of(market, trade, committed_at=MORNING - 1), trade)


def test_template_must_not_come_later(market: Market) -> None:
    trade = trade_of(market)
    registered_at = market.flows.shape(trade.template) >> 64 & (1 << 48) - 1
    with boa.reverts("TradeResult: unknown template"):
        check(market, place_of(market, trade, committed_at=registered_at - 1), trade)
    assert check(market, place_of(market, trade, committed_at=registered_at), trade)


def test_place_must_be_the_books(market: Market) -> None:
    trade = trade_of(market)
    place = place_of(market, trade)
    for wrong in (replace(place, number=8), replace(place, commitment=replace(place.commitment, committed_at=1))):
        with boa.reverts("TradeResult: other commitment"):
            check(market, wrong, trade)
    for wrong in (
        replace(place, index=3),
        replace(place, index=5),
        replace(place, path=()),
        replace(place, path=(b"\1" * 32,)),
    ):
        with boa.reverts("TradeResult: not committed"):
            check(market, wrong, trade)
    with boa.reverts("TradeResult: not committed"):
        check(market, place, trade_of(market, 1))


def test_record_must_fit_the_trade(market: Market) -> None:
    trade = trade_of(market)
    with boa.reverts("TradeResult: another cycle"):
        check(market, place_of(market, trade, cycle=CYCLE - 1), trade)
    with boa.reverts("TradeResult: slot too early"):
        check(market, place_of(market, trade, earliest_slot=SLOT + HOUR), trade)
    assert check(market, place_of(market, trade, earliest_slot=SLOT), trade)
    other = member_id(market, "platform_c")
    for platform in ("platform_a", "platform_b"):
        changes: dict[str, Any] = {platform: other}
        with boa.reverts("TradeResult: other platforms"):
            check(market, place_of(market, trade, **changes), trade)
    a = trade.buyer_platform
    with boa.reverts("TradeResult: other platforms"):
        check(market, place_of(market, trade, platform_a=a, platform_b=a), trade)
    b = trade.seller_platform
    with boa.reverts("TradeResult: other platforms"):
        check(market, place_of(market, trade, platform_a=b, platform_b=b), trade)


def test_signatures(market: Market) -> None:
    trade = trade_of(market)
    place = place_of(market, trade)
    right = market.sign_all(trade.signers, trade)
    with boa.reverts("TradeResult: signature missing"):
        check(market, place, trade, right[:-1])
    with boa.reverts("TradeResult: signature too many"):
        check(market, place, trade, [*right, right[0]])
    with boa.reverts("TradeResult: not signer's key"):
        check(market, place, trade, [right[1], right[0], *right[2:]])
    with boa.reverts("TradeResult: not signer's key"):
        check(market, place, trade, [market.sign("platform_a", trade_of(market, 1)), *right[1:]])
    v, r, s = right[0]
    order = 2 * typed_data.HALF_ORDER + 1
    high = (order - int.from_bytes(s, "big")).to_bytes(32, "big")
    for bad in ((55 - v, r, high), (0, r, s), (v, bytes(32), s), astuple(Signature(0, bytes(32), bytes(32)))):
        with boa.reverts("TradeResult: bad signature"):
            check(market, place, trade, [bad, *right[1:]])


def test_keys_are_judged_as_of_the_commitment(market: Market) -> None:
    trade = trade_of(market, valid_until=MORNING + 30 * DAY)
    place = place_of(market, trade)
    signatures = market.sign_all(trade.signers, trade)
    who = market.members["platform_a"]
    new = "0x" + "ab" * 20
    at_time(MORNING + HOUR)
    change = HotKeyChange(who.id, new, market.registry.cold_sequence(who.id))
    market.registry.change_hot_key(who.id, new, market.sign_cold("platform_a", change), b"")
    assert check(market, place, trade, signatures)
    # Within the grace the old key still counts for later commitments.
    grace = MORNING + HOUR + CONFIG.key_grace
    assert check(market, place_of(market, trade, committed_at=grace), trade, signatures)
    with boa.reverts("TradeResult: not signer's key"):
        check(market, place_of(market, trade, committed_at=grace + 1), trade, signatures)
