# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title MemberRegistry: members, keys and roles with their history, attestors, parameters, pause, domain
@notice Each member has a timeline of standing words (modules/roles.vy). The newest is kept apart, so that the question
        asked most, "is this its key now", reads one slot; the older ones answer for any earlier block time. A block
        time stands for the end of its block: changes within one block time replace each other.
@dev A key has one tenure: once replaced, called compromised or used by another member it never becomes a hot key
     again. So whether a key was its member's at a time takes two reads, however often the member changed keys.
@custom:kill Nothing here stops: `pause` only reports to intake, for at most 72 hours. Members leave for a new
             deployment.
"""

from .interfaces import IMemberRegistry
from .interfaces import Types

implements: IMemberRegistry

from .modules import governance
from .modules import parameters
from .modules import pausing
from .modules import roles as standing_word
from .modules import signatures
from .modules import typed_data

initializes: governance
initializes: parameters[governance := governance]
initializes: pausing[governance := governance]

exports: (governance.council, governance.guardian, governance.set_council, governance.set_guardian)
exports: (
    parameters.config_version,
    parameters.config,
    parameters.config_digest,
    parameters.calendar,
    parameters.gate_terms,
    parameters.window_terms,
    parameters.rule_terms,
    parameters.row_terms,
    parameters.debt_terms,
    parameters.is_rail,
    parameters.set_config,
)
exports: (pausing.paused, pausing.unpaused_since, pausing.pause, pausing.resume)

DOMAIN_TYPE: constant(bytes32) = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)")
DOMAIN_NAME: constant(bytes32) = keccak256("Clearwatt")
DOMAIN_VERSION: constant(bytes32) = keccak256("1")

PAYOUT_DELAY: constant(uint64) = 48 * 3_600
COLD_KEY_DELAY: constant(uint64) = 30 * 86_400

# A key's tenure, in one word: 0-47 from, 48-95 until (0: still held), 96-143 called compromised, 144 is a contract.
UNTIL_SHIFT: constant(uint256) = 48
COMPROMISED_SHIFT: constant(uint256) = 96
TENURE_CONTRACT: constant(uint256) = 1 << 144
TIME_MASK: constant(uint256) = 2**48 - 1

MARKET_ID: immutable(bytes32)
DOMAIN_SEPARATOR: immutable(bytes32)


struct Announcement:        # an address that replaces `current` from a time on
    current: address
    next: address
    valid_from: uint64      # 0: nothing announced


# The newest standing word of each member.
standing: reentrant(public(HashMap[bytes32, uint256]))
# Its former words, oldest first, and how many.
former: HashMap[bytes32, HashMap[uint256, uint256]]
former_count: HashMap[bytes32, uint256]
# To whom a hot key belongs, for ever, and its tenure.
key_owner: HashMap[address, bytes32]
tenure: HashMap[address, uint256]

# Where withdrawals go, and the key that governs a member's other keys.
payouts: HashMap[bytes32, Announcement]
cold_keys: HashMap[bytes32, Announcement]
cold_sequence: reentrant(public(HashMap[bytes32, uint64]))
beckn_key: reentrant(public(HashMap[bytes32, bytes32]))

# Utilities that attest rows, in the order of their bits.
attestor_set: DynArray[bytes32, 32]
attestor_version: reentrant(public(uint256))
quorum: reentrant(public(uint256))


@deploy
def __init__(
    council: address, guardian: address, genesis_hash: bytes32, market_name: String[64], config: Types.Config
):
    """
    @notice Fixes the market's identity, calendar and currency.
    @param council Who governs: the only one that may call the functions under "council".
    @param guardian Who may pause intake; zero for nobody.
    @param genesis_hash The hash of the chain's genesis block.
    @param market_name The market's name on this chain.
    @param config The first version of the parameters.
    """
    MARKET_ID = keccak256(concat(genesis_hash, convert(market_name, Bytes[64])))
    DOMAIN_SEPARATOR = keccak256(
        abi_encode(DOMAIN_TYPE, DOMAIN_NAME, DOMAIN_VERSION, chain.id, self, MARKET_ID)
    )
    governance.__init__(council, guardian)
    parameters.__init__(config)


# --- anyone (views) ---


@view
@external
@reentrant
def market_id() -> bytes32:
    """
    @notice Which market this is.
    @return H(genesis block hash || market name), the salt of the EIP-712 domain.
    """
    return MARKET_ID


@view
@external
@reentrant
def domain_separator() -> bytes32:
    """
    @notice What binds every signature to this chain, registry and market.
    @return The EIP-712 domain separator.
    """
    return DOMAIN_SEPARATOR


@view
@external
@reentrant
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
@reentrant
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
@reentrant
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
@reentrant
def payout(member: bytes32) -> address:
    """
    @notice Where a member's withdrawals go now.
    @param member Member id.
    @return The address; zero for a stranger.
    """
    return self._effective(self.payouts[member])


@view
@external
@reentrant
def cold_key(member: bytes32) -> address:
    """
    @notice The key that governs a member's other keys.
    @param member Member id.
    @return The address; zero for a stranger.
    """
    return self._effective(self.cold_keys[member])


@view
@external
@reentrant
def attestors() -> DynArray[bytes32, 32]:
    """
    @notice The utilities that attest rows.
    @return Member ids in the order of their bits.
    """
    return self.attestor_set


@view
@external
@reentrant
def attestors_in(mask: uint256) -> (DynArray[uint256, 32], uint256):
    """
    @notice What a quorum of signatures is judged by, in one call.
    @param mask Bit i for member i of the set.
    @return The standing words of the members whose bits are set, lowest first, and the quorum.
    """
    assert mask >> len(self.attestor_set) == 0, "MemberRegistry: no such attestor"
    words: DynArray[uint256, 32] = []
    rest: uint256 = mask
    for i: uint256 in range(32):
        if rest == 0:
            break
        if rest & 1 == 1:
            words.append(self.standing[self.attestor_set[i]])
        rest >>= 1
    return words, self.quorum


# --- members (signed by the cold key, relayed by anyone) ---


@external
def change_hot_key(member: bytes32, key: address, signature: Types.Signature, wallet_signature: Bytes[1024]):
    """
    @notice Names the key that signs for a member from now on.
    @dev Whether the key is a contract is decided now, by its code.
    @param member Member id.
    @param key A key that never was anybody's hot key.
    @param signature Of HotKeyChange by the cold key; v = 0 where that is a contract.
    @param wallet_signature The contract's signature, else empty.
    """
    self._authorise(
        member, typed_data._hot_key_change(member, key, self.cold_sequence[member]), signature, wallet_signature
    )
    self._end_tenure(standing_word._key(self.standing[member]))
    self._set_standing(member, self._begin_tenure(member, key) | self._without_key(self.standing[member]))


@external
def change_payout(member: bytes32, payout: address, signature: Types.Signature, wallet_signature: Bytes[1024]):
    """
    @notice Announces where a member's withdrawals go from 48 hours hence; replaces what was announced before.
    @dev To call an announcement off, the member announces the address that it has.
    @param member Member id.
    @param payout The address.
    @param signature Of PayoutChange by the cold key; v = 0 where that is a contract.
    @param wallet_signature The contract's signature, else empty.
    """
    assert payout != empty(address), "MemberRegistry: no payout"
    self._authorise(
        member, typed_data._payout_change(member, payout, self.cold_sequence[member]), signature, wallet_signature
    )
    valid_from: uint64 = convert(block.timestamp, uint64) + PAYOUT_DELAY
    self.payouts[member] = Announcement(
        current=self._effective(self.payouts[member]), next=payout, valid_from=valid_from
    )
    log IMemberRegistry.PayoutAnnounced(member=member, payout=payout, valid_from=valid_from)


@external
def mark_compromised(member: bytes32, key: address, signature: Types.Signature, wallet_signature: Bytes[1024]):
    """
    @notice Stops a key at once: from this block on nothing that it signed counts, no grace.
    @dev Without hot key until the cold key names another.
    @param member Member id.
    @param key A key that is or was the member's hot key.
    @param signature Of KeyCompromised by the cold key; v = 0 where that is a contract.
    @param wallet_signature The contract's signature, else empty.
    """
    self._authorise(
        member, typed_data._key_compromised(member, key, self.cold_sequence[member]), signature, wallet_signature
    )
    assert self.key_owner[key] == member, "MemberRegistry: not its key"
    assert (self.tenure[key] >> COMPROMISED_SHIFT) & TIME_MASK == 0, "MemberRegistry: already compromised"
    self.tenure[key] |= block.timestamp << COMPROMISED_SHIFT
    log IMemberRegistry.KeyCompromised(member=member, key=key)
    if standing_word._key(self.standing[member]) == key:
        self._end_tenure(key)
        self._set_standing(member, self._without_key(self.standing[member]))


# --- council ---


@external
@reentrant
def admit(member: bytes32, roles: uint256, cold_key: address, hot_key: address, payout: address, beckn_key: bytes32):
    """
    @notice Admits a member, or again one that was removed.
    @dev Coming back it has its own keys and payout, whatever the council would like: money may wait for it here.
    @param member Member id, H(lower-case subscriber id).
    @param roles Role bits (modules/roles.vy), at least one.
    @param cold_key The key that governs its other keys.
    @param hot_key The key that signs for it; never anybody's before.
    @param payout Where its withdrawals go.
    @param beckn_key Ed25519 public key of its Beckn identity, zero if none.
    """
    governance._only_council()
    self._check_roles(roles)
    assert member != empty(bytes32), "MemberRegistry: no member id"
    word: uint256 = self.standing[member]
    assert not standing_word._is_known(word), "MemberRegistry: already a member"
    if word == 0:
        assert cold_key != empty(address), "MemberRegistry: no cold key"
        assert payout != empty(address), "MemberRegistry: no payout"
        self.cold_keys[member].current = cold_key
        self.payouts[member].current = payout
        word = self._begin_tenure(member, hot_key)
    else:
        assert (
            cold_key == self._effective(self.cold_keys[member])
            and payout == self._effective(self.payouts[member])
            and hot_key == standing_word._key(word)
        ), "MemberRegistry: not its own keys"
    self.beckn_key[member] = beckn_key
    log IMemberRegistry.MemberAdmitted(
        member=member, roles=roles, cold_key=cold_key, hot_key=hot_key, payout=payout, beckn_key=beckn_key
    )
    self._set_standing(member, word | standing_word.KNOWN | (roles << standing_word.ROLES_SHIFT))


@external
@reentrant
def set_roles(member: bytes32, roles: uint256):
    """
    @notice Replaces a member's roles.
    @param member Member id.
    @param roles Role bits, at least one; an attestor stays a utility.
    """
    governance._only_council()
    self._check_roles(roles)
    word: uint256 = self._known(member)
    assert roles & standing_word.UTILITY != 0 or member not in self.attestor_set, "MemberRegistry: attestor not utility"
    self._set_standing(member, self._without_roles(word) | (roles << standing_word.ROLES_SHIFT))


@external
@reentrant
def suspend(member: bytes32, suspended: bool):
    """
    @notice Suspends a member, or ends its suspension. Suspended it commits nothing new; all else it still does.
    @param member Member id.
    @param suspended Whether it is, from now on.
    """
    governance._only_council()
    word: uint256 = self._known(member)
    assert standing_word._is_suspended(word) != suspended, "MemberRegistry: nothing changes"
    self._set_standing(member, word ^ standing_word.SUSPENDED)


@external
@reentrant
def remove(member: bytes32):
    """
    @notice Removes a member: it keeps its keys and payout, to sign and withdraw what is its, and no role.
    @param member Member id; an attestor is first taken out of the set.
    """
    governance._only_council()
    word: uint256 = self._known(member)
    assert member not in self.attestor_set, "MemberRegistry: is an attestor"
    self._set_standing(member, self._without_roles(word) & ~(standing_word.KNOWN | standing_word.SUSPENDED))


@external
@reentrant
def replace_cold_key(member: bytes32, key: address):
    """
    @notice Gives a member that lost its cold key another, 30 days hence.
    @dev Whatever the old key signs here in that time calls it off: announcing its own payout again is the plain veto.
    @param member Member id.
    @param key The new cold key.
    """
    governance._only_council()
    assert key != empty(address), "MemberRegistry: no cold key"
    old: address = self._effective(self.cold_keys[member])
    assert old != empty(address), "MemberRegistry: never a member"
    valid_from: uint64 = convert(block.timestamp, uint64) + COLD_KEY_DELAY
    self.cold_keys[member] = Announcement(current=old, next=key, valid_from=valid_from)
    log IMemberRegistry.ColdKeyAnnounced(member=member, key=key, valid_from=valid_from)


@external
@reentrant
def set_attestors(members: DynArray[bytes32, 32]):
    """
    @notice Names the utilities that attest rows; the quorum follows from their number.
    @param members 1 to 32 member ids, each once; bit i of a mask is the i-th.
    """
    governance._only_council()
    count: uint256 = len(members)
    assert count > 0, "MemberRegistry: no attestors"
    for i: uint256 in range(count, bound=32):
        word: uint256 = self._known(members[i])
        assert standing_word._roles(word) & standing_word.UTILITY != 0, "MemberRegistry: not a utility"
        for j: uint256 in range(i, bound=32):
            assert members[j] != members[i], "MemberRegistry: attestor twice"
    faulty: uint256 = (count - 1) // 3
    self.attestor_set = members
    self.attestor_version += 1
    self.quorum = max(count // 2, (count + faulty) // 2) + 1
    log IMemberRegistry.AttestorsSet(version=self.attestor_version, members=members, quorum=self.quorum)


# --- internals ---


@pure
@internal
def _check_roles(roles: uint256):
    assert roles != 0 and roles <= standing_word.ALL_ROLES, "MemberRegistry: bad roles"


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
    log IMemberRegistry.StandingChanged(member=member, word=new)


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
    """
    if self.key_owner[key] != member:
        return False
    tenure: uint256 = self.tenure[key]
    until: uint256 = (tenure >> UNTIL_SHIFT) & TIME_MASK
    compromised: uint256 = (tenure >> COMPROMISED_SHIFT) & TIME_MASK
    return (
        tenure & TENURE_CONTRACT == 0
        and tenure & TIME_MASK <= at
        and (until == 0 or at <= until + grace)
        and (compromised == 0 or at < compromised)
    )


@internal
def _begin_tenure(member: bytes32, key: address) -> uint256:
    """
    @notice Binds a fresh key to its member; returns the key's part of a standing word.
    """
    assert key != empty(address), "MemberRegistry: no hot key"
    assert self.key_owner[key] == empty(bytes32), "MemberRegistry: key was used before"
    self.key_owner[key] = member
    if key.is_contract:
        self.tenure[key] = block.timestamp | TENURE_CONTRACT
        return convert(key, uint256) | standing_word.CONTRACT
    self.tenure[key] = block.timestamp
    return convert(key, uint256)


@internal
def _end_tenure(key: address):
    if key != empty(address):
        self.tenure[key] |= block.timestamp << UNTIL_SHIFT


@pure
@internal
def _without_key(word: uint256) -> uint256:
    return word & ~(2**160 - 1 | standing_word.CONTRACT)


@pure
@internal
def _without_roles(word: uint256) -> uint256:
    return word & ~((2**16 - 1) << standing_word.ROLES_SHIFT)


@view
@internal
def _effective(announcement: Announcement) -> address:
    """
    @notice The address in force: the announced one from its time on.
    """
    if announcement.valid_from != 0 and block.timestamp >= convert(announcement.valid_from, uint256):
        return announcement.next
    return announcement.current


@internal
def _authorise(member: bytes32, struct_hash: bytes32, signature: Types.Signature, wallet_signature: Bytes[1024]):
    """
    @notice Takes what a member's cold key signed, once. A replacement of that key is thereby completed or, if its time
            has not come, called off.
    """
    key: address = self._effective(self.cold_keys[member])
    assert key != empty(address), "MemberRegistry: never a member"
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, struct_hash)
    if signature.v == 0:
        accepted: bool = signatures._wallet_accepts(key, digest, wallet_signature)
        assert accepted, "MemberRegistry: wallet refuses"
    else:
        assert signatures._recover(digest, signature) == key, "MemberRegistry: not the cold key"
    self.cold_sequence[member] += 1
    self.cold_keys[member] = Announcement(current=key, next=empty(address), valid_from=0)
