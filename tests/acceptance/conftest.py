"""Markets of processes for the tests: a finished week for all that look at it, and small ones to break things in."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.account import Progress, open_console
from demo.everyday import Everyday, Market
from demo.processes import Status
from demo.run import Timer, finished_demo, plans_by_day, running_market


@dataclass(frozen=True)
class DemoRun:
    """A finished run: its folder, its chain, its summary, and what its programs said of themselves at the end."""

    data: Path
    rpc_url: str
    summary: dict[str, Any]
    market: Market
    statuses: Mapping[str, Status | None]


def quiet() -> Progress:
    """Tells nobody how far a run is."""
    return Progress(open_console(io.StringIO()))


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRun]:
    """The demo, run once. `tests/conftest.py` keeps its tests in one process."""
    data = tmp_path_factory.mktemp("demo")
    with finished_demo(data, quiet()) as finished:
        statuses = finished.market.children.statuses()
        for program in finished.market.children.by_name.values():
            program.stop()  # what is looked at are its files and its chain
        yield DemoRun(data, finished.url, finished.summary, finished.market, statuses)


@contextmanager
def small_market(data: Path, *days: int) -> Iterator[Everyday]:
    """A market of the demo's processes in which the homes trade on some days; nothing has happened yet."""
    with running_market(data, quiet(), Timer()) as market:
        everyday = Everyday(market, plans_by_day(market.homes, days))
        everyday.fund()
        yield everyday
