# pragma version 0.4.3
"""
@title The state of a pair: what its escrow word says besides lock and applied amount
@notice Bits 192-255 of the word, shifted down: 0-31 version of the last applied row, 32-47 last settled run + 1, 48 it
        was settled by an agreed row, 49 by an attested row, 50 what is applied is the sum of that run's claims.
"""

from ..interfaces import Types

SHIFT: constant(uint256) = 192
BY_AGREED_ROW: constant(uint256) = 1 << 48
BY_ATTESTED_ROW: constant(uint256) = 1 << 49
BY_CLAIMS: constant(uint256) = 1 << 50


@pure
@internal
def _key(cycle: uint64, payer: bytes32, payee: bytes32) -> bytes32:
    """
    @notice The key of an ordered pair in a cycle.
    """
    return keccak256(abi_encode(cycle, payer, payee))


@pure
@internal
def _version(state: uint256) -> uint256:
    """
    @notice The last applied version.
    """
    return state & (2**32 - 1)


@pure
@internal
def _settled_runs(state: uint256) -> uint256:
    """
    @notice The last settled run + 1.
    """
    return (state >> 32) & (2**16 - 1)


@pure
@internal
def _after(row: Types.Row) -> uint256:
    """
    @notice The state once a row on sealed inputs has applied, but for who made it.
    """
    return convert(row.version, uint256) | ((convert(row.run, uint256) + 1) << 32)
