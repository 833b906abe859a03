# pragma version 0.4.3
"""
@title The utilities that attest rows, and how many of them make a quorum
"""

from ..interfaces import IMemberRegistry
from . import governance
from . import roles as standing_word
from . import timeline

uses: governance
uses: timeline

# In a seat's word.
QUORUM_SHIFT: constant(uint256) = 248

# Utilities that attest rows, in the order of their bits.
attestor_ids: DynArray[bytes32, 32]
attestor_version: public(uint256)
quorum: public(uint256)


# --- anyone (views) ---


@view
@external
def attestors() -> DynArray[bytes32, 32]:
    """
    @notice The utilities that attest rows.
    @return Member ids in the order of their bits.
    """
    return self.attestor_ids


@view
@external
def attestors_in(mask: uint256) -> (DynArray[uint256, 32], uint256):
    """
    @notice What a quorum of signatures is judged by, in one call and half a word an attestor.
    @param mask Bit i for member i of the set; at least one.
    @return The upper 124 bits of the hot keys of the members whose bits are set, lowest first; the set's quorum.
    """
    keys: DynArray[uint256, 32] = []
    word: uint256 = 0
    rest: uint256 = mask
    for i: uint256 in range(32):
        if rest & 1 == 1:
            word = timeline.seat_words[i // 2]
            key: uint256 = (word >> (timeline.SEAT_BITS * (i % 2))) & timeline.SEAT_MASK
            # Nobody's key, or that of an attestor that has none.
            if key == 0:
                break
            keys.append(key)
        rest >>= 1
        if rest == 0:
            break
    assert rest == 0 and word != 0, "MemberRegistry: no such attestor"
    return keys, word >> QUORUM_SHIFT


# --- council ---


@external
def set_attestors(members: DynArray[bytes32, 32]):
    """
    @notice Names the utilities that attest rows; the quorum follows from their number.
    @param members 1 to 32 member ids, each once; bit i of a mask is the i-th.
    """
    governance._only_council()
    count: uint256 = len(members)
    assert count > 0, "MemberRegistry: no attestors"
    faulty: uint256 = (count - 1) // 3
    quorum: uint256 = max(count // 2, (count + faulty) // 2) + 1
    version: uint256 = self.attestor_version + 1
    for member: bytes32 in self.attestor_ids:
        timeline.seats[member] = 0
    for i: uint256 in range(16):
        timeline.seat_words[i] = quorum << QUORUM_SHIFT
    place: uint256 = 0
    for member: bytes32 in members:
        word: uint256 = timeline._known(member)
        assert standing_word._roles(word) & standing_word.UTILITY != 0, "MemberRegistry: not a utility"
        assert timeline.seats[member] == 0, "MemberRegistry: attestor twice"
        timeline._take_seat(place, word)
        place += 1
        timeline.seats[member] = place
    self.attestor_ids = members
    self.attestor_version = version
    self.quorum = quorum
    log IMemberRegistry.AttestorsSet(version=version, members=members, quorum=quorum)
