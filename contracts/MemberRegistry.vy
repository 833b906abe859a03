# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title MemberRegistry: members, keys and roles with their history, attestors, parameters, pause, domain
@notice Who is in the market, in what role, with which keys, and by which parameters. The history lies in
        modules/timeline.vy, the parameters and their bounds in modules/parameters.vy.
@custom:kill Nothing here stops: `pause` only reports to intake, for at most 72 hours. Members leave for a new
             deployment.
"""

from .interfaces import IMemberRegistry
from .interfaces import Types

implements: IMemberRegistry

from .modules import attestor_set
from .modules import governance
from .modules import parameters
from .modules import pausing
from .modules import roles as standing_word
from .modules import signatures
from .modules import timeline
from .modules import typed_data

initializes: governance
initializes: parameters[governance := governance]
initializes: timeline[parameters := parameters]
initializes: attestor_set[governance := governance, timeline := timeline]
initializes: pausing[governance := governance]

exports: (governance.council, governance.guardian, governance.set_council, governance.set_guardian)
exports: (
    parameters.config_version,
    parameters.config,
    parameters.config_digest,
    parameters.calendar,
    parameters.gate_terms,
    parameters.run_terms,
    parameters.rule_terms,
    parameters.row_terms,
    parameters.row_demands,
    parameters.close_terms,
    parameters.arbiter_quorum,
    parameters.notice_silence,
    parameters.debt_terms,
    parameters.is_rail,
    parameters.set_config,
)
exports: (
    timeline.standing,
    timeline.standings,
    timeline.standing_at,
    timeline.check_parties,
    timeline.check_signers,
)
exports: (
    attestor_set.attestors,
    attestor_set.attestors_in,
    attestor_set.attestor_version,
    attestor_set.quorum,
    attestor_set.set_attestors,
)
exports: (pausing.paused, pausing.unpaused_since, pausing.pause, pausing.resume)

DOMAIN_TYPE: constant(bytes32) = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)")
DOMAIN_NAME: constant(bytes32) = keccak256("Clearwatt")
DOMAIN_VERSION: constant(bytes32) = keccak256("1")

PAYOUT_DELAY: constant(uint64) = 48 * 3_600
COLD_KEY_DELAY: constant(uint64) = 30 * 86_400

MARKET_ID: immutable(bytes32)
DOMAIN_SEPARATOR: immutable(bytes32)


struct Announcement:        # an address that replaces `current` from a time on
    current: address
    next: address
    valid_from: uint64      # 0: nothing announced


# Where withdrawals go, and the key that governs a member's other keys.
payouts: HashMap[bytes32, Announcement]
cold_keys: HashMap[bytes32, Announcement]
cold_sequence: reentrant(public(HashMap[bytes32, uint64]))
beckn_key: reentrant(public(HashMap[bytes32, bytes32]))


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


# --- members (signed by the cold key, relayed by anyone) ---


@external
def change_hot_key(member: bytes32, key: address, signature: Types.Signature, wallet_signature: Bytes[1024]):
    """
    @notice Names the key that signs for a member from now on.
    @dev Whether the key is a contract is decided now, by its code.
    @param member Member id.
    @param key A key that never was the member's hot key.
    @param signature Of HotKeyChange by the cold key; v = 0 where that is a contract.
    @param wallet_signature The contract's signature, else empty.
    """
    self._authorise(
        member, typed_data._hot_key_change(member, key, self.cold_sequence[member]), signature, wallet_signature
    )
    word: uint256 = timeline._with_key(timeline.standing[member], member, key)
    timeline._set_standing(member, word)


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
    timeline._compromise(member, key)


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
    @param hot_key The key that signs for it.
    @param payout Where its withdrawals go.
    @param beckn_key Ed25519 public key of its Beckn identity, zero if none.
    """
    governance._only_council()
    self._check_roles(roles)
    assert member != empty(bytes32), "MemberRegistry: no member id"
    word: uint256 = timeline.standing[member]
    assert not standing_word._is_known(word), "MemberRegistry: already a member"
    if word == 0:
        assert cold_key != empty(address), "MemberRegistry: no cold key"
        assert payout != empty(address), "MemberRegistry: no payout"
        self.cold_keys[member].current = cold_key
        self.payouts[member].current = payout
        word = timeline._with_key(word, member, hot_key)
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
    timeline._set_standing(member, word | standing_word.KNOWN | (roles << standing_word.ROLES_SHIFT))


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
    word: uint256 = timeline._known(member)
    assert roles & standing_word.UTILITY != 0 or timeline.seats[member] == 0, "MemberRegistry: attestor not utility"
    timeline._set_standing(member, timeline._without_roles(word) | (roles << standing_word.ROLES_SHIFT))


@external
@reentrant
def suspend(member: bytes32, suspended: bool):
    """
    @notice Suspends a member, or ends its suspension. Suspended it commits nothing new; all else it still does.
    @param member Member id.
    @param suspended Whether it is, from now on.
    """
    governance._only_council()
    word: uint256 = timeline._known(member)
    assert standing_word._is_suspended(word) != suspended, "MemberRegistry: nothing changes"
    timeline._set_standing(member, word ^ standing_word.SUSPENDED)


@external
@reentrant
def remove(member: bytes32):
    """
    @notice Removes a member: it keeps its keys and payout, to sign and withdraw what is its, and no role.
    @param member Member id; an attestor is first taken out of the set.
    """
    governance._only_council()
    word: uint256 = timeline._known(member)
    assert timeline.seats[member] == 0, "MemberRegistry: is an attestor"
    timeline._set_standing(member, timeline._without_roles(word) & ~(standing_word.KNOWN | standing_word.SUSPENDED))


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


# --- internals ---


@pure
@internal
def _check_roles(roles: uint256):
    assert roles != 0 and roles <= standing_word.ALL_ROLES, "MemberRegistry: bad roles"


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
