"""What is wrong with an allocation: the faults that anyone may prove, by the chain's codes.

A leaf is judged by itself and against its trade; two leaves of one group are judged against each other. Honest
allocations have no fault, and a MISSING reading is none.
"""

from __future__ import annotations

from enum import IntEnum

from settlement import preimages
from settlement.allocation import share_rule
from settlement.config import FIFO
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf


class Status(IntEnum):
    """What a leaf's reading is."""

    READ = 0
    ESTIMATED = 1
    MISSING = 2


class Fault(IntEnum):
    """Faults of one leaf, as AllocationFaults numbers them."""

    NONE = 0
    STATUS_UNKNOWN = 1
    MISSING_NOT_ZERO = 2
    BEFORE_ABOVE_TOTAL = 3
    ABOVE_CONTRACTED = 4
    NOT_THE_RULES = 5
    OTHER_UTILITY = 6
    OTHER_METER = 7
    OTHER_SLOT = 8
    OTHER_CONTRACTED = 9
    OTHER_SALT = 10
    SIDE_UNKNOWN = 11


class Conflict(IntEnum):
    """Faults of two leaves in one tree, as AllocationFaults numbers them; all but TWICE are of one group."""

    NONE = 0
    TWICE = 12
    READINGS_DIFFER = 13
    TOTALS_DIFFER = 14
    STATUSES_DIFFER = 15
    OVERLAP = 16
    AGAINST_PLACES = 17


def fault_by_rule(leaf: AllocationLeaf, allocation_rule: int) -> Fault:
    """The fault of a leaf by itself (11, then 1 to 5), or NONE. `allocation_rule` is the market's number."""
    if leaf.side > Side.SELLER:
        return Fault.SIDE_UNKNOWN
    if leaf.status > Status.MISSING:
        return Fault.STATUS_UNKNOWN
    missing = leaf.status == Status.MISSING
    if missing and (leaf.meter_wh or leaf.allocated_wh):
        return Fault.MISSING_NOT_ZERO
    if leaf.contracted_before + leaf.contracted_wh > leaf.contracted_total_wh:
        return Fault.BEFORE_ABOVE_TOTAL
    if leaf.allocated_wh > leaf.contracted_wh:
        return Fault.ABOVE_CONTRACTED
    share = share_rule(allocation_rule)(
        leaf.meter_wh, leaf.contracted_wh, leaf.contracted_before, leaf.contracted_total_wh
    )
    if not missing and leaf.allocated_wh != share:
        return Fault.NOT_THE_RULES
    return Fault.NONE


def fault_by_trade(leaf: AllocationLeaf, utility: Hash32, placed: PlacedTrade, cycle: int) -> Fault:
    """The fault of a leaf against its trade (6 to 10), or NONE; the leaf's digest is the trade's.

    `utility` posted the tree that the leaf stands in; the leaf's side is known.
    """
    side = Side(leaf.side)
    if utility != placed.utility(side):
        return Fault.OTHER_UTILITY
    if leaf.meter != placed.meter(side):
        return Fault.OTHER_METER
    if leaf.slot_start != placed.trade.slot_start:
        return Fault.OTHER_SLOT
    if leaf.contracted_wh != placed.contracted_wh:
        return Fault.OTHER_CONTRACTED
    if leaf.salt != preimages.allocation_salt(placed.trade.salt, cycle, side):
        return Fault.OTHER_SALT
    return Fault.NONE


def fault_of(leaf: AllocationLeaf, utility: Hash32, placed: PlacedTrade, cycle: int, allocation_rule: int) -> Fault:
    """The first fault of a leaf in the chain's order: 11, 1 to 5, 6 to 10, or NONE."""
    return fault_by_rule(leaf, allocation_rule) or fault_by_trade(leaf, utility, placed, cycle)


def is_usable(leaf: AllocationLeaf, utility: Hash32, placed: PlacedTrade, cycle: int, allocation_rule: int) -> bool:
    """Whether a leaf can give a figure: it has no fault, and its reading is not MISSING, which means none yet."""
    return leaf.status != Status.MISSING and fault_of(leaf, utility, placed, cycle, allocation_rule) is Fault.NONE


def same_group(first: AllocationLeaf, second: AllocationLeaf) -> bool:
    """Whether two leaves of one tree are written in one group."""
    return (first.meter, first.slot_start, first.side) == (second.meter, second.slot_start, second.side)


def is_twice(first: AllocationLeaf, second: AllocationLeaf) -> bool:
    """Whether two leaves of one tree, at different positions, are of one trade and side: then neither counts."""
    return (first.trade_digest, first.side) == (second.trade_digest, second.side)


def conflict_of(first: AllocationLeaf, second: AllocationLeaf, allocation_rule: int) -> Conflict:
    """What two leaves of one group, at different positions of one tree, contradict each other in, or NONE."""
    if first.meter_wh != second.meter_wh:
        return Conflict.READINGS_DIFFER
    if first.contracted_total_wh != second.contracted_total_wh:
        return Conflict.TOTALS_DIFFER
    if first.status != second.status:
        return Conflict.STATUSES_DIFFER
    begin = max(first.contracted_before, second.contracted_before)
    end = min(first.contracted_before + first.contracted_wh, second.contracted_before + second.contracted_wh)
    if begin < end:
        return Conflict.OVERLAP
    if allocation_rule == FIFO:
        places = (first.commitment, first.index), (second.commitment, second.index)
        befores = first.contracted_before, second.contracted_before
        # One place holds one trade; what comes later at a place comes no earlier in the group's order.
        if places[0] == places[1] or (places[0] < places[1] and befores[0] > befores[1]):
            return Conflict.AGAINST_PLACES
        if places[1] < places[0] and befores[1] > befores[0]:
            return Conflict.AGAINST_PLACES
    return Conflict.NONE
