"""Whether the gateway is alive and fit to serve, and why not: what its loops noted, so that asking costs nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

NANOSECONDS: Final = 1_000_000_000
LOOP_SECONDS: Final = 120
"""A loop that gave no sign for so long hangs."""


@dataclass(frozen=True, slots=True)
class Component:
    """One thing that serving needs; `reason` says why it is not ready, empty where it is."""

    name: str
    reason: str

    @property
    def is_ready(self) -> bool:
        """Whether it can be relied on."""
        return not self.reason


class Pulse:
    """What the loops note of themselves, and what follows from it. Thread-safe."""

    def __init__(self, stale_lag: int, head_age: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """`stale_lag`: more blocks behind the node are too many; `head_age`: so are more seconds without its answer."""
        self._stale_lag = stale_lag
        self._head_age = head_age
        self._clock = clock
        self._lock = threading.Lock()
        self._beats: dict[str, int] = {}
        self._faults: dict[str, str] = {}
        self._node_block: int | None = None
        self._followed: int | None = None
        self._heard_at: int | None = None

    # --- noted by loops ---

    def beat(self, loop: str) -> None:
        """A loop has gone round."""
        with self._lock:
            self._beats[loop] = self._clock()

    def node_at(self, block: int) -> None:
        """The node answered, and this is its newest block."""
        with self._lock:
            self._node_block, self._heard_at = block, self._clock()

    def followed(self, block: int) -> None:
        """The index has come to this block."""
        with self._lock:
            self._followed = block

    def fault(self, component: str, reason: str = "") -> None:
        """Why a component is not ready; nothing where it is again."""
        with self._lock:
            self._faults[component] = reason

    # --- read ---

    @property
    def node_block(self) -> int | None:
        """The node's newest block when it last answered."""
        return self._node_block

    @property
    def lag(self) -> int | None:
        """How many blocks the index is behind the node; None before the first block."""
        with self._lock:
            if self._node_block is None or self._followed is None:
                return None
            return max(0, self._node_block - self._followed)

    @property
    def is_stale(self) -> bool:
        """Whether the index is too far behind for proofs."""
        lag = self.lag
        return lag is None or lag > self._stale_lag

    @property
    def has_started(self) -> bool:
        """Whether anything of the chain was followed yet."""
        return self._followed is not None

    @property
    def hanging(self) -> tuple[str, ...]:
        """The loops that gave no sign for too long."""
        now = self._clock()
        with self._lock:
            return tuple(name for name, at in self._beats.items() if now - at > LOOP_SECONDS * NANOSECONDS)

    def components(self) -> tuple[Component, ...]:
        """Everything that serving needs."""
        with self._lock:
            heard, faults = self._heard_at, dict(self._faults)
        silent = heard is None or self._clock() - heard > self._head_age * NANOSECONDS
        lag = self.lag
        found = {
            "node": f"no answer within {self._head_age} s" if silent else "",
            "index": f"{'nothing followed yet' if lag is None else f'{lag} blocks behind'}" if self.is_stale else "",
            "loops": ", ".join(f"{name} hangs" for name in self.hanging),
        }
        for name, reason in faults.items():
            found[name] = found.get(name) or reason
        return tuple(Component(name, reason) for name, reason in sorted(found.items()))
