"""The acts that anyone may do once their time has come: opening a window, sealing, applying rows and claims.

Members take turns, so that one of them does it and the others need not: the first in the cycle's rotation at once, the
next after a delay of the market's time, and so on. Whoever is dead is passed over that way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from member.market import Phase
from member.pairs import NOTHING_YET, PairStates, pending_claims
from member.sending import send_once
from settlement.hashing import Hash32
from settlement.validity import MemberRole

if TYPE_CHECKING:
    from member.daemon import Daemon

WORKING = MemberRole.PLATFORM | MemberRole.UTILITY | MemberRole.GRID_OPERATOR | MemberRole.MARKET_AGENT
"""Members with one of these roles run a daemon and take turns."""


@dataclass(frozen=True, slots=True)
class Due:
    """An act whose time has come: under which intent it is sent, and whose turn it is first (None: the rotation's)."""

    cycle: int
    intent: str
    contract: str
    function: str
    arguments: tuple[object, ...]
    first: Hash32 | None = None


class Cranks:
    """The stage that turns the market's cranks."""

    name = "cranks"

    def __init__(self, daemon: Daemon[Any]) -> None:
        self._market = daemon.market
        self._me = daemon.me.id
        self._states = PairStates(daemon.market.cycle)
        self._delay = daemon.config.timings.crank_delay
        # When an act was first seen to be due, by intent; after a restart it is a little later, which does no harm.
        self._seen: dict[str, int] = {}

    def run(self) -> bool:
        """Does every act that is due and this member's turn."""
        did = False
        now = self._market.now()
        seen: dict[str, int] = {}
        for cycle in self._market.cycles():
            for due in self._due(cycle):
                seen[due.intent] = self._seen.get(due.intent, now)
                if now >= seen[due.intent] + self._turn(due) * self._delay:
                    did |= send_once(self._market, due.intent, due.contract, due.function, *due.arguments)
        self._seen = seen
        return did

    def _turn(self, due: Due) -> int:
        """How many members come before this one."""
        return turn_of(self._me, self._market.members(WORKING), due.cycle, due.first)

    def _due(self, cycle: int) -> Iterator[Due]:
        sealed = self._market.newest_sealed_run(cycle)
        run = 0 if sealed is None else sealed + 1
        if run <= self._market.config(cycle).last_run and self._market.now() >= self._market.deadline(cycle, run):
            phase = self._market.phase(cycle)
            if phase is Phase.WINDOW and not self._is_opened(cycle, run):
                yield Due(cycle, f"open_window:{cycle}:{run}", "AllocationOracle", "open_window", (cycle,))
            elif phase is Phase.SEALABLE:
                yield Due(cycle, f"seal:{cycle}:{run}", "AllocationOracle", "seal", (cycle,))
        yield from self._applicable_rows(cycle)
        if sealed is not None:
            yield from self._applicable_claims(cycle, sealed)

    def _is_opened(self, cycle: int, run: int) -> bool:
        return any(event["run"] == run for event in self._market.cycle(cycle).of("WindowOpened"))

    def _applicable_rows(self, cycle: int) -> Iterator[Due]:
        window = self._market.config(cycle).row_window
        for state in self._states.of(cycle).values():
            pending = state.pending
            if pending is None or pending.published_at is None or pending.row.run < (state.settled_run or 0):
                continue
            if self._market.now() >= self._market.after(pending.published_at, window):
                intent = f"apply_row:0x{pending.digest.hex()}:{pending.published_at}"
                yield Due(cycle, intent, "Settlement", "apply_attested", (pending.row,), pending.row.payee)

    def _applicable_claims(self, cycle: int, sealed: int) -> Iterator[Due]:
        evidence = self._market.cycle(cycle)
        window = self._market.config(cycle).claim_window
        for pending in pending_claims(evidence, cycle):
            claim = pending.claim
            if claim.run != sealed or self._market.now() < self._market.after(claim.claimed_at, window):
                continue
            states = self._states.of(cycle)
            open_flows = (
                flow
                for flow in claim.flows
                if flow.payer != flow.payee
                and flow.amount
                and not states.get((flow.payer, flow.payee), NOTHING_YET).has_row_of(claim.run)
            )
            # Rows that came after it may have left nothing of a claim.
            if (first := next(open_flows, None)) is not None:
                intent = f"apply_claim:0x{pending.digest.hex()}"
                yield Due(cycle, intent, "Settlement", "apply_claim", (claim,), first.payee)


def turn_of(member: Hash32, members: Sequence[Hash32], cycle: int, first: Hash32 | None = None) -> int:
    """How many members come before `member`: `first`, if any, then the others in ascending order, rotated by cycle."""
    others = sorted(one for one in members if one != first)
    if member == first:
        return 0
    if member not in others:
        return len(members)
    place = (others.index(member) + cycle) % len(others)
    return place + (0 if first is None else 1)
