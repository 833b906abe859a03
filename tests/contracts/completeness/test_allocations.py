"""Whatever one thing a utility falsifies in its allocation: it is found out, nobody is paid on it, all ends well."""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement.config import FIFO, PRO_RATA
from settlement.hashing import keccak256
from settlement.trade import AllocationLeaf
from tests.contracts.completeness.corruptions import (
    ALLOCATION_FIELDS,
    FITTED_FIELDS,
    Corruption,
    of_field,
    of_fitted,
    of_tree,
)
from tests.contracts.completeness.counting import tried, tried_lie
from tests.contracts.completeness.fields import FATES
from tests.contracts.completeness.honest import HonestCycle, Outcome, Settled
from tests.contracts.completeness.watching import Watcher, answer, demand
from tests.contracts.settling import UTILITIES, later
from tests.contracts.trading import CONFIG, allocation_of, post

pytestmark = pytest.mark.usefixtures("counted")

# With this in the environment each lie is told, some thousand; else some of each sort.
EVERYTHING = "CLEARWATT_ALL_LIES" in os.environ
SOME = 5
# What any leaf out of its group's line may show besides.
BY_THE_WAY = {f"void by pair ({code})" for code in (13, 14, 15, 16, 17)} | {
    "void by rule (3)",
    "void by rule (4)",
    "void by rule (5)",
}
WRONG, WAITS, NOTHING = "pays wrongly", "holds up", "changes nothing"


@dataclass(frozen=True)
class Case:
    """An honest cycle at the end of its delivery, what it comes to, and what each trade settles at in each run."""

    cycle: HonestCycle
    outcome: Outcome
    settled: tuple[list[set[Settled]], ...]
    # What was sealed and led to this outcome before: runs and their rows.
    ended_well: set[Any] = field(default_factory=set)

    def check_end(self, cycle: HonestCycle, run: int, said: str) -> None:
        """Asserts that a run just sealed, and all honest runs after it, come to the honest outcome."""
        result = cycle.result(run)
        key = run, tuple(result.rows.items()), tuple(result.keep.items())
        if key not in self.ended_well:
            assert cycle.finish(run) == self.outcome, said
            self.ended_well.add(key)


@pytest.fixture(scope="module", params=[PRO_RATA, FIFO], ids=["pro-rata", "fifo"])
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


def case_of(rule: int) -> Case:
    """The case under an allocation rule, once what it honestly comes to is known."""
    cycle = HonestCycle.committed(rule)
    honest = cycle.copy()
    with boa.env.anchor():
        honest.post(0)
        honest.open_window(0)
        settled_first = [honest.settled(trade, 0) for trade in honest.trades]
        honest.seal()
        honest.settle(0)
        honest.post(1)
        honest.open_window(1)
        settled_then = [honest.settled(trade, 1) for trade in honest.trades]
        honest.seal()
        return Case(cycle, honest.finish(1), (settled_first, settled_then))


@contextmanager
def in_intake(case: Case, run: int) -> Iterator[HonestCycle]:
    """The intake of a run, all before it honest."""
    with boa.env.anchor():
        cycle = case.cycle.copy()
        if run:
            cycle.post(0)
            cycle.open_window(0)
            cycle.seal()
            cycle.settle(0)
        yield cycle


def concerned(case: Case, cycle: HonestCycle, liar: str, lie: Corruption[AllocationLeaf], run: int) -> list[int]:
    """The trades that the lie can concern: named in a touched leaf, before or after, or in such a leaf's group."""
    honest = cycle.leaves(liar, run)
    leaves = [*lie.leaves, *honest]
    touched = [one for place in lie.touched for listed in (lie.leaves, honest) for one in listed[place : place + 1]]
    groups = {(leaf.meter, leaf.slot_start, leaf.side) for leaf in touched}
    groups |= {(leaf.meter, leaf.slot_start, leaf.side) for leaf in honest if leaf not in lie.leaves}
    digests = {leaf.trade_digest for leaf in leaves if (leaf.meter, leaf.slot_start, leaf.side) in groups}
    digests |= {leaf.trade_digest for leaf in touched}
    return [number for number, trade in enumerate(cycle.trades) if cycle.scene.digest(trade) in digests]


def judge(case: Case, cycle: HonestCycle, liar: str, lie: Corruption[AllocationLeaf], run: int) -> tuple[str, set[str]]:
    """Posts a lie, has it looked at, and asserts that it was in vain; gives its effect and what was done about it."""
    cycle.post(run, {liar: list(lie.leaves)})
    cycle.open_window(run)
    trades = [(cycle.trades[number], case.settled[run][number]) for number in concerned(case, cycle, liar, lie, run)]
    before = [cycle.settled(trade, run) for trade, _ in trades]
    is_wrong = any(found - right for found, (_, right) in zip(before, trades, strict=True))
    effect = WRONG if is_wrong else WAITS if before != [right for _, right in trades] else NOTHING

    watcher = Watcher(cycle, liar, run)
    done = watcher.prove(lie.touched) | watcher.demand()
    for trade, right in trades:
        if cycle.settled(trade, run) - right:
            done |= watcher.contest(trade)
    assert done or effect == NOTHING, f"{lie.said}: {effect}, and nothing is proven"
    for trade, right in trades:
        now = cycle.settled(trade, run)
        assert now <= right, f"{lie.said}: a trade settles wrongly"
        assert now or run or "" not in cycle.claimable(trade, run), f"{lie.said}: a trade that waits can be claimed"
    cycle.seal()
    case.check_end(cycle, run, lie.said)
    tried_lie(lie, "AllocationLeaf", ": ".join([effect, *([", ".join(sorted(done))] if done else [])]))
    return effect, done


Lies = Callable[[list[AllocationLeaf]], Iterable[Corruption[AllocationLeaf]]]


def tell(case: Case, run: int, lies: Lies) -> Counter[str]:
    """Tells lies, one at a time; counts their effects and what was done about them."""
    seen: Counter[str] = Counter()
    with in_intake(case, run) as cycle:
        told = [(liar, lie) for liar in UTILITIES for lie in lies(cycle.leaves(liar, run))]
        if not EVERYTHING and len(told) > SOME:
            told = random.Random(f"{told[0][1].what} {run}").sample(told, SOME)
        for liar, lie in told:
            with boa.env.anchor():
                effect, done = judge(case, cycle.copy(), liar, lie, run)
            seen[effect] += 1
            seen.update(done)
    return seen


def allowed(field: str) -> set[str]:
    """What the table says is done about a field, its codes spelt out."""
    found = set()
    for remedy in FATES[AllocationLeaf][field].remedies:
        act, _, codes = remedy.partition(" (")
        numbers = [int(code) for code in re.findall("[0-9]+", codes)]
        if " to " in codes:
            numbers = list(range(numbers[0], numbers[1] + 1))
        found |= {f"{act} ({number})" for number in numbers} or {act.partition(",")[0]}
    return found


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize("field", ALLOCATION_FIELDS)
def test_each_field_of_each_leaf(case: Case, field: str, run: int) -> None:
    """One value off: no figure comes of it but what is right, and what is proven is what the table says."""
    seen = tell(case, run, lambda leaves: of_field(leaves, field))
    # One field alone never makes a wrong figure; but one: no reading told as a reading of 0, which only a contest ends.
    assert seen[WRONG] == seen["contest"]
    assert seen[WRONG] == 0 or field == "status"
    assert set(seen) - {WRONG, WAITS, NOTHING} <= allowed(field) | BY_THE_WAY
    assert set(seen) & allowed(field) or field in ("commitment", "index")


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize("field", FITTED_FIELDS)
def test_each_fitted_field_of_each_leaf(case: Case, field: str, run: int) -> None:
    """The same with an allocation that follows from it by the rule: what a wrong figure is really made of."""
    rule = case.cycle.market.config.allocation_rule
    seen = tell(case, run, lambda leaves: of_fitted(leaves, field, rule))
    assert set(seen) - {WRONG, WAITS, NOTHING} <= allowed(field) | BY_THE_WAY
    if field == "meter_wh":
        assert seen[WRONG]
        assert seen["contest"] + seen["void by pair (13)"] >= seen[WRONG]


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize(
    ("what", "remedies"),
    [
        ("omission", {"demand"}),
        ("duplication", {"twice", "void by pair (16)", "void by pair (17)"}),
        ("order", set()),
        ("substitution", {"demand", "twice", "void by pair (16)", "void by pair (17)"}),
    ],
)
def test_each_tree(case: Case, run: int, what: str, remedies: set[str]) -> None:
    """Leaves left out, twice, moved. Moving changes nothing: each leaf is still shown by its proof."""
    seen = tell(case, run, lambda leaves: [lie for lie in of_tree(leaves) if lie.what == what])
    assert seen[WRONG] == 0
    assert set(seen) - {WAITS, NOTHING} <= remedies
    assert bool(set(seen) & remedies) is bool(remedies)


@pytest.mark.parametrize("run", [0, 1])
@pytest.mark.parametrize("wrong", ["root", "count"])
def test_each_statement(case: Case, run: int, wrong: str) -> None:
    """A root or count of nothing that anybody can show: every leaf is demanded, none is answered, nobody is paid."""
    with in_intake(case, run) as cycle:
        for liar in UTILITIES:
            with boa.env.anchor():
                told = cycle.copy()
                told.post(run)
                tree, _ = told.scene.posted[liar, run]
                root, count = (keccak256(tree.root), tree.count) if wrong == "root" else (tree.root, 2 * tree.count)
                post(told.market, liar, allocation_of(told.market, liar, root, count, run, attempt=2))
                told.open_window(run)
                assert Watcher(told, liar, run).demand() == {"demand"}
                for trade in told.trades:
                    for side in (0, 1):
                        if told.utility(trade, side) == liar:
                            leaf = told.scene.shown(trade, side, run)
                            assert answer(told, trade, side, leaf) == "Disputes: not the posted tree"
                            as_posted = replace(leaf, root=root, count=count)
                            assert answer(told, trade, side, as_posted) == "Disputes: leaf not in the tree"
                told.seal()
                # What the utility said it posted is not what stands: to the rules it posted nothing.
                del told.scene.posted[liar, run]
                case.check_end(told, run, wrong)
                tried(wrong, "Allocation", "demand")


def test_a_withheld_leaf_is_shown_or_counts_for_nothing(case: Case) -> None:
    """Demanded and shown in time, it is as if it had been served; not shown, the trade waits for the next run."""
    for is_shown in (True, False):
        with in_intake(case, 0) as cycle:
            cycle.post(0)
            cycle.open_window(0)
            trade = cycle.trades[0]
            assert demand(cycle, trade, 1, 0) == ""
            assert cycle.settled(trade, 0) == set()
            if is_shown:
                later(CONFIG.demand_time - 1)
                assert answer(cycle, trade, 1, cycle.scene.shown(trade, 1)) == ""
            assert cycle.settled(trade, 0) == (case.settled[0][0] if is_shown else set())
            cycle.seal()
            assert cycle.finish(0) == case.outcome
            tried("withheld leaf", "AllocationLeaf", "shown in time" if is_shown else "unanswered: waits a run")


def test_nothing_honest_is_ever_proven_wrong(case: Case) -> None:
    """Every fault function against every leaf and every two leaves of both utilities, in three runs."""
    prove_honest(case)


def prove_honest(case: Case) -> None:
    """Claims every fault of everything honest."""
    with boa.env.anchor():
        cycle = case.cycle.copy()
        for run in (0, 1, 2):
            cycle.post(run)
            cycle.open_window(run)
            for utility in UTILITIES:
                assert Watcher(cycle, utility, run).prove_everything() == set()
            cycle.seal()
