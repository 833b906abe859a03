"""Walking down two trees to the first leaf at which they differ."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member.differing import Difference, first_difference, judge, node_at, reason_of
from settlement import merkle
from settlement.hashing import Hash32, keccak256
from settlement.merkle import Tree
from settlement.rows import RowContent
from settlement.trade import FlowLeaf

PAYER, PAYEE = keccak256(b"payer"), keccak256(b"payee")


def tree(letters: str) -> Tree:
    return Tree([merkle.hash_leaf(letter.encode()) for letter in letters])


def leaf(number: int, amount: int = 5, wh: int = 1_000) -> FlowLeaf:
    return FlowLeaf(number.to_bytes(32, "big"), 0, wh, amount, keccak256(b"salt", bytes([number])))


def row(*leaves: FlowLeaf) -> RowContent:
    return RowContent(PAYER, PAYEE, leaves)


@given(st.text("ab", max_size=40), st.text("ab", max_size=40))
def test_the_walk_ends_at_the_first_differing_leaf(own: str, other: str) -> None:
    longest = max(len(own), len(other))
    expected = next((i for i in range(longest) if own[i : i + 1] != other[i : i + 1]), None)
    theirs = tree(other)

    assert first_difference(tree(own), lambda *at: node_at(theirs, *at), len(other)) == expected


def test_the_walk_asks_once_a_level() -> None:
    own, other = tree("a" * 1_000), tree("a" * 700 + "b" + "a" * 299)
    asked: list[tuple[int, int]] = []

    def ask(level: int, index: int) -> Hash32 | None:
        asked.append((level, index))
        return node_at(other, level, index)

    assert first_difference(own, ask, 1_000) == 700
    assert [level for level, _ in asked] == list(range(10, -1, -1))


@pytest.mark.parametrize(
    ("level", "index", "count"),
    [(0, 3, 3), (0, -1, 3), (-1, 0, 3), (2, 1, 3), (9, 1, 3), (0, 0, 0), (5, 0, 0)],
)
def test_there_is_no_node_beside_the_tree(level: int, index: int, count: int) -> None:
    assert node_at(tree("a" * count), level, index) is None


def test_above_its_top_a_tree_has_its_root_alone() -> None:
    assert node_at(tree("abc"), 9, 0) == tree("abc").root


def test_rows_that_are_equal_have_no_difference() -> None:
    assert judge(row(leaf(1), leaf(2)), row(leaf(1), leaf(2))) is None


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (row(leaf(1), leaf(2, amount=7)), (1, leaf(2), leaf(2, amount=7), "an amount of 7, own amount 5")),
        (row(leaf(1)), (1, leaf(2), None, "a leaf is missing")),
        (row(leaf(1), leaf(2), leaf(3)), (2, None, leaf(3), "a leaf where there is none")),
        (row(leaf(2)), (0, leaf(1), leaf(2), "another flow, or another trade's")),
        (row(leaf(1, wh=9)), (0, leaf(1), leaf(1, wh=9), "settled at 9 Wh, own figure 1000 Wh")),
    ],
)
def test_the_difference_says_where_and_why(
    shown: RowContent, expected: tuple[int, FlowLeaf | None, FlowLeaf | None, str]
) -> None:
    assert judge(row(leaf(1), leaf(2)), shown) == Difference(*expected)


def test_another_salt_is_a_difference() -> None:
    assert reason_of(leaf(1), replace(leaf(1), salt=PAYER)) == "another salt"
