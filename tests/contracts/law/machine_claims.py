"""Rules of claims: the chain computes single trades, by right figures and wrong ones."""

from __future__ import annotations

from dataclasses import astuple
from random import Random
from typing import Any

from hypothesis.stateful import precondition, rule

from settlement.trade import Claim, MemberFlow
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import Base, seeds, some
from tests.contracts.law.model_claims import Pending, Shown
from tests.contracts.law.model_trades import Deal
from tests.contracts.law.world import CYCLE
from tests.contracts.settling import claim_from


class ClaimRules(Base):
    """The way that needs neither payer nor quorum."""

    def claimable(self, deal: Deal, run: int, rng: Random, careless: float = 0.4) -> tuple[Shown, Shown]:
        """What a claim shows of both sides: the newest leaf that counts, or an older one, or none."""
        shown: list[Shown] = []
        for side in (0, 1):
            newest = self.law.inputs.newest_leaf(deal, side, run)
            found: Shown = newest
            if rng.random() < careless:
                older = [
                    (leaf_run, index)
                    for leaf_run in range(run + 1)
                    for index in self.law.inputs.own(deal, side, leaf_run)
                ]
                passing = [one for one in older if one != newest and self.law.inputs.counts(deal, side, *one, run)]
                found = rng.choice(passing) if passing and rng.random() < 0.7 else some(rng, [*older, None])
            shown.append(None if self.law.inputs.recorded(deal, side, run) else found)
        return shown[0], shown[1]

    def flows_of(self, deal: Deal, run: int) -> list[tuple[str, str, int]]:
        """What a trade comes to in a run; nothing where it waits."""
        result = self.law.inputs.result(deal, run)
        return result[1] if result else []

    def stands_twice(self, deal: Deal, until: int) -> bool:
        """Whether a side's newest leaf has a double that nobody has marked yet."""
        newest = [(side, self.law.inputs.newest_leaf(deal, side, until)) for side in (0, 1)]
        return any(found and len(self.law.inputs.own(deal, side, found[0])) > 1 for side, found in newest)

    def shown_arguments(self, deal: Deal, shown: tuple[Shown, Shown]) -> list[list[Any]]:
        """What is shown of both sides, with proofs."""
        return [[astuple(self.shown(deal.utility(side), *found))] if found else [] for side, found in enumerate(shown)]

    def record(self, deal: Deal, run: int, figures: Any, result: Any, claimed_at: int) -> Claim:
        """A claim as the chain keeps it."""
        settled, listed = result
        flows = tuple(MemberFlow(self.id(payer), self.id(payee), amount) for payer, payee, amount in listed)
        origins = [part for origin, leaf_run, _ in figures for part in (origin, leaf_run)]
        return Claim(CYCLE, run, deal.digest, settled, *origins, claimed_at, flows)

    @precondition(lambda self: self.law.inputs.run)
    @rule(seed=seeds)
    def claim(self, seed: int) -> None:
        self.make_claim(Random(seed))

    def make_claim(self, rng: Random, newest: bool = False) -> None:
        """Anyone has the chain compute a trade, by the newest figures or others."""
        if self.law.inputs.closed_for() and rng.random() < 0.85:
            return
        run = self.law.inputs.run - 1
        settling = [deal for deal in self.law.trades.deals.values() if self.law.inputs.result(deal, run)]
        pending = {one.round for one in self.law.claims.pending.values()}
        made = {*pending, *self.law.claims.applied}
        fresh = [deal for deal in settling if (deal.digest, run) not in made]
        # Whoever has another figure, or fears that this one falls, claims beside it.
        claimed = [deal for deal in settling if (deal.digest, run) in pending]
        doubled = [deal for deal in fresh if self.stands_twice(deal, run)]
        # Also where a row has applied already: it holds what the claim would add.
        settled = {pair for pair, one in self.law.rows.pairs.items() if one.by == "attested" and one.runs == run + 1}
        held = [deal for deal in fresh if settled & {flow[:2] for flow in self.flows_of(deal, run)}]
        preferred = doubled if doubled and rng.random() < 0.85 else held if held and rng.random() < 0.8 else fresh
        beside = bool(claimed) and rng.random() < 0.45
        preferred = claimed if beside else preferred
        deal = some(rng, preferred) if rng.random() < 0.85 else self.some_deal(rng)
        if deal and self.claim_trade(rng, deal, 0.0 if newest and not beside else 0.55) and rng.random() < 0.5:
            self.make_claim(rng, newest)

    def claim_trade(self, rng: Random, deal: Deal, careless: float = 0.0) -> bool:
        """One trade, by figures shown so carelessly; whether that is a claim."""
        run = self.law.inputs.run - 1
        place = self.some_place(deal, rng)
        shown = self.claimable(deal, run, rng, careless)
        done = self.act(
            "claim",
            lambda: self.law.claims.claim(deal, place, shown),
            lambda: self.world.settlement.claim(
                astuple(place), astuple(deal.trade), self.signatures(deal, place), *self.shown_arguments(deal, shown)
            ),
        )
        if done:
            claim: Pending = done[0]
            record = self.record(deal, run, claim.figures, (claim.settled, claim.flows), claim.claimed_at)
            assert claim_from(done[1]) == record
            self.records[claim.record] = record
            tally("claim none->pending")
            if len(self.law.claims.rivals(claim)) > 1:
                tally("claim beside a pending one")
        return done is not None

    @precondition(lambda self: self.law.claims.pending)
    @rule(seed=seeds)
    def apply_claim(self, seed: int) -> None:
        self.apply_a_claim(Random(seed))

    def apply_a_claim(self, rng: Random) -> None:
        """One whose window is over, seldom one whose is not, or that has fallen or ended."""
        pending = list(self.law.claims.pending.values())
        ripe = [one for one in pending if not self.law.claims.in_window(one)]
        if not ripe and rng.random() < 0.7:
            return
        rivalling = [one for one in ripe if len(self.law.claims.rivals(one)) > 1]
        ripe = rivalling if rivalling and rng.random() < 0.9 else ripe
        gone = self.law.claims.gone
        claim = rng.choice(gone) if gone and rng.random() < 0.04 else rng.choice(ripe or pending)
        truth = self.law.inputs.result(claim.deal, claim.run)
        record = self.records[claim.record]
        rivals = len(self.law.claims.rivals(claim))
        done = self.act(
            "apply claim",
            lambda: self.law.claims.apply(claim),
            lambda: self.world.settlement.apply_claim(astuple(record)),
        )
        if done is None:
            if self.law.claims.is_pending(claim) and self.law.inputs.run != claim.run + 1:
                tally("claim pending->ended by a newer run")
            return
        tally("claim pending->applied")
        if rivals > 1:
            tally("claim pending->ended by another")
        applied = [
            ((self.name(event["payer"]), self.name(event["payee"])), event["claimed_sum"])
            for event in self.take_note("ClaimApplied")
        ]
        assert applied == done[0]
        if self.watched:
            assert (claim.settled, claim.flows) == truth, "a wrong claim was applied under a watcher's eyes"
        if self.law.claims.pending:
            self.apply_a_claim(rng)

    @precondition(lambda self: self.law.claims.pending)
    @rule(seed=seeds)
    def strike_claim(self, seed: int) -> None:
        rng = Random(seed)
        pending = list(self.law.claims.pending.values())
        if rng.random() < 0.7:
            pending = [one for one in pending if self.law.inputs.result(one.deal, one.run) != (one.settled, one.flows)]
        if pending:
            self.strike(rng.choice(pending), rng.randrange(2))

    def strike(self, claim: Pending, side: int) -> None:
        """By the newest leaf, or the mark *twice*."""
        law = self.law
        origin, run, _ = claim.figures[side]
        record = astuple(self.records[claim.record])
        trade = astuple(claim.deal.trade)
        newest = law.inputs.newest_leaf(claim.deal, side, claim.run)
        twice = origin == 1 and run in law.inputs.side(claim.deal.digest, side).twice
        if twice or newest is None:
            done = self.act(
                "strike claim twice",
                lambda: law.claims.strike_twice(claim, side),
                lambda: self.world.row_faults.strike_twice(record, trade, side),
            )
        else:
            shown = self.shown(claim.deal.utility(side), *newest)
            done = self.act(
                "strike claim newer",
                lambda: law.claims.strike_newer(claim, side, newest),
                lambda: self.world.row_faults.strike_newer_leaf(record, trade, side, astuple(shown)),
            )
        if done:
            tally("claim pending->struck")
