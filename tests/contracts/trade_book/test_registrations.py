"""TradeBook: the registered lane, in which a trade's signers commit it at once."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import preimages, typed_data
from settlement.formula.templates import MARKET as MARKET_TEMPLATE
from settlement.hashing import ZERO_HASH, keccak256
from settlement.trade import HotKeyChange, TradeLocks
from tests.contracts.market import GRID_OPERATOR, NO_SIGNATURE, PLATFORM, UTILITY, Market, at_time
from tests.contracts.trade_book.case import sorted_locks, suspend
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    HOUR,
    MORNING,
    SLOT,
    events,
    member_id,
    pause,
    register,
    registration,
    resume,
    trade_of,
    use_wallet,
    wallet_bytes,
)


def test_register_trade(market: Market) -> None:
    trade = trade_of(market)
    digest = market.domain.digest(trade)
    assert len(trade.signers) == 4
    assert not market.book.is_place_registered(digest)
    assert register(market, trade) == 1
    record = preimages.registered_commitment(trade, digest, CYCLE, MORNING)
    [event] = events(market.book, "TradeRegistered")
    assert (event["number"], event["cycle"], event["locks"]) == (1, CYCLE, [])
    assert event["trade_digest"] == digest
    assert tuple(event["trade"])[:15] == astuple(trade)[:15]
    assert tuple(event["trade"].rates) == trade.rates
    assert market.book.commitment(1) == ZERO_HASH
    assert market.book.registered(preimages.trade_leaf(digest)) == preimages.registered_record(1, record)
    assert market.book.is_commitment(1, astuple(record))
    assert not market.book.is_commitment(2, astuple(record))
    assert not market.book.is_commitment(1, astuple(replace(record, committed_at=MORNING + 1)))
    assert not market.book.is_commitment(1, astuple(replace(record, sequence=1)))
    assert market.book.is_place_registered(digest)
    assert market.book.contracted(digest, 2_000) == 2_000
    with boa.reverts("TradeBook: registered already"):
        register(market, trade)


@pytest.mark.parametrize("buyer", ["platform_a", "platform_b"])
def test_registered_platforms_are_sorted(market: Market, buyer: str) -> None:
    seller = "platform_b" if buyer == "platform_a" else "platform_a"
    changes: dict[str, Any] = {"buyer_platform": member_id(market, buyer), "seller_platform": member_id(market, seller)}
    trade = trade_of(market, **changes)
    register(market, trade)
    record = preimages.registered_commitment(trade, market.domain.digest(trade), CYCLE, MORNING)
    assert record.platform_a < record.platform_b
    assert market.book.is_commitment(1, astuple(record))


def test_register_with_locks(market: Market) -> None:
    trade = trade_of(market)
    locks = sorted_locks(
        market,
        ("platform_a", "platform_b", 10_000_000),
        ("platform_a", "utility_b", 800_000),
        ("platform_c", "platform_b", 5),
    )
    register(market, trade, locks)
    [event] = events(market.book, "TradeRegistered")
    assert [tuple(lock) for lock in event["locks"]] == [astuple(lock) for lock in locks]
    for lock in locks:
        assert market.escrow.pair(CYCLE, lock.payer, lock.payee) == lock.amount


def test_every_further_payer_signs_the_locks_of_a_registered_trade(market: Market) -> None:
    trade = trade_of(market)
    locks = sorted_locks(
        market, ("platform_a", "platform_b", 100), ("platform_c", "platform_b", 5), ("utility_c", "platform_b", 6)
    )
    signed, signatures, listed, further = registration(market, trade, locks)
    # Of the payers one is a platform of the trade: it has signed them already.
    assert len(further) == 2
    for given in (further[:1], [*further, further[0]], []):
        with boa.reverts("TradeBook: wrong number of signatures"):
            market.book.register_trade(signed, signatures, listed, given, [])
    with boa.reverts("TradeBook: wrong signature"):
        market.book.register_trade(signed, signatures, listed, further[::-1], [])
    statement = TradeLocks(market.domain.digest(trade), locks)
    payers = tuple(lock.payer for lock in locks if lock.payer not in trade.platforms)
    for other in (replace(statement, trade_digest=keccak256(b"another")), replace(statement, locks=locks[:1])):
        with boa.reverts("TradeBook: wrong signature"):
            market.book.register_trade(signed, signatures, listed, market.sign_all(payers, other), [])
    suspend(market, "platform_c")
    with boa.reverts("TradeBook: signer not active"):
        market.book.register_trade(signed, signatures, listed, further, [])


def test_locks_of_a_registered_trade_are_sorted(market: Market) -> None:
    locks = sorted_locks(market, ("platform_a", "platform_b", 100), ("platform_c", "platform_b", 5))
    with boa.reverts("TradeBook: locks not sorted"):
        market.book.register_trade(*registration(market, trade_of(market), locks[::-1]), [])


@pytest.mark.parametrize("listed", [(), (50,), (100, 100)], ids=["without", "less", "other"])
def test_a_trade_is_registered_with_the_locks_that_its_platforms_agreed_on(
    market: Market, listed: tuple[int, ...]
) -> None:
    """Whoever brings a trade cannot make of a guaranteed one a postpaid one, nor the other way round."""
    trade = trade_of(market)
    agreed = sorted_locks(market, ("platform_a", "platform_b", 100))
    others = sorted_locks(
        market,
        *(("platform_a", payee, amount) for payee, amount in zip(("platform_b", "utility_b"), listed, strict=False)),
    )
    signed, signatures, _, further = registration(market, trade, agreed)
    with boa.reverts("TradeBook: not a party's key"):
        market.book.register_trade(signed, signatures, [astuple(lock) for lock in others], further, [])
    # What platforms sign of a trade for a batch registers nothing.
    for given in (market.sign_all(trade.signers, trade), [*signatures[:1], *market.sign_all(trade.signers, trade)[1:]]):
        with boa.reverts("TradeBook: not a party's key"):
            market.book.register_trade(signed, given, [astuple(lock) for lock in agreed], further, [])
    assert register(market, trade, agreed) == 1


def test_a_platform_that_is_a_utility_too_signs_the_locks(market: Market) -> None:
    with boa.env.prank(market.council):
        market.registry.set_roles(member_id(market, "utility_b"), UTILITY | PLATFORM | GRID_OPERATOR)
    both = member_id(market, "utility_b")
    trade = trade_of(market, seller_platform=both, seller_utility=both)
    assert len(trade.signers) == 3
    assert register(market, trade, sorted_locks(market, ("platform_a", "utility_b", 7))) == 1
    assert market.escrow.pair(CYCLE, trade.buyer_platform, both) == 7


def test_a_contract_signs_locks_but_no_trade(market: Market) -> None:
    trade = trade_of(market)
    locks = sorted_locks(market, ("platform_c", "platform_b", 5))
    use_wallet(market, "platform_c")
    answer = wallet_bytes(market, "platform_c", TradeLocks(market.domain.digest(trade), locks))
    signed, signatures, listed, _ = registration(market, trade, locks)
    assert market.book.register_trade(signed, signatures, listed, [astuple(NO_SIGNATURE)], [answer]) == 1

    use_wallet(market, "utility_b")
    other = trade_of(market, 1)
    answer = wallet_bytes(market, "utility_b", other)
    signed, signatures, *_ = registration(market, other)
    with boa.reverts("TradeBook: malformed signature"):
        market.book.register_trade(signed, [*signatures[:3], astuple(NO_SIGNATURE)], [], [], [answer])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"slot_end": SLOT + 2 * HOUR}, "TradeBook: not one slot"),
        ({"slot_end": SLOT}, "TradeBook: not one slot"),
        ({"slot_start": SLOT + 1, "slot_end": SLOT + 1 + HOUR}, "TradeBook: not on the slot grid"),
        ({"slot_start": HOUR, "slot_end": 2 * HOUR}, "TradeBook: before the anchor"),
        # The first slot of all is not before it.
        ({"slot_start": CONFIG.anchor, "slot_end": CONFIG.anchor + HOUR}, "TradeBook: gate closed"),
        ({"slot_start": MORNING, "slot_end": MORNING + HOUR}, "TradeBook: gate closed"),
        ({"slot_start": SLOT + 30 * DAY, "slot_end": SLOT + 30 * DAY + HOUR}, "TradeBook: too far ahead"),
        ({"valid_until": MORNING - 1}, "TradeBook: no longer valid"),
        ({"buyer_platform": keccak256(b"stranger")}, "TradeBook: signer not active"),
    ],
)
def test_refused_registrations(market: Market, changes: dict[str, Any], reason: str) -> None:
    trade = trade_of(market, **changes)
    signatures = [market.sign("platform_a", trade)] * len(trade.signers)
    with boa.reverts(reason):
        market.book.register_trade(astuple(trade), signatures, [], [], [])


def test_valid_until_the_second(market: Market) -> None:
    assert register(market, trade_of(market, valid_until=MORNING)) == 1


def test_all_signers_sign(market: Market) -> None:
    trade = trade_of(market)
    _, signatures, *_ = registration(market, trade)
    for given in (signatures[:3], []):
        with boa.reverts("TradeBook: not its signers' signatures"):
            market.book.register_trade(astuple(trade), given, [], [], [])
    with boa.reverts("TradeBook: signature too many"):
        market.book.register_trade(astuple(trade), [*signatures, signatures[0]], [], [], [])
    with boa.reverts("TradeBook: not a party's key"):
        market.book.register_trade(astuple(trade), [*signatures[:3], signatures[0]], [], [], [])
    for bad in ((29, *signatures[3][1:]), astuple(NO_SIGNATURE)):
        with boa.reverts("TradeBook: malformed signature"):
            market.book.register_trade(astuple(trade), [*signatures[:3], bad], [], [], [])


@pytest.mark.parametrize(
    "changes",
    [
        {"buyer_platform": "utility_c"},
        {"seller_utility": "platform_c"},
        {"grid_operator": "platform_c"},
        {"market_agent": "utility_a"},
    ],
)
def test_parties_hold_their_roles(market: Market, changes: dict[str, str]) -> None:
    filled: dict[str, Any] = {role: member_id(market, name) for role, name in changes.items()}
    trade = trade_of(market, **filled)
    with boa.reverts("TradeBook: party without its role"):
        register(market, trade)


def test_a_market_agent_signs_too(market: Market) -> None:
    trade = trade_of(
        market,
        template=MARKET_TEMPLATE.template_id,
        market_agent=member_id(market, "platform_c"),
        grid_operator=member_id(market, "utility_c"),
        rates=(1, 2, 3),
    )
    assert len(trade.signers) == 6
    assert register(market, trade) == 1


def test_a_suspended_signer_registers_nothing(market: Market) -> None:
    suspend(market, "utility_b")
    with boa.reverts("TradeBook: signer not active"):
        register(market, trade_of(market))


def test_a_former_key_counts_within_the_grace(market: Market) -> None:
    trade = trade_of(market, slot_start=SLOT + 7 * DAY, slot_end=SLOT + 7 * DAY + HOUR, valid_until=SLOT + 8 * DAY)
    who = market.members["utility_a"]
    key = "0x" + typed_data.address_of(keccak256(b"new hot key")).hex()
    change = HotKeyChange(who.id, key, 0)
    market.registry.change_hot_key(who.id, key, market.sign_cold("utility_a", change), b"")
    at_time(MORNING + CONFIG.key_grace - HOUR)
    with boa.env.anchor():
        assert register(market, trade) == 1
    at_time(MORNING + CONFIG.key_grace + HOUR)
    with boa.reverts("TradeBook: not a party's key"):
        register(market, trade)


def test_no_registration_while_paused(market: Market) -> None:
    pause(market)
    with boa.reverts("TradeBook: paused registration"):
        register(market, trade_of(market))
    resume(market)
    assert register(market, trade_of(market)) == 1
