# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title RowFaults: proofs against attested rows and claims
@notice Anyone, without bond, ends a wrong row or claim in its window by one proof. What is right cannot be struck:
        every fault here is computed from what is committed, posted and sealed.
@custom:kill Nothing to stop: it holds nothing, and strikes only what it has computed to be wrong.
"""

from .interfaces import Types
from .interfaces import IAllocationOracle
from .interfaces import IMemberRegistry
from .interfaces import IRowFaults
from .interfaces import ISettlement
from .interfaces import ITradeResult
from .modules import merkle
from .modules import preimages
from .modules import typed_data

implements: IRowFaults

BUYER: constant(uint8) = 0
SELLER: constant(uint8) = 1

# Origins of a figure.
NO_FIGURE: constant(uint8) = 0
LEAF: constant(uint8) = 1

ORACLE: immutable(IAllocationOracle)
TRADE_RESULT: immutable(ITradeResult)
SETTLEMENT: immutable(ISettlement)

# Fixed at the registry's deployment, so kept in the code.
DOMAIN_SEPARATOR: immutable(bytes32)
CYCLE_LENGTH: immutable(uint64)
ANCHOR: immutable(uint64)


@deploy
def __init__(registry: address, oracle: address, trade_result: address, settlement: address):
    """
    @notice Binds the collaborators for good.
    @dev The registry must be deployed already: its domain and calendar never change and are copied.
    @param registry MemberRegistry.
    @param oracle AllocationOracle.
    @param trade_result TradeResult.
    @param settlement Settlement.
    """
    ORACLE = IAllocationOracle(oracle)
    TRADE_RESULT = ITradeResult(trade_result)
    SETTLEMENT = ISettlement(settlement)
    slot_length: uint64 = 0
    cycle_length: uint64 = 0
    anchor: uint64 = 0
    slot_length, cycle_length, anchor = staticcall IMemberRegistry(registry).calendar()
    CYCLE_LENGTH = cycle_length
    ANCHOR = anchor
    DOMAIN_SEPARATOR = staticcall IMemberRegistry(registry).domain_separator()


# --- anyone ---


@external
@reentrant
def strike_wrong_leaf(
    row: Types.Row,
    leaf: Types.FlowLeaf,
    index: uint64,
    path: DynArray[bytes32, 24],
    trade: Types.Trade,
    buyer_shown: DynArray[Types.ShownLeaf, 4],
    seller_shown: DynArray[Types.ShownLeaf, 4],
):
    """
    @notice Strikes a pending row by a leaf whose trade computes to another amount, settled Wh or salt, or to nothing
            between this pair in this cycle.
    @dev Reverts where the trade's figures cannot be shown. Settlement checks that the row is pending and its window
         not over.
    @param row The row.
    @param leaf The wrong leaf.
    @param index Its index in the row's tree.
    @param path Its proof.
    @param trade The trade: its digest is the leaf's.
    @param buyer_shown What proves the buyer side's figure in the row's run, newest run first.
    @param seller_shown The same for the seller's side.
    """
    assert merkle._verify(
        row.root, convert(row.count, uint256), convert(index, uint256), preimages._flow_leaf(leaf), path
    ), "RowFaults: leaf not in the row"
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))
    assert digest == leaf.trade_digest, "RowFaults: another trade"
    # A trade of another cycle has nothing to do here, whatever its figures are there.
    if trade.slot_start >= ANCHOR and (trade.slot_start - ANCHOR) // CYCLE_LENGTH == row.cycle:
        result: Types.Result = staticcall TRADE_RESULT.result_of(trade, row.run, buyer_shown, seller_shown)
        number: uint256 = convert(leaf.flow, uint256)
        if result.settles and number < len(result.flows):
            flow: Types.MemberFlow = result.flows[number]
            assert (
                flow.payer != row.payer
                or flow.payee != row.payee
                or flow.amount != convert(leaf.amount, uint256)
                or flow.amount == 0
                or result.settled_wh != leaf.settled_wh
                or leaf.salt != preimages._flow_salt(trade.salt, row.cycle, leaf.flow)
            ), "RowFaults: the leaf is right"
    extcall SETTLEMENT.strike_row(row, "wrong leaf")


@external
@reentrant
def strike_newer_leaf(claim: Types.Claim, trade: Types.Trade, side: uint8, shown: Types.ShownLeaf):
    """
    @notice Strikes a claim by a leaf that counts and is newer than the claim's for this side, or by any where the claim
            shows none.
    @dev Settlement checks that the claim is pending and its window not over.
    @param claim The claim, as it was made.
    @param trade Its trade.
    @param side 0 buyer, 1 seller.
    @param shown The leaf that counts.
    """
    self._check_trade(claim, trade)
    origin: uint8 = 0
    run: uint32 = 0
    origin, run = self._claimed(claim, side)
    figure: Types.Figure = staticcall TRADE_RESULT.claimed_figure(trade, side, claim.run, [shown])
    assert figure.origin == LEAF and (
        origin == NO_FIGURE or (origin == LEAF and figure.run > run)
    ), "RowFaults: not newer"
    extcall SETTLEMENT.strike_claim(claim)


@external
@reentrant
def strike_twice(claim: Types.Claim, trade: Types.Trade, side: uint8):
    """
    @notice Strikes a claim whose leaf is marked as standing twice in its tree.
    @dev Settlement checks that the claim is pending and its window not over.
    @param claim The claim, as it was made.
    @param trade Its trade, which names the side's utility.
    @param side 0 buyer, 1 seller.
    """
    self._check_trade(claim, trade)
    origin: uint8 = 0
    run: uint32 = 0
    origin, run = self._claimed(claim, side)
    utility: bytes32 = trade.buyer_utility if side == BUYER else trade.seller_utility
    marks: uint256 = staticcall ORACLE.side_marks(claim.cycle, utility, claim.trade_digest, side)
    assert origin == LEAF and (marks >> (16 + convert(run, uint256))) & 1 == 1, "RowFaults: not marked twice"
    extcall SETTLEMENT.strike_claim(claim)


# --- internals ---


@view
@internal
def _check_trade(claim: Types.Claim, trade: Types.Trade):
    """
    @notice Reverts unless this is the claim's trade.
    """
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))
    assert digest == claim.trade_digest, "RowFaults: not the claim's trade"


@pure
@internal
def _claimed(claim: Types.Claim, side: uint8) -> (uint8, uint32):
    """
    @notice Origin and run of the figure that the claim shows for a side.
    """
    assert side <= SELLER, "RowFaults: no such side"
    if side == BUYER:
        return claim.buyer_origin, claim.buyer_run
    return claim.seller_origin, claim.seller_run
