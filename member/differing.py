"""Where two rows of one pair begin to differ: their trees are walked down from the root to the first differing leaf.

Level k of a tree is the list of its nodes over aligned runs of 2^k leaves, level 0 the leaves. Two trees may have
different numbers of leaves: a node that one of them lacks differs from any node, and the first differing leaf is then
one that only the other has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from settlement.errors import SettlementError
from settlement.hashing import Hash32
from settlement.merkle import Tree
from settlement.rows import RowContent
from settlement.trade import FlowLeaf

MAX_LEVEL: Final = 24

AskNode = Callable[[int, int], Hash32 | None]
"""The other's node at (level, index); None where its tree has none."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first leaf at which two rows differ; None where a row has no leaf at this position. `shown` is the other's.

    `reason` says it in words for those who look into it.
    """

    position: int
    own: FlowLeaf | None
    shown: FlowLeaf | None
    reason: str


def node_at(tree: Tree, level: int, index: int) -> Hash32 | None:
    """The node of a tree at a level; None where it has none. Above its top a tree has its root alone."""
    try:
        return tree.chunk(level, index)[0] if level >= 0 else None
    except SettlementError:
        return None


def first_difference(own: Tree, ask: AskNode, other_count: int) -> int | None:
    """The position of the first leaf at which the other's tree differs, asking once a level; None where none does."""
    longest = max(own.count, other_count)
    level, index = max(longest - 1, 0).bit_length(), 0
    if ask(level, index) == node_at(own, level, index):
        return None
    while level:
        level, index = level - 1, 2 * index
        if ask(level, index) == node_at(own, level, index):
            index += 1  # the left halves agree, so the right ones do not
    return index


def judge(own: RowContent, shown: RowContent) -> Difference | None:
    """The first leaf at which a row that is shown whole differs from one's own, or None."""
    for position in range(max(own.count, shown.count)):
        mine, theirs = leaf_at(own, position), leaf_at(shown, position)
        if mine != theirs:
            return Difference(position, mine, theirs, reason_of(mine, theirs))
    return None


def leaf_at(content: RowContent, position: int) -> FlowLeaf | None:
    """The leaf at a position, or None beyond the last."""
    return content.leaves[position] if 0 <= position < content.count else None


def reason_of(own: FlowLeaf | None, shown: FlowLeaf | None) -> str:
    """In words, what is different between two leaves at one position."""
    if own is None:
        return "a leaf where there is none"
    if shown is None:
        return "a leaf is missing"
    if (own.trade_digest, own.flow) != (shown.trade_digest, shown.flow):
        return "another flow, or another trade's"
    if own.settled_wh != shown.settled_wh:
        return f"settled at {shown.settled_wh} Wh, own figure {own.settled_wh} Wh"
    if own.amount != shown.amount:
        return f"an amount of {shown.amount}, own amount {own.amount}"
    return "another salt"
