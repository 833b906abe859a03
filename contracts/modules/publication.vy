# pragma version 0.4.3
"""
@title How far a pair's attested row has come, in one word
@notice Bits 0-95 sum of the amounts published, 96-127 leaves published, 128-135 flow of the last of them, 136-175 block
        time of attestation (0: no row is pending), 176-215 of publication, 216-223 run, 224-255 highest version ever
        attested for the pair, which is kept when a row goes.
"""

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
