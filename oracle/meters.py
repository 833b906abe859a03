"""Meter readings as utilities export them: a strict reader of the readings CSV.

The format is the protocol's (`docs/protocol.md`, section 10). The reader takes a file as a whole or not at all: the
first line that breaks a rule refuses the file, with its line and field, for half a file of readings would allocate
real money wrongly. Energy is floored to whole Wh and the text of the figure is kept.
"""

from __future__ import annotations

import csv
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TextIO, TypeVar

from settlement.errors import SettlementError
from settlement.identity import canonical_meter_id
from settlement.units import Calendar, epoch_seconds, metered_wh

COLUMNS = ("meter_id", "slot_start", "slot_end", "direction", "kwh", "quality")


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


class ReadingError(ValueError):
    """A readings file that is refused: `file`, `line` (counted from 1), `field` (a column, or "line"), `message`."""

    def __init__(self, file: Path, line: int, field: str, message: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {message}")
        self.file = file
        self.line = line
        self.field = field
        self.message = message


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
    times without an offset. Raises ReadingError at the first line that breaks a rule, OSError where the file cannot be
    read.
    """
    readings: dict[tuple[str, int, Direction], MeterReading] = {}
    # A byte that is no UTF-8 becomes a lone surrogate, which its field then refuses at its own line.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for line, cells in _lines(path, file):
            try:
                reading = _reading(cells, calendar, known_meters, zone)
            except _FieldError as error:
                raise ReadingError(path, line, error.field, error.message) from error.__cause__
            known = readings.setdefault((reading.meter_id, reading.slot_start, reading.direction), reading)
            if known != reading:
                raise ReadingError(path, line, "line", "differs from an earlier one for this meter, slot, direction")
    return tuple(readings.values())


class _FieldError(Exception):
    """A field that breaks a rule, before file and line are known. A long value is cut: it must not fill the log."""

    def __init__(self, field: str, message: str, value: str) -> None:
        shown = repr(value)
        self.field = field
        self.message = f"{message} (got {shown if len(shown) <= 80 else shown[:77] + '...'})"
        super().__init__(self.message)


def _lines(path: Path, file: TextIO) -> Iterator[tuple[int, dict[str, str]]]:
    """Each record with the number of its last line, by column name; the header is checked and not returned."""
    records = _records(path, file)
    line, header = next(records, (1, []))
    if tuple(header) != COLUMNS:
        raise ReadingError(path, line, "line", f"the header must be {','.join(COLUMNS)}")
    for line, cells in records:
        if len(cells) != len(COLUMNS):
            raise ReadingError(path, line, "line", f"broken: {len(cells)} fields, expected {len(COLUMNS)}")
        yield line, dict(zip(COLUMNS, cells, strict=True))


def _records(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    records = csv.reader(file, strict=True)
    while True:
        try:
            cells = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            raise ReadingError(path, records.line_num, "line", f"broken: {error}") from error
        yield records.line_num, cells


def _reading(cells: dict[str, str], calendar: Calendar, known_meters: Container[str], zone: tzinfo) -> MeterReading:
    meter_id = _meter(cells["meter_id"], known_meters)
    slot_start = _time("slot_start", cells["slot_start"], zone)
    slot_end = _time("slot_end", cells["slot_end"], zone)
    if not calendar.is_on_grid(slot_start):
        raise _FieldError("slot_start", "off the market's grid", cells["slot_start"])
    if slot_end != slot_start + calendar.slot_length:
        raise _FieldError("slot_end", f"not {calendar.slot_length} s after slot_start", cells["slot_end"])
    direction = _choice("direction", cells["direction"], Direction)
    quality = _choice("quality", cells["quality"], Quality)
    raw_kwh = cells["kwh"]
    return MeterReading(meter_id, slot_start, slot_end, direction, _wh(raw_kwh, quality), raw_kwh, quality)


def _meter(text: str, known_meters: Container[str]) -> str:
    try:
        meter_id = canonical_meter_id(text)
    except SettlementError as error:
        raise _FieldError("meter_id", error.message, text) from error
    if meter_id not in known_meters:
        raise _FieldError("meter_id", "unknown meter", text)
    return meter_id


def _time(field: str, text: str, zone: tzinfo) -> int:
    try:
        return epoch_seconds(text, zone)
    except SettlementError as error:
        raise _FieldError(field, error.message, text) from error


def _choice(field: str, text: str, choices: type[_Choice]) -> _Choice:
    try:
        return choices(text)
    except ValueError as error:
        raise _FieldError(field, f"must be one of {', '.join(choices)}", text) from error


def _wh(text: str, quality: Quality) -> int:
    if quality is Quality.MISSING:
        if text:
            raise _FieldError("kwh", "must be empty where quality is MISSING", text)
        return 0
    try:
        return metered_wh(text).wh
    except SettlementError as error:
        raise _FieldError("kwh", error.message, text) from error
