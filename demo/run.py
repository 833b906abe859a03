"""Runs the demo: a chain, a market of processes, a week, the folders, and one more process that checks them all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.node import Anvil, dies_with_parent
from demo import archive, calendar
from demo.account import Progress, summary_text
from demo.collect import CycleRecords, Records
from demo.everyday import Market
from demo.homes import Home, load_homes
from demo.market import PlannedTrade, plan_trades
from demo.members import Members, make_members
from demo.processes import Children
from demo.setting import Setting
from demo.summary import Summariser
from demo.treasury import Treasury
from demo.week import Week
from demo.world import World
from store.database import Database
from store.desk import DeskStore

MARKER = "clearwatt-demo"
"""A file that says a folder was made by the demo, which may then be made anew."""

VERIFY_SECONDS = 300
ALL_DAYS = range(1, calendar.DAYS + 1)


class NotOurs(Exception):
    """The data folder holds something that the demo did not write; it is left alone."""


class VerifyFailed(Exception):
    """The separate process that checks the run could not do so."""


@dataclass
class Timer:
    """How long each phase took, in milliseconds; for people, nothing depends on it."""

    durations: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measures what is inside."""
        started = time.monotonic_ns()
        yield
        self.durations[name] = (time.monotonic_ns() - started) // 1_000_000


@dataclass(frozen=True)
class Finished:
    """A run that is over, and its market, which still runs."""

    summary: dict[str, Any]
    market: Market

    @property
    def url(self) -> str:
        """Where the chain answers."""
        return self.market.url


@contextmanager
def finished_demo(
    data: Path,
    progress: Progress,
    port: int | None = None,
) -> Iterator[Finished]:
    """Runs the week into `data`; inside the context all programs still run.

    Raises NotOurs, HomesMissing, NodeMissing, PortTaken, StoryDoesNotFit, ChildEnded, NotIdle, VerifyFailed.
    """
    timer = Timer()
    with ExitStack() as lasting:
        with progress:
            market = lasting.enter_context(running_market(data, progress, timer, port))
            summary = _run(data, market, progress, timer)
        yield Finished(summary, market)


@contextmanager
def running_market(data: Path, progress: Progress, timer: Timer, port: int | None = None) -> Iterator[Market]:
    """A market in which nothing has been traded yet: contracts, members, their programs. All end with the context."""
    homes = load_homes()
    _clear(data)
    members = make_members(data)
    first, second, third = members.platforms
    locks = {frozenset({first.name, second.name}): 100, frozenset({second.name, third.name}): 50}
    with ExitStack() as lasting:
        node = lasting.enter_context(Anvil(calendar.GENESIS_TIME, port))
        world = World(node, members)
        progress.phase("compiling and deploying the contracts")
        with timer.phase("deploy"):
            world.deploy()
            world.save(data)
        setting = lasting.enter_context(closing(Setting(data, node.url, members, homes, locks, claimant=first.name)))
        children = lasting.enter_context(Children())
        progress.phase("starting the members' programs and the gateway")
        with timer.phase("start"):
            setting.write()
            children.start([*(setting.member(one) for one in members.programs), setting.gateway()])
        yield Market(world, members, homes, setting, children)


def _run(data: Path, market: Market, progress: Progress, timer: Timer) -> dict[str, Any]:
    world, members = market.world, market.members
    week = Week(market, plans_by_day(market.homes), Treasury(members, market.setting, world))
    progress.phase("settling a week")
    with timer.phase("week"):
        week.fund()
        week.put()
        market.conductor.run(lambda done, label: progress.step(done, market.conductor.total, label))
    progress.phase("collecting everybody's records")
    with timer.phase("folders"):
        records = Records(world.rpc, world.record, _desks(members))
        found = {day: records.cycle(calendar.cycle(day)) for day in week.plans}
        _write_folders(data, records, found)
    progress.phase("verifying, in a process of its own")
    with timer.phase("verify"):
        verdict = _verify(data, world.url)
    summary = Summariser(world, members, len(market.homes), records, found).summary(timer.durations, verdict["checks"])
    (data / "summary.json").write_text(summary_text(summary), "utf-8")
    return summary


def plans_by_day(homes: Sequence[Home], days: Collection[int] = ALL_DAYS) -> dict[int, list[PlannedTrade]]:
    """What the homes trade on each of some days."""
    plans = plan_trades(homes)
    return {day: [plan for plan in plans if plan.day == day] for day in days}


def _desks(members: Members) -> Mapping[bytes, DeskStore]:
    return {one.id: DeskStore(Database(f"sqlite:///{one.folder / 'desk.db'}")) for one in members.programs}


def _write_folders(data: Path, records: Records, found: Mapping[int, CycleRecords]) -> None:
    for one in found.values():
        archive.write_cycle_folders(data, records.record, one)
    archive.write_debts(data, records)


def _clear(data: Path) -> None:
    if data.exists() and any(data.iterdir()) and not (data / MARKER).exists():
        raise NotOurs(f"{data} is not empty and was not written by the demo: choose another folder with --data")
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    (data / MARKER).write_text("written by `clearwatt demo`, which may delete it\n", "utf-8")


def _verify(data: Path, url: str) -> Mapping[str, Any]:
    """What `clearwatt verify`, knowing only the folder and the chain, says of the run."""
    command = [sys.executable, "-m", "cli.main", "verify", "--data", str(data), "--rpc", url, "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=VERIFY_SECONDS, check=False, preexec_fn=dies_with_parent()
    )
    try:
        verdict: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise VerifyFailed(f"exit code {done.returncode}: {done.stderr.strip()}") from error
    return verdict
