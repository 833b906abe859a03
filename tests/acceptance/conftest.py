"""One run of the demo for all tests that look at it, its chain kept alive."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.account import Progress, open_console
from demo.run import finished_demo


@dataclass(frozen=True)
class DemoRun:
    """A finished run: its folder, its chain, its summary."""

    data: Path
    rpc_url: str
    summary: dict[str, Any]


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRun]:
    """The demo, run once. `tests/conftest.py` keeps its tests in one process."""
    data = tmp_path_factory.mktemp("demo")
    with finished_demo(data, Progress(open_console(io.StringIO()))) as finished:
        yield DemoRun(data, finished.url, finished.summary)
