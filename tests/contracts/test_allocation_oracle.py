"""AllocationOracle: intake, windows, seals, what is accumulated, marks."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import merkle, preimages, typed_data
from settlement.hashing import ZERO_HASH, keccak256
from settlement.preimages import Act
from tests.contracts.market import NO_SIGNATURE, Market, at_time
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    END,
    HOUR,
    MORNING,
    SLOT,
    allocation_of,
    commit_one,
    deadline,
    deploy_trading,
    events,
    member_id,
    mine,
    pass_window,
    pause,
    post,
    resume,
    trade_of,
    use_wallet,
    wallet_bytes,
)

UNUSED, DELIVERY, INTAKE, WINDOW, SEALABLE, COMPLETE = range(6)
METER, DIGEST = keccak256(b"meter"), keccak256(b"digest")


@pytest.fixture(scope="module")
def deployed() -> Market:
    market = deploy_trading()
    commit_one(market)
    return market


@pytest.fixture
def market(deployed: Market) -> Any:
    """One trade is committed in the cycle; it is the morning before."""
    with boa.env.anchor():
        yield deployed


def phase(market: Market) -> int:
    return int(market.oracle.phase(CYCLE))


def seal_next(market: Market) -> int:
    """From the intake of the next run to its seal; returns the time of the seal."""
    run = market.oracle.sealed_runs(CYCLE)
    time = deadline(run)
    if run:
        time = max(time, market.oracle.sealed_at(CYCLE, run - 1) + CONFIG.least_intake)
    at_time(time)
    pass_window(market)
    market.oracle.seal(CYCLE)
    return int(boa.env.evm.patch.timestamp)


# --- phases ---


def test_phases_of_the_first_run(market: Market) -> None:
    assert market.oracle.phase(CYCLE + 1) == UNUSED
    assert market.oracle.config_version(CYCLE + 1) == 0
    assert market.oracle.config_version(CYCLE) == 1
    assert phase(market) == DELIVERY
    at_time(END - 1)
    assert phase(market) == DELIVERY
    at_time(END)
    assert phase(market) == INTAKE
    at_time(deadline() - 1)
    assert phase(market) == INTAKE
    at_time(deadline())
    assert phase(market) == WINDOW
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    at_time(deadline() + CONFIG.window - 1)
    assert phase(market) == WINDOW
    at_time(deadline() + CONFIG.window)
    assert phase(market) == SEALABLE
    market.oracle.seal(CYCLE)
    assert phase(market) == INTAKE
    assert market.oracle.sealed_runs(CYCLE) == 1


def test_a_window_has_its_blocks_too(market: Market) -> None:
    """Time alone ends no window: nobody opened it, or too few blocks have passed since."""
    at_time(deadline() + 2 * CONFIG.window)
    assert phase(market) == WINDOW
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    market.oracle.open_window(CYCLE)
    opened = boa.env.evm.patch.block_number
    assert events(market.oracle, "WindowOpened") == [{"cycle": CYCLE, "run": 0, "block_number": opened}]
    mine(CONFIG.window_blocks - 1)
    assert phase(market) == WINDOW
    mine(1)
    assert phase(market) == SEALABLE
    market.oracle.seal(CYCLE)


def test_open_window_once_and_in_time(market: Market) -> None:
    at_time(deadline() - 1)
    with boa.reverts("AllocationOracle: not in the window"):
        market.oracle.open_window(CYCLE)
    at_time(deadline())
    market.oracle.open_window(CYCLE)
    with boa.reverts("AllocationOracle: window already open"):
        market.oracle.open_window(CYCLE)
    pass_window(market, opened=True)
    with boa.reverts("AllocationOracle: not in the window"):
        market.oracle.open_window(CYCLE)
    with boa.reverts("AllocationOracle: not in the window"):
        market.oracle.open_window(CYCLE + 1)


def test_the_least_intake_after_a_late_seal(market: Market) -> None:
    """Run 0 is sealed after the deadline of run 1, whose intake is then the least one."""
    at_time(deadline(1) + DAY)
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    market.oracle.seal(CYCLE)
    sealed = boa.env.evm.patch.timestamp
    assert market.oracle.sealed_at(CYCLE, 0) == sealed
    assert phase(market) == INTAKE
    at_time(sealed + CONFIG.least_intake - 1)
    assert phase(market) == INTAKE
    at_time(sealed + CONFIG.least_intake)
    assert phase(market) == WINDOW
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    at_time(sealed + CONFIG.least_intake + CONFIG.window - 1)
    assert phase(market) == WINDOW
    at_time(sealed + CONFIG.least_intake + CONFIG.window)
    assert phase(market) == SEALABLE


def test_a_later_deadline_counts_from_the_cycles_end(market: Market) -> None:
    seal_next(market)
    at_time(deadline(1) - 1)
    assert phase(market) == INTAKE
    at_time(deadline(1))
    assert phase(market) == WINDOW
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    at_time(deadline(1) + CONFIG.window - 1)
    assert phase(market) == WINDOW
    at_time(deadline(1) + CONFIG.window)
    assert phase(market) == SEALABLE


def test_all_runs(market: Market) -> None:
    for run in range(len(CONFIG.run_deadlines)):
        assert market.oracle.sealed_runs(CYCLE) == run
        time = seal_next(market)
        assert market.oracle.sealed_at(CYCLE, run) == time
    assert phase(market) == COMPLETE
    assert market.oracle.sealed_runs(CYCLE) == 4
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    with boa.reverts("AllocationOracle: not in the intake"):
        post(market, "utility_a", allocation_of(market, "utility_a", run=4))
    assert market.oracle.inputs(CYCLE, 4) == ZERO_HASH
    assert len(market.oracle.side_view(CYCLE, 4, b"\1" * 32, b"\2" * 32, DIGEST, 0).posted) == 4


# --- pauses ---


def test_paused_time_does_not_count(market: Market) -> None:
    """A day of pause during the intake moves the deadline by a day; half a day in the window moves its end too."""
    at_time(END)
    pause(market)
    at_time(deadline())
    assert phase(market) == INTAKE
    at_time(END + DAY)
    resume(market)
    at_time(deadline() + DAY - 1)
    assert phase(market) == INTAKE
    at_time(deadline() + DAY)
    assert phase(market) == WINDOW
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    at_time(END + 8 * DAY)
    assert phase(market) == SEALABLE


def test_a_pause_in_the_window(market: Market) -> None:
    at_time(deadline())
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    at_time(deadline() + HOUR)
    pause(market)
    at_time(deadline() + CONFIG.window)
    assert phase(market) == WINDOW
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    at_time(deadline() + CONFIG.window + 10 * HOUR)
    resume(market)
    time = boa.env.evm.patch.timestamp + CONFIG.window - HOUR
    at_time(time - 1)
    assert phase(market) == WINDOW
    at_time(time)
    assert phase(market) == SEALABLE


def test_a_window_that_ran_its_time_is_sealed_while_paused(market: Market) -> None:
    at_time(deadline())
    pass_window(market)
    pause(market)
    market.oracle.seal(CYCLE)
    with boa.reverts("AllocationOracle: paused"):
        post(market, "utility_a", allocation_of(market, "utility_a", run=1))


def test_a_pause_after_the_seal_lengthens_the_least_intake(market: Market) -> None:
    at_time(deadline(1) + DAY)
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    market.oracle.seal(CYCLE)
    sealed = boa.env.evm.patch.timestamp
    at_time(sealed + HOUR)
    pause(market)
    at_time(sealed + 3 * HOUR)
    resume(market)
    at_time(sealed + 2 * HOUR + CONFIG.least_intake - 1)
    assert phase(market) == INTAKE
    at_time(sealed + 2 * HOUR + CONFIG.least_intake)
    assert phase(market) == WINDOW


# --- posting ---


def test_post(market: Market) -> None:
    at_time(END)
    before = market.oracle.accumulator(CYCLE)
    allocation = post(market, "utility_a")
    struct_hash = typed_data.struct_hash(allocation)
    utility = member_id(market, "utility_a")
    assert events(market.oracle, "AllocationPosted") == [
        {
            "cycle": CYCLE,
            "utility": utility,
            "run": 0,
            "attempt": 1,
            "root": allocation.root,
            "count": 3,
            "struct_hash": struct_hash,
        }
    ]
    assert market.oracle.posted(CYCLE, 0, utility) == preimages.posted_tree(allocation.root, 3)
    assert market.oracle.posted(CYCLE, 1, utility) == ZERO_HASH
    assert market.oracle.accumulator(CYCLE) == preimages.accumulate(before, Act.ALLOCATION, 0, END, struct_hash)


def test_attempts_rise_and_replace(market: Market) -> None:
    utility = member_id(market, "utility_a")
    at_time(END)
    with boa.reverts("AllocationOracle: attempt not higher"):
        post(market, "utility_a", allocation_of(market, "utility_a", attempt=0))
    for attempt, root in ((1, b"\1" * 32), (2, b"\2" * 32), (7, b"\3" * 32)):
        before = market.oracle.accumulator(CYCLE)
        allocation = post(market, "utility_a", allocation_of(market, "utility_a", root, attempt=attempt))
        assert market.oracle.posted(CYCLE, 0, utility) == preimages.posted_tree(root, 3)
        act = preimages.accumulate(before, Act.ALLOCATION, 0, END + 0, typed_data.struct_hash(allocation))
        assert market.oracle.accumulator(CYCLE) == act
        for stale in range(attempt + 1):
            with boa.reverts("AllocationOracle: attempt not higher"):
                post(market, "utility_a", allocation_of(market, "utility_a", attempt=stale))
    post(market, "utility_b")  # attempts are each utility's own


def test_a_first_attempt_may_be_a_later_one(market: Market) -> None:
    at_time(END)
    post(market, "utility_a", allocation_of(market, "utility_a", attempt=2**32 - 1))
    with boa.reverts("AllocationOracle: attempt not higher"):
        post(market, "utility_a", allocation_of(market, "utility_a", attempt=2**32 - 2))


def test_attempts_begin_anew_in_each_run(market: Market) -> None:
    at_time(END)
    post(market, "utility_a", allocation_of(market, "utility_a", attempt=3))
    seal_next(market)
    post(market, "utility_a", allocation_of(market, "utility_a", run=1))
    with boa.reverts("AllocationOracle: another run"):
        post(market, "utility_a", allocation_of(market, "utility_a", attempt=9))
    with boa.reverts("AllocationOracle: another run"):
        post(market, "utility_a", allocation_of(market, "utility_a", run=2))


def test_posting_has_its_time(market: Market) -> None:
    at_time(END - 1)
    with boa.reverts("AllocationOracle: not in the intake"):
        post(market, "utility_a")
    at_time(deadline() - 1)
    post(market, "utility_a")
    at_time(deadline())
    with boa.reverts("AllocationOracle: not in the intake"):
        post(market, "utility_a", allocation_of(market, "utility_a", attempt=2))
    with boa.reverts("AllocationOracle: not in the intake"):
        post(market, "utility_a", replace(allocation_of(market, "utility_a"), cycle=CYCLE + 1))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"root": ZERO_HASH}, "AllocationOracle: zero root"),
        ({"root": ZERO_HASH, "count": 0}, "AllocationOracle: zero root"),
        ({"count": 2**24 + 1}, "AllocationOracle: too many leaves"),
        ({"count": 0}, "AllocationOracle: root and count differ"),
        ({"root": merkle.EMPTY_ROOT}, "AllocationOracle: root and count differ"),
        ({"config_digest": keccak256(b"another")}, "AllocationOracle: another config"),
        ({"utility": keccak256(b"stranger")}, "AllocationOracle: not a utility"),
    ],
)
def test_refused_allocations(market: Market, changes: dict[str, Any], reason: str) -> None:
    at_time(END)
    with boa.reverts(reason):
        post(market, "utility_a", replace(allocation_of(market, "utility_a"), **changes))


def test_the_empty_tree_and_the_largest(market: Market) -> None:
    at_time(END)
    post(market, "utility_a", allocation_of(market, "utility_a", merkle.EMPTY_ROOT, 0))
    post(market, "utility_b", allocation_of(market, "utility_b", count=2**24))


def test_only_the_utility_signs(market: Market) -> None:
    at_time(END)
    allocation = allocation_of(market, "utility_a")
    v, r, s = market.sign("utility_a", allocation)
    for bad in (market.sign("utility_b", allocation), (v ^ 1, r, s), (29, r, s), astuple(NO_SIGNATURE)):
        with boa.reverts("AllocationOracle: wrong signature"):
            market.oracle.post(astuple(allocation), bad, [])
    with boa.reverts("AllocationOracle: wrong signature"):
        market.oracle.post(astuple(replace(allocation, attempt=2)), (v, r, s), [])
    with boa.reverts("AllocationOracle: not a utility"):
        post(market, "platform_a", allocation_of(market, "platform_a"))


def test_a_suspended_utility_still_allocates(market: Market) -> None:
    with boa.env.prank(market.council):
        market.registry.suspend(member_id(market, "utility_a"), True)
    at_time(END)
    post(market, "utility_a")


def test_a_contract_utility_posts(market: Market) -> None:
    at_time(END)
    use_wallet(market, "utility_a")
    allocation = allocation_of(market, "utility_a")
    answer = wallet_bytes(market, "utility_a", allocation)
    empty = astuple(NO_SIGNATURE)
    for signature, wallets in ((empty, []), (empty, [b"\0" * 65]), (market.sign("utility_a", allocation), [answer])):
        with boa.reverts("AllocationOracle: wrong signature"):
            market.oracle.post(astuple(allocation), signature, wallets)
    market.oracle.post(astuple(allocation), empty, [answer])


def test_the_cycle_keeps_its_config(market: Market) -> None:
    """What the council sets later has other deadlines and another digest; this cycle knows nothing of it."""
    with boa.env.prank(market.council):
        market.registry.set_config(astuple(replace(CONFIG, run_deadlines=(6 * HOUR, 20 * DAY))))
    at_time(deadline() - 1)
    assert phase(market) == INTAKE
    digest = market.registry.config_digest(2)
    with boa.reverts("AllocationOracle: another config"):
        post(market, "utility_a", replace(allocation_of(market, "utility_a"), config_digest=digest))
    post(market, "utility_a")


# --- seals ---


def test_inputs_chain_everything_that_happened(market: Market) -> None:
    first = market.oracle.accumulator(CYCLE)
    commit_one(market, trade_of(market, 1))
    acc = preimages.accumulate(first, Act.COMMITMENT, 2, MORNING, market.book.commitment(2))
    assert market.oracle.accumulator(CYCLE) == acc
    at_time(END + HOUR)
    allocation = post(market, "utility_a")
    acc = preimages.accumulate(acc, Act.ALLOCATION, 0, END + HOUR, typed_data.struct_hash(allocation))
    at_time(deadline())
    utility = member_id(market, "utility_a")
    with boa.env.prank(market.addresses["AllocationFaults"]):
        assert market.oracle.mark_void(CYCLE, 0, utility, METER, SLOT, 1)
    group = preimages.group_key(utility, METER, SLOT, 1)
    acc = preimages.accumulate(acc, Act.VOID, 0, deadline(), group)
    assert market.oracle.accumulator(CYCLE) == acc
    pass_window(market)
    market.oracle.seal(CYCLE)
    inputs = preimages.sealed_inputs(market.config.digest(), acc)
    assert events(market.oracle, "RunSealed") == [{"cycle": CYCLE, "run": 0, "inputs": inputs, "accumulator": acc}]
    assert market.oracle.inputs(CYCLE, 0) == inputs
    assert market.oracle.accumulator(CYCLE) == ZERO_HASH
    # A run in which nothing happened is sealed as it is.
    seal_next(market)
    again = preimages.sealed_inputs(inputs, ZERO_HASH)
    assert market.oracle.inputs(CYCLE, 1) == again
    assert market.oracle.inputs(CYCLE, 0) == inputs


# --- marks ---


def test_void_is_marked_once(market: Market) -> None:
    utility = member_id(market, "utility_a")
    group = preimages.group_key(utility, METER, SLOT, 1)
    with boa.env.prank(market.addresses["AllocationFaults"]):
        assert market.oracle.mark_void(CYCLE, 0, utility, METER, SLOT, 1)
        fields = {"cycle": CYCLE, "utility": utility, "run": 0, "meter": METER, "slot_start": SLOT, "side": 1}
        assert events(market.oracle, "GroupVoided") == [fields]
        acc = market.oracle.accumulator(CYCLE)
        assert not market.oracle.mark_void(CYCLE, 0, utility, METER, SLOT, 1)
        assert events(market.oracle, "GroupVoided") == []
        assert market.oracle.accumulator(CYCLE) == acc
        assert market.oracle.mark_void(CYCLE, 2, utility, METER, SLOT, 1)
    assert market.oracle.void_runs(CYCLE, group) == 0b101
    assert market.oracle.void_runs(CYCLE + 1, group) == 0


def test_twice_is_marked_once_and_not_accumulated(market: Market) -> None:
    utility = member_id(market, "utility_a")
    acc = market.oracle.accumulator(CYCLE)
    with boa.env.prank(market.addresses["AllocationFaults"]):
        assert market.oracle.mark_twice(CYCLE, 1, utility, DIGEST, 1)
        [event] = events(market.oracle, "SideMarked")
        assert event == {
            "cycle": CYCLE,
            "trade_digest": DIGEST,
            "utility": utility,
            "run": 1,
            "side": 1,
            "kind": 9,
            "wh": 0,
        }
        assert not market.oracle.mark_twice(CYCLE, 1, utility, DIGEST, 1)
        assert events(market.oracle, "SideMarked") == []
        assert market.oracle.mark_twice(CYCLE, 3, utility, DIGEST, 1)
    assert market.oracle.side_marks(CYCLE, utility, DIGEST, 1) == 0b1010 << 16
    for other in (
        (CYCLE, utility, DIGEST, 0),
        (CYCLE, member_id(market, "utility_b"), DIGEST, 1),
        (CYCLE + 1, utility, DIGEST, 1),
    ):
        assert market.oracle.side_marks(*other) == 0
    assert market.oracle.accumulator(CYCLE) == acc


def test_side_view(market: Market) -> None:
    utility = member_id(market, "utility_a")
    group = preimages.group_key(utility, METER, SLOT, 1)
    at_time(END)
    post(market, "utility_a", allocation_of(market, "utility_a", b"\1" * 32, 5))
    with boa.env.prank(market.addresses["AllocationFaults"]):
        market.oracle.mark_void(CYCLE, 0, utility, METER, SLOT, 1)
        market.oracle.mark_twice(CYCLE, 0, utility, DIGEST, 1)
    tree = preimages.posted_tree(b"\1" * 32, 5)
    view = market.oracle.side_view(CYCLE, 1, utility, group, DIGEST, 1)
    assert (list(view.posted), view.void_runs, view.marks) == ([tree], 1, 1 << 16)
    seal_next(market)
    seal_next(market)
    post(market, "utility_a", allocation_of(market, "utility_a", b"\2" * 32, 6, run=2))
    for run, length in ((0, 1), (1, 2), (2, 3), (3, 3), (2**32 - 1, 3)):
        view = market.oracle.side_view(CYCLE, run, utility, group, DIGEST, 1)
        assert list(view.posted) == [tree, ZERO_HASH, preimages.posted_tree(b"\2" * 32, 6)][:length]
    nothing = market.oracle.side_view(CYCLE, 2, member_id(market, "utility_b"), group, DIGEST, 0)
    assert (list(nothing.posted), nothing.marks) == ([ZERO_HASH] * 3, 0)


def test_only_its_contracts_record_and_mark(market: Market) -> None:
    for caller in (market.council, market.guardian, market.members["utility_a"].address):
        with boa.env.prank(caller):
            with boa.reverts("AllocationOracle: only TradeBook"):
                market.oracle.record_commitment(CYCLE, 2, DIGEST)
            with boa.reverts("AllocationOracle: only TradeBook curtails"):
                market.oracle.record_curtailment(CYCLE, 1, DIGEST)
            with boa.reverts("AllocationOracle: only AllocationFaults"):
                market.oracle.mark_void(CYCLE, 0, DIGEST, METER, SLOT, 0)
            with boa.reverts("AllocationOracle: only AllocationFaults marks"):
                market.oracle.mark_twice(CYCLE, 0, DIGEST, DIGEST, 0)
