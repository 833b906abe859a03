"""Words that hold several numbers, through ModuleProbe, against plain lists."""

from __future__ import annotations

import random
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from tests.contracts.market import CONTRACTS

CASES = 300
# Where the parts of the terms word begin, and how many bits they have, in the order of the probe's answer.
TERMS = ((112, 24), (136, 24), (160, 24), (184, 24), (208, 16), (224, 12), (236, 12))
DEADLINE_BITS = 28
RUN_COUNT = 248
TIME_BITS = 40
MOST_NOTICES = 6


@pytest.fixture(scope="module")
def probe() -> Any:
    return boa.load(str(CONTRACTS / "mocks" / "ModuleProbe.vy"))


def number(rng: random.Random, bits: int) -> int:
    """Any number of that many bits; often at its bounds."""
    return rng.choice((0, 1, (1 << bits) - 1, 1 << (bits - 1), rng.getrandbits(bits)))


def test_all_terms_of_a_version_stand_beside_each_other(probe: Any) -> None:
    rng = random.Random("terms")
    for case in range(CASES):
        deadlines = [number(rng, DEADLINE_BITS) for _ in range(case % 5)]
        parts = [number(rng, bits) for _, bits in TERMS]
        rest = sum(part << place for part, (place, _) in zip(parts, TERMS, strict=True))
        word = probe.with_deadlines(rest, deadlines)
        dates = sum(deadline << run * DEADLINE_BITS for run, deadline in enumerate(deadlines))
        assert word == rest + dates + (len(deadlines) << RUN_COUNT)
        assert [probe.deadline(word, run) for run in range(4)] == [*deadlines, 0, 0, 0, 0][:4]
        assert list(probe.terms(word)) == [*parts, len(deadlines)]


def test_live_notices_are_a_list_of_times(probe: Any) -> None:
    """Any one of them may end, whenever it was made; those of one time are alike."""
    rng = random.Random("notices")
    for _ in range(CASES // 10):
        word, times = 0, list[int]()
        since = number(rng, TIME_BITS - 2) + 1
        for _ in range(30):
            assert tuple(probe.notices(word)) == (times[0] if times else 0, len(times) == MOST_NOTICES)
            if times and (len(times) == MOST_NOTICES or rng.random() < 0.4):
                ended = rng.choice(times)
                word = probe.without_notice(word, ended)
                times.remove(ended)
            else:
                # Often odd and often of the same time: what stands beside it must not be read along.
                since += rng.choice((0, 1, 2, rng.getrandbits(20)))
                word = probe.with_notice(word, since)
                times.append(since)
            expected = sum(time << (place * TIME_BITS) for place, time in enumerate(times))
            assert word == expected, times
