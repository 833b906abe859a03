"""Moves the market's time from event to event, and waits each time until every program has done what there is to do.

Cycles overlap (a run is sealed 36 hours after its day at the earliest, the next day's trades are committed before), so
the days cannot simply follow one another; what is printed is put in order of the delivery day afterwards.
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
    action: Callable[[], None] | None = field(compare=False)
    blocks: int = field(compare=False)


class Conductor:
    """The schedule, by block time (UTC epoch seconds), and `now`, the time of the newest block that it mined.

    `mine` makes so many empty blocks at a time, `settle` waits until everybody is idle.
    """

    def __init__(self, mine: Callable[[int, int], None], settle: Callable[[], None]) -> None:
        self._mine = mine
        self._settle = settle
        self._entries: list[_Entry] = []
        self._order = count()
        self.now = 0
        self.total = 0
        self.done = 0

    def tick(self, time: int, blocks: int = 1) -> None:
        """Puts in a time at which nothing is told: for whoever waits for it; `blocks` have come by then."""
        self._put(time, "", None, blocks)

    def at(self, time: int, label: str, action: Callable[[], None]) -> None:
        """Puts in an action; the block of its time follows it, so that whoever was told something finds it then.

        Raises ValueError for a time that has passed.
        """
        self._put(time, label, action)

    def move(self, time: int, blocks: int = 1) -> None:
        """A block, or several, at a time, now or later, and everything that members do in it."""
        self._mine(time, blocks)
        self.now = time
        self._settle()

    def run(self, before: Callable[[int, str], None] = lambda *_: None, until: int | None = None) -> None:
        """Everything in order, or what comes before a time; `before` is told how many are done and what comes next."""
        while self._entries and (until is None or self._entries[0].time < until):
            entry = heapq.heappop(self._entries)
            before(self.done, entry.label)
            if entry.action is not None:
                entry.action()
            if entry.action is not None or entry.time > self.now:
                self.move(max(entry.time, self.now), entry.blocks)
            self.done += 1

    def _put(self, time: int, label: str, action: Callable[[], None] | None, blocks: int = 1) -> None:
        if time < self.now:
            raise ValueError(f"{label}: {time} is before {self.now}")
        self.total += 1
        heapq.heappush(self._entries, _Entry(time, next(self._order), label, action, blocks))
