# pragma version 0.4.3
"""
@title The standing word: what the registry knows of a member at a time, in one word
@notice Bits 0-159 hot key; 160-207 since when (block time); 208-223 roles; 224 known; 225 suspended; 226 the hot key
        is a contract (ERC-1271). A member's history is the list of its words; each change adds one.
"""

PLATFORM: constant(uint256) = 1
UTILITY: constant(uint256) = 2
GRID_OPERATOR: constant(uint256) = 4
MARKET_AGENT: constant(uint256) = 8
SETTLEMENT_BANK: constant(uint256) = 16
ALL_ROLES: constant(uint256) = 31

KNOWN: constant(uint256) = 1 << 224
SUSPENDED: constant(uint256) = 1 << 225
CONTRACT: constant(uint256) = 1 << 226

ROLES_SHIFT: constant(uint256) = 208
SINCE_SHIFT: constant(uint256) = 160


@pure
@internal
def _key(word: uint256) -> address:
    """
    @notice The hot key in a standing word.
    """
    return convert(word & (2**160 - 1), address)


@pure
@internal
def _since(word: uint256) -> uint256:
    """
    @notice The block time from which the word holds.
    """
    return (word >> SINCE_SHIFT) & (2**48 - 1)


@pure
@internal
def _roles(word: uint256) -> uint256:
    """
    @notice The role bits in a standing word.
    """
    return (word >> ROLES_SHIFT) & (2**16 - 1)


@pure
@internal
def _is_known(word: uint256) -> bool:
    """
    @notice Whether the member was admitted and not removed.
    """
    return word & KNOWN != 0


@pure
@internal
def _is_suspended(word: uint256) -> bool:
    """
    @notice Whether the member may commit nothing new.
    """
    return word & SUSPENDED != 0


@pure
@internal
def _is_contract(word: uint256) -> bool:
    """
    @notice Whether the hot key is a contract that signs by ERC-1271.
    """
    return word & CONTRACT != 0
