"""The folders that auditors get: each run complete in itself, written from everything that happened."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from demo import calendar
from demo.day import Day
from demo.debts import Debts
from demo.world import MARKET, World
from store import tables
from store.folders import CycleRecord, run_folder, write_cycle, write_manifest, write_table
from store.records import RecordedFlow, RecordedLeaf


def write_day(data: Path, world: World, day: Day) -> None:
    """One folder for every run of the day."""
    for run in sorted(day.runs):
        _write_run(run_folder(data, day.cycle, run), world, day, run)


def write_debts(data: Path, debts: Debts) -> None:
    """Obligations and notices, beside the cycles."""
    write_table(data, tables.OBLIGATIONS, debts.obligations)
    write_table(data, tables.NOTICES, debts.notices)


def _write_run(folder: Path, world: World, day: Day, run: int) -> None:
    runs = [day.runs[number] for number in sorted(day.runs) if number <= run]
    write_cycle(
        folder,
        CycleRecord(
            market=MARKET,
            market_id=world.record.market_id,
            chain_id=world.record.chain_id,
            cycle=day.cycle,
            run=run,
            config=calendar.CONFIG,
            config_digest=world.config_digest,
            inputs=tuple(one.inputs for one in runs),
            end=day.end,
        ),
    )
    leaves = (
        RecordedLeaf(number, utility, position, leaf)
        for number in sorted(day.runs)
        if number <= run
        for utility, posted in sorted(day.runs[number].allocations.items())
        for position, leaf in enumerate(posted.leaves)
    )
    write_table(folder, tables.COMMITMENTS, day.commitments)
    write_table(folder, tables.LOCKS, day.locks)
    write_table(folder, tables.TRADES, day.placed)
    write_table(folder, tables.CURTAILMENTS, day.curtailments)
    write_table(folder, tables.READINGS, [reading for one in runs for reading in one.readings])
    write_table(folder, tables.ALLOCATIONS, [posted for posted in day.posted if posted.run <= run])
    write_table(folder, tables.ALLOCATION_LEAVES, list(leaves))
    write_table(folder, tables.MARKS, [mark for mark in day.marks if mark.run <= run])
    write_table(folder, tables.FLOW_LEAVES, _in_order(day.runs[run].flows))
    write_table(folder, tables.ROWS, day.runs[run].rows)
    write_table(folder, tables.CLAIMS, day.runs[run].claims)
    write_manifest(folder, day.cycle, run)


def _in_order(flows: Iterable[RecordedFlow]) -> list[RecordedFlow]:
    return sorted(flows, key=lambda one: (one.payer, one.payee, one.position))
