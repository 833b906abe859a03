"""A cycle as a resource: its parameters' digest, its times, and what was said in each run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from api.views.cycle_facts import CycleFacts
from api.views.finality import Finality, of_block
from settlement.hashing import Hash32
from settlement.units import Calendar


class Phase(StrEnum):
    """What a cycle takes now, as the contract counts it."""

    UNUSED = "UNUSED"
    DELIVERY = "DELIVERY"
    INTAKE = "INTAKE"
    WINDOW = "WINDOW"
    SEALABLE = "SEALABLE"
    COMPLETE = "COMPLETE"


@dataclass(frozen=True, slots=True)
class PostedView:
    """The last allocation that a utility posted in a run; `posted_at` is the block's time."""

    utility: Hash32
    attempt: int
    root: Hash32
    count: int
    posted_at: int
    finality: Finality


@dataclass(frozen=True, slots=True)
class RunView:
    """A run; times are UTC epoch seconds, and null where they depend on a seal that has not come."""

    run: int
    deadline: int | None
    window_end: int | None
    window_opened_at: int | None
    sealed_at: int | None
    inputs: Hash32 | None
    finality: Finality
    posted: tuple[PostedView, ...]


@dataclass(frozen=True, slots=True)
class CycleView:
    """A cycle and its runs; `next_run` is the one whose seal comes next, null once all are sealed."""

    cycle: int
    start: int
    end: int
    phase: Phase
    config_digest: Hash32
    commitments: int
    next_run: int | None
    runs: tuple[RunView, ...]


@dataclass(frozen=True, slots=True)
class CycleSummary:
    """A cycle in a list."""

    cycle: int
    start: int
    end: int
    phase: Phase
    commitments: int
    sealed_runs: int


def cycle_view(facts: CycleFacts, head_block: int) -> CycleView:
    """The cycle as of block `head_block`."""
    is_complete = facts.next_run > facts.config.last_run
    return CycleView(
        cycle=facts.cycle,
        start=_calendar(facts).cycle_start(facts.cycle),
        end=facts.end,
        phase=phase_of(facts, head_block),
        config_digest=facts.config.digest(),
        commitments=len(facts.evidence.commitments),
        next_run=None if is_complete else facts.next_run,
        runs=tuple(_run(facts, run) for run in range(len(facts.config.run_deadlines))),
    )


def summary(facts: CycleFacts, head_block: int) -> CycleSummary:
    """The cycle in a list, as of block `head_block`."""
    start, phase = _calendar(facts).cycle_start(facts.cycle), phase_of(facts, head_block)
    return CycleSummary(facts.cycle, start, facts.end, phase, len(facts.evidence.commitments), len(facts.seals))


def phase_of(facts: CycleFacts, head_block: int) -> Phase:
    """What the cycle takes as of a block; equal to AllocationOracle's `phase` at it."""
    run = facts.next_run
    if not facts.evidence.commitments:
        return Phase.UNUSED
    if run > facts.config.last_run:
        return Phase.COMPLETE
    if facts.now < facts.end:
        return Phase.DELIVERY
    deadline, window_end = facts.deadline(run), facts.window_end(run)
    if deadline is None or window_end is None or facts.now < deadline:
        return Phase.INTAKE
    opened = facts.windows.get(run)
    if facts.now < window_end or opened is None:
        return Phase.WINDOW
    blocks_over = head_block >= opened["block_number"] + facts.config.window_blocks
    return Phase.SEALABLE if blocks_over else Phase.WINDOW


def _calendar(facts: CycleFacts) -> Calendar:
    return Calendar(facts.config.anchor, facts.config.slot_length, facts.config.cycle_length)


def _run(facts: CycleFacts, run: int) -> RunView:
    seal, window = facts.seals.get(run), facts.windows.get(run)
    posted = tuple(
        PostedView(
            utility,
            event["attempt"],
            event["root"],
            event["count"],
            event.time,
            of_block(event.block, facts.final_block),
        )
        for utility, by_run in sorted(facts.postings.items())
        if (event := by_run.get(run)) is not None
    )
    return RunView(
        run=run,
        deadline=facts.deadline(run),
        window_end=facts.window_end(run),
        window_opened_at=None if window is None else window.time,
        sealed_at=None if seal is None else seal.time,
        inputs=None if seal is None else seal["inputs"],
        finality=of_block(None if seal is None else seal.block, facts.final_block),
        posted=posted,
    )
