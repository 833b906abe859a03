# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title Arbiters: the panel that rules on what no computation decides
@notice Keys named by the council; as many of them as the parameters ask for make a ruling. What may be ruled on, and
        what follows, is the business of the contracts that ask here.
@custom:kill The council empties the panel: then nothing is ruled any more, and silence decides.
"""

from .interfaces import IArbiters
from .interfaces import IMemberRegistry
from .interfaces import Types

implements: IArbiters

from .modules import signatures as signing

MAX_ARBITERS: constant(uint256) = 32

REGISTRY: immutable(IMemberRegistry)

# In the order of their bits.
panel: DynArray[address, MAX_ARBITERS]


@deploy
def __init__(registry: address):
    """
    @notice Binds the panel to its market. It begins empty.
    @param registry The MemberRegistry.
    """
    REGISTRY = IMemberRegistry(registry)


# --- anyone (views) ---


@view
@external
@reentrant
def arbiters() -> DynArray[address, MAX_ARBITERS]:
    """
    @notice Who rules.
    @return The panel's keys, in the order of their bits.
    """
    return self.panel


@view
@external
@reentrant
def is_ruled(digest: bytes32, mask: uint256, signatures: DynArray[Types.Signature, MAX_ARBITERS]) -> bool:
    """
    @notice Whether enough arbiters signed, by the newest parameters.
    @param digest What they signed.
    @param mask Bit i: arbiter i signed.
    @param signatures Theirs, lowest bit first.
    @return True if exactly those in the mask signed and they are enough.
    """
    if mask >> len(self.panel) != 0:
        return False
    signed: uint256 = 0
    for i: uint256 in range(len(self.panel), bound=MAX_ARBITERS):
        if (mask >> i) & 1 == 0:
            continue
        # A malformed signature recovers to zero, which is nobody's key.
        if signed == len(signatures) or signing._recover(digest, signatures[signed]) != self.panel[i]:
            return False
        signed += 1
    quorum: uint64 = staticcall REGISTRY.arbiter_quorum()
    return signed == len(signatures) and signed >= convert(quorum, uint256)


# --- council ---


@external
@reentrant
def set_arbiters(keys: DynArray[address, MAX_ARBITERS]):
    """
    @notice Names the panel.
    @param keys Accounts that sign rulings, each once; none for a market without arbiters.
    """
    council: address = staticcall REGISTRY.council()
    assert msg.sender == council, "Arbiters: not the council"
    for i: uint256 in range(len(keys), bound=MAX_ARBITERS):
        assert keys[i] != empty(address), "Arbiters: no key"
        for j: uint256 in range(i, bound=MAX_ARBITERS):
            assert keys[j] != keys[i], "Arbiters: arbiter twice"
    self.panel = keys
    log IArbiters.ArbitersSet(keys=keys)
