# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title RowDemands: leaves of attested rows whose foundation is demanded, shown, or not
@notice Whoever pays or is paid by a published row may doubt that a leaf in it has a trade behind it at all. Somebody
        then shows the trade with its place, its signatures and both figures, as a claim would; if nobody does in time,
        the row falls. So a quorum cannot make anybody owe for trades that nobody can show.
@dev An answer shows one leaf a side; for a while after it a newer one, or the mark that it stands twice, refutes it: the
     leaf is then demanded anew and wants an answer at least as new. The row itself does not fall by that, for anybody
     may answer, and a right leaf may be answered by an old figure. Until the last answer is that old the row is not
     applied. A side has few runs, so an answer is refuted few times.
@custom:kill Nothing to stop: it holds nothing. A member demands few leaves of a row, in the row's window only, so a row
             of which all is answered soon is held up for a bounded time.
"""

from .interfaces import IAllocationOracle
from .interfaces import IMemberRegistry
from .interfaces import IRowDemands
from .interfaces import ISettlement
from .interfaces import ITradeResult
from .interfaces import Types

implements: IRowDemands

from .modules import claimed_figures
from .modules import hot_keys
from .modules import merkle
from .modules import preimages
from .modules import publication
from .modules import run_terms
from .modules import typed_data

BUYER: constant(uint8) = 0
SELLER: constant(uint8) = 1
# In place of the time of a demand that was answered.
ANSWERED: constant(uint64) = max_value(uint64)
# An agreed or ruled figure, as claims name their figures' origins.
RECORDED: constant(uint8) = 2

REGISTRY: immutable(IMemberRegistry)
ORACLE: immutable(IAllocationOracle)
TRADE_RESULT: immutable(ITradeResult)
SETTLEMENT: immutable(ISettlement)
DOMAIN_SEPARATOR: immutable(bytes32)

# Per row and member: leaves it demanded; per row: demanded leaves that nobody has shown.
demand_count: reentrant(public(HashMap[bytes32, HashMap[bytes32, uint256]]))
open_count: reentrant(public(HashMap[bytes32, uint256]))
# Per row and leaf: when it was demanded (0 never, ANSWERED once it was shown), and the answer's claim, hashed.
demanded_at: HashMap[bytes32, HashMap[uint64, uint64]]
answers: HashMap[bytes32, HashMap[uint64, bytes32]]
# Per row, leaf and side: the newest run by whose leaf an answer was refuted, + 1.
refuted_runs: HashMap[bytes32, HashMap[uint64, HashMap[uint8, uint256]]]
# Per row: when a leaf was last shown.
answered_at: HashMap[bytes32, uint64]


@deploy
def __init__(registry: address, oracle: address, trade_result: address, settlement: address):
    """
    @notice Binds the collaborators for good. The registry must be deployed already.
    @param registry MemberRegistry.
    @param oracle AllocationOracle.
    @param trade_result TradeResult.
    @param settlement Settlement, which asks `holds` before it applies a row.
    """
    REGISTRY = IMemberRegistry(registry)
    ORACLE = IAllocationOracle(oracle)
    TRADE_RESULT = ITradeResult(trade_result)
    SETTLEMENT = ISettlement(settlement)
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()


# --- anyone (views) ---


@view
@external
@reentrant
def holds(cycle: uint64, row_digest: bytes32) -> bool:
    """
    @notice Whether a row may not be applied yet, because a demand is open or an answer is too new.
    @param cycle The row's cycle.
    @param row_digest Its digest.
    @return While true it may still be struck, whatever its window.
    """
    return self._holds(cycle, row_digest)


# --- members (signed, relayed by anyone) ---


@external
def demand(
    row: Types.Row,
    statement: Types.RowDemand,
    signature: Types.Signature,
    wallet_signatures: DynArray[Bytes[1024], 1],
):
    """
    @notice Demands that the trade behind a leaf be shown, in the row's window.
    @dev May ask a member's contract for its signature, by a static call with bounded gas.
    @param row The pending row, published.
    @param statement The row's digest, the leaf's index, and the member: its payer or its payee.
    @param signature By the member's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), else empty.
    """
    digest: bytes32 = self._pending(row)
    assert statement.row_digest == digest, "RowDemands: another row"
    member: bytes32 = statement.member
    assert member == row.payer or member == row.payee, "RowDemands: not of the pair"
    standing: uint256 = staticcall REGISTRY.standing(member)
    signed: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._row_demand(statement))
    assert hot_keys._is_signed(standing, signed, signature, wallet_signatures), "RowDemands: not signed by member"
    assert statement.index < row.count, "RowDemands: no such leaf"
    assert self.demanded_at[digest][statement.index] == 0, "RowDemands: demanded already"
    assert self._is_in_window(row), "RowDemands: row's window over"
    count: uint256 = self.demand_count[digest][member] + 1
    version: uint256 = staticcall ORACLE.config_version(row.cycle)
    limit: uint64 = staticcall REGISTRY.row_demands(version)
    assert count <= convert(limit, uint256), "RowDemands: too many demands"
    self.demand_count[digest][member] = count
    self.open_count[digest] += 1
    self.demanded_at[digest][statement.index] = convert(block.timestamp, uint64)
    log IRowDemands.LeafDemanded(row_digest=digest, index=statement.index, member=member)


# --- anyone ---


@external
@reentrant
def answer(
    row: Types.Row,
    shown: Types.ShownFlow,
    place: Types.Place,
    trade: Types.Trade,
    signatures: DynArray[Types.Signature, 6],
    buyer_shown: DynArray[Types.ShownLeaf, 1],
    seller_shown: DynArray[Types.ShownLeaf, 1],
):
    """
    @notice Shows the trade behind a demanded leaf.
    @param row The pending row.
    @param shown The leaf with its index and proof.
    @param place Where the trade was committed, with its proof.
    @param trade The trade.
    @param signatures Of its signers in role order; none for a registered trade.
    @param buyer_shown The buyer side's leaf; none where a figure is recorded, or in the last run.
    @param seller_shown The same for the seller's side.
    """
    digest: bytes32 = self._pending(row)
    made: uint64 = self.demanded_at[digest][shown.index]
    assert made != 0 and made != ANSWERED, "RowDemands: nothing to answer"
    assert merkle._verify(
        row.root, convert(row.count, uint256), convert(shown.index, uint256), preimages._flow_leaf(shown.leaf), shown.path
    ), "RowDemands: leaf not in the row"
    claim: Types.Claim = staticcall TRADE_RESULT.claim_of(
        place, trade, signatures, row.run, buyer_shown, seller_shown
    )
    number: uint256 = convert(shown.leaf.flow, uint256)
    assert (
        claim.cycle == row.cycle and claim.trade_digest == shown.leaf.trade_digest and number < len(claim.flows)
    ), "RowDemands: another trade"
    flow: Types.MemberFlow = claim.flows[number]
    assert (
        flow.payer == row.payer
        and flow.payee == row.payee
        and flow.amount == convert(shown.leaf.amount, uint256)
        and claim.settled_wh == shown.leaf.settled_wh
        and shown.leaf.salt == preimages._flow_salt(trade.salt, row.cycle, shown.leaf.flow)
    ), "RowDemands: another leaf results"
    self._check_age(digest, shown.index, BUYER, claim)
    self._check_age(digest, shown.index, SELLER, claim)
    self.open_count[digest] -= 1
    self.demanded_at[digest][shown.index] = ANSWERED
    self.answers[digest][shown.index] = preimages._claim(claim)
    self.answered_at[digest] = convert(block.timestamp, uint64)
    log IRowDemands.LeafFounded(row_digest=digest, index=shown.index, claim=claim)


@external
@reentrant
def strike_unfounded(row: Types.Row, index: uint64):
    """
    @notice Ends a row of which a demanded leaf was not shown within the demand time.
    @param row The pending row.
    @param index The leaf's index.
    """
    digest: bytes32 = self._pending(row)
    made: uint64 = self.demanded_at[digest][index]
    assert made != 0 and made != ANSWERED, "RowDemands: no open demand"
    elapsed: uint64 = staticcall REGISTRY.unpaused_since(made)
    assert elapsed >= self._demand_time(row.cycle), "RowDemands: may still be answered"
    extcall SETTLEMENT.strike_row(row, "unfounded leaf")


@external
@reentrant
def refute(
    row: Types.Row,
    index: uint64,
    claim: Types.Claim,
    trade: Types.Trade,
    side: uint8,
    shown: DynArray[Types.ShownLeaf, 1],
):
    """
    @notice Refutes an answer whose figure is wrong, while the row may be struck: the leaf is demanded anew, from now,
            and wants an answer that is at least as new as what is shown here.
    @param row The pending row.
    @param index The answered leaf's index.
    @param claim What the answer asserted (its event has it).
    @param trade Its trade.
    @param side 0 buyer, 1 seller.
    @param shown A leaf that counts and is newer than the answer's for this side; none where the answer's leaf is marked
           as standing twice.
    """
    digest: bytes32 = self._pending(row)
    assert self.answers[digest][index] == preimages._claim(claim), "RowDemands: not the answer"
    assert self._is_in_window(row) or self._holds(row.cycle, digest), "RowDemands: row stands"
    assert side <= SELLER, "RowDemands: no such side"
    found: bytes32 = staticcall TRADE_RESULT.trade_digest(trade)
    assert found == claim.trade_digest, "RowDemands: not the answer's trade"
    if len(shown) == 0:
        assert claimed_figures._is_twice(ORACLE, claim, trade, side), "RowDemands: not marked twice"
    else:
        assert claimed_figures._is_newer(TRADE_RESULT, claim, trade, side, shown[0]), "RowDemands: not newer"
        self.refuted_runs[digest][index][side] = convert(shown[0].run, uint256) + 1
    self.answers[digest][index] = empty(bytes32)
    self.demanded_at[digest][index] = convert(block.timestamp, uint64)
    self.open_count[digest] += 1
    log IRowDemands.AnswerRefuted(row_digest=digest, index=index, side=side)


# --- internals ---


@view
@internal
def _pending(row: Types.Row) -> bytes32:
    """
    @notice The row's digest; reverts unless it is pending and published.
    """
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._row(row))
    state: uint256 = 0
    pending: bytes32 = empty(bytes32)
    state, pending = staticcall SETTLEMENT.pending(row.cycle, row.payer, row.payee)
    assert state == publication.PUBLISHED and pending == digest, "RowDemands: row not pending"
    return digest


@view
@internal
def _is_in_window(row: Types.Row) -> bool:
    """
    @notice Whether the window of a published row is open.
    """
    leaves: uint64 = 0
    sum: uint256 = 0
    attested_at: uint64 = 0
    published_at: uint64 = 0
    leaves, sum, attested_at, published_at = staticcall SETTLEMENT.pending_progress(row.cycle, row.payer, row.payee)
    times: publication.Times = publication._times(REGISTRY, ORACLE, row.cycle)
    return publication._is_within(REGISTRY, convert(published_at, uint256), times.row_window)


@view
@internal
def _holds(cycle: uint64, digest: bytes32) -> bool:
    """
    @notice Whether a demand is open on a row, or an answer too new.
    """
    if self.open_count[digest] != 0:
        return True
    answered_at: uint64 = self.answered_at[digest]
    if answered_at == 0:
        return False
    elapsed: uint64 = staticcall REGISTRY.unpaused_since(answered_at)
    return elapsed < self._demand_time(cycle)


@view
@internal
def _check_age(digest: bytes32, index: uint64, side: uint8, claim: Types.Claim):
    """
    @notice Reverts where an answer's figure is older than what has refuted one for this side.
    """
    origin: uint8 = 0
    run: uint32 = 0
    origin, run = claimed_figures._claimed(claim, side)
    since: uint256 = convert(run, uint256) + 1 if origin != claimed_figures.NO_FIGURE else 0
    assert origin == RECORDED or since >= self.refuted_runs[digest][index][side], "RowDemands: refuted before"


@view
@internal
def _demand_time(cycle: uint64) -> uint64:
    """
    @notice How long a demand may be answered, and an answer refuted.
    """
    version: uint256 = staticcall ORACLE.config_version(cycle)
    terms: uint256 = staticcall REGISTRY.run_terms(version)
    return run_terms._demand_time(terms)
