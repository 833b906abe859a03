"""TradeResult: figures of one side as its leaves show them, and what a claim may assert."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boa
import pytest

from tests.contracts.market import Market
from tests.contracts.trade_result.case import LAST, NONE, OneSide
from tests.contracts.trading import CONFIG, HOUR, SLOT, trade_of


@pytest.fixture(params=[0, 1], ids=["buyer", "seller"])
def one(market: Market, request: pytest.FixtureRequest) -> OneSide:
    return OneSide(market, trade_of(market), request.param)


def test_figure_of_the_newest_leaf(one: OneSide) -> None:
    first, _, third = one.post(one.leaf(), None, one.leaf(meter_wh=900, allocated_wh=900))
    assert one.figure(0, first) == (True, 2_000, 1, 0)
    # A run in which nothing was posted passes by itself.
    assert one.figure(1, first) == (True, 2_000, 1, 0)
    assert one.figure(2, third) == (True, 900, 1, 2)
    with boa.reverts("TradeResult: newer leaf unpassed"):
        one.figure(2, first)
    with boa.reverts("TradeResult: leaf not needed"):
        one.figure(2, third, first)
    with boa.reverts("TradeResult: leaf of another run"):
        one.post(None)
        one.figure(0, first)


def test_no_figure(one: OneSide) -> None:
    one.post(None, None)
    assert one.figure(0) == NONE
    missing, _ = one.post(one.leaf(status=2, meter_wh=0, allocated_wh=0), None)
    assert one.figure(1, missing) == NONE
    # A tree that lacks the leaf does not pass.
    one.post("without", None)
    with boa.reverts("TradeResult: newer leaf unpassed"):
        one.figure(1)


@pytest.mark.parametrize(
    "mark",
    [{"void": 0b10}, {"unanswered": 0b10}, {"twice": 0b10}, {"contested": 0b10}],
    ids=["void", "unanswered", "twice", "contested"],
)
def test_mark_lets_a_run_pass(one: OneSide, mark: dict[str, int]) -> None:
    first, second = one.post(one.leaf(), one.leaf(meter_wh=900, allocated_wh=900))
    one.mark(**mark)
    assert one.figure(1, first) == (True, 2_000, 1, 0)
    # Showing the leaf that does not count changes nothing.
    assert one.figure(1, second, first) == (True, 2_000, 1, 0)
    assert one.figure(0, first) == (True, 2_000, 1, 0)
    one.mark(**dict.fromkeys(mark, 3))
    assert one.figure(1) == NONE


def test_contest_ends_with_the_next_run(one: OneSide) -> None:
    first, _ = one.post(one.leaf(), None)
    one.mark(contested=0b01)
    assert one.figure(0) == NONE
    with boa.reverts("TradeResult: newer leaf unpassed"):
        one.figure(1)
    # In run 1 nobody contested: the leaf stands.
    assert one.figure(1, first) == (True, 2_000, 1, 0)
    # Contested by lack in run 1 too: it does not.
    one.mark(contested=0b11)
    assert one.figure(1) == NONE


@pytest.mark.parametrize(
    "wrong",
    [
        {"allocated_wh": 1_999},
        {"status": 3},
        {"status": 2},
        {"status": 2, "meter_wh": 0, "allocated_wh": 0},
        {"contracted_before": 1},
        {"meter": b"\1" * 32},
        {"slot_start": SLOT + HOUR},
        {"contracted_wh": 1_000, "allocated_wh": 1_000},
        {"salt": b"\1" * 32},
    ],
)
def test_own_unusable_leaf_lets_a_run_pass(one: OneSide, wrong: dict[str, Any]) -> None:
    first, second = one.post(one.leaf(), one.leaf(**wrong))
    assert one.figure(1, second, first) == (True, 2_000, 1, 0)
    with boa.reverts("TradeResult: newer leaf unpassed"):
        one.figure(1, first)
    with boa.reverts("TradeResult: leaf does not count"):
        one.claimed(1, second)


def test_recorded_figure(one: OneSide) -> None:
    first, second = one.post(one.leaf(), one.leaf())
    one.mark(void=3, recorded=777, recorded_run=1)
    assert one.figure(1) == (True, 777, 2, 1)
    assert one.claimed(1) == (True, 777, 2, 1)
    # Not before the run before whose seal it was recorded.
    assert one.figure(0) == NONE
    one.mark(recorded=0, recorded_run=0)
    assert one.figure(0, first) == (True, 0, 2, 0)
    assert one.claimed(1, second) == (True, 0, 2, 0)


def test_shown_leaf_must_be_the_trades_own_and_posted(one: OneSide, market: Market) -> None:
    (first,) = one.post(one.leaf())
    assert first is not None
    for wrong in (
        replace(first, root=b"\1" * 32),
        replace(first, count=4),
    ):
        with boa.reverts("TradeResult: not the posted tree"):
            one.figure(0, wrong)
    for wrong in (
        replace(first, index=0),
        replace(first, path=first.path[:-1]),
        replace(first, leaf=replace(first.leaf, allocated_wh=1_999)),
    ):
        with boa.reverts("TradeResult: leaf not in tree"):
            one.figure(0, wrong)
    (other,) = one.post(one.leaf(trade_digest=market.domain.digest(trade_of(market, 1))))
    with boa.reverts("TradeResult: other trade's leaf"):
        one.figure(0, other)
    (turned,) = one.post(replace(one.leaf(), side=1 - one.side))
    with boa.reverts("TradeResult: other trade's leaf"):
        one.figure(0, turned)


def test_arguments_of_figures(one: OneSide, market: Market) -> None:
    one.post(*[None] * 4)
    assert one.figure(LAST) == NONE
    with boa.reverts("TradeResult: no such run"):
        one.figure(LAST + 1)
    one.post(None, None)
    with boa.reverts("TradeResult: no such run"):
        one.figure(2)
    with boa.reverts("TradeResult: no such side"):
        replace(one, side=2).figure(0)
    with boa.reverts("TradeResult: before the calendar"):
        replace(one, trade=trade_of(market, slot_start=CONFIG.anchor - 1)).figure(0)
    market.oracle.set_version(0)
    with boa.reverts("TradeResult: no such run"):
        one.figure(0)


def test_claimed_figure(one: OneSide) -> None:
    first, second = one.post(one.leaf(), one.leaf(meter_wh=900, allocated_wh=900))
    # Newer leaves are for others to show.
    assert one.claimed(1, first) == (True, 2_000, 1, 0)
    assert one.claimed(1, second) == (True, 900, 1, 1)
    with boa.reverts("TradeResult: leaf of another run"):
        one.claimed(0, second)
    with boa.reverts("TradeResult: no figure shown"):
        one.claimed(1)
    one.mark(twice=0b10)
    with boa.reverts("TradeResult: leaf does not count"):
        one.claimed(1, second)
    one.mark(contested=0b11)
    with boa.reverts("TradeResult: leaf does not count"):
        one.claimed(1, first)


def test_claim_of_no_figure_in_the_last_run(one: OneSide) -> None:
    first, *_ = one.post(one.leaf(), None, None, None)
    assert one.claimed(LAST) == NONE
    assert one.claimed(LAST, first) == (True, 2_000, 1, 0)
    with boa.reverts("TradeResult: no figure shown"):
        one.claimed(LAST - 1)
