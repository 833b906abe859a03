"""The state machine of the whole law: every example plays one cycle of a small market, from any stage on."""

from __future__ import annotations

from random import Random

from hypothesis.stateful import initialize, precondition, rule

from tests.contracts.law.histogram import tally
from tests.contracts.law.invariants import Invariants
from tests.contracts.law.machine_base import pick, seeds
from tests.contracts.law.machine_silence import SilenceRules
from tests.contracts.law.machine_trades import TradeRules
from tests.contracts.law.model_inputs import INTAKE, RULING, SEALABLE, WINDOW
from tests.contracts.law.model_rows import PUBLISHED
from tests.contracts.law.world import DAY, END, HOUR, SLOTS

# How far an example is played before its steps begin: commitments, posted, in the window, sealed runs, closed.
STAGES = {
    "fresh": 2,
    "committed": 3,
    "posted": 2,
    "window": 5,
    "sealed 1": 6,
    "window 2": 3,
    "sealed 2": 6,
    "window 3": 3,
    "sealed 3": 4,
    "closed": 1.5,
}


class Law(TradeRules, SilenceRules, Invariants):
    """Everybody acts, in any order."""

    stages = STAGES

    @initialize(seed=seeds)
    def begin(self, seed: int) -> None:
        """Mostly somewhere in the middle of a cycle."""
        self.play_begin(Random(seed))

    def play_begin(self, rng: Random) -> None:
        """Whether somebody watches, and what has happened before the steps begin."""
        self.watched = rng.random() < 0.85
        stage = pick(rng, self.stages)
        tally(f"begins {stage}")
        if rng.random() < 0.15:
            self.set_config(rng)
        if stage == "fresh":
            return
        for _ in range(rng.choice((2, 3, 4))):
            self.make_batch(rng)
        if rng.random() < 0.6 and self.law.trades.commitments:
            self.curtail_one(rng)
        if stage == "committed" or not self.law.trades.commitments:
            return
        if rng.random() < 0.35:
            self.move(SLOTS[-1] + rng.choice((0, 1, HOUR)) - self.law.clock.now)
            self.curtail_one(rng)
        self.move(END + 1 - self.law.clock.now)
        sealed = {"posted": 0, "window": 0, "sealed 1": 1, "window 2": 1, "sealed 2": 2, "window 3": 2}.get(stage, 3)
        for _ in range(sealed):
            self.play_run(rng)
        if stage == "posted" or stage.startswith("window"):
            self.post_all(rng)
            if stage != "posted":
                self.until(WINDOW)
        run = self.law.inputs.run - 1
        if run >= 0 and any(self.stands_twice(deal, run) for deal in self.law.trades.deals.values()):
            self.claim_what_stands_twice(rng, run)
        if stage == "closed":
            if self.watched:
                self.watch()
            self.move(self.law.inputs.config.close_delay + rng.choice((1, 3 * DAY)))

    def claim_what_stands_twice(self, rng: Random, run: int) -> None:
        """Before anybody has marked it; then somebody does."""
        for deal in list(self.law.trades.deals.values()):
            if self.stands_twice(deal, run):
                self.claim_trade(rng, deal)
        if self.watched or rng.random() < 0.5:
            self.watch_trees()
            self.watch_claims()

    def agree_rows(self, rng: Random) -> None:
        """What is owed back then falls due against what fell due before."""
        super().agree_rows(rng)
        if any(self.law.money.owed.values()) and rng.random() < 0.7:
            self.fall_one(rng)

    def apply_a_row(self, rng: Random) -> None:
        """Somebody claims what the row holds already."""
        super().apply_a_row(rng)
        if self.law.inputs.run and rng.random() < 0.4:
            self.make_claim(rng, newest=True)

    def make_claim(self, rng: Random, newest: bool = False) -> None:
        """Somebody looks at what claims rest on, now and then."""
        super().make_claim(rng, newest)
        if rng.random() < 0.25:
            self.watch_trees()
            self.watch_claims()

    def suspend(self, rng: Random) -> None:
        """Whoever is suspended would commit nevertheless."""
        super().suspend(rng)
        if self.law.clock.now < SLOTS[-1] and any(self.law.members[name].suspended for name in self.platforms):
            self.make_batch(rng)

    def seal(self) -> None:
        """Before a later run's seal somebody claims by the one that is the newest for a moment more."""
        rng = Random(self.law.clock.now)
        if self.law.inputs.run and rng.random() < 0.9:
            self.make_claim(rng, newest=True)
        super().seal()

    def play_run(self, rng: Random) -> None:
        """From the intake of a run to its seal."""
        self.post_all(rng)
        self.until(WINDOW)
        for owner, run in list(self.law.inputs.posted):
            if run == self.law.inputs.run and rng.random() < 0.65:
                for way, indexes in list(self.law.inputs.faults(owner, run)):
                    if way != "twice" or rng.random() < 0.3:
                        self.prove(owner, run, way, indexes)
        self.dispute_run(rng)
        self.open_window()
        self.move(self.law.inputs.config.window, self.law.inputs.config.window_blocks)
        self.until(SEALABLE)
        self.seal()

    def dispute_run(self, rng: Random) -> None:
        """What is in doubt in a run that is played to its seal: nothing, here."""

    def post_all(self, rng: Random) -> None:
        """Every utility posts, but for one that is silent now and then."""
        for utility in self.utilities:
            if rng.random() < 0.9:
                self.post_tree(rng, utility)

    def until(self, phase: int) -> None:
        """Time passes to a phase."""
        while self.law.inputs.phase != phase:
            spans = self.milestones()
            self.move(spans[0])
            self.time_leads_on()

    @rule(seed=seeds)
    def wait(self, seed: int) -> None:
        """Time passes, and mostly somebody applies what is ripe then."""
        rng = Random(seed)
        idle = not self.law.claims.pending and not any(one.pending for one in self.law.rows.pairs.values())
        if self.law.inputs.run and idle and rng.random() < 0.6:
            rng.choice((self.attest_row, self.attest_row, self.make_claim, self.agree_rows))(rng)
            return
        self.advance(rng)
        if rng.random() < 0.6:
            if self.law.claims.pending:
                self.apply_a_claim(rng)
            if self.pending_rows((PUBLISHED,)):
                self.apply_a_row(rng)

    @precondition(lambda self: self.law.inputs.phase in (INTAKE, WINDOW, SEALABLE, RULING))
    @rule(seed=seeds)
    def wait_for_the_seal(self, seed: int) -> None:
        self.advance(Random(seed))

    def advance(self, rng: Random) -> None:
        """To where something changes by itself, seldom a second before; under watchers' eyes nothing wrong outlives
        its window."""
        if self.watched:
            self.watch()
        spans = self.milestones() or [DAY]
        span = spans[min(len(spans) - 1, int(rng.expovariate(1.2)))]
        early = 1 if rng.random() < 0.1 and span > 1 else 0
        self.move(span - early, rng.choice((1, 2, 3)))
        tally("time to the second before" if early else "time to a milestone")
