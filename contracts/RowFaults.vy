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
from .modules import claimed_figures
from .modules import hot_keys
from .modules import merkle
from .modules import preimages
from .modules import typed_data

implements: IRowFaults

SELLER: constant(uint8) = 1

REGISTRY: immutable(IMemberRegistry)
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
    REGISTRY = IMemberRegistry(registry)
    ORACLE = IAllocationOracle(oracle)
    TRADE_RESULT = ITradeResult(trade_result)
    SETTLEMENT = ISettlement(settlement)
    slot_length: uint64 = 0
    cycle_length: uint64 = 0
    anchor: uint64 = 0
    slot_length, cycle_length, anchor = staticcall REGISTRY.calendar()
    CYCLE_LENGTH = cycle_length
    ANCHOR = anchor
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()


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
def strike_missing_leaf(
    row: Types.Row,
    statement: Types.MissingLeaf,
    payee_signature: Types.Signature,
    wallet_signatures: DynArray[Bytes[1024], 1],
    place: Types.Place,
    trade: Types.Trade,
    signatures: DynArray[Types.Signature, 6],
    buyer_shown: DynArray[Types.ShownLeaf, 4],
    seller_shown: DynArray[Types.ShownLeaf, 4],
    before: DynArray[Types.ShownFlow, 1],
    after: DynArray[Types.ShownFlow, 1],
):
    """
    @notice Strikes a pending row that lacks a flow: a valid trade has an amount between this pair, and the two leaves
            between which it would stand are neighbours.
    @dev May ask the payee's contract for its signature, by a static call with bounded gas. Settlement checks that the
         row is pending and its window not over.
    @param row The row.
    @param statement The payee's word: the row's digest, the trade's, the flow. Only the payee can lack something, so
           nobody else ends its row by what it may not want.
    @param payee_signature By the payee's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), else empty.
    @param place Where the trade was committed, with its proof.
    @param trade The trade.
    @param signatures Of its signers in role order; none for a registered trade.
    @param buyer_shown What proves the buyer side's figure in the row's run, newest run first.
    @param seller_shown The same for the seller's side.
    @param before The leaf before the gap; none where it is at the row's beginning.
    @param after The leaf after it; none where it is at the row's end.
    """
    digest: bytes32 = staticcall TRADE_RESULT.check_place(place, trade, signatures)
    assert digest == statement.trade_digest and place.commitment.cycle == row.cycle, "RowFaults: another trade is missing"
    row_digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._row(row))
    assert statement.row_digest == row_digest, "RowFaults: another row"
    standing: uint256 = staticcall REGISTRY.standing(row.payee)
    signed: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._missing_leaf(statement))
    assert hot_keys._is_signed(standing, signed, payee_signature, wallet_signatures), "RowFaults: not the payee's word"
    result: Types.Result = staticcall TRADE_RESULT.result_of(trade, row.run, buyer_shown, seller_shown)
    number: uint256 = convert(statement.flow, uint256)
    assert result.settles and number < len(result.flows), "RowFaults: no such flow"
    flow: Types.MemberFlow = result.flows[number]
    assert flow.payer == row.payer and flow.payee == row.payee and flow.amount != 0, "RowFaults: nothing is missing"
    self._check_gap(row, self._order(digest, statement.flow), before, after)
    extcall SETTLEMENT.strike_row(row, "missing leaf")


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
    self._check_trade(claim, trade, side)
    assert claimed_figures._is_newer(TRADE_RESULT, claim, trade, side, shown), "RowFaults: not newer"
    self._strike(claim)


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
    self._check_trade(claim, trade, side)
    assert claimed_figures._is_twice(ORACLE, claim, trade, side), "RowFaults: not marked twice"
    self._strike(claim)


# --- internals ---


@internal
def _strike(claim: Types.Claim):
    """
    @notice Ends a claim that is wrong.
    """
    extcall SETTLEMENT.strike_claim(
        claim.trade_digest, claim.cycle, claim.run, claim.claimed_at, preimages._claim(claim)
    )


@view
@internal
def _check_trade(claim: Types.Claim, trade: Types.Trade, side: uint8):
    """
    @notice Reverts unless this is the claim's trade, and there is such a side.
    """
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))
    assert digest == claim.trade_digest, "RowFaults: not the claim's trade"
    assert side <= SELLER, "RowFaults: no such side"


@pure
@internal
def _check_gap(
    row: Types.Row,
    missing: DynArray[uint256, 2],
    before: DynArray[Types.ShownFlow, 1],
    after: DynArray[Types.ShownFlow, 1],
):
    """
    @notice Reverts unless the leaves shown are neighbours in the row, or its ends, and the missing one stands between.
    """
    next: uint64 = 0
    if len(before) == 1:
        self._check_shown(row, before[0])
        is_before: bool = self._is_before(self._order(before[0].leaf.trade_digest, before[0].leaf.flow), missing)
        assert is_before, "RowFaults: stands before"
        next = before[0].index + 1
    if len(after) == 1:
        self._check_shown(row, after[0])
        is_after: bool = self._is_before(missing, self._order(after[0].leaf.trade_digest, after[0].leaf.flow))
        assert is_after, "RowFaults: stands after"
        assert after[0].index == next, "RowFaults: not neighbours"
    else:
        assert next == row.count, "RowFaults: not the row's end"


@pure
@internal
def _check_shown(row: Types.Row, shown: Types.ShownFlow):
    """
    @notice Reverts unless this is a leaf of the row.
    """
    assert merkle._verify(
        row.root,
        convert(row.count, uint256),
        convert(shown.index, uint256),
        preimages._flow_leaf(shown.leaf),
        shown.path,
    ), "RowFaults: neighbour not in the row"


@pure
@internal
def _order(trade_digest: bytes32, flow: uint8) -> DynArray[uint256, 2]:
    """
    @notice What leaves of a row are ordered by.
    """
    return [convert(trade_digest, uint256), convert(flow, uint256)]


@pure
@internal
def _is_before(first: DynArray[uint256, 2], second: DynArray[uint256, 2]) -> bool:
    return first[0] < second[0] or (first[0] == second[0] and first[1] < second[1])
