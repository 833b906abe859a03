# pragma version 0.4.3
"""
@title The pause of intake, and clocks that stand still while it lasts
@notice The guardian rests intake of commitments and allocations for at most 72 hours and not again within 7 days of
        the end. A pause ends by itself.
"""

from ..interfaces import IMemberRegistry
from . import governance

uses: governance

MAX_PAUSE: constant(uint64) = 72 * 3_600
PAUSE_SPACING: constant(uint64) = 7 * 86_400


struct Pause:
    begin: uint64
    end: uint64


# The newest pause (bits 0-63 begin, 64-127 end, 128-191 its number, from 1), and all before it by number.
newest_pause: uint256
former_pauses: HashMap[uint256, uint256]


# --- anyone (views) ---


@view
@external
def paused() -> bool:
    """
    @notice Whether intake of commitments and allocations rests now.
    @return True from a pause until it is resumed or expires.
    """
    return block.timestamp < convert(self._pause(self.newest_pause).end, uint256)


@view
@external
def unpaused_since(time: uint64) -> uint64:
    """
    @notice How long a deadline has been running.
    @dev Walks the pauses back to `time`; at most one can begin a week.
    @param time Epoch seconds.
    @return Seconds since then, those spent paused left out; 0 for a time to come.
    """
    now: uint64 = convert(block.timestamp, uint64)
    if time >= now:
        return 0
    elapsed: uint64 = now - time
    word: uint256 = self.newest_pause
    for _: uint256 in range(2**16):
        span: Pause = self._pause(word)
        if span.end <= time:
            break
        elapsed -= min(span.end, now) - max(span.begin, time)
        word = self.former_pauses[(word >> 128) - 1]
    return elapsed


# --- guardian ---


@external
def pause():
    """
    @notice Rests intake of commitments and allocations for 72 hours, unless resumed before.
    @dev Not again within 7 days of the end of the last pause, whoever is guardian then.
    """
    assert msg.sender == governance.guardian, "MemberRegistry: not the guardian"
    word: uint256 = self.newest_pause
    now: uint64 = convert(block.timestamp, uint64)
    number: uint256 = word >> 128
    if number > 0:
        assert now >= self._pause(word).end + PAUSE_SPACING, "MemberRegistry: paused lately"
        self.former_pauses[number] = word
    self.newest_pause = self._pause_word(number + 1, now, now + MAX_PAUSE)
    log IMemberRegistry.Paused(until=now + MAX_PAUSE)


@external
def resume():
    """
    @notice Ends a pause early; by the guardian or the council.
    """
    assert msg.sender == governance.guardian or msg.sender == governance.council, "MemberRegistry: may not resume"
    word: uint256 = self.newest_pause
    span: Pause = self._pause(word)
    now: uint64 = convert(block.timestamp, uint64)
    assert now < span.end, "MemberRegistry: not paused"
    self.newest_pause = self._pause_word(word >> 128, span.begin, now)
    log IMemberRegistry.Resumed(at=now)


# --- internals ---


@pure
@internal
def _pause(word: uint256) -> Pause:
    return Pause(begin=convert(word & (2**64 - 1), uint64), end=convert((word >> 64) & (2**64 - 1), uint64))


@pure
@internal
def _pause_word(number: uint256, begin: uint64, end: uint64) -> uint256:
    return number << 128 | convert(end, uint256) << 64 | convert(begin, uint256)
