"""Keeping what was worked out: made anew where a source is another, and only then."""

from __future__ import annotations

from member.kept import Kept


def test_made_anew_where_a_source_is_another() -> None:
    kept = Kept[str, list[int]]()
    source, equal = [1], [1]
    made = kept.get("a", (source, 1), lambda before: [0])
    assert kept.get("a", (source, 1), lambda before: [9]) is made
    assert kept.get("a", (source, 2), lambda before: [*(before or []), 2]) == [0, 2]
    assert kept.get("a", (equal, 2), lambda before: [*(before or []), 3]) == [0, 2, 3]  # equal, but another object
    assert kept.get("b", (equal, 2), lambda before: [] if before is None else [9]) == []


def test_a_number_is_a_source_by_its_value() -> None:
    kept = Kept[str, str]()
    assert kept.get("a", (10**6,), lambda before: "first") == "first"
    assert kept.get("a", (int("1000000"),), lambda before: "second") == "first"


def test_those_made_last_are_kept() -> None:
    kept = Kept[int, int](most=2)
    for key in (1, 2, 3):
        kept.get(key, (), lambda before, key=key: key)
    assert kept.get(3, (), lambda before: -1) == 3
    assert kept.get(2, (), lambda before: -1) == 2
    assert kept.get(1, (), lambda before: -1) == -1
