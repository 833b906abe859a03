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


class Conductor:
    """The schedule, by block time (UTC epoch seconds), and `now`, the time of the newest block that it mined.

    `mine` makes an empty block at a time, `settle` waits until everybody is idle.
    """

    def __init__(self, mine: Callable[[int], None], settle: Callable[[], None]) -> None:
        self._mine = mine
        self._settle = settle
        self._entries: list[_Entry] = []
        self._order = count()
        self.now = 0
        self.total = 0
        self.done = 0

    def tick(self, time: int) -> None:
        """Puts in a block and nothing else: for whoever waits for a time, or for blocks to pass."""
        self._put(time, "", None)

    def at(self, time: int, label: str, action: Callable[[], None]) -> None:
        """Puts in an action, done once the market has come to rest at its time; those of one time in their order.

        Raises ValueError for a time that has passed.
        """
        self._put(time, label, action)

    def move(self, time: int) -> None:
        """A block at a time, now or later, and everything that members do in it."""
        self._mine(time)
        self.now = time
        self._settle()

    def run(self, before: Callable[[int, str], None] = lambda *_: None, until: int | None = None) -> None:
        """Everything in order, or what comes before a time; `before` is told how many are done and what comes next."""
        while self._entries and (until is None or self._entries[0].time < until):
            entry = heapq.heappop(self._entries)
            before(self.done, entry.label)
            if entry.time > self.now:
                self.move(entry.time)
            if entry.action is not None:
                entry.action()
                self.move(self.now)  # whoever was told something finds it with the next block
            self.done += 1

    def _put(self, time: int, label: str, action: Callable[[], None] | None) -> None:
        if time < self.now:
            raise ValueError(f"{label}: {time} is before {self.now}")
        self.total += 1
        heapq.heappush(self._entries, _Entry(time, next(self._order), label, action))
