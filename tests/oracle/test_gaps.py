"""Where readings lack a figure."""

from __future__ import annotations

from oracle.gaps import Gap, gaps
from oracle.meters import Direction, MeterReading, Quality
from settlement.units import Calendar

CALENDAR = Calendar(anchor=0, slot_length=100, cycle_length=500)
IMPORT, EXPORT = Direction.IMPORT, Direction.EXPORT


def reading(meter: str, slot: int, direction: Direction = IMPORT, quality: Quality = Quality.READ) -> MeterReading:
    return MeterReading(meter, slot, slot + 100, direction, 7, "0.007", quality)


def test_nothing_lacks() -> None:
    assert gaps([reading("A", slot) for slot in range(0, 500, 100)], ["A"], CALENDAR) == ()


def test_no_readings_say_nothing_of_any_cycle() -> None:
    assert gaps([], ["A"], CALENDAR) == ()


def test_neighbours_are_one_gap() -> None:
    found = gaps([reading("A", 0), reading("A", 300)], ["A"], CALENDAR)
    assert found == (Gap("A", IMPORT, 100, 2), Gap("A", IMPORT, 400, 1))


def test_a_reading_that_says_missing_is_a_gap_and_an_estimate_is_none() -> None:
    qualities = (Quality.READ, Quality.MISSING, Quality.ESTIMATED, Quality.READ, Quality.READ)
    found = gaps([reading("A", 100 * slot, quality=one) for slot, one in enumerate(qualities)], ["A"], CALENDAR)
    assert found == (Gap("A", IMPORT, 100, 1),)


def test_a_meter_without_any_reading_lacks_both_registers_of_all_cycles_met() -> None:
    full = [reading("A", slot, EXPORT) for cycle in (0, 1000) for slot in range(cycle, cycle + 500, 100)]
    assert gaps(full, ["B", "A"], CALENDAR) == tuple(
        Gap("B", direction, cycle, 5) for direction in (EXPORT, IMPORT) for cycle in (0, 1000)
    )


def test_a_register_that_is_named_once_is_looked_at_in_every_slot() -> None:
    full = [reading("A", slot) for slot in range(0, 500, 100)]
    assert gaps([*full, reading("A", 200, EXPORT)], ["A"], CALENDAR) == (
        Gap("A", EXPORT, 0, 2),
        Gap("A", EXPORT, 300, 2),
    )
