# pragma version 0.4.3
"""
@title A contract that signs by ERC-1271 with one owner's key (r || s || v), and calls whatever its owner wants
"""

OWNER: immutable(address)


@deploy
def __init__(owner: address):
    OWNER = owner


@view
@external
def isValidSignature(digest: bytes32, signature: Bytes[1024]) -> bytes4:
    if len(signature) != 65:
        return 0xffffffff
    r: bytes32 = convert(slice(signature, 0, 32), bytes32)
    s: bytes32 = convert(slice(signature, 32, 32), bytes32)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    if ecrecover(digest, v, r, s) != OWNER:
        return 0xffffffff
    return 0x1626ba7e


@external
def execute(target: address, data: Bytes[2048]):
    raw_call(target, data)
