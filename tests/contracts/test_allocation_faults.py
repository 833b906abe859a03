"""AllocationFaults: wrong leaves void their groups, a side that stands twice is marked, honest leaves are safe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import merkle, preimages
from settlement.config import FIFO
from settlement.hashing import keccak256
from settlement.trade import AllocationLeaf, ShownLeaf, Trade
from tests.contracts.market import Market, at_time
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    END,
    HOUR,
    SLOT,
    batch_of,
    batch_place,
    commit,
    commit_one,
    curtail,
    deadline,
    deploy_trading,
    events,
    leaf_of,
    member_id,
    mine,
    pass_window,
    post_leaves,
    shown,
    trade_of,
)

OTHER = keccak256(b"other")


@pytest.fixture(scope="module")
def deployed() -> Market:
    market = deploy_trading()
    commit(market, batch_of(market, [trade_of(market, number) for number in range(3)]))
    return market


@pytest.fixture
def market(deployed: Market) -> Any:
    """Trades 0 to 2 are committed."""
    with boa.env.anchor():
        yield deployed


def seller_leaves(market: Market, **changes: Any) -> list[AllocationLeaf]:
    """Utility b's leaves of trades 0 to 2, on one meter that read enough; the changes are made to trade 1's."""
    leaves = []
    for number in range(3):
        trade = trade_of(market, number)
        leaf = leaf_of(
            market,
            trade,
            1,
            index=number,
            contracted_before=2_000 * number,
            contracted_total_wh=6_000,
            meter_wh=6_000,
        )
        leaves.append(replace(leaf, **changes) if number == 1 else leaf)
    return leaves


def at_window(market: Market, leaves: list[AllocationLeaf], utility: str = "utility_b") -> merkle.Tree:
    """The utility has posted these leaves, and the window of run 0 is open."""
    at_time(END)
    tree = post_leaves(market, utility, leaves)
    at_time(deadline())
    return tree


def by_rule(market: Market, evidence: ShownLeaf, utility: str = "utility_b") -> None:
    market.faults.void_by_rule(CYCLE, member_id(market, utility), astuple(evidence))


def by_trade(market: Market, evidence: ShownLeaf, trade: Trade, utility: str = "utility_b") -> None:
    market.faults.void_by_trade(CYCLE, member_id(market, utility), astuple(evidence), astuple(trade))


def is_void(market: Market, leaf: AllocationLeaf, utility: str = "utility_b", run: int = 0) -> bool:
    group = preimages.group_key(member_id(market, utility), leaf.meter, leaf.slot_start, leaf.side)
    return bool(market.oracle.void_runs(CYCLE, group) >> run & 1)


# --- wrong by itself ---


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"side": 2}, 11),
        ({"status": 3}, 1),
        ({"status": 2}, 2),
        ({"contracted_total_wh": 3_999}, 3),
        ({"allocated_wh": 2_001}, 4),
        ({"allocated_wh": 1_999}, 5),
    ],
)
def test_void_by_rule(market: Market, changes: dict[str, int], fault: int) -> None:
    leaves = seller_leaves(market, **changes)
    tree = at_window(market, leaves)
    acc = market.oracle.accumulator(CYCLE)
    by_rule(market, shown(tree, 1, leaves[1]))
    utility = member_id(market, "utility_b")
    assert events(market.faults, "FaultProven") == [
        {"cycle": CYCLE, "utility": utility, "run": 0, "fault": fault, "trade_digest": leaves[1].trade_digest}
    ]
    assert is_void(market, leaves[1])
    group = preimages.group_key(utility, leaves[1].meter, SLOT, leaves[1].side)
    assert market.oracle.accumulator(CYCLE) == preimages.accumulate(
        acc, preimages.Act.VOID, 0, boa.env.evm.patch.timestamp, group
    )


def test_fifo_markets_are_judged_by_fifo() -> None:
    """What pro rata gives is wrong here, and what FIFO gives is right."""
    with boa.env.anchor():
        market = deploy_trading(replace(CONFIG, allocation_rule=FIFO))
        commit(market, batch_of(market, [trade_of(market, number) for number in range(3)]))
        leaves = [replace(leaf, meter_wh=3_000) for leaf in seller_leaves(market)]
        shares = (2_000, 1_000, 1_000)
        leaves = [replace(leaf, allocated_wh=share) for leaf, share in zip(leaves, shares, strict=True)]
        tree = at_window(market, leaves)
        for index in (0, 1):
            with boa.reverts("AllocationFaults: no fault"):
                by_rule(market, shown(tree, index, leaves[index]))
        by_rule(market, shown(tree, 2, leaves[2]))
        assert is_void(market, leaves[2])


def test_a_repeated_void_changes_nothing(market: Market) -> None:
    leaves = seller_leaves(market, allocated_wh=0)
    leaves[2] = replace(leaves[2], allocated_wh=1)
    tree = at_window(market, leaves)
    by_rule(market, shown(tree, 1, leaves[1]))
    acc = market.oracle.accumulator(CYCLE)
    for index in (1, 2):  # the same leaf, and another of the same group
        by_rule(market, shown(tree, index, leaves[index]))
        assert events(market.faults, "FaultProven") == []
        assert market.oracle.accumulator(CYCLE) == acc


# --- against the trade ---


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"meter": OTHER}, 7),
        ({"slot_start": SLOT + HOUR}, 8),
        ({"slot_start": SLOT - 5 * DAY}, 8),
        ({"contracted_wh": 1_999, "allocated_wh": 1_999}, 9),
        ({"salt": OTHER}, 10),
    ],
)
def test_void_by_trade(market: Market, changes: dict[str, Any], fault: int) -> None:
    """The group voided is the one written in the leaf, whatever the trade says."""
    leaves = seller_leaves(market, **changes)
    tree = at_window(market, leaves)
    evidence = shown(tree, 1, leaves[1])
    with boa.reverts("AllocationFaults: no fault"):
        by_rule(market, evidence)
    by_trade(market, evidence, trade_of(market, 1))
    [event] = events(market.faults, "FaultProven")
    assert event["fault"] == fault
    assert event["trade_digest"] == leaves[1].trade_digest
    assert is_void(market, leaves[1])
    assert is_void(market, leaves[0]) == ("meter" not in changes and "slot_start" not in changes)


def test_another_utilitys_leaf(market: Market) -> None:
    """Utility a posts the seller side of a trade whose seller is utility b's: its own group is void, b's is not."""
    leaves = seller_leaves(market)
    tree = at_window(market, leaves, "utility_a")
    by_trade(market, shown(tree, 1, leaves[1]), trade_of(market, 1), "utility_a")
    [event] = events(market.faults, "FaultProven")
    assert (event["fault"], event["utility"]) == (6, member_id(market, "utility_a"))
    assert is_void(market, leaves[1], "utility_a")
    assert not is_void(market, leaves[1], "utility_b")


def test_a_leaf_that_ignores_a_curtailment(market: Market) -> None:
    trades = [trade_of(market, number) for number in range(3)]
    batch = batch_of(market, trades)
    place = batch_place(market, 1, batch, trades, 1, boa.env.evm.patch.timestamp)
    curtail(market, place, trades[1], 1_500, ["utility_b"])
    leaves = seller_leaves(market)
    tree = at_window(market, leaves)
    by_trade(market, shown(tree, 1, leaves[1]), trades[1])
    assert events(market.faults, "FaultProven")[0]["fault"] == 9


def test_a_leaf_that_minds_the_curtailment(market: Market) -> None:
    trades = [trade_of(market, number) for number in range(3)]
    batch = batch_of(market, trades)
    place = batch_place(market, 1, batch, trades, 1, boa.env.evm.patch.timestamp)
    curtail(market, place, trades[1], 1_500, ["utility_b"])
    leaves = seller_leaves(market, contracted_wh=1_500, allocated_wh=1_500)
    tree = at_window(market, leaves)
    with boa.reverts("AllocationFaults: no fault"):
        by_trade(market, shown(tree, 1, leaves[1]), trades[1])


def test_the_trade_must_be_the_leafs(market: Market) -> None:
    leaves = seller_leaves(market, meter=OTHER)
    tree = at_window(market, leaves)
    for other in (trade_of(market, 0), replace(trade_of(market, 1), seller_meter=OTHER)):
        with boa.reverts("AllocationFaults: another trade"):
            by_trade(market, shown(tree, 1, leaves[1]), other)


# --- honest leaves, bad proofs, other times ---


def test_honest_leaves_are_safe(market: Market) -> None:
    leaves = seller_leaves(market)
    tree = at_window(market, leaves)
    for index, leaf in enumerate(leaves):
        with boa.reverts("AllocationFaults: no fault"):
            by_rule(market, shown(tree, index, leaf))
        with boa.reverts("AllocationFaults: no fault"):
            by_trade(market, shown(tree, index, leaf), trade_of(market, index))
    assert not is_void(market, leaves[0])


def test_missing_is_no_fault(market: Market) -> None:
    leaves = [replace(leaf, status=2, meter_wh=0, allocated_wh=0) for leaf in seller_leaves(market)]
    tree = at_window(market, leaves)
    with boa.reverts("AllocationFaults: no fault"):
        by_rule(market, shown(tree, 1, leaves[1]))
    with boa.reverts("AllocationFaults: no fault"):
        by_trade(market, shown(tree, 1, leaves[1]), trade_of(market, 1))


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda one: replace(one, root=OTHER), "AllocationFaults: not the posted tree"),
        (lambda one: replace(one, count=one.count + 1), "AllocationFaults: not the posted tree"),
        (lambda one: replace(one, index=0), "AllocationFaults: leaf not in the tree"),
        (lambda one: replace(one, index=one.count), "AllocationFaults: leaf not in the tree"),
        (lambda one: replace(one, path=one.path[1:]), "AllocationFaults: leaf not in the tree"),
        (lambda one: replace(one, path=(OTHER, *one.path[1:])), "AllocationFaults: leaf not in the tree"),
        (lambda one: replace(one, leaf=replace(one.leaf, allocated_wh=7)), "AllocationFaults: leaf not in the tree"),
        (lambda one: replace(one, run=1), "AllocationFaults: another run"),
    ],
)
def test_bad_proofs(market: Market, tamper: Callable[[ShownLeaf], ShownLeaf], reason: str) -> None:
    leaves = seller_leaves(market, allocated_wh=0, meter=OTHER)
    tree = at_window(market, leaves)
    evidence = tamper(shown(tree, 1, leaves[1]))
    with boa.reverts(reason):
        by_rule(market, evidence)
    with boa.reverts(reason):
        by_trade(market, evidence, trade_of(market, 1))


def test_a_tree_that_nobody_posted(market: Market) -> None:
    leaves = seller_leaves(market, allocated_wh=0)
    tree = at_window(market, leaves)
    with boa.reverts("AllocationFaults: not the posted tree"):
        by_rule(market, shown(tree, 1, leaves[1]), "utility_a")


def test_voids_only_in_the_window(market: Market) -> None:
    leaves = seller_leaves(market, allocated_wh=0)
    at_time(END)
    tree = post_leaves(market, "utility_b", leaves)
    evidence = shown(tree, 1, leaves[1])
    at_time(deadline() - 1)
    with boa.reverts("AllocationFaults: no open window"):
        by_rule(market, evidence)
    at_time(deadline())
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    at_time(deadline() + CONFIG.window - 1)
    with boa.env.anchor():
        by_rule(market, evidence)
        assert is_void(market, leaves[1])
    at_time(deadline() + CONFIG.window)
    with boa.reverts("AllocationFaults: no open window"):
        by_rule(market, evidence)
    market.oracle.seal(CYCLE)
    at_time(deadline(1))
    with boa.reverts("AllocationFaults: another run"):
        by_rule(market, evidence)


def test_a_later_run_is_judged_by_its_own_tree(market: Market) -> None:
    tree = at_window(market, seller_leaves(market))
    pass_window(market)
    market.oracle.seal(CYCLE)
    leaves = seller_leaves(market, allocated_wh=0)
    tree = post_leaves(market, "utility_b", leaves, run=1)
    at_time(deadline(1))
    by_rule(market, shown(tree, 1, leaves[1], run=1))
    assert is_void(market, leaves[1], run=1)
    assert not is_void(market, leaves[1], run=0)


def test_a_slot_of_another_cycle_voids_nothing_there(market: Market) -> None:
    """The mark is kept under the tree's cycle: what another cycle has sealed cannot change by it."""
    leaves = seller_leaves(market, slot_start=SLOT - DAY)
    tree = at_window(market, leaves)
    by_trade(market, shown(tree, 1, leaves[1]), trade_of(market, 1))
    group = preimages.group_key(member_id(market, "utility_b"), leaves[1].meter, SLOT - DAY, 1)
    assert market.oracle.void_runs(CYCLE, group) == 1
    assert market.oracle.void_runs(CYCLE - 1, group) == 0


# --- two leaves of one group ---


def by_pair(market: Market, first: ShownLeaf, second: ShownLeaf, utility: str = "utility_b") -> None:
    market.faults.void_by_pair(CYCLE, member_id(market, utility), astuple(first), astuple(second))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"meter_wh": 6_001}, 13),
        ({"contracted_total_wh": 6_001, "meter_wh": 6_000}, 14),
        ({"status": 1}, 15),
        ({"contracted_before": 1_999}, 16),
    ],
)
def test_void_by_pair(market: Market, changes: dict[str, int], fault: int) -> None:
    leaves = seller_leaves(market, **changes)
    tree = at_window(market, leaves)
    first, second = shown(tree, 0, leaves[0]), shown(tree, 1, leaves[1])
    for order in ((first, second), (second, first)):
        with boa.env.anchor():
            by_pair(market, *order)
            utility = member_id(market, "utility_b")
            (proven,) = events(market.faults, "FaultProven")
            assert (proven["utility"], proven["run"], proven["fault"]) == (utility, 0, fault)
            assert is_void(market, leaves[0])
            by_pair(market, *order)
            assert events(market.faults, "FaultProven") == []


def test_fifo_markets_mind_the_order_of_places() -> None:
    with boa.env.anchor():
        market = deploy_trading(replace(CONFIG, allocation_rule=FIFO))
        commit(market, batch_of(market, [trade_of(market, number) for number in range(3)]))
        leaves = seller_leaves(market)
        leaves[0], leaves[1] = (
            replace(leaves[0], contracted_before=2_000),
            replace(leaves[1], contracted_before=0),
        )
        tree = at_window(market, leaves)
        by_pair(market, shown(tree, 0, leaves[0]), shown(tree, 1, leaves[1]))
        assert [one["fault"] for one in events(market.faults, "FaultProven")] == [17]


def test_what_contradicts_nothing(market: Market) -> None:
    leaves = [*seller_leaves(market), replace(seller_leaves(market)[1], side=0)]
    tree = at_window(market, leaves)
    first, second, third, turned = (shown(tree, index, leaf) for index, leaf in enumerate(leaves))
    for one, other in ((first, second), (first, third), (second, third)):
        with boa.reverts("AllocationFaults: no fault"):
            by_pair(market, one, other)
    with boa.reverts("AllocationFaults: the same leaf"):
        by_pair(market, first, first)
    elsewhere = [
        turned,
        *(
            replace(second, leaf=replace(second.leaf, **{name: value}))
            for name, value in (("meter", OTHER), ("slot_start", SLOT + HOUR))
        ),
    ]
    for other in elsewhere:
        with boa.reverts("AllocationFaults: two groups"):
            by_pair(market, first, other)
    bad = replace(second, leaf=replace(second.leaf, status=1))
    for pair in ((first, bad), (bad, first), (first, replace(second, index=2))):
        with boa.reverts("AllocationFaults: leaf not in the tree"):
            by_pair(market, *pair)
    with boa.reverts("AllocationFaults: another run"):
        by_pair(market, first, replace(second, run=1))
    with boa.reverts("AllocationFaults: not the posted tree"):
        by_pair(market, first, second, "utility_a")
    at_time(END + DAY + DAY)
    pass_window(market)
    market.oracle.seal(CYCLE)
    with boa.reverts("AllocationFaults: no open window"):
        by_pair(market, first, second)


# --- twice ---


def twice(market: Market, first: ShownLeaf, second: ShownLeaf, utility: str = "utility_b") -> None:
    market.faults.mark_twice(CYCLE, member_id(market, utility), astuple(first), astuple(second))


def double(market: Market) -> list[AllocationLeaf]:
    """Utility b's leaves with a second, smaller one of trade 1."""
    leaves = seller_leaves(market)
    return [*leaves, replace(leaves[1], index=9, contracted_wh=5, allocated_wh=5)]


def test_mark_twice(market: Market) -> None:
    leaves = double(market)
    tree = at_window(market, leaves)
    acc = market.oracle.accumulator(CYCLE)
    first, second = shown(tree, 1, leaves[1]), shown(tree, 3, leaves[3])
    twice(market, first, second)
    utility = member_id(market, "utility_b")
    assert events(market.faults, "FaultProven") == [
        {"cycle": CYCLE, "utility": utility, "run": 0, "fault": 12, "trade_digest": leaves[1].trade_digest}
    ]
    assert market.oracle.side_marks(CYCLE, utility, leaves[1].trade_digest, 1) == 1 << 16
    assert market.oracle.accumulator(CYCLE) == acc
    twice(market, second, first)
    assert events(market.faults, "FaultProven") == []


def test_mark_twice_after_the_seal(market: Market) -> None:
    leaves = double(market)
    tree = at_window(market, leaves)
    pass_window(market)
    market.oracle.seal(CYCLE)
    inputs = market.oracle.inputs(CYCLE, 0)
    at_time(END + 300 * DAY)
    twice(market, shown(tree, 1, leaves[1]), shown(tree, 3, leaves[3]))
    utility = member_id(market, "utility_b")
    assert market.oracle.side_marks(CYCLE, utility, leaves[1].trade_digest, 1) == 1 << 16
    assert market.oracle.inputs(CYCLE, 0) == inputs


def test_a_tree_that_can_be_replaced_is_not_marked(market: Market) -> None:
    """A mark would hit the tree of a later attempt, which may be honest."""
    leaves = double(market)
    at_time(END)
    tree = post_leaves(market, "utility_b", leaves)
    with boa.reverts("AllocationFaults: tree not final"):
        twice(market, shown(tree, 1, leaves[1]), shown(tree, 3, leaves[3]))
    honest = seller_leaves(market)
    post_leaves(market, "utility_b", honest, attempt=2)
    at_time(deadline())
    with boa.reverts("AllocationFaults: not the posted tree"):
        twice(market, shown(tree, 1, leaves[1]), shown(tree, 3, leaves[3]))


def test_another_utilitys_tree_marks_nothing_of_ours(market: Market) -> None:
    """A utility can fill its own tree with leaves of foreign trades; the side's own utility keeps its leaf."""
    leaves = double(market)
    at_time(END)
    post_leaves(market, "utility_b", seller_leaves(market))
    tree = at_window(market, leaves, "utility_c")
    twice(market, shown(tree, 1, leaves[1]), shown(tree, 3, leaves[3]), "utility_c")
    digest = leaves[1].trade_digest
    assert market.oracle.side_marks(CYCLE, member_id(market, "utility_c"), digest, 1) == 1 << 16
    assert market.oracle.side_marks(CYCLE, member_id(market, "utility_b"), digest, 1) == 0


def test_what_is_not_twice(market: Market) -> None:
    leaves = double(market)
    leaves[2] = replace(leaves[1], side=0)
    tree = at_window(market, leaves)
    zero, one, turned, again = (shown(tree, index, leaf) for index, leaf in enumerate(leaves))
    with boa.reverts("AllocationFaults: one leaf"):
        twice(market, one, one)
    for other in (zero, turned):  # another trade, the other side
        with boa.reverts("AllocationFaults: two sides"):
            twice(market, one, other)
    with boa.reverts("AllocationFaults: two runs"):
        twice(market, one, replace(again, run=1))
    for bad in (replace(again, leaf=replace(again.leaf, allocated_wh=1)), replace(again, index=2)):
        with boa.reverts("AllocationFaults: leaf not in the tree"):
            twice(market, one, bad)
        with boa.reverts("AllocationFaults: leaf not in the tree"):
            twice(market, bad, one)
    with boa.reverts("AllocationFaults: not the posted tree"):
        twice(market, one, again, "utility_a")
    with boa.reverts("AllocationFaults: not the posted tree"):
        twice(market, one, replace(again, root=OTHER))
    # A run that nobody could post in yet.
    with boa.reverts("AllocationFaults: not the posted tree"):
        twice(market, replace(one, run=3), replace(again, run=3))


def test_two_trades_of_one_meter_are_no_fault(market: Market) -> None:
    """A single trade, honest on both sides, survives every attack."""
    trade, _ = commit_one(market, trade_of(market, 7))
    leaf = leaf_of(market, trade, 0)
    tree = at_window(market, [leaf], "utility_a")
    with boa.reverts("AllocationFaults: no fault"):
        by_rule(market, shown(tree, 0, leaf), "utility_a")
    with boa.reverts("AllocationFaults: no fault"):
        by_trade(market, shown(tree, 0, leaf), trade, "utility_a")
    with boa.reverts("AllocationFaults: leaf not in the tree"):
        twice(market, shown(tree, 0, leaf), replace(shown(tree, 0, leaf), index=1), "utility_a")
