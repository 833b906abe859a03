"""Audits of a small market: valid as it happened, and every single changed column is found where it stands."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from audit.findings import Check
from store import tables
from store.folders import read_table, run_folder, write_manifest, write_table
from store.tables import Column, Table
from tests.audit.fake_chain import CYCLE
from tests.audit.scene import Scene
from tests.audit.scene_folder import verdict_of


def test_what_happened_is_valid(scene: Scene, data: Path) -> None:
    verdict = verdict_of(scene, data)
    assert verdict.findings == ()
    assert verdict.answer == "VALID"
    assert all(verdict.checks.values())
    assert verdict.counts["runs"] == 2
    assert [note.text for note in verdict.notes if "proven fault" in note.text]


# What a changed column is found as where it is not found as itself: the columns that only their digest binds are told
# apart by other records; a proof that fails says so in its own column.
FOUND_AS = {
    ("trades", "trade_id"): {"digest"},
    ("trades", "order_hash"): {"digest"},
    ("trades", "salt"): {"digest"},
    ("trades", "traded_at"): {"digest"},
    ("trades", "rates"): {"digest"},
    # Of the meter's only row; with others it is told which of pseudonym, id and salt does not fit.
    ("readings", "meter_id"): {"meter"},
    ("readings", "salt"): {"meter"},
    ("allocations", "v"): {"v, r, s"},
    ("allocations", "r"): {"v, r, s"},
    ("allocations", "s"): {"v, r, s"},
    ("notices", "v"): {"v, r, s"},
    ("notices", "r"): {"v, r, s"},
    ("notices", "s"): {"v, r, s"},
}


@pytest.mark.parametrize("table", tables.CYCLE_TABLES, ids=lambda table: table.name)
def test_a_changed_file_is_found_by_its_hash(scene: Scene, data: Path, table: Table[Any]) -> None:
    folder = run_folder(data, CYCLE, 1)
    file = write_table(folder, table, read_table(folder, table)[1:])
    assert {
        (finding.file, finding.field) for finding in verdict_of(scene, data).findings if finding.check is Check.MANIFEST
    } == ({(file.relative_to(data).as_posix(), "sha256")})


TABLES_OF_RUN: dict[int, list[Table[Any]]] = {
    0: [table for table in tables.CYCLE_TABLES if table is not tables.CLAIMS],
    1: [tables.CLAIMS, tables.READINGS, tables.ALLOCATION_LEAVES, tables.FLOW_LEAVES, tables.ROWS],
}
CHANGES = [
    pytest.param(run, table, column, id=f"run-{run}-{table.name}-{column.name}")
    for run, of_run in TABLES_OF_RUN.items()
    for table in of_run
    for column in table.columns
] + [
    pytest.param(None, table, column, id=f"{table.name}-{column.name}")
    for table in (tables.OBLIGATIONS, tables.NOTICES)
    for column in table.columns
]


@pytest.mark.parametrize(("run", "table", "column"), CHANGES)
def test_a_changed_column_is_found(
    scene: Scene, data: Path, run: int | None, table: Table[Any], column: Column
) -> None:
    folder = data if run is None else run_folder(data, CYCLE, run)
    rows = read_table(folder, table)
    line = len(rows) // 2 + 1
    changed = [*rows[: line - 1], with_change(rows[line - 1], column.path), *rows[line:]]
    write_table(folder, table, changed)

    if run is not None:
        write_manifest(folder, CYCLE, run)
    verdict = verdict_of(scene, data)

    assert verdict.answer == "TAMPERED"
    assert verdict.checks["manifest"]
    file = (folder / table.file).relative_to(data).as_posix()
    names = FOUND_AS.get((table.name, column.name), set()) | {column.name}
    found = {(finding.file, finding.line, finding.field) for finding in verdict.findings}
    assert found & {(file, line, name) for name in names}, [str(finding) for finding in verdict.findings]


def with_change(value: Any, path: tuple[str, ...]) -> Any:
    """The row with the value at `path` changed as little as its kind allows."""
    name, *rest = path
    inner = getattr(value, name)
    return replace(value, **{name: with_change(inner, tuple(rest)) if rest else other(inner)})


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    if isinstance(value, str):
        # A longer figure would floor to the same Wh, and nothing binds the digits below.
        return {"import": "export", "export": "import", "READ": "ESTIMATED"}.get(value, f"1{value}")
    if isinstance(value, tuple):
        return (other(value[0]), *value[1:]) if value else (bytes(32),)
    return with_change(value, (fields(value)[-1].name,))
