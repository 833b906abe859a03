"""What tests of TradeResult share: trades at places that the book knows, and one side's leaves and marks.

Trade book and oracle are stand-ins, so that every record, tree and mark can be had; registry and templates are real.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any

from settlement import merkle, preimages
from settlement.figures import SideMarks
from settlement.hashing import ZERO_HASH, keccak256
from settlement.trade import AllocationLeaf, Commitment, Place, ShownLeaf, Trade
from tests.contracts.market import CONTRACTS, Market, at_time, deploy
from tests.contracts.settling import register_templates
from tests.contracts.trading import BEGIN, CONFIG, CYCLE, DAY, MORNING, allocation_tree, leaf_of, shown

MOCKS = CONTRACTS / "mocks"
STAND_INS = {"TradeBook": str(MOCKS / "BookStandIn.vy"), "AllocationOracle": str(MOCKS / "OracleStandIn.vy")}
LAST = CONFIG.last_run
NONE = (False, 0, 0, 0)


def deploy_results(**config: Any) -> Market:
    """Registry, templates and TradeResult, with stand-ins for book and oracle, at `MORNING`."""
    at_time(MORNING - 30 * DAY)
    market = deploy(replace(CONFIG, **config), stand_ins=STAND_INS, only=("RevenueFlows", "TradeResult"))
    register_templates(market)
    market.oracle.set_version(1)
    at_time(MORNING)
    return market


def place_of(market: Market, trade: Trade, others: int = 4, **changes: Any) -> Place:
    """A place that the book knows: the last of some trades in a batch; `changes` are of the record."""
    leaves = [preimages.trade_leaf(keccak256(bytes([number]))) for number in range(others)]
    tree = merkle.Tree([*leaves, preimages.trade_leaf(market.domain.digest(trade))])
    a, b = sorted((trade.buyer_platform, trade.seller_platform))
    record = replace(Commitment(CYCLE, a, b, 1, BEGIN, tree.count, tree.root, MORNING), **changes)
    market.book.set_commitment(7, preimages.commitment_record(record))
    return Place(7, record, others, tree.path(others))


@dataclass
class OneSide:
    """One side of a trade, and what the oracle is told of it."""

    market: Market
    trade: Trade
    side: int = 1

    @property
    def utility(self) -> bytes:
        return self.trade.seller_utility if self.side else self.trade.buyer_utility

    @property
    def digest(self) -> bytes:
        return self.market.domain.digest(self.trade)

    def leaf(self, **changes: Any) -> AllocationLeaf:
        """An honest leaf of this side, changed."""
        return leaf_of(self.market, self.trade, self.side, **changes)

    def post(self, *leaves: AllocationLeaf | str | None) -> list[ShownLeaf | None]:
        """By run: a leaf in a tree of three, a tree without it ("without"), or nothing posted (None)."""
        trees: list[bytes] = []
        found: list[ShownLeaf | None] = []
        for run, one in enumerate(leaves):
            fillers = [self.leaf(trade_digest=keccak256(bytes([run, number]))) for number in range(2)]
            if one is None:
                trees.append(ZERO_HASH)
                found.append(None)
                continue
            listed = fillers if isinstance(one, str) else [fillers[0], one, fillers[1]]
            tree = allocation_tree(listed)
            trees.append(preimages.posted_tree(tree.root, tree.count))
            found.append(None if isinstance(one, str) else shown(tree, 1, one, run))
        self.market.oracle.set_posted(self.utility, trees)
        return found

    def mark(self, void: int = 0, **marks: Any) -> None:
        """Marks of this side, and void runs of its group."""
        meter = self.trade.seller_meter if self.side else self.trade.buyer_meter
        group = preimages.group_key(self.utility, meter, self.trade.slot_start, self.side)
        self.market.oracle.set_void_runs(group, void)
        self.market.oracle.set_marks(self.digest, self.side, SideMarks(**marks).to_word())

    def figure(self, run: int, *leaves: ShownLeaf | None) -> tuple[Any, ...]:
        """What `figure` says."""
        listed = [astuple(one) for one in leaves if one]
        return tuple(self.market.result.figure(astuple(self.trade), self.side, run, listed))

    def claimed(self, run: int, *leaves: ShownLeaf | None) -> tuple[Any, ...]:
        """What `claimed_figure` says."""
        listed = [astuple(one) for one in leaves if one]
        return tuple(self.market.result.claimed_figure(astuple(self.trade), self.side, run, listed))
