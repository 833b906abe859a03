"""From flow leaves to rows: what one member owes another in a cycle, cumulative over its runs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from settlement import preimages
from settlement.errors import SettlementError
from settlement.flows import Pair, PairLeaf
from settlement.hashing import Hash32
from settlement.merkle import Tree
from settlement.trade import FlowLeaf, Row
from settlement.units import AMOUNT_BOUND


@dataclass(frozen=True)
class RowContent:
    """What a row says before it is given a run, a version and its inputs: all leaves of a pair, in order.

    Raises SettlementError for leaves out of order or repeated, and for a sum of 2^96 and more.
    """

    payer: Hash32
    payee: Hash32
    leaves: tuple[FlowLeaf, ...]

    def __post_init__(self) -> None:
        keys = [leaf_key(leaf) for leaf in self.leaves]
        if any(left >= right for left, right in pairwise(keys)):
            raise SettlementError("leaves", len(keys), "not strictly ordered by (tradeDigest, flow)")
        if self.amount >= AMOUNT_BOUND:
            raise SettlementError("amount", self.amount, "a row of 2^96 base units or more")

    @cached_property
    def amount(self) -> int:
        """The sum over the leaves, base units."""
        return sum(leaf.amount for leaf in self.leaves)

    @property
    def count(self) -> int:
        """The number of leaves."""
        return len(self.leaves)

    @cached_property
    def tree(self) -> Tree:
        """The tree over the leaves."""
        return Tree([preimages.flow_leaf(leaf) for leaf in self.leaves])

    @property
    def root(self) -> Hash32:
        """The root over the leaves; of the empty tree where there are none."""
        return self.tree.root

    def row(self, cycle: int, run: int, version: int, inputs: Hash32, keep: int = 0) -> Row:
        """The row to sign or attest. `keep` is what stays locked for trades that wait (agreed rows only)."""
        return Row(cycle, run, version, self.payer, self.payee, self.amount, self.count, self.root, keep, inputs)

    def gap(self, trade_digest: Hash32, flow: int) -> int | None:
        """Where a missing leaf would stand: between positions gap − 1 and gap. None where the leaf is there."""
        key = (trade_digest, flow)
        place = bisect_left(self.leaves, key, key=leaf_key)
        if place < self.count and leaf_key(self.leaves[place]) == key:
            return None
        return place


def leaf_key(leaf: FlowLeaf) -> tuple[Hash32, int]:
    """What leaves of a row are ordered by; bytes32 compare as big-endian integers."""
    return leaf.trade_digest, leaf.flow


def rows_of(leaves: Iterable[PairLeaf]) -> dict[Pair, RowContent]:
    """The rows of all pairs that have a leaf, by pair in ascending order. Raises SettlementError like RowContent."""
    by_pair: dict[Pair, list[FlowLeaf]] = {}
    for one in leaves:
        by_pair.setdefault(one.pair, []).append(one.leaf)
    return {pair: RowContent(*pair, tuple(sorted(by_pair[pair], key=leaf_key))) for pair in sorted(by_pair)}


def empty_row(payer: Hash32, payee: Hash32) -> RowContent:
    """A row without leaves: it owes nothing and releases a lock."""
    return RowContent(payer, payee, ())


def keep_of(waiting: Iterable[tuple[Pair, int]]) -> dict[Pair, int]:
    """What each pair should keep locked: the sum over its waiting flows (`flows.waiting_amounts`), below 2^96."""
    keep: dict[Pair, int] = {}
    for pair, amount in waiting:
        keep[pair] = min(keep.get(pair, 0) + amount, AMOUNT_BOUND - 1)
    return {pair: keep[pair] for pair in sorted(keep) if keep[pair]}
