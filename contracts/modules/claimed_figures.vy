# pragma version 0.4.3
"""
@title What a claim says of its figures, and when a newer leaf or a mark refutes it
@notice Claims and answers to row demands show one leaf a side, without what passes newer runs; so each falls to a leaf
        that counts and is newer, and to the mark that the leaf shown stands twice.
"""

from ..interfaces import IAllocationOracle
from ..interfaces import ITradeResult
from ..interfaces import Types

BUYER: constant(uint8) = 0

# Origins of a figure.
NO_FIGURE: constant(uint8) = 0
LEAF: constant(uint8) = 1

TWICE_SHIFT: constant(uint256) = 16


@pure
@internal
def _claimed(claim: Types.Claim, side: uint8) -> (uint8, uint32):
    """
    @notice Origin and run of the figure that a claim shows for a side, which is known.
    """
    if side == BUYER:
        return claim.buyer_origin, claim.buyer_run
    return claim.seller_origin, claim.seller_run


@view
@internal
def _is_newer(
    trade_result: ITradeResult, claim: Types.Claim, trade: Types.Trade, side: uint8, shown: Types.ShownLeaf
) -> bool:
    """
    @notice Whether a leaf counts and is newer than the claim's for a side, or the claim shows none. The caller has
            checked that the trade is the claim's.
    """
    origin: uint8 = 0
    run: uint32 = 0
    origin, run = self._claimed(claim, side)
    figure: Types.Figure = staticcall trade_result.claimed_figure(trade, side, claim.run, [shown])
    return figure.origin == LEAF and (origin == NO_FIGURE or (origin == LEAF and figure.run > run))


@view
@internal
def _is_twice(oracle: IAllocationOracle, claim: Types.Claim, trade: Types.Trade, side: uint8) -> bool:
    """
    @notice Whether the leaf that the claim shows for a side is marked as standing twice in its tree.
    """
    origin: uint8 = 0
    run: uint32 = 0
    origin, run = self._claimed(claim, side)
    utility: bytes32 = trade.buyer_utility if side == BUYER else trade.seller_utility
    marks: uint256 = staticcall oracle.side_marks(claim.cycle, utility, claim.trade_digest, side)
    return origin == LEAF and (marks >> (TWICE_SHIFT + convert(run, uint256))) & 1 == 1
