# pragma version 0.4.3
"""
@title Merkle trees in the shape of RFC 9162, hashed with Keccak-256
@notice leaf = H(0x00 || data), node = H(0x01 || left || right); a proof is checked against root and count, so that an
        inner node never passes for a leaf and a tree of another size never passes for this one.
@dev Paths hold at most 24 siblings: trees have at most 2^24 leaves (MAX_COUNT), which intake enforces.
"""

MAX_COUNT: constant(uint64) = 2**24
CHUNK: constant(uint256) = 128
CHUNK_LEVELS: constant(uint256) = 7


@pure
@internal
def _verify(root: bytes32, count: uint256, index: uint256, leaf: bytes32, path: DynArray[bytes32, 24]) -> bool:
    """
    @notice Whether `leaf`, a leaf's hash, stands at `index` of the tree of `count` leaves under `root`.
    @dev RFC 9162, 2.1.3.2.
    @param path The siblings from the leaf upwards.
    """
    if index >= count:
        return False
    place: uint256 = index
    # Above its bits the node is on the tree's right edge: the last of its level.
    inside: uint256 = index ^ (count - 1)
    node: bytes32 = leaf
    for sibling: bytes32 in path:
        if inside != 0:
            if place & 1 == 0:
                node = keccak256(concat(0x01, node, sibling))
            else:
                node = keccak256(concat(0x01, sibling, node))
            place >>= 1
            inside >>= 1
        else:
            # There it rises unchanged to where it is somebody's right child: once for each bit that is set.
            if place == 0:
                return False
            place &= place - 1
            node = keccak256(concat(0x01, sibling, node))
    return inside == 0 and place == 0 and node == root


@pure
@internal
def _chunk_root(leaves: DynArray[bytes32, 128]) -> bytes32:
    """
    @notice The root over at least one and at most 128 leaf hashes, level by level.
    @dev An odd last node rises unchanged, which is RFC 9162's shape.
    """
    level: DynArray[bytes32, 128] = leaves
    width: uint256 = len(leaves)
    for _: uint256 in range(7):
        if width == 1:
            break
        half: uint256 = width // 2
        for i: uint256 in range(half, bound=64):
            level[i] = keccak256(concat(0x01, level[2 * i], level[2 * i + 1]))
        if width & 1 == 1:
            level[half] = level[width - 1]
            half += 1
        width = half
    return level[0]


@pure
@internal
def _verify_chunk(
    root: bytes32, count: uint256, first: uint256, leaves: DynArray[bytes32, 128], path: DynArray[bytes32, 24]
) -> bool:
    """
    @notice Whether the leaf hashes are the aligned chunk that begins at leaf `first`: 128 of them, or all that remain.
    @dev Above whole chunks the tree has the shape of a tree whose leaves are the chunks.
    """
    if first % CHUNK != 0 or first >= count or len(leaves) != min(CHUNK, count - first):
        return False
    chunks: uint256 = (count + CHUNK - 1) >> CHUNK_LEVELS
    return self._verify(root, chunks, first >> CHUNK_LEVELS, self._chunk_root(leaves), path)
