"""What those who look do about a posted tree: every proof, demand and contest there is, tried on the chain.

Nothing here decides whether something is wrong. Each fault is claimed of each leaf, or pair, that was touched, and the
contract says; the Python rules are asked as well and must agree with it. A leaf that cannot be shown is demanded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from itertools import combinations
from typing import Any

from settlement import preimages
from settlement.faults import conflict_of, fault_by_rule, fault_by_trade, is_twice, same_group
from settlement.hashing import keccak256
from settlement.trade import AllocationLeaf, Contest, Demand, ShownLeaf, Trade
from tests.contracts.completeness.honest import HonestCycle, attempt
from tests.contracts.trading import CYCLE, shown

EVIDENCE = keccak256(b"what the victim knows")


class Watcher:
    """Looks at one utility's tree of one run, of which it knows every leaf."""

    def __init__(self, cycle: HonestCycle, utility: str, run: int) -> None:
        self.cycle, self.utility, self.run = cycle, utility, run
        self.id = cycle.scene.id(utility)
        self.tree, self.leaves = cycle.scene.posted[utility, run]
        self.rule = cycle.market.config.allocation_rule

    def shown(self, place: int) -> ShownLeaf:
        """A leaf with its proof."""
        return shown(self.tree, place, self.leaves[place], self.run)

    def prove(self, touched: Iterable[int]) -> set[str]:
        """Claims every fault of these leaves, and of each with any other one; says which were proven."""
        places = sorted(set(touched))
        found: set[str] = set()
        for place in places:
            found |= self._prove_alone(place)
        others = range(len(self.leaves))
        pairs = {tuple(sorted((place, other))) for place in places for other in others if place != other}
        for first, second in sorted(pairs):
            found |= self._prove_of_two(first, second)
        return found

    def prove_everything(self) -> set[str]:
        """Claims every fault of every leaf and of every two leaves, in either order; and that a leaf is two."""
        found = self.prove(range(len(self.leaves)))
        faults = self.cycle.market.faults
        for place in range(len(self.leaves)):
            twice = CYCLE, self.id, astuple(self.shown(place)), astuple(self.shown(place))
            assert attempt(faults, "void_by_pair", *twice) == "AllocationFaults: the same leaf"
            assert attempt(faults, "mark_twice", *twice) == "AllocationFaults: one leaf"
        for first, second in combinations(range(len(self.leaves)), 2):
            found |= self._prove_of_two(second, first)
        return found

    def _prove_alone(self, place: int) -> set[str]:
        leaf, argument = self.leaves[place], astuple(self.shown(place))
        found = set()
        fault = fault_by_rule(leaf, self.rule)
        refusal = attempt(self.cycle.market.faults, "void_by_rule", CYCLE, self.id, argument)
        assert refusal == ("" if fault else "AllocationFaults: no fault"), (refusal, fault)
        if not refusal:
            found.add(f"void by rule ({fault:d})")
        trade = self._trade_of(leaf)
        if trade is not None and leaf.side <= 1:
            fault = fault_by_trade(leaf, self.id, self.cycle.scene.placed(trade), CYCLE)
            refusal = attempt(self.cycle.market.faults, "void_by_trade", CYCLE, self.id, argument, astuple(trade))
            assert refusal == ("" if fault else "AllocationFaults: no fault"), (refusal, fault)
            if not refusal:
                found.add(f"void by trade ({fault:d})")
        return found

    def _prove_of_two(self, first: int, second: int) -> set[str]:
        leaves = self.leaves[first], self.leaves[second]
        arguments = astuple(self.shown(first)), astuple(self.shown(second))
        faults, found = self.cycle.market.faults, set()
        conflict = conflict_of(*leaves, self.rule)
        refusal = attempt(faults, "void_by_pair", CYCLE, self.id, *arguments)
        expected = "AllocationFaults: two groups"
        if same_group(*leaves):
            expected = "" if conflict else "AllocationFaults: no fault"
        assert refusal == expected, (refusal, conflict)
        if not refusal:
            found.add(f"void by pair ({conflict:d})")
        refusal = attempt(faults, "mark_twice", CYCLE, self.id, *arguments)
        assert refusal == ("" if is_twice(*leaves) else "AllocationFaults: two sides"), refusal
        if not refusal:
            found.add("twice")
        return found

    def _trade_of(self, leaf: AllocationLeaf) -> Trade | None:
        """The trade that a leaf names, where anybody knows it."""
        return next((one for one in self.cycle.trades if self.cycle.scene.digest(one) == leaf.trade_digest), None)

    def demand(self) -> set[str]:
        """Demands the leaf of every side of this utility that the posted tree cannot show; says whether any was."""
        posted = self.cycle.market.oracle.posted(CYCLE, self.run, self.id)
        found = set()
        for trade in self.cycle.trades:
            for side in (0, 1):
                if self.cycle.utility(trade, side) == self.utility and not self._can_show(trade, side, posted):
                    assert demand(self.cycle, trade, side, self.run) == ""
                    found.add("demand")
        return found

    def contest(self, trade: Trade) -> set[str]:
        """Contests a trade's sides at this utility; says whether any could be."""
        sides = [side for side in (0, 1) if self.cycle.utility(trade, side) == self.utility]
        return {"contest" for side in sides if contest(self.cycle, trade, side, self.run) == ""}

    def _can_show(self, trade: Trade, side: int, posted: bytes) -> bool:
        if preimages.posted_tree(self.tree.root, self.tree.count) != posted:
            return False
        digest = self.cycle.scene.digest(trade)
        return any(leaf.trade_digest == digest and leaf.side == side for leaf in self.leaves)


def demand(cycle: HonestCycle, trade: Trade, side: int, run: int) -> str:
    """The buyer's platform demands a side's leaf; why it may not, or nothing."""
    member = trade.buyer_platform
    said = Demand(CYCLE, run, member, cycle.scene.digest(trade), side)
    return attempt(
        cycle.market.disputes,
        "demand",
        astuple(said),
        cycle.market.sign(cycle.scene.name(member), said),
        [],
        astuple(cycle.scene.place(trade)),
        astuple(trade),
        _of_utility(cycle, trade, side),
        [],
    )


def contest(cycle: HonestCycle, trade: Trade, side: int, run: int) -> str:
    """The buyer's platform contests what a side's leaf says; why it may not, or nothing."""
    member = trade.buyer_platform
    said = Contest(CYCLE, run, member, cycle.scene.digest(trade), side, EVIDENCE)
    return attempt(
        cycle.market.disputes,
        "contest",
        astuple(said),
        cycle.market.sign(cycle.scene.name(member), said),
        [],
        astuple(cycle.scene.place(trade)),
        astuple(trade),
        _of_utility(cycle, trade, side),
        [astuple(cycle.scene.shown(trade, side, run))],
    )


def _of_utility(cycle: HonestCycle, trade: Trade, side: int) -> Any:
    """The signature of a side's utility on the trade."""
    return cycle.market.sign(cycle.utility(trade, side), trade)


def answer(cycle: HonestCycle, trade: Trade, side: int, leaf: Any) -> str:
    """Anybody shows a demanded leaf; why it is none, or nothing."""
    return attempt(cycle.market.disputes, "answer", CYCLE, astuple(trade), side, astuple(leaf))


__all__ = ["Watcher", "answer", "contest", "demand"]
