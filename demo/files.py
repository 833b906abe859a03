"""Files that programs watch for: written aside, then put in place, so that nobody reads half of one."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_lines(path: Path, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """A CSV file with a header, in place as a whole; makes its folder where that lacks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    with aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(lines)
    aside.replace(path)
