"""Disputes: readings are contested; one side of one trade waits, in the last run too."""

from __future__ import annotations

from dataclasses import replace

import boa

from settlement import preimages
from settlement.figures import SideMarks
from settlement.hashing import ZERO_HASH
from settlement.preimages import Act
from tests.contracts.disputes.case import CONTEST_TIME, DEMAND_TIME, EVIDENCE, SMALL, WINDOW, WITH_DISPUTES, Case, later
from tests.contracts.market import at_time
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    END,
    HOUR,
    deadline,
    deploy_trading,
    events,
    member_id,
    mine,
    pass_window,
    post_leaves,
    shown,
)

# --- contests ---


def test_a_contested_side_waits_and_its_leaf_stands_from_the_next_run_on(case: Case) -> None:
    market, acc = case.market, case.market.oracle.accumulator(CYCLE)
    said = case.contest()
    leaf = preimages.allocation_leaf(case.leaves[0])
    fields = {"cycle": CYCLE, "trade_digest": case.digest(), "member": said.member, "run": 0, "side": 1}
    assert events(market.disputes, "Contested") == [{**fields, "leaf": leaf, "evidence": EVIDENCE}]
    key, now = preimages.side_key(case.digest(), 1), boa.env.evm.patch.timestamp
    assert market.oracle.accumulator(CYCLE) == preimages.accumulate(acc, Act.CONTEST, 0, now, key)
    assert case.marks() == SideMarks(contested=1)
    word = market.oracle.side_marks(CYCLE, member_id(market, "utility_b"), case.digest(), 1)
    assert word == 1 | now << 40 | int.from_bytes(leaf) >> 80 << 80
    assert market.disputes.contest_count(said.member, CYCLE) == 1
    assert not case.figure(0, run_shown=[]).known
    assert case.figure(0, 1).wh == 2_000  # nobody else's side waits
    with boa.reverts("Disputes: contested before"):
        case.contest(by="platform_b")
    pass_window(market)
    market.oracle.seal(CYCLE)
    assert case.figure(1).wh == 2_000
    at_time(deadline(1))
    with boa.reverts("Disputes: contested before"):  # the same leaf still stands
        case.contest(run=1)


def test_contests_are_limited_for_a_member_in_a_cycle(case: Case) -> None:
    case.contest(0)
    case.contest(1)
    with boa.reverts("Disputes: too many contests"):
        case.contest(2)
    case.contest(2, by="utility_a")


def test_the_lack_of_a_leaf_is_contested_once_a_run(case: Case) -> None:
    """Utility a posted nothing: a buyer's side has no leaf that could be shown."""
    case.contest(side=0, evidence=[])
    assert events(case.market.disputes, "Contested")[0]["leaf"] == ZERO_HASH
    with boa.reverts("Disputes: contested before"):
        case.contest(by="platform_b", side=0, evidence=[])
    with boa.reverts("Disputes: leaf not shown"):
        case.contest(1, evidence=[])
    with boa.reverts("Disputes: not the newest tree"):
        case.contest(1, side=0)
    case.demand(1)
    later(DEMAND_TIME)
    case.contest(1, by="platform_b", evidence=[])  # unanswered: it cannot be shown
    with boa.reverts("Disputes: contested before"):
        case.contest(1, by="utility_b", evidence=[])
    pass_window(case.market)
    case.market.oracle.seal(CYCLE)
    at_time(deadline(1))
    case.contest(by="platform_b", side=0, evidence=[], run=1)


def test_a_side_contested_for_its_lack_may_be_contested_for_its_leaf(case: Case) -> None:
    """Whoever has the leaf after all shows it too late for an answer, but not for a contest."""
    case.demand(0)
    later(DEMAND_TIME)
    case.contest(0, evidence=[])
    case.contest(0, by="platform_b")
    leaf = preimages.allocation_leaf(case.leaves[0])
    assert [one["leaf"] for one in events(case.market.disputes, "Contested")] == [leaf]
    with boa.reverts("Disputes: contested before"):
        case.contest(0, by="utility_a")


def test_a_leaf_is_contested_again_only_after_another(case: Case) -> None:
    """What was contested last is remembered: a utility that goes back to a former leaf may be asked again."""
    market = case.market
    case.contest()
    pass_window(market)
    market.oracle.seal(CYCLE)
    for attempt, leaves, contested in (
        (1, case.leaves, False),
        (2, [replace(leaf, meter_wh=leaf.meter_wh + 1) for leaf in case.leaves], True),
    ):
        tree = post_leaves(market, "utility_b", leaves, run=1, attempt=attempt)
        with boa.env.anchor():
            at_time(deadline(1))
            evidence = [shown(tree, 0, leaves[0], run=1)]
            if contested:
                case.contest(run=1, evidence=evidence)
            with boa.reverts("Disputes: contested before"):
                case.contest(run=1, by="platform_b", evidence=evidence)


def test_other_marks_leave_a_contest_as_it_is(case: Case) -> None:
    case.contest()
    made, subject = boa.env.evm.patch.timestamp, int.from_bytes(preimages.allocation_leaf(case.leaves[0])) >> 80
    utility = member_id(case.market, "utility_b")

    def word() -> int:
        return int(case.market.oracle.side_marks(CYCLE, utility, case.digest(), 1))

    later(HOUR)
    case.demand()
    assert word() == 1 | 1 << 8 | made << 40 | subject << 80
    with boa.env.prank(case.market.addresses["AllocationFaults"]):
        case.market.oracle.mark_twice(CYCLE, 0, utility, case.digest(), 1)
    case.answer()
    assert word() == 1 | 1 << 16 | made << 40 | subject << 80
    at_time(made + CONTEST_TIME - 1)
    with boa.env.anchor():
        case.rule(9)
        assert word() == 1 | 1 << 16 | 1 << 24 | 9 << 64  # the figure takes the contest's place
    later(1)
    with boa.reverts("Disputes: too late to rule"):
        case.rule(9)


def test_a_missing_reading_is_contested_in_each_run(case: Case) -> None:
    with boa.env.anchor():
        market = deploy_trading(SMALL, only=WITH_DISPUTES)
        fresh = Case.__new__(Case)
        Case.__init__(fresh, market)
        missing = replace(fresh.leaves[0], status=2, meter_wh=0, allocated_wh=0)
        boa.env.evm.patch.timestamp = END + HOUR
        fresh.leaves[0] = missing
        fresh.tree = post_leaves(market, "utility_b", fresh.leaves, attempt=2)
        at_time(deadline())
        fresh.contest()
        with boa.reverts("Disputes: contested before"):
            fresh.contest(by="platform_b")
        pass_window(market)
        market.oracle.seal(CYCLE)
        post_leaves(market, "utility_b", fresh.leaves, run=1)
        at_time(deadline(1))
        fresh.contest(run=1, evidence=[shown(fresh.tree, 0, missing, run=1)])


def test_the_newest_tree_is_what_can_be_contested(case: Case) -> None:
    pass_window(case.market)
    case.market.oracle.seal(CYCLE)
    corrected = [replace(leaf, meter_wh=leaf.meter_wh + 1) for leaf in case.leaves]
    tree = post_leaves(case.market, "utility_b", corrected, run=1)
    at_time(deadline(1))
    with boa.reverts("Disputes: not the newest tree"):
        case.contest(run=1)
    newest = shown(tree, 0, corrected[0], run=1)
    with boa.reverts("Disputes: leaf not in the tree"):
        case.contest(run=1, evidence=[replace(newest, leaf=case.leaves[0])])
    case.contest(run=1, evidence=[newest])


def test_contests_end_with_the_window_except_of_what_was_demanded(case: Case) -> None:
    at_time(deadline() + DEMAND_TIME - 1)
    case.demand(0)
    case.answer(0)
    case.demand(2)
    at_time(deadline() + WINDOW - 1)
    with boa.env.anchor():
        case.contest(1)
    later(1)
    with boa.reverts("Disputes: too late to contest"):
        case.contest(1)
    later(DEMAND_TIME - 1)
    case.contest(0)
    with boa.env.anchor():
        case.contest(2, by="platform_b")
    case.contest(2, evidence=[])
    case.market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    later(1)
    for number in (0, 2):
        with boa.reverts("AllocationOracle: no open window"):
            case.contest(number, by="utility_b")


# --- the last run ---


def last_run(case: Case) -> None:
    """Run 0 is sealed, and the window of run 1, the market's last, is open."""
    pass_window(case.market)
    case.market.oracle.seal(CYCLE)
    at_time(deadline(1))
    case.market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)


def test_the_last_seal_waits_for_its_contests(case: Case) -> None:
    market = case.market
    last_run(case)
    case.contest(0, run=1)
    later(HOUR)
    case.contest(1, by="platform_b", run=1)
    newest = boa.env.evm.patch.timestamp
    at_time(deadline(1) + WINDOW)
    assert market.oracle.phase(CYCLE) == 6
    for act in (case.demand, case.contest):
        with boa.reverts("AllocationOracle: no open window"):
            act(2, run=1)  # type: ignore[operator]
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    with boa.env.anchor():  # both end by figures: no more waiting
        case.rule(600)
        with boa.reverts("AllocationOracle: window not over"):
            market.oracle.seal(CYCLE)
        case.agree(500, 1)
        market.oracle.seal(CYCLE)
        assert (case.figure(1, run_shown=[]).wh, case.figure(1, 1, run_shown=[]).wh) == (600, 500)
    at_time(newest + CONTEST_TIME - 1)
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    later(1)
    market.oracle.seal(CYCLE)
    # Silence: as if it had not been made.
    assert case.marks().contested == 0b10
    assert case.figure(1).wh == 2_000
    with boa.reverts("AllocationOracle: no run to come"):
        case.agree(1)


def test_the_last_seal_waits_for_the_newest_contest_of_a_side(case: Case) -> None:
    """Its leaf is contested, then, when nobody shows it, its lack: the arbiters have their time for that one too."""
    market = case.market
    last_run(case)
    case.demand(run=1)
    case.contest(run=1)
    first = boa.env.evm.patch.timestamp
    later(DEMAND_TIME)
    case.contest(run=1, by="platform_b", evidence=[])
    second = boa.env.evm.patch.timestamp
    with boa.env.anchor():  # a side counts once: its figure leaves nothing to wait for
        case.agree(500)
        at_time(deadline(1) + WINDOW + DEMAND_TIME)
        market.oracle.seal(CYCLE)
    for moment in (first + CONTEST_TIME, second + CONTEST_TIME - 1):
        at_time(moment)
        assert market.oracle.phase(CYCLE) == 6
        with boa.reverts("AllocationOracle: window not over"):
            market.oracle.seal(CYCLE)
    with boa.env.anchor():
        case.rule(600)
        market.oracle.seal(CYCLE)
        assert case.figure(1, run_shown=[]).wh == 600
    later(1)
    with boa.reverts("Disputes: too late to rule"):
        case.rule(600)
    market.oracle.seal(CYCLE)


def test_a_contest_of_an_older_run_is_not_among_those_of_the_last(case: Case) -> None:
    """Its figure leaves the count of the last run's contests as it is."""
    market = case.market
    case.contest(0)
    last_run(case)
    case.contest(1, by="platform_b", run=1)
    case.agree(800)
    at_time(deadline(1) + WINDOW)
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    case.agree(700, 1)
    market.oracle.seal(CYCLE)


def test_a_contest_of_both_runs_that_silence_ends(case: Case) -> None:
    """Contested in run 0 and, by another leaf, in the last: silence lets the leaf stand."""
    case.contest(0)
    pass_window(case.market)
    case.market.oracle.seal(CYCLE)
    corrected = [replace(leaf, meter_wh=leaf.meter_wh + 7) for leaf in case.leaves]
    tree = post_leaves(case.market, "utility_b", corrected, run=1)
    at_time(deadline(1))
    newest = shown(tree, 0, corrected[0], run=1)
    case.contest(0, run=1, evidence=[newest])
    case.market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    later(CONTEST_TIME)
    case.market.oracle.seal(CYCLE)
    assert case.marks().contested == 0b11
    assert case.figure(1, run_shown=[newest]).wh == 2_000


def test_a_figure_before_the_last_run_holds_nothing_up(case: Case) -> None:
    case.contest(0)
    last_run(case)
    case.agree(800)
    at_time(deadline(1) + WINDOW)
    case.market.oracle.seal(CYCLE)
    assert case.marks() == SideMarks(contested=1, recorded=800, recorded_run=1)
    assert case.figure(1, run_shown=[]).wh == 800


def test_only_disputes_marks_sides(case: Case) -> None:
    for sender in (case.market.council, case.market.addresses["AllocationFaults"], case.market.addresses["TradeBook"]):
        with boa.env.prank(sender), boa.reverts("AllocationOracle: only Disputes"):
            case.market.oracle.mark_side(CYCLE, bytes(32), bytes(32), 0, 5, 0)
    with boa.env.prank(case.market.addresses["Disputes"]), boa.reverts("AllocationOracle: no run to come"):
        case.market.oracle.mark_side(CYCLE + 5, bytes(32), bytes(32), 0, 5, 0)


def test_paused_time_does_not_count(case: Case) -> None:
    market = case.market
    case.contest()
    made = boa.env.evm.patch.timestamp
    with boa.env.prank(market.guardian):
        market.registry.pause()
    at_time(made + 72 * HOUR)
    case.demand(1)  # the window has stood still
    at_time(made + 72 * HOUR + CONTEST_TIME - 1)
    case.rule(5)
