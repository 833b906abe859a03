# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Settlement: rows and claims
@notice What two members owe each other in a cycle is a row. Both sign it (paid at once), or a quorum of attestors does
        (leaves published, then a window in which one proof strikes it), or anyone has the chain compute single trades
        (a window too). Applying moves only differences; locked money pays at once, the rest is owed.
@custom:kill Never paused: it moves nothing but what members signed or what survived its window. It holds no money;
        a new version is a new deployment (with its escrow and ledger) that members move to.
"""

from .interfaces import Types
from .interfaces import IAllocationOracle
from .interfaces import IMemberRegistry
from .interfaces import IObligationLedger
from .interfaces import IRowDemands
from .interfaces import ISettlement
from .interfaces import ISettlementEscrow
from .interfaces import ITradeResult
from .modules import agreed_rows
from .modules import claims
from .modules import merkle
from .modules import pair_state
from .modules import preimages
from .modules import publication
from .modules import signatures as signing
from .modules import typed_data

implements: ISettlement

initializes: claims

# Ways in which a row is applied.
AGREED: constant(uint8) = 1
EARLY: constant(uint8) = 2
ATTESTED: constant(uint8) = 3

MAX_AMOUNT: constant(uint256) = 2**96 - 1
# Nothing of the lock is released.
KEEP_ALL: constant(uint256) = max_value(uint256)
EMPTY_ROOT: constant(bytes32) = keccak256(b"")

REGISTRY: immutable(IMemberRegistry)
ORACLE: immutable(IAllocationOracle)
TRADE_RESULT: immutable(ITradeResult)
ESCROW: immutable(ISettlementEscrow)
OBLIGATIONS: immutable(IObligationLedger)
ROW_FAULTS: immutable(address)
ROW_DEMANDS: immutable(IRowDemands)

# Fixed at the registry's deployment, so kept in the code.
DOMAIN_SEPARATOR: immutable(bytes32)


# Pair (hash of cycle, payer, payee) -> digest of its pending row.
_pending: HashMap[bytes32, bytes32]
# Pair -> how far its pending row has come (modules/publication.vy).
_progress: HashMap[bytes32, uint256]
# Pair -> trade digest of the last published leaf.
_last_trade: HashMap[bytes32, bytes32]
# Pair -> sum of the flows claimed in its last settled run. Kept only while it lies below what is applied: else the
# pair's word says it (pair_state.BY_CLAIMS).
_claimed: HashMap[bytes32, uint256]


@deploy
def __init__(
    registry: address,
    oracle: address,
    trade_result: address,
    escrow: address,
    obligations: address,
    row_faults: address,
    row_demands: address,
):
    """
    @notice Binds the collaborators for good.
    @dev The registry must be deployed already: its domain never changes and is copied.
    @param registry MemberRegistry.
    @param oracle AllocationOracle.
    @param trade_result TradeResult.
    @param escrow SettlementEscrow.
    @param obligations ObligationLedger.
    @param row_faults RowFaults, which strikes rows and claims.
    @param row_demands RowDemands, which strikes rows, and holds them while leaves are demanded.
    """
    REGISTRY = IMemberRegistry(registry)
    ORACLE = IAllocationOracle(oracle)
    TRADE_RESULT = ITradeResult(trade_result)
    ESCROW = ISettlementEscrow(escrow)
    OBLIGATIONS = IObligationLedger(obligations)
    ROW_FAULTS = row_faults
    ROW_DEMANDS = IRowDemands(row_demands)
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()


# --- anyone (views) ---


@view
@external
@reentrant
def pending(cycle: uint64, payer: bytes32, payee: bytes32) -> (uint256, bytes32):
    """
    @notice The attested row that is pending between two members in a cycle.
    @param cycle Cycle number.
    @param payer Member id.
    @param payee Member id.
    @return 0 none, 1 attested (to be published), 2 published (its window runs or is over), 3 it can be applied no more
            (not published in time, or a later run is settled); and the row's digest.
    """
    key: bytes32 = pair_state._key(cycle, payer, payee)
    state: uint256 = (staticcall ESCROW.pair(cycle, payer, payee)) >> pair_state.SHIFT
    stage: uint256 = self._stage(cycle, publication._unpacked(self._progress[key]), state)
    return stage, self._pending[key]


@view
@external
@reentrant
def pending_progress(cycle: uint64, payer: bytes32, payee: bytes32) -> (uint64, uint256, uint64, uint64):
    """
    @notice How far the pending row is published.
    @param cycle Cycle number.
    @param payer Member id.
    @param payee Member id.
    @return Leaves published so far; their sum in base units; block times of attestation and of publication.
    """
    progress: publication.Progress = publication._unpacked(self._progress[pair_state._key(cycle, payer, payee)])
    return (
        convert(progress.count, uint64),
        progress.sum,
        convert(progress.attested_at, uint64),
        convert(progress.published_at, uint64),
    )


@view
@external
@reentrant
def highest_version(cycle: uint64, payer: bytes32, payee: bytes32) -> uint256:
    """
    @notice The highest version that a row between two members in a cycle has had, applied or not.
    @param cycle Cycle number.
    @param payer Member id.
    @param payee Member id.
    @return The version, 0 if there was no row.
    """
    state: uint256 = (staticcall ESCROW.pair(cycle, payer, payee)) >> pair_state.SHIFT
    return max(pair_state._version(state), publication._version(self._progress[pair_state._key(cycle, payer, payee)]))


@view
@external
@reentrant
def claim_stage(trade_digest: bytes32, run: uint32, claim_hash: bytes32) -> uint256:
    """
    @notice How far a claim is.
    @param trade_digest The trade.
    @param run The run.
    @param claim_hash Hash of the claim's record.
    @return 0 none (or struck), 1 pending, 2 one of this trade and run has applied, be it this one or another.
    """
    return claims._stage(trade_digest, run, claim_hash)


# --- members (signed, relayed by anyone) ---


@external
def settle(rows: DynArray[Types.SignedRow, 64], wallet_signatures: DynArray[Bytes[1024], 4]) -> uint256:
    """
    @notice Applies rows that both their members signed, at once. One that does not apply is skipped with an event
            that says why.
    @param rows The rows, each with the signatures of payer and payee.
    @param wallet_signatures Of members whose key is a contract: one for each signature with v = 0, in their order.
    @return How many rows applied, at least one.
    """
    members: DynArray[bytes32, 128] = []
    for signed: Types.SignedRow in rows:
        members.append(signed.row.payer)
        members.append(signed.row.payee)
    standings: DynArray[uint256, 128] = staticcall REGISTRY.standings(members)

    applied: uint256 = 0
    wallets: uint256 = 0
    inputs: agreed_rows.Inputs = empty(agreed_rows.Inputs)
    for i: uint256 in range(len(rows), bound=64):
        row: Types.Row = rows[i].row
        digest: bytes32 = self._row_digest(row)
        # Every v = 0 takes its wallet signature, whatever becomes of the row: the order follows from the call alone.
        payer_wallet: uint256 = wallets
        if rows[i].payer_signature.v == 0:
            wallets += 1
        payee_wallet: uint256 = wallets
        if rows[i].payee_signature.v == 0:
            wallets += 1
        if i == 0 or inputs.cycle != row.cycle or inputs.run != row.run:
            inputs = agreed_rows._inputs(ORACLE, row.cycle, row.run)
        state: uint256 = (staticcall ESCROW.pair(row.cycle, row.payer, row.payee)) >> pair_state.SHIFT
        key: bytes32 = pair_state._key(row.cycle, row.payer, row.payee)
        progress: publication.Progress = publication._unpacked(self._progress[key])
        reason: String[32] = agreed_rows._refusal(row, inputs, state, progress.version)
        if len(reason) == 0 and convert(row.run, uint256) < progress.run:
            # What both once signed of an older run does not end what a quorum says of a newer one.
            if self._stage(row.cycle, progress, state) != publication.DEAD:
                reason = "a later run is attested"
        if len(reason) == 0 and not agreed_rows._is_signed(
            standings[2 * i], digest, rows[i].payer_signature, wallet_signatures, payer_wallet
        ):
            reason = "not signed by the payer"
        if len(reason) == 0 and not agreed_rows._is_signed(
            standings[2 * i + 1], digest, rows[i].payee_signature, wallet_signatures, payee_wallet
        ):
            reason = "not signed by the payee"
        if len(reason) != 0:
            log ISettlement.RowSkipped(
                cycle=row.cycle, payer=row.payer, payee=row.payee, version=row.version, reason=reason
            )
            continue

        if progress.attested_at != 0:
            self._drop(key, progress, row, "replaced")
        # An early row settles no run. None is sealed yet, so the state held nothing but a version.
        is_early: bool = row.inputs == empty(bytes32)
        state = convert(row.version, uint256) if is_early else pair_state._after(row) | pair_state.BY_AGREED_ROW
        self._apply(row, digest, EARLY if is_early else AGREED, state, convert(row.keep, uint256))
        applied += 1
    assert applied != 0, "Settlement: no row applied"
    return applied


# --- anyone, with a quorum of attestors' signatures ---


@external
@reentrant
def attest(row: Types.Row, mask: uint256, signatures: DynArray[Types.Signature, 32]):
    """
    @notice Makes a row pending that a quorum of attestors signed. It is to be published, and may be struck.
    @dev Attestors are judged as the set stands now.
    @param row The row.
    @param mask Bit i: attestor i of the set signed. Exactly the quorum.
    @param signatures Of RowAttestation, in ascending bit order.
    """
    assert (
        row.payer != row.payee
        and row.keep == 0
        and row.root != empty(bytes32)
        and row.count <= merkle.MAX_COUNT
        and (row.count != 0 or (row.amount == 0 and row.root == EMPTY_ROOT))
    ), "Settlement: malformed row"
    closed_for: uint64 = 0
    sealed_runs: uint256 = 0
    newest_inputs: bytes32 = empty(bytes32)
    closed_for, sealed_runs, newest_inputs = staticcall ORACLE.newest(row.cycle)
    self._check_open(closed_for)
    assert (
        convert(row.run, uint256) + 1 == sealed_runs and row.inputs == newest_inputs
    ), "Settlement: not the newest inputs"

    state: uint256 = (staticcall ESCROW.pair(row.cycle, row.payer, row.payee)) >> pair_state.SHIFT
    assert (
        pair_state._settled_runs(state) != sealed_runs or state & pair_state.BY_AGREED_ROW == 0
    ), "Settlement: settled by agreement"
    pair: bytes32 = pair_state._key(row.cycle, row.payer, row.payee)
    progress: publication.Progress = publication._unpacked(self._progress[pair])
    highest: uint256 = max(pair_state._version(state), progress.version)
    assert convert(row.version, uint256) == highest + 1, "Settlement: not the next version"

    stage: uint256 = self._stage(row.cycle, progress, state)
    assert stage == publication.NO_ROW or stage == publication.DEAD, "Settlement: another row pending"
    if stage == publication.DEAD:
        # A row that can no longer be applied makes way.
        self._drop(pair, progress, row, "lapsed")

    digest: bytes32 = self._row_digest(row)
    keys: DynArray[uint256, 32] = []
    quorum: uint256 = 0
    keys, quorum = staticcall REGISTRY.attestors_in(mask)
    assert len(keys) == quorum and len(signatures) == quorum, "Settlement: not a quorum"
    attestation: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._row_attestation(digest))
    for i: uint256 in range(quorum, bound=32):
        # No seat is without key, so a malformed signature, which recovers to zero, is none's.
        key: address = signing._recover(attestation, signatures[i])
        assert convert(key, uint256) >> 36 == keys[i], "Settlement: not attestor's key"
    self._pending[pair] = digest
    self._progress[pair] = publication._begun(block.timestamp, row.run, row.version)
    log ISettlement.RowAttested(
        cycle=row.cycle,
        payer=row.payer,
        payee=row.payee,
        row=row,
        row_digest=digest,
        mask=mask,
    )


@external
@reentrant
def publish(row: Types.Row, leaves: DynArray[Types.FlowLeaf, 128], path: DynArray[bytes32, 24]):
    """
    @notice Takes the next chunk of a pending row's leaves; with the last one the row's window begins. A row whose
            leaves do not add up to its amount is struck.
    @param row The pending row.
    @param leaves The next 128 leaves, or all that remain, strictly ordered by (tradeDigest, flow).
    @param path Proof of the chunk, as a node of the row's tree.
    """
    found: publication.Pending = self._publishable(row)
    first: uint256 = found.progress.count

    trade: uint256 = convert(self._last_trade[found.key], uint256) if first != 0 else 0
    flow: uint256 = found.progress.last_flow
    hashes: DynArray[bytes32, 128] = []
    for leaf: Types.FlowLeaf in leaves:
        next: uint256 = convert(leaf.trade_digest, uint256)
        next_flow: uint256 = convert(leaf.flow, uint256)
        assert next > trade or (next == trade and next_flow > flow), "Settlement: leaves out of order"
        trade = next
        flow = next_flow
        found.progress.sum += convert(leaf.amount, uint256)
        hashes.append(keccak256(concat(0x00, abi_encode(leaf))))
    assert merkle._verify_chunk(
        row.root, convert(row.count, uint256), first, hashes, path
    ), "Settlement: not the next chunk"
    log ISettlement.ChunkPublished(
        row_digest=found.digest, first=convert(first, uint64), count=convert(len(leaves), uint64)
    )

    found.progress.count = first + len(leaves)
    is_last: bool = found.progress.count == convert(row.count, uint256)
    amount: uint256 = convert(row.amount, uint256)
    if found.progress.sum > amount or (is_last and found.progress.sum != amount):
        self._drop(found.key, found.progress, row, "leaves do not add up")
    elif is_last:
        found.progress.published_at = block.timestamp
        self._progress[found.key] = publication._packed(found.progress)
        log ISettlement.RowPublished(row_digest=found.digest)
    else:
        found.progress.last_flow = flow
        self._last_trade[found.key] = convert(trade, bytes32)
        self._progress[found.key] = publication._packed(found.progress)


@external
@reentrant
def publish_empty(row: Types.Row):
    """
    @notice Begins the window of a pending row without leaves.
    @param row The pending row.
    """
    found: publication.Pending = self._publishable(row)
    assert row.count == 0, "Settlement: the row has leaves"
    found.progress.published_at = block.timestamp
    self._progress[found.key] = publication._packed(found.progress)
    log ISettlement.RowPublished(row_digest=found.digest)


@external
@reentrant
def apply_attested(row: Types.Row):
    """
    @notice Applies a published row once its window is over. It releases nothing.
    @param row The pending row.
    """
    found: publication.Pending = self._pending_row(row)
    assert found.progress.published_at != 0, "Settlement: not published"
    assert not self._may_strike(row.cycle, found.progress.published_at, found.digest), "Settlement: row's window open"
    state: uint256 = (staticcall ESCROW.pair(row.cycle, row.payer, row.payee)) >> pair_state.SHIFT
    assert convert(row.run, uint256) + 1 >= pair_state._settled_runs(state), "Settlement: later run settled"
    self._forget(found.key, found.progress)
    self._apply(row, found.digest, ATTESTED, pair_state._after(row) | pair_state.BY_ATTESTED_ROW, KEEP_ALL)


# --- anyone: the chain computes a single trade ---


@external
@reentrant
def claim(
    place: Types.Place,
    trade: Types.Trade,
    signatures: DynArray[Types.Signature, 6],
    buyer_shown: DynArray[Types.ShownLeaf, 1],
    seller_shown: DynArray[Types.ShownLeaf, 1],
) -> Types.Claim:
    """
    @notice Computes a trade from one valid place and both sides' figures in the newest sealed run. The claim's window
            begins: a newer figure ends it. Others of the same trade may be pending beside it; the first that is applied
            ends them.
    @param place Where the trade was committed, with its proof.
    @param trade The trade.
    @param signatures Of its signers in role order; none for a registered trade.
    @param buyer_shown The buyer side's leaf; none where a figure is recorded, or in the last run.
    @param seller_shown The same for the seller's side.
    @return The claim, by which it is applied or struck.
    """
    cycle: uint64 = place.commitment.cycle
    closed_for: uint64 = staticcall ORACLE.closed_for(cycle)
    self._check_open(closed_for)
    sealed_runs: uint256 = staticcall ORACLE.sealed_runs(cycle)
    assert sealed_runs != 0, "Settlement: no sealed run"
    run: uint32 = convert(sealed_runs - 1, uint32)
    record: Types.Claim = staticcall TRADE_RESULT.claim_of(place, trade, signatures, run, buyer_shown, seller_shown)
    record.claimed_at = convert(block.timestamp, uint64)
    claims._add(record.trade_digest, run, preimages._claim(record))
    log ISettlement.Claimed(trade_digest=record.trade_digest, cycle=cycle, claim=record)
    return record


@external
@reentrant
def apply_claim(claim: Types.Claim):
    """
    @notice Applies a claim after its window, while its run is the newest sealed one: what the claimed flows of a pair
            come to by this run's figures is paid or owed as far as it exceeds what is applied already.
    @dev Flows of pairs for which a row of this run has applied are left out: the row holds them. A pair's sum stops at
         2^96 - 1, so that no other pair of the trade waits for what two members make up between them.
    @param claim The claim, as it was made.
    """
    run: uint256 = convert(claim.run, uint256) + 1
    claim_hash: bytes32 = preimages._claim(claim)
    claims._check_pending(claim.trade_digest, claim.run, claim_hash)
    assert not self._is_in_window(claim.cycle, claim.claimed_at), "Settlement: claim's window open"
    sealed_runs: uint256 = staticcall ORACLE.sealed_runs(claim.cycle)
    assert sealed_runs == run, "Settlement: newer run is sealed"
    claims._apply(claim.trade_digest, claim.run)

    for flow: Types.MemberFlow in claim.flows:
        if flow.payer == flow.payee or flow.amount == 0:
            continue
        word: uint256 = staticcall ESCROW.pair(claim.cycle, flow.payer, flow.payee)
        state: uint256 = word >> pair_state.SHIFT
        applied: uint256 = (word >> 96) & MAX_AMOUNT
        key: bytes32 = pair_state._key(claim.cycle, flow.payer, flow.payee)
        sum: uint256 = flow.amount
        # The sum is of one run's figures: with a newer run, in which nothing of the pair is settled yet, it begins anew.
        if pair_state._settled_runs(state) == run:
            if state & (pair_state.BY_AGREED_ROW | pair_state.BY_ATTESTED_ROW) != 0:
                continue
            if state & pair_state.BY_CLAIMS != 0:
                sum += applied
            else:
                sum += self._claimed[key]
        sum = min(sum, MAX_AMOUNT)
        state = pair_state._version(state) | (run << 32)
        if sum >= applied:
            applied = sum
            state |= pair_state.BY_CLAIMS
        else:
            self._claimed[key] = sum
        paid: uint256 = 0
        owed: uint256 = 0
        owed_back: uint256 = 0
        paid, owed, owed_back = extcall ESCROW.settle(claim.cycle, flow.payer, flow.payee, applied, state, KEEP_ALL)
        if owed != 0:
            extcall OBLIGATIONS.record(flow.payer, flow.payee, owed, 0)
        log ISettlement.ClaimApplied(
            trade_digest=claim.trade_digest,
            payer=flow.payer,
            payee=flow.payee,
            cycle=claim.cycle,
            run=claim.run,
            claim_hash=claim_hash,
            claimed_sum=sum,
            paid=paid,
            owed=owed,
        )


# --- RowFaults and RowDemands ---


@external
@reentrant
def strike_row(row: Types.Row, reason: String[32]):
    """
    @notice Ends a pending row, until its window is over and no demand holds it. The pair is free for a right one.
    @param row The pending row.
    @param reason What was proven.
    """
    assert msg.sender in [ROW_FAULTS, ROW_DEMANDS.address], "Settlement: may not strike"
    found: publication.Pending = self._pending_row(row)
    published_at: uint256 = found.progress.published_at
    assert (
        published_at == 0 or self._may_strike(row.cycle, published_at, found.digest)
    ), "Settlement: row's window over"
    self._drop(found.key, found.progress, row, reason)


@external
@reentrant
def strike_claim(trade_digest: bytes32, cycle: uint64, run: uint32, claimed_at: uint64, claim_hash: bytes32):
    """
    @notice Ends a pending claim, until its window is over. It may be made again; others of its trade stay pending.
    @dev RowFaults has the claim, and says of it what is needed here.
    @param trade_digest The claim's trade.
    @param cycle Its cycle.
    @param run Its run.
    @param claimed_at Block time at which it was made.
    @param claim_hash Hash of its record, over all of these.
    """
    assert msg.sender == ROW_FAULTS, "Settlement: only RowFaults"
    claims._check_pending(trade_digest, run, claim_hash)
    assert self._is_in_window(cycle, claimed_at), "Settlement: claim's window over"
    claims._strike(trade_digest, run, claim_hash)
    log ISettlement.ClaimStruck(trade_digest=trade_digest, cycle=cycle, run=run, claim_hash=claim_hash)


# --- internals ---


@view
@internal
def _row_digest(row: Types.Row) -> bytes32:
    """
    @notice The row's EIP-712 digest.
    """
    return typed_data._digest(DOMAIN_SEPARATOR, typed_data._row(row))


@view
@internal
def _pending_row(row: Types.Row) -> publication.Pending:
    """
    @notice Where a row stands; reverts unless it is its pair's pending one.
    """
    digest: bytes32 = self._row_digest(row)
    key: bytes32 = pair_state._key(row.cycle, row.payer, row.payee)
    progress: publication.Progress = publication._unpacked(self._progress[key])
    assert progress.attested_at != 0 and self._pending[key] == digest, "Settlement: row not pending"
    return publication.Pending(key=key, digest=digest, progress=progress)


@view
@internal
def _publishable(row: Types.Row) -> publication.Pending:
    """
    @notice The same, if leaves are still taken.
    """
    found: publication.Pending = self._pending_row(row)
    assert found.progress.published_at == 0, "Settlement: published already"
    times: publication.Times = publication._times(REGISTRY, ORACLE, row.cycle)
    assert block.timestamp < found.progress.attested_at + times.publish_time, "Settlement: row has lapsed"
    return found


@view
@internal
def _stage(cycle: uint64, progress: publication.Progress, state: uint256) -> uint256:
    """
    @notice How far an attested row is, given its pair's state.
    """
    return publication._stage(REGISTRY, ORACLE, cycle, progress, pair_state._settled_runs(state))


@pure
@internal
def _check_open(closed_for: uint64):
    """
    @notice Reverts once the cycle is closed: then only agreed rows are taken.
    """
    assert closed_for == 0, "Settlement: cycle closed"


@view
@internal
def _may_strike(cycle: uint64, published_at: uint256, digest: bytes32) -> bool:
    """
    @notice Whether a published row may still be struck: in its window, and while demands hold it.
    """
    times: publication.Times = publication._times(REGISTRY, ORACLE, cycle)
    if publication._is_within(REGISTRY, published_at, times.row_window):
        return True
    return staticcall ROW_DEMANDS.holds(cycle, digest)


@view
@internal
def _is_in_window(cycle: uint64, claimed_at: uint64) -> bool:
    """
    @notice Whether a claim may still be struck.
    """
    times: publication.Times = publication._times(REGISTRY, ORACLE, cycle)
    return publication._is_within(REGISTRY, convert(claimed_at, uint256), times.claim_window)


@internal
def _apply(row: Types.Row, digest: bytes32, way: uint8, state: uint256, keep: uint256):
    """
    @notice Moves what is applied between the pair to the row's amount.
    """
    paid: uint256 = 0
    owed: uint256 = 0
    owed_back: uint256 = 0
    paid, owed, owed_back = extcall ESCROW.settle(
        row.cycle, row.payer, row.payee, convert(row.amount, uint256), state, keep
    )
    if owed != 0 or owed_back != 0:
        extcall OBLIGATIONS.record(row.payer, row.payee, owed, owed_back)
    log ISettlement.RowApplied(
        cycle=row.cycle,
        payer=row.payer,
        payee=row.payee,
        way=way,
        run=row.run,
        version=row.version,
        amount=row.amount,
        paid=paid,
        owed=owed,
        owed_back=owed_back,
        row_digest=digest,
    )


@internal
def _drop(key: bytes32, progress: publication.Progress, row: Types.Row, reason: String[32]):
    """
    @notice Ends the pending row of the pair of `row`.
    """
    log ISettlement.RowStruck(
        cycle=row.cycle, payer=row.payer, payee=row.payee, row_digest=self._pending[key], reason=reason
    )
    self._forget(key, progress)


@internal
def _forget(key: bytes32, progress: publication.Progress):
    """
    @notice Clears the pending row; the version remains, so that none comes twice.
    """
    self._pending[key] = empty(bytes32)
    self._progress[key] = publication._forgotten(progress)
