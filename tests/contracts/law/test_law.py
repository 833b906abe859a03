"""The whole law under the state machine, and that no rule of it and no edge of a state was left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.contracts.law.histogram import ELSEWHERE, LEAST, SELDOM, TAKEN, edges, refusals
from tests.contracts.law.profile import LONGER, play

BUILD = Path(__file__).resolve().parents[3] / "build"
TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.timeout(0 if os.environ.get(LONGER) else 1_500)
def test_law() -> None:
    TAKEN.clear()
    try:
        play()
    finally:
        BUILD.mkdir(exist_ok=True)
        (BUILD / "law.json").write_text(json.dumps(dict(sorted(TAKEN.items())), indent=1))
    rare = {edge: TAKEN[edge] for edge in edges() if TAKEN[edge] < LEAST}
    assert not rare
    never = {edge for edge in SELDOM if not TAKEN[edge]}
    assert not never
    unmet = {refusal for refusal in refusals() - ELSEWHERE.keys() if not TAKEN[f"because {refusal}"]}
    assert not unmet


def test_what_the_machine_does_not_meet_is_met_elsewhere() -> None:
    assert ELSEWHERE.keys() <= refusals()
    for refusal, file in ELSEWHERE.items():
        assert refusal in (TESTS / file).read_text("utf-8"), (refusal, file)
