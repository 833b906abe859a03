"""Rules of proofs against attested rows: wrong and missing leaves, demands, answers and their refutation."""

from __future__ import annotations

from dataclasses import astuple
from itertools import product
from random import Random
from typing import Any

from hypothesis.stateful import precondition, rule

from settlement.merkle import Tree
from settlement.trade import FlowLeaf, MissingLeaf, RowDemand, ShownFlow
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import arguments, seeds
from tests.contracts.law.machine_claims import ClaimRules
from tests.contracts.law.machine_rows import RowRules
from tests.contracts.law.model_claims import Shown
from tests.contracts.law.model_rows import PUBLISHED, Pair, Pending, tree_hashes
from tests.contracts.law.model_trades import Deal
from tests.contracts.law.world import TRADERS


class ProofRules(RowRules, ClaimRules):
    """How a wrong row falls, and an honest one does not."""

    # --- proofs against rows ---

    @precondition(lambda self: self.pending_rows((PUBLISHED,)))
    @rule(seed=seeds)
    def strike_row(self, seed: int) -> None:
        self.strike_one(Random(seed))

    def attest_row(self, rng: Random) -> None:
        """Somebody looks at once, now and then."""
        super().attest_row(rng)
        if self.pending_rows((PUBLISHED,)) and rng.random() < 0.8:
            self.strike_one(rng)

    def strike_one(self, rng: Random) -> None:
        """A watcher, or somebody who would like an honest row to fall."""
        published = self.pending_rows((PUBLISHED,))
        faulty = [pair for pair in published if list(self.pending(pair).leaves) != self.truth_of(pair)]
        pair = rng.choice(faulty or published)
        pending = self.pending(pair)
        wrong = self.wrong_leaves(pair)
        there = {(leaf.trade_digest, leaf.flow) for leaf in pending.leaves}
        lacking = [leaf for leaf in self.truth_of(pair) if (leaf.trade_digest, leaf.flow) not in there]
        if lacking and rng.random() < 0.9:
            self.strike_missing(pair, rng.choice(lacking))
        elif wrong:
            self.strike_wrong(pair, rng.choice(wrong))
        elif pending.leaves:
            index = rng.randrange(len(pending.leaves))
            if rng.random() < 0.5:
                self.strike_wrong(pair, index)
            else:
                self.strike_missing(pair, pending.leaves[index])

    def flow_shown(self, pending: Pending, index: int) -> ShownFlow:
        """A leaf of a row with its proof."""
        return ShownFlow(pending.leaves[index], index, Tree(tree_hashes(pending.leaves)).path(index))

    def strike_wrong(self, pair: Pair, index: int) -> bool:
        """By a wrong leaf; whether the figures could be shown and the row fell."""
        pending = self.pending(pair)
        row, leaf = pending.row, pending.leaves[index]
        deal = self.law.trades.deals.get(leaf.trade_digest)
        if deal is None:
            return False
        proofs: list[Any] = [[], []]
        if self.law.trades.misfit(deal.trade) is None and deal.contracted:
            proofs = [self.proof_of_figure(deal, side, row.run) for side in (0, 1)]
        if None in proofs:
            return False
        shown = self.flow_shown(pending, index)
        done = self.act(
            "strike wrong leaf",
            lambda: self.law.rows.strike_wrong_leaf(row, leaf, deal),
            lambda: self.world.row_faults.strike_wrong_leaf(
                astuple(row), astuple(leaf), index, shown.path, astuple(deal.trade), *map(arguments, proofs)
            ),
        )
        if done:
            tally("row published->struck")
        return done is not None

    def strike_missing(self, pair: Pair, leaf: FlowLeaf) -> None:
        """By the payee, for a leaf that a row lacks."""
        pending = self.pending(pair)
        row = pending.row
        deal = self.law.trades.deals.get(leaf.trade_digest)
        if deal is None:
            return
        proofs = [self.proof_of_figure(deal, side, row.run) for side in (0, 1)]
        if None in proofs or self.law.trades.misfit(deal.trade) or not deal.contracted:
            return
        orders = [(one.trade_digest, one.flow) for one in pending.leaves]
        gap = sum(order < (leaf.trade_digest, leaf.flow) for order in orders)
        before = [self.flow_shown(pending, gap - 1)] if gap else []
        after = [self.flow_shown(pending, gap)] if gap < len(orders) else []
        statement = MissingLeaf(self.world.domain.digest(row), leaf.trade_digest, leaf.flow)
        key = self.key(pair[1])
        place = self.law.trades.valid_place(deal) or deal.places[0]
        done = self.act(
            "strike missing leaf",
            lambda: self.law.rows.strike_missing_leaf(row, pending.leaves, deal, place, leaf.flow, key),
            lambda: self.world.row_faults.strike_missing_leaf(
                astuple(row),
                astuple(statement),
                self.sign(key, statement),
                [],
                astuple(place),
                astuple(deal.trade),
                self.signatures(deal, place),
                *map(arguments, proofs),
                arguments(before),
                arguments(after),
            ),
        )
        if done:
            tally("row published->struck")

    # --- demands on rows ---

    @precondition(lambda self: self.pending_rows((PUBLISHED,)))
    @rule(seed=seeds)
    def demand_leaf(self, seed: int) -> None:
        """A payee at random; an honest payer only what it does not know."""
        rng = Random(seed)
        published = self.pending_rows((PUBLISHED,))
        fresh = [pair for pair in published if len(self.pending(pair).open) < len(self.pending(pair).leaves)]
        pair = rng.choice(fresh if fresh and rng.random() < 0.9 else published)
        pending = self.pending(pair)
        wrong = self.wrong_leaves(pair)
        index = rng.randrange(len(pending.leaves) + (rng.random() < 0.1 or not pending.leaves))
        old = [
            place
            for place, leaf in enumerate(pending.leaves)
            if (deal := self.law.trades.deals.get(leaf.trade_digest)) and self.old_figures(deal, pair, pending, place)
        ]
        if old and rng.random() < 0.7:
            index = rng.choice(old)
        member = pair[1]
        if wrong and rng.random() < 0.6:
            index, member = rng.choice(wrong), pair[0]
        elif not wrong and rng.random() < 0.5:
            member = pair[0]
        if rng.random() < 0.05:
            member = rng.choice([name for name in TRADERS if name not in pair])
        if self.demand_of(pair, index, member) and (index in old or rng.random() < 0.6):
            self.answer_one_leaf(rng, pair, index)

    def demand_of(self, pair: Pair, index: int, member: str) -> bool:
        """A member demands a leaf of its row; whether it may."""
        row = self.pending(pair).row
        statement = RowDemand(self.world.domain.digest(row), index, self.id(member))
        key = self.key(member)
        if self.act(
            "demand leaf of row",
            lambda: self.law.rows.demand(row, index, member, key),
            lambda: self.world.row_demands.demand(astuple(row), astuple(statement), self.sign(key, statement), []),
        ):
            tally("leaf ->demanded")
            return True
        return False

    def demanded(self) -> list[tuple[Pair, int]]:
        """Leaves of rows that are demanded and not shown."""
        return [(pair, index) for pair in self.pending_rows((PUBLISHED,)) for index in self.pending(pair).open]

    @precondition(lambda self: self.demanded())
    @rule(seed=seeds)
    def answer_leaf(self, seed: int) -> None:
        rng = Random(seed)
        self.answer_one_leaf(rng, *rng.choice(self.demanded()))

    def answer_one_leaf(self, rng: Random, pair: Pair, index: int) -> None:
        """Honestly, by an old figure, or not at all."""
        pending = self.pending(pair)
        row, leaf = pending.row, pending.leaves[index]
        deal = self.law.trades.deals.get(leaf.trade_digest)
        if deal is None:
            return
        old = self.old_figures(deal, pair, pending, index)
        shown = rng.choice(old) if old and rng.random() < 0.8 else self.claimable(deal, row.run, rng)
        place = self.some_place(deal, rng)
        computed: list[Any] = []

        def in_model() -> None:
            figures, result = self.law.claims.compute(deal, place, row.run, shown)
            runs = tuple(None if origin == 2 else run if origin else -1 for origin, run, _ in figures)
            record = self.record(deal, row.run, figures, result, 0)
            computed.append(runs)
            self.law.rows.answer(row, index, deal, runs, result, record)  # type: ignore[arg-type]

        done = self.act(
            "answer leaf of row",
            in_model,
            lambda: self.world.row_demands.answer(
                astuple(row),
                astuple(self.flow_shown(pending, index)),
                astuple(place),
                astuple(deal.trade),
                self.signatures(deal, place),
                *self.shown_arguments(deal, shown),
            ),
        )
        if done:
            tally("leaf demanded->founded")
            newest = [self.law.inputs.newest_leaf(deal, side, row.run) for side in (0, 1)]
            older = [side for side in (0, 1) if shown[side] != newest[side]]
            if older and rng.random() < 0.9:
                self.refute(pair, index, rng.choice(older))

    def old_figures(self, deal: Deal, pair: Pair, pending: Pending, index: int) -> list[tuple[Shown, Shown]]:
        """What shows a leaf of a row by figures that are not the newest, but come to the same."""
        inputs, run = self.law.inputs, pending.row.run
        sides: list[list[tuple[Shown, int | None]]] = []
        for side in (0, 1):
            found: list[tuple[Shown, int | None]] = []
            for leaf_run in range(run + 1):
                for own in inputs.own(deal, side, leaf_run):
                    if inputs.counts(deal, side, leaf_run, own, run):
                        wh = inputs.posted[deal.utility(side), leaf_run].leaves[own].allocated_wh
                        found.append(((leaf_run, own), wh))
            recorded = inputs.recorded(deal, side, run)
            sides.append([(None, recorded[1])] if recorded else found)
        newest = tuple(inputs.newest_leaf(deal, side, run) for side in (0, 1))
        fitting = []
        for buyer, seller in product(*sides):
            computed = inputs.settle(deal, run, buyer[1], seller[1])
            right = computed and pending.leaves[index] in self.law.rows.leaves_of(deal, pair, computed)
            if right and (buyer[0], seller[0]) != newest:
                fitting.append((buyer[0], seller[0]))
        return fitting

    @precondition(lambda self: any(self.pending(pair).answers for pair in self.pending_rows((PUBLISHED,))))
    @rule(seed=seeds)
    def refute_answer(self, seed: int) -> None:
        rng = Random(seed)
        pair = rng.choice([pair for pair in self.pending_rows((PUBLISHED,)) if self.pending(pair).answers])
        self.refute(pair, rng.choice(list(self.pending(pair).answers)), rng.randrange(2))

    def refute(self, pair: Pair, index: int, side: int) -> None:
        """By the newest leaf that counts, or by the mark *twice*."""
        pending = self.pending(pair)
        row, answer = pending.row, pending.answers[index]
        newest = self.law.inputs.newest_leaf(answer.deal, side, row.run)
        if self.law.inputs.recorded(answer.deal, side, row.run):
            return
        twice = answer.runs[side] in self.law.inputs.side(answer.deal.digest, side).twice
        newer = None if twice or newest is None else newest[0]
        shown = [] if newer is None or newest is None else [self.shown(answer.deal.utility(side), *newest)]
        done = self.act(
            "refute answer",
            lambda: self.law.rows.refute(row, index, side, newer),
            lambda: self.world.row_demands.refute(
                astuple(row),
                index,
                astuple(answer.record),
                astuple(answer.deal.trade),
                side,
                arguments(shown),  # type: ignore[call-overload]
            ),
        )
        if done:
            tally("leaf founded->demanded")

    def strike_unfounded(self, pair: Pair, index: int) -> None:
        row = self.pending(pair).row
        if self.act(
            "strike unfounded",
            lambda: self.law.rows.strike_unfounded(row, index),
            lambda: self.world.row_demands.strike_unfounded(astuple(row), index),
        ):
            tally("row published->struck")
            tally("leaf demanded->unfounded")

    @precondition(lambda self: self.demanded())
    @rule(seed=seeds)
    def strike_unanswered(self, seed: int) -> None:
        self.strike_unfounded(*Random(seed).choice(self.demanded()))
