# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Disputes: leaves that were not served, readings that are doubted
@notice A signer of a trade demands the leaf of a side that its utility did not serve: until somebody shows it, that side
        gives no figure. A signer contests a reading, or its lack, which no computation decides: that side waits until
        all the trade's signers agree on its Wh, or the arbiters rule, or nobody does, whereupon the leaf stands from
        the next run on. Only that one side of one trade is ever held up.
@dev Owns no money and marks in the AllocationOracle alone. A side gets one figure at most, and no contest after it.
@custom:kill Nothing stops it; each act needs the signature of a party to the trade, and is limited in number and time.
"""

from .interfaces import IAllocationOracle
from .interfaces import IArbiters
from .interfaces import IDisputes
from .interfaces import IMemberRegistry
from .interfaces import ITradeBook
from .interfaces import Types

implements: IDisputes

from .modules import hot_keys
from .modules import merkle
from .modules import preimages
from .modules import roles
from .modules import run_terms
from .modules import signatures as signing
from .modules import typed_data

SELLER: constant(uint8) = 1
MISSING: constant(uint8) = 2

# Kinds of marks, as in the oracle's accumulator.
CONTEST: constant(uint8) = 5
DEMAND: constant(uint8) = 6
ANSWER: constant(uint8) = 7
FIGURE: constant(uint8) = 8

# In a side's marks: the runs in which it was contested or is unanswered; a figure; of the last contest its time and its
# subject, the upper bits of the contested leaf's hash, or run + 1 where a reading lacked.
CONTESTED_RUNS: constant(uint256) = 2**8 - 1
UNANSWERED_SHIFT: constant(uint256) = 8
HAS_FIGURE: constant(uint256) = 1 << 24
CONTESTED_AT_SHIFT: constant(uint256) = 40
SUBJECT_SHIFT: constant(uint256) = 80

# A utility that has let a demand lie for so long may be demanded from without limit.
SILENCE: constant(uint64) = 2 * 3_600
MAX_ARBITERS: constant(uint256) = 32

REGISTRY: immutable(IMemberRegistry)
TRADE_BOOK: immutable(ITradeBook)
ORACLE: immutable(IAllocationOracle)
ARBITERS: immutable(IArbiters)
# Fixed in the registry for good, so kept here.
DOMAIN_SEPARATOR: immutable(bytes32)
CYCLE_LENGTH: immutable(uint64)
ANCHOR: immutable(uint64)


struct Side:                    # a side of a trade, as marks know it
    digest: bytes32
    utility: bytes32
    key: bytes32                # hash of (digest, side)


# Per member, cycle and run: demands that nobody has answered.
open_demands: reentrant(public(HashMap[bytes32, HashMap[uint64, HashMap[uint32, uint256]]]))
# Per member and cycle: contests.
contest_count: reentrant(public(HashMap[bytes32, HashMap[uint64, uint256]]))
# Per side and run: when its leaf was demanded, and by whom.
demanded_at: reentrant(public(HashMap[bytes32, HashMap[uint32, uint64]]))
demanded_by: HashMap[bytes32, HashMap[uint32, bytes32]]
# Per side and run: an answer showed the leaf that was demanded.
answered: HashMap[bytes32, HashMap[uint32, bool]]


@deploy
def __init__(registry: address, trade_book: address, oracle: address, arbiters: address):
    """
    @notice Wires the contract for good. The registry must be deployed already.
    @param registry The MemberRegistry.
    @param trade_book The TradeBook.
    @param oracle The AllocationOracle, which takes this contract's marks.
    @param arbiters The Arbiters, who rule.
    """
    REGISTRY = IMemberRegistry(registry)
    TRADE_BOOK = ITradeBook(trade_book)
    ORACLE = IAllocationOracle(oracle)
    ARBITERS = IArbiters(arbiters)
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()
    slot_length: uint64 = 0
    cycle_length: uint64 = 0
    anchor: uint64 = 0
    slot_length, cycle_length, anchor = staticcall REGISTRY.calendar()
    CYCLE_LENGTH = cycle_length
    ANCHOR = anchor


# --- members (signed, relayed by anyone) ---


@external
def demand(
    statement: Types.Demand,
    signature: Types.Signature,
    wallet_signatures: DynArray[Bytes[1024], 1],
    place: Types.Place,
    trade: Types.Trade,
    utility_signature: Types.Signature,
    silent: DynArray[Types.SilentDemand, 1],
):
    """
    @notice Demands that a side's leaf in its utility's newest tree be shown. The side is unanswered in this run at
            once, until somebody shows it.
    @dev Figures pass over a tree by a mark of its own run: so a demand for a leaf in an older run's tree, shown or not,
         takes no figure away, and silence only lets the leaf's lack be contested. May ask a member's contract for its
         signature, by a static call with bounded gas.
    @param statement Cycle and run (whose window has just opened), demanding member, trade digest, side.
    @param signature By the member's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), else empty.
    @param place Where the trade was committed, with its proof.
    @param trade The trade; the member is one of its signers.
    @param utility_signature Of the side's utility on the trade; of a registered trade nothing is looked at.
    @param silent A demand of this run that the same utility has left open for two hours: lifts the member's limit.
    """
    side: Side = self._side(statement.trade_digest, statement.cycle, statement.side, trade)
    elapsed: uint64 = 0
    version: uint256 = 0
    elapsed, version = self._open(statement.cycle, statement.run)
    self._check_place(side, statement.cycle, place, utility_signature, version)
    self._check_signer(statement.member, trade, typed_data._demand(statement), signature, wallet_signatures)
    terms: uint256 = staticcall REGISTRY.run_terms(version)
    assert elapsed < run_terms._demand_time(terms), "Disputes: too late to demand"
    assert self.demanded_at[side.key][statement.run] == 0, "Disputes: demanded already"
    newest: uint32 = 0
    posted: bytes32 = empty(bytes32)
    newest, posted = self._newest_tree(statement.cycle, statement.run, side.utility)
    assert posted != empty(bytes32), "Disputes: nothing posted"

    open_demands: uint256 = self.open_demands[statement.member][statement.cycle][statement.run] + 1
    if open_demands > run_terms._open_demands(terms):
        self._check_silent(silent, statement.cycle, statement.run, side.utility)
    self.open_demands[statement.member][statement.cycle][statement.run] = open_demands
    self.demanded_at[side.key][statement.run] = convert(block.timestamp, uint64)
    self.demanded_by[side.key][statement.run] = statement.member
    extcall ORACLE.mark_side(statement.cycle, side.utility, side.digest, statement.side, DEMAND, 0)
    log IDisputes.Demanded(
        cycle=statement.cycle,
        trade_digest=side.digest,
        member=statement.member,
        run=statement.run,
        side=statement.side,
    )


@external
def contest(
    statement: Types.Contest,
    signature: Types.Signature,
    wallet_signatures: DynArray[Bytes[1024], 1],
    place: Types.Place,
    trade: Types.Trade,
    utility_signature: Types.Signature,
    shown: DynArray[Types.ShownLeaf, 1],
):
    """
    @notice Contests a side's reading, or that there is none: in this run the side gives no figure.
    @dev May ask a member's contract for its signature, by a static call with bounded gas.
    @param statement Cycle and run (whose window is open), contesting member, trade digest, side, hash of the evidence.
    @param signature By the member's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), else empty.
    @param place Where the trade was committed, with its proof.
    @param trade The trade; the member is one of its signers.
    @param utility_signature Of the side's utility on the trade; of a registered trade nothing is looked at.
    @param shown The leaf in the newest tree that the side's utility posted. None where it posted none so far, or where
           the leaf was demanded and the time to show it has passed: then the lack of a reading is contested, as it is
           by a MISSING leaf.
    """
    side: Side = self._side(statement.trade_digest, statement.cycle, statement.side, trade)
    elapsed: uint64 = 0
    version: uint256 = 0
    elapsed, version = self._open(statement.cycle, statement.run)
    self._check_place(side, statement.cycle, place, utility_signature, version)
    self._check_signer(statement.member, trade, typed_data._contest(statement), signature, wallet_signatures)
    terms: uint256 = staticcall REGISTRY.run_terms(version)
    # What a demand brings to light, a leaf or its lack, may come as late as the demand time after the window.
    assert (
        elapsed < run_terms._window(terms) or self.demanded_at[side.key][statement.run] != 0
    ), "Disputes: too late to contest"
    marks: uint256 = staticcall ORACLE.side_marks(statement.cycle, side.utility, side.digest, statement.side)
    assert marks & HAS_FIGURE == 0, "Disputes: figure recorded"
    leaf: bytes32 = self._contested_leaf(side, statement.cycle, statement.side, statement.run, terms, shown)
    subject: uint256 = convert(leaf, uint256) >> SUBJECT_SHIFT
    if leaf == empty(bytes32) or shown[0].leaf.status == MISSING:
        subject = convert(statement.run, uint256) + 1
    assert marks >> SUBJECT_SHIFT != subject, "Disputes: contested before"
    count: uint256 = self.contest_count[statement.member][statement.cycle] + 1
    assert count <= run_terms._contests_per_cycle(terms), "Disputes: too many contests"

    self.contest_count[statement.member][statement.cycle] = count
    extcall ORACLE.mark_side(statement.cycle, side.utility, side.digest, statement.side, CONTEST, subject)
    log IDisputes.Contested(
        cycle=statement.cycle,
        trade_digest=side.digest,
        member=statement.member,
        run=statement.run,
        side=statement.side,
        leaf=leaf,
        evidence=statement.evidence,
    )


@external
def agree(
    statement: Types.FigureAgreement,
    trade: Types.Trade,
    signatures: DynArray[Types.Signature, 6],
    wallet_signatures: DynArray[Bytes[1024], 6],
):
    """
    @notice Records the figure on which all signers of a trade agree for a contested side, until the last run is sealed.
    @dev May ask members' contracts for their signatures, by static calls with bounded gas.
    @param statement Cycle, trade digest, side, Wh (at most what is contracted after curtailment).
    @param trade The trade.
    @param signatures Of its signers' hot keys in role order, each member once; v = 0 of a contract.
    @param wallet_signatures The contracts' signatures (ERC-1271), in the same order.
    """
    side: Side = self._side(statement.trade_digest, statement.cycle, statement.side, trade)
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._figure_agreement(statement))
    signed: uint256 = 0
    wallets: uint256 = 0
    signers: DynArray[bytes32, 6] = self._signers(trade)
    for member: bytes32 in signers:
        assert signed < len(signatures), "Disputes: signatures missing"
        standing: uint256 = staticcall REGISTRY.standing(member)
        own_wallet: DynArray[Bytes[1024], 1] = []
        if roles._is_contract(standing):
            assert wallets < len(wallet_signatures), "Disputes: wallet signature missing"
            own_wallet.append(wallet_signatures[wallets])
            wallets += 1
        is_signed: bool = hot_keys._is_signed(standing, digest, signatures[signed], own_wallet)
        assert is_signed, "Disputes: not agreed by all"
        signed += 1
    assert signed == len(signatures) and wallets == len(wallet_signatures), "Disputes: signatures left over"
    self._record_figure(side, statement.cycle, statement.side, statement.wh, trade, 0)


# --- arbiters (signed, relayed by anyone) ---


@external
def rule(
    statement: Types.Ruling, trade: Types.Trade, mask: uint256, signatures: DynArray[Types.Signature, MAX_ARBITERS]
):
    """
    @notice Records the figure that the arbiters find for a contested side, within the contest time of its last contest.
    @param statement Cycle, trade digest, side, Wh (at most what is contracted after curtailment).
    @param trade The trade.
    @param mask Bit i: arbiter i signed.
    @param signatures Theirs, lowest bit first.
    """
    side: Side = self._side(statement.trade_digest, statement.cycle, statement.side, trade)
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._ruling(statement))
    is_ruled: bool = staticcall ARBITERS.is_ruled(digest, mask, signatures)
    assert is_ruled, "Disputes: not ruled"
    self._record_figure(side, statement.cycle, statement.side, statement.wh, trade, mask)


# --- anyone ---


@external
@reentrant
def answer(cycle: uint64, trade: Types.Trade, side: uint8, shown: Types.ShownLeaf):
    """
    @notice Shows the leaf that was demanded in the run whose window is open: the side is unanswered no longer.
    @dev Within the demand time of its demand. The leaf may be wrong: then it is a fault's matter.
    @param cycle Cycle number.
    @param trade The trade.
    @param side 0 buyer, 1 seller.
    @param shown Its leaf in the newest tree that the side's utility posted.
    """
    found: Side = self._side_of(self._trade_digest(trade), cycle, side, trade)
    open_run: uint256 = 0
    elapsed: uint64 = 0
    version: uint256 = 0
    open_run, elapsed, version = staticcall ORACLE.open_for(cycle)
    run: uint32 = convert(open_run, uint32)
    demanded_at: uint64 = self.demanded_at[found.key][run]
    assert demanded_at != 0 and not self.answered[found.key][run], "Disputes: nothing to answer"
    terms: uint256 = staticcall REGISTRY.run_terms(version)
    waited: uint64 = staticcall REGISTRY.unpaused_since(demanded_at)
    assert waited < run_terms._demand_time(terms), "Disputes: too late to answer"
    self._check_leaf(found, cycle, side, run, shown)
    self.answered[found.key][run] = True
    self.open_demands[self.demanded_by[found.key][run]][cycle][run] -= 1
    extcall ORACLE.mark_side(cycle, found.utility, found.digest, side, ANSWER, 0)
    log IDisputes.Answered(cycle=cycle, trade_digest=found.digest, run=run, side=side, index=shown.index)


# --- internals ---


@view
@internal
def _trade_digest(trade: Types.Trade) -> bytes32:
    """
    @notice What a trade is known by: the EIP-712 digest that its signers sign.
    """
    return typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))


@view
@internal
def _side(digest: bytes32, cycle: uint64, side: uint8, trade: Types.Trade) -> Side:
    """
    @notice A side of a trade, which must be the one named.
    """
    assert self._trade_digest(trade) == digest, "Disputes: another trade"
    return self._side_of(digest, cycle, side, trade)


@view
@internal
def _side_of(digest: bytes32, cycle: uint64, side: uint8, trade: Types.Trade) -> Side:
    """
    @notice A side of the trade with this digest, which must lie in the cycle.
    """
    assert side <= SELLER, "Disputes: no such side"
    assert trade.slot_start >= ANCHOR and (trade.slot_start - ANCHOR) // CYCLE_LENGTH == cycle, "Disputes: another cycle"
    return Side(
        digest=digest,
        utility=trade.seller_utility if side == SELLER else trade.buyer_utility,
        key=preimages._side(digest, side),
    )


@view
@internal
def _check_place(
    side: Side, cycle: uint64, place: Types.Place, utility_signature: Types.Signature, version: uint256
):
    """
    @notice Reverts unless the trade lies at the place in a commitment of the cycle, and its side's utility signed it.
    @dev Whether the place is valid, and the trade counts, is not asked: one that does not has no result to hold up.
    """
    record: Types.Commitment = place.commitment
    is_kept: bool = staticcall TRADE_BOOK.is_commitment(place.number, record)
    assert is_kept and record.cycle == cycle, "Disputes: no such commitment"
    assert merkle._verify(
        record.root,
        convert(record.count, uint256),
        convert(place.index, uint256),
        preimages._trade_leaf(side.digest),
        place.path,
    ), "Disputes: not committed"
    if record.sequence == 0:
        # Of a registered trade all signatures were verified when it was taken.
        return
    key: address = signing._recover(side.digest, utility_signature)
    assert key != empty(address), "Disputes: bad signature of utility"
    party: Types.Party = Types.Party(member=side.utility, roles=roles.UTILITY, key=key)
    verdict: uint256 = staticcall REGISTRY.check_parties([party], record.committed_at, version)
    assert verdict == 0, "Disputes: not signed by utility"


@view
@internal
def _check_signer(
    member: bytes32,
    trade: Types.Trade,
    struct_hash: bytes32,
    signature: Types.Signature,
    wallet_signatures: DynArray[Bytes[1024], 1],
):
    """
    @notice Reverts unless the member is a signer of the trade and its hot key signed.
    """
    assert member in self._signers(trade), "Disputes: no signer of the trade"
    standing: uint256 = staticcall REGISTRY.standing(member)
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, struct_hash)
    assert hot_keys._is_signed(standing, digest, signature, wallet_signatures), "Disputes: not signed by member"


@pure
@internal
def _signers(trade: Types.Trade) -> DynArray[bytes32, 6]:
    """
    @notice The members that sign a trade, in role order, each once.
    """
    signers: DynArray[bytes32, 6] = []
    for member: bytes32 in [
        trade.buyer_platform,
        trade.seller_platform,
        trade.buyer_utility,
        trade.seller_utility,
        trade.grid_operator,
        trade.market_agent,
    ]:
        if member != empty(bytes32) and member not in signers:
            signers.append(member)
    return signers


@view
@internal
def _open(cycle: uint64, run: uint32) -> (uint64, uint256):
    """
    @notice How long the window of a run has been open, in unpaused seconds, and the config version that governs the
            cycle; reverts unless it is open now.
    """
    open_run: uint256 = 0
    elapsed: uint64 = 0
    version: uint256 = 0
    open_run, elapsed, version = staticcall ORACLE.open_for(cycle)
    assert open_run == convert(run, uint256), "Disputes: another run"
    return elapsed, version


@view
@internal
def _check_silent(silent: DynArray[Types.SilentDemand, 1], cycle: uint64, run: uint32, utility: bytes32):
    """
    @notice Reverts unless what is shown is a demand of this run that the utility has left open for two hours.
    """
    assert len(silent) == 1, "Disputes: too many demands"
    key: bytes32 = preimages._side(silent[0].trade_digest, silent[0].side)
    made: uint64 = self.demanded_at[key][run]
    marks: uint256 = staticcall ORACLE.side_marks(cycle, utility, silent[0].trade_digest, silent[0].side)
    is_open: bool = (marks >> (UNANSWERED_SHIFT + convert(run, uint256))) & 1 == 1
    assert made != 0 and is_open, "Disputes: no such demand"
    waited: uint64 = staticcall REGISTRY.unpaused_since(made)
    assert waited >= SILENCE, "Disputes: utility not silent"


@view
@internal
def _newest_tree(cycle: uint64, run: uint32, utility: bytes32) -> (uint32, bytes32):
    """
    @notice The newest tree that a utility has posted up to a run, and its run; zero where there is none.
    """
    for back: uint32 in range(run + 1, bound=4):
        posted: bytes32 = staticcall ORACLE.posted(cycle, convert(run - back, uint256), utility)
        if posted != empty(bytes32):
            return run - back, posted
    return 0, empty(bytes32)


@view
@internal
def _contested_leaf(
    side: Side,
    cycle: uint64,
    number: uint8,
    run: uint32,
    terms: uint256,
    shown: DynArray[Types.ShownLeaf, 1],
) -> bytes32:
    """
    @notice The hash of the leaf that is contested, zero where none can be shown; reverts where one could be.
    """
    if len(shown) == 0:
        newest: uint32 = 0
        posted: bytes32 = empty(bytes32)
        newest, posted = self._newest_tree(cycle, run, side.utility)
        assert (
            posted == empty(bytes32) or self._is_withheld(side.key, newest, run, terms)
        ), "Disputes: leaf not shown"
        return empty(bytes32)
    self._check_leaf(side, cycle, number, run, shown[0])
    return preimages._allocation_leaf(shown[0].leaf)


@view
@internal
def _is_withheld(key: bytes32, newest: uint32, run: uint32, terms: uint256) -> bool:
    """
    @notice Whether the time for an answer to the last demand for a side's leaf in the tree of run `newest` has passed,
            and nobody has shown it.
    @dev A demand that may still be answered shows no lack: its maker could contest it at once, whoever answers.
    """
    for back: uint32 in range(run - newest + 1, bound=4):
        demanded_at: uint64 = self.demanded_at[key][run - back]
        if demanded_at != 0:
            if self.answered[key][run - back]:
                return False
            waited: uint64 = staticcall REGISTRY.unpaused_since(demanded_at)
            return waited >= run_terms._demand_time(terms)
    return False


@view
@internal
def _check_leaf(side: Side, cycle: uint64, number: uint8, run: uint32, shown: Types.ShownLeaf):
    """
    @notice Reverts unless this is a leaf of the side in the newest tree that its utility has posted up to the run.
    """
    newest: uint32 = 0
    posted: bytes32 = empty(bytes32)
    newest, posted = self._newest_tree(cycle, run, side.utility)
    assert posted != empty(bytes32) and shown.run == newest, "Disputes: not the newest tree"
    assert shown.leaf.trade_digest == side.digest and shown.leaf.side == number, "Disputes: another side's leaf"
    assert posted == preimages._tree(shown.root, shown.count), "Disputes: not the posted tree"
    assert merkle._verify(
        shown.root,
        convert(shown.count, uint256),
        convert(shown.index, uint256),
        preimages._allocation_leaf(shown.leaf),
        shown.path,
    ), "Disputes: leaf not in the tree"


@internal
def _record_figure(side: Side, cycle: uint64, number: uint8, wh: uint64, trade: Types.Trade, mask: uint256):
    """
    @notice Ends the contest of a side by a figure.
    """
    marks: uint256 = staticcall ORACLE.side_marks(cycle, side.utility, side.digest, number)
    assert marks & HAS_FIGURE == 0, "Disputes: a figure already"
    assert marks & CONTESTED_RUNS != 0, "Disputes: not contested"
    if mask != 0:
        version: uint256 = staticcall ORACLE.config_version(cycle)
        terms: uint256 = staticcall REGISTRY.run_terms(version)
        contested_at: uint64 = convert((marks >> CONTESTED_AT_SHIFT) & (2**40 - 1), uint64)
        open_for: uint64 = staticcall REGISTRY.unpaused_since(contested_at)
        assert open_for < run_terms._contest_time(terms), "Disputes: too late to rule"
    contracted: uint64 = staticcall TRADE_BOOK.contracted(side.digest, trade.contracted_wh)
    assert wh <= contracted, "Disputes: more than contracted"
    extcall ORACLE.mark_side(cycle, side.utility, side.digest, number, FIGURE, convert(wh, uint256))
    log IDisputes.FigureRecorded(cycle=cycle, trade_digest=side.digest, side=number, wh=wh, mask=mask)
