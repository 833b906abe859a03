"""What a member makes of each of its pairs at this moment: how the pair stands on chain, and the row that is right.

Nothing is remembered here but what was computed from the newest followed block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from member.config import MemberConfig
from member.desk import Desk
from member.pairs import NOTHING_YET, PairState, PairStates, pairs_concerned, who_wants
from settlement.flows import Pair, member_of
from settlement.hashing import ZERO_HASH, Hash32
from settlement.placed import PlacedTrade, Side
from settlement.rows import RowContent
from settlement.trade import Row
from store.records import Way


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A pair and its right row now: in the newest sealed run, or early in run 0 with inputs zero."""

    cycle: int
    run: int
    way: Way
    inputs: Hash32
    pair: Pair
    state: PairState
    content: RowContent
    keep: int

    @property
    def wants(self) -> Hash32 | None:
        """Which of the two would gain by the row; None where nothing would change."""
        return who_wants(self.pair, self.state, self.content, self.keep)

    def other_than(self, member: Hash32) -> Hash32:
        """The other of the two."""
        payer, payee = self.pair
        return payee if member == payer else payer

    def row(self, version: int) -> Row:
        """The row that both sign."""
        return self.content.row(self.cycle, self.run, version, self.inputs, self.keep)

    def attested_row(self, version: int) -> Row:
        """The row that a quorum attests: it releases nothing."""
        return self.content.row(self.cycle, self.run, version, self.inputs)


class Reckoning:
    """Reckons a member's pairs. Any thread may use it."""

    def __init__(self, desk: Desk, config: MemberConfig) -> None:
        self._desk = desk
        self._config = config
        self._states = PairStates(desk.market.cycle)

    def states(self, cycle: int) -> Mapping[Pair, PairState]:
        """How all pairs stand on chain in a cycle."""
        return self._states.of(cycle)

    def pairs(self, cycle: int) -> list[Pair]:
        """The member's pairs that a row of the cycle may concern."""
        run = self._desk.market.newest_sealed_run(cycle) or 0
        return pairs_concerned(self._desk.me.id, self.states(cycle), self._desk.result(cycle, run).rows)

    def of(self, cycle: int, pair: Pair) -> Reckoned | None:
        """The pair as it stands now; None where there is nothing to sign yet: not sealed, and not early either."""
        market = self._desk.market
        run = market.newest_sealed_run(cycle)
        if run is None and not self._is_early(cycle, pair):
            return None
        way, inputs = (Way.EARLY, ZERO_HASH) if run is None else (Way.AGREED, market.inputs(cycle, run))
        content, keep = self._desk.row(cycle, run or 0, pair)
        state = self.states(cycle).get(pair, NOTHING_YET)
        return Reckoned(cycle, run or 0, way, inputs, pair, state, content, keep)

    def _is_early(self, cycle: int, pair: Pair) -> bool:
        """Whether the two agreed not to wait, nothing was settled yet, and every leaf of their trades is served.

        Once the window is open, whoever has not signed waits for its end: what is being disputed may change the row.
        """
        market, me = self._desk.market, self._desk.me.id
        payer, payee = pair
        if not self._config.partner(payee if me == payer else payer).early:
            return False
        if not market.calendar.cycle_end(cycle) <= market.now() < market.deadline(cycle, 0):
            return False
        if self.states(cycle).get(pair, NOTHING_YET).version:
            return False
        trades = [one for one in self._desk.counting(cycle) if self._flows_between(one, pair)]
        served = {(one.leaf.trade_digest, one.leaf.side) for one in self._desk.served(cycle, 0)}
        return bool(trades) and all((one.digest, side) in served for one in trades for side in Side)

    def _flows_between(self, placed: PlacedTrade, pair: Pair) -> bool:
        template = self._desk.market.templates[placed.trade.template]
        return any(
            (member_of(placed.trade, flow.payer), member_of(placed.trade, flow.payee)) == pair
            for flow in template.flows
        )
