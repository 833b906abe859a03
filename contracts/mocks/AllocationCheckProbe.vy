# pragma version 0.4.3
"""
@title Test access to allocation_check's internal functions
"""

from ..interfaces import Types
from ..modules import allocation_check


@pure
@external
def fault_by_rule(leaf: Types.AllocationLeaf, rule: uint64) -> uint8:
    return allocation_check._fault_by_rule(leaf, rule)


@pure
@external
def fault_by_trade(
    leaf: Types.AllocationLeaf, utility: bytes32, trade: Types.Trade, contracted_wh: uint64, cycle: uint64
) -> uint8:
    return allocation_check._fault_by_trade(leaf, utility, trade, contracted_wh, cycle)


@pure
@external
def conflict(first: Types.AllocationLeaf, second: Types.AllocationLeaf, rule: uint64) -> uint8:
    return allocation_check._conflict(first, second, rule)
