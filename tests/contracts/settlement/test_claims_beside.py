"""Settlement: several claims of one trade in a run, pending side by side; nobody's keeps another's from being made."""

from __future__ import annotations

from dataclasses import astuple
from itertools import permutations

import boa
import pytest

from settlement.trade import Claim, Trade
from tests.contracts.settlement.case import (
    APPLIED,
    BUYER,
    LOCK,
    NO_CLAIM,
    PAIR,
    PENDING,
    SELLER,
    stage_of,
    struck,
)
from tests.contracts.settling import FUNDS, Scene, claim_from, events, later, nested
from tests.contracts.trading import CONFIG, HOUR

AMOUNT = 10_000_000


def claim_by(scene: Scene, trade: Trade, buyer_run: int, seller_run: int) -> Claim:
    """Anyone claims by leaves of these runs."""
    sides = [[nested(scene.shown(trade, side, run))] for side, run in enumerate((buyer_run, seller_run))]
    made = scene.market.settlement.claim(nested(scene.place(trade)), nested(trade), scene.signatures(trade), *sides)
    return claim_from(made)


def strike(scene: Scene, claim: Claim) -> None:
    """RowFaults, which has computed that it is wrong."""
    with boa.env.prank(scene.market.addresses["RowFaults"]):
        scene.market.settlement.strike_claim(*struck(claim))


def apply(scene: Scene, claim: Claim) -> None:
    """Applies a claim."""
    scene.market.settlement.apply_claim(astuple(claim))


@pytest.fixture
def three(scene: Scene) -> tuple[Scene, list[Claim]]:
    """Three claims of one trade in run 1, made in one block by leaves of different runs."""
    scene.settle_inputs()
    trade = scene.trades[0]
    claims = [claim_by(scene, trade, *runs) for runs in ((0, 0), (0, 1), (1, 1))]
    assert len({one.claimed_at for one in claims}) == 1
    return scene, claims


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_each_is_struck_by_itself(three: tuple[Scene, list[Claim]], order: tuple[int, ...]) -> None:
    scene, claims = three
    left = list(claims)
    for number in order:
        assert [stage_of(scene, one) for one in claims] == [PENDING if one in left else NO_CLAIM for one in claims]
        strike(scene, claims[number])
        left.remove(claims[number])
        with boa.reverts("Settlement: claim not pending"):
            strike(scene, claims[number])
    assert [stage_of(scene, one) for one in claims] == [NO_CLAIM] * 3
    later(CONFIG.claim_window)
    for one in claims:
        with boa.reverts("Settlement: claim not pending"):
            apply(scene, one)
    assert scene.word(*PAIR).applied == 0


@pytest.mark.parametrize("applied", range(3))
@pytest.mark.parametrize("fallen", [None, 0, 1, 2])
def test_the_first_that_is_applied_ends_the_others(
    three: tuple[Scene, list[Claim]], applied: int, fallen: int | None
) -> None:
    scene, claims = three
    if fallen == applied:
        return
    if fallen is not None:
        strike(scene, claims[fallen])
    later(CONFIG.claim_window)
    apply(scene, claims[applied])
    assert scene.word(*PAIR).applied == AMOUNT
    assert [stage_of(scene, one) for one in claims] == [APPLIED] * 3
    for one in claims:
        with boa.reverts("Settlement: claim not pending"):
            apply(scene, one)
        with boa.reverts("Settlement: claim not pending"):
            strike(scene, one)
    with boa.reverts("Settlement: claimed already"):
        scene.claim(scene.trades[0], 1)
    # Of another run, or another trade, nothing has ended.
    assert stage_of(scene, scene.claim(scene.trades[1], 1)) == PENDING
    scene.settle_inputs()
    assert stage_of(scene, scene.claim(scene.trades[0], 2)) == PENDING


@pytest.mark.parametrize("number", range(3))
def test_the_very_same_is_made_once_a_block(three: tuple[Scene, list[Claim]], number: int) -> None:
    """Whatever became of another, and again only after it was struck itself."""
    scene, claims = three

    def again() -> Claim:
        return claim_by(scene, scene.trades[0], claims[number].buyer_run, claims[number].seller_run)

    with boa.reverts("Settlement: claimed already"):
        again()
    strike(scene, claims[(number + 1) % 3])
    with boa.reverts("Settlement: claimed already"):
        again()
    strike(scene, claims[number])
    assert again() == claims[number]
    assert stage_of(scene, claims[number]) == PENDING
    # One strike ends it, wherever it is kept by now.
    strike(scene, claims[number])
    assert stage_of(scene, claims[number]) == NO_CLAIM
    later(1)
    later_one = again()
    assert later_one.claimed_at == claims[number].claimed_at + 1
    assert stage_of(scene, later_one) == PENDING


def test_each_has_its_own_window(scene: Scene) -> None:
    trade = scene.trades[0]
    first = scene.claim(trade)
    later(HOUR)
    second = scene.claim(trade)
    later(CONFIG.claim_window - HOUR)
    with boa.reverts("Settlement: claim's window open"):
        apply(scene, second)
    with boa.reverts("Settlement: claim's window over"):
        strike(scene, first)
    with boa.env.anchor():
        apply(scene, first)
        assert scene.word(*PAIR).applied == AMOUNT
    strike(scene, second)
    apply(scene, first)
    assert scene.word(*PAIR).applied == AMOUNT


def test_a_false_claim_keeps_no_right_one_from_being_made(committed: Scene) -> None:
    """In the last run, that the seller has no figure: made again as often as it falls. The right one pays meanwhile."""
    scene = committed.copy()
    trade = scene.trades[0]
    wrong = {(scene.digest(trade), 0): {"read": 0}}
    scene.settle_inputs(wrong)
    for _ in range(3):
        scene.settle_inputs()

    def false_claim() -> Claim:
        listed = nested(scene.place(trade)), nested(trade), scene.signatures(trade)
        return claim_from(scene.market.settlement.claim(*listed, [nested(scene.shown(trade, 0, 0))], []))

    def fall(claim: Claim) -> None:
        newest = nested(scene.shown(trade, 0, 3))
        scene.market.row_faults.strike_newer_leaf(astuple(claim), nested(trade), 0, newest)
        assert (stage_of(scene, claim), stage_of(scene, right)) == (NO_CLAIM, PENDING)

    fallen = [false_claim()]
    assert fallen[0].settled_wh == 0
    right = scene.claim(trade, 3)
    for _ in range(3):
        fall(fallen[-1])
        fallen.append(false_claim())
        later(HOUR)
    later(CONFIG.claim_window - 3 * HOUR)
    apply(scene, right)
    assert (scene.word(*PAIR).lock, scene.free(SELLER)) == (LOCK - AMOUNT, FUNDS + AMOUNT)
    assert {event["claim_hash"] for event in events(scene.market.settlement, "ClaimApplied")} == {struck(right)[-1]}
    later(CONFIG.claim_window)
    with boa.reverts("Settlement: claim not pending"):
        apply(scene, fallen[-1])
    assert scene.word(BUYER, "utility_b").applied == 800_000
