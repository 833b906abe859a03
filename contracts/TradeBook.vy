# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title TradeBook: commitments (batched and registered trades) and curtailments
@notice Trades are committed before delivery, signed by everyone they bind: many at a time by the root of a tree that
        both platforms sign, or one by one with every signature verified here. The chain keeps the hash of each
        commitment's record, by number. What is contracted can be lowered until the cycle ends.
@dev A commitment says when and by whom, not that its trades are valid: that is judged where a trade is shown.
@custom:kill Nothing is committed while the registry is paused (at most 72 hours, by the guardian); curtailments go on.
             There is no owner and no upgrade: a new version is a new deployment that members move to.
"""

from .interfaces import IAllocationOracle
from .interfaces import IMemberRegistry
from .interfaces import IRevenueFlows
from .interfaces import ISettlementEscrow
from .interfaces import ITradeBook
from .interfaces import Types

implements: ITradeBook

from .modules import merkle
from .modules import preimages
from .modules import roles
from .modules import signatures
from .modules import typed_data

# A trade's word: bit 0 it is registered, bit 1 it is curtailed, bits 64-127 the lowest curtailment in Wh.
REGISTERED: constant(uint256) = 1
CURTAILED: constant(uint256) = 2
LOWEST_SHIFT: constant(uint256) = 64
LOWEST_MASK: constant(uint256) = (2**64 - 1) << 64

# In a template's shape: from this bit on, one bit per role that pays in some flow.
PAYERS_SHIFT: constant(uint256) = 32
# Roles in a template, apart from the platforms and the market agent, which never curtail on their own.
GRID_OPERATOR_PAYS: constant(uint256) = 1 << 35
BUYER_UTILITY_PAYS: constant(uint256) = 1 << 36
SELLER_UTILITY_PAYS: constant(uint256) = 1 << 37

REGISTRY: immutable(IMemberRegistry)
FLOWS: immutable(IRevenueFlows)
ORACLE: immutable(IAllocationOracle)
ESCROW: immutable(ISettlementEscrow)
# Fixed in the registry for good, so kept here.
DOMAIN_SEPARATOR: immutable(bytes32)
SLOT_LENGTH: immutable(uint64)
CYCLE_LENGTH: immutable(uint64)
ANCHOR: immutable(uint64)

# The number of the newest commitment; they count from 1.
commitment_count: reentrant(public(uint64))
# The hash of each commitment's record, by number.
commitment: reentrant(public(HashMap[uint64, bytes32]))
# The highest batch sequence that a pair of platforms (A <= B) has used.
last_sequence: reentrant(public(HashMap[bytes32, HashMap[bytes32, uint64]]))
# The word of each trade that was registered or curtailed, by digest.
trade_words: HashMap[bytes32, uint256]


@deploy
def __init__(registry: address, flows: address, oracle: address, escrow: address):
    """
    @notice Wires the contract for good. The registry must be deployed already.
    @param registry The MemberRegistry.
    @param flows The RevenueFlows.
    @param oracle The AllocationOracle, which learns of each commitment and curtailment.
    @param escrow The SettlementEscrow, which locks.
    """
    REGISTRY = IMemberRegistry(registry)
    FLOWS = IRevenueFlows(flows)
    ORACLE = IAllocationOracle(oracle)
    ESCROW = ISettlementEscrow(escrow)
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()
    slot_length: uint64 = 0
    cycle_length: uint64 = 0
    anchor: uint64 = 0
    slot_length, cycle_length, anchor = staticcall REGISTRY.calendar()
    SLOT_LENGTH = slot_length
    CYCLE_LENGTH = cycle_length
    ANCHOR = anchor


# --- anyone (views) ---


@view
@external
@reentrant
def is_place_registered(trade_digest: bytes32) -> bool:
    """
    @notice Whether a trade was registered (in the lane in which every signature is verified here).
    @param trade_digest The trade's EIP-712 digest.
    @return Whether it was.
    """
    return self.trade_words[trade_digest] & REGISTERED != 0


@view
@external
@reentrant
def contracted(trade_digest: bytes32, contracted_wh: uint64) -> uint64:
    """
    @notice What is contracted after curtailment.
    @param trade_digest The trade's EIP-712 digest.
    @param contracted_wh What the trade itself says, Wh.
    @return The lower of that and the lowest curtailment on chain, Wh.
    """
    return self._contracted(self.trade_words[trade_digest], contracted_wh)


# --- members (signed, relayed by anyone) ---


@external
def commit_batch(
    batch: Types.TradeBatch, signatures: DynArray[Types.Signature, 18], wallet_signatures: DynArray[Bytes[1024], 2]
) -> uint64:
    """
    @notice Commits any number of trades between two platforms (or inside one) by the root of their tree.
    @dev Whether the trades behind the root are valid is judged where they are shown.
    @param batch What the platforms signed; amounts in base units.
    @param signatures By platform A, platform B if another, then every other payer in the order of the locks.
    @param wallet_signatures Of those signers whose key is a contract (v = 0), in the order met.
    @return The commitment's number.
    """
    assert not staticcall REGISTRY.paused(), "TradeBook: paused"
    a: bytes32 = batch.platform_a
    b: bytes32 = batch.platform_b
    assert convert(a, uint256) <= convert(b, uint256), "TradeBook: platforms not sorted"
    assert batch.count != 0 and batch.count <= merkle.MAX_COUNT, "TradeBook: count out of bounds"
    assert batch.root != empty(bytes32), "TradeBook: zero root"
    assert batch.sequence > self.last_sequence[a][b], "TradeBook: sequence not higher"
    self.last_sequence[a][b] = batch.sequence

    signers: DynArray[bytes32, 18] = [a]
    if b != a:
        signers.append(b)
    for payer: bytes32 in self._payers(batch.locks):
        if payer != a and payer != b:
            signers.append(payer)
    self._check_signatures(signers, typed_data._trade_batch(batch), signatures, wallet_signatures, True)

    record: Types.Commitment = Types.Commitment(
        cycle=batch.cycle,
        platform_a=a,
        platform_b=b,
        sequence=batch.sequence,
        earliest_slot=batch.earliest_slot,
        count=batch.count,
        root=batch.root,
        committed_at=convert(block.timestamp, uint64),
    )
    number: uint64 = 0
    version: uint256 = 0
    number, version = self._commit(record)
    if len(batch.locks) != 0:
        extcall ESCROW.lock(batch.cycle, batch.locks)
    log ITradeBook.BatchCommitted(number=number, cycle=batch.cycle, record=record, locks=batch.locks)
    return number
