"""Which readings are still missing: trades of such a meter and slot wait until a later run brings them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from oracle.meters import Direction, MeterReading, Quality
from settlement.units import Calendar


@dataclass(frozen=True, slots=True)
class Gap:
    """A register of a meter without a figure for `slots` slots on end, the first of which begins at `slot_start`."""

    meter_id: str
    direction: Direction
    slot_start: int
    slots: int


def gaps(readings: Iterable[MeterReading], meters: Iterable[str], calendar: Calendar) -> tuple[Gap, ...]:
    """Where the readings lack a figure, by meter, register and time.

    Looked at are all slots of every cycle that a reading lies in, and of each meter the registers that a reading
    names, or both where none does. A reading that says MISSING is no figure.
    """
    known = tuple(readings)
    cycles = sorted({calendar.cycle_of(one.slot_start) for one in known})
    figures = {(one.meter_id, one.direction, one.slot_start) for one in known if one.quality is not Quality.MISSING}
    registers = {(one.meter_id, one.direction) for one in known}
    named = {meter for meter, _ in registers}
    registers |= {(meter, direction) for meter in meters if meter not in named for direction in Direction}
    return tuple(
        gap
        for meter, direction in sorted(registers)
        for gap in _register_gaps(
            meter,
            direction,
            (slot for cycle in cycles for slot in calendar.slots(cycle) if (meter, direction, slot) not in figures),
            calendar.slot_length,
        )
    )


def _register_gaps(meter: str, direction: Direction, lacking: Iterable[int], slot_length: int) -> Iterator[Gap]:
    """Ascending slots as runs of neighbours."""
    first: int | None = None
    end = 0
    for slot in lacking:
        if first is not None and slot != end:
            yield Gap(meter, direction, first, (end - first) // slot_length)
            first = None
        first = slot if first is None else first
        end = slot + slot_length
    if first is not None:
        yield Gap(meter, direction, first, (end - first) // slot_length)
