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
    @notice What a quorum of signatures is judged by, in one call.
    @param mask Bit i for member i of the set.
    @return The standing words of the members whose bits are set, lowest first, and the quorum.
    """
    assert mask >> len(self.attestor_ids) == 0, "MemberRegistry: no such attestor"
    words: DynArray[uint256, 32] = []
    rest: uint256 = mask
    for i: uint256 in range(32):
        if rest == 0:
            break
        if rest & 1 == 1:
            words.append(timeline.standing[self.attestor_ids[i]])
        rest >>= 1
    return words, self.quorum


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
    for i: uint256 in range(count, bound=32):
        word: uint256 = timeline._known(members[i])
        assert standing_word._roles(word) & standing_word.UTILITY != 0, "MemberRegistry: not a utility"
        for j: uint256 in range(i, bound=32):
            assert members[j] != members[i], "MemberRegistry: attestor twice"
    faulty: uint256 = (count - 1) // 3
    self.attestor_ids = members
    self.attestor_version += 1
    self.quorum = max(count // 2, (count + faulty) // 2) + 1
    log IMemberRegistry.AttestorsSet(version=self.attestor_version, members=members, quorum=self.quorum)
