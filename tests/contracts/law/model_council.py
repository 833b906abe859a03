"""The council: acts that enough seats approve, wait in the open, and are then anybody's to execute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.contracts.law.model_clock import Clock
from tests.contracts.law.model_members import Members
from tests.contracts.law.world import DAY, SEATS_NEEDED, Act, address_of
from tests.contracts.money_model import Refused

DELAY = 2 * DAY
LONG_DELAY = 7 * DAY
VALIDITY = 30 * DAY
# What takes something away waits longer.
LONG = ("remove", "replace_cold_key")


@dataclass
class Council:
    """Who may execute what, and when; what an act does is asked of `enact`."""

    clock: Clock
    members: Members
    enact: Callable[[Act], None]
    acts: list[Act] = field(default_factory=list)
    # By sequence, as long as an act waits.
    ready_at: dict[int, int] = field(default_factory=dict)

    def _check_approved(self, keys: Mapping[str, bytes]) -> None:
        """`keys` are those with which seats signed."""
        for name, key in keys.items():
            if self.members[name].cold.at(self.clock.now) != address_of(key):
                raise Refused("Council: wrong approval")
        if len(keys) < SEATS_NEEDED:
            raise Refused("Council: not enough seats")

    def schedule(self, act: Act, keys: Mapping[str, bytes]) -> int:
        self._check_approved(keys)
        return self.approve(act, self.clock.now)

    def approve(self, act: Act, at: int) -> int:
        """Its sequence number."""
        self.acts.append(act)
        self.ready_at[len(self.acts) - 1] = at + (LONG_DELAY if act.function in LONG else DELAY)
        return len(self.acts) - 1

    def cancel(self, sequence: int, keys: Mapping[str, bytes]) -> None:
        if sequence not in self.ready_at:
            raise Refused("Council: not waiting")
        self._check_approved(keys)
        del self.ready_at[sequence]

    def execute(self, sequence: int) -> None:
        """An act that fails goes on waiting."""
        if sequence not in self.ready_at:
            raise Refused("Council: nothing to execute")
        ready = self.ready_at[sequence]
        if self.clock.now < ready:
            raise Refused("Council: too early")
        if self.clock.now >= ready + VALIDITY:
            raise Refused("Council: too late")
        self.enact(self.acts[sequence])
        del self.ready_at[sequence]

    def waiting(self, act: Act) -> int | None:
        """Under which number an act can be executed now."""
        now = self.clock.now
        ripe = [
            one for one, ready in self.ready_at.items() if self.acts[one] == act and ready <= now < ready + VALIDITY
        ]
        return min(ripe, default=None)
