# pragma version 0.4.3
"""
@title The live notices that name an obligation, in one word
@notice When each was made, 40 bits a time, the oldest in bits 0-39; 0 ends the list. Only the times matter: the oldest
        says whether the overdue clock stands still, and an empty list that nothing is under way.
"""

TIME_BITS: constant(uint256) = 40
TIME_MASK: constant(uint256) = 2**40 - 1
MOST: constant(uint256) = 6


@pure
@internal
def _oldest(word: uint256) -> uint256:
    """
    @notice When the oldest of them was made, 0 if there is none.
    """
    return word & TIME_MASK


@pure
@internal
def _is_full(word: uint256) -> bool:
    """
    @notice Whether no further notice fits.
    """
    return word >> ((MOST - 1) * TIME_BITS) != 0


@pure
@internal
def _with(word: uint256, time: uint256) -> uint256:
    """
    @notice The list with one more, made now; it is not full.
    """
    place: uint256 = 0
    for _: uint256 in range(MOST):
        if (word >> place) & TIME_MASK == 0:
            break
        place += TIME_BITS
    return word | (time << place)


@pure
@internal
def _without(word: uint256, time: uint256) -> uint256:
    """
    @notice The list without one that was made at this time, which it holds. Those of one time are alike.
    """
    place: uint256 = 0
    for _: uint256 in range(MOST):
        if (word >> place) & TIME_MASK == time:
            break
        place += TIME_BITS
    return (word & ((1 << place) - 1)) | ((word >> (place + TIME_BITS)) << place)
