"""A table as it should be against the table that was found: which row differs in which column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from audit.findings import Check, Report
from store.tables import Table

R = TypeVar("R")

Flat = tuple[Any, ...]

# Beyond this many rows that find no equal, looking for the most similar one would take too long; order decides then.
MOST_SIMILAR = 200


def compare(
    report: Report,
    check: Check,
    file: str,
    table: Table[R],
    expected: Sequence[R],
    found: Sequence[R],
    ignored: Collection[str] = (),
) -> None:
    """Finds every row of `found` that differs from its counterpart in `expected`, that has none, or that is missing.

    Rows that have no equal are paired with the most similar ones, so that a changed figure is found as that, also in a
    key column. Columns in `ignored` are checked elsewhere. The order of rows is free.
    """
    columns = tuple(column for column in table.columns if column.name not in ignored)
    names = tuple(column.name for column in columns)
    wanted = [_flat(row, columns) for row in expected]
    given = [_flat(row, columns) for row in found]
    rest_wanted = _without(wanted, given)
    rest_given = [(line, flat) for line, flat in _numbered_without(given, wanted)]
    for flat, (line, other) in _paired(rest_wanted, rest_given):
        for name, value, instead in zip(names, flat, other, strict=True):
            if value != instead:
                report.find(check, file, line, name, value, instead)
    for line, _ in rest_given:
        report.find(check, file, line, "", "no such row", "a row")
    for flat in rest_wanted:
        key = ", ".join(f"{name} {value}" for name, value in zip(names[:3], flat[:3], strict=False))
        report.find(check, file, 0, "", f"a row with {key}", "none")


def _flat(row: Any, columns: Sequence[Any]) -> Flat:
    values = []
    for column in columns:
        value = row
        for step in column.path:
            value = getattr(value, step)
        values.append(value)
    return tuple(values)


def _without(rows: Sequence[Flat], others: Sequence[Flat]) -> list[Flat]:
    return [flat for _, flat in _numbered_without(rows, others)]


def _numbered_without(rows: Sequence[Flat], others: Sequence[Flat]) -> list[tuple[int, Flat]]:
    """The rows that are left when every one of `others` has taken its equal, with their numbers from 1."""
    taken = Counter(others)
    rest = []
    for line, flat in enumerate(rows, 1):
        if taken[flat]:
            taken[flat] -= 1
        else:
            rest.append((line, flat))
    return rest


def _paired(wanted: list[Flat], given: list[tuple[int, Flat]]) -> list[tuple[Flat, tuple[int, Flat]]]:
    """Pairs of similar rows, which are taken out of both lists; pairs that share less than half are none."""
    pairs = []
    for flat in list(wanted):
        if not given:
            break
        if len(wanted) * len(given) > MOST_SIMILAR**2:
            best = 0
        else:
            best = max(range(len(given)), key=lambda place: _likeness(flat, given[place][1]))
        if 2 * _likeness(flat, given[best][1]) < len(flat):
            continue
        pairs.append((flat, given.pop(best)))
        wanted.remove(flat)
    return pairs


def _likeness(one: Flat, other: Flat) -> int:
    return sum(a == b for a, b in zip(one, other, strict=True))
