"""TradeBook: committed trades are curtailed; who may, until when, and what must be shown."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import merkle, preimages, typed_data
from settlement.formula.templates import DEVIATION, FIXED_PRICE_SETTLED, INTER_UTILITY
from settlement.formula.templates import MARKET as MARKET_TEMPLATE
from settlement.hashing import ZERO_HASH, keccak256
from settlement.trade import Curtailment
from tests.contracts.market import NO_SIGNATURE, Market, at_time
from tests.contracts.trade_book.case import suspend
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    END,
    HOUR,
    MORNING,
    SLOT,
    batch_of,
    batch_place,
    commit,
    commit_one,
    commitment_tree,
    curtail,
    events,
    member_id,
    pause,
    register,
    registered_place,
    trade_of,
    use_wallet,
    wallet_bytes,
)


def test_one_neutral_utility_curtails_before_the_slot(market: Market) -> None:
    trade, place = commit_one(market)
    digest = market.domain.digest(trade)
    before = market.oracle.accumulator(CYCLE)
    at_time(SLOT - 1)
    curtail(market, place, trade, 1_500, ["utility_a"])
    [event] = events(market.book, "Curtailed")
    assert event == {
        "trade_digest": digest,
        "cycle": CYCLE,
        "number": 1,
        "index": 0,
        "contracted_wh": 1_500,
        "reason": 7,
    }
    assert market.book.contracted(digest, 2_000) == 1_500
    assert market.book.contracted(digest, 1_000) == 1_000
    struct_hash = typed_data.struct_hash(Curtailment(1, 0, 1_500, 7))
    act = preimages.accumulate(before, preimages.Act.CURTAILMENT, 1, SLOT - 1, struct_hash)
    assert market.oracle.accumulator(CYCLE) == act
    with boa.env.anchor():
        curtail(market, place, trade, 0, ["utility_b"])
        assert market.book.contracted(digest, 2_000) == 0
    at_time(SLOT)
    with boa.reverts("TradeBook: too late to curtail"):
        curtail(market, place, trade, 0, ["utility_b"])


def test_a_curtailment_only_lowers(market: Market) -> None:
    trade, place = commit_one(market)
    for wh in (2_000, 2_001):
        with boa.reverts("TradeBook: does not lower"):
            curtail(market, place, trade, wh, ["utility_a"])
    curtail(market, place, trade, 1_999, ["utility_a"])
    for wh in (2_000, 1_999):
        with boa.reverts("TradeBook: does not lower"):
            curtail(market, place, trade, wh, ["utility_b"])
    curtail(market, place, trade, 0, ["utility_b"])
    with boa.reverts("TradeBook: does not lower"):
        curtail(market, place, trade, 0, ["utility_a"])


def test_both_utilities_curtail_before_the_slot_ends(market: Market) -> None:
    trade, place = commit_one(market)
    at_time(SLOT + HOUR - 1)
    with boa.reverts("TradeBook: wrong signature"):
        curtail(market, place, trade, 100, ["utility_b", "utility_a"])
    curtail(market, place, trade, 100, ["utility_a", "utility_b"])
    at_time(SLOT + HOUR)
    with boa.reverts("TradeBook: too late to curtail"):
        curtail(market, place, trade, 0, ["utility_a", "utility_b"])


def test_one_member_that_is_both_utilities_signs_once(market: Market) -> None:
    both = member_id(market, "utility_a")
    trade, place = commit_one(market, trade_of(market, seller_utility=both, grid_operator=both))
    at_time(SLOT + HOUR - 1)
    curtail(market, place, trade, 100, ["utility_a"])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 100


def test_all_signers_curtail_before_the_cycle_ends(market: Market) -> None:
    trade, place = commit_one(market)
    with boa.env.anchor():
        curtail(market, place, trade, 100, trade.signers)
    at_time(END - 1)
    with boa.reverts("TradeBook: wrong signature"):
        curtail(market, place, trade, 100, trade.signers[::-1])
    curtail(market, place, trade, 100, trade.signers)
    at_time(END)
    with boa.reverts("TradeBook: too late to curtail"):
        curtail(market, place, trade, 0, trade.signers)


def test_a_registered_trade_is_curtailed_likewise(market: Market) -> None:
    trade = trade_of(market)
    place = registered_place(market, register(market, trade), trade)
    curtail(market, place, trade, 100, ["utility_a"])
    digest = market.domain.digest(trade)
    assert market.book.is_place_registered(digest)
    assert market.book.contracted(digest, 2_000) == 100


def test_curtailed_before_it_is_registered(market: Market) -> None:
    """The word of a trade keeps both: a batched trade may be registered after it was curtailed."""
    trade, place = commit_one(market)
    curtail(market, place, trade, 100, ["utility_a"])
    register(market, trade)
    digest = market.domain.digest(trade)
    assert market.book.is_place_registered(digest)
    assert market.book.contracted(digest, 2_000) == 100


@pytest.mark.parametrize("signer", ["platform_a", "platform_b", "utility_c", "bank"])
def test_nobody_else_curtails_alone(market: Market, signer: str) -> None:
    trade, place = commit_one(market)
    with boa.reverts("TradeBook: no neutral utility signed"):
        curtail(market, place, trade, 0, [signer])


def test_other_numbers_of_signatures(market: Market) -> None:
    trade, place = commit_one(market)
    for signers in ([], ["utility_a", "utility_b", "platform_a"], ["utility_a"] * 5):
        with boa.reverts("TradeBook: signers do not fit"):
            curtail(market, place, trade, 0, signers)


@pytest.mark.parametrize(
    ("template", "rates", "changes", "neutral", "interested"),
    [
        # A flow's payer: the buyer's utility in `deviation`.
        (DEVIATION, 3, {"grid_operator": None}, ["utility_b"], ["utility_a"]),
        # It receives, which is no reason.
        (INTER_UTILITY, 4, {"grid_operator": None}, ["utility_a", "utility_b"], []),
        # A platform of the trade that is its utility too.
        (FIXED_PRICE_SETTLED, 2, {"seller_platform": "utility_b"}, ["utility_a"], ["utility_b"]),
        (FIXED_PRICE_SETTLED, 2, {"buyer_platform": "utility_b"}, ["utility_a"], ["utility_b"]),
        # Its market agent.
        (MARKET_TEMPLATE, 3, {"market_agent": "utility_a"}, ["utility_b"], ["utility_a"]),
    ],
)
def test_who_is_neutral(
    market: Market,
    template: Any,
    rates: int,
    changes: dict[str, str | None],
    neutral: list[str],
    interested: list[str],
) -> None:
    filled: dict[str, Any] = {role: member_id(market, name) if name else ZERO_HASH for role, name in changes.items()}
    trade, place = commit_one(market, trade_of(market, template=template.template_id, rates=(1,) * rates, **filled))
    for name in interested:
        with boa.reverts("TradeBook: no neutral utility signed"):
            curtail(market, place, trade, 0, [name])
    if interested:
        with boa.reverts("TradeBook: signers do not fit"):
            curtail(market, place, trade, 0, ["utility_a", "utility_b"])
    for name in neutral:
        with boa.env.anchor():
            curtail(market, place, trade, 0, [name])
            assert market.book.contracted(market.domain.digest(trade), 2_000) == 0


@pytest.mark.parametrize("payer", [3, 4, 5])
def test_a_member_in_a_paying_role_has_a_stake(market: Market, payer: int) -> None:
    """Grid operator, buyer's utility, seller's utility: whoever fills a role that pays does not curtail alone."""
    program = FIXED_PRICE_SETTLED.flows[0].program
    flow = FIXED_PRICE_SETTLED.flows[0]
    with boa.env.prank(market.council):
        template = market.flows.register(
            "test.payer", payer, ["price", "wheeling"], [(payer, 1, program), (1, 3, flow.program)]
        )
    trade, place = commit_one(market, trade_of(market, template=template))
    stake, other = ("utility_a", "utility_b") if payer == 4 else ("utility_b", "utility_a")
    with boa.reverts("TradeBook: no neutral utility signed"):
        curtail(market, place, trade, 0, [stake])
    curtail(market, place, trade, 0, [other])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 0


def test_no_neutral_utility_at_all(market: Market) -> None:
    own = member_id(market, "utility_a")
    roles: dict[str, Any] = dict.fromkeys(("buyer_platform", "buyer_utility", "seller_utility", "grid_operator"), own)
    trade, place = commit_one(market, trade_of(market, **roles))
    with boa.reverts("TradeBook: no neutral utility signed"):
        curtail(market, place, trade, 0, ["utility_a"])
    curtail(market, place, trade, 0, trade.signers)


def test_what_was_signed_must_be_shown(market: Market) -> None:
    trades = [trade_of(market, number) for number in range(3)]
    batch = batch_of(market, trades)
    place = batch_place(market, commit(market, batch), batch, trades, 1, MORNING)
    trade = trades[1]
    for other in (Curtailment(2, 1, 0, 7), Curtailment(1, 0, 0, 7)):
        with boa.reverts("TradeBook: another place was signed"):
            curtail(market, place, trade, 0, ["utility_a"], other)
    later = replace(place, commitment=replace(place.commitment, committed_at=MORNING + 1))
    for unknown in (later, replace(place, number=2)):
        with boa.reverts("TradeBook: unknown commitment"):
            curtail(market, unknown, trade, 0, ["utility_a"])
    for wrong in (replace(place, index=0), replace(place, path=place.path[:1])):
        with boa.reverts("TradeBook: trade not in it"):
            curtail(market, wrong, trade, 0, ["utility_a"])
    with boa.reverts("TradeBook: trade not in it"):
        curtail(market, place, replace(trade, contracted_wh=3_000), 0, ["utility_a"])
    curtail(market, place, trade, 0, ["utility_a"])


def test_a_trade_of_another_cycle_is_not_curtailed_here(market: Market) -> None:
    stray = trade_of(market, slot_start=SLOT + DAY, slot_end=SLOT + DAY + HOUR)
    trade, place = commit_one(market, stray)
    with boa.reverts("TradeBook: slot of another cycle"):
        curtail(market, place, trade, 0, ["utility_a"])
    early = trade_of(market, slot_start=CONFIG.anchor - HOUR, slot_end=CONFIG.anchor)
    trade, place = commit_one(market, early)
    with boa.reverts("TradeBook: before the anchor"):
        curtail(market, place, trade, 0, ["utility_a"])


def test_an_unknown_template_is_not_curtailed(market: Market) -> None:
    trade, place = commit_one(market, trade_of(market, template=keccak256(b"unknown")))
    with boa.reverts("TradeBook: unknown template"):
        curtail(market, place, trade, 0, ["utility_a"])


def test_suspension_and_pause_do_not_stop_curtailments(market: Market) -> None:
    trade, place = commit_one(market)
    suspend(market, "utility_a")
    pause(market)
    curtail(market, place, trade, 0, ["utility_a"])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 0


def test_a_contract_utility_curtails(market: Market) -> None:
    trade, place = commit_one(market)
    use_wallet(market, "utility_b")
    value = Curtailment(1, 0, 0, 7)
    answer = wallet_bytes(market, "utility_b", value)
    arguments = (astuple(value), astuple(place), astuple(trade), [astuple(NO_SIGNATURE)])
    with boa.reverts("TradeBook: no neutral utility signed"):
        market.book.curtail(*arguments, [])
    market.book.curtail(*arguments, [answer])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 0


def test_the_lowest_counts_wherever_the_trade_stands(market: Market) -> None:
    """A trade at two places is curtailed once: by its digest."""
    trade, first = commit_one(market)
    _, second = commit_one(market, trade)
    curtail(market, second, trade, 1_000, ["utility_a"])
    with boa.reverts("TradeBook: does not lower"):
        curtail(market, first, trade, 1_200, ["utility_a"])
    curtail(market, first, trade, 800, ["utility_b"])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 800


def test_trees_of_all_shapes(market: Market) -> None:
    for sequence, size in enumerate((1, 2, 3, 4, 5, 8, 9), start=1):
        trades = [trade_of(market, number) for number in range(size)]
        batch = batch_of(market, trades, sequence=sequence)
        number = commit(market, batch)
        assert merkle.verify(
            batch.root,
            size,
            size - 1,
            preimages.trade_leaf(market.domain.digest(trades[-1])),
            commitment_tree(market, trades).path(size - 1),
        )
        place = batch_place(market, number, batch, trades, size - 1, MORNING)
        with boa.env.anchor():
            curtail(market, place, trades[-1], 1, ["utility_a"])
