# pragma version 0.4.3
"""
@title How far a pair's attested row has come, in one word
@notice Bits 0-95 sum of the amounts published, 96-127 leaves published, 128-135 flow of the last of them, 136-175 block
        time of attestation (0: no row is pending), 176-215 of publication, 216-223 run, 224-255 highest version ever
        attested for the pair, which is kept when a row goes.
"""

from ..interfaces import IAllocationOracle
from ..interfaces import IMemberRegistry


# How far a pair's attested row is: DEAD can be applied no more.
NO_ROW: constant(uint256) = 0
TO_PUBLISH: constant(uint256) = 1
PUBLISHED: constant(uint256) = 2
DEAD: constant(uint256) = 3


struct Progress:
    sum: uint256
    count: uint256
    last_flow: uint256
    attested_at: uint256
    published_at: uint256
    run: uint256
    version: uint256


struct Pending:                 # a pair's pending row
    key: bytes32                # of the pair
    digest: bytes32             # of the row
    progress: Progress


struct Times:                   # of a cycle, in seconds
    publish_time: uint256
    row_window: uint256
    claim_window: uint256


@pure
@internal
def _begun(now: uint256, run: uint32, version: uint32) -> uint256:
    """
    @notice The word of a row that is attested now, and of which nothing is published.
    """
    return (now << 136) | (convert(run, uint256) << 216) | (convert(version, uint256) << 224)


@pure
@internal
def _unpacked(word: uint256) -> Progress:
    """
    @notice A pair's progress from its word.
    """
    return Progress(
        sum=word & (2**96 - 1),
        count=(word >> 96) & (2**32 - 1),
        last_flow=(word >> 128) & 255,
        attested_at=(word >> 136) & (2**40 - 1),
        published_at=(word >> 176) & (2**40 - 1),
        run=(word >> 216) & 255,
        version=self._version(word),
    )


@pure
@internal
def _packed(progress: Progress) -> uint256:
    """
    @notice A pair's progress as one word.
    """
    return (
        progress.sum
        | (progress.count << 96)
        | (progress.last_flow << 128)
        | (progress.attested_at << 136)
        | (progress.published_at << 176)
        | (progress.run << 216)
        | self._forgotten(progress)
    )


@pure
@internal
def _version(word: uint256) -> uint256:
    """
    @notice The highest version ever attested for the pair.
    """
    return word >> 224


@pure
@internal
def _forgotten(progress: Progress) -> uint256:
    """
    @notice The word once the row is gone: the version remains, so that none comes twice.
    """
    return progress.version << 224


@view
@internal
def _times(registry: IMemberRegistry, oracle: IAllocationOracle, cycle: uint64) -> Times:
    """
    @notice How long rows of a cycle may be published, and how long they and its claims may be struck.
    """
    version: uint256 = staticcall oracle.config_version(cycle)
    publish_time: uint64 = 0
    row_window: uint64 = 0
    claim_window: uint64 = 0
    publish_time, row_window, claim_window = staticcall registry.row_terms(version)
    return Times(
        publish_time=convert(publish_time, uint256),
        row_window=convert(row_window, uint256),
        claim_window=convert(claim_window, uint256),
    )


@view
@internal
def _is_within(registry: IMemberRegistry, since: uint256, window: uint256) -> bool:
    """
    @notice Whether a window is still open; paused time does not count.
    """
    elapsed: uint64 = staticcall registry.unpaused_since(convert(since, uint64))
    return convert(elapsed, uint256) < window


@view
@internal
def _stage(
    registry: IMemberRegistry, oracle: IAllocationOracle, cycle: uint64, progress: Progress, settled_runs: uint256
) -> uint256:
    """
    @notice How far an attested row is, by its progress and its pair's last settled run + 1.
    """
    if progress.attested_at == 0:
        return NO_ROW
    if progress.run + 1 < settled_runs:
        return DEAD
    if progress.published_at != 0:
        return PUBLISHED
    times: Times = self._times(registry, oracle, cycle)
    return TO_PUBLISH if block.timestamp < progress.attested_at + times.publish_time else DEAD
