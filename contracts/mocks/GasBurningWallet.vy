# pragma version 0.4.3
"""
@title A contract that burns all the gas it is given when asked for a signature
"""


@view
@external
def isValidSignature(digest: bytes32, signature: Bytes[1024]) -> bytes4:
    burnt: bytes32 = digest
    for _: uint256 in range(10**9):
        burnt = keccak256(burnt)
    return 0x1626ba7e
