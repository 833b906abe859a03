"""Watching: every leaf, attested row and claim that this member can judge, it judges, and proves the fault by itself.

A proof is sent once, in its window. Those who can prove the same take turns, so that one proof is sent and not five.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chain.claims import MadeClaim
from member.cranks import turn_of
from member.hearings import Hearings, recomputed
from member.market import Phase
from member.pairs import PairStates, PendingRow, pending_claims
from member.proofs import LeavesOf, claim_fault, twice_proofs, void_proofs, wrong_leaves
from member.published import published_row
from member.sending import send_once
from settlement.cycle import RunResult
from settlement.figures import MarkKind
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade, Side
from store.records import ServedLeaf

if TYPE_CHECKING:
    from member.daemon import Daemon


@dataclass(frozen=True, slots=True)
class Judged:
    """What a row is judged by: the trades one knows, their leaves, and what they come to."""

    trades: Mapping[Hash32, PlacedTrade]
    served: tuple[ServedLeaf, ...]
    result: RunResult


class Watching:
    """The stage that proves faults."""

    name = "watching"

    def __init__(self, daemon: Daemon[Any]) -> None:
        self._market = daemon.market
        self._desk = daemon.desk
        self._me = daemon.me.id
        self._delay = daemon.config.timings.crank_delay
        self._hearings = Hearings(daemon.store)
        self._states = PairStates(daemon.market.cycle)
        self._seen: dict[str, int] = {}
        # Rows that were looked at and found right, or wrong in nothing that this member can show.
        self._looked_at: dict[Hash32, RunResult] = {}

    def run(self) -> bool:
        """Sends every proof whose time has come."""
        did = False
        for cycle in self._market.cycles():
            did |= self._watch_leaves(cycle)
            did |= self._watch_rows(cycle)
            did |= self._watch_claims(cycle)
        return did

    # --- allocations ---

    def _watch_leaves(self, cycle: int) -> bool:
        sealed = self._market.newest_sealed_run(cycle)
        run = 0 if sealed is None else sealed + 1
        config = self._market.config(cycle)
        served = self._desk.served(cycle, min(run, config.last_run))
        did = False
        others = [one for one in served if one.utility != self._me]
        is_final = run <= config.last_run and self._market.now() >= self._market.deadline(cycle, run)
        phase = self._market.phase(cycle) if is_final and others else Phase.INTAKE
        if phase is Phase.WINDOW:
            trades = {one.digest: one for one in self._desk.counting(cycle)}
            voided = self._voided(cycle, run)
            leaves = [one for one in others if one.run == run]
            for proof in void_proofs(leaves, trades, cycle, config.allocation_rule):
                if proof.group in voided:
                    continue
                intent = f"void:{cycle}:{run}:0x{proof.served.root.hex()}:{proof.served.position}"
                if not self._is_my_turn(intent, cycle, self._signers(trades, proof.served)):
                    continue
                shown = (cycle, proof.served.utility, proof.served.shown)
                if proof.trade is None:
                    did |= send_once(self._market, intent, "AllocationFaults", "void_by_rule", *shown)
                else:
                    trade = proof.trade.trade
                    did |= send_once(self._market, intent, "AllocationFaults", "void_by_trade", *shown, trade)
        final = [one for one in others if one.run < run or phase in (Phase.WINDOW, Phase.SEALABLE)]
        return self._mark_twice(cycle, final) or did

    def _mark_twice(self, cycle: int, served: Sequence[ServedLeaf]) -> bool:
        marked = {
            (event["run"], event["utility"], event["trade_digest"], event["side"])
            for event in self._market.cycle(cycle).of("SideMarked")
            if event["kind"] == MarkKind.TWICE
        }
        did = False
        for first, second in twice_proofs(served):
            if (first.run, first.utility, first.leaf.trade_digest, first.leaf.side) in marked:
                continue
            intent = f"twice:{cycle}:{first.run}:0x{first.root.hex()}:{first.position}:{second.position}"
            trades = {one.digest: one for one in self._desk.counting(cycle)}
            if self._is_my_turn(intent, cycle, self._signers(trades, first)):
                shown = (cycle, first.utility, first.shown, second.shown)
                did |= send_once(self._market, intent, "AllocationFaults", "mark_twice", *shown)
        return did

    def _voided(self, cycle: int, run: int) -> set[tuple[Hash32, Hash32, int, int]]:
        return {
            (event["utility"], event["meter"], event["slot_start"], event["side"])
            for event in self._market.cycle(cycle).of("GroupVoided")
            if event["run"] == run
        }

    def _signers(self, trades: Mapping[Hash32, PlacedTrade], served: ServedLeaf) -> list[Hash32]:
        """Who was served the same leaf and can prove the same."""
        trade = trades.get(served.leaf.trade_digest)
        return [self._me] if trade is None else [one for one in trade.trade.signers if one != served.utility]

    # --- attested rows ---

    def _watch_rows(self, cycle: int) -> bool:
        did = False
        for pair, state in self._states.of(cycle).items():
            pending = state.pending
            if pending is not None and pending.published_at is not None and self._is_in_row_window(cycle, pending):
                did |= self._watch_row(cycle, pair, pending)
        return did

    def _is_in_row_window(self, cycle: int, pending: PendingRow) -> bool:
        ends = self._market.after(pending.published_at or 0, self._market.config(cycle).row_window)
        return self._market.now() < ends

    def _watch_row(self, cycle: int, pair: Pair, pending: PendingRow) -> bool:
        judged = self._judged(cycle, pair, pending.row.run)
        if judged is None or self._looked_at.get(pending.digest) is judged.result:
            return False
        own = judged.result.rows.get(pair)
        if own is not None and own.root == pending.row.root:
            self._looked_at[pending.digest] = judged.result
            return False
        intent = f"strike_row:0x{pending.digest.hex()}"
        attestors, _ = self._market.attestors()
        if not self._is_my_turn(intent, cycle, [*pair, *(one for one in attestors if one not in pair)]):
            return False
        shown = published_row(self._market, pending)
        for wrong in wrong_leaves(pair, shown.leaves, judged.result, judged.trades, LeavesOf(judged.served)):
            path = list(shown.tree.path(wrong.position))
            proof = (pending.row, wrong.shown, wrong.position, path, wrong.trade.trade, wrong.buyer, wrong.seller)
            if send_once(self._market, intent, "RowFaults", "strike_wrong_leaf", *proof):
                return True
        self._looked_at[pending.digest] = judged.result
        return False

    def _judged(self, cycle: int, pair: Pair, run: int) -> Judged | None:
        """What this member has of a pair's row: its own desk, or the packet it was shown as an attestor."""
        if self._me in pair:
            known = {one.digest: one for one in self._desk.counting(cycle)}
            return Judged(known, self._desk.served(cycle, run), self._desk.result(cycle, run))
        packet = self._hearings.packet(cycle, run, pair)
        if packet is None:
            return None
        _, result, trades = recomputed(self._market, packet)
        return Judged(trades, packet.served, result)

    # --- claims ---

    def _watch_claims(self, cycle: int) -> bool:
        sealed = self._market.newest_sealed_run(cycle)
        window = self._market.config(cycle).claim_window
        did = False
        for pending in pending_claims(self._market.cycle(cycle), cycle):
            claim = pending.claim
            if claim.run != sealed or self._market.now() >= self._market.after(claim.claimed_at, window):
                continue
            placed = next((one for one in self._desk.counting(cycle) if one.digest == claim.trade_digest), None)
            if placed is not None:
                did |= self._watch_claim(cycle, pending, placed)
        return did

    def _watch_claim(self, cycle: int, pending: MadeClaim, placed: PlacedTrade) -> bool:
        claim = pending.claim
        figures = self._desk.result(cycle, claim.run).figures
        leaves = LeavesOf(self._desk.served(cycle, claim.run))
        marks = self._market.marks(cycle, claim.run, [placed])
        own = {side: figures[placed.digest, side] for side in Side}
        fault = claim_fault(claim, placed, own, leaves, marks)
        if fault is None:
            return False
        intent = f"strike_claim:0x{pending.digest.hex()}"
        if not self._is_my_turn(intent, cycle, placed.trade.signers):
            return False
        if fault.newer is None:
            return send_once(self._market, intent, "RowFaults", "strike_twice", claim, placed.trade, fault.side)
        shown = (claim, placed.trade, fault.side, fault.newer)
        return send_once(self._market, intent, "RowFaults", "strike_newer_leaf", *shown)

    # --- turns ---

    def _is_my_turn(self, intent: str, cycle: int, able: Sequence[Hash32]) -> bool:
        """Whether those who can prove the same and come before this member had their time."""
        now = self._market.now()
        since = self._seen.setdefault(intent, now)
        return bool(now >= since + turn_of(self._me, able, cycle) * self._delay)
