"""Buckets: bursts are taken, then one at a time as they fill up; callers and classes do not share one."""

from __future__ import annotations

import pytest

from api import limits
from api.limits import NANOSECONDS, Buckets
from api.settings import Rate


class Clock:
    def __init__(self) -> None:
        self.now = 1_000 * NANOSECONDS

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buckets(clock: Clock) -> Buckets:
    return Buckets({"read": Rate(3, 60), "write": Rate(1, 10)}, clock)


def test_burst_then_nothing(buckets: Buckets) -> None:
    taken = [buckets.take("a", "read") for _ in range(4)]

    assert [one.left for one in taken] == [2, 1, 0, 0]
    assert [one.wait for one in taken] == [0, 0, 0, 20]
    assert taken[3].headers == {
        "RateLimit-Policy": '"read";q=3;w=60',
        "RateLimit": '"read";r=0;t=20',
        "Retry-After": "20",
    }
    assert "Retry-After" not in taken[2].headers


def test_waiting_as_told_is_enough(buckets: Buckets, clock: Clock) -> None:
    for _ in range(3):
        buckets.take("a", "read")
    clock.now += 5 * NANOSECONDS
    wait = buckets.take("a", "read").wait
    assert wait == 15

    clock.now += wait * NANOSECONDS - 1
    assert buckets.take("a", "read").wait == 1
    clock.now += 1
    assert buckets.take("a", "read").wait == 0
    assert buckets.take("a", "read").wait == 20


def test_refused_requests_cost_nothing(buckets: Buckets, clock: Clock) -> None:
    for _ in range(50):
        buckets.take("a", "write")
    clock.now += 10 * NANOSECONDS
    assert buckets.take("a", "write").wait == 0


def test_own_bucket_each(buckets: Buckets) -> None:
    buckets.take("a", "write")
    assert buckets.take("a", "write").wait == 10
    assert buckets.take("b", "write").wait == 0
    assert buckets.take("a", "read").wait == 0


def test_memory_is_bounded(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_BUCKETS", 2)
    for caller in "abc":
        buckets.take(caller, "write")

    assert buckets.take("c", "write").wait == 10
    assert buckets.take("a", "write").wait == 0, "the oldest was forgotten"
