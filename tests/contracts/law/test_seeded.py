"""Bugs seeded into the contracts are found by the state machine, each by the example that is known to find it."""

from __future__ import annotations

import json
import warnings

import pytest

from tests.contracts.law.bugs import BUGS, Bug
from tests.contracts.law.profile import PLAIN
from tests.contracts.law.seeded import FOUND, hunt
from tests.contracts.market import CONTRACTS

EXAMPLES: dict[str, int] = json.loads(FOUND.read_text("utf-8"))


def test_each_bug_changes_one_piece_of_source() -> None:
    assert len(BUGS) == len({bug.name for bug in BUGS}) >= 42
    for bug in BUGS:
        assert (CONTRACTS / bug.file).read_text("ascii").count(bug.right) == 1, bug.name
        assert bug.right != bug.wrong


def test_the_examples_are_those_that_the_right_contracts_pass() -> None:
    """`test_law` plays all of them."""
    assert EXAMPLES.keys() == {bug.name for bug in BUGS}
    assert set(EXAMPLES.values()) <= set(range(PLAIN))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_seeded_bug_is_found(bug: Bug) -> None:
    found = hunt(bug, [EXAMPLES[bug.name]])
    if found is None:
        # The machine has changed since: whether it still finds the bug takes longer to tell.
        found = hunt(bug)
        assert found, f"the state machine does not notice that {bug.name}"
        warnings.warn(f"found.json is out of date: {bug.name} is found by example {found[0]}", stacklevel=1)
