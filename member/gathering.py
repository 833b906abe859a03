"""Gathering leaves: a member fetches the leaves of its own trades in every allocation that is posted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from chain.evidence import Evidence
from member.board import Waiting
from member.daemon import Daemon
from member.errors import PeerRefused, PeerSilent
from member.market import PostedTree
from settlement.documents import value_of
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from settlement.placed import Side
from store.records import ServedLeaf

NOT_READY: Final = ("allocation-unknown", "try-again")
"""What a utility says that has posted, but does not know it yet."""

Sides = frozenset[tuple[Hash32, int]]
"""Trade digests with a side."""


class Gathering:
    """The stage that fetches leaves from the utilities that serve them."""

    name = "leaves"

    def __init__(self, daemon: Daemon[Any]) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._complete: dict[tuple[int, int, Hash32, Hash32], Sides] = {}  # by cycle, run, utility and root
        self._nothing_missing: dict[int, tuple[Evidence, int]] = {}  # by cycle, as of which state of chain and desk

    def run(self) -> bool:
        """Asks once for what is missing."""
        did = False
        waiting: list[Waiting] = []
        for cycle in self._market.cycles():
            evidence, changes = self._market.cycle(cycle), self._daemon.store.changes(cycle)
            seen = self._nothing_missing.get(cycle)
            if seen is not None and seen[0] is evidence and seen[1] == changes:
                continue
            before = len(waiting)
            for run, utility in self._postings(cycle):
                if self._daemon.is_stopping:
                    return did
                posted = self._market.posted(cycle, run, utility)
                if posted is not None and utility != self._daemon.me.id:
                    did |= self._gather(cycle, run, utility, posted, waiting)
            if len(waiting) == before:
                self._nothing_missing[cycle] = evidence, changes
        self._daemon.waits(self.name, waiting)
        return did

    def _postings(self, cycle: int) -> Sequence[tuple[int, Hash32]]:
        return sorted({(one["run"], one["utility"]) for one in self._market.cycle(cycle).of("AllocationPosted")})

    def _gather(self, cycle: int, run: int, utility: Hash32, posted: PostedTree, waiting: list[Waiting]) -> bool:
        key = cycle, run, utility, posted.root
        wanted = self._wanted(cycle, utility)
        if self._complete.get(key) == wanted:
            return False
        lacking = wanted - _sides(self._kept(cycle, run, utility, posted))
        did = False
        if lacking:
            try:
                did = self._fetch(cycle, run, utility)
            except (PeerSilent, PeerRefused, SettlementError) as error:
                reason = f"leaves of {len(lacking)} trades: {_why(error)}"
                waiting.append(Waiting(cycle, reason, (utility,), run=run))
                return False
            lacking -= _sides(self._kept(cycle, run, utility, posted))
        if lacking:
            reason = f"leaves of {len(lacking)} trades are not served"
            waiting.append(Waiting(cycle, reason, (utility,), run=run))
        else:
            self._complete[key] = wanted
        return did and not lacking

    def _wanted(self, cycle: int, utility: Hash32) -> Sides:
        """The sides of this member's trades that the utility allocates."""
        return frozenset(
            (one.digest, int(side))
            for one in self._daemon.desk.counting(cycle)
            for side in Side
            if one.utility(side) == utility
        )

    def _kept(self, cycle: int, run: int, utility: Hash32, posted: PostedTree) -> list[ServedLeaf]:
        found = self._daemon.store.leaves(cycle, run)
        return [one for one in found if (one.run, one.utility, one.root) == (run, utility, posted.root)]

    def _fetch(self, cycle: int, run: int, utility: Hash32) -> bool:
        """Keeps the leaves that the utility serves. Raises SettlementError where one is not proven."""
        found = self._daemon.peers.get(utility, f"/v1/leaves/{cycle}/{run}")
        listed = found.get("leaves") if isinstance(found, dict) else None
        if not isinstance(listed, list):
            raise SettlementError("leaves", None, "must be a list")
        served = [value_of(ServedLeaf, one, f"$.leaves[{place}]") for place, one in enumerate(listed)]
        mine = {one.digest for one in self._daemon.desk.placed(cycle)}
        for place, one in enumerate(served):
            if (one.run, one.utility) != (run, utility) or one.leaf.trade_digest not in mine:
                raise SettlementError(f"leaves[{place}]", one.position, "is not what was asked for")
            fault = self._daemon.desk.leaf_fault(cycle, one)
            if fault is not None:
                raise SettlementError(f"leaves[{place}]", one.position, fault)
        self._daemon.store.keep_leaves(cycle, run, served)
        return bool(served)


def _why(error: Exception) -> str:
    """Why there are no leaves yet. A utility that has not yet followed the chain to its own posting says so, and is
    asked again a moment later: as long as nothing that it served was looked at, it has not answered."""
    if isinstance(error, PeerRefused) and error.problem.code in NOT_READY:
        return f"{error.peer}: no answer yet: {error.problem.detail}"
    return str(error)


def _sides(served: Sequence[ServedLeaf]) -> Sides:
    return frozenset((one.leaf.trade_digest, one.leaf.side) for one in served)
