# pragma version 0.4.3
"""
@title Signatures of keys and of contracts
@notice secp256k1 over a 32-byte digest, low s only (EIP-2), v 27 or 28; contracts answer by ERC-1271.
@dev Uniqueness never rests on signature bytes: what is signed carries what makes it unique.
"""

from ..interfaces import Types

HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
MAGIC: constant(bytes4) = 0x1626ba7e
# Enough for any wallet known to us; a hostile one can burn no more of its caller's gas than this.
WALLET_GAS: constant(uint256) = 300_000


@pure
@internal
def _recover(digest: bytes32, signature: Types.Signature) -> address:
    """
    @notice The address that signed, or zero where the signature is malformed. No member's key is zero.
    """
    if convert(signature.s, uint256) > HALF_ORDER or (signature.v != 27 and signature.v != 28):
        return empty(address)
    return ecrecover(digest, signature.v, signature.r, signature.s)


@view
@internal
def _wallet_accepts(wallet: address, digest: bytes32, signature: Bytes[1024]) -> bool:
    """
    @notice Whether the contract at `wallet` takes the bytes as its signature of the digest (ERC-1271).
    @dev A revert, a short answer or another answer is a no.
    """
    if not wallet.is_contract:
        return False
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        wallet,
        abi_encode(digest, signature, method_id=MAGIC),
        max_outsize=32,
        gas=WALLET_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and len(answer) == 32 and convert(answer, bytes32) == convert(MAGIC, bytes32)
