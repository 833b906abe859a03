"""A utility's stages: reads what is put into its inbox, allocates, signs, posts, and curtails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chain.errors import Reverted
from chain.outbox import REVERTED, SUPERSEDED
from member.daemon import Daemon
from member.desk import served_leaves
from member.inbox import Inbox
from oracle.allocating import defects, outliers
from oracle.config import UtilityConfig
from oracle.metering import MeterBook
from oracle.meters import MeterReading
from oracle.planning import Plan, Planner, Verdict
from settlement.canonical_json import Json
from settlement.cycle import UtilityAllocation
from settlement.hashing import Hash32
from settlement.trade import Allocation
from store.records import StoredAllocation

OVERRIDE: Final = "override"
"""The kind of facts that keep what an operator said when an allocation was signed in spite of its outliers."""


class ReadingStage:
    """Takes readings files: one that breaks a rule is refused as a whole, and what was good before stands."""

    name = "readings"

    def __init__(self, daemon: Daemon[UtilityConfig], files: Inbox[tuple[MeterReading, ...]]) -> None:
        self._daemon = daemon
        self._files = files

    def run(self) -> bool:
        """Reads what is new."""
        taken = self._files.scan()
        for file in taken:
            self._daemon.log.info("readings taken", file=file, readings=len(self._files.contents[file]))
        self._daemon.complains(self.name, self._files.refused.values())
        return bool(taken)


class PostingStage:
    """Allocates, signs and posts; serves the leaves of what stands on the chain."""

    name = "allocation"

    def __init__(self, daemon: Daemon[UtilityConfig], planner: Planner, book: MeterBook) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._store = daemon.store
        self._planner = planner
        self._book = book
        self._served: set[tuple[int, int, Hash32]] = set()

    def run(self) -> bool:
        """Posts what is due, and puts the leaves of what was posted where signers can fetch them."""
        did = False
        complaints: list[str] = []
        for plan in self._planner.plans():
            if plan.verdict is Verdict.INCOMPLETE:
                complaints.append(f"cycle {plan.cycle}, run {plan.run}: {plan.reason}")
            if plan.verdict is Verdict.DUE:
                against = list(self._against(plan))
                complaints += against
                did |= not against and self._post(plan, complaints)
        self._daemon.complains(self.name, complaints)
        return self._serve() or did

    # --- the gate before the signature ---

    def _against(self, plan: Plan) -> Iterator[str]:
        """What speaks against signing; nothing an operator may wave through but outliers."""
        config = self._market.config(plan.cycle)
        where = f"cycle {plan.cycle}, run {plan.run}: not signed"
        for defect in defects(plan.draft, plan.trades, plan.cycle, config):
            yield f"{where}: {defect}"
        unusual = list(outliers(plan.draft, self._book.meters, self._daemon.config.utility.outlier_percent))
        if unusual and not self._is_overridden(plan, unusual):
            file = self._override(plan)
            yield f"{where}: {unusual[0]} (1 of {len(unusual)}); to sign it all the same, say why in {file}"

    def _override(self, plan: Plan) -> Path:
        return self._daemon.config.overrides / f"0x{plan.draft.root.hex()}.txt"

    def _is_overridden(self, plan: Plan, unusual: list[str]) -> bool:
        """Whether the operator has said why this very allocation is right; the words are kept and logged."""
        try:
            words = self._override(plan).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return False
        if not words:
            return False
        key = f"0x{plan.draft.root.hex()}"
        said: dict[str, Json] = {"cycle": plan.cycle, "run": plan.run, "words": words, "outliers": unusual}
        if self._store.fact(OVERRIDE, key) != said:
            self._store.keep_fact(OVERRIDE, key, said)
            self._daemon.log.warning("outliers overridden", root=key, words=words, count=len(unusual))
        return True

    # --- signing and posting ---

    def _post(self, plan: Plan, complaints: list[str]) -> bool:
        """Signs and sends, once for each attempt; whether anything was new."""
        stored = self._store.allocation(plan.cycle, plan.run)
        if stored is None or self._is_outdated(plan, stored):
            stored = self._sign(plan, stored)
        statement = self._statement(plan, stored.attempt)
        intent = _intent(statement)
        known = self._market.sender.find(intent)
        if known is not None:
            return False
        try:
            self._market.submit(intent, "AllocationOracle", "post", statement, stored.signature, [])
        except Reverted as error:
            complaints.append(f"cycle {plan.cycle}, run {plan.run}: cannot be posted: {error.reason}")
            return False
        self._daemon.log.info(
            "allocation posted",
            cycle=plan.cycle,
            run=plan.run,
            attempt=stored.attempt,
            root=f"0x{statement.root.hex()}",
            leaves=statement.count,
            missing=len(plan.draft.lacking),
            why=plan.reason,
        )
        return True

    def _is_outdated(self, plan: Plan, stored: StoredAllocation) -> bool:
        """Whether the last attempt is not what should be posted now, or was sent and failed."""
        if stored.leaves != plan.draft.allocation.leaves:
            return True
        posted = self._market.posted(plan.cycle, plan.run, self._book.utility)
        if posted is not None and posted.attempt >= stored.attempt:
            return True
        sent = self._market.sender.find(_intent(self._statement(plan, stored.attempt)))
        return sent is not None and sent.state in (REVERTED, SUPERSEDED)

    def _sign(self, plan: Plan, before: StoredAllocation | None) -> StoredAllocation:
        """The next attempt, kept before anybody sees it: no attempt is ever signed twice with different leaves."""
        posted = self._market.posted(plan.cycle, plan.run, self._book.utility)
        attempt = 1 + max(posted.attempt if posted else 0, before.attempt if before else 0)
        signature = self._daemon.desk.sign(self._statement(plan, attempt))
        leaves, readings = plan.draft.allocation.leaves, plan.draft.readings
        self._store.keep_allocation(plan.cycle, plan.run, attempt, leaves, readings, signature)
        return StoredAllocation(plan.cycle, plan.run, attempt, leaves, readings, signature)

    def _statement(self, plan: Plan, attempt: int) -> Allocation:
        config_digest = self._market.config(plan.cycle).digest()
        return plan.draft.allocation.statement(plan.cycle, plan.run, attempt, config_digest)

    # --- serving ---

    def _serve(self) -> bool:
        """Keeps the leaves of what stands on the chain with their proofs, from where they are served."""
        did = False
        for cycle in self._market.cycles():
            for run in self._posted_runs(cycle):
                did |= self._serve_run(cycle, run)
        return did

    def _posted_runs(self, cycle: int) -> list[int]:
        events = self._market.cycle(cycle).of("AllocationPosted")
        return sorted({event["run"] for event in events if event["utility"] == self._book.utility})

    def _serve_run(self, cycle: int, run: int) -> bool:
        posted = self._market.posted(cycle, run, self._book.utility)
        if posted is None or (cycle, run, posted.root) in self._served:
            return False
        kept = (
            one.root for one in self._store.leaves(cycle, run) if (one.run, one.utility) == (run, self._book.utility)
        )
        if posted.root not in kept:
            stored = self._store.allocation(cycle, run)
            leaves = UtilityAllocation(self._book.utility, stored.leaves if stored else ())
            if leaves.tree.root != posted.root:
                return False
            self._store.keep_leaves(cycle, run, served_leaves(run, leaves))
            self._daemon.log.info("leaves served", cycle=cycle, run=run, leaves=len(leaves.leaves))
        self._served.add((cycle, run, posted.root))
        return True


def _intent(statement: Allocation) -> str:
    return f"allocation:{statement.cycle}:{statement.run}:{statement.attempt}"
