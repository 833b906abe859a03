"""Time as the market counts it: paused time counts nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.contracts.law.world import DAY
from tests.contracts.money_model import Refused

MAX_PAUSE = 3 * DAY
REST = 7 * DAY


@dataclass
class Clock:
    """Block time and number, and the pauses so far: begin and end."""

    now: int
    block: int
    pauses: list[tuple[int, int]] = field(default_factory=list)

    @property
    def paused(self) -> bool:
        return bool(self.pauses) and self.now < self.pauses[-1][1]

    def since(self, time: int) -> int:
        """Unpaused seconds since a time; 0 for one to come."""
        rested = sum(max(0, min(end, self.now) - max(begin, time)) for begin, end in self.pauses if time < self.now)
        return max(0, self.now - time) - rested

    def beyond(self, time: int, span: int) -> int:
        """By how much more than a span ago a time was."""
        return max(0, self.since(time) - span)

    def pause(self) -> None:
        if self.pauses and self.now < self.pauses[-1][1] + REST:
            raise Refused("MemberRegistry: paused lately")
        self.pauses.append((self.now, self.now + MAX_PAUSE))

    def resume(self) -> None:
        if not self.paused:
            raise Refused("MemberRegistry: not paused")
        self.pauses[-1] = (self.pauses[-1][0], self.now)
