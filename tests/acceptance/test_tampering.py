"""Whoever changes a figure in the demo's folders is found out: file, row and column."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from audit.findings import Axis
from audit.verify import verify
from cli import exits
from cli.main import run
from store import tables
from store.folders import read_table, run_folders, write_manifest, write_table
from store.tables import Table
from tests.acceptance.conftest import DemoRun


@dataclass(frozen=True)
class Change:
    """One figure of a table, raised by one: `path` leads to it, `axis` is where its finding stands."""

    table: Table[Any]
    path: tuple[str, ...]
    axis: Axis

    @property
    def column(self) -> str:
        """The column's name."""
        return self.path[-1]


CHANGES = (
    Change(tables.COMMITMENTS, ("commitment", "count"), Axis.COMPLETENESS),
    Change(tables.LOCKS, ("lock", "amount"), Axis.COMPLETENESS),
    Change(tables.TRADES, ("trade", "contracted_wh"), Axis.SEMANTICS),
    Change(tables.CURTAILMENTS, ("contracted_wh",), Axis.COMPLETENESS),
    Change(tables.READINGS, ("wh",), Axis.SEMANTICS),
    Change(tables.ALLOCATIONS, ("count",), Axis.COMPLETENESS),
    Change(tables.ALLOCATION_LEAVES, ("leaf", "allocated_wh"), Axis.SEMANTICS),
    Change(tables.MARKS, ("slot_start",), Axis.COMPLETENESS),
    Change(tables.FLOW_LEAVES, ("leaf", "amount"), Axis.SEMANTICS),
    Change(tables.ROWS, ("row", "amount"), Axis.COMPLETENESS),
    Change(tables.CLAIMS, ("claim", "settled_wh"), Axis.COMPLETENESS),
    Change(tables.OBLIGATIONS, ("amount",), Axis.COMPLETENESS),
    Change(tables.NOTICES, ("acknowledged",), Axis.COMPLETENESS),
)


@pytest.fixture
def data(demo_run: DemoRun, tmp_path: Path) -> Path:
    """A copy of what auditors get, that a test may change."""
    copy = tmp_path / "data"
    shutil.copytree(demo_run.data / "cycles", copy / "cycles")
    for file in ("deployment.json", tables.OBLIGATIONS.file, tables.NOTICES.file):
        shutil.copy(demo_run.data / file, copy / file)
    return copy


def test_the_demo_is_valid(demo_run: DemoRun, data: Path) -> None:
    verdict = verify(data, demo_run.rpc_url)
    assert [str(finding) for finding in verdict.findings] == []
    assert verdict.answer == "VALID"
    assert all(verdict.checks.values())
    assert verdict.counts["trades"] >= 1_000


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.table.name)
def test_a_figure_changed_with_its_manifest_is_found(demo_run: DemoRun, data: Path, change: Change) -> None:
    folder, line = made(change, data)
    if folder != data:
        write_manifest(folder, int(folder.parent.name), int(folder.name.removeprefix("run-")))
    verdict = verify(data, demo_run.rpc_url)
    assert verdict.answer == "TAMPERED"
    assert verdict.checks["manifest"]
    file = (folder / change.table.file).relative_to(data).as_posix()
    found = {(one.file, one.line, one.field, one.check.axis) for one in verdict.findings}
    assert (file, line, change.column, change.axis) in found, [str(one) for one in verdict.findings]


def test_figures_changed_without_their_manifest_are_found_by_hash_and_by_place(demo_run: DemoRun, data: Path) -> None:
    changed = {}
    for change in CHANGES:
        folder, _ = made(change, data)
        changed[(folder / change.table.file).relative_to(data).as_posix()] = folder
    verdict = verify(data, demo_run.rpc_url)
    hashes = {one.file for one in verdict.findings if one.field == "sha256"}
    assert hashes == {file for file, folder in changed.items() if folder != data}
    assert {one.file for one in verdict.findings if one.field != "sha256"} >= changed.keys()


def test_the_command_says_so(demo_run: DemoRun, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["verify", "--data", str(data), "--rpc", demo_run.rpc_url]
    assert run(command) == exits.FINE
    assert capsys.readouterr().out.splitlines()[0] == "VALID"

    folder, line = made(CHANGES[-3], data)
    assert run([*command, "--json"]) == exits.CHECK_FALSE
    document = json.loads(capsys.readouterr().out)
    assert document["answer"] == "TAMPERED"
    assert {
        "axis": "completeness",
        "check": "claims",
        "file": f"{folder.relative_to(data).as_posix()}/claims.parquet",
        "line": line,
        "field": "settled_wh",
    }.items() <= next(one for one in document["findings"] if one["check"] == "claims").items()
    assert document["checks"]["claims"] is False


def test_a_folder_of_another_chain_is_tampered_with(demo_run: DemoRun, data: Path) -> None:
    file = data / "deployment.json"
    document = json.loads(file.read_bytes())
    document["genesis_hash"] = "0x" + "11" * 32
    file.write_text(json.dumps(document, sort_keys=True, separators=(",", ":")))
    verdict = verify(data, demo_run.rpc_url)
    assert [(one.file, one.field) for one in verdict.findings] == [("deployment.json", "genesis_hash")]
    assert not any(verdict.checks.values())


def test_what_cannot_be_verified_has_its_own_exit_code(demo_run: DemoRun, data: Path, tmp_path: Path) -> None:
    url = demo_run.rpc_url
    assert run(["verify", "--data", str(tmp_path / "nowhere"), "--rpc", url]) == exits.MISSING
    assert run(["verify", "--data", str(data), "--rpc", "http://127.0.0.1:1"]) == exits.MISSING
    assert run(["verify", "--data", str(data), "--rpc", "ftp://node"]) == exits.USAGE
    assert run(["verify", "--data", str(data)]) == exits.USAGE
    (data / "deployment.json").write_text("{}")
    assert run(["verify", "--data", str(data), "--rpc", url]) == exits.BAD_INPUT
    (data / "deployment.json").unlink()
    assert run(["verify", "--data", str(data), "--rpc", url]) == exits.MISSING


def made(change: Change, data: Path) -> tuple[Path, int]:
    """Makes the change in the folder that has most rows of the table; returns the folder and the row's number."""
    folders = (data,) if change.table in (tables.OBLIGATIONS, tables.NOTICES) else run_folders(data)
    folder = max(folders, key=lambda one: len(read_table(one, change.table)))
    rows = list(read_table(folder, change.table))
    place = len(rows) // 2
    rows[place] = raised(rows[place], change.path)
    write_table(folder, change.table, rows)
    return folder, place + 1


def raised(value: Any, path: tuple[str, ...]) -> Any:
    """`value` with the figure at `path` one higher."""
    name, *rest = path
    inner = getattr(value, name)
    return replace(value, **{name: raised(inner, tuple(rest)) if rest else inner + 1})
