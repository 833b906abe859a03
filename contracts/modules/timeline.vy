# pragma version 0.4.3
"""
@title The timeline of members: their keys, roles and flags, now and at any earlier block time
@notice Each member has a timeline of standing words (modules/roles.vy). The newest is kept apart, so that the question
        asked most, "is this its key now", reads one slot; the older ones answer for any earlier block time. A block
        time stands for the end of its block: changes within one block time replace each other.
@dev A key has one tenure with a member: once replaced or called compromised it never becomes that member's hot key
     again. So whether a key was its member's at a time takes one read, however often the member changed keys. Two
     members may name one key: then what it signs counts for both, as if the second had handed the first its own key.
     Were a key bound to whoever names it first, a member could take the key that another has only announced.
"""

from ..interfaces import IMemberRegistry
from ..interfaces import Types
from . import parameters
from . import roles as standing_word

uses: parameters

# A key's tenure with a member, in one word: 0-47 from, 48-95 until another took its place (0: none did), 96 is no
# contract, from 97 called compromised (0: never).
UNTIL_SHIFT: constant(uint256) = 48
TENURE_ACCOUNT: constant(uint256) = 1 << 96
COMPROMISED_SHIFT: constant(uint256) = 97
TIME_MASK: constant(uint256) = 2**48 - 1
# Of a key at a seat: its upper 124 bits, so that two fit in a word. A key that shares them is as hard to find as a key
# that was lost is to compute.
SEAT_BITS: constant(uint256) = 124
SEAT_MASK: constant(uint256) = 2**124 - 1

# The newest standing word of each member.
standing: public(HashMap[bytes32, uint256])
# Its former words, oldest first, and how many.
former: HashMap[bytes32, HashMap[uint256, uint256]]
former_count: HashMap[bytes32, uint256]
# Attestors' keys at hand: a member's seat in the set (its place + 1; 0 for none), and for each two places a word: bits
# 0-123 the upper bits of the hot key of today at the even place, 124-247 of that at the odd one, 248-255 the set's
# quorum (modules/attestor_set.vy).
seats: HashMap[bytes32, uint256]
seat_words: uint256[16]
# The tenure of a member's hot key, for ever.
tenure: HashMap[bytes32, HashMap[address, uint256]]


# --- anyone (views) ---


@view
@external
def standings(members: DynArray[bytes32, 128]) -> DynArray[uint256, 128]:
    """
    @notice The newest standing words of several members.
    @param members Member ids.
    @return Their words, in the same order; 0 for a stranger.
    """
    words: DynArray[uint256, 128] = []
    for member: bytes32 in members:
        words.append(self.standing[member])
    return words


@view
@external
def standing_at(member: bytes32, at: uint64) -> uint256:
    """
    @notice The standing word in force at the end of the block of a time.
    @param member Member id.
    @param at Block time, epoch seconds.
    @return The word; 0 before admission.
    """
    return self._standing_at(member, convert(at, uint256))


@view
@external
def check_parties(parties: DynArray[Types.Party, 12], at: uint64, version: uint256) -> uint256:
    """
    @notice Whether members held roles and keys at a time.
    @dev A zero key asks for no signature: a caller that recovers keys refuses a zero one itself.
    @param parties Members, the roles that each must have held, and the keys that signed for them.
    @param at Block time, epoch seconds.
    @param version The config version whose key grace counts.
    @return Of the first party that fails: 1 where it was unknown or lacked a role, else 2 where the key was not its hot
            key of an externally owned account at `at` or within the grace before, or was called compromised by then.
            0 where none fails.
    """
    when: uint256 = convert(at, uint256)
    for party: Types.Party in parties:
        word: uint256 = self.standing[party.member]
        # The common case in one comparison: known, all the roles, the key of today, no contract; and so since then.
        needed: uint256 = standing_word.KNOWN | (party.roles << standing_word.ROLES_SHIFT)
        if (
            word & (needed | standing_word.CONTRACT | (2**160 - 1)) == needed | convert(party.key, uint256)
            and (word >> standing_word.SINCE_SHIFT) & TIME_MASK <= when
        ):
            continue
        word = self._standing_at(party.member, when)
        if not standing_word._is_known(word) or standing_word._roles(word) & party.roles != party.roles:
            return 1
        if party.key == empty(address):
            continue
        if not self._was_key(party.member, party.key, when, convert(parameters.configs[version].key_grace, uint256)):
            return 2
    return 0


@view
@external
def check_signers(parties: DynArray[Types.Party, 12], version: uint256) -> uint256:
    """
    @notice Whether members that sign now are active, hold roles, and hold keys or did within the grace.
    @param parties Members, the roles that each must hold, and the keys that signed for them, none zero.
    @param version The config version whose key grace counts.
    @return Of the first party that fails: 3 where it is unknown or suspended, else 1 where it lacks a role, else 2 where
            the key is not its key as `check_parties` says. 0 where none fails.
    """
    for party: Types.Party in parties:
        word: uint256 = self.standing[party.member]
        if word & (standing_word.KNOWN | standing_word.SUSPENDED) != standing_word.KNOWN:
            return 3
        if standing_word._roles(word) & party.roles != party.roles:
            return 1
        if word & (standing_word.CONTRACT | (2**160 - 1)) == convert(party.key, uint256):
            continue
        grace: uint256 = convert(parameters.configs[version].key_grace, uint256)
        if not self._was_key(party.member, party.key, block.timestamp, grace):
            return 2
    return 0


# --- internals ---


@view
@internal
def _known(member: bytes32) -> uint256:
    """
    @notice The newest word of a member, which must be one.
    """
    word: uint256 = self.standing[member]
    assert standing_word._is_known(word), "MemberRegistry: not a member"
    return word


@internal
def _set_standing(member: bytes32, word: uint256):
    """
    @notice Makes a word (whatever its time) the newest from this block time on.
    """
    old: uint256 = self.standing[member]
    if old != 0 and standing_word._since(old) != block.timestamp:
        count: uint256 = self.former_count[member]
        self.former[member][count] = old
        self.former_count[member] = count + 1
    new: uint256 = (word & ~(TIME_MASK << standing_word.SINCE_SHIFT)) | (block.timestamp << standing_word.SINCE_SHIFT)
    self.standing[member] = new
    seat: uint256 = self.seats[member]
    if seat != 0:
        self._take_seat(seat - 1, new)
    log IMemberRegistry.StandingChanged(member=member, word=new)


@internal
def _take_seat(place: uint256, standing: uint256):
    """
    @notice Keeps the hot key of a standing word at hand at a place of the attestors' set.
    """
    offset: uint256 = SEAT_BITS * (place % 2)
    key: uint256 = (standing & (2**160 - 1)) >> 36
    self.seat_words[place // 2] = (self.seat_words[place // 2] & ~(SEAT_MASK << offset)) | (key << offset)


@view
@internal
def _standing_at(member: bytes32, at: uint256) -> uint256:
    """
    @notice The newest word whose time is not after `at`, by bisection; 0 if none.
    """
    word: uint256 = self.standing[member]
    if standing_word._since(word) <= at:
        return word
    # Former words below `low` are not after `at`, those from `high` on are.
    low: uint256 = 0
    high: uint256 = self.former_count[member]
    word = 0
    for _: uint256 in range(64):
        if low == high:
            break
        middle: uint256 = (low + high) // 2
        candidate: uint256 = self.former[member][middle]
        if standing_word._since(candidate) <= at:
            word = candidate
            low = middle + 1
        else:
            high = middle
    return word


@view
@internal
def _was_key(member: bytes32, key: address, at: uint256, grace: uint256) -> bool:
    """
    @notice Whether a key of an externally owned account was the member's in the `grace` seconds up to `at`, and not
            called compromised by then.
    @dev A key that came and went within one block time was never its key: no block ended with it.
    """
    tenure: uint256 = self.tenure[member][key]
    since: uint256 = tenure & TIME_MASK
    until: uint256 = (tenure >> UNTIL_SHIFT) & TIME_MASK
    compromised: uint256 = tenure >> COMPROMISED_SHIFT
    return (
        tenure & TENURE_ACCOUNT != 0
        and since <= at
        and (until == 0 or (since < until and at <= until + grace))
        and (compromised == 0 or at < compromised)
    )


@internal
def _with_key(word: uint256, member: bytes32, key: address) -> uint256:
    """
    @notice The standing word with another hot key, whose one tenure with the member begins as that of the former ends.
    """
    assert key != empty(address), "MemberRegistry: no hot key"
    former: address = standing_word._key(word)
    if former != empty(address):
        self.tenure[member][former] |= block.timestamp << UNTIL_SHIFT
    assert self.tenure[member][key] == 0, "MemberRegistry: key was used before"
    tenure: uint256 = block.timestamp
    changed: uint256 = self._without_key(word) | convert(key, uint256)
    if key.is_contract:
        changed |= standing_word.CONTRACT
    else:
        tenure |= TENURE_ACCOUNT
    self.tenure[member][key] = tenure
    return changed


@pure
@internal
def _without_key(word: uint256) -> uint256:
    return word & ~(2**160 - 1 | standing_word.CONTRACT)


@pure
@internal
def _without_roles(word: uint256) -> uint256:
    return word & ~((2**16 - 1) << standing_word.ROLES_SHIFT)


@internal
def _compromise(member: bytes32, key: address):
    """
    @notice Ends all that a member's key, present or former, counts for.
    """
    tenure: uint256 = self.tenure[member][key]
    assert tenure != 0, "MemberRegistry: not its key"
    assert tenure >> COMPROMISED_SHIFT == 0, "MemberRegistry: already compromised"
    self.tenure[member][key] = tenure | (block.timestamp << COMPROMISED_SHIFT)
    log IMemberRegistry.KeyCompromised(member=member, key=key)
    word: uint256 = self.standing[member]
    if standing_word._key(word) == key:
        self._set_standing(member, self._without_key(word))
