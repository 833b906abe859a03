"""What a utility would post of each cycle now, and whether it is time to: the whole computation, without any key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chain.evidence import Evidence
from member.desk import Desk
from oracle.allocating import Draft, draft, spoiled
from oracle.metering import MeterBook, merged, recorded
from oracle.meters import MeterReading
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade, Side
from settlement.units import time_text
from store.records import RecordedReading


class Verdict(StrEnum):
    """What is to be done about a cycle's allocation now."""

    STANDS = "stands"
    EARLY = "early"
    INCOMPLETE = "incomplete"
    DUE = "due"


@dataclass(frozen=True)
class Plan:
    """What a utility would sign for a run, whether it is to be posted now, and in words why or why not.

    `trades` are all of the utility's that count, `deadline` is when the run's intake ends.
    """

    cycle: int
    run: int
    deadline: int
    trades: tuple[PlacedTrade, ...]
    draft: Draft
    verdict: Verdict
    reason: str


class Patience(Protocol):
    """How long a utility waits for readings (`oracle.config.UtilityTable`)."""

    @property
    def allocate_after(self) -> int:
        """Seconds after the intake's begin."""

    @property
    def incomplete_wait(self) -> int:
        """Seconds before its end."""


class ReadingFiles(Protocol):
    """The readings files that were taken (`member.inbox.Inbox`)."""

    @property
    def changes(self) -> int:
        """How often what they say has changed."""

    @property
    def contents(self) -> Mapping[str, tuple[MeterReading, ...]]:
        """What they say, by file name."""


@dataclass(frozen=True)
class _Looked:
    """What a plan was made from: while it is the same, and the plan stands, it need not be made again."""

    evidence: Evidence
    trades: int
    readings: int
    run: int


class Planner:
    """Makes plans. One thread uses it."""

    def __init__(self, desk: Desk, book: MeterBook, readings: ReadingFiles, patience: Patience) -> None:
        self._desk = desk
        self._market = desk.market
        self._book = book
        self._readings = readings
        self._patience = patience
        self._standing: dict[int, _Looked] = {}

    def plans(self) -> Iterable[Plan]:
        """The plans of all cycles whose intake is open, but for those that stand and of which nothing has changed."""
        for cycle in self._market.cycles():
            run = self.open_run(cycle)
            if run is None:
                continue
            looked = _Looked(self._market.cycle(cycle), self._desk.store.changes(cycle), self._readings.changes, run)
            kept = self._standing.get(cycle)
            if kept is not None and kept.evidence is looked.evidence and kept == looked:
                continue
            made = self.plan(cycle, run)
            if made is None or made.verdict is Verdict.STANDS:
                self._standing[cycle] = looked
            if made is not None:
                yield made

    def open_run(self, cycle: int) -> int | None:
        """The run of a cycle that takes allocations now."""
        newest = self._market.newest_sealed_run(cycle)
        run = 0 if newest is None else newest + 1
        now = self._market.now()
        if now < self._market.calendar.cycle_end(cycle) or run > self._market.config(cycle).last_run:
            return None
        return run if now < self._market.deadline(cycle, run) else None

    def plan(self, cycle: int, run: int) -> Plan | None:
        """What is to be posted of a cycle in a run; None where the utility has no trade in it."""
        trades = tuple(one for one in self._desk.counting(cycle) if self._utility in map(one.utility, Side))
        if not trades:
            return None
        made = draft(self._utility, trades, self.readings(cycle, run), cycle, self._market.config(cycle))
        deadline = self._market.deadline(cycle, run)
        verdict, reason = self._verdict(cycle, run, trades, made, deadline)
        return Plan(cycle, run, deadline, trades, made, verdict, reason)

    def readings(self, cycle: int, run: int) -> tuple[RecordedReading, ...]:
        """All readings of the cycle's slots, under the cycle's pseudonyms."""
        slots = self._market.calendar.slots(cycle)
        files = self._readings.contents.values()
        found = merged([one for one in readings if one.slot_start in slots] for readings in files)
        return recorded(found, self._book.of_cycle(cycle), run)

    @property
    def _utility(self) -> Hash32:
        return self._book.utility

    def _verdict(
        self, cycle: int, run: int, trades: tuple[PlacedTrade, ...], made: Draft, deadline: int
    ) -> tuple[Verdict, str]:
        news = self._news(cycle, run, trades, made)
        if news is None:
            return Verdict.STANDS, "what is posted is what would be posted"
        now = self._market.now()
        opened = self._market.calendar.cycle_end(cycle) if run == 0 else self._market.sealed_at(cycle, run - 1)
        due_at = opened + self._patience.allocate_after
        last_wait = deadline - self._patience.incomplete_wait
        if now < min(due_at, last_wait):
            return Verdict.EARLY, f"{news}; not before {time_text(min(due_at, last_wait))}"
        if made.lacking and now < last_wait:
            return Verdict.INCOMPLETE, f"{news}; {len(made.lacking)} readings are missing, waits for them until " + (
                time_text(last_wait)
            )
        return Verdict.DUE, news

    def _news(self, cycle: int, run: int, trades: tuple[PlacedTrade, ...], made: Draft) -> str | None:
        """In words, why what was posted so far is not what should stand; None where it is."""
        for posted_run in range(run, -1, -1):
            posted = self._market.posted(cycle, posted_run, self._utility)
            if posted is None:
                continue
            if (posted.root, posted.count) != (made.root, len(made.allocation.leaves)):
                return f"something has changed since run {posted_run}, attempt {posted.attempt}"
            if spoiled(self._utility, trades, posted_run, self._market.marks(cycle, run, trades)):
                return f"a part of what was posted in run {posted_run} does not count"
            return None
        return "nothing is posted"
