# pragma version 0.4.3
"""
@title What makes an allocation leaf wrong (docs/protocol.md, section 6)
@notice Three parts: by the leaf and the market's rule alone, against the trade whose hash is the leaf's digest, and
        against another leaf of its group. Each gives the code of the first fault in the documented order, 0 for none.
@dev No figure in a leaf is bounded below 2^64, and none of this overflows or reverts for any leaf.
"""

from ..interfaces import Types
from . import preimages

NO_FAULT: constant(uint8) = 0
UNKNOWN_STATUS: constant(uint8) = 1
MISSING_NOT_ZERO: constant(uint8) = 2
BEYOND_TOTAL: constant(uint8) = 3
ABOVE_CONTRACTED: constant(uint8) = 4
NOT_BY_RULE: constant(uint8) = 5
OTHER_UTILITY: constant(uint8) = 6
OTHER_METER: constant(uint8) = 7
OTHER_SLOT: constant(uint8) = 8
OTHER_QUANTITY: constant(uint8) = 9
OTHER_SALT: constant(uint8) = 10
UNKNOWN_SIDE: constant(uint8) = 11
# 12 is a trade's side that stands twice in one tree, which is no matter of groups.
READINGS_DIFFER: constant(uint8) = 13
TOTALS_DIFFER: constant(uint8) = 14
STATUSES_DIFFER: constant(uint8) = 15
OVERLAP: constant(uint8) = 16
AGAINST_PLACES: constant(uint8) = 17

BUYER: constant(uint8) = 0
SELLER: constant(uint8) = 1
MISSING: constant(uint8) = 2

# Allocation rules of a market.
FIFO: constant(uint64) = 1


@pure
@internal
def _share(leaf: Types.AllocationLeaf, rule: uint64) -> uint256:
    """
    @notice What the rule gives the leaf's trade out of its meter's reading.
    @param rule 0 pro rata, 1 FIFO.
    @return Wh.
    """
    quantity: uint256 = convert(leaf.contracted_wh, uint256)
    reading: uint256 = convert(leaf.meter_wh, uint256)
    if rule == FIFO:
        before: uint256 = convert(leaf.contracted_before, uint256)
        if reading <= before:
            return 0
        return min(quantity, reading - before)
    total: uint256 = convert(leaf.contracted_total_wh, uint256)
    if reading >= total:
        return quantity
    # Here total > reading >= 0.
    return quantity * reading // total


@pure
@internal
def _fault_by_rule(leaf: Types.AllocationLeaf, rule: uint64) -> uint8:
    """
    @notice The first fault (11, 1 to 5) that the leaf shows by itself.
    @param leaf The leaf, as posted.
    @param rule 0 pro rata, 1 FIFO.
    @return The fault's code, 0 for none.
    """
    if leaf.side > SELLER:
        return UNKNOWN_SIDE
    if leaf.status > MISSING:
        return UNKNOWN_STATUS
    if leaf.status == MISSING and (leaf.meter_wh != 0 or leaf.allocated_wh != 0):
        return MISSING_NOT_ZERO
    contracted: uint256 = convert(leaf.contracted_wh, uint256)
    if convert(leaf.contracted_before, uint256) + contracted > convert(leaf.contracted_total_wh, uint256):
        return BEYOND_TOTAL
    if leaf.allocated_wh > leaf.contracted_wh:
        return ABOVE_CONTRACTED
    if leaf.status != MISSING and convert(leaf.allocated_wh, uint256) != self._share(leaf, rule):
        return NOT_BY_RULE
    return NO_FAULT


@pure
@internal
def _fault_by_trade(
    leaf: Types.AllocationLeaf, utility: bytes32, trade: Types.Trade, contracted_wh: uint64, cycle: uint64
) -> uint8:
    """
    @notice The first fault (6 to 10) that the leaf shows against its trade.
    @dev The caller has checked that the trade's digest is the leaf's, and (by `_fault_by_rule`) that the side is known.
    @param leaf The leaf, as posted.
    @param utility The utility that posted the tree.
    @param trade The trade.
    @param contracted_wh What is contracted after curtailment, Wh.
    @param cycle The cycle that the tree was posted for.
    @return The fault's code, 0 for none.
    """
    is_buyer: bool = leaf.side == BUYER
    if utility != (trade.buyer_utility if is_buyer else trade.seller_utility):
        return OTHER_UTILITY
    if leaf.meter != (trade.buyer_meter if is_buyer else trade.seller_meter):
        return OTHER_METER
    if leaf.slot_start != trade.slot_start:
        return OTHER_SLOT
    if leaf.contracted_wh != contracted_wh:
        return OTHER_QUANTITY
    if leaf.salt != preimages._allocation_salt(trade.salt, cycle, leaf.side):
        return OTHER_SALT
    return NO_FAULT


@pure
@internal
def _conflict(first: Types.AllocationLeaf, second: Types.AllocationLeaf, rule: uint64) -> uint8:
    """
    @notice The first fault (13 to 17) that two leaves of one group in one tree show against each other.
    @dev The caller has checked that they are of one group and stand at different positions. The order in which they
         are given does not matter.
    @param first A leaf, as posted.
    @param second Another.
    @param rule 0 pro rata, 1 FIFO.
    @return The fault's code, 0 for none.
    """
    if first.meter_wh != second.meter_wh:
        return READINGS_DIFFER
    if first.contracted_total_wh != second.contracted_total_wh:
        return TOTALS_DIFFER
    if first.status != second.status:
        return STATUSES_DIFFER
    first_before: uint256 = convert(first.contracted_before, uint256)
    second_before: uint256 = convert(second.contracted_before, uint256)
    first_end: uint256 = first_before + convert(first.contracted_wh, uint256)
    second_end: uint256 = second_before + convert(second.contracted_wh, uint256)
    if max(first_before, second_before) < min(first_end, second_end):
        return OVERLAP
    if rule == FIFO:
        first_place: uint256 = (convert(first.commitment, uint256) << 64) | convert(first.index, uint256)
        second_place: uint256 = (convert(second.commitment, uint256) << 64) | convert(second.index, uint256)
        # One place holds one trade; what comes later at a place comes no earlier in the group's order.
        if (
            first_place == second_place
            or (first_place < second_place and first_before > second_before)
            or (second_place < first_place and second_before > first_before)
        ):
            return AGAINST_PLACES
    return NO_FAULT
