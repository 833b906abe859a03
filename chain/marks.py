"""Marks as the rules take them, from the chain's events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from chain.evidence import Event, Evidence
from settlement import preimages
from settlement.figures import UNMARKED, MarkKind, Marks, SideMarks
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade, Side


def marks_of(evidence: Evidence, cycle: int, run: int, trades: Iterable[PlacedTrade]) -> Marks:
    """The marks of a cycle as they stood when `run` was sealed. A side is marked only in its own utility's trees."""
    utilities = {(placed.digest, int(side)): placed.utility(side) for placed in trades for side in Side}
    void_runs: dict[Hash32, int] = {}
    sides: dict[Hash32, SideMarks] = {}
    for event in evidence.of_cycle(cycle, "GroupVoided", "SideMarked"):
        if event["run"] > run:
            continue
        if event.name == "GroupVoided":
            group = preimages.group_key(event["utility"], event["meter"], event["slot_start"], event["side"])
            void_runs[group] = void_runs.get(group, 0) | 1 << event["run"]
        elif utilities.get((event["trade_digest"], event["side"])) == event["utility"]:
            key = preimages.side_key(event["trade_digest"], event["side"])
            sides[key] = _marked(sides.get(key, UNMARKED), event)
    return Marks(void_runs, sides)


def _marked(marks: SideMarks, event: Event) -> SideMarks:
    bit = 1 << event["run"]
    match event["kind"]:
        case MarkKind.CONTEST:
            return replace(marks, contested=marks.contested | bit)
        case MarkKind.DEMAND:
            return replace(marks, unanswered=marks.unanswered | bit)
        case MarkKind.ANSWER:
            return replace(marks, unanswered=marks.unanswered & ~bit)
        case MarkKind.FIGURE:
            return replace(marks, recorded=event["wh"], recorded_run=event["run"])
        case _:
            return replace(marks, twice=marks.twice | bit)
