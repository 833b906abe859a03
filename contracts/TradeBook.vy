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
from .modules import signatures as signing
from .modules import typed_data

# A trade's lowest curtailment: bits 0-63 Wh, bit 64 there is one.
CURTAILED: constant(uint256) = 1 << 64

# The roles in their order: platforms, utilities, others.
FIRST_UTILITY: constant(uint256) = 2
# Only grid operator and market agent may be unfilled; who else is missing is a stranger.
FIRST_OPTIONAL: constant(uint256) = 4

# In a template's shape: these roles pay in some flow. (Platforms and market agent never curtail alone anyway.)
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
# The hash of each batch's record, by number.
commitment: reentrant(public(HashMap[uint64, bytes32]))
# The hash of each registered trade's number and record, by the trade's leaf (its record's root): one word says where it
# stands, and that it was registered.
registered: reentrant(public(HashMap[bytes32, bytes32]))
# The highest batch sequence that a pair of platforms (A <= B) has used.
last_sequence: reentrant(public(HashMap[bytes32, HashMap[bytes32, uint64]]))
# The lowest curtailment of each trade that was curtailed, by digest.
lowest: HashMap[bytes32, uint256]


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
    @return Whether it was registered.
    """
    return self.registered[preimages._trade_leaf(trade_digest)] != empty(bytes32)


@view
@external
@reentrant
def is_commitment(number: uint64, record: Types.Commitment) -> bool:
    """
    @notice Whether a record is that of a commitment.
    @param number The commitment's number.
    @param record Its record; one of sequence 0 is a registered trade's.
    @return Whether it is.
    """
    return self._is_commitment(number, record)


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
    return self._contracted(self.lowest[trade_digest], contracted_wh)


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

    members: DynArray[bytes32, 18] = [a]
    if b != a:
        members.append(b)
    payers: DynArray[bytes32, 16] = self._payers(batch.locks)
    for payer: bytes32 in payers:
        if payer != a and payer != b:
            members.append(payer)
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade_batch(batch))
    self._check_signatures(members, digest, signatures, wallet_signatures, True)

    self.last_sequence[a][b] = batch.sequence
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
    number: uint64 = self.commitment_count + 1
    record_hash: bytes32 = preimages._commitment(record)
    self.commitment[number] = record_hash
    self._commit(number, record, record_hash)
    if len(batch.locks) != 0:
        extcall ESCROW.lock(batch.cycle, batch.locks)
    log ITradeBook.BatchCommitted(number=number, cycle=batch.cycle, record=record, locks=batch.locks)
    return number


@external
def register_trade(
    trade: Types.Trade,
    signatures: DynArray[Types.Signature, 6],
    locks: DynArray[Types.Lock, 16],
    lock_signatures: DynArray[Types.Signature, 16],
    wallet_signatures: DynArray[Bytes[1024], 2],
) -> uint64:
    """
    @notice Commits one trade in the open, with every signature on it verified; proofs need none of them later.
    @dev A signer's key may be one that it had within the key grace. Contracts do not sign trades, only locks.
    @param trade The trade; energy in Wh, rates in base units per kWh, times in epoch seconds.
    @param signatures By its signers in role order (buyer platform, seller platform, buyer utility, seller utility, grid
           operator, market agent), each member once. The platforms' are of TradeLocks, so that nobody can register the
           trade without the locks that they agreed on, or with others.
    @param locks What of the trade's payments is locked, base units; sorted by payer and payee. May be none.
    @param lock_signatures Of TradeLocks, by every payer that is no platform of the trade, in the order of the locks.
    @param wallet_signatures Of those payers whose key is a contract (v = 0), in the order met.
    @return The commitment's number.
    """
    assert not staticcall REGISTRY.paused(), "TradeBook: paused registration"
    assert trade.slot_end == trade.slot_start + SLOT_LENGTH, "TradeBook: not one slot"
    assert block.timestamp <= convert(trade.valid_until, uint256), "TradeBook: no longer valid"
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))
    leaf: bytes32 = preimages._trade_leaf(digest)
    assert self.registered[leaf] == empty(bytes32), "TradeBook: registered already"

    platforms_sorted: bool = convert(trade.buyer_platform, uint256) <= convert(trade.seller_platform, uint256)
    record: Types.Commitment = Types.Commitment(
        cycle=self._cycle_of(trade.slot_start),
        platform_a=trade.buyer_platform if platforms_sorted else trade.seller_platform,
        platform_b=trade.seller_platform if platforms_sorted else trade.buyer_platform,
        sequence=0,
        earliest_slot=trade.slot_start,
        count=1,
        root=leaf,
        committed_at=convert(block.timestamp, uint64),
    )
    number: uint64 = self.commitment_count + 1
    record_hash: bytes32 = preimages._commitment(record)
    self.registered[leaf] = preimages._registered(number, record_hash)
    version: uint256 = self._commit(number, record, record_hash)
    locks_digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade_locks(digest, locks))
    self._check_trade_signatures(self._members(trade), digest, locks_digest, signatures, version)

    payers: DynArray[bytes32, 16] = self._payers(locks)
    further: DynArray[bytes32, 16] = []
    for payer: bytes32 in payers:
        if payer != trade.buyer_platform and payer != trade.seller_platform:
            further.append(payer)
    self._check_signatures(further, locks_digest, lock_signatures, wallet_signatures, True)
    if len(locks) != 0:
        extcall ESCROW.lock(record.cycle, locks)
    # The record follows from the trade and the block's time.
    log ITradeBook.TradeRegistered(number=number, cycle=record.cycle, trade_digest=digest, trade=trade, locks=locks)
    return number


@external
def curtail(
    curtailment: Types.Curtailment,
    place: Types.Place,
    trade: Types.Trade,
    signatures: DynArray[Types.Signature, 6],
    wallet_signatures: DynArray[Bytes[1024], 2],
):
    """
    @notice Lowers what is contracted by a committed trade; 0 cancels it.
    @dev The way follows from the number of signatures, each has its own last time. A utility that pays or trades itself
         has a stake in the figure, so it never curtails but together with all signers.
    @param curtailment What was signed; Wh.
    @param place Where the trade stands, with its proof.
    @param trade The trade.
    @param signatures One utility's, before the slot starts; both utilities' (the buyer's first; once if one member),
           before it ends; or all signers' in role order, before the cycle ends.
    @param wallet_signatures Of those whose key is a contract (v = 0), in the order met.
    """
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))
    assert (
        curtailment.commitment == place.number and curtailment.index == place.index
    ), "TradeBook: another place was signed"
    assert self._is_commitment(place.number, place.commitment), "TradeBook: unknown commitment"
    assert merkle._verify(
        place.commitment.root,
        convert(place.commitment.count, uint256),
        convert(place.index, uint256),
        preimages._trade_leaf(digest),
        place.path,
    ), "TradeBook: trade not in it"
    cycle: uint64 = place.commitment.cycle
    assert cycle == self._cycle_of(trade.slot_start), "TradeBook: slot of another cycle"
    former: uint64 = self._contracted(self.lowest[digest], trade.contracted_wh)
    assert curtailment.contracted_wh < former, "TradeBook: does not lower"

    struct_hash: bytes32 = typed_data._curtailment(curtailment)
    last: uint64 = self._check_curtailers(trade, struct_hash, signatures, wallet_signatures)
    assert block.timestamp < convert(last, uint256), "TradeBook: too late to curtail"

    self.lowest[digest] = CURTAILED | convert(curtailment.contracted_wh, uint256)
    extcall ORACLE.record_curtailment(cycle, place.number, struct_hash)
    log ITradeBook.Curtailed(
        trade_digest=digest,
        cycle=cycle,
        number=place.number,
        index=place.index,
        contracted_wh=curtailment.contracted_wh,
        reason=curtailment.reason,
    )


# --- internals ---


@view
@internal
def _is_commitment(number: uint64, record: Types.Commitment) -> bool:
    """
    @notice Whether a commitment has this number and record.
    """
    record_hash: bytes32 = preimages._commitment(record)
    if record.sequence == 0:
        return self.registered[record.root] == preimages._registered(number, record_hash)
    return self.commitment[number] == record_hash


@internal
def _commit(number: uint64, record: Types.Commitment, record_hash: bytes32) -> uint256:
    """
    @notice Checks the times of a commitment and counts it; the caller has kept its hash.
    @dev Time spent paused within the gate shortens it, so that a pause does not shut out trades that it delayed.
    @return The config version that governs the cycle.
    """
    earliest: uint64 = record.earliest_slot
    assert record.cycle == self._cycle_of(earliest), "TradeBook: not in the cycle"
    assert (earliest - ANCHOR) % SLOT_LENGTH == 0, "TradeBook: not on the slot grid"
    self.commitment_count = number
    version: uint256 = 0
    gate: uint64 = 0
    ahead: uint64 = 0
    version, gate, ahead = extcall ORACLE.record_commitment(record.cycle, number, record_hash)
    now: uint64 = record.committed_at
    shortened: uint64 = staticcall REGISTRY.unpaused_since(now - gate)
    assert now + shortened <= earliest, "TradeBook: gate closed"
    assert now + ahead >= ANCHOR + record.cycle * CYCLE_LENGTH, "TradeBook: too far ahead"
    return version


@view
@internal
def _check_trade_signatures(
    members: bytes32[6],
    digest: bytes32,
    locks_digest: bytes32,
    trade_signatures: DynArray[Types.Signature, 6],
    version: uint256,
):
    """
    @notice Refuses a trade unless every member that fills a role holds it, is active and signed.
    @param members Who fills the roles, in role order. A member in several signs once, at its first.
    @param digest Of the trade, which all but its platforms sign.
    @param locks_digest Of the trade with its locks, which its platforms sign.
    """
    needed: uint256[6] = [
        roles.PLATFORM, roles.PLATFORM, roles.UTILITY, roles.UTILITY, roles.GRID_OPERATOR, roles.MARKET_AGENT
    ]
    parties: DynArray[Types.Party, 12] = []
    for role: uint256 in range(6):
        member: bytes32 = members[role]
        if role >= FIRST_OPTIONAL and member == empty(bytes32):
            continue
        is_met: bool = False
        for i: uint256 in range(len(parties), bound=6):
            if parties[i].member == member:
                parties[i].roles |= needed[role]
                is_met = True
                break
        if is_met:
            continue
        assert len(parties) < len(trade_signatures), "TradeBook: not its signers' signatures"
        signed: bytes32 = digest if role >= FIRST_UTILITY else locks_digest
        key: address = signing._recover(signed, trade_signatures[len(parties)])
        assert key != empty(address), "TradeBook: malformed signature"
        parties.append(Types.Party(member=member, roles=needed[role], key=key))
    assert len(parties) == len(trade_signatures), "TradeBook: signature too many"
    fault: uint256 = staticcall REGISTRY.check_signers(parties, version)
    assert fault != 3, "TradeBook: signer not active"
    assert fault != 1, "TradeBook: party without its role"
    assert fault == 0, "TradeBook: not a party's key"


@view
@internal
def _check_curtailers(
    trade: Types.Trade,
    struct_hash: bytes32,
    given: DynArray[Types.Signature, 6],
    wallet_signatures: DynArray[Bytes[1024], 2],
) -> uint64:
    """
    @notice Refuses a curtailment that is not signed in one of the three ways.
    @return The time until which this way is open, epoch seconds.
    """
    shape: uint256 = staticcall FLOWS.shape(trade.template)
    assert shape != 0, "TradeBook: unknown template"
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, struct_hash)
    filled: bytes32[6] = self._members(trade)
    members: DynArray[bytes32, 6] = []
    for role: uint256 in range(6):
        if (role < FIRST_OPTIONAL or filled[role] != empty(bytes32)) and filled[role] not in members:
            members.append(filled[role])
    last: uint64 = ANCHOR + (self._cycle_of(trade.slot_start) + 1) * CYCLE_LENGTH
    if len(given) != len(members):
        # The utilities' list is always shorter than all signers': platforms sign too, and no neutral utility is one.
        members = []
        utility_count: uint256 = 1
        if self._is_neutral(trade.buyer_utility, trade, shape):
            members.append(trade.buyer_utility)
        if trade.seller_utility != trade.buyer_utility:
            utility_count = 2
            if self._is_neutral(trade.seller_utility, trade, shape):
                members.append(trade.seller_utility)
        last = trade.slot_end
        if len(members) != utility_count or len(given) != utility_count:
            assert len(given) == 1, "TradeBook: signers do not fit"
            for utility: bytes32 in members:
                standing: uint256 = staticcall REGISTRY.standing(utility)
                if self._is_signed(standing, digest, given[0], wallet_signatures, 0):
                    return trade.slot_start
            raise "TradeBook: no neutral utility signed"
    self._check_signatures(members, digest, given, wallet_signatures, False)
    return last


@view
@internal
def _check_signatures(
    members: DynArray[bytes32, 18],
    digest: bytes32,
    given: DynArray[Types.Signature, 18],
    wallet_signatures: DynArray[Bytes[1024], 2],
    is_commitment: bool,
):
    """
    @notice Refuses a list of signatures unless it is the digest's by the hot keys of these members, one for one.
    @param is_commitment Whether a suspended member may not sign.
    """
    assert len(given) == len(members), "TradeBook: wrong number of signatures"
    wallets: uint256 = 0
    for i: uint256 in range(len(members), bound=18):
        standing: uint256 = staticcall REGISTRY.standing(members[i])
        if is_commitment:
            self._check_active(standing)
        assert self._is_signed(standing, digest, given[i], wallet_signatures, wallets), "TradeBook: wrong signature"
        if roles._is_contract(standing):
            wallets += 1


@view
@internal
def _is_signed(
    standing: uint256,
    digest: bytes32,
    signature: Types.Signature,
    wallet_signatures: DynArray[Bytes[1024], 2],
    wallet: uint256,
) -> bool:
    """
    @notice Whether the hot key in a standing word signed the digest.
    @param wallet Which of the wallet signatures is meant if the key is a contract.
    """
    if roles._is_contract(standing):
        return (
            signature.v == 0
            and wallet < len(wallet_signatures)
            and signing._wallet_accepts(roles._key(standing), digest, wallet_signatures[wallet])
        )
    # A stopped key is zero in the word, and so is what is recovered from a malformed signature.
    signer: address = signing._recover(digest, signature)
    return signer != empty(address) and signer == roles._key(standing)


@pure
@internal
def _check_active(standing: uint256):
    """
    @notice Refuses a member that may commit nothing new.
    """
    assert roles._is_known(standing) and not roles._is_suspended(standing), "TradeBook: signer not active"


@pure
@internal
def _payers(locks: DynArray[Types.Lock, 16]) -> DynArray[bytes32, 16]:
    """
    @notice The payers in a list of locks, each once, in its order. Refuses a list that is not strictly sorted.
    """
    payers: DynArray[bytes32, 16] = []
    payer: bytes32 = empty(bytes32)
    payee: bytes32 = empty(bytes32)
    for lock: Types.Lock in locks:
        assert lock.payer != lock.payee, "TradeBook: lock with oneself"
        assert lock.amount != 0, "TradeBook: empty lock"
        if len(payers) == 0 or convert(lock.payer, uint256) > convert(payer, uint256):
            payers.append(lock.payer)
        else:
            assert (
                lock.payer == payer and convert(lock.payee, uint256) > convert(payee, uint256)
            ), "TradeBook: locks not sorted"
        payer = lock.payer
        payee = lock.payee
    return payers


@pure
@internal
def _members(trade: Types.Trade) -> bytes32[6]:
    """
    @notice Who fills the trade's roles, in role order.
    """
    return [
        trade.buyer_platform,
        trade.seller_platform,
        trade.buyer_utility,
        trade.seller_utility,
        trade.grid_operator,
        trade.market_agent,
    ]


@pure
@internal
def _is_neutral(utility: bytes32, trade: Types.Trade, shape: uint256) -> bool:
    """
    @notice Whether a utility of the trade has no stake in its figure: its member is neither a platform nor the market
            agent, and fills no role that pays.
    """
    return not (
        utility == trade.buyer_platform
        or utility == trade.seller_platform
        or utility == trade.market_agent
        or (utility == trade.grid_operator and shape & GRID_OPERATOR_PAYS != 0)
        or (utility == trade.buyer_utility and shape & BUYER_UTILITY_PAYS != 0)
        or (utility == trade.seller_utility and shape & SELLER_UTILITY_PAYS != 0)
    )


@pure
@internal
def _contracted(lowest: uint256, contracted_wh: uint64) -> uint64:
    """
    @notice The lower of what the trade says and its lowest curtailment, Wh.
    """
    if lowest == 0:
        return contracted_wh
    return min(contracted_wh, convert(lowest - CURTAILED, uint64))


@view
@internal
def _cycle_of(slot_start: uint64) -> uint64:
    """
    @notice The number of the cycle in which a slot lies.
    """
    assert slot_start >= ANCHOR, "TradeBook: before the anchor"
    return (slot_start - ANCHOR) // CYCLE_LENGTH
