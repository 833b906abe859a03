"""How the tests are spread over processes: a file stays together, and so do the files that look at one demo run.

Fixtures that deploy a market or run the demo are then set up once, not once a process. And what a run says at its end.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.store.databases"]  # the fixture `database`, for every room

DEMO_FILES = ("test_demo.py", "test_naive.py", "test_tampering.py")


class ByFile(LoadScopeScheduling):
    """Whole files, the demo's as if they were one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "demo" if file.startswith("tests/acceptance/") and file.endswith(DEMO_FILES) else file


@pytest.hookimpl
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Called by xdist for `-n`."""
    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many corruptions were tried, in a line; where, and what became of each, is in build/completeness.json."""
    # Only where such tests ran: a run of others does not wait for this import.
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    if any(getattr(report, "user_properties", None) for report in reports):
        from tests.contracts.completeness import counting

        counts = counting.gathered(reports)
        if counts:
            counting.write(counts, terminalreporter.config.rootpath / "build" / "completeness.json")
            terminalreporter.write_line(counting.line(counts))
