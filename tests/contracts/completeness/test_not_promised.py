"""What the protocol does not promise, each by a case in which it does not hold, and what is promised all the same.

Lies that fit together: a utility that falsifies a whole group consistently commits no fault. Its victims contest, and
arbiters decide; if nobody does, the lie stands from the next run on. Nobody is paid on it in the meantime.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, replace

import boa  # type: ignore[import-untyped]
import pytest

from settlement import typed_data
from settlement.config import PRO_RATA
from settlement.hashing import keccak256
from settlement.preimages import flow_salt
from settlement.trade import AllocationLeaf, FlowLeaf, Ruling, Trade
from tests.contracts.completeness.attested import AttestedRow
from tests.contracts.completeness.corruptions import fitted
from tests.contracts.completeness.counting import tried
from tests.contracts.completeness.honest import HonestCycle, Leaves, Outcome, attempt, meter
from tests.contracts.completeness.signed import ARBITERS
from tests.contracts.completeness.watching import Watcher, contest
from tests.contracts.settling import events, later
from tests.contracts.trading import CONFIG, CYCLE, END, MORNING, at_time, trade_of

pytestmark = pytest.mark.usefixtures("counted")

LIAR = "utility_b"
GROUP = meter("s1")


def of_group(change: Callable[[AllocationLeaf], AllocationLeaf]) -> Callable[[Leaves], Leaves]:
    """Changes all leaves of the meter that three trades share, and allocates by the rule."""

    def lie(leaves: Leaves) -> Leaves:
        return [fitted(change(leaf), PRO_RATA) if leaf.meter == GROUP else leaf for leaf in leaves]

    return lie


def with_a_neighbour(leaves: Leaves) -> Leaves:
    """A trade that nobody ever made joins the group, and takes its share."""
    grown = of_group(lambda leaf: replace(leaf, contracted_total_wh=leaf.contracted_total_wh + 4_000))(leaves)
    last = max((leaf for leaf in grown if leaf.meter == GROUP), key=lambda leaf: leaf.contracted_before)
    stranger = replace(
        last,
        trade_digest=keccak256(b"nobody's trade"),
        commitment=last.commitment + 9,
        contracted_before=last.contracted_before + last.contracted_wh,
        contracted_wh=4_000,
    )
    return sorted(
        [*grown, fitted(stranger, PRO_RATA)],
        key=lambda one: (one.meter, one.slot_start, one.side, one.commitment, one.index),
    )


LIES = {
    "the meter's reading": of_group(lambda leaf: replace(leaf, meter_wh=leaf.meter_wh // 2)),
    "the group's other trades": with_a_neighbour,
}


@pytest.fixture(scope="module")
def committed() -> HonestCycle:
    cycle = HonestCycle.committed(PRO_RATA)
    with boa.env.prank(cycle.market.council):
        cycle.market.arbiters.set_arbiters(["0x" + typed_data.address_of(key).hex() for key in ARBITERS])
    return cycle


@pytest.fixture(scope="module")
def outcome(committed: HonestCycle) -> Outcome:
    with boa.env.anchor():
        honest = committed.copy()
        honest.post(0)
        honest.open_window(0)
        honest.seal()
        return honest.finish(0)


@pytest.fixture
def cycle(committed: HonestCycle) -> Iterator[HonestCycle]:
    with boa.env.anchor():
        yield committed.copy()


def victims(cycle: HonestCycle) -> list[Trade]:
    """The trades of the falsified group."""
    return [trade for trade in cycle.trades if trade.seller_meter == GROUP]


def rule(cycle: HonestCycle, trade: Trade, wh: int) -> None:
    """Two of three arbiters find the seller side's Wh."""
    said = Ruling(CYCLE, cycle.scene.digest(trade), 1, wh)
    signatures = [astuple(typed_data.sign(key, cycle.market.domain.digest(said))) for key in ARBITERS[:2]]
    cycle.market.disputes.rule(astuple(said), astuple(trade), 0b11, signatures)


def told(cycle: HonestCycle, what: str) -> None:
    """The liar has posted its lie, and run 0's window is open."""
    cycle.post(0, {LIAR: LIES[what](cycle.leaves(LIAR, 0))})
    cycle.open_window(0)


@pytest.mark.parametrize("what", list(LIES))
def test_no_fault_shows_a_lie_that_fits_together(cycle: HonestCycle, what: str) -> None:
    told(cycle, what)
    assert Watcher(cycle, LIAR, 0).prove_everything() == set()
    tried("lie that fits together", what, "no fault")


@pytest.mark.parametrize("what", list(LIES))
def test_contested_and_ruled_on_it_pays_as_in_truth(cycle: HonestCycle, outcome: Outcome, what: str) -> None:
    told(cycle, what)
    honest = {leaf.trade_digest: leaf.allocated_wh for leaf in cycle.leaves(LIAR, 0) if leaf.meter == GROUP}
    for trade in victims(cycle):
        assert contest(cycle, trade, 1, 0) == ""
        assert cycle.settled(trade, 0) == set()
    cycle.seal()
    cycle.settle(0)
    for trade in victims(cycle):
        rule(cycle, trade, honest[cycle.scene.digest(trade)])
    for run in (1, 2):
        # It lies on: a ruled figure is not to be had by another leaf.
        cycle.post(run, {LIAR: LIES[what](cycle.leaves(LIAR, run))})
        cycle.open_window(run)
        cycle.seal()
        cycle.settle(run)
    assert cycle.outcome() == outcome
    tried("lie that fits together", what, "contested and ruled on: as in truth")


@pytest.mark.parametrize("what", list(LIES))
def test_contested_and_left_at_that_it_stands_from_the_next_run_on(
    cycle: HonestCycle, outcome: Outcome, what: str
) -> None:
    """Silence ends a contest, and the leaf stands: nothing computes that it is false."""
    told(cycle, what)
    for trade in victims(cycle):
        assert contest(cycle, trade, 1, 0) == ""
    cycle.seal()
    lied = {leaf.trade_digest: leaf.allocated_wh for leaf in cycle.scene.posted[LIAR, 0][1] if leaf.meter == GROUP}
    for run in (1, 2):
        cycle.post(run, {LIAR: LIES[what](cycle.leaves(LIAR, run))})
        cycle.open_window(run)
        cycle.seal()
    for trade in victims(cycle):
        ((settled, _),) = cycle.settled(trade, 2)
        assert settled <= lied[cycle.scene.digest(trade)]
    cycle.settle(2)
    assert cycle.outcome() != outcome
    tried("lie that fits together", what, "contested and left at that: stands from the next run on")


def test_two_pseudonyms_may_be_one_meter(cycle: HonestCycle) -> None:
    """Trades 5 and 6 have two seller meters; that both hashes hide one real meter, read twice, nobody can see: either
    reading is taken, no proof ends either, and both trades are paid in full."""
    cycle.post(0)
    cycle.open_window(0)
    once, again = cycle.trades[5], cycle.trades[6]
    assert once.seller_meter != again.seller_meter
    assert (once.seller_utility, once.slot_start) == (again.seller_utility, again.slot_start)
    assert Watcher(cycle, LIAR, 0).prove_everything() == set()
    cycle.seal()
    for trade in (once, again):
        ((wh, flows),) = cycle.settled(trade, 0)
        assert wh > 0
        before = {(payer, payee): paid(cycle, payer, payee) for payer, payee, _ in flows}
        claim = cycle.scene.claim(trade)
        later(CONFIG.claim_window)
        assert attempt(cycle.market.settlement, "apply_claim", astuple(claim)) == ""
        assert {(payer, payee): paid(cycle, payer, payee) for payer, payee, _ in flows} == {
            (payer, payee): before[payer, payee] + sum(one[2] for one in flows if one[:2] == (payer, payee))
            for payer, payee, _ in flows
        }


def paid(cycle: HonestCycle, payer: bytes, payee: bytes) -> int:
    """What was applied of a pair, from its lock or on account."""
    return cycle.scene.word(cycle.scene.name(payer), cycle.scene.name(payee)).applied


@pytest.mark.parametrize("field", ["order_hash", "traded_at", "salt", "trade_id"])
def test_what_the_platforms_say_is_taken_as_they_signed_it(committed: HonestCycle, field: str) -> None:
    """Whatever stands there, what all signers signed is registered, is valid at its place, and settles alike: two
    trades that differ in it alone, each on the same readings, pay the same amounts to the same members."""
    found = []
    for changes in (False, True):
        with boa.env.anchor():
            cycle = committed.copy()
            at_time(MORNING)
            trade = trade_of(cycle.market, 77, buyer_meter=meter("b7"), seller_meter=meter("s7"))
            value = getattr(trade, field)
            other = keccak256(value) if isinstance(value, bytes) else value + 1
            said = replace(trade, **{field: other}) if changes else trade
            cycle.scene.register(said)
            place, digest = cycle.scene.place(said), cycle.scene.digest(said)
            assert cycle.market.result.check_place(astuple(place), astuple(said), []) == digest
            at_time(END)
            for utility, side in (("utility_a", 0), ("utility_b", 1)):
                leaf = cycle.scene.leaf(said, side, read=1_750 + side)
                cycle.scene.post_leaves(utility, [leaf])
            cycle.open_window(0)
            cycle.seal()
            ((wh, flows),) = cycle.settled(said, 0)
            claim = cycle.scene.claim(said)
            later(CONFIG.claim_window)
            assert attempt(cycle.market.settlement, "apply_claim", astuple(claim)) == ""
            found.append((digest, wh, flows, cycle.outcome()))
    (first, *as_it_was), (second, *otherwise) = found
    assert first != second
    assert as_it_was == otherwise
    assert as_it_was[0] == 1_750


def test_unlocked_debts_are_recorded_not_paid(cycle: HonestCycle) -> None:
    cycle.post(0)
    cycle.open_window(0)
    cycle.seal()
    cycle.settle(0)
    before = cycle.scene.free("platform_a")
    owed = cycle.scene.owed("platform_b", "platform_a")
    assert owed > 0
    later(60 * 24 * 3_600)
    assert (cycle.scene.free("platform_a"), cycle.scene.owed("platform_b", "platform_a")) == (before, owed)


def test_without_payer_and_quorum_it_goes_trade_by_trade(cycle: HonestCycle) -> None:
    """As many claims as trades, each with a window of its own: slow, and it arrives."""
    cycle.post(0)
    cycle.open_window(0)
    cycle.seal()
    truth = cycle.result(0).rows[cycle.scene.id("platform_a"), cycle.scene.id("platform_b")]
    trades = [
        trade for trade in cycle.trades if any(leaf.trade_digest == cycle.scene.digest(trade) for leaf in truth.leaves)
    ]
    claims = [cycle.scene.claim(trade) for trade in trades]
    assert attempt(cycle.market.settlement, "apply_claim", astuple(claims[0])) == "Settlement: claim's window open"
    later(CONFIG.claim_window)
    for claim in claims:
        assert attempt(cycle.market.settlement, "apply_claim", astuple(claim)) == ""
    assert cycle.scene.word("platform_a", "platform_b").applied == truth.amount


def test_a_payee_that_never_signs_holds_collateral(cycle: HonestCycle) -> None:
    """An attested row pays what is due and releases nothing; before the cycle closes nobody else can."""
    cycle.post(0)
    cycle.open_window(0)
    cycle.seal()
    payer, payee = cycle.scene.id("platform_a"), cycle.scene.id("utility_b")
    truth = cycle.result(0).rows[payer, payee]
    row = AttestedRow.over(cycle, truth, truth.leaves, 0, 1)
    assert row.attest() == row.publish() == ""
    later(CONFIG.row_window)
    assert row.apply() == ""
    held = cycle.scene.word("platform_a", "utility_b").lock
    assert held == 5_000_000 - truth.amount
    assert "SettlementEscrow" in attempt(cycle.market.escrow, "release", CYCLE, payer, payee)
    assert cycle.scene.word("platform_a", "utility_b").lock == held


def test_a_utility_and_a_quorum_can_hold_trades_back_for_a_run(cycle: HonestCycle, outcome: Outcome) -> None:
    """The utility spoils one group, and the group is voided; the quorum attests the pair's row without its trades,
    which is what the inputs give: no strike ends it, and it is applied. The next run pays the trades, and not one unit
    is lost."""
    scene, held = cycle.scene, victims(cycle)
    pair = scene.id("platform_a"), scene.id("platform_b")
    honest = cycle.leaves(LIAR, 0)
    spoiled = next(place for place, leaf in enumerate(honest) if leaf.meter == GROUP)
    wrong = [
        replace(leaf, salt=keccak256(leaf.salt)) if place == spoiled else leaf for place, leaf in enumerate(honest)
    ]
    cycle.post(0, {LIAR: wrong})
    cycle.open_window(0)
    assert Watcher(cycle, LIAR, 0).prove([spoiled])
    for trade in held:
        assert cycle.settled(trade, 0) == set()
    cycle.seal()

    truth = cycle.result(0).rows[pair]
    assert not {scene.digest(trade) for trade in held} & {leaf.trade_digest for leaf in truth.leaves}
    row = AttestedRow.over(cycle, truth, truth.leaves, 0, 1)
    assert row.attest() == row.publish() == ""
    assert row.strike() == ""
    for trade in held:
        left_out = FlowLeaf(scene.digest(trade), 0, trade.contracted_wh, 1, flow_salt(trade.salt, CYCLE, 0))
        assert row.strike_missing(left_out) == "RowFaults: no such flow"
    later(CONFIG.row_window)
    assert row.apply() == ""
    assert scene.word("platform_a", "platform_b").applied == truth.amount

    others = [one for one in cycle.rows(0) if (one.payer, one.payee) != pair]
    assert scene.settle(*others) == len(others)
    for run in (1, 2):
        cycle.post(run)
        cycle.open_window(run)
        cycle.seal()
        due = cycle.result(run).rows[pair]
        assert {scene.digest(trade) for trade in held} <= {leaf.trade_digest for leaf in due.leaves}
        cycle.settle(run)
        assert scene.word("platform_a", "platform_b").applied == due.amount > truth.amount
    assert cycle.outcome() == outcome


def test_totals_of_a_pair_are_for_all_to_see(cycle: HonestCycle) -> None:
    cycle.post(0)
    cycle.open_window(0)
    cycle.seal()
    rows = cycle.rows(0)
    assert cycle.scene.settle(*rows) == len(rows)
    told_to_all = {(one["payer"], one["payee"]): one["amount"] for one in events(cycle.market.settlement, "RowApplied")}
    assert told_to_all == {(row.payer, row.payee): row.amount for row in rows}
