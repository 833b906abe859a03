"""Rules of signers and arbiters in a run's window: leaves are demanded and shown, readings contested and decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from random import Random
from typing import Any

from hypothesis.stateful import precondition, rule

from settlement.trade import Contest, Demand, FigureAgreement, Ruling, SilentDemand
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import Base, seeds, some
from tests.contracts.law.model_inputs import WINDOW
from tests.contracts.law.model_leaves import MISSING
from tests.contracts.law.world import CYCLE, TRADERS, arbiters_sign


class DisputeRules(Base):
    """What of single sides is in doubt."""

    # --- what they draw from ---

    def milestones(self) -> list[int]:
        """Besides, that the leaves that were demanded can be shown no more."""
        inputs, found = self.law.inputs, super().milestones()
        for marks in inputs.sides.values():
            if inputs.phase == WINDOW and inputs.run in marks.unanswered:
                found.append(inputs.config.demand_time - self.law.clock.since(marks.demanded[inputs.run][0]))
        return sorted({span for span in found if span > 0})

    def watch(self) -> None:
        """A watcher acts on all that is wrong."""
        raise NotImplementedError

    def unanswered(self) -> list[tuple[bytes, int]]:
        """The sides whose leaf was demanded in the next run, and which nobody has shown."""
        inputs = self.law.inputs
        return [key for key, marks in inputs.sides.items() if inputs.run in marks.unanswered]

    def withheld(self) -> list[tuple[bytes, int]]:
        """The sides whose leaf was demanded, and not shown as long as it could be."""
        found = []
        for (digest, side), marks in self.law.inputs.sides.items():
            newest = self.law.inputs.newest(self.law.trades.deals[digest].utility(side))
            if newest is not None and self.law.inputs.is_withheld(marks, newest):
                found.append((digest, side))
        return found

    def standing_from_before(self) -> list[tuple[bytes, int]]:
        """The sides whose utility's newest tree is an older run's."""
        inputs = self.law.inputs
        sides = [(deal, side) for deal in self.law.trades.deals.values() if deal.places for side in (0, 1)]
        newest = {utility: inputs.newest(utility) for utility in {deal.utility(side) for deal, side in sides}}
        return [
            (deal.digest, side)
            for deal, side in sides
            if newest[deal.utility(side)] is not None and newest[deal.utility(side)] != inputs.run
        ]

    def disputed(self, rng: Random, wanted: Sequence[tuple[bytes, int]] = ()) -> tuple[Any, int, str, Any] | None:
        """A trade, one of its sides (mostly of those wanted), one of its signers (seldom a stranger), a place."""
        deal, side = self.some_deal(rng), rng.randrange(2)
        if wanted and rng.random() < 0.6:
            digest, side = rng.choice(wanted)
            deal = self.law.trades.deals[digest]
        if deal is None:
            return None
        signers = [self.name(member) for member in deal.trade.signers]
        member = rng.choice(TRADERS) if rng.random() < 0.05 else rng.choice(signers)
        return deal, side, member, self.some_place(deal, rng)

    @precondition(lambda self: self.law.inputs.phase == WINDOW)
    @rule(seed=seeds)
    def demand(self, seed: int) -> None:
        self.demand_one(Random(seed))

    def demand_one(self, rng: Random) -> None:
        """A signer wants to see the leaf of a side; somebody may show it at once."""
        late = self.law.inputs.stage()[1] >= self.law.inputs.config.demand_time
        drawn = None if late and rng.random() < 0.8 else self.disputed(rng, self.standing_from_before())
        if drawn is None:
            return
        deal, side, member, place = drawn
        inputs = self.law.inputs
        silent = None
        if inputs.open_demands[member, inputs.run] >= inputs.config.open_demands:
            silent = some(rng, self.unanswered()) if rng.random() < 0.8 else None
        statement = Demand(CYCLE, inputs.run + (rng.random() < 0.03), self.id(member), deal.digest, side)
        key = self.key_or_not(member, rng)
        done = self.act(
            "demand",
            lambda: inputs.demand(deal, place, member, key, side, statement.run, silent),
            lambda: self.world.disputes.demand(
                astuple(statement),
                self.sign(key, statement),
                [],
                astuple(place),
                astuple(deal.trade),
                self.signature_of_utility(deal, side),
                [astuple(SilentDemand(*silent))] if silent else [],
            ),
        )
        if done and silent:
            tally("demand beyond the limit of a silent utility")
        if done and (deal.utility(side), inputs.run) not in inputs.posted:
            tally("demand in an older run's tree")
        if done and rng.random() < 0.4:
            self.answer_one(rng)

    @precondition(lambda self: self.unanswered())
    @rule(seed=seeds)
    def answer(self, seed: int) -> None:
        self.answer_one(Random(seed))

    def answer_one(self, rng: Random) -> None:
        """Anyone shows a demanded leaf; seldom one that nobody demanded."""
        inputs = self.law.inputs
        run = inputs.run
        asked = self.unanswered()
        if rng.random() < 0.1:
            asked = list(inputs.sides)
        digest, side = rng.choice(asked)
        deal = self.law.trades.deals[digest]
        newest = inputs.newest(deal.utility(side))
        if newest and rng.random() < 0.05:
            newest -= 1
        own = [] if newest is None else inputs.own(deal, side, newest)
        if not own or newest is None:
            tally("demand of a leaf that is not there")
            return
        shown = self.shown(deal.utility(side), newest, rng.choice(own))
        done = self.act(
            "answer demand",
            lambda: inputs.answer(deal, side, shown.run),
            lambda: self.world.disputes.answer(CYCLE, astuple(deal.trade), side, astuple(shown)),
        )
        if done and shown.run < run:
            tally("answer by an older run's tree")

    @precondition(lambda self: self.law.inputs.phase == WINDOW and self.unanswered())
    @rule(seed=seeds)
    def keep_silent(self, seed: int) -> None:
        self.keep_silent_about_one(Random(seed))

    def keep_silent_about_one(self, rng: Random) -> None:
        """Nobody shows a leaf until nobody can any more; then its lack is contested."""
        inputs = self.law.inputs
        before = self.standing_from_before()
        asked = self.unanswered()
        digest, side = rng.choice([key for key in asked if key in before] or asked)
        time, _ = inputs.side(digest, side).demanded[inputs.run]
        left = inputs.config.demand_time - self.law.clock.since(time)
        if left > 0:
            if self.watched:
                self.watch()
            self.move(left)
        if inputs.phase == WINDOW:
            self.contest_one(rng)

    @precondition(lambda self: self.law.inputs.phase == WINDOW)
    @rule(seed=seeds)
    def contest(self, seed: int) -> None:
        self.contest_one(Random(seed))

    def contest_one(self, rng: Random) -> None:
        """A signer says that a side's reading is wrong, or lacks; mostly that ends with a figure."""
        withheld = self.withheld()
        drawn = self.disputed(rng, [*withheld, *self.unanswered()])
        if drawn is None:
            return
        deal, side, member, place = drawn
        inputs = self.law.inputs
        newest = inputs.newest(deal.utility(side))
        asked = (deal.digest, side) in self.unanswered()
        is_kept_back = rng.random() < (0.5 if asked or (deal.digest, side) in withheld else 0.1)
        own = inputs.own(deal, side, newest) if newest is not None and not is_kept_back else []
        shown = [self.shown(deal.utility(side), newest, own[0])] if own and newest is not None else []
        statement = Contest(CYCLE, inputs.run + (rng.random() < 0.03), self.id(member), deal.digest, side, b"\5" * 32)
        key = self.key_or_not(member, rng)
        done = self.act(
            "contest",
            lambda: inputs.contest(deal, place, member, key, side, statement.run, shown[0].leaf if shown else None),
            lambda: self.world.disputes.contest(
                astuple(statement),
                self.sign(key, statement),
                [],
                astuple(place),
                astuple(deal.trade),
                self.signature_of_utility(deal, side),
                [astuple(one) for one in shown],
            ),
        )
        if done:
            tally("contest of a reading" if shown and shown[0].leaf.status != MISSING else "contest of a lack")
            if newest is not None and not shown:
                tally("contest after silence")
                if newest < inputs.run:
                    tally("contest after silence, of an older run's tree")
            if rng.random() < 0.6:
                self.end_one(rng)

    @precondition(lambda self: any(one.contested_at is not None for one in self.law.inputs.sides.values()))
    @rule(seed=seeds)
    def end_contest(self, seed: int) -> None:
        self.end_one(Random(seed))

    def end_one(self, rng: Random) -> None:
        """All signers agree, or the arbiters rule."""
        inputs = self.law.inputs
        open_sides = [key for key, one in inputs.sides.items() if one.contested_at is not None and not one.figure]
        pool = open_sides if open_sides and rng.random() < 0.85 else list(inputs.sides)
        digest, side = rng.choice(pool)
        deal = self.law.trades.deals[digest]
        wh = rng.choice((0, deal.contracted // 2, deal.contracted, deal.contracted, deal.contracted + 1))
        if rng.random() < 0.5:
            agreement = FigureAgreement(CYCLE, digest, side, wh)
            signers = [self.name(member) for member in deal.trade.signers]
            if any(self.key(name) is None for name in signers):
                return
            self.act(
                "agree on a figure",
                lambda: inputs.record(deal, side, wh, ruled=False),
                lambda: self.world.disputes.agree(
                    astuple(agreement), astuple(deal.trade), [self.world.sign(name, agreement) for name in signers], []
                ),
            )
        else:
            ruling = Ruling(CYCLE, digest, side, wh)
            self.act(
                "rule on a figure",
                lambda: inputs.record(deal, side, wh, ruled=True),
                lambda: self.world.disputes.rule(
                    astuple(ruling), astuple(deal.trade), *arbiters_sign(self.world, ruling)
                ),
            )
