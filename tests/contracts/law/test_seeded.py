"""Bugs seeded into the contracts are found by the state machine, each by the example that is known to find it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from tests.contracts.law import world
from tests.contracts.law.profile import PLAIN
from tests.contracts.law.seeded import BUGS, ESCAPED, FOUND, Bug, hunt
from tests.contracts.market import CONTRACTS

TESTS = Path(__file__).resolve().parents[1]
EXAMPLES: dict[str, int] = json.loads(FOUND.read_text("utf-8"))


@pytest.fixture(scope="module", autouse=True)
def _before_any_anchor() -> None:
    """The right market, whose contracts the others share, is deployed outside of any anchor."""
    world.deployed()


def test_each_bug_changes_one_piece_of_source() -> None:
    assert len(BUGS) == len({bug.name for bug in BUGS}) >= 27
    for bug in BUGS:
        assert (CONTRACTS / bug.file).read_text("ascii").count(bug.right) == 1, bug.name
        assert bug.right != bug.wrong


def test_the_examples_are_those_that_the_right_contracts_pass() -> None:
    """`test_law` plays all of them."""
    assert EXAMPLES.keys() | ESCAPED.keys() == {bug.name for bug in BUGS}
    assert not EXAMPLES.keys() & ESCAPED.keys()
    assert set(EXAMPLES.values()) <= set(range(PLAIN))


def test_what_escapes_the_machine_has_a_test() -> None:
    for file, function in ESCAPED.values():
        assert f"def {function}(" in (TESTS / file).read_text("utf-8")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.name not in ESCAPED], ids=lambda bug: bug.name)
def test_a_seeded_bug_is_found(bug: Bug) -> None:
    found = hunt(bug, [EXAMPLES[bug.name]])
    if found is None:
        # The machine has changed since: whether it still finds the bug takes longer to tell.
        found = hunt(bug)
        assert found, f"the state machine does not notice that {bug.name}"
        warnings.warn(f"found.json is out of date: {bug.name} is found by example {found[0]}", stacklevel=1)
