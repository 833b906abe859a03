"""Meter readings as utilities export them: a strict reader of the readings CSV, and of the list of a utility's meters.

The formats are the protocol's (`docs/protocol.md`, section 10). Energy is floored to whole Wh and the text of the
figure is kept.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from member.lines import Cells, FieldError, field_value, read_lines
from settlement.identity import canonical_meter_id
from settlement.units import Calendar, epoch_seconds, metered_wh

COLUMNS = ("meter_id", "slot_start", "slot_end", "direction", "kwh", "quality")
METER_COLUMNS = ("meter_id",)


class Direction(StrEnum):
    """Which register of a meter: energy from the grid, or to it."""

    IMPORT = "import"
    EXPORT = "export"


class Quality(StrEnum):
    """How a reading came about."""

    READ = "READ"
    ESTIMATED = "ESTIMATED"
    MISSING = "MISSING"


_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class MeterReading:
    """One register of one meter over one slot.

    `meter_id` is canonical, times are epoch seconds, `wh` is the figure floored to Wh (0 where it is MISSING),
    `raw_kwh` the figure as it stood in the file, in kWh.
    """

    meter_id: str
    slot_start: int
    slot_end: int
    direction: Direction
    wh: int
    raw_kwh: str
    quality: Quality


def read_readings(
    path: Path, calendar: Calendar, known_meters: Container[str], zone: tzinfo
) -> tuple[MeterReading, ...]:
    """The readings of a file, in its order; a line that repeats an earlier reading is dropped.

    `known_meters` are canonical ids (`settlement.identity.canonical_meter_id`), `zone` is the market's and holds for
    times without an offset. Raises LineError at the first line that breaks a rule, OSError where the file cannot be
    read.
    """

    def reading(cells: Cells) -> MeterReading:
        return _reading(cells, calendar, known_meters, zone)

    return read_lines(path, COLUMNS, reading, _register, "meter, slot, direction")


def read_meters(path: Path) -> tuple[str, ...]:
    """The canonical ids in a list of meters, in its order. Raises LineError and OSError like `read_readings`."""

    def meter(cells: Cells) -> str:
        return field_value("meter_id", cells["meter_id"], canonical_meter_id)

    return read_lines(path, METER_COLUMNS, meter, str, "meter")


def _register(reading: MeterReading) -> tuple[str, int, Direction]:
    return reading.meter_id, reading.slot_start, reading.direction


def _reading(cells: Cells, calendar: Calendar, known_meters: Container[str], zone: tzinfo) -> MeterReading:
    meter_id = field_value("meter_id", cells["meter_id"], canonical_meter_id)
    if meter_id not in known_meters:
        raise FieldError("meter_id", "unknown meter", cells["meter_id"])
    slot_start = field_value("slot_start", cells["slot_start"], lambda text: epoch_seconds(text, zone))
    slot_end = field_value("slot_end", cells["slot_end"], lambda text: epoch_seconds(text, zone))
    if not calendar.is_on_grid(slot_start):
        raise FieldError("slot_start", "off the market's grid", cells["slot_start"])
    if slot_end != slot_start + calendar.slot_length:
        raise FieldError("slot_end", f"not {calendar.slot_length} s after slot_start", cells["slot_end"])
    direction = _choice("direction", cells["direction"], Direction)
    quality = _choice("quality", cells["quality"], Quality)
    raw_kwh = cells["kwh"]
    return MeterReading(meter_id, slot_start, slot_end, direction, _wh(raw_kwh, quality), raw_kwh, quality)


def _choice(field: str, text: str, choices: type[_Choice]) -> _Choice:
    try:
        return choices(text)
    except ValueError as error:
        raise FieldError(field, f"must be one of {', '.join(choices)}", text) from error


def _wh(text: str, quality: Quality) -> int:
    if quality is not Quality.MISSING:
        return field_value("kwh", text, metered_wh).wh
    if text:
        raise FieldError("kwh", "must be empty where quality is MISSING", text)
    return 0
