# pragma version 0.4.3
"""
@title What a member's hot key signed, judged by its standing word
@notice For what one member signs alone and is judged at intake. A key that is a contract signs by ERC-1271.
"""

from ..interfaces import Types
from . import roles
from . import signatures


@view
@internal
def _is_signed(
    standing: uint256, digest: bytes32, signature: Types.Signature, wallet_signatures: DynArray[Bytes[1024], 1]
) -> bool:
    """
    @notice Whether the hot key in a standing word signed the digest.
    @param signature v = 0 where the key is a contract, whose bytes are then the one wallet signature.
    """
    key: address = roles._key(standing)
    if roles._is_contract(standing):
        return (
            signature.v == 0
            and len(wallet_signatures) == 1
            and signatures._wallet_accepts(key, digest, wallet_signatures[0])
        )
    # A malformed signature recovers to zero, which is also the key of a stranger.
    return key != empty(address) and signatures._recover(digest, signature) == key
