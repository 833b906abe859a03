# pragma version 0.4.3
"""
@title The digest that modules/parameters gives any parameters, also those out of bounds
"""

from ..interfaces import Types


@pure
@external
def digest(config: Types.Config) -> bytes32:
    return keccak256(abi_encode(config, ensure_tuple=False))
