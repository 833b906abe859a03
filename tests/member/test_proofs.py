"""Which proof fits which fault, on leaves, rows and claims; what is right gives none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from member.proofs import (
    ClaimFault,
    LeavesOf,
    claim_fault,
    claims_figures,
    shown_for_claim,
    shown_for_figure,
    twice_proofs,
    void_proofs,
    wrong_leaves,
)
from settlement.config import PRO_RATA
from settlement.cycle import UtilityAllocation
from settlement.faults import Fault, Status
from settlement.figures import Figure, Marks, Origin
from settlement.hashing import keccak256
from settlement.placed import Side
from settlement.trade import Claim
from tests.member.pure_cycle import (
    BUYERS,
    FIRST,
    PAIR,
    RUN_0,
    SECOND,
    SELLERS,
    TRADES,
    allocation,
    result,
    served,
    with_leaf,
)
from tests.settlement.builders import CYCLE, UTILITY_A, UTILITY_B, side_marks

CLAIM = Claim(
    cycle=CYCLE,
    run=0,
    trade_digest=FIRST.digest,
    settled_wh=10_000,
    buyer_origin=1,
    buyer_run=0,
    seller_origin=1,
    seller_run=0,
    claimed_at=5,
    flows=(),
)


# --- allocations ---


def test_honest_leaves_give_no_proof() -> None:
    assert list(void_proofs(RUN_0, TRADES, CYCLE, PRO_RATA)) == []
    assert list(twice_proofs(RUN_0)) == []


def test_a_leaf_that_breaks_the_rule_proves_itself_without_its_trade() -> None:
    wrong = served(0, with_leaf(SELLERS, 1, allocated_wh=4_999))

    (proof,) = void_proofs(wrong, {}, CYCLE, PRO_RATA)

    assert (proof.served, proof.fault, proof.trade) == (wrong[1], Fault.NOT_THE_RULES, None)


@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("meter", keccak256(b"another meter"), Fault.OTHER_METER),
        ("slot_start", 0, Fault.OTHER_SLOT),
        ("salt", keccak256(b"another salt"), Fault.OTHER_SALT),
    ],
    ids=["meter", "slot", "salt"],
)
def test_a_leaf_that_does_not_fit_its_trade_is_shown_with_it(field: str, value: int | bytes, fault: Fault) -> None:
    wrong = served(0, with_leaf(SELLERS, 0, **{field: value}))

    (proof,) = void_proofs(wrong, TRADES, CYCLE, PRO_RATA)

    assert (proof.served, proof.fault, proof.trade) == (wrong[0], fault, FIRST)


def test_what_does_not_fit_an_unknown_trade_cannot_be_shown() -> None:
    wrong = served(0, with_leaf(SELLERS, 0, meter=keccak256(b"another meter")))

    assert list(void_proofs(wrong, {SECOND.digest: SECOND}, CYCLE, PRO_RATA)) == []


def test_a_group_is_proven_once_however_many_of_its_leaves_are_wrong() -> None:
    wrong = served(0, with_leaf(with_leaf(SELLERS, 0, allocated_wh=1), 1, allocated_wh=1))

    proofs = list(void_proofs(wrong, TRADES, CYCLE, PRO_RATA))

    assert [one.served for one in proofs] == [wrong[0]]


def test_a_trade_with_two_leaves_in_one_tree_is_shown_by_both() -> None:
    tree = served(0, UtilityAllocation(UTILITY_B, (*SELLERS.leaves, SELLERS.leaves[0])))

    assert list(twice_proofs((*RUN_0[:2], *tree))) == [(tree[0], tree[2])]


def test_leaves_of_two_trees_are_not_twice() -> None:
    assert list(twice_proofs((*served(0, SELLERS), *served(1, SELLERS)))) == []


# --- figures ---


def test_a_figure_is_shown_newest_run_first_down_to_the_leaf_that_counts() -> None:
    unusable = served(1, with_leaf(with_leaf(SELLERS, 0, allocated_wh=1), 1, allocated_wh=1))
    older = served(0, SELLERS)
    leaves = LeavesOf((*older, *unusable))

    shown = shown_for_figure(leaves, FIRST, Side.SELLER, Figure(10_000, Origin.LEAF, 0))

    assert [(one.run, one.leaf) for one in shown] == [(1, unusable[0].leaf), (0, older[0].leaf)]


def test_no_older_leaf_is_shown_than_the_one_that_counts() -> None:
    leaves = LeavesOf((*served(0, SELLERS), *served(1, SELLERS)))

    shown = shown_for_figure(leaves, FIRST, Side.SELLER, Figure(10_000, Origin.LEAF, 1))

    assert [one.run for one in shown] == [1]


def test_a_recorded_figure_needs_no_leaf() -> None:
    assert shown_for_figure(LeavesOf(RUN_0), FIRST, Side.SELLER, Figure(7, Origin.RECORDED, 0)) == []
    assert shown_for_claim(LeavesOf(RUN_0), FIRST, Side.SELLER, Figure(7, Origin.RECORDED, 0)) == []


def test_a_claim_shows_the_leaf_that_counts_and_not_the_newest() -> None:
    missing = allocation(UTILITY_B, 0)
    missing = with_leaf(missing, 0, status=int(Status.MISSING))
    leaves = LeavesOf((*served(0, SELLERS), *served(1, missing)))

    shown = shown_for_claim(leaves, FIRST, Side.SELLER, Figure(10_000, Origin.LEAF, 0))

    assert shown is not None
    assert [one.run for one in shown] == [0]


def test_a_claim_without_its_leaf_cannot_be_made() -> None:
    assert shown_for_claim(LeavesOf(()), FIRST, Side.SELLER, Figure(10_000, Origin.LEAF, 0)) is None


def test_a_leaf_in_another_utilitys_tree_shows_nothing_of_the_side() -> None:
    leaves = LeavesOf(served(0, UtilityAllocation(UTILITY_A, SELLERS.leaves)))

    assert leaves.newest_first(FIRST, Side.SELLER) == []


# --- attested rows ---


def test_an_honest_row_has_no_wrong_leaf() -> None:
    own = result(0, RUN_0)

    assert list(wrong_leaves(PAIR, own.rows[PAIR].leaves, own, TRADES, LeavesOf(RUN_0))) == []


def test_a_wrong_amount_is_shown_with_the_trade_and_both_figures() -> None:
    own = result(0, RUN_0)
    right = own.rows[PAIR].leaves
    at = next(i for i, leaf in enumerate(right) if leaf.trade_digest == SECOND.digest)
    shown = list(right)
    shown[at] = replace(shown[at], amount=shown[at].amount + 1)

    (found,) = wrong_leaves(PAIR, shown, own, TRADES, LeavesOf(RUN_0))

    assert (found.position, found.shown, found.own, found.trade) == (at, shown[at], right[at], SECOND)
    assert [one.leaf.side for one in (*found.buyer, *found.seller)] == [Side.BUYER, Side.SELLER]


def test_a_leaf_of_a_trade_that_waits_is_wrong() -> None:
    served_to_buyers_only = served(0, BUYERS)
    own = result(0, served_to_buyers_only)
    shown = result(0, RUN_0).rows[PAIR].leaves

    found = list(wrong_leaves(PAIR, shown, own, TRADES, LeavesOf(served_to_buyers_only)))

    assert [one.own for one in found] == [None, None]


def test_leaves_of_unknown_trades_are_not_judged() -> None:
    own = result(0, RUN_0, trades={FIRST.digest: FIRST})
    shown = result(0, RUN_0).rows[PAIR].leaves

    assert list(wrong_leaves(PAIR, shown, own, {FIRST.digest: FIRST}, LeavesOf(RUN_0))) == []


# --- claims ---


def figures(run: int) -> dict[Side, Figure | None]:
    return {side: Figure(10_000, Origin.LEAF, run) for side in Side}


def test_an_honest_claim_has_no_fault() -> None:
    assert claim_fault(CLAIM, FIRST, figures(0), LeavesOf(RUN_0), Marks()) is None


def test_a_newer_leaf_ends_a_claim() -> None:
    newer = served(1, SELLERS)
    later = replace(CLAIM, run=1)
    own = {Side.BUYER: figures(0)[Side.BUYER], Side.SELLER: figures(1)[Side.SELLER]}

    found = claim_fault(later, FIRST, own, LeavesOf((*RUN_0, *newer)), Marks())

    assert found == ClaimFault(Side.SELLER, newer[0].shown)


def test_a_leaf_ends_a_claim_that_says_there_is_none() -> None:
    found = claim_fault(replace(CLAIM, buyer_origin=0), FIRST, figures(0), LeavesOf(RUN_0), Marks())

    assert found == ClaimFault(Side.BUYER, RUN_0[0].shown)


def test_a_recorded_figure_is_not_ended_by_a_leaf() -> None:
    claim = replace(CLAIM, buyer_origin=2)

    assert claim_fault(claim, FIRST, figures(0), LeavesOf(RUN_0), Marks()) is None


def test_the_mark_twice_on_the_claimed_leaf_ends_a_claim() -> None:
    marks = Marks({}, side_marks(FIRST, Side.SELLER, twice=0b01))

    assert claim_fault(CLAIM, FIRST, figures(0), LeavesOf(RUN_0), marks) == ClaimFault(Side.SELLER, None)
    other = Marks({}, side_marks(FIRST, Side.SELLER, twice=0b10))
    assert claim_fault(CLAIM, FIRST, figures(0), LeavesOf(RUN_0), other) is None


def test_a_claim_of_ones_own_figures_is_told_by_where_they_come_from() -> None:
    none_of_buyer = {**figures(0), Side.BUYER: None}

    assert claims_figures(CLAIM, figures(0))
    assert not claims_figures(CLAIM, figures(1))
    assert not claims_figures(CLAIM, none_of_buyer)
    assert claims_figures(replace(CLAIM, buyer_origin=0), none_of_buyer)
    assert not claims_figures(replace(CLAIM, seller_origin=2), figures(0))
