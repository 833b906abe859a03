"""Reading a run's folder for an audit: what cannot be read is a finding, and such a run is not looked at further."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.findings import Check, Report
from store import tables
from store.errors import FolderError
from store.folders import CYCLE, MANIFEST, CycleRecord, check_manifest, read_cycle, read_table
from store.records import (
    PlacedTrade,
    PostedAllocation,
    RecordedClaim,
    RecordedCommitment,
    RecordedCurtailment,
    RecordedFlow,
    RecordedLeaf,
    RecordedLock,
    RecordedMark,
    RecordedReading,
    SettledRow,
)
from store.tables import Table


@dataclass(frozen=True)
class RunRecords:
    """Everything in the folder of one run; `name` is the folder relative to the data folder."""

    name: str
    record: CycleRecord
    commitments: tuple[RecordedCommitment, ...]
    locks: tuple[RecordedLock, ...]
    trades: tuple[PlacedTrade, ...]
    curtailments: tuple[RecordedCurtailment, ...]
    readings: tuple[RecordedReading, ...]
    allocations: tuple[PostedAllocation, ...]
    leaves: tuple[RecordedLeaf, ...]
    marks: tuple[RecordedMark, ...]
    flows: tuple[RecordedFlow, ...]
    rows: tuple[SettledRow, ...]
    claims: tuple[RecordedClaim, ...]

    @property
    def cycle(self) -> int:
        """The cycle's number, by the folder's name."""
        return int(self.name.split("/")[-2])

    @property
    def run(self) -> int:
        """The run's number, by the folder's name."""
        return int(self.name.rpartition("-")[2])

    def file(self, table: Table[Any]) -> str:
        """A table's file relative to the data folder."""
        return f"{self.name}/{table.file}"

    @property
    def cycle_file(self) -> str:
        """The cycle record's file relative to the data folder."""
        return f"{self.name}/{CYCLE}"


def read_run(report: Report, data: Path, folder: Path) -> RunRecords | None:
    """The records of a run, after their manifest; None where one cannot be read."""
    name = folder.relative_to(data).as_posix()
    _check_manifest(report, name, folder)
    try:
        record = read_cycle(folder)
        read = [_rows(report, folder, table) for table in tables.CYCLE_TABLES]
    except FolderError as error:
        report.find(Check.FORMAT, f"{name}/{error.file}", error.line, error.field, "a readable record", error.message)
        return None
    except FileNotFoundError as error:
        report.find(Check.FORMAT, f"{name}/{_missing(error)}", 0, "", "a file", "none")
        return None
    return RunRecords(name, record, *read)


def _rows(report: Report, folder: Path, table: Table[Any]) -> Any:
    rows = read_table(folder, table)
    report.count(table.name, len(rows))
    return rows


def _check_manifest(report: Report, name: str, folder: Path) -> None:
    try:
        faults = check_manifest(folder)
    except FolderError as error:
        report.find(Check.MANIFEST, f"{name}/{error.file}", 0, error.field, "a readable manifest", error.message)
    except FileNotFoundError:
        report.find(Check.MANIFEST, f"{name}/{MANIFEST}", 0, "", "a manifest", "none")
    else:
        for fault in faults:
            report.find(Check.MANIFEST, f"{name}/{fault.file}", 0, fault.field, "as in the manifest", fault.message)


def _missing(error: FileNotFoundError) -> str:
    return Path(str(error.filename or error.args[0])).name
