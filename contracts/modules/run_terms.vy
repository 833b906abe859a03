# pragma version 0.4.3
"""
@title The terms word: what times the runs of a cycle and limits its disputes, in one word a config version
@notice Bits 0-111 the runs' deadlines after the cycle's end, 28 bits each, the first run's lowest, 0 for a run that
        there is not; then 24 bits each: 112-135 least intake, 136-159 window, 160-183 demand time, 184-207 contest
        time, all in seconds; 208-223 window blocks; 224-235 open demands; 236-247 contests a cycle; 248-255 how many
        runs. By their bounds (modules/parameters.vy) all fit.
"""

LEAST_INTAKE: constant(uint256) = 112
WINDOW: constant(uint256) = 136
DEMAND_TIME: constant(uint256) = 160
CONTEST_TIME: constant(uint256) = 184
WINDOW_BLOCKS: constant(uint256) = 208
OPEN_DEMANDS: constant(uint256) = 224
CONTESTS: constant(uint256) = 236
RUN_COUNT: constant(uint256) = 248
MASK_12: constant(uint256) = 2**12 - 1
MASK_16: constant(uint256) = 2**16 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_28: constant(uint256) = 2**28 - 1


@pure
@internal
def _with_deadlines(rest: uint256, deadlines: DynArray[uint64, 4]) -> uint256:
    """
    @notice The terms word whose other parts are given.
    """
    word: uint256 = rest | (len(deadlines) << RUN_COUNT)
    place: uint256 = 0
    for deadline: uint64 in deadlines:
        word |= convert(deadline, uint256) << place
        place += 28
    return word


@pure
@internal
def _deadline(word: uint256, run: uint256) -> uint64:
    """
    @notice The deadline of a run after the cycle's end, in seconds.
    """
    return convert((word >> (28 * run)) & MASK_28, uint64)


@pure
@internal
def _least_intake(word: uint256) -> uint64:
    """
    @notice The least intake of a run after the seal before, in seconds.
    """
    return convert((word >> LEAST_INTAKE) & MASK_24, uint64)


@pure
@internal
def _window(word: uint256) -> uint64:
    """
    @notice The window of a run, in seconds.
    """
    return convert((word >> WINDOW) & MASK_24, uint64)


@pure
@internal
def _demand_time(word: uint256) -> uint64:
    """
    @notice How long leaves may be demanded, and a demand be answered, in seconds.
    """
    return convert((word >> DEMAND_TIME) & MASK_24, uint64)


@pure
@internal
def _contest_time(word: uint256) -> uint64:
    """
    @notice How long a contest waits for a ruling, in seconds.
    """
    return convert((word >> CONTEST_TIME) & MASK_24, uint64)


@pure
@internal
def _window_blocks(word: uint256) -> uint256:
    """
    @notice The least number of blocks of a window.
    """
    return (word >> WINDOW_BLOCKS) & MASK_16


@pure
@internal
def _open_demands(word: uint256) -> uint256:
    """
    @notice How many open demands a member may have in a run.
    """
    return (word >> OPEN_DEMANDS) & MASK_12


@pure
@internal
def _contests_per_cycle(word: uint256) -> uint256:
    """
    @notice How many contests a member may make in a cycle.
    """
    return (word >> CONTESTS) & MASK_12


@pure
@internal
def _run_count(word: uint256) -> uint256:
    """
    @notice How many runs a cycle has.
    """
    return word >> RUN_COUNT
