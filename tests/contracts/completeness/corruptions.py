"""What a liar can make of an honest tree or row by changing one thing.

Every change is small and plain: a field a little off, at its bounds, or like its neighbour's; a leaf left out, put in
twice, moved. What changes several things so that they fit each other again is in `test_not_promised.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeVar

from settlement.allocation import share_rule
from settlement.hashing import keccak256
from settlement.rows import leaf_key
from settlement.trade import AllocationLeaf, FlowLeaf

Leaf = TypeVar("Leaf", AllocationLeaf, FlowLeaf)

MISSING = 2
# Bits of the leaves' fields; words have none.
BITS = {
    "commitment": 64,
    "index": 64,
    "side": 8,
    "slot_start": 64,
    "contracted_wh": 64,
    "contracted_before": 64,
    "meter_wh": 64,
    "contracted_total_wh": 64,
    "status": 8,
    "allocated_wh": 64,
    "flow": 8,
    "settled_wh": 64,
    "amount": 96,
}


@dataclass(frozen=True)
class Corruption(Generic[Leaf]):
    """Leaves with one thing changed: what it is, where, and what came of it; `touched` are the places to look at."""

    what: str
    said: str
    leaves: tuple[Leaf, ...]
    touched: tuple[int, ...]


def other_values(leaves: Sequence[Leaf], place: int, field: str) -> list[Any]:
    """What stands in the field's place: next to the true value, at the bounds, or what a neighbour has."""
    true = getattr(leaves[place], field)
    neighbours = [getattr(leaves[other], field) for other in (place - 1, place + 1) if 0 <= other < len(leaves)]
    if isinstance(true, bytes):
        values = [keccak256(true), *neighbours]
    else:
        bound = (1 << BITS[field]) - 1
        values = [true + 1, true - 1, 0, bound, *neighbours]
        values = [value for value in values if 0 <= value <= bound]
    return [value for value in dict.fromkeys(values) if value != true]


def of_field(leaves: Sequence[Leaf], field: str) -> Iterator[Corruption[Leaf]]:
    """Each leaf with each other value of one field."""
    for place, leaf in enumerate(leaves):
        for value in other_values(leaves, place, field):
            wrong: Any = {field: value}
            changed = (*leaves[:place], replace(leaf, **wrong), *leaves[place + 1 :])
            yield Corruption(field, f"leaf {place}: {field} = {shown(value)}", changed, (place,))


def of_fitted(leaves: Sequence[AllocationLeaf], field: str, rule: int) -> Iterator[Corruption[AllocationLeaf]]:
    """The same of a field that the rule reads, with the leaf's allocation made to follow from it."""
    for lie in of_field(leaves, field):
        (place,) = lie.touched
        leaf = lie.leaves[place]
        if leaf.contracted_total_wh == 0:
            continue  # a share of nothing follows from no rule
        other = fitted(leaf, rule)
        if leaf.status != MISSING and other != leaf and other.allocated_wh < 1 << 64:
            leaves = (*lie.leaves[:place], other, *lie.leaves[place + 1 :])
            yield Corruption(f"{field}, fitted", f"{lie.said}, fitted", leaves, (place,))


def fitted(leaf: AllocationLeaf, rule: int) -> AllocationLeaf:
    """The leaf with the allocation that follows from its other fields."""
    share = share_rule(rule)(leaf.meter_wh, leaf.contracted_wh, leaf.contracted_before, leaf.contracted_total_wh)
    return replace(leaf, allocated_wh=share)


def of_tree(leaves: Sequence[Leaf]) -> Iterator[Corruption[Leaf]]:
    """Leaves left out, twice, exchanged, in other order, or none at all."""
    listed = tuple(leaves)
    for place, leaf in enumerate(listed):
        yield Corruption("omission", f"without leaf {place}", (*listed[:place], *listed[place + 1 :]), ())
        twice = (*listed[: place + 1], leaf, *listed[place + 1 :])
        yield Corruption("duplication", f"leaf {place} twice", twice, (place, place + 1))
        yield Corruption("duplication", f"leaf {place} again at the end", (*listed, leaf), (place, len(listed)))
        if place:
            swapped = (*listed[: place - 1], leaf, listed[place - 1], *listed[place + 1 :])
            yield Corruption("order", f"leaves {place - 1} and {place} exchanged", swapped, (place - 1, place))
            doubled = (*listed[:place], listed[place - 1], *listed[place + 1 :])
            yield Corruption("substitution", f"leaf {place - 1} in place of {place}", doubled, (place - 1, place))
    if len(listed) > 1:
        yield Corruption("order", "reversed", listed[::-1], tuple(range(len(listed))))
    yield Corruption("omission", "no leaf at all", (), ())


def of_row(leaves: Sequence[FlowLeaf], foreign: FlowLeaf) -> Iterator[Corruption[FlowLeaf]]:
    """What can be done to a row as a whole by one who keeps its leaves in order: one added, one in another's place.

    `foreign` is a right leaf of another pair.
    """
    first = leaves[0]
    phantom = replace(first, trade_digest=keccak256(first.trade_digest))
    other_flow = replace(first, flow=first.flow + 1)
    for what, leaf in (("phantom", phantom), ("foreign", foreign), ("other flow", other_flow)):
        ordered = tuple(sorted((*leaves, leaf), key=leaf_key))
        yield Corruption("addition", f"a {what} leaf added", ordered, (ordered.index(leaf),))
        for place in range(len(leaves)):
            instead = tuple(sorted((*leaves[:place], leaf, *leaves[place + 1 :]), key=leaf_key))
            yield Corruption("substitution", f"a {what} leaf in place of {place}", instead, (instead.index(leaf),))


def shown(value: Any) -> str:
    """A value in short."""
    return value.hex()[:8] if isinstance(value, bytes) else str(value)


FITTED_FIELDS = ("contracted_wh", "contracted_before", "meter_wh", "contracted_total_wh")
ALLOCATION_FIELDS = tuple(field.name for field in fields(AllocationLeaf))
FLOW_FIELDS = tuple(field.name for field in fields(FlowLeaf))
