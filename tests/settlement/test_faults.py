"""Faults: each by its code, in the chain's order, and every corruption that changes a figure is one."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.config import FIFO, PRO_RATA
from settlement.cycle import CycleInputs, SlotReading, allocate_utility, compute_cycle
from settlement.faults import (
    Conflict,
    Fault,
    conflict_of,
    fault_by_rule,
    fault_by_trade,
    fault_of,
    is_twice,
    is_usable,
    same_group,
)
from settlement.placed import Side
from settlement.trade import AllocationLeaf
from tests.settlement.builders import CYCLE, UTILITY_A, UTILITY_B, cycles, group, meter, placed, trade

TRADE = placed(trade("10"), 3, 7)
OTHER = placed(trade("6", salt=b"\x05" * 32), 3, 8)


def honest(rule: int = PRO_RATA) -> tuple[AllocationLeaf, AllocationLeaf]:
    """Seller's leaves of two trades that share a reading of 8 kWh."""
    readings = {group(TRADE, Side.SELLER): SlotReading(8_000)}
    first, second = allocate_utility(UTILITY_B, [TRADE, OTHER], readings, CYCLE, rule).leaves
    return first, second


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, Fault.NONE),
        ({"side": 2}, Fault.SIDE_UNKNOWN),
        ({"side": 2, "status": 3}, Fault.SIDE_UNKNOWN),
        ({"status": 3}, Fault.STATUS_UNKNOWN),
        ({"status": 2}, Fault.MISSING_NOT_ZERO),
        ({"status": 2, "meter_wh": 0}, Fault.MISSING_NOT_ZERO),
        ({"status": 2, "meter_wh": 0, "allocated_wh": 0}, Fault.NONE),
        ({"status": 1}, Fault.NONE),
        ({"contracted_before": 6_001}, Fault.BEFORE_ABOVE_TOTAL),
        ({"contracted_total_wh": 9_999}, Fault.BEFORE_ABOVE_TOTAL),
        ({"allocated_wh": 10_001}, Fault.ABOVE_CONTRACTED),
        ({"allocated_wh": 5_001}, Fault.NOT_THE_RULES),
        ({"meter_wh": 8_100}, Fault.NOT_THE_RULES),
        ({"side": 0}, Fault.OTHER_UTILITY),
        ({"meter": meter("other")}, Fault.OTHER_METER),
        ({"slot_start": 0}, Fault.OTHER_SLOT),
        ({"contracted_wh": 9_999, "allocated_wh": 4_999}, Fault.OTHER_CONTRACTED),
        ({"salt": bytes(32)}, Fault.OTHER_SALT),
    ],
)
def test_codes(changes: dict[str, object], fault: Fault) -> None:
    leaf = replace(honest()[0], **changes)  # type: ignore[arg-type]
    assert fault_of(leaf, UTILITY_B, TRADE, CYCLE, PRO_RATA) is fault


def test_numbers_are_the_chains() -> None:
    assert [int(fault) for fault in Fault] == list(range(12))
    assert (Fault.STATUS_UNKNOWN, Fault.OTHER_UTILITY, Fault.SIDE_UNKNOWN) == (1, 6, 11)


def test_the_leaf_of_another_cycle_has_another_salt() -> None:
    assert fault_by_trade(honest()[0], UTILITY_B, TRADE, CYCLE + 1) is Fault.OTHER_SALT
    assert fault_by_trade(honest()[0], UTILITY_A, TRADE, CYCLE) is Fault.OTHER_UTILITY


def test_fifo_judges_by_place() -> None:
    first, second = honest(FIFO)
    assert (first.allocated_wh, second.allocated_wh) == (8_000, 0)
    assert fault_by_rule(second, FIFO) is Fault.NONE
    assert fault_by_rule(second, PRO_RATA) is Fault.NOT_THE_RULES


def test_missing_is_no_fault_and_gives_no_figure() -> None:
    (leaf,) = allocate_utility(UTILITY_B, [TRADE], {}, CYCLE, PRO_RATA).leaves
    assert fault_of(leaf, UTILITY_B, TRADE, CYCLE, PRO_RATA) is Fault.NONE
    assert not is_usable(leaf, UTILITY_B, TRADE, CYCLE, PRO_RATA)


@pytest.mark.parametrize(
    ("changes", "rule", "conflict"),
    [
        ({}, PRO_RATA, Conflict.NONE),
        ({}, FIFO, Conflict.NONE),
        ({"meter_wh": 7_999}, PRO_RATA, Conflict.READINGS_DIFFER),
        ({"contracted_total_wh": 16_001}, PRO_RATA, Conflict.TOTALS_DIFFER),
        ({"status": 1}, PRO_RATA, Conflict.STATUSES_DIFFER),
        ({"contracted_before": 9_999}, PRO_RATA, Conflict.OVERLAP),
        ({"contracted_before": 10_000, "contracted_wh": 0}, FIFO, Conflict.NONE),
        ({"index": 6}, PRO_RATA, Conflict.NONE),
        ({"index": 6}, FIFO, Conflict.AGAINST_PLACES),
        ({"commitment": 2}, FIFO, Conflict.AGAINST_PLACES),
    ],
)
def test_conflicts(changes: dict[str, object], rule: int, conflict: Conflict) -> None:
    first, second = honest(rule)
    changed = replace(second, **changes)  # type: ignore[arg-type]
    assert same_group(first, changed)
    assert conflict_of(first, changed, rule) is conflict
    assert conflict_of(changed, first, rule) is conflict


def test_twice() -> None:
    first, second = honest()
    assert is_twice(first, replace(first, index=9))
    assert not is_twice(first, second)
    assert not is_twice(first, replace(first, side=0))


@given(cycles(), st.data())
def test_every_corruption_that_changes_a_figure_is_provable(inputs: CycleInputs, data: st.DataObject) -> None:
    """One field of an honest leaf changed: it is a fault, contradicts a neighbour, or gives the same figure."""
    posted = [one for one in compute_cycle(inputs).allocations.items() if one[1].leaves]
    if not posted:
        return
    (_, utility), allocation = data.draw(st.sampled_from(posted))
    position = data.draw(st.integers(0, len(allocation.leaves) - 1))
    leaf = allocation.leaves[position]
    name = data.draw(st.sampled_from([field.name for field in fields(AllocationLeaf) if field.name != "trade_digest"]))
    old = getattr(leaf, name)
    new = data.draw(st.binary(min_size=32, max_size=32) if isinstance(old, bytes) else st.integers(0, 60))
    corrupt = replace(leaf, **{name: new})  # type: ignore[arg-type]
    of = next(one for one in inputs.trades if one.digest == leaf.trade_digest)
    rule = inputs.config.allocation_rule
    if fault_of(corrupt, utility, of, CYCLE, rule) is not Fault.NONE:
        return
    neighbours = [x for i, x in enumerate(allocation.leaves) if i != position and same_group(x, corrupt)]
    if any(conflict_of(corrupt, x, rule) is not Conflict.NONE for x in neighbours):
        return
    assert neighbours == [] or corrupt.allocated_wh == leaf.allocated_wh
    # Alone in its group a reading is the utility's word, which a party may contest.
    if corrupt.allocated_wh != leaf.allocated_wh:
        assert name in ("meter_wh", "contracted_total_wh", "contracted_before", "status")
