"""When a run's deadline and window end, with pauses taken out: time on the contracts' own terms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chain.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Pause:
    """A rest of intake, from `begin` until before `end`, UTC epoch seconds."""

    begin: int
    end: int


def pauses_of(standing: Evidence) -> tuple[Pause, ...]:
    """All pauses in order; one that was not resumed ends when it expires."""
    found: list[Pause] = []
    for event in standing.of("Paused", "Resumed"):
        if event.name == "Paused":
            found.append(Pause(event.time, event["until"]))
        else:
            found[-1] = Pause(found[-1].begin, event["at"])
    return tuple(found)


def later(since: int, seconds: int, pauses: Iterable[Pause]) -> int:
    """When `seconds` of unpaused time have passed since a time; a pause that may still be resumed counts in full."""
    at = since + seconds
    for pause in pauses:
        begin = max(pause.begin, since)
        if pause.end > begin and begin < at:
            at += pause.end - begin
    return at
