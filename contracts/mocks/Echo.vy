# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Returns, emits, keeps and refuses what it is told
@license Apache-2.0
@notice Shows every shape of value that crosses the border between Python and a contract.
@custom:kill Holds nothing; nobody needs to stop it.
"""

struct Inner:
    tag: bytes32
    amounts: DynArray[uint256, 4]

struct Outer:
    owner: address
    inner: Inner
    list: DynArray[Inner, 3]
    note: String[32]

event Said:
    speaker: indexed(address)
    topic: indexed(bytes32)
    told: Outer
    big: uint256

# Set once by the constructor.
PARTNER: immutable(address)
SEED: immutable(uint256)

# The last number told to `keep`.
kept: public(uint256)


@deploy
def __init__(partner: address, seed: uint256):
    """
    @notice Takes its partner and a number.
    @param partner Any address.
    @param seed Any number.
    """
    PARTNER = partner
    SEED = seed


# --- anyone ---

@view
@external
@reentrant
def partner() -> (address, uint256):
    """
    @notice What the constructor was given.
    @return The partner and the seed.
    """
    return PARTNER, SEED


@view
@external
@reentrant
def now() -> uint256:
    """
    @notice The block's time.
    @return Seconds since 1970.
    """
    return block.timestamp


@pure
@external
@reentrant
def echo(told: Outer) -> Outer:
    """
    @notice Gives back what it got.
    @param told Anything.
    @return The same.
    """
    return told


@external
def say(told: Outer, big: uint256 = 7):
    """
    @notice Emits what it got.
    @param told Anything.
    @param big Any number.
    """
    log Said(speaker=msg.sender, topic=keccak256(told.note), told=told, big=big)


@external
def keep(number: uint256) -> uint256:
    """
    @notice Keeps a number below a hundred; anything above is refused.
    @param number The number.
    @return The number kept before.
    """
    assert number < 100, "Echo: too large"
    before: uint256 = self.kept
    self.kept = number
    return before


@external
def fail_silently():
    """
    @notice Reverts without a reason.
    """
    raise
