"""What each day shows beyond the usual, and to which trades it happens: chosen by a predicate on the data.

A predicate that nothing fits fails loudly: a demo that silently shows nothing would be a lie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from demo.homes import Home
from demo.market import PlannedTrade
from settlement.cycle import UtilityAllocation
from settlement.trade import AllocationLeaf

MOST_EXTRA_WH = 100

TEXTS: dict[int, tuple[str, str]] = {
    1: ("nothing special", "agreed rows: locked money paid at once, the rest owed"),
    2: (
        "the guaranteed pair signs early, both ways",
        "paid an hour after the day; the sealed inputs give the same, nothing is left to sign",
    ),
    3: ("one platform does not answer", "its rows are attested by 3 of 4, published, applied after their window"),
    4: (
        "three attestors sign a false row",
        "a party's own program strikes it by one proof; the right row is applied",
    ),
    5: ("a utility gives one trade more than the rule", "the group is voided by one proof; its trades settle in run 1"),
    6: ("one reading is missing, one trade is curtailed", "the meter's trades settle in run 1, the other at less"),
    7: (
        "trades are registered one by one, neither payer nor quorum signs",
        "the chain computes and pays each after the claim's window",
    ),
}


class StoryDoesNotFit(Exception):
    """No trade of the day is such that its story could happen to it."""


@dataclass(frozen=True, slots=True, order=True)
class Generosity:
    """A leaf to which a utility gives more than the rule: by how many Wh, and its position.

    In between stands what decides between several: fewer trades in the group, then more that its meter read.
    """

    extra_wh: int
    fewness: int
    meter_wh: int
    position: int


def generous_leaf(allocation: UtilityAllocation) -> Generosity | None:
    """Day 5: the trade of a short meter (several trades, reading below their sum) that has most room."""
    found: list[Generosity] = []
    position = 0
    for _, group in groupby(allocation.leaves, key=lambda leaf: (leaf.meter, leaf.slot_start, leaf.side)):
        leaves = list(group)
        if len(leaves) > 1 and 0 < leaves[0].meter_wh < leaves[0].contracted_total_wh:
            for offset, leaf in enumerate(leaves):
                room = min(MOST_EXTRA_WH, leaf.contracted_wh - leaf.allocated_wh)
                if room:
                    found.append(Generosity(room, -len(leaves), leaf.meter_wh, position + offset))
        position += len(leaves)
    return max(found, default=None)


def generous(allocation: UtilityAllocation, to: Generosity) -> UtilityAllocation:
    """The allocation with one leaf raised."""

    def raised(leaf: AllocationLeaf) -> AllocationLeaf:
        return replace(leaf, allocated_wh=leaf.allocated_wh + to.extra_wh)

    leaves = list(allocation.leaves)
    leaves[to.position] = raised(leaves[to.position])
    return UtilityAllocation(allocation.utility, tuple(leaves))


def missing_reading(plans: Iterable[PlannedTrade]) -> tuple[int, int]:
    """Day 6: the (seller's home, hour) with the most trades, whose reading does not come in time."""
    counts = Counter((plan.seller_home, plan.hour) for plan in plans)
    place, trades = max(counts.items(), key=lambda item: (item[1], item[0]))
    if trades < 2:
        raise StoryDoesNotFit("day 6: no seller with several trades in an hour")
    return place


def curtailable(plans: Sequence[PlannedTrade], homes: Sequence[Home], missing: tuple[int, int]) -> PlannedTrade:
    """Day 6: the largest trade that would settle in full, on other meters than the missing one's."""
    sold = Counter[tuple[int, int]]()
    bought = Counter[tuple[int, int]]()
    for plan in plans:
        sold[plan.seller_home, plan.hour] += plan.wh
        bought[plan.buyer_home, plan.hour] += plan.wh

    def settles_in_full(plan: PlannedTrade) -> bool:
        return (
            (plan.seller_home, plan.hour) != missing
            and (plan.buyer_home, plan.hour) != missing
            and homes[plan.seller_home].exported_wh(plan.day, plan.hour) >= sold[plan.seller_home, plan.hour]
            and homes[plan.buyer_home].imported_wh(plan.day, plan.hour) >= bought[plan.buyer_home, plan.hour]
        )

    fitting = [plan for plan in plans if settles_in_full(plan)]
    if not fitting:
        raise StoryDoesNotFit("day 6: no trade that settles in full")
    return max(fitting, key=lambda plan: (plan.wh, plan))
