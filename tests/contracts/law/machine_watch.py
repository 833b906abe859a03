"""One honest watcher: what it proves, and when."""

from __future__ import annotations

from hypothesis.stateful import precondition, rule

from settlement.trade import FlowLeaf
from tests.contracts.law.machine_inputs import InputRules
from tests.contracts.law.machine_proofs import ProofRules
from tests.contracts.law.model_inputs import INTAKE
from tests.contracts.law.model_rows import PUBLISHED, Pair


class WatchRules(ProofRules, InputRules):
    """What somebody who looks does, before anything wrong outlives its window."""

    @precondition(lambda self: self.law.inputs.posted)
    @rule()
    def watch_now(self) -> None:
        if self.watched:
            self.watch()

    def watch(self) -> None:
        """The watcher, and payers that do not pay what they never signed, act on all that is wrong."""
        self.watch_trees()
        self.watch_claims()
        for pair in self.pending_rows((PUBLISHED,)):
            self.watch_row(pair)

    def watch_trees(self) -> None:
        """What stands twice in any final tree, also after the seal."""
        inputs = self.law.inputs
        for owner, run in list(inputs.posted):
            if run == inputs.run and inputs.phase <= INTAKE:
                continue
            for way, indexes in list(inputs.faults(owner, run)):
                leaf = inputs.posted[owner, run].leaves[indexes[0]]
                known = leaf.trade_digest in self.law.trades.deals and leaf.side < 2
                if way == "twice" and known and run not in inputs.side(leaf.trade_digest, leaf.side).twice:
                    self.prove(owner, run, way, indexes)

    def watch_claims(self) -> None:
        """Ends claims by other than the newest figures."""
        for claim in list(self.law.claims.pending.values()):
            right = self.law.inputs.result(claim.deal, claim.run) == (claim.settled, claim.flows)
            if right or not self.law.claims.in_window(claim):
                continue
            for side in (0, 1):
                if self.law.claims.is_pending(claim):
                    self.strike(claim, side)

    def watch_row(self, pair: Pair) -> None:
        """Strikes a wrong row at once, or holds it by a demand until it falls."""
        rows, pending = self.law.rows, self.pending(pair)
        wrong = self.wrong_leaves(pair)
        if not wrong or not (rows.in_window(pending) or rows.holds(pending)):
            return
        for index in wrong:
            if not self.results(pair, pending.leaves[index], pending.row.run) and self.strike_wrong(pair, index):
                return
        for index, since in list(pending.open.items()):
            if index in wrong and self.law.clock.since(since) >= rows.config.demand_time:
                self.strike_unfounded(pair, index)
                return
        for index in wrong:
            for side in (0, 1):
                if index in pending.answers:
                    self.refute(pair, index, side)
        fresh = [index for index in wrong if index not in pending.answers]
        if fresh and not pending.open and rows.in_window(pending):
            if self.key(pair[0]) is None:
                self.renew_key(pair[0])
            self.demand_of(pair, fresh[0], pair[0])

    def results(self, pair: Pair, leaf: FlowLeaf, run: int) -> bool:
        """Whether the leaf is what its trade computes to, be the trade void: then only a demand helps."""
        deal = self.law.trades.deals.get(leaf.trade_digest)
        computed = self.law.inputs.result(deal, run) if deal else None
        return bool(deal and computed and leaf in self.law.rows.leaves_of(deal, pair, computed))
