"""The whole computation: vectors, conservation, independence of order, of who computes and of neighbours."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement import units
from settlement.config import FIFO, PRO_RATA
from settlement.cycle import (
    CycleInputs,
    SlotReading,
    allocate_utility,
    compute_cycle,
    member_rows,
    settle_run,
)
from settlement.errors import SettlementError
from settlement.faults import Conflict, Status, conflict_of, is_usable, same_group
from settlement.figures import Figure, Marks, Origin, Outcome, Terms
from settlement.flows import Pair
from settlement.formula import templates
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade, Side
from tests.settlement.builders import (
    CONFIG,
    CYCLE,
    CYCLE_START,
    PLATFORM_A,
    PLATFORM_B,
    TERMS,
    UTILITY_A,
    UTILITY_B,
    cycles,
    group,
    meter,
    placed,
    side_marks,
    trade,
    void,
)


def inputs_of(
    trades: list[PlacedTrade], load: str | None, generation: str | None, run: int = 0, marks: Marks | None = None
) -> CycleInputs:
    """One buyer's meter and one seller's in one slot, read in run 0; None is a missing reading."""
    first = trades[0]
    readings: dict[Hash32, dict[tuple[Hash32, int, Side], SlotReading]] = {UTILITY_A: {}, UTILITY_B: {}}
    for side, kwh in ((Side.BUYER, load), (Side.SELLER, generation)):
        if kwh is not None:
            readings[first.utility(side)][group(first, side)] = SlotReading(units.traded_wh(kwh))
    return CycleInputs(CYCLE, run, CONFIG, templates.SHIPPED_BY_ID, tuple(trades), {0: readings}, marks or Marks())


def paid(inputs: CycleInputs) -> dict[Pair, str]:
    return {pair: units.money_text(row.amount) for pair, row in compute_cycle(inputs).result.rows.items()}


def test_v1_minimum_of_both_sides() -> None:
    """10 kWh at 6, load 15, generation 8: both allocations, settled 8, P2P 48 and wheeling 8."""
    one = placed(trade("10"))
    result = compute_cycle(inputs_of([one], "15", "8"))
    assert result.result.figures == {
        (one.digest, Side.BUYER): Figure(10_000, Origin.LEAF, 0),
        (one.digest, Side.SELLER): Figure(8_000, Origin.LEAF, 0),
    }
    quantities = result.result.settled[one.digest].quantities
    assert quantities is not None
    assert quantities.settled == 8_000
    assert paid(inputs_of([one], "15", "8")) == {
        (PLATFORM_A, PLATFORM_B): "48.00",
        (PLATFORM_A, UTILITY_A): "8.00",
    }
    assert not result.result.keep


def test_v2_v3_one_meter_two_trades() -> None:
    two = [
        placed(trade("10", seller_meter=meter("shared"), buyer_meter=meter("b0")), 1, 0),
        placed(trade("10", seller_meter=meter("shared"), buyer_meter=meter("b1")), 1, 1),
    ]
    readings = {(meter("shared"), CYCLE_START, Side.SELLER): SlotReading(15_000)}
    pro_rata = allocate_utility(UTILITY_B, two, readings, CYCLE, PRO_RATA)
    assert [leaf.allocated_wh for leaf in pro_rata.leaves] == [7_500, 7_500]
    fifo = allocate_utility(UTILITY_B, two, readings, CYCLE, FIFO)
    assert [leaf.allocated_wh for leaf in fifo.leaves] == [10_000, 5_000]
    assert [leaf.contracted_before for leaf in fifo.leaves] == [0, 10_000]
    assert {leaf.contracted_total_wh for leaf in fifo.leaves} == {20_000}


def test_v7_partial_delivery() -> None:
    assert paid(inputs_of([placed(trade("80"))], "80", "70"))[PLATFORM_A, PLATFORM_B] == "420.00"


def test_v8_deviation() -> None:
    """10 at 6, load 8, generation 7, export 4, import 8: buyer 52, seller 36, utilities +24 and -8."""
    rates = tuple(units.rate_per_kwh(value) for value in ("6", "4", "8"))
    one = placed(trade("10", templates.DEVIATION, rates=rates))
    assert paid(inputs_of([one], "8", "7")) == {
        (PLATFORM_A, PLATFORM_B): "60.00",
        (UTILITY_A, PLATFORM_A): "8.00",
        (PLATFORM_B, UTILITY_B): "24.00",
    }


def test_v10g_v10h_only_readings_settle() -> None:
    """What a message claims was delivered is no input; a trade without both readings waits."""
    one = placed(trade("10"))
    waiting = compute_cycle(inputs_of([one], "10", None)).result
    assert waiting.settled[one.digest].outcome is Outcome.WAITS
    assert not waiting.rows
    assert waiting.keep == {
        (PLATFORM_A, PLATFORM_B): units.money("60"),
        (PLATFORM_A, UTILITY_A): units.money("10"),
    }


def test_keep_takes_the_larger_end() -> None:
    """A deviation trade may still owe most when nothing is delivered."""
    rates = tuple(units.rate_per_kwh(value) for value in ("6", "4", "8"))
    one = placed(trade("10", templates.DEVIATION, rates=rates))
    keep = compute_cycle(inputs_of([one], None, None)).result.keep
    assert keep == {
        (PLATFORM_A, PLATFORM_B): units.money("60"),
        (UTILITY_A, PLATFORM_A): units.money("40"),
        (PLATFORM_B, UTILITY_B): units.money("80"),
    }


def test_curtailed_to_nothing() -> None:
    one = placed(trade("10"), contracted_wh=0)
    result = compute_cycle(inputs_of([one], "10", "10"))
    assert result.result.settled[one.digest].outcome is Outcome.NOTHING
    assert not result.result.rows
    assert not result.result.keep
    (leaf,) = result.allocations[0, UTILITY_A].leaves
    assert (leaf.contracted_wh, leaf.allocated_wh) == (0, 0)


@pytest.mark.parametrize(
    ("load", "generation", "settled_kwh"), [("10", None, "0"), (None, "7", "7"), (None, None, None), ("6", "7", "6")]
)
def test_the_last_run_decides(load: str | None, generation: str | None, settled_kwh: str | None) -> None:
    """A seller without figure counts 0, a buyer without figure takes the seller's, without both there is nothing."""
    one = placed(trade("10"))
    settled = compute_cycle(inputs_of([one], load, generation, run=3)).result.settled[one.digest]
    if settled_kwh is None:
        assert settled.outcome is Outcome.NOTHING
    else:
        assert settled.quantities is not None
        assert settled.quantities.settled == units.traded_wh(settled_kwh)


def test_the_last_runs_buyer_takes_the_sellers_in_every_quantity() -> None:
    one = placed(trade("10"))
    quantities = compute_cycle(inputs_of([one], None, "7", run=3)).result.settled[one.digest].quantities
    assert quantities is not None
    assert (quantities.buyer_allocated, quantities.seller_allocated) == (7_000, 7_000)


def test_doubt_makes_only_its_own_trades_wait() -> None:
    ours = placed(trade("10"), 1, 0)
    neighbour = placed(trade("5", seller_meter=meter("other"), buyer_meter=meter("another")), 1, 1)
    inputs = inputs_of([ours, neighbour], "10", "10")
    readings = {
        UTILITY_A: {group(ours, Side.BUYER): SlotReading(10_000), group(neighbour, Side.BUYER): SlotReading(5_000)},
        UTILITY_B: {group(ours, Side.SELLER): SlotReading(10_000), group(neighbour, Side.SELLER): SlotReading(5_000)},
    }
    inputs = replace(inputs, readings={0: readings})
    for marks in (
        Marks(sides=side_marks(ours, Side.SELLER, contested=1)),
        Marks(sides=side_marks(ours, Side.BUYER, unanswered=1)),
        Marks(sides=side_marks(ours, Side.BUYER, twice=1)),
        Marks(void_runs=void(ours, Side.SELLER, 0)),
    ):
        settled = compute_cycle(replace(inputs, marks=marks)).result.settled
        assert settled[ours.digest].outcome is Outcome.WAITS
        assert settled[neighbour.digest].outcome is Outcome.SETTLES


def test_unknown_templates_and_impossible_readings_are_refused() -> None:
    one = placed(trade("10", template=replace(templates.DEFAULT, version=9)))
    with pytest.raises(SettlementError, match="is not known"):
        compute_cycle(inputs_of([one], "1", "1"))
    with pytest.raises(SettlementError, match="missing reading has no energy"):
        allocate_utility(UTILITY_A, [one], {group(one, Side.BUYER): SlotReading(1, Status.MISSING)}, CYCLE, PRO_RATA)


def test_a_trade_at_two_places_counts_once_at_the_lower() -> None:
    one = placed(trade("10"), 5, 2)
    again = placed(trade("10"), 4, 9)
    result = compute_cycle(inputs_of([one, again], "10", "10"))
    (leaf,) = result.allocations[0, UTILITY_B].leaves
    assert (leaf.commitment, leaf.index) == (4, 9)
    assert result.result.rows[PLATFORM_A, PLATFORM_B].amount == units.money("60")


# --- properties ---


@given(cycles())
def test_money_is_conserved(inputs: CycleInputs) -> None:
    result = compute_cycle(inputs).result
    net: Counter[Hash32] = Counter()
    for (payer, payee), row in result.rows.items():
        assert payer != payee
        assert row.amount == sum(leaf.amount for leaf in row.leaves) > 0
        assert all(leaf.amount > 0 for leaf in row.leaves)
        net[payer] -= row.amount
        net[payee] += row.amount
    assert sum(net.values()) == 0
    settling = {digest for digest, one in result.settled.items() if one.outcome is Outcome.SETTLES}
    assert {leaf.trade_digest for row in result.rows.values() for leaf in row.leaves} <= settling


@given(cycles())
def test_energy_is_conserved(inputs: CycleInputs) -> None:
    """No group gives more than its reading, and no trade settles above what it contracted or either side has."""
    outcome = compute_cycle(inputs)
    for (run, utility), posted in outcome.allocations.items():
        given_out: Counter[tuple[Hash32, int, int]] = Counter()
        for leaf in posted.leaves:
            given_out[leaf.meter, leaf.slot_start, leaf.side] += leaf.allocated_wh
        for (mtr, slot, side), wh in given_out.items():
            reading = inputs.readings[run][utility].get((mtr, slot, Side(side)), SlotReading(0))
            assert wh <= reading.wh
    for settled in outcome.result.settled.values():
        if settled.quantities is not None:
            q = settled.quantities
            assert q.settled == min(q.contracted, q.buyer_allocated, q.seller_allocated)
            assert 0 <= q.buyer_allocated <= q.contracted
            assert 0 <= q.seller_allocated <= q.contracted


@given(cycles(), st.randoms(use_true_random=False))
def test_the_order_of_inputs_does_not_matter(inputs: CycleInputs, order: random.Random) -> None:
    shuffled = list(inputs.trades) * 2
    order.shuffle(shuffled)
    expected, found = compute_cycle(inputs), compute_cycle(replace(inputs, trades=tuple(shuffled)))
    assert {key: one.leaves for key, one in found.allocations.items()} == {
        key: one.leaves for key, one in expected.allocations.items()
    }
    assert found.result.rows == expected.result.rows
    assert list(found.result.rows) == list(expected.result.rows)
    assert found.result.keep == expected.result.keep


@given(cycles())
def test_each_member_computes_its_rows_from_what_it_sees(inputs: CycleInputs) -> None:
    whole = compute_cycle(inputs)
    terms = Terms.of(inputs.cycle, inputs.config)
    seen = [leaf for (run, _), posted in whole.allocations.items() for leaf in posted.seen(run)]
    members = {member for pair in whole.result.rows for member in pair}
    for member in members:
        own = [one for one in inputs.trades if member in one.trade.signers]
        digests = {one.digest for one in own}
        visible = [leaf for leaf in seen if leaf.leaf.trade_digest in digests]
        rows = member_rows(member, inputs.run, own, visible, inputs.marks, inputs.templates, terms)
        assert rows == {pair: row for pair, row in whole.result.rows.items() if member in pair}
        for pair, row in rows.items():
            assert row.root == whole.result.rows[pair].root


@given(cycles())
def test_honest_allocations_have_no_fault(inputs: CycleInputs) -> None:
    by_digest = {one.digest: one for one in inputs.trades}
    rule = inputs.config.allocation_rule
    for (_, utility), posted in compute_cycle(inputs).allocations.items():
        keys = [(x.meter, x.slot_start, x.side, x.commitment, x.index) for x in posted.leaves]
        assert keys == sorted(set(keys))
        for leaf in posted.leaves:
            usable = is_usable(leaf, utility, by_digest[leaf.trade_digest], CYCLE, rule)
            assert usable == (leaf.status != Status.MISSING)
        for first in posted.leaves:
            for second in posted.leaves:
                if first is not second and same_group(first, second):
                    assert conflict_of(first, second, rule) is Conflict.NONE


@given(cycles())
def test_a_missed_run_does_no_harm(inputs: CycleInputs) -> None:
    """A run depends on the leaves and marks up to it, not on whether anyone computed the runs before."""
    terms = Terms.of(inputs.cycle, inputs.config)
    whole = compute_cycle(inputs)
    seen = [leaf for (run, _), posted in whole.allocations.items() for leaf in posted.seen(run)]
    for run in range(inputs.run + 1):
        early = settle_run(run, inputs.trades, seen, inputs.marks, inputs.templates, terms)
        only = settle_run(run, inputs.trades, [x for x in seen if x.run <= run], inputs.marks, inputs.templates, terms)
        assert early.rows == only.rows


def test_terms_come_from_the_config() -> None:
    assert Terms(CYCLE, PRO_RATA, 3) == TERMS
