"""A cycle without a chain: two trades between two platforms, what both utilities allocate and serve of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from settlement.config import PRO_RATA
from settlement.cycle import RunResult, SlotReading, UtilityAllocation, allocate_utility, settle_run
from settlement.figures import Marks, SeenLeaf
from settlement.formula.templates import SHIPPED_BY_ID
from settlement.hashing import keccak256
from settlement.placed import PlacedTrade, Side
from store.records import ServedLeaf
from tests.settlement import builders
from tests.settlement.builders import CYCLE, TERMS, UTILITY_A, UTILITY_B, placed, trade

FIRST = placed(trade("10"), index=0)
SECOND = placed(trade("5", salt=keccak256(b"second")), index=1)
TRADES = {one.digest: one for one in (FIRST, SECOND)}
PAIR = (builders.PLATFORM_A, builders.PLATFORM_B)  # the buyer pays the seller


def allocation(utility: bytes, wh: int, trades: Sequence[PlacedTrade] = (FIRST, SECOND)) -> UtilityAllocation:
    """What a utility allocates of a reading of `wh`: A is the buyers' utility, B the sellers'."""
    side = Side.BUYER if utility == UTILITY_A else Side.SELLER
    return allocate_utility(utility, trades, {builders.group(FIRST, side): SlotReading(wh)}, CYCLE, PRO_RATA)


def served(run: int, posted: UtilityAllocation) -> tuple[ServedLeaf, ...]:
    """All leaves of a posted tree with their proofs."""
    return tuple(
        ServedLeaf(run, posted.utility, posted.tree.root, len(posted.leaves), at, leaf, posted.tree.path(at))
        for at, leaf in enumerate(posted.leaves)
    )


def with_leaf(posted: UtilityAllocation, at: int, **changes: int | bytes) -> UtilityAllocation:
    """The same tree with one leaf changed."""
    leaves = list(posted.leaves)
    leaves[at] = replace(leaves[at], **changes)
    return UtilityAllocation(posted.utility, tuple(leaves))


def result(
    run: int,
    leaves: Sequence[ServedLeaf],
    marks: Marks | None = None,
    trades: Mapping[bytes, PlacedTrade] = TRADES,
) -> RunResult:
    """What the trades come to by these leaves."""
    seen = [SeenLeaf(one.run, one.utility, one.leaf) for one in leaves]
    return settle_run(run, trades.values(), seen, marks or Marks(), SHIPPED_BY_ID, TERMS)


BUYERS = allocation(UTILITY_A, 20_000)
SELLERS = allocation(UTILITY_B, 20_000)
RUN_0 = (*served(0, BUYERS), *served(0, SELLERS))
