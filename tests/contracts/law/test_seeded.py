"""Bugs seeded into the contracts are found by the state machine.

Compiling and playing takes a minute for each, so a run takes the few of today; `CLEARWATT_LAW_SEEDS=all` takes all,
as `python -m tests.contracts.law.seeded` does.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from tests.contracts.law import world
from tests.contracts.law.profile import EXAMPLES
from tests.contracts.law.seeded import BUGS, Bug, hunt
from tests.contracts.market import CONTRACTS

AT_ONCE = 4
TODAY = datetime.now(UTC).toordinal()


def of_today() -> list[Bug]:
    """All bugs, or the few whose turn it is: another four each day."""
    if os.environ.get("CLEARWATT_LAW_SEEDS") == "all":
        return list(BUGS)
    return [BUGS[(TODAY * AT_ONCE + place) % len(BUGS)] for place in range(AT_ONCE)]


@pytest.fixture(scope="module", autouse=True)
def _before_any_anchor() -> None:
    """The right market, whose contracts the others share, is deployed outside of any anchor."""
    world.deployed()


def test_each_bug_changes_one_piece_of_source() -> None:
    assert len(BUGS) == len({bug.name for bug in BUGS}) >= 15
    for bug in BUGS:
        assert (CONTRACTS / bug.file).read_text("ascii").count(bug.right) == 1, bug.name
        assert bug.right != bug.wrong


@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", of_today(), ids=lambda bug: bug.name)
def test_a_seeded_bug_is_found(bug: Bug) -> None:
    found, _ = hunt(bug, EXAMPLES)
    assert found, f"the state machine does not notice that {bug.name}"
