# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Council: the members' cold keys govern, M of N, after a delay in which everybody can see what comes
@notice A seat is a member; it approves with its cold key, as the registry has it now. An approved act waits 48 hours,
        or 7 days where it removes a member, replaces a cold key, changes seats or hands governance over. Then anyone
        executes it, within 30 days.
@dev The council owns nothing and holds no tokens. No function of the other contracts lets their council move a
     member's balance or payout address, so no act can; but a lost cold key that the council replaces, and whose member
     lets 30 days pass without a word, leaves the new key with the member's powers.
@custom:kill Nothing stops it. An act that should not be is cancelled by as many seats as would approve one. Its
             successor is named by an act of its own (`set_council` at the registry).
"""

from .interfaces import ICouncil
from .interfaces import IMemberRegistry
from .interfaces import Types

implements: ICouncil

from .modules import signatures
from .modules import typed_data

MAX_SEATS: constant(uint256) = 32
DELAY: constant(uint64) = 48 * 3_600
LONG_DELAY: constant(uint64) = 7 * 86_400
# An approval that nobody used must not hang over the market for ever.
VALIDITY: constant(uint64) = 30 * 86_400

REGISTRY: immutable(IMemberRegistry)
DOMAIN_SEPARATOR: immutable(bytes32)

members: DynArray[bytes32, MAX_SEATS]
# How many seats make an act.
threshold: reentrant(public(uint256))
# Consumed by each act that is scheduled, so that no approval serves twice.
sequence: reentrant(public(uint64))
# By struct hash of the act; 0 once it is executed or cancelled.
ready_at: reentrant(public(HashMap[bytes32, uint64]))


@deploy
def __init__(registry: address, seats: DynArray[bytes32, MAX_SEATS], threshold: uint256):
    """
    @notice Binds the council to its market.
    @param registry The market's MemberRegistry, which knows the cold keys; must be deployed already.
    @param seats The members that govern, each once. They may be admitted later.
    @param threshold How many of them make an act.
    """
    REGISTRY = IMemberRegistry(registry)
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()
    self._set_seats(seats, threshold)


# --- anyone (views) ---


@view
@external
@reentrant
def seats() -> DynArray[bytes32, MAX_SEATS]:
    """
    @notice Who governs.
    @return Member ids in the order of their bits.
    """
    return self.members


@pure
@external
@reentrant
def delay_of(data: Bytes[2048]) -> uint64:
    """
    @notice How long an act must wait.
    @param data The call.
    @return Seconds.
    """
    return self._delay(data)


# --- the seats (signed, relayed by anyone) ---


@external
def schedule(
    target: address,
    data: Bytes[2048],
    mask: uint256,
    approvals: DynArray[Types.Signature, MAX_SEATS],
    wallet_signatures: DynArray[Bytes[1024], 8],
) -> bytes32:
    """
    @notice Takes an act that enough seats approve, under the next sequence number.
    @dev Asks cold keys that are contracts for their signature, by static calls with bounded gas.
    @param target The contract to call.
    @param data The call, selector first.
    @param mask Bit i: seat i approves.
    @param approvals Their cold keys' signatures of the CouncilAct, by seat; v = 0 where the key is a contract.
    @param wallet_signatures The contracts' signatures (ERC-1271), in the same order.
    @return The act: its struct hash.
    """
    assert len(data) >= 4, "Council: no function"
    assert target.is_contract, "Council: no contract"
    sequence: uint64 = self.sequence
    act: bytes32 = typed_data._council_act(target, data, sequence)
    self._check_approved(act, mask, approvals, wallet_signatures)
    self.sequence = sequence + 1
    ready: uint64 = convert(block.timestamp, uint64) + self._delay(data)
    self.ready_at[act] = ready
    log ICouncil.Scheduled(act=act, target=target, data=data, sequence=sequence, mask=mask, ready_at=ready)
    return act


@external
def cancel(
    act: bytes32,
    mask: uint256,
    approvals: DynArray[Types.Signature, MAX_SEATS],
    wallet_signatures: DynArray[Bytes[1024], 8],
):
    """
    @notice Calls a waiting act off.
    @param act Its struct hash.
    @param mask Bit i: seat i calls it off.
    @param approvals Signatures of the CouncilCancel, as in `schedule`.
    @param wallet_signatures As in `schedule`.
    """
    assert self.ready_at[act] != 0, "Council: not waiting"
    self._check_approved(typed_data._council_cancel(act), mask, approvals, wallet_signatures)
    self.ready_at[act] = 0
    log ICouncil.Cancelled(act=act, mask=mask)


# --- anyone ---


@external
def execute(target: address, data: Bytes[2048], sequence: uint64):
    """
    @notice Makes the call of an act whose delay is over. If the call fails, so does this, and the act goes on waiting.
    @param target The act's target.
    @param data The act's call.
    @param sequence The number under which it was scheduled.
    """
    act: bytes32 = typed_data._council_act(target, data, sequence)
    ready: uint64 = self.ready_at[act]
    assert ready != 0, "Council: nothing to execute"
    now: uint64 = convert(block.timestamp, uint64)
    assert now >= ready, "Council: too early"
    assert now < ready + VALIDITY, "Council: too late"
    self.ready_at[act] = 0
    log ICouncil.Executed(act=act)
    raw_call(target, data)


# --- council (itself) ---


@external
@reentrant
def set_seats(members: DynArray[bytes32, MAX_SEATS], threshold: uint256):
    """
    @notice Names who governs; only as an act of the council's own.
    @dev Without the lock, because `execute` holds it.
    @param members Member ids, each once.
    @param threshold How many of them make an act.
    """
    assert msg.sender == self, "Council: only by an act"
    self._set_seats(members, threshold)


# --- internals ---


@internal
def _set_seats(members: DynArray[bytes32, MAX_SEATS], threshold: uint256):
    # More than half, so that no two acts can each have a threshold of seats that never met.
    assert threshold <= len(members) and 2 * threshold > len(members), "Council: threshold"
    for i: uint256 in range(len(members), bound=MAX_SEATS):
        assert members[i] != empty(bytes32), "Council: empty seat"
        for j: uint256 in range(i, bound=MAX_SEATS):
            assert members[j] != members[i], "Council: a seat twice"
    self.members = members
    self.threshold = threshold
    log ICouncil.SeatsSet(members=members, threshold=threshold)


@pure
@internal
def _delay(data: Bytes[2048]) -> uint64:
    """
    @notice 7 days for what takes a seat, a membership or governance away, else 48 hours.
    """
    selector: bytes4 = convert(slice(data, 0, 4), bytes4)
    if selector in [
        method_id("remove(bytes32)", output_type=bytes4),
        method_id("replace_cold_key(bytes32,address)", output_type=bytes4),
        method_id("set_council(address)", output_type=bytes4),
        method_id("set_seats(bytes32[],uint256)", output_type=bytes4),
    ]:
        return LONG_DELAY
    return DELAY


@view
@internal
def _check_approved(
    struct_hash: bytes32,
    mask: uint256,
    approvals: DynArray[Types.Signature, MAX_SEATS],
    wallet_signatures: DynArray[Bytes[1024], 8],
):
    """
    @notice Reverts unless exactly the seats in `mask` signed, and they are enough.
    """
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, struct_hash)
    assert mask >> len(self.members) == 0, "Council: no such seat"
    signed: uint256 = 0
    wallets: uint256 = 0
    for seat: uint256 in range(len(self.members), bound=MAX_SEATS):
        if (mask >> seat) & 1 == 0:
            continue
        assert signed < len(approvals), "Council: approvals missing"
        key: address = staticcall REGISTRY.cold_key(self.members[seat])
        if approvals[signed].v == 0:
            assert wallets < len(wallet_signatures), "Council: wallet signature missing"
            accepted: bool = signatures._wallet_accepts(key, digest, wallet_signatures[wallets])
            assert accepted, "Council: wallet refuses"
            wallets += 1
        else:
            recovered: address = signatures._recover(digest, approvals[signed])
            assert recovered != empty(address) and recovered == key, "Council: wrong approval"
        signed += 1
    assert signed == len(approvals) and wallets == len(wallet_signatures), "Council: approvals left over"
    assert signed >= self.threshold, "Council: not enough seats"
