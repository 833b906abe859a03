"""One time-ordered list of what happens: block times, no wall clock.

Cycles overlap (a run is sealed 36 hours after its day at the earliest, the next day's trades are committed before),
so the days cannot simply follow one another; what is printed is put in order of the delivery day afterwards.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count


@dataclass(order=True)
class _Entry:
    time: int
    order: int
    label: str = field(compare=False)
    action: Callable[[], None] = field(compare=False)


class Schedule:
    """Actions by block time (epoch seconds); those of one time run in the order in which they were put in."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._order = count()
        self.now = 0
        self.total = 0

    def at(self, time: int, label: str, action: Callable[[], None]) -> None:
        """Puts in an action; one that is due already raises ValueError, for it would run out of order."""
        if time < self.now:
            raise ValueError(f"{label}: {time} is before {self.now}")
        self.total += 1
        heapq.heappush(self._entries, _Entry(time, next(self._order), label, action))

    def run(self, before: Callable[[int, str], None]) -> None:
        """Runs everything in order; `before` is told time and label of each action first."""
        while self._entries:
            entry = heapq.heappop(self._entries)
            self.now = entry.time
            before(entry.time, entry.label)
            entry.action()
