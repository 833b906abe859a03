"""Merkle trees in the shape of RFC 9162 (section 2.1) over Keccak-256.

A leaf is `H(0x00 ‖ data)`, a node `H(0x01 ‖ left ‖ right)`, the empty tree `H("")`. The tree is built level by level,
a node without a partner moving up unchanged; that is the RFC's shape. Hence level k is itself the leaf level of a
tree of that shape, and an aligned chunk of 2^k leaves is proven as one node of it.

A path lists siblings from the leaf upward and is verified by the algorithm of section 2.1.3.2, against root and count
together: a root alone does not fix the shape.
"""

from __future__ import annotations

from collections.abc import Sequence

from settlement.errors import SettlementError
from settlement.hashing import Hash32, keccak256

EMPTY_ROOT: Hash32 = keccak256(b"")


def hash_leaf(data: bytes) -> Hash32:
    """The hash of a leaf's data."""
    return keccak256(b"\x00", data)


def hash_node(left: Hash32, right: Hash32) -> Hash32:
    """The hash of an inner node."""
    return keccak256(b"\x01", left, right)


def root(leaf_hashes: Sequence[Hash32]) -> Hash32:
    """The root over leaf hashes in order; `EMPTY_ROOT` over none."""
    return Tree(leaf_hashes).root


def path(leaf_hashes: Sequence[Hash32], index: int) -> tuple[Hash32, ...]:
    """The siblings of leaf `index`, from the leaf upward. Raises SettlementError outside the tree."""
    return Tree(leaf_hashes).path(index)


def verify(root: Hash32, count: int, index: int, leaf_hash: Hash32, path: Sequence[Hash32]) -> bool:
    """Whether `leaf_hash` is leaf `index` of the tree with this root and count (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < count:
        return False
    place, last, result = index, count - 1, leaf_hash
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            result = hash_node(sibling, result)
            while not place & 1 and place:  # levels in which the node moved up unchanged
                place >>= 1
                last >>= 1
        else:
            result = hash_node(result, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and result == root


def chunk_count(count: int, height: int) -> int:
    """How many aligned chunks of 2^height leaves a tree of `count` leaves has; the last may be short."""
    return -(-count >> height)


def verify_chunk(root: Hash32, count: int, height: int, chunk: int, chunk_root: Hash32, path: Sequence[Hash32]) -> bool:
    """Whether the aligned chunk number `chunk` of 2^height leaves has `chunk_root` in the tree (root, count)."""
    return verify(root, chunk_count(count, height), chunk, chunk_root, path)


class Tree:
    """A tree with all its levels computed once: proofs cost a look-up a level."""

    __slots__ = ("_levels",)

    def __init__(self, leaf_hashes: Sequence[Hash32]) -> None:
        levels = [list(leaf_hashes)]
        while len(levels[-1]) > 1:
            below = levels[-1]
            above = [hash_node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            if len(below) & 1:
                above.append(below[-1])
            levels.append(above)
        self._levels = levels

    @property
    def count(self) -> int:
        """The number of leaves."""
        return len(self._levels[0])

    @property
    def root(self) -> Hash32:
        """The root; `EMPTY_ROOT` where there are no leaves."""
        return self._levels[-1][0] if self.count else EMPTY_ROOT

    @property
    def leaf_hashes(self) -> Sequence[Hash32]:
        """The leaf hashes, in order."""
        return self._levels[0]

    def path(self, index: int) -> tuple[Hash32, ...]:
        """The siblings of leaf `index`, from the leaf upward. Raises SettlementError outside the tree."""
        return self._path(0, index)

    def chunk(self, height: int, chunk: int) -> tuple[Hash32, tuple[Hash32, ...]]:
        """Root and path of aligned chunk number `chunk` of 2^height leaves. Raises SettlementError outside the tree."""
        # Beyond the top level there is only the root, which is chunk 0 of every greater height.
        level = min(height, len(self._levels) - 1)
        proof = self._path(level, chunk)
        return self._levels[level][chunk], proof

    def _path(self, level: int, index: int) -> tuple[Hash32, ...]:
        if not 0 <= index < len(self._levels[level]):
            raise SettlementError("index", index, f"outside a level of {len(self._levels[level])} nodes")
        siblings = []
        for nodes in self._levels[level:-1]:
            sibling = index ^ 1
            if sibling < len(nodes):
                siblings.append(nodes[sibling])
            index >>= 1
        return tuple(siblings)
