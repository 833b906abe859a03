"""Disputes: leaves that nobody shows. Their lack is contested once nobody can answer any more, in older trees too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import boa
import pytest

from settlement import typed_data
from settlement.figures import SideMarks
from settlement.hashing import ZERO_HASH
from settlement.trade import AllocationLeaf, ShownLeaf
from tests.contracts.disputes.case import ARBITERS, CONTEST_TIME, DEMAND_TIME, SMALL, WINDOW, WITH_DISPUTES, Case, later
from tests.contracts.market import at_time
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    HOUR,
    deadline,
    deploy_trading,
    events,
    mine,
    pass_window,
    post_leaves,
    shown,
)


def next_run(case: Case, run: int, leaves: list[AllocationLeaf] | None = None) -> None:
    """The window of a run is open; its utility has posted these leaves in it, if any."""
    if case.market.oracle.phase(CYCLE) == 3:
        pass_window(case.market)
        if case.market.oracle.phase(CYCLE) == 3:
            later(DEMAND_TIME)
    case.market.oracle.seal(CYCLE)
    if leaves is not None:
        case.tree = post_leaves(case.market, "utility_b", leaves, run)
    at_time(max(deadline(run), boa.env.evm.patch.timestamp + CONFIG.least_intake))


@pytest.fixture
def without() -> Iterator[Case]:
    """A case whose tree of run 0 lacks the first trade's leaf; run 1, the last, in which nothing is posted, is open."""
    with boa.env.anchor():
        market = deploy_trading(SMALL, only=WITH_DISPUTES)
        with boa.env.prank(market.council):
            market.arbiters.set_arbiters(["0x" + typed_data.address_of(key).hex() for key in ARBITERS])
        case = Case(market)
        boa.env.evm.patch.timestamp = deadline() - 1
        case.tree = post_leaves(market, "utility_b", case.leaves[1:], attempt=2)
        at_time(deadline())
        next_run(case, 1)
        yield case


@pytest.fixture(scope="module")
def four_runs() -> Case:
    return Case(deploy_trading(CONFIG, only=WITH_DISPUTES))


@pytest.fixture
def longer(four_runs: Case) -> Iterator[Case]:
    """A market with four runs."""
    tree = four_runs.tree
    with boa.env.anchor():
        yield four_runs
    four_runs.tree = tree


# --- when silence is certain ---


def test_a_lack_is_contested_when_nobody_can_answer_any_more(case: Case) -> None:
    at_time(deadline() + DEMAND_TIME - 1)
    case.demand()
    for seconds in (0, DEMAND_TIME - 1):
        later(seconds)
        with boa.reverts("Disputes: leaf not shown"):
            case.contest(evidence=[])
    with boa.env.anchor():
        case.answer()
        later(1)
        with boa.reverts("Disputes: leaf not shown"):
            case.contest(evidence=[])
    later(1)
    with boa.reverts("Disputes: too late to answer"):
        case.answer()
    case.contest(evidence=[])
    assert events(case.market.disputes, "Contested")[0]["leaf"] == ZERO_HASH
    assert case.marks() == SideMarks(contested=1, unanswered=1)


def test_a_lack_can_be_contested_until_its_run_is_sealed(case: Case) -> None:
    """Silence may be certain only when the window would be over without the demand."""
    at_time(deadline() + DEMAND_TIME - 1)
    case.demand()
    at_time(deadline() + WINDOW + DEMAND_TIME - 1)
    with boa.env.anchor():
        case.contest(evidence=[])
    case.market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    later(1)
    with boa.reverts("AllocationOracle: no open window"):
        case.contest(evidence=[])


def test_a_pause_gives_more_time_to_answer(case: Case) -> None:
    case.demand()
    with boa.env.prank(case.market.guardian):
        case.market.registry.pause()
    later(72 * HOUR + DEMAND_TIME - 1)
    with boa.reverts("Disputes: leaf not shown"):
        case.contest(evidence=[])
    with boa.env.anchor():
        case.answer()
    later(1)
    case.contest(evidence=[])


def test_an_honest_leaf_is_contested_in_one_run_alone(longer: Case) -> None:
    """However often it is demanded: who answers in time leaves no lack to contest, and the contest stays remembered."""
    case = longer

    def check_refused(run: int, leaf: ShownLeaf) -> None:
        with boa.reverts("Disputes: leaf not shown"):
            case.contest(run=run, evidence=[])
        with boa.reverts("Disputes: contested before"):
            case.contest(run=run, evidence=[leaf])

    case.contest()
    assert not case.figure(0, run_shown=[]).known
    for run in (1, 2, 3):
        next_run(case, run, case.leaves)
        leaf = shown(case.tree, 0, case.leaves[0], run)
        case.demand(run=run)
        check_refused(run, leaf)
        later(DEMAND_TIME - 1)
        check_refused(run, leaf)
        case.answer(evidence=leaf)
        later(1)
        check_refused(run, leaf)
        assert case.marks() == SideMarks(contested=1)
        found = case.figure(run, run_shown=[leaf])
        assert (found.known, found.wh, found.run) == (True, 2_000, run)


# --- the newest tree is an older run's ---


def test_a_leaf_is_demanded_and_shown_in_an_older_run_s_tree(case: Case) -> None:
    """That does no harm: before, between and after, the leaf stands."""
    next_run(case, 1)
    assert case.figure(1).run == 0
    case.demand(run=1)
    assert case.marks() == SideMarks(unanswered=0b10)
    assert (case.figure(1).wh, case.figure(0).wh) == (2_000, 2_000)
    for wrong, reason in (
        (replace(case.shown(), run=1), "Disputes: not the newest tree"),
        (case.shown(1), "Disputes: another side's leaf"),
        (replace(case.shown(), count=5), "Disputes: not the posted tree"),
    ):
        with boa.reverts(reason):
            case.answer(evidence=wrong)
    later(DEMAND_TIME - 1)
    case.answer()
    assert events(case.market.disputes, "Answered") == [
        {"cycle": CYCLE, "trade_digest": case.digest(), "run": 1, "side": 1, "index": 0}
    ]
    assert case.marks() == SideMarks()
    assert case.market.disputes.open_demands(case.trades[0].buyer_platform, CYCLE, 1) == 0
    with boa.reverts("Disputes: nothing to answer"):
        case.answer()
    with boa.reverts("Disputes: demanded already"):
        case.demand(run=1)
    later(1)
    with boa.reverts("Disputes: leaf not shown"):
        case.contest(run=1, evidence=[])
    pass_window(case.market)
    case.market.oracle.seal(CYCLE)
    assert (case.figure(1).wh, case.figure(1).run) == (2_000, 0)


def test_an_unanswered_demand_of_an_older_tree_takes_no_figure_away(case: Case) -> None:
    next_run(case, 1)
    case.demand(run=1)
    pass_window(case.market)
    later(DEMAND_TIME)
    case.market.oracle.seal(CYCLE)
    assert case.marks() == SideMarks(unanswered=0b10)
    assert [case.figure(run).wh for run in (0, 1)] == [2_000, 2_000]


def test_an_answer_shows_the_newest_tree(case: Case) -> None:
    tree = case.tree
    next_run(case, 1, case.leaves)
    case.demand(run=1)
    with boa.reverts("Disputes: not the newest tree"):
        case.answer(evidence=shown(tree, 0, case.leaves[0]))
    case.answer(evidence=shown(case.tree, 0, case.leaves[0], run=1))


def test_a_leaf_that_was_never_posted_is_contested_after_silence(without: Case) -> None:
    """Its utility posts nothing any more; the arbiters decide what stands."""
    case, market = without, without.market
    with boa.reverts("Disputes: leaf not shown"):
        case.contest(run=1, evidence=[])
    at_time(deadline(1) + DEMAND_TIME - 1)
    case.demand(run=1)
    later(DEMAND_TIME - 1)
    with boa.reverts("Disputes: leaf not shown"):
        case.contest(run=1, evidence=[])
    later(1)
    case.contest(run=1, evidence=[])
    contested = boa.env.evm.patch.timestamp
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    at_time(contested + CONTEST_TIME - 1)
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    case.rule(900)
    market.oracle.seal(CYCLE)
    assert case.figure(1, run_shown=[]).wh == 900


def test_the_last_demand_for_a_leaf_decides_whether_it_lacks(longer: Case) -> None:
    case = longer
    case.demand()
    next_run(case, 1)
    with boa.env.anchor():  # what nobody showed in run 0 still lacks
        case.contest(run=1, evidence=[])
    with boa.env.anchor():
        next_run(case, 2, case.leaves)  # another tree, of which nothing was demanded
        with boa.reverts("Disputes: leaf not shown"):
            case.contest(run=2, evidence=[])
    case.demand(run=1)
    with boa.reverts("Disputes: leaf not shown"):
        case.contest(run=1, evidence=[])
    with boa.env.anchor():
        later(DEMAND_TIME)
        case.contest(run=1, evidence=[])
    case.answer()
    assert case.marks() == SideMarks(unanswered=1)
    later(DEMAND_TIME)
    with boa.reverts("Disputes: leaf not shown"):
        case.contest(run=1, evidence=[])
    next_run(case, 2)
    with boa.reverts("Disputes: leaf not shown"):
        case.contest(run=2, evidence=[])
