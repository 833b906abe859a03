"""How much one caller may ask: a bucket of requests for each caller and class, filled up again evenly."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from api.settings import Rate

MAX_BUCKETS: Final = 10_000
NANOSECONDS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller has left in a class: `wait` is the number of seconds until the next request, 0 where it may ask."""

    name: str
    rate: Rate
    left: int
    wait: int

    @property
    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy` and `RateLimit`, and `Retry-After` where nothing is left."""
        found = {
            "RateLimit-Policy": f'"{self.name}";q={self.rate.burst};w={self.rate.seconds}',
            "RateLimit": f'"{self.name}";r={self.left};t={self.wait}',
        }
        return found | ({"Retry-After": str(self.wait)} if self.wait else {})


class Buckets:
    """The buckets of all callers; the one not asked of for longest is forgotten where there are too many."""

    def __init__(self, rates: Mapping[str, Rate], clock: Callable[[], int] = time.monotonic_ns) -> None:
        """`clock` counts nanoseconds."""
        self._rates = rates
        self._clock = clock
        self._full_at: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: str, name: str) -> Allowance:
        """Takes one request of a class out of a caller's bucket, if there is one."""
        rate = self._rates[name]
        now, span = self._clock(), rate.seconds * NANOSECONDS
        each = span // rate.burst
        with self._lock:
            # A bucket is the time at which it is full again; every request puts that off by its share of the span.
            full_at = max(self._full_at.pop((caller, name), now), now)
            is_allowed = full_at + each - now <= span
            if is_allowed:
                full_at += each
            self._full_at[caller, name] = full_at
            if len(self._full_at) > MAX_BUCKETS:
                self._full_at.popitem(last=False)
        left = (span - (full_at - now)) // each
        # Rounded up, so that whoever waits as long finds a request in the bucket.
        wait = 0 if is_allowed else -(-(full_at + each - now - span) // NANOSECONDS)
        return Allowance(name, rate, left, wait)
