"""Trees: RFC 9162's shape, proofs that fail on any change, chunks as subtrees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement import merkle
from settlement.errors import SettlementError
from settlement.hashing import keccak256

SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 127, 128, 129, 255, 256, 257, 1_000)


def leaves(count: int) -> list[bytes]:
    return [merkle.hash_leaf(i.to_bytes(4, "big")) for i in range(count)]


def rfc_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, as it is written there."""
    if not hashes:
        return keccak256(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return keccak256(b"\x01", rfc_root(hashes[:k]), rfc_root(hashes[k:]))


def rfc_path(hashes: list[bytes], m: int) -> list[bytes]:
    """PATH of RFC 9162, section 2.1.3.1."""
    if len(hashes) == 1:
        return []
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    if m < k:
        return [*rfc_path(hashes[:k], m), rfc_root(hashes[k:])]
    return [*rfc_path(hashes[k:], m - k), rfc_root(hashes[:k])]


def test_the_empty_tree() -> None:
    assert merkle.root([]) == merkle.EMPTY_ROOT == keccak256(b"")
    assert merkle.Tree([]).count == 0
    assert not merkle.verify(merkle.EMPTY_ROOT, 0, 0, merkle.EMPTY_ROOT, ())
    with pytest.raises(SettlementError, match="outside"):
        merkle.path([], 0)


@pytest.mark.parametrize("count", SIZES)
def test_roots_and_paths_are_those_of_the_rfc(count: int) -> None:
    hashes = leaves(count)
    tree = merkle.Tree(hashes)
    assert tree.root == rfc_root(hashes)
    for index in {0, 1, count // 2, count - 2, count - 1} & set(range(count)):
        assert list(tree.path(index)) == rfc_path(hashes, index)
        assert merkle.verify(tree.root, count, index, hashes[index], tree.path(index))


@given(st.integers(1, 70), st.data())
def test_any_change_fails(count: int, data: st.DataObject) -> None:
    hashes = leaves(count)
    tree = merkle.Tree(hashes)
    index = data.draw(st.integers(0, count - 1))
    path = tree.path(index)
    assert merkle.verify(tree.root, count, index, hashes[index], path)
    assert not merkle.verify(tree.root, count, index, merkle.hash_leaf(b"other"), path)
    assert not merkle.verify(merkle.hash_leaf(b"root"), count, index, hashes[index], path)
    assert not merkle.verify(tree.root, count, index, hashes[index], (*path, hashes[0]))
    other = data.draw(st.integers(-1, count + 2))
    if other != index:
        assert not merkle.verify(tree.root, count, other, hashes[index], path)
    if path:
        assert not merkle.verify(tree.root, count, index, hashes[index], path[:-1])
        assert not merkle.verify(tree.root, count, index, hashes[index], path[1:])
        place = data.draw(st.integers(0, len(path) - 1))
        changed = (*path[:place], merkle.hash_leaf(b"sibling"), *path[place + 1 :])
        assert not merkle.verify(tree.root, count, index, hashes[index], changed)


def test_a_proof_holds_for_one_count_only_where_the_shape_differs() -> None:
    """A wrong count is refused whenever it changes the path's length; root and count are always signed together."""
    tree = merkle.Tree(leaves(5))
    assert not merkle.verify(tree.root, 4, 4, leaves(5)[4], tree.path(4))
    assert not merkle.verify(tree.root, 9, 4, leaves(5)[4], tree.path(4))


def test_an_inner_node_is_never_a_leaf() -> None:
    hashes = leaves(4)
    tree = merkle.Tree(hashes)
    inner = merkle.hash_node(hashes[0], hashes[1])
    assert not merkle.verify(tree.root, 4, 0, inner, tree.path(0)[1:])
    assert merkle.hash_leaf(hashes[0] + hashes[1]) != inner


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("height", [0, 1, 3, 7])
def test_chunks_are_nodes_of_the_tree_over_chunks(count: int, height: int) -> None:
    hashes = leaves(count)
    tree = merkle.Tree(hashes)
    size = 1 << height
    roots = [merkle.root(hashes[start : start + size]) for start in range(0, count, size)]
    assert merkle.chunk_count(count, height) == len(roots)
    over_chunks = merkle.Tree(roots)
    assert over_chunks.root == tree.root
    for chunk, expected in enumerate(roots):
        chunk_root, path = tree.chunk(height, chunk)
        assert chunk_root == expected
        assert path == over_chunks.path(chunk)
        assert merkle.verify_chunk(tree.root, count, height, chunk, chunk_root, path)
        assert not merkle.verify_chunk(tree.root, count, height, chunk + 1, chunk_root, path)
    with pytest.raises(SettlementError, match="outside"):
        tree.chunk(height, len(roots))
