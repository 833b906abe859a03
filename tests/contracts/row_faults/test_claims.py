"""RowFaults: newer leaves, and leaves that stand twice, end a claim; nothing else does."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement.trade import AllocationLeaf, ShownLeaf, Trade
from tests.contracts.settlement.case import NO_CLAIM, stage_of
from tests.contracts.settling import Scene, claim_from, later, mark
from tests.contracts.trading import CONFIG, CYCLE, shown


def strike_newer(scene: Scene, claim: Any, trade: Trade, side: int, leaf: ShownLeaf) -> None:
    """Shows a newer leaf against a claim."""
    scene.market.row_faults.strike_newer_leaf(astuple(claim), astuple(trade), side, astuple(leaf))


@pytest.mark.parametrize("side", [0, 1])
def test_newer_leaf_ends_a_claim(scene: Scene, side: int) -> None:
    trade = scene.trades[0]
    scene.settle_inputs({(scene.digest(trade), side): {"read": 1_000}})
    claim = scene.claim(trade, leaf_run=0)
    assert (claim.run, claim.buyer_run, claim.seller_run) == (1, 0, 0)
    strike_newer(scene, claim, trade, side, scene.shown(trade, side, 1))
    assert stage_of(scene, claim) == NO_CLAIM
    # Made again with the newest leaves it stands.
    right = scene.claim(trade, leaf_run=1)
    for leaf_run in (0, 1):
        with boa.reverts("RowFaults: not newer"):
            strike_newer(scene, right, trade, side, scene.shown(trade, side, leaf_run))


def test_newer_leaf_must_count(scene: Scene) -> None:
    trade = scene.trades[0]
    scene.settle_inputs({(scene.digest(trade), 0): {"allocated_wh": 1_999}})
    claim = scene.claim(trade, leaf_run=0)
    with boa.reverts("TradeResult: leaf does not count"):
        strike_newer(scene, claim, trade, 0, scene.shown(trade, 0, 1))
    mark(scene, trade, 1, unanswered=0b10)
    with boa.reverts("TradeResult: leaf does not count"):
        strike_newer(scene, claim, trade, 1, scene.shown(trade, 1, 1))
    with boa.reverts("TradeResult: other trade's leaf"):
        strike_newer(scene, claim, trade, 1, scene.shown(scene.trades[1], 1, 1))
    with boa.reverts("RowFaults: not the claim's trade"):
        strike_newer(scene, claim, scene.trades[1], 1, scene.shown(scene.trades[1], 1, 1))
    with boa.reverts("RowFaults: no such side"):
        strike_newer(scene, claim, trade, 2, scene.shown(trade, 1, 1))


def test_claims_end_in_their_window(scene: Scene) -> None:
    trade = scene.trades[0]
    scene.settle_inputs()
    claim = scene.claim(trade, leaf_run=0)
    later(CONFIG.claim_window - 1)
    with boa.env.anchor():
        strike_newer(scene, claim, trade, 0, scene.shown(trade, 0, 1))
    later(1)
    with boa.reverts("Settlement: claim's window over"):
        strike_newer(scene, claim, trade, 0, scene.shown(trade, 0, 1))
    with boa.reverts("Settlement: claim not pending"):
        strike_newer(scene, replace(claim, settled_wh=5), trade, 0, scene.shown(trade, 0, 1))


def test_claim_without_a_figure_ends_by_any_leaf(committed: Scene) -> None:
    """In the last run a side may be claimed to have none."""
    scene = committed.copy()
    trade = scene.trades[0]
    for _ in range(4):
        scene.settle_inputs()
    signatures = scene.signatures(trade)
    last = scene.shown(trade, 1, 3)
    made = scene.market.settlement.claim(astuple(scene.place(trade)), astuple(trade), signatures, [], [astuple(last)])
    assert (made.run, made.buyer_origin, made.seller_origin, made.settled_wh) == (3, 0, 1, 2_000)
    with boa.env.anchor():
        scene.market.row_faults.strike_newer_leaf(made, astuple(trade), 0, astuple(scene.shown(trade, 0, 0)))
        assert stage_of(scene, claim_from(made)) == NO_CLAIM
    with boa.reverts("RowFaults: not newer"):
        scene.market.row_faults.strike_newer_leaf(made, astuple(trade), 1, astuple(scene.shown(trade, 1, 2)))
    with boa.reverts("RowFaults: not marked twice"):
        scene.market.row_faults.strike_twice(made, astuple(trade), 0)


def test_recorded_figure_ends_only_as_it_should(committed: Scene) -> None:
    """A claim by an agreed or ruled figure is not ended by any leaf."""
    scene = committed.copy()
    trade = scene.trades[0]
    mark(scene, trade, 0, recorded=1_234, recorded_run=0)
    scene.settle_inputs()
    claim = scene.claim(trade)
    assert (claim.buyer_origin, claim.buyer_run, claim.settled_wh) == (2, 0, 1_234)
    with boa.reverts("RowFaults: not newer"):
        strike_newer(scene, claim, trade, 0, scene.shown(trade, 0, 0))
    mark(scene, trade, 0, recorded=1_234, recorded_run=0, twice=1)
    with boa.reverts("RowFaults: not marked twice"):
        scene.market.row_faults.strike_twice(astuple(claim), astuple(trade), 0)


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize("side", [0, 1])
def test_leaf_marked_twice_ends_a_claim(committed: Scene, side: int, run: int) -> None:
    """Through AllocationFaults: the utility posted the trade twice, once for each of two claims."""
    scene = committed.copy()
    trade = scene.trades[0]
    utility = ("utility_a", "utility_b")[side]
    for _ in range(run):
        scene.settle_inputs()
    scene.post(run, utilities=[("utility_b", "utility_a")[side]])
    twin: AllocationLeaf = scene.leaf(trade, side, read=1_000)
    leaves = [*scene.leaves(utility), twin]
    scene.post_leaves(utility, leaves, run)
    scene.seal()
    claim = scene.claim(trade, run)
    faults = scene.market.row_faults
    with boa.reverts("RowFaults: not marked twice"):
        faults.strike_twice(astuple(claim), astuple(trade), side)
    tree = scene.posted[utility, run][0]
    first = scene.shown(trade, side, run)
    second = shown(tree, len(leaves) - 1, twin, run)
    scene.market.faults.mark_twice(CYCLE, scene.id(utility), astuple(first), astuple(second))
    with boa.reverts("RowFaults: not marked twice"):
        faults.strike_twice(astuple(claim), astuple(trade), 1 - side)
    with boa.reverts("RowFaults: no such side"):
        faults.strike_twice(astuple(claim), astuple(trade), 2)
    with boa.reverts("RowFaults: not the claim's trade"):
        faults.strike_twice(astuple(claim), astuple(scene.trades[1]), side)
    faults.strike_twice(astuple(claim), astuple(trade), side)
    assert stage_of(scene, claim) == NO_CLAIM
