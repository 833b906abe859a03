"""Counts corruptions as they are tried, so that a run says how many there were, of what, and what became of them.

Counts travel with the reports of the tests, from whatever process tried them, to the process that was started.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from settlement.trade import AllocationLeaf, FlowLeaf
from settlement.typed_data import TYPE_STRINGS
from tests.contracts.completeness.corruptions import Corruption

PROPERTY = "corruptions"
TAKEN = "taken"
LEAF_FIELDS = {field.name for leaf in (AllocationLeaf, FlowLeaf) for field in fields(leaf)}
Tried = tuple[str, str, str]

tally: Counter[Tried] = Counter()
"""What the running test tried: the sort of corruption, where, and its fate."""


def tried(what: str, where: str, fate: str) -> None:
    """A corruption was tried: of what sort, of what, and what became of it (a reason, or what was done)."""
    tally[what, where, fate or TAKEN] += 1


def tried_lie(lie: Corruption[Any], of: str, fate: str) -> None:
    """The same of leaves with one thing changed: a field's place is its name, a tree's what it is the tree of."""
    field, _, fitted = lie.what.partition(", ")
    if field in LEAF_FIELDS:
        tried(f"leaf field {fitted}".strip(), f"{of}.{field}", fate)
    else:
        tried(lie.what, of, fate)


def portable(counts: Counter[Tried]) -> list[list[Any]]:
    """As a report takes it along."""
    return [[*key, count] for key, count in counts.items()]


def gathered(reports: Iterable[Any]) -> Counter[Tried]:
    """What the tests of these reports tried."""
    counts: Counter[Tried] = Counter()
    for report in reports:
        # A test's properties stand in the reports of each of its phases; the last has all.
        if getattr(report, "when", "") == "teardown":
            for name, value in report.user_properties:
                if name == PROPERTY:
                    counts.update({(what, where, fate): count for what, where, fate, count in value})
    return counts


def registry() -> tuple[int, int]:
    """How many structs parties sign, and how many fields these have, counted in the registry's own text."""
    return len(TYPE_STRINGS), sum(text[: text.index(")")].count(" ") for text in TYPE_STRINGS.values())


def line(counts: Counter[Tried]) -> str:
    """All in a line."""
    sorts: Counter[str] = Counter()
    for (what, _, _), count in counts.items():
        sorts[what] += count
    structs, of_structs = registry()
    of_leaves = len(fields(AllocationLeaf)) + len(fields(FlowLeaf))
    listed = ", ".join(f"{what} {count}" for what, count in sorted(sorts.items()))
    return (
        f"completeness: {structs} signed structs with {of_structs} fields, 2 leaves with {of_leaves};"
        f" {sorts.total()} corruptions tried: {listed}"
    )


def write(counts: Counter[Tried], file: Path) -> None:
    """All, by sort and place."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for (what, where, fate), count in sorted(counts.items()):
        table.setdefault(what, {}).setdefault(where, {})[fate] = count
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
