"""The inbox: each content once, a bad file whole and with its reason, and what was good before stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from member.inbox import TAKEN, Inbox
from member.lines import Cells, FieldError, read_lines


def read(path: Path) -> tuple[int, ...]:
    def number(cells: Cells) -> int:
        if not cells["n"].isdigit():
            raise FieldError("n", "must be a number", cells["n"])
        return int(cells["n"])

    return read_lines(path, ("n",), number, int, "number")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox[tuple[int, ...]]:
    return Inbox(tmp_path, read)


def put(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(("n", *lines, "")))


def test_a_file_is_taken_once_and_again_when_it_changes(tmp_path: Path, inbox: Inbox[tuple[int, ...]]) -> None:
    put(tmp_path, "a.csv", "1", "2")
    assert inbox.scan() == ("a.csv",)
    assert inbox.scan() == ()
    put(tmp_path, "a.csv", "1", "23")
    assert inbox.scan() == ("a.csv",)
    assert inbox.contents == {"a.csv": (1, 23)}


def test_a_bad_file_is_refused_whole_and_the_good_one_stands(tmp_path: Path, inbox: Inbox[tuple[int, ...]]) -> None:
    put(tmp_path, "a.csv", "1")
    inbox.scan()
    put(tmp_path, "a.csv", "2", "x")
    assert inbox.scan() == ()
    assert inbox.contents == {"a.csv": (1,)}
    assert inbox.refused == {"a.csv": f"{tmp_path / 'a.csv'}:3: n: must be a number (got 'x')"}
    put(tmp_path, "a.csv", "1")  # what it was before: nothing new, and no longer refused
    assert inbox.scan() == ()
    assert inbox.refused == {}


def test_what_was_taken_outlives_the_program_and_the_file(tmp_path: Path, inbox: Inbox[tuple[int, ...]]) -> None:
    put(tmp_path, "a.csv", "1")
    put(tmp_path, "b.csv", "5")
    inbox.scan()
    put(tmp_path, "a.csv", "x")
    (tmp_path / "b.csv").unlink()
    restarted = Inbox(tmp_path, read)
    assert restarted.scan() == ()
    assert restarted.contents == {"a.csv": (1,), "b.csv": (5,)}
    assert list(restarted.refused) == ["a.csv"]


def test_a_taken_file_that_no_longer_fits_is_reported(tmp_path: Path, inbox: Inbox[tuple[int, ...]]) -> None:
    put(tmp_path, "a.csv", "1")
    inbox.scan()
    (tmp_path / "a.csv").unlink()
    put(tmp_path / TAKEN, "a.csv", "x")
    restarted = Inbox(tmp_path, read)
    restarted.scan()
    assert restarted.contents == {}
    assert restarted.refused["taken/a.csv"].endswith("taken/a.csv:2: n: must be a number (got 'x')")


def test_a_refused_file_that_is_taken_away_is_dealt_with(tmp_path: Path, inbox: Inbox[tuple[int, ...]]) -> None:
    put(tmp_path, "a.csv", "x")
    inbox.scan()
    (tmp_path / "a.csv").unlink()
    inbox.scan()
    assert inbox.refused == {}
    put(tmp_path, "a.csv", "x")
    inbox.scan()
    assert list(inbox.refused) == ["a.csv"]
