# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title AllocationOracle: signed allocations, runs and windows, marks, sealed inputs
@notice Utilities' signed meter-allocation hashes come in per cycle and run; a window opens on them; when it is over,
        anyone seals the run: from then on its inputs are one hash over everything that happened, in chain order.
@custom:kill Nothing is posted while the registry is paused (at most 72 hours, by the guardian); marks, windows and
        seals go on. There is no owner and no upgrade: a new version is a new deployment that members move to.
"""

from .interfaces import IAllocationOracle
from .interfaces import IMemberRegistry
from .interfaces import Types

implements: IAllocationOracle

from .modules import hot_keys
from .modules import merkle
from .modules import preimages
from .modules import roles
from .modules import run_terms
from .modules import typed_data

# Kinds in the accumulator.
COMMITMENT: constant(uint8) = 1
CURTAILMENT: constant(uint8) = 2
ALLOCATION: constant(uint8) = 3
VOID: constant(uint8) = 4
CONTEST: constant(uint8) = 5
DEMAND: constant(uint8) = 6
ANSWER: constant(uint8) = 7
FIGURE: constant(uint8) = 8
# A mark that is not accumulated: it records what the tree always was.
TWICE: constant(uint8) = 9

# Phases of a cycle.
UNUSED: constant(uint256) = 0
DELIVERY: constant(uint256) = 1
INTAKE: constant(uint256) = 2
WINDOW: constant(uint256) = 3
SEALABLE: constant(uint256) = 4
COMPLETE: constant(uint256) = 5
RULING: constant(uint256) = 6

MAX_RUNS: constant(uint256) = 4
EMPTY_TREE: constant(bytes32) = keccak256(b"")

# A cycle's state word: bits 0-31 config version; 32-63 its gate, 64-95 its commit-ahead (commitments find them here);
# 96-127 the next run's deadline after the cycle's end (postings do); 128-175 the block in which the next run's window
# was opened (0: not yet); 176-223 when the newest sealed run was sealed; 224-231 sealed runs; 232 all runs are sealed;
# 233 a leaf was demanded in the next run; 234 a side was contested in the last run.
# Times are seconds; every field fits by the registry's bounds.
GATE_SHIFT: constant(uint256) = 32
AHEAD_SHIFT: constant(uint256) = 64
DEADLINE_SHIFT: constant(uint256) = 96
OPENED_SHIFT: constant(uint256) = 128
SEALED_AT_SHIFT: constant(uint256) = 176
SEALED_SHIFT: constant(uint256) = 224
COMPLETE_FLAG: constant(uint256) = 1 << 232
DEMAND_FLAG: constant(uint256) = 1 << 233
LAST_CONTEST_FLAG: constant(uint256) = 1 << 234
MASK_32: constant(uint256) = 2**32 - 1
MASK_48: constant(uint256) = 2**48 - 1
# What of a state word holds for all runs.
TERMS_MASK: constant(uint256) = 2**96 - 1

# A side's marks: contested, unanswered and twice, one bit per run each (bits 0-23). Then either a recorded figure (bit
# 24): the run before whose seal (32-39), Wh (64-127); or of the last contest, if any, when (40-79) and about what
# (80-255).
UNANSWERED_SHIFT: constant(uint256) = 8
TWICE_SHIFT: constant(uint256) = 16
RUNS_MASK: constant(uint256) = 2**24 - 1
FIGURE_FLAG: constant(uint256) = 1 << 24
FIGURE_RUN_SHIFT: constant(uint256) = 32
FIGURE_WH_SHIFT: constant(uint256) = 64
CONTESTED_AT_SHIFT: constant(uint256) = 40
SUBJECT_SHIFT: constant(uint256) = 80

REGISTRY: immutable(IMemberRegistry)
TRADE_BOOK: immutable(address)
ALLOCATION_FAULTS: immutable(address)
# Contests, demands, answers and figures are marked by this contract; zero while there is none.
DISPUTES: immutable(address)
# Fixed in the registry for good, so kept here: what is signed is bound to it, and when a cycle ends follows from it.
DOMAIN_SEPARATOR: immutable(bytes32)
CYCLE_LENGTH: immutable(uint64)
ANCHOR: immutable(uint64)

# The state word of each cycle.
states: HashMap[uint64, uint256]
# The acts of a cycle since its last seal, chained.
accumulator: reentrant(public(HashMap[uint64, bytes32]))
# The inputs of each sealed run: cycle, run.
inputs: reentrant(public(HashMap[uint64, HashMap[uint256, bytes32]]))
# The block time of each seal: cycle, run.
sealed_at: reentrant(public(HashMap[uint64, HashMap[uint256, uint64]]))
# The hash of (root, count) that stands: cycle, run, utility.
posted: reentrant(public(HashMap[uint64, HashMap[uint256, HashMap[bytes32, bytes32]]]))
# The attempt that stands, less one, so that the usual single attempt costs no word: cycle, run, utility.
later_attempts: HashMap[uint64, HashMap[uint256, HashMap[bytes32, uint32]]]
# Bit r: the group is void in run r. By cycle, since a wrong leaf may name a slot of another cycle.
void_runs: reentrant(public(HashMap[uint64, HashMap[bytes32, uint256]]))
# The marks of a side: cycle, utility, trade digest, side. By utility, so that no other utility's tree marks it.
side_marks: reentrant(public(HashMap[uint64, HashMap[bytes32, HashMap[bytes32, HashMap[uint8, uint256]]]]))
# Of a cycle's last run: how many contested sides have no figure (bits 0-63), and when the newest was contested.
last_contests: HashMap[uint64, uint256]


@deploy
def __init__(registry: address, trade_book: address, allocation_faults: address, disputes: address):
    """
    @notice Wires the contract for good. The registry must be deployed already.
    @param registry The MemberRegistry.
    @param trade_book The TradeBook, which alone records commitments and curtailments.
    @param allocation_faults The AllocationFaults, which alone marks groups void and leaves as standing twice.
    @param disputes The Disputes contract; zero for a market without one.
    """
    REGISTRY = IMemberRegistry(registry)
    TRADE_BOOK = trade_book
    ALLOCATION_FAULTS = allocation_faults
    DISPUTES = disputes
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()
    slot_length: uint64 = 0
    cycle_length: uint64 = 0
    anchor: uint64 = 0
    slot_length, cycle_length, anchor = staticcall REGISTRY.calendar()
    CYCLE_LENGTH = cycle_length
    ANCHOR = anchor


# --- anyone (views) ---


@view
@external
@reentrant
def config_version(cycle: uint64) -> uint256:
    """
    @notice The config version that governs a cycle: the one in force at its first commitment.
    @param cycle Cycle number.
    @return The version; 0 while nothing was committed in the cycle.
    """
    return self._version(self.states[cycle])


@view
@external
@reentrant
def sealed_runs(cycle: uint64) -> uint256:
    """
    @notice How many runs of a cycle are sealed.
    @param cycle Cycle number.
    @return Their number, which is also the number of the next run.
    """
    return self._sealed_runs(self.states[cycle])


@view
@external
@reentrant
def phase(cycle: uint64) -> uint256:
    """
    @notice Where a cycle stands at this block's time.
    @param cycle Cycle number.
    @return 0 nothing committed, 1 before the intake (the cycle has not ended), 2 intake of the next run, 3 its window
            (until its time and its blocks are over), 4 the window is over and the run can be sealed, 5 all runs sealed,
            6 the last run's window is over and its contests wait for a figure.
    """
    return self._phase(cycle, self.states[cycle])


@view
@external
@reentrant
def open_for(cycle: uint64) -> (uint256, uint64, uint256):
    """
    @notice How long the window of the next run has been open. Reverts unless it is.
    @param cycle Cycle number.
    @return The run; unpaused seconds since its deadline; the config version that governs the cycle.
    """
    state: uint256 = self.states[cycle]
    phase: uint256 = 0
    overtime: uint64 = 0
    phase, overtime = self._stage(cycle, state)
    assert phase == WINDOW, "AllocationOracle: no open window"
    return self._sealed_runs(state), overtime, self._version(state)


@view
@external
@reentrant
def side_view(cycle: uint64, run: uint32, utility: bytes32, group: bytes32, trade_digest: bytes32, side: uint8) -> (
    IAllocationOracle.SideView
):
    """
    @notice All that the figure of one side of a trade depends on in a run, in one call.
    @param cycle Cycle number.
    @param run The run; at most the next one to be sealed is told of.
    @param utility The side's utility.
    @param group The side's group: hash of (utility, meter, slot start, side).
    @param trade_digest The trade.
    @param side 0 buyer, 1 seller.
    @return What the utility posted, per run from 0 to this one; the runs in which the group is void; the side's marks.
    """
    runs: uint256 = min(min(self._sealed_runs(self.states[cycle]), convert(run, uint256)) + 1, MAX_RUNS)
    trees: DynArray[bytes32, 4] = []
    for earlier: uint256 in range(runs, bound=4):
        trees.append(self.posted[cycle][earlier][utility])
    return IAllocationOracle.SideView(
        posted=trees,
        void_runs=self.void_runs[cycle][group],
        marks=self.side_marks[cycle][utility][trade_digest][side],
    )


@view
@external
@reentrant
def closed_for(cycle: uint64) -> uint64:
    """
    @notice How long a cycle has been closed: a while after its last run's seal, or long after its end whatever happened.
    @dev Follows from time alone; paused time does not count.
    @param cycle Cycle number.
    @return Seconds; 0 while it is open, or nothing was committed in it.
    """
    return self._closed_for(cycle, self.states[cycle])


@view
@external
@reentrant
def newest(cycle: uint64) -> (uint64, uint256, bytes32):
    """
    @notice What a row in a cycle is to rest on, in one call.
    @param cycle Cycle number.
    @return How long the cycle has been closed (seconds, 0 while it is open); how many runs are sealed; the inputs of the
            newest of them, zero if there is none.
    """
    state: uint256 = self.states[cycle]
    runs: uint256 = self._sealed_runs(state)
    sealed_inputs: bytes32 = empty(bytes32)
    if runs != 0:
        sealed_inputs = self.inputs[cycle][runs - 1]
    return self._closed_for(cycle, state), runs, sealed_inputs


# --- anyone (the crank) ---


@external
@reentrant
def open_window(cycle: uint64):
    """
    @notice Notes that the deadline of the next run has passed: from this block on its least number of blocks counts.
    @dev Until somebody calls this the run cannot be sealed, so a window is never shorter in blocks than it should be.
    @param cycle Cycle number.
    """
    state: uint256 = self.states[cycle]
    assert self._phase(cycle, state) == WINDOW, "AllocationOracle: not in the window"
    assert self._opened_at(state) == 0, "AllocationOracle: window already open"
    self.states[cycle] = state | (block.number << OPENED_SHIFT)
    log IAllocationOracle.WindowOpened(
        cycle=cycle, run=convert(self._sealed_runs(state), uint32), block_number=convert(block.number, uint64)
    )


@external
@reentrant
def seal(cycle: uint64):
    """
    @notice Fixes the inputs of the next run for good, whoever posted or not, and opens the intake of the run after.
    @param cycle Cycle number.
    """
    state: uint256 = self.states[cycle]
    assert self._phase(cycle, state) == SEALABLE, "AllocationOracle: window not over"
    run: uint256 = self._sealed_runs(state)
    version: uint256 = self._version(state)
    before: bytes32 = empty(bytes32)
    if run == 0:
        before = staticcall REGISTRY.config_digest(version)
    else:
        before = self.inputs[cycle][run - 1]
    accumulated: bytes32 = self.accumulator[cycle]
    sealed_inputs: bytes32 = keccak256(abi_encode(before, accumulated))
    terms: uint256 = staticcall REGISTRY.run_terms(version)

    self.inputs[cycle][run] = sealed_inputs
    self.sealed_at[cycle][run] = convert(block.timestamp, uint64)
    self.accumulator[cycle] = empty(bytes32)
    state = (state & TERMS_MASK) | (block.timestamp << SEALED_AT_SHIFT) | ((run + 1) << SEALED_SHIFT)
    if run + 1 == run_terms._run_count(terms):
        state |= COMPLETE_FLAG
    else:
        state |= convert(run_terms._deadline(terms, run + 1), uint256) << DEADLINE_SHIFT
    self.states[cycle] = state
    log IAllocationOracle.RunSealed(
        cycle=cycle, run=convert(run, uint32), inputs=sealed_inputs, accumulator=accumulated
    )


# --- utilities (signed, relayed by anyone) ---


@external
def post(allocation: Types.Allocation, signature: Types.Signature, wallet_signatures: DynArray[Bytes[1024], 1]):
    """
    @notice Takes a utility's signed hash over all its meters' allocations of a cycle. Until the run's deadline a
            higher attempt replaces a lower one.
    @dev May ask a member's contract for its signature, by a static call with bounded gas.
    @param allocation What the utility signed; attempts count from 1.
    @param signature By the utility's hot key; v = 0 where that is a contract.
    @param wallet_signatures The contract's signature (ERC-1271), else empty.
    """
    assert not staticcall REGISTRY.paused(), "AllocationOracle: paused"
    cycle: uint64 = allocation.cycle
    utility: bytes32 = allocation.utility
    state: uint256 = self.states[cycle]
    run: uint256 = self._sealed_runs(state)
    assert self._phase(cycle, state) == INTAKE, "AllocationOracle: not in the intake"
    assert convert(allocation.run, uint256) == run, "AllocationOracle: another run"
    assert allocation.root != empty(bytes32), "AllocationOracle: zero root"
    assert allocation.count <= merkle.MAX_COUNT, "AllocationOracle: too many leaves"
    assert (allocation.count == 0) == (allocation.root == EMPTY_TREE), "AllocationOracle: root and count differ"
    digest: bytes32 = staticcall REGISTRY.config_digest(self._version(state))
    assert allocation.config_digest == digest, "AllocationOracle: another config"

    struct_hash: bytes32 = typed_data._allocation(allocation)
    standing: uint256 = staticcall REGISTRY.standing(utility)
    assert roles._roles(standing) & roles.UTILITY != 0, "AllocationOracle: not a utility"
    assert hot_keys._is_signed(
        standing, typed_data._digest(DOMAIN_SEPARATOR, struct_hash), signature, wallet_signatures
    ), "AllocationOracle: wrong signature"

    assert allocation.attempt > self._last_attempt(cycle, run, utility), "AllocationOracle: attempt not higher"
    self.posted[cycle][run][utility] = preimages._tree(allocation.root, allocation.count)
    if allocation.attempt > 1:
        self.later_attempts[cycle][run][utility] = allocation.attempt - 1
    self._accumulate(cycle, ALLOCATION, convert(run, uint64), struct_hash)
    log IAllocationOracle.AllocationPosted(
        cycle=cycle,
        utility=utility,
        run=allocation.run,
        attempt=allocation.attempt,
        root=allocation.root,
        count=allocation.count,
        struct_hash=struct_hash,
    )


# --- TradeBook ---


@external
@reentrant
def record_commitment(cycle: uint64, number: uint64, record_hash: bytes32) -> (uint256, uint64, uint64):
    """
    @notice Accumulates a commitment; the first one of a cycle fixes its config version.
    @param cycle Cycle number.
    @param number The commitment's number.
    @param record_hash Hash of its record.
    @return The config version that governs the cycle, its gate, its commit-ahead (seconds).
    """
    assert msg.sender == TRADE_BOOK, "AllocationOracle: only TradeBook"
    state: uint256 = self.states[cycle]
    if state == 0:
        state = self._first_state()
        self.states[cycle] = state
    self._accumulate(cycle, COMMITMENT, number, record_hash)
    return (
        self._version(state),
        convert((state >> GATE_SHIFT) & MASK_32, uint64),
        convert((state >> AHEAD_SHIFT) & MASK_32, uint64),
    )


@external
@reentrant
def record_curtailment(cycle: uint64, number: uint64, struct_hash: bytes32):
    """
    @notice Accumulates a curtailment.
    @param cycle Cycle number.
    @param number The number of the commitment in which the trade stands.
    @param struct_hash Struct hash of the Curtailment.
    """
    assert msg.sender == TRADE_BOOK, "AllocationOracle: only TradeBook curtails"
    self._accumulate(cycle, CURTAILMENT, number, struct_hash)


# --- AllocationFaults ---


@external
@reentrant
def mark_void(
    cycle: uint64, run: uint32, utility: bytes32, meter: bytes32, slot_start: uint64, side: uint8
) -> bool:
    """
    @notice Marks a group void in the run whose window is open: its trades wait.
    @dev AllocationFaults has checked the proof, the run and the window.
    @param cycle The cycle of the tree that holds the faulty leaf.
    @param run The run.
    @param utility The utility that posted the tree.
    @param meter The meter that the leaf names.
    @param slot_start The slot that it names, epoch seconds.
    @param side The side that it names.
    @return Whether the mark is new; a repeated one changes nothing.
    """
    assert msg.sender == ALLOCATION_FAULTS, "AllocationOracle: only AllocationFaults"
    group: bytes32 = preimages._group(utility, meter, slot_start, side)
    marks: uint256 = self.void_runs[cycle][group]
    mark: uint256 = 1 << convert(run, uint256)
    if marks & mark != 0:
        return False
    self.void_runs[cycle][group] = marks | mark
    self._accumulate(cycle, VOID, convert(run, uint64), group)
    log IAllocationOracle.GroupVoided(
        cycle=cycle, utility=utility, run=run, meter=meter, slot_start=slot_start, side=side
    )
    return True


@external
@reentrant
def mark_twice(cycle: uint64, run: uint32, utility: bytes32, trade_digest: bytes32, side: uint8) -> bool:
    """
    @notice Marks that a trade's side stands twice in a utility's tree of a run: there neither leaf counts.
    @dev AllocationFaults has checked the proofs. Not accumulated: it records what the tree always was.
    @param cycle The cycle of the tree.
    @param run The tree's run.
    @param utility The utility that posted the tree.
    @param trade_digest The trade that both leaves name.
    @param side The side that both name.
    @return Whether the mark is new; a repeated one changes nothing.
    """
    assert msg.sender == ALLOCATION_FAULTS, "AllocationOracle: only AllocationFaults marks"
    marks: uint256 = self.side_marks[cycle][utility][trade_digest][side]
    mark: uint256 = 1 << (TWICE_SHIFT + convert(run, uint256))
    if marks & mark != 0:
        return False
    self.side_marks[cycle][utility][trade_digest][side] = marks | mark
    log IAllocationOracle.SideMarked(
        cycle=cycle, trade_digest=trade_digest, utility=utility, run=run, side=side, kind=TWICE, wh=0
    )
    return True


# --- Disputes ---


@external
@reentrant
def mark_side(cycle: uint64, utility: bytes32, trade_digest: bytes32, side: uint8, kind: uint8, detail: uint256):
    """
    @notice Marks a side of a trade: contested, unanswered, answered, or with a figure, before the next seal.
    @dev Disputes has checked signatures, proofs, times and limits.
    @param cycle Cycle number.
    @param utility The side's utility.
    @param trade_digest The trade.
    @param side 0 buyer, 1 seller.
    @param kind As in the accumulator: 5 contest, 6 demand, 7 answer, 8 figure.
    @param detail Of a contest its subject, at most 176 bits; of a figure its Wh; else 0.
    """
    assert msg.sender == DISPUTES, "AllocationOracle: only Disputes"
    state: uint256 = self.states[cycle]
    assert state != 0 and state & COMPLETE_FLAG == 0, "AllocationOracle: no run to come"
    run: uint256 = self._sealed_runs(state)
    marks: uint256 = self.side_marks[cycle][utility][trade_digest][side]
    what: bytes32 = preimages._side(trade_digest, side)
    wh: uint64 = 0
    if kind == CONTEST:
        if self._is_last(state, run):
            # A side counts once, but each of its contests gives the arbiters their whole time before the seal.
            unresolved: uint256 = (self.last_contests[cycle] & (2**64 - 1)) + 1 - ((marks >> run) & 1)
            self.last_contests[cycle] = unresolved | (block.timestamp << 64)
            self.states[cycle] = state | LAST_CONTEST_FLAG
        marks = (marks & RUNS_MASK) | (1 << run)
        marks |= (block.timestamp << CONTESTED_AT_SHIFT) | (detail << SUBJECT_SHIFT)
    elif kind == DEMAND:
        marks |= 1 << (UNANSWERED_SHIFT + run)
        self.states[cycle] = state | DEMAND_FLAG
    elif kind == ANSWER:
        marks &= ~(1 << (UNANSWERED_SHIFT + run))
    else:
        if marks & (1 << run) != 0 and state & LAST_CONTEST_FLAG != 0:
            self.last_contests[cycle] -= 1
        # No contest comes after it: its figure takes the place of the last one.
        marks = (marks & RUNS_MASK) | FIGURE_FLAG | (run << FIGURE_RUN_SHIFT) | (detail << FIGURE_WH_SHIFT)
        wh = convert(detail, uint64)
        what = keccak256(abi_encode(trade_digest, side, wh))
    self.side_marks[cycle][utility][trade_digest][side] = marks
    self._accumulate(cycle, kind, convert(run, uint64), what)
    log IAllocationOracle.SideMarked(
        cycle=cycle,
        trade_digest=trade_digest,
        utility=utility,
        run=convert(run, uint32),
        side=side,
        kind=kind,
        wh=wh,
    )


# --- internals ---


@view
@internal
def _phase(cycle: uint64, state: uint256) -> uint256:
    """
    @notice The phase of a cycle with this state word at this block's time.
    """
    phase: uint256 = 0
    overtime: uint64 = 0
    phase, overtime = self._stage(cycle, state)
    return phase


@view
@internal
def _is_last(state: uint256, run: uint256) -> bool:
    """
    @notice Whether a run is its cycle's last.
    """
    terms: uint256 = staticcall REGISTRY.run_terms(self._version(state))
    return run + 1 == run_terms._run_count(terms)


@view
@internal
def _stage(cycle: uint64, state: uint256) -> (uint256, uint64):
    """
    @notice The phase of a cycle with this state word at this block's time, and how long the next run's deadline is past.
            Paused time does not count.
    @dev With `r` the next run, it is as long past the deadline as the shorter of: past deadline[r] since the cycle's
         end, and past the least intake since the seal before.
    """
    if state == 0:
        return UNUSED, 0
    if state & COMPLETE_FLAG != 0:
        return COMPLETE, 0
    end: uint64 = ANCHOR + (cycle + 1) * CYCLE_LENGTH
    if block.timestamp < convert(end, uint256):
        return DELIVERY, 0
    since_end: uint64 = staticcall REGISTRY.unpaused_since(end)
    if since_end < convert((state >> DEADLINE_SHIFT) & MASK_32, uint64):
        return INTAKE, 0
    run: uint256 = self._sealed_runs(state)
    terms: uint256 = staticcall REGISTRY.run_terms(self._version(state))
    overtime: uint64 = since_end - run_terms._deadline(terms, run)
    if run != 0:
        last_seal: uint64 = convert((state >> SEALED_AT_SHIFT) & MASK_48, uint64)
        since_seal: uint64 = staticcall REGISTRY.unpaused_since(last_seal)
        least_intake: uint64 = run_terms._least_intake(terms)
        if since_seal < least_intake:
            return INTAKE, 0
        overtime = min(overtime, since_seal - least_intake)
    opened: uint256 = self._opened_at(state)
    window: uint64 = run_terms._window(terms)
    if overtime < window or opened == 0 or block.number < opened + run_terms._window_blocks(terms):
        return WINDOW, overtime
    if state & (DEMAND_FLAG | LAST_CONTEST_FLAG) == 0:
        return SEALABLE, overtime
    # What answers have shown can still be proven wrong, and contested, for as long as it could be demanded.
    if state & DEMAND_FLAG != 0 and overtime < window + run_terms._demand_time(terms):
        return WINDOW, overtime
    contests: uint256 = self.last_contests[cycle]
    if contests & (2**64 - 1) != 0:
        since_contest: uint64 = staticcall REGISTRY.unpaused_since(convert(contests >> 64, uint64))
        if since_contest < run_terms._contest_time(terms):
            return RULING, overtime
    return SEALABLE, overtime


@view
@internal
def _closed_for(cycle: uint64, state: uint256) -> uint64:
    """
    @notice How long a cycle with this state word has been closed, in seconds; 0 while it is not.
    """
    if state == 0:
        return 0
    end: uint64 = ANCHOR + (cycle + 1) * CYCLE_LENGTH
    deadline: uint256 = (state >> DEADLINE_SHIFT) & MASK_32
    if state & COMPLETE_FLAG == 0 and block.timestamp <= convert(end, uint256) + deadline:
        # By the registry's bounds the limit lies beyond every deadline.
        return 0
    delay: uint64 = 0
    limit: uint64 = 0
    delay, limit = staticcall REGISTRY.close_terms(self._version(state))
    closed: uint64 = self._beyond(end, limit)
    if state & COMPLETE_FLAG != 0:
        sealed_at: uint64 = convert((state >> SEALED_AT_SHIFT) & MASK_48, uint64)
        closed = max(closed, self._beyond(sealed_at, delay))
    return closed


@view
@internal
def _beyond(time: uint64, span: uint64) -> uint64:
    """
    @notice By how much more than a span ago a time was, paused time left out.
    """
    elapsed: uint64 = staticcall REGISTRY.unpaused_since(time)
    return elapsed - min(elapsed, span)


@view
@internal
def _first_state() -> uint256:
    """
    @notice The state word of a cycle at its first commitment.
    """
    version: uint256 = staticcall REGISTRY.config_version()
    gate: uint64 = 0
    ahead: uint64 = 0
    gate, ahead = staticcall REGISTRY.gate_terms(version)
    terms: uint256 = staticcall REGISTRY.run_terms(version)
    return (
        version
        | (convert(gate, uint256) << GATE_SHIFT)
        | (convert(ahead, uint256) << AHEAD_SHIFT)
        | (convert(run_terms._deadline(terms, 0), uint256) << DEADLINE_SHIFT)
    )


@internal
def _accumulate(cycle: uint64, kind: uint8, number: uint64, what: bytes32):
    """
    @notice Chains an act to the cycle's acts since its last seal.
    """
    self.accumulator[cycle] = keccak256(
        abi_encode(self.accumulator[cycle], kind, number, convert(block.timestamp, uint64), what)
    )


@view
@internal
def _last_attempt(cycle: uint64, run: uint256, utility: bytes32) -> uint32:
    """
    @notice The attempt that stands; 0 for none.
    """
    if self.posted[cycle][run][utility] == empty(bytes32):
        return 0
    return self.later_attempts[cycle][run][utility] + 1


@pure
@internal
def _version(state: uint256) -> uint256:
    """
    @notice The config version in a state word; 0 while nothing was committed.
    """
    return state & MASK_32


@pure
@internal
def _sealed_runs(state: uint256) -> uint256:
    """
    @notice The number of sealed runs in a state word.
    """
    return (state >> SEALED_SHIFT) & 255


@pure
@internal
def _opened_at(state: uint256) -> uint256:
    """
    @notice The block in which the next run's window was opened; 0 if it was not.
    """
    return (state >> OPENED_SHIFT) & MASK_48
