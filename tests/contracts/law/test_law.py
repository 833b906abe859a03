"""The whole law under the state machine, and that no rule of it and no edge of a state was left out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.contracts.law import world
from tests.contracts.law.histogram import EDGES, LEAST, TAKEN
from tests.contracts.law.profile import LONGER, play

BUILD = Path(__file__).resolve().parents[3] / "build"


@pytest.mark.timeout(0 if os.environ.get(LONGER) else 1_500)
def test_law() -> None:
    # Outside of the anchors between which examples run.
    for config in (world.CONFIG, world.NARROW):
        world.deployed(config)
    TAKEN.clear()
    try:
        play()
    finally:
        BUILD.mkdir(exist_ok=True)
        (BUILD / "law.json").write_text(json.dumps(dict(sorted(TAKEN.items())), indent=1))
    rare = {edge: TAKEN[edge] for edge in EDGES if TAKEN[edge] < LEAST}
    assert not rare
