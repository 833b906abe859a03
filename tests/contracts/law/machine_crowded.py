"""The same law where few have much to do with each other, so that what takes several of one pair meets."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from tests.contracts.law.machine import Law
from tests.contracts.law.machine_inputs import WAYS
from tests.contracts.law.model_inputs import WINDOW
from tests.contracts.law.world import HOUR, NARROW, PLATFORMS, UTILITIES


class CrowdedLaw(Law):
    """Two platforms under one utility; one demand open at a time; a contest in every last run; claims of all trades."""

    config = NARROW
    platforms = PLATFORMS[:2]
    utilities = UTILITIES[:1]
    ways: ClassVar = {**WAYS, "double": 9.0, "swapped": 4.0}
    stages: ClassVar = {"sealed 1": 4.0, "window 2": 1.0, "sealed 2": 3.0, "window 3": 1.0, "sealed 3": 5.0}

    def play_begin(self, rng: Random) -> None:
        """Once a run is sealed, nobody signs rows any more: everything is claimed."""
        super().play_begin(rng)
        if not self.law.inputs.run or self.law.inputs.phase == WINDOW:
            return
        self.claim_what_stands_twice(rng, self.law.inputs.run - 1)
        for _ in range(4):
            self.make_claim(rng, newest=True)
        if self.watched:
            self.watch()
        self.move(self.law.inputs.config.claim_window)
        if self.law.claims.pending:
            self.apply_a_claim(rng)

    def dispute_run(self, rng: Random) -> None:
        """Rows are agreed early or by the run before, leaves demanded, and shown or not, a last reading contested."""
        self.agree_rows(rng)
        for _ in range(3):
            self.demand_one(rng)
            if self.law.inputs.posted:
                self.probe(rng)
        if self.unanswered() and rng.random() < 0.5:
            self.keep_silent_about_one(rng)
        if self.law.inputs.run == self.law.inputs.last:
            self.contest_one(rng)
            self.move(rng.choice((1, HOUR)))
            if self.law.inputs.phase == WINDOW:
                self.contest_one(rng)
