"""docs/invariants.md and the tests say the same: every name is there, on both sides."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis.stateful import INVARIANT_MARKER

from tests.contracts.law.machine import Law

ROOT = Path(__file__).resolve().parents[3]
ROW = re.compile(r"^\| (?P<name>[^|]+?) \| (?P<statement>[^|]+?) \| (?P<where>[^|]+?) \|$")


def rows() -> list[tuple[str, str, str]]:
    """Name, statement and place of every invariant of the table."""
    lines = (ROOT / "docs" / "invariants.md").read_text("utf-8").splitlines()
    found = [match.group("name", "statement", "where") for line in lines if (match := ROW.match(line))]
    return [row for row in found if row[0] not in ("name", "---")]


def test_every_invariant_of_the_machine_is_in_the_table() -> None:
    in_code = {name for name in dir(Law) if hasattr(getattr(Law, name), INVARIANT_MARKER)}
    in_table = {name for name, _, where in rows() if where == "the machine"}
    assert in_code == in_table
    assert len(in_code) >= 15


def test_every_other_line_names_a_test_that_exists() -> None:
    names = [name for name, _, _ in rows()]
    assert len(names) == len(set(names))
    for name, _, where in rows():
        if where == "the machine":
            continue
        file, _, function = where.partition("::")
        text = (ROOT / "tests" / file).read_text("utf-8")
        assert re.search(rf"^ *(def|class) {re.escape(function)}\b", text, re.MULTILINE), (name, where)
