"""A row that a quorum attests, true or not, and what those whom it binds do about it.

As with allocations nothing here decides what is wrong: every strike is tried on the chain, with what the pair knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from settlement import preimages
from settlement.merkle import Tree
from settlement.rows import RowContent, leaf_key
from settlement.trade import FlowLeaf, MissingLeaf, Row, RowDemand, ShownFlow, Trade
from settlement.units import AMOUNT_BOUND
from tests.contracts.completeness.honest import HonestCycle, attempt
from tests.contracts.settling import later
from tests.contracts.trading import CONFIG, CYCLE

RIGHT = "RowFaults: the leaf is right"


@dataclass(frozen=True)
class AttestedRow:
    """A pair's row over these leaves, in whatever order, as a quorum signs it; `truth` is the right row's content."""

    cycle: HonestCycle
    truth: RowContent
    leaves: Sequence[FlowLeaf]
    row: Row

    @classmethod
    def over(
        cls, cycle: HonestCycle, truth: RowContent, leaves: Sequence[FlowLeaf], run: int, version: int
    ) -> AttestedRow:
        """A row that is what such leaves make it."""
        amount = min(sum(leaf.amount for leaf in leaves), AMOUNT_BOUND - 1)
        tree = tree_of(leaves)
        inputs = cycle.market.oracle.inputs(CYCLE, run)
        row = Row(CYCLE, run, version, truth.payer, truth.payee, amount, len(leaves), tree.root, 0, inputs)
        return cls(cycle, truth, leaves, row)

    def attest(self) -> str:
        """A quorum signs and somebody posts it; why it is not taken, or nothing."""
        signed = self.cycle.scene.attestations(self.row)
        return attempt(self.cycle.market.settlement, "attest", astuple(self.row), *signed)

    def publish(self) -> str:
        """Its leaves, which are one chunk; why they are not taken, or nothing."""
        settlement = self.cycle.market.settlement
        if not self.leaves:
            return attempt(settlement, "publish_empty", astuple(self.row))
        leaves = [astuple(leaf) for leaf in self.leaves]
        return attempt(settlement, "publish", astuple(self.row), leaves, list(tree_of(self.leaves).chunk(7, 0)[1]))

    def apply(self) -> str:
        """Somebody applies it; why it does not apply, or nothing."""
        return attempt(self.cycle.market.settlement, "apply_attested", astuple(self.row))

    @property
    def is_pending(self) -> bool:
        """Whether it can still come to be applied."""
        row, digest = self.row, self.cycle.market.domain.digest(self.row)
        stage, pending = self.cycle.market.settlement.pending(row.cycle, row.payer, row.payee)
        return pending == digest and stage != 3

    # --- what can be done about it ---

    def strike(self) -> str:
        """What ended the row: the first of all strikes that the contracts take, or nothing."""
        for place in range(len(self.leaves)):
            if self.strike_wrong(place) == "":
                return "wrong leaf"
        for leaf in self.truth.leaves:
            if self.strike_missing(leaf) == "":
                return "missing leaf"
        unknown = [place for place, leaf in enumerate(self.leaves) if self._trade_of(leaf) is None]
        for place in unknown:
            said = self.demand_of(place)
            assert self.demand(said, said) == ""
            assert self.apply() == "Settlement: row's window open"
            later(max(CONFIG.demand_time, CONFIG.row_window))
            assert self.apply() == "Settlement: row's window open"
            assert self.strike_unfounded(place) == ""
            return "unfounded leaf"
        return ""

    def strike_wrong(self, place: int) -> str:
        """By a leaf and its trade, if anybody knows such a one; why not, or nothing."""
        leaf = self.leaves[place]
        trade = self._trade_of(leaf)
        if trade is None:
            return "nobody knows the trade"
        path = tree_of(self.leaves).path(place)
        return attempt(
            self.cycle.market.row_faults,
            "strike_wrong_leaf",
            astuple(self.row),
            astuple(leaf),
            place,
            path,
            astuple(trade),
            *self._figures(trade),
        )

    def strike_missing(
        self, missing: FlowLeaf, stated: MissingLeaf | None = None, signed: MissingLeaf | None = None
    ) -> str:
        """By the payee, whom the row denies a leaf (and who may state or sign something else); why not, or nothing."""
        gap = sum(1 for leaf in self.leaves if leaf_key(leaf) < leaf_key(missing))
        trade = self._trade_of(missing)
        assert trade is not None
        said = MissingLeaf(self.cycle.market.domain.digest(self.row), missing.trade_digest, missing.flow)
        return attempt(
            self.cycle.market.row_faults,
            "strike_missing_leaf",
            astuple(self.row),
            astuple(stated or said),
            self._sign(self.row.payee, signed or said),
            [],
            astuple(self.cycle.scene.place(trade)),
            astuple(trade),
            self.cycle.scene.signatures(trade),
            *self._figures(trade),
            *(self._neighbour(place) for place in (gap - 1, gap)),
        )

    def demand(self, stated: RowDemand, signed: RowDemand) -> str:
        """The row's payer asks for the trade behind a leaf, and signs that or something else; why not, or nothing."""
        signature = self._sign(self.row.payer, signed)
        return attempt(self.cycle.market.row_demands, "demand", astuple(self.row), astuple(stated), signature, [])

    def demand_of(self, place: int) -> RowDemand:
        """What the payer says of a leaf."""
        return RowDemand(self.cycle.market.domain.digest(self.row), place, self.row.payer)

    def answer(self, place: int) -> str:
        """Anybody shows the trade behind a demanded leaf; why that does not do, or nothing."""
        trade = self._trade_of(self.leaves[place])
        assert trade is not None
        return attempt(
            self.cycle.market.row_demands,
            "answer",
            astuple(self.row),
            astuple(self._shown(place)),
            astuple(self.cycle.scene.place(trade)),
            astuple(trade),
            self.cycle.scene.signatures(trade),
            *self._figures(trade),
        )

    def strike_unfounded(self, place: int) -> str:
        """By a demand that nobody answered; why not, or nothing."""
        return attempt(self.cycle.market.row_demands, "strike_unfounded", astuple(self.row), place)

    def _trade_of(self, leaf: FlowLeaf) -> Trade | None:
        scene = self.cycle.scene
        return next((trade for trade in scene.trades if scene.digest(trade) == leaf.trade_digest), None)

    def _figures(self, trade: Trade) -> list[list[tuple[object, ...]]]:
        return [self.cycle.own_leaves(trade, side, self.row.run)[0] for side in (0, 1)]

    def _shown(self, place: int) -> ShownFlow:
        return ShownFlow(self.leaves[place], place, tree_of(self.leaves).path(place))

    def _neighbour(self, place: int) -> list[tuple[object, ...]]:
        return [astuple(self._shown(place))] if 0 <= place < len(self.leaves) else []

    def _sign(self, member: bytes, said: object) -> tuple[int, bytes, bytes]:
        return self.cycle.market.sign(self.cycle.scene.name(member), said)


def tree_of(leaves: Sequence[FlowLeaf]) -> Tree:
    """The tree over leaves of a row, in the order given."""
    return Tree([preimages.flow_leaf(leaf) for leaf in leaves])
