"""One cycle's events, sorted by what is asked of them: places, postings, seals, marks, rows and claims."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from api.views.clock import Pause, later
from chain.evidence import ChainCommitment, Event, Evidence
from chain.marks import marks_of
from settlement.config import Config
from settlement.figures import Marks
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade
from settlement.units import Calendar

AGREED, EARLY, ATTESTED = 1, 2, 3
"""The ways in which a row applies, as the contract numbers them."""

_MARKS = ("GroupVoided", "SideMarked")


@dataclass(frozen=True, slots=True)
class Seen:
    """A commitment and the event that tells of it."""

    commitment: ChainCommitment
    event: Event


@dataclass(frozen=True)
class CycleFacts:
    """What the chain has said about a cycle until `now`, under the config that governs it.

    Times are UTC epoch seconds; `final_block` is the newest block that cannot leave the chain any more.
    """

    cycle: int
    evidence: Evidence
    config: Config
    pauses: tuple[Pause, ...]
    now: int
    final_block: int

    @property
    def end(self) -> int:
        """E: the first second after the cycle."""
        config = self.config
        return Calendar(config.anchor, config.slot_length, config.cycle_length).cycle_end(self.cycle)

    @cached_property
    def by_root(self) -> dict[Hash32, list[Seen]]:
        """Commitments by the root of their tree, in chain order."""
        found: dict[Hash32, list[Seen]] = {}
        commitments = self.evidence.commitments
        for event in self.evidence.of("BatchCommitted", "TradeRegistered"):
            one = commitments[event["number"]]
            found.setdefault(one.record.root, []).append(Seen(one, event))
        return found

    @cached_property
    def postings(self) -> dict[Hash32, dict[int, Event]]:
        """The last allocation that each utility posted in each run."""
        found: dict[Hash32, dict[int, Event]] = {}
        for event in self.evidence.of("AllocationPosted"):
            found.setdefault(event["utility"], {})[event["run"]] = event
        return found

    @cached_property
    def seals(self) -> dict[int, Event]:
        """The seals by run."""
        return {event["run"]: event for event in self.evidence.of("RunSealed")}

    @property
    def next_run(self) -> int:
        """The run whose seal comes next; beyond the last one where all are sealed."""
        return len(self.seals)

    @cached_property
    def windows(self) -> dict[int, Event]:
        """The events that fixed from which block a run's window counts its least number of blocks."""
        return {event["run"]: event for event in self.evidence.of("WindowOpened")}

    def deadline(self, run: int) -> int | None:
        """When the intake of a run ends; None where that depends on a seal that has not come."""
        from_end = later(self.end, self.config.run_deadlines[run], self.pauses)
        if run == 0:
            return from_end
        before = self.seals.get(run - 1)
        return None if before is None else max(from_end, later(before.time, self.config.least_intake, self.pauses))

    def window_end(self, run: int) -> int | None:
        """When the window of a run is over, its least number of blocks aside; None like `deadline`."""
        opens = self.deadline(run)
        return None if opens is None else later(opens, self.config.window, self.pauses)

    def curtailed(self, digest: Hash32, contracted_wh: int) -> int:
        """What is contracted after curtailment, Wh: the lowest counts."""
        return min(self._curtailments.get(digest, contracted_wh), contracted_wh)

    def marks(self, run: int, placed: PlacedTrade) -> Marks:
        """The marks on a trade as they stood when the run was sealed, or stand now."""
        return marks_of(self._marked, self.cycle, run, (placed,)) if self._marked.events else Marks()

    def settled_run(self, pair: Pair) -> int | None:
        """The highest run of whose sealed inputs a row between two members applied."""
        return self._settled_runs.get(pair)

    def claimed_run(self, digest: Hash32, pair: Pair) -> int | None:
        """The highest run in which a claim of this trade applied between two members."""
        return self._claimed_runs.get((digest, pair))

    @cached_property
    def _curtailments(self) -> dict[Hash32, int]:
        lowest: dict[Hash32, int] = {}
        for event in self.evidence.of("Curtailed"):
            digest: Hash32 = event["trade_digest"]
            lowest[digest] = min(event["contracted_wh"], lowest.get(digest, event["contracted_wh"]))
        return lowest

    @cached_property
    def _marked(self) -> Evidence:
        return Evidence(tuple(self.evidence.of(*_MARKS)))

    @cached_property
    def _settled_runs(self) -> dict[Pair, int]:
        found: dict[Pair, int] = {}
        for event in self.evidence.of("RowApplied"):
            if event["way"] != EARLY:
                pair = event["payer"], event["payee"]
                found[pair] = max(event["run"], found.get(pair, 0))
        return found

    @cached_property
    def _claimed_runs(self) -> dict[tuple[Hash32, Pair], int]:
        found: dict[tuple[Hash32, Pair], int] = {}
        for event in self.evidence.of("ClaimApplied"):
            key = event["trade_digest"], (event["payer"], event["payee"])
            found[key] = max(event["run"], found.get(key, 0))
        return found
