"""Strict reading of the CSV files that others export: a file is taken as a whole or not at all.

The first line that breaks a rule refuses the file, with its line and field: half a file of readings or trades would
move real money wrongly.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final, NoReturn, TextIO, TypeVar

from settlement.errors import SettlementError

Cells = Mapping[str, str]

_Value = TypeVar("_Value")


class LineError(ValueError):
    """A file that is refused: `file`, `line` (counted from 1), `field` (a column, or "line"), `message`."""

    def __init__(self, file: Path, line: int, field: str, message: str) -> None:
        super().__init__(f"{file}:{line}: {field}: {message}")
        self.file = file
        self.line = line
        self.field = field
        self.message = message


class FieldError(Exception):
    """A field that breaks a rule, before file and line are known. A long value is cut: it must not fill the log."""

    def __init__(self, field: str, message: str, value: str) -> None:
        shown = repr(value)
        self.field = field
        self.message = f"{message} (got {shown if len(shown) <= 80 else shown[:77] + '...'})"
        super().__init__(self.message)


def read_lines(
    path: Path,
    columns: Sequence[str],
    parse: Callable[[Cells], _Value],
    key: Callable[[_Value], Hashable],
    key_text: str,
) -> tuple[_Value, ...]:
    """What `parse` makes of each line under a header of just these columns, in the file's order.

    A line that says the same as an earlier one is dropped; one that has its `key` (`key_text` for people) but says
    something else is refused. Raises LineError at the first line that breaks a rule, where `parse` raises FieldError
    among others; OSError where the file cannot be read.
    """
    values: dict[Hashable, _Value] = {}
    # A byte that is no UTF-8 becomes a lone surrogate, which its field then refuses at its own line.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for line, cells in _lines(path, file, columns):
            try:
                value = parse(cells)
            except FieldError as error:
                raise LineError(path, line, error.field, error.message) from error.__cause__
            if values.setdefault(key(value), value) != value:
                raise LineError(path, line, "line", f"differs from an earlier one for this {key_text}")
    return tuple(values.values())


def field_value(field: str, text: str, read: Callable[[str], _Value]) -> _Value:
    """What `read` makes of a field's text; what the rules refuse is refused under the field's name."""
    try:
        return read(text)
    except SettlementError as error:
        raise FieldError(field, error.message, text) from error


class _NoZone(tzinfo):
    """Stands where a market's time zone is not known: a time that needs it is refused."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        self._refuse(moment)

    def dst(self, moment: datetime | None) -> timedelta | None:
        self._refuse(moment)

    def tzname(self, moment: datetime | None) -> str | None:
        self._refuse(moment)

    def _refuse(self, moment: datetime | None) -> NoReturn:
        raise SettlementError("time", str(moment and moment.replace(tzinfo=None)), "states no offset from UTC")


NO_ZONE: Final[tzinfo] = _NoZone()


def _lines(path: Path, file: TextIO, columns: Sequence[str]) -> Iterator[tuple[int, Cells]]:
    """Each record with the number of its last line, by column name; the header is checked and not returned."""
    records = _records(path, file)
    line, header = next(records, (1, []))
    if header != list(columns):
        raise LineError(path, line, "line", f"the header must be {','.join(columns)}")
    for line, cells in records:
        if len(cells) != len(columns):
            raise LineError(path, line, "line", f"broken: {len(cells)} fields, expected {len(columns)}")
        yield line, dict(zip(columns, cells, strict=True))


def _records(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    records = csv.reader(file, strict=True)
    while True:
        try:
            cells = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            raise LineError(path, records.line_num, "line", f"broken: {error}") from error
        yield records.line_num, cells
