"""What a member tells about itself: which stages fail, what its operator should put right, for whom it waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from settlement.canonical_json import Json
from settlement.flows import Pair
from settlement.hashing import Hash32

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 8.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that cannot go on without others: about a `pair` or a `trade`, why, and for which members it waits."""

    cycle: int
    reason: str
    for_whom: tuple[Hash32, ...] = ()
    run: int | None = None
    pair: Pair | None = None
    trade: Hash32 | None = None

    def document(self, stage: str, name: Callable[[Hash32], str]) -> dict[str, Json]:
        """As the status shows it, members by `name`."""
        return {
            "stage": stage,
            "cycle": self.cycle,
            "run": self.run,
            "pair": None if self.pair is None else [name(member) for member in self.pair],
            "trade": self.trade,
            "reason": self.reason,
            "for_whom": [name(member) for member in self.for_whom],
        }


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a stage failed, how often in a row, and since when (wall clock, epoch seconds).

    It is tried again at the monotonic time `retry_at`, and at once where what it `saw` (block, wakes) has changed.
    """

    what: str
    since: int
    times: int
    retry_at: float
    saw: tuple[int | None, int]

    @property
    def is_news(self) -> bool:
        """Whether it is worth a line in the log: the first time, and ever more rarely."""
        return self.times & self.times - 1 == 0


class Board:
    """Written by the thread that runs the stages, read by any."""

    def __init__(self) -> None:
        # What is inside is replaced, never changed, so that a copy of the outside is enough to read from.
        self._troubles: dict[str, Trouble] = {}
        self._complaints: dict[str, dict[str, int]] = {}
        self._waiting: dict[str, tuple[Waiting, ...]] = {}

    def trouble(self, stage: str) -> Trouble | None:
        """Why a stage failed the last time it ran."""
        return self._troubles.get(stage)

    def failed(self, stage: str, what: str, saw: tuple[int | None, int]) -> Trouble:
        """A stage failed (again)."""
        before = self._troubles.get(stage)
        times = before.times + 1 if before else 1
        pause = min(FIRST_PAUSE * 2 ** min(times - 1, 16), LONGEST_PAUSE)
        since = before.since if before else int(time.time())
        made = self._troubles[stage] = Trouble(what, since, times, time.monotonic() + pause, saw)
        return made

    def works(self, stage: str) -> bool:
        """A stage ran; whether it had failed before."""
        return self._troubles.pop(stage, None) is not None

    def complains(self, stage: str, what: Iterable[str]) -> tuple[str, ...]:
        """What a stage has for its operator to put right, in place of what it said before; what of it is new."""
        before = self._complaints.get(stage, {})
        now = int(time.time())
        self._complaints[stage] = {text: before.get(text, now) for text in what}
        return tuple(text for text in self._complaints[stage] if text not in before)

    def waits(self, stage: str, for_what: Sequence[Waiting]) -> None:
        """What a stage waits for now, in place of what it said before."""
        self._waiting[stage] = tuple(for_what)

    def document(self, name: Callable[[Hash32], str]) -> dict[str, Any]:
        """`problems` and `waiting` as the status shows them, members by `name`."""
        failures = [(stage, one.what, one.since) for stage, one in self._troubles.copy().items()]
        complaints = [
            (stage, what, since) for stage, said in self._complaints.copy().items() for what, since in said.items()
        ]
        waiting = sorted(self._waiting.copy().items())
        return {
            "problems": [
                {"stage": stage, "what": what, "since": since} for stage, what, since in sorted(failures + complaints)
            ],
            "waiting": [one.document(stage, name) for stage, found in waiting for one in found],
        }
