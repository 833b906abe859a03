# pragma version 0.4.3
"""
@title Queues of numbers, one for each ordered pair of members, from which any entry can be taken out
@notice Doubly linked, so that joining, leaving and finding the oldest cost the same however long a queue is.
@dev Numbers are unique over all queues, above 0 and below 2^64. The caller removes only what stands in that queue.
"""

NUMBER_BITS: constant(uint256) = 64
MASK: constant(uint256) = 2**64 - 1

# Per pair: bits 0-63 the oldest number, 64-127 the newest; 0 where the queue is empty.
ends: HashMap[bytes32, HashMap[bytes32, uint256]]

# Per number: bits 0-63 the one before it, 64-127 the one after; 0 where there is none.
neighbours: HashMap[uint256, uint256]


@view
@internal
def _oldest(first: bytes32, second: bytes32) -> uint256:
    """
    @notice The oldest number in the pair's queue, 0 if it is empty.
    """
    return self.ends[first][second] & MASK


@internal
def _join(first: bytes32, second: bytes32, number: uint256):
    """
    @notice Puts a number at the end of the pair's queue.
    """
    ends: uint256 = self.ends[first][second]
    newest: uint256 = ends >> NUMBER_BITS
    if newest == 0:
        ends = number
    else:
        self.neighbours[newest] |= number << NUMBER_BITS
        self.neighbours[number] = newest
    self.ends[first][second] = (ends & MASK) | (number << NUMBER_BITS)


@internal
def _leave(first: bytes32, second: bytes32, number: uint256):
    """
    @notice Takes a number out of the pair's queue, wherever it stands there.
    """
    ends: uint256 = self.ends[first][second]
    oldest: uint256 = ends & MASK
    newest: uint256 = ends >> NUMBER_BITS
    before: uint256 = self.neighbours[number] & MASK
    after: uint256 = self.neighbours[number] >> NUMBER_BITS
    if before == 0:
        oldest = after
    else:
        self.neighbours[before] = (self.neighbours[before] & MASK) | (after << NUMBER_BITS)
    if after == 0:
        newest = before
    else:
        self.neighbours[after] = (self.neighbours[after] & ~MASK) | before
    self.ends[first][second] = oldest | (newest << NUMBER_BITS)
    self.neighbours[number] = 0
