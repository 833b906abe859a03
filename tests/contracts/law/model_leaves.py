"""What is wrong with an allocation leaf: by itself, against its trade, against another of its group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from settlement import preimages
from settlement.trade import AllocationLeaf
from tests.contracts.law.world import CYCLE

if TYPE_CHECKING:
    from tests.contracts.law.model_trades import Deal

FIFO = 1
MISSING = 2


def share(contracted: int, before: int, total: int, reading: int, rule: int) -> int:
    """What the market's rule gives a trade of a reading, Wh."""
    if rule == FIFO:
        return max(0, min(contracted, reading - before))
    return contracted if reading >= total else contracted * reading // total


def group_of(utility: bytes, leaf: AllocationLeaf) -> tuple[bytes, bytes, int, int]:
    """The group that is written in a leaf."""
    return utility, leaf.meter, leaf.slot_start, leaf.side


def fault_by_rule(leaf: AllocationLeaf, rule: int) -> bool:
    """Whether the leaf alone shows that it is wrong."""
    if leaf.side > 1 or leaf.status > MISSING:
        return True
    if leaf.contracted_before + leaf.contracted_wh > leaf.contracted_total_wh or leaf.allocated_wh > leaf.contracted_wh:
        return True
    if leaf.status == MISSING:
        return leaf.meter_wh != 0 or leaf.allocated_wh != 0
    given = leaf.contracted_wh, leaf.contracted_before, leaf.contracted_total_wh, leaf.meter_wh
    return leaf.allocated_wh != share(*given, rule)


def fault_by_trade(leaf: AllocationLeaf, utility: bytes, deal: Deal) -> bool:
    """Whether the leaf does not fit its trade as it is curtailed, or stands in another utility's tree."""
    side = 0 if leaf.side == 0 else 1
    return (
        utility != deal.utility(side)
        or leaf.meter != deal.meter(side)
        or leaf.slot_start != deal.trade.slot_start
        or leaf.contracted_wh != deal.contracted
        or leaf.salt != preimages.allocation_salt(deal.trade.salt, CYCLE, leaf.side)
    )


def conflict(first: AllocationLeaf, second: AllocationLeaf, rule: int) -> bool:
    """Whether two leaves of one group contradict each other."""
    for field in ("meter_wh", "contracted_total_wh", "status"):
        if getattr(first, field) != getattr(second, field):
            return True
    first_end, second_end = (one.contracted_before + one.contracted_wh for one in (first, second))
    if max(first.contracted_before, second.contracted_before) < min(first_end, second_end):
        return True
    if rule != FIFO:
        return False
    places = [((one.commitment, one.index), one.contracted_before) for one in (first, second)]
    lower, higher = sorted(places)
    return lower[0] == higher[0] or lower[1] > higher[1]


def is_usable(leaf: AllocationLeaf, deal: Deal, side: int, rule: int) -> bool:
    """Whether a leaf of the side passes every check that one leaf allows, and is not MISSING."""
    faulty = fault_by_rule(leaf, rule) or fault_by_trade(leaf, deal.utility(side), deal)
    return not faulty and leaf.status != MISSING
