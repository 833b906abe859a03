"""Runs the demo: a chain, a market, a week, the folders, and a separate process that checks them all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.node import Anvil, dies_with_parent
from demo import archive, calendar
from demo.account import Progress, summary_text
from demo.day import Market
from demo.desk import Desk
from demo.homes import Home, load_homes
from demo.market import plan_trades
from demo.members import make_members
from demo.summary import summarise
from demo.week import Week
from demo.world import World

MARKER = "clearwatt-demo"
"""A file that says a folder was made by the demo, which may then be made anew."""

VERIFY_SECONDS = 300


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


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is over, and the URL of its chain."""

    summary: dict[str, Any]
    url: str


@contextmanager
def finished_demo(data: Path, progress: Progress, port: int | None = None) -> Iterator[Finished]:
    """Runs the week into `data`; inside the context its chain still answers.

    Raises NotOurs, HomesMissing, NodeMissing, PortTaken, StoryDoesNotFit, VerifyFailed.
    """
    homes = load_homes()
    _clear(data)
    with Anvil(calendar.GENESIS_TIME, port) as node:
        with progress:
            summary = _run(data, homes, node, progress)
        yield Finished(summary, node.url)


def _run(data: Path, homes: Sequence[Home], node: Anvil, progress: Progress) -> dict[str, Any]:
    timer = Timer()
    members = make_members(data)
    world = World(node, members)
    progress.phase("compiling and deploying the contracts")
    with timer.phase("deploy"):
        world.deploy()
    market = Market(world, members, homes, {member.id: Desk(member) for member in members.everyone})
    week = Week(market, plan_trades(homes))
    week.put()
    progress.phase("settling a week")
    with timer.phase("week"):
        _run_schedule(week, world, progress)
    progress.phase("writing the folders")
    with timer.phase("folders"):
        world.save(data)
        for day in week.days.values():
            archive.write_day(data, world, day)
        archive.write_debts(data, week.debts)
    progress.phase("verifying, in a process of its own")
    with timer.phase("verify"):
        verdict = _verify(data, node.url)
    summary = summarise(week, timer.durations, verdict["checks"])
    (data / "summary.json").write_text(summary_text(summary), "utf-8")
    return summary


def _run_schedule(week: Week, world: World, progress: Progress) -> None:
    done = 0

    def before(moment: int, label: str) -> None:
        nonlocal done
        done += 1
        world.now = moment
        if label:
            progress.step(done, week.schedule.total, label)

    week.schedule.run(before)


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
