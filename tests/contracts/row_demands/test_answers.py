"""RowDemands: what answers a demand, and what refutes an answer; an honest row never falls."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import preimages
from settlement.figures import SideMarks
from settlement.rows import RowContent
from settlement.trade import Claim, FlowLeaf, Place, Row, ShownLeaf, Trade
from tests.contracts.row_demands.case import (
    DEMAND_TIME,
    PAIR,
    PAYEE,
    PAYER,
    ROW_WINDOW,
    answer,
    apply,
    assert_struck,
    content_of,
    demand,
    holds,
    own_meters,
    strike_unfounded,
    trade_at,
)
from tests.contracts.settling import Scene, content_with, events, later, mark, nested
from tests.contracts.trading import CYCLE, DAY, HOUR, SLOT, register, shown, trade_of

# --- answers ---


def test_an_answer_shows_the_leaf_itself(scene: Scene) -> None:
    content = content_of(scene)
    row = scene.pending(content)
    with boa.reverts("RowDemands: nothing to answer"):
        answer(scene, row, content, 0)
    demand(scene, row, 0)
    with boa.reverts("RowDemands: row not pending"):
        answer(scene, replace(row, version=7), content, 0)
    with boa.reverts("RowDemands: nothing to answer"):
        answer(scene, row, content, 1)
    with boa.reverts("RowDemands: leaf not in the row"):
        answer(scene, row, content, 0, leaf=content.leaves[1], trade=trade_at(scene, content, 1))
    with boa.reverts("RowDemands: leaf not in the row"):
        answer(scene, row, content, 0, path=())
    with boa.reverts("RowDemands: another trade"):
        answer(scene, row, content, 0, trade=trade_at(scene, content, 1))
    answer(scene, row, content, 0)
    with boa.reverts("RowDemands: nothing to answer"):
        answer(scene, row, content, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 10_000_001},
        {"settled_wh": 1_999},
        {"salt": b"\1" * 32},
        {"flow": 1},
    ],
)
def test_an_answer_must_result_in_the_leaf(scene: Scene, wrong: dict[str, Any]) -> None:
    content = content_with(content_of(scene), 1, **wrong)
    row = scene.pending(content)
    demand(scene, row, 1)
    with boa.reverts("RowDemands: another leaf results"):
        answer(scene, row, content, 1)


def test_a_flow_that_the_trade_does_not_have_is_not_shown(scene: Scene) -> None:
    content = content_with(content_of(scene), 1, flow=2)
    row = scene.pending(content)
    demand(scene, row, 1)
    with boa.reverts("RowDemands: another trade"):
        answer(scene, row, content, 1)


@pytest.mark.parametrize(("payer", "payee"), [("platform_b", "platform_a"), ("platform_a", "platform_c")])
def test_a_leaf_between_others_is_not_shown(scene: Scene, payer: str, payee: str) -> None:
    content = RowContent(scene.id(payer), scene.id(payee), content_of(scene).leaves)
    row = scene.pending(content)
    demand(scene, row, 0, payer)
    with boa.reverts("RowDemands: another leaf results"):
        answer(scene, row, content, 0)
    later(DEMAND_TIME)
    strike_unfounded(scene, row, 0)
    assert_struck(scene, row, "unfounded leaf")


def test_places_and_signatures_are_judged_where_they_are_shown(scene: Scene) -> None:
    content = content_of(scene)
    row = scene.pending(content)
    batched = next(n for n in range(4) if scene.place(trade_at(scene, content, n)).commitment.sequence)
    registered = next(n for n in range(4) if not scene.place(trade_at(scene, content, n)).commitment.sequence)
    demand(scene, row, batched)
    demand(scene, row, registered)
    trade = trade_at(scene, content, batched)
    good = scene.signatures(trade)
    with boa.reverts("TradeResult: signature missing"):
        answer(scene, row, content, batched, signatures=good[:-1])
    with boa.reverts("TradeResult: not signer's key"):
        answer(scene, row, content, batched, signatures=[*good[:-1], good[0]])
    with boa.reverts("TradeResult: signature too many"):
        answer(scene, row, content, registered, signatures=good)
    right = scene.places[scene.digest(trade)]
    scene.places[scene.digest(trade)] = replace(right, index=right.index + 1)
    with boa.reverts("TradeResult: not committed"):
        answer(scene, row, content, batched, signatures=good)
    scene.places[scene.digest(trade)] = right
    with boa.reverts("TradeResult: no figure shown"):
        answer(scene, row, content, batched, buyer=[])
    answer(scene, row, content, batched)
    answer(scene, row, content, registered)


def test_a_trade_of_another_cycle_is_not_shown(committed: Scene) -> None:
    """It may be real, committed and have its figures: in its own cycle."""
    scene, market = committed.copy(), committed.market
    other = trade_of(market, 7, **own_meters(7), slot_start=SLOT + DAY, slot_end=SLOT + DAY + HOUR)
    number = register(market, other)
    record = preimages.registered_commitment(other, scene.digest(other), CYCLE + 1, boa.env.evm.patch.timestamp)
    for side, utility in ((0, other.buyer_utility), (1, other.seller_utility)):
        key = f"{CYCLE + 1}][{'0x' + utility.hex()}][{'0x' + scene.digest(other).hex()}][{side}"
        market.oracle.eval(f"self.side_marks[{key}] = {SideMarks(recorded=2_000, recorded_run=0).to_word()}")
    scene.settle_inputs()
    leaf = FlowLeaf(scene.digest(other), 0, 2_000, 10_000_000, preimages.flow_salt(other.salt, CYCLE, 0))
    content = RowContent(scene.id(PAYER), scene.id(PAYEE), (leaf,))
    row = scene.pending(content)
    demand(scene, row, 0)
    scene.add(other, Place(number, record, 0, ()))
    with boa.reverts("RowDemands: another trade"):
        answer(scene, row, content, 0, trade=other, buyer=[], seller=[])


def test_a_recorded_figure_is_shown_without_a_leaf(committed: Scene) -> None:
    scene = committed.copy()
    trade = scene.trades[0]
    mark(scene, trade, 0, recorded=1_234, recorded_run=0)
    scene.settle_inputs()
    content = content_of(scene, {scene.digest(trade): (1_234, 2_000)})
    index = next(n for n, leaf in enumerate(content.leaves) if leaf.trade_digest == scene.digest(trade))
    row = scene.pending(content)
    demand(scene, row, index)
    claim = answer(scene, row, content, index, buyer=[])
    assert (claim.settled_wh, claim.buyer_origin, claim.buyer_run, claim.seller_origin) == (1_234, 2, 0, 1)
    with boa.reverts("RowDemands: not newer"):
        refute(scene, row, index, claim, trade, 0, scene.shown(trade, 0))
    with boa.reverts("RowDemands: not marked twice"):
        refute(scene, row, index, claim, trade, 0)


def test_in_the_last_run_a_side_may_have_none(committed: Scene) -> None:
    """The buyer's utility never posted: the seller's figure counts for both. Any leaf of the buyer's would refute."""
    scene = committed.copy()
    for run in range(4):
        scene.post(run, utilities=["utility_b"])
        scene.seal()
    content = content_of(scene)
    row = scene.pending(content, run=3)
    demand(scene, row, 0)
    claim = answer(scene, row, content, 0, buyer=[])
    assert (claim.run, claim.buyer_origin, claim.seller_origin, claim.settled_wh) == (3, 0, 1, 2_000)
    later(ROW_WINDOW)
    apply(scene, row)


# --- refuting ---


def refute(
    scene: Scene, row: Row, index: int, claim: Claim, trade: Trade, side: int, leaf: ShownLeaf | None = None
) -> None:
    """A newer leaf against an answer, or the mark on its own."""
    given = [] if leaf is None else [nested(leaf)]
    scene.market.row_demands.refute(astuple(row), index, nested(claim), nested(trade), side, given)


@pytest.mark.parametrize("side", [0, 1])
def test_an_answer_by_an_old_figure_is_refuted_and_the_row_falls(scene: Scene, side: int) -> None:
    """The row was made by the figures of run 0, though run 1 has newer ones."""
    trade = scene.trades[0]
    scene.settle_inputs({(scene.digest(trade), side): {"read": 1_000}})
    content = content_of(scene)
    index = next(n for n, leaf in enumerate(content.leaves) if leaf.trade_digest == scene.digest(trade))
    row = scene.pending(content, run=1)
    demand(scene, row, index)
    with boa.reverts("RowDemands: another leaf results"):
        answer(scene, row, content, index)
    claim = answer(scene, row, content, index, leaf_run=0)
    assert (claim.run, claim.buyer_run, claim.seller_run) == (1, 0, 0)
    later(ROW_WINDOW - 1)
    refute(scene, row, index, claim, trade, side, scene.shown(trade, side, 1))
    assert events(scene.market.row_demands, "AnswerRefuted") == [
        {"row_digest": scene.market.domain.digest(row), "index": index, "side": side}
    ]
    assert scene.market.row_demands.open_count(scene.market.domain.digest(row)) == 1
    with boa.reverts("RowDemands: not the answer"):
        refute(scene, row, index, claim, trade, side, scene.shown(trade, side, 1))
    with boa.reverts("RowDemands: refuted before"):
        answer(scene, row, content, index, leaf_run=0)
    later(DEMAND_TIME - 1)
    with boa.reverts("RowDemands: may still be answered"):
        strike_unfounded(scene, row, index)
    later(1)
    strike_unfounded(scene, row, index)
    assert_struck(scene, row, "unfounded leaf")


def test_an_honest_row_does_not_fall_by_a_bad_answer(scene: Scene) -> None:
    """Whoever wants to be rid of the row demands, answers by an old leaf of the same figure, and refutes that itself:
    the right answer still stands in the end, and that one cannot be refuted."""
    scene.settle_inputs()
    content = content_of(scene)
    row = scene.pending(content, run=1)
    trade = trade_at(scene, content, 0)
    later(ROW_WINDOW - 1)
    demand(scene, row, 0)
    bad = answer(scene, row, content, 0, leaf_run=0)
    refute(scene, row, 0, bad, trade, 0, scene.shown(trade, 0, 1))
    # One side is new now, the other still old: so it goes once more, and not again.
    with boa.reverts("RowDemands: refuted before"):
        answer(scene, row, content, 0, leaf_run=0)
    half = answer(scene, row, content, 0, buyer=[scene.shown(trade, 0, 1)], seller=[scene.shown(trade, 1, 0)])
    with boa.reverts("RowDemands: not newer"):
        refute(scene, row, 0, half, trade, 0, scene.shown(trade, 0, 1))
    later(DEMAND_TIME - 1)
    refute(scene, row, 0, half, trade, 1, scene.shown(trade, 1, 1))
    later(DEMAND_TIME - 1)
    good = answer(scene, row, content, 0)
    assert (good.buyer_run, good.seller_run) == (1, 1)
    for side in (0, 1):
        for leaf_run in (0, 1):
            with boa.reverts("RowDemands: not newer"):
                refute(scene, row, 0, good, trade, side, scene.shown(trade, side, leaf_run))
    later(DEMAND_TIME)
    apply(scene, row)
    assert scene.word(*PAIR).applied == content.amount


def test_answers_are_refuted_while_the_row_may_be_struck(scene: Scene) -> None:
    scene.settle_inputs()
    content = content_of(scene)
    row = scene.pending(content, run=1)
    trade = trade_at(scene, content, 0)
    later(ROW_WINDOW - 1)
    demand(scene, row, 0)
    later(1)
    bad = answer(scene, row, content, 0, leaf_run=0)
    later(DEMAND_TIME - 1)
    with boa.env.anchor():
        refute(scene, row, 0, bad, trade, 0, scene.shown(trade, 0, 1))
        assert holds(scene, row)
    later(1)
    with boa.reverts("RowDemands: row stands"):
        refute(scene, row, 0, bad, trade, 0, scene.shown(trade, 0, 1))
    apply(scene, row)
    with boa.reverts("RowDemands: row not pending"):
        refute(scene, row, 0, bad, trade, 0, scene.shown(trade, 0, 1))


def test_a_refutation_is_of_the_answer_its_trade_and_a_side(scene: Scene) -> None:
    scene.settle_inputs()
    content = content_of(scene)
    row = scene.pending(content, run=1)
    trade, other = trade_at(scene, content, 0), trade_at(scene, content, 1)
    demand(scene, row, 0)
    claim = answer(scene, row, content, 0, leaf_run=0)
    newer = scene.shown(trade, 0, 1)
    for index, wrong in ((1, claim), (0, replace(claim, buyer_origin=0)), (0, replace(claim, settled_wh=1))):
        with boa.reverts("RowDemands: not the answer"):
            refute(scene, row, index, wrong, trade, 0, newer)
    with boa.reverts("RowDemands: no such side"):
        refute(scene, row, 0, claim, trade, 2, newer)
    with boa.reverts("RowDemands: not the answer's trade"):
        refute(scene, row, 0, claim, other, 0, scene.shown(other, 0, 1))
    with boa.reverts("TradeResult: other trade's leaf"):
        refute(scene, row, 0, claim, trade, 0, scene.shown(other, 0, 1))
    with boa.reverts("RowDemands: not newer"):
        refute(scene, row, 0, claim, trade, 0, scene.shown(trade, 0, 0))
    with boa.reverts("RowDemands: not marked twice"):
        refute(scene, row, 0, claim, trade, 0)
    refute(scene, row, 0, claim, trade, 0, newer)


@pytest.mark.parametrize("side", [0, 1])
def test_a_leaf_that_stands_twice_refutes_the_answer_that_shows_it(committed: Scene, side: int) -> None:
    """Through AllocationFaults; nothing can be shown any more, so the row falls."""
    scene = committed.copy()
    trade = scene.trades[0]
    utility = ("utility_a", "utility_b")[side]
    scene.post(utilities=[("utility_b", "utility_a")[side]])
    twin = scene.leaf(trade, side, read=1_000)
    leaves = [*scene.leaves(utility), twin]
    scene.post_leaves(utility, leaves)
    scene.seal()
    content = content_of(scene)
    index = next(n for n, leaf in enumerate(content.leaves) if leaf.trade_digest == scene.digest(trade))
    row = scene.pending(content)
    demand(scene, row, index)
    claim = answer(scene, row, content, index)
    with boa.reverts("RowDemands: not marked twice"):
        refute(scene, row, index, claim, trade, side)
    second = shown(scene.posted[utility, 0][0], len(leaves) - 1, twin)
    scene.market.faults.mark_twice(CYCLE, scene.id(utility), astuple(scene.shown(trade, side)), astuple(second))
    with boa.reverts("RowDemands: not marked twice"):
        refute(scene, row, index, claim, trade, 1 - side)
    refute(scene, row, index, claim, trade, side)
    with boa.reverts("TradeResult: leaf does not count"):
        answer(scene, row, content, index)
    later(DEMAND_TIME)
    strike_unfounded(scene, row, index)
    assert_struck(scene, row, "unfounded leaf")


def test_in_the_last_run_any_leaf_refutes_none(committed: Scene) -> None:
    scene = committed.copy()
    scene.settle_inputs()
    for run in range(1, 4):
        scene.post(run, utilities=["utility_b"])
        scene.seal()
    content = content_of(scene)
    row = scene.pending(content, run=3)
    trade = trade_at(scene, content, 0)
    demand(scene, row, 0)
    newest = [scene.shown(trade, 1, 3)]
    claim = answer(scene, row, content, 0, buyer=[], seller=newest)
    refute(scene, row, 0, claim, trade, 0, scene.shown(trade, 0, 0))
    with boa.reverts("RowDemands: refuted before"):
        answer(scene, row, content, 0, buyer=[], seller=newest)
    good = answer(scene, row, content, 0, buyer=[scene.shown(trade, 0, 0)], seller=newest)
    assert (good.buyer_origin, good.buyer_run, good.seller_run) == (1, 0, 3)
    later(ROW_WINDOW)
    apply(scene, row)
