"""The folders that auditors get: each run complete in itself, written from the records that were collected."""

from __future__ import annotations

from pathlib import Path

from chain.deployment import DeploymentRecord
from demo.collect import CycleRecords, Records, RunRecords
from store import tables
from store.folders import CycleRecord, run_folder, write_cycle, write_manifest, write_table


def write_cycle_folders(data: Path, record: DeploymentRecord, found: CycleRecords) -> None:
    """One folder for every run of a cycle."""
    for run in found.runs:
        _write_run(data, record, found, run)


def write_debts(data: Path, records: Records) -> None:
    """Obligations and notices, beside the cycles."""
    write_table(data, tables.OBLIGATIONS, records.obligations())
    write_table(data, tables.NOTICES, records.notices())


def _write_run(data: Path, record: DeploymentRecord, found: CycleRecords, run: RunRecords) -> None:
    folder = run_folder(data, found.cycle, run.number)
    write_cycle(
        folder,
        CycleRecord(
            market=record.market,
            market_id=record.market_id,
            chain_id=record.chain_id,
            cycle=found.cycle,
            run=run.number,
            config=found.config,
            config_digest=found.config.digest(),
            inputs=tuple(one.inputs for one in found.runs if one.number <= run.number),
            end=found.end,
        ),
    )
    write_table(folder, tables.COMMITMENTS, found.commitments)
    write_table(folder, tables.LOCKS, found.locks)
    write_table(folder, tables.TRADES, found.placed)
    write_table(folder, tables.CURTAILMENTS, found.curtailments)
    write_table(folder, tables.READINGS, [one for one in found.readings if one.run <= run.number])
    write_table(folder, tables.ALLOCATIONS, [one for one in found.posted if one.run <= run.number])
    write_table(folder, tables.ALLOCATION_LEAVES, [one for one in found.leaves if one.run <= run.number])
    write_table(folder, tables.MARKS, [one for one in found.marks if one.run <= run.number])
    write_table(folder, tables.FLOW_LEAVES, run.flows)
    write_table(folder, tables.ROWS, run.rows)
    write_table(folder, tables.CLAIMS, run.claims)
    write_manifest(folder, found.cycle, run.number)
