"""Claims: the chain computes single trades; what they come to by a run's figures adds up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from settlement.config import Config
from tests.contracts.law.model_clock import Clock
from tests.contracts.law.model_inputs import LEAF, RECORDED, Inputs
from tests.contracts.law.model_members import Members
from tests.contracts.law.model_rows import NOTHING_RELEASED, Pair, Rows
from tests.contracts.law.model_trades import Deal, Trades
from tests.contracts.law.world import CYCLE
from tests.contracts.money_model import Model as Money
from tests.contracts.money_model import Refused

# What a side of a claim shows: run and index of a leaf, or nothing.
Shown = tuple[int, int] | None
# A pair's sum goes no further.
MOST = 2**96 - 1
# Origin (0 none, 1 leaf, 2 recorded), run, Wh.
Figure = tuple[int, int, int | None]
# A trade's digest and a run, of which one claim applies at most.
Round = tuple[bytes, int]


@dataclass
class Pending:
    """A claim that is neither struck nor ended."""

    deal: Deal
    run: int
    figures: tuple[Figure, Figure]
    settled: int
    flows: list[tuple[str, str, int]]
    claimed_at: int

    @property
    def round(self) -> Round:
        return self.deal.digest, self.run

    @property
    def record(self) -> tuple[object, ...]:
        """All that tells it from others: not how much a side's figure is beyond what settles."""
        origins = tuple(figure[:2] for figure in self.figures)
        return *self.round, origins, self.settled, tuple(self.flows), self.claimed_at


@dataclass
class Claims:
    """Settlement's claims and RowFaults' proofs against them."""

    config: Config
    clock: Clock
    members: Members
    money: Money
    inputs: Inputs
    trades: Trades
    rows: Rows
    pending: dict[tuple[object, ...], Pending] = field(default_factory=dict)
    applied: set[Round] = field(default_factory=set)
    # What is pending no more.
    gone: list[Pending] = field(default_factory=list)
    # By pair and run: the sum of what was claimed, which is an amount as others are.
    sums: Counter[tuple[Pair, int]] = field(default_factory=Counter)

    def figure(self, deal: Deal, side: int, run: int, shown: Shown) -> Figure:
        """What a claim shows of a side."""
        recorded = self.inputs.recorded(deal, side, run)
        if recorded:
            return RECORDED, recorded[0], recorded[1]
        if shown is None:
            if run != self.inputs.last:
                raise Refused("TradeResult: no figure shown")
            return 0, 0, None
        if not self.inputs.counts(deal, side, *shown, run):
            raise Refused("TradeResult: leaf does not count")
        return LEAF, shown[0], self.inputs.posted[deal.utility(side), shown[0]].leaves[shown[1]].allocated_wh

    def compute(
        self, deal: Deal, place: object, run: int, shown: tuple[Shown, Shown]
    ) -> tuple[tuple[Figure, Figure], tuple[int, list[tuple[str, str, int]]]]:
        """Both figures as shown, and what the trade settles at by them."""
        refusal = self.trades.place_refusal(deal, place)  # type: ignore[arg-type]
        if refusal:
            raise Refused(refusal)
        if deal.contracted == 0:
            raise Refused("TradeResult: settles at nothing")
        figures = (self.figure(deal, 0, run, shown[0]), self.figure(deal, 1, run, shown[1]))
        result = self.inputs.settle(deal, run, figures[0][2], figures[1][2])
        if result is None:
            raise Refused("TradeResult: settles at nothing")
        return figures, result

    def claim(self, deal: Deal, place: object, shown: tuple[Shown, Shown]) -> Pending:
        if self.inputs.closed_for():
            raise Refused("Settlement: cycle closed")
        if not self.inputs.run:
            raise Refused("Settlement: no sealed run")
        run = self.inputs.run - 1
        figures, (settled, flows) = self.compute(deal, place, run, shown)
        claim = Pending(deal, run, figures, settled, flows, self.clock.now)
        if claim.record in self.pending or claim.round in self.applied:
            raise Refused("Settlement: claimed already")
        self.pending[claim.record] = claim
        return claim

    def rivals(self, claim: Pending) -> list[Pending]:
        """All that are pending of its trade and run, it too."""
        return [one for one in self.pending.values() if one.round == claim.round]

    def in_window(self, claim: Pending) -> bool:
        return self.clock.since(claim.claimed_at) < self.config.claim_window

    def apply(self, claim: Pending) -> list[tuple[Pair, int]]:
        """Each pair that gains, and the sum of its claims. Whatever else is claimed of the trade has ended."""
        if not self.is_pending(claim):
            raise Refused("Settlement: claim not pending")
        if self.in_window(claim):
            raise Refused("Settlement: claim's window open")
        if claim.run + 1 != self.inputs.run:
            raise Refused("Settlement: newer run is sealed")
        for one in self.rivals(claim):
            self._end(one)
        self.applied.add(claim.round)
        gained = []
        for payer, payee, amount in claim.flows:
            pair = (payer, payee)
            standing = self.rows.pair(pair)
            by_row = standing.runs == claim.run + 1 and standing.by in ("agreed", "attested")
            if payer == payee or amount == 0 or by_row:
                continue
            total = min(self.sums[pair, claim.run] + amount, MOST)
            self.sums[pair, claim.run] = total
            applied = self.money.pair(CYCLE, *pair).applied
            standing.runs = claim.run + 1
            standing.by = "claims" if total >= applied else ""
            self.money.settle(CYCLE, *pair, max(applied, total), standing.word, NOTHING_RELEASED)
            gained.append((pair, total))
        return gained

    def strike_newer(self, claim: Pending, side: int, shown: tuple[int, int]) -> None:
        """By another leaf of the side that counts."""
        origin, run, _ = claim.figures[side]
        counts = self.inputs.counts(claim.deal, side, *shown, claim.run)
        if self.inputs.recorded(claim.deal, side, claim.run) or (counts and origin == LEAF and shown[0] <= run):
            raise Refused("RowFaults: not newer")
        if not counts:
            raise Refused("TradeResult: leaf does not count")
        self._strike(claim)

    def strike_twice(self, claim: Pending, side: int) -> None:
        origin, run, _ = claim.figures[side]
        if origin != LEAF or run not in self.inputs.side(claim.deal.digest, side).twice:
            raise Refused("RowFaults: not marked twice")
        self._strike(claim)

    def _strike(self, claim: Pending) -> None:
        if not self.is_pending(claim):
            raise Refused("Settlement: claim not pending")
        if not self.in_window(claim):
            raise Refused("Settlement: claim's window over")
        self._end(claim)

    def is_pending(self, claim: Pending) -> bool:
        return claim.record in self.pending

    def _end(self, claim: Pending) -> None:
        del self.pending[claim.record]
        self.gone.append(claim)
