"""From a utility's readings to the allocation that it would sign now, whether it should, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from oracle.metering import SIDES, Meter, by_group
from oracle.meters import Direction
from settlement import faults
from settlement.config import Config
from settlement.cycle import NO_READING, Group, UtilityAllocation, allocate_utility
from settlement.faults import Conflict, Fault, Status
from settlement.figures import Marks
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf
from settlement.units import kwh_text, time_text
from store.records import RecordedReading


@dataclass(frozen=True)
class Draft:
    """An allocation before it is signed, the readings that it was made from, and the groups that lack a figure."""

    allocation: UtilityAllocation
    readings: tuple[RecordedReading, ...]
    lacking: tuple[Group, ...]

    @property
    def root(self) -> Hash32:
        """The root that would be signed."""
        return self.allocation.tree.root


def draft(
    utility: Hash32, trades: Sequence[PlacedTrade], readings: Sequence[RecordedReading], cycle: int, config: Config
) -> Draft:
    """What the utility's readings give its trades, by the market's rule. Pure: the same gives the same root."""
    found = by_group(readings)
    groups = sorted(
        {
            (placed.meter(side), placed.trade.slot_start, side)
            for placed in trades
            for side in Side
            if placed.utility(side) == utility
        }
    )
    wanted = frozenset(groups)
    return Draft(
        allocation=allocate_utility(utility, trades, found, cycle, config.allocation_rule),
        readings=tuple(one for one in readings if _group(one) in wanted),
        lacking=tuple(group for group in groups if found.get(group, NO_READING).status is Status.MISSING),
    )


def spoiled(utility: Hash32, trades: Iterable[PlacedTrade], run: int, marks: Marks) -> bool:
    """Whether something of what the utility posted in `run` does not count: a void group, a side unanswered or twice.

    Then even the same leaves have to be posted anew to give a figure.
    """
    for placed in trades:
        for side in Side:
            if placed.utility(side) == utility:
                of_side = marks.of_side(placed.digest, side)
                not_counting = marks.void_runs_of(placed, side) | of_side.unanswered | of_side.twice
                if not_counting >> run & 1:
                    return True
    return False


def defects(made: Draft, trades: Iterable[PlacedTrade], cycle: int, config: Config) -> Iterator[str]:
    """What anybody could prove against the allocation. There should be nothing; if there is, nothing may be signed."""
    by_digest = {placed.digest: placed for placed in trades}
    for leaf in made.allocation.leaves:
        placed = by_digest[leaf.trade_digest]
        fault = faults.fault_of(leaf, made.allocation.utility, placed, cycle, config.allocation_rule)
        if fault is not Fault.NONE:
            yield f"leaf 0x{leaf.trade_digest.hex()}: {fault.name}"
    for _, group in groupby(made.allocation.leaves, key=lambda leaf: (leaf.meter, leaf.slot_start, leaf.side)):
        leaves = list(group)
        for first, second in pairwise(leaves):
            conflict = faults.conflict_of(first, second, config.allocation_rule)
            if conflict is not Conflict.NONE:
                yield f"leaves 0x{first.trade_digest.hex()} and 0x{second.trade_digest.hex()}: {conflict.name}"
        allocated = sum(leaf.allocated_wh for leaf in leaves)
        if allocated > leaves[0].meter_wh:
            yield f"meter 0x{leaves[0].meter.hex()}: {allocated} Wh allocated of {leaves[0].meter_wh} Wh metered"


def outliers(made: Draft, meters: Mapping[str, Meter], limit_percent: int) -> Iterator[str]:
    """Readings that are above their meter's limit by more than is plausible; the meter stands under its pseudonym."""
    for one in made.readings:
        limit = meters[one.meter_id].limit(SIDES[Direction(one.direction)]) if one.meter_id in meters else None
        if limit is not None and one.wh * 100 > limit * limit_percent:
            yield (
                f"meter 0x{one.meter.hex()} {one.direction} from {time_text(one.slot_start)}: "
                f"{kwh_text(one.wh)} kWh, over {limit_percent} % of its limit of {kwh_text(limit)} kWh"
            )


def first_difference(
    own: Sequence[AllocationLeaf], other: Sequence[AllocationLeaf]
) -> tuple[int, AllocationLeaf | None, AllocationLeaf | None] | None:
    """The first position at which two lists of leaves differ, with both leaves (None beyond a list's end), or None."""
    for position in range(max(len(own), len(other))):
        mine = own[position] if position < len(own) else None
        theirs = other[position] if position < len(other) else None
        if mine != theirs:
            return position, mine, theirs
    return None


def _group(one: RecordedReading) -> Group:
    return one.meter, one.slot_start, SIDES[Direction(one.direction)]
