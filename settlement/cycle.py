"""The whole computation of a cycle, as plainly as it can be written: what everything else is compared with.

Readings and trades give each utility's allocation; allocations and marks give each side's figure; figures give flows;
flows give rows. The steps also stand alone: a utility runs `allocate_utility` on what it sees, a member
`member_rows` on its own trades and both sides' leaves of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from settlement import allocation, figures, preimages
from settlement.config import Config
from settlement.errors import SettlementError
from settlement.faults import Status
from settlement.figures import Figure, LeafIndex, Marks, Outcome, SeenLeaf, Settled, Terms
from settlement.flows import Pair, PairLeaf, flow_leaves, waiting_amounts
from settlement.formula.templates import Template
from settlement.hashing import Hash32
from settlement.merkle import Tree
from settlement.placed import PlacedTrade, Side, once_each
from settlement.rows import RowContent, keep_of, rows_of
from settlement.trade import Allocation, AllocationLeaf

Group = tuple[Hash32, int, Side]
"""Within a utility: (meter, slot start, side), the trades that one reading is allocated to."""


@dataclass(frozen=True, slots=True)
class SlotReading:
    """What a meter delivered (seller's side) or consumed (buyer's side) in a slot, Wh; a MISSING one has none."""

    wh: int
    status: Status = Status.READ


NO_READING = SlotReading(0, Status.MISSING)
Readings = Mapping[Group, SlotReading]


@dataclass(frozen=True)
class UtilityAllocation:
    """A utility's allocation of a cycle: its leaves in order, and their tree."""

    utility: Hash32
    leaves: tuple[AllocationLeaf, ...]

    @cached_property
    def tree(self) -> Tree:
        """The tree whose root the utility signs."""
        return Tree([preimages.allocation_leaf(leaf) for leaf in self.leaves])

    def statement(self, cycle: int, run: int, attempt: int, config_digest: Hash32) -> Allocation:
        """What the utility signs and posts."""
        return Allocation(cycle, run, attempt, self.utility, self.tree.root, len(self.leaves), config_digest)

    def seen(self, run: int) -> Iterable[SeenLeaf]:
        """The leaves as they stand in the tree posted in `run`."""
        return (SeenLeaf(run, self.utility, leaf) for leaf in self.leaves)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run comes to, for the trades it was computed from.

    `figures` by (trade digest, side), `settled` by trade digest, `rows` and `keep` (base units) by (payer, payee).
    """

    figures: Mapping[tuple[Hash32, Side], Figure | None]
    settled: Mapping[Hash32, Settled]
    rows: Mapping[Pair, RowContent]
    keep: Mapping[Pair, int]


@dataclass(frozen=True, slots=True)
class CycleInputs:
    """All inputs of a cycle up to `run`.

    `trades` are those that count (`settlement.validity`), `readings` what each utility allocated from in each run; a
    utility that a run does not list posted nothing in it. `templates` are by id.
    """

    cycle: int
    run: int
    config: Config
    templates: Mapping[Hash32, Template]
    trades: tuple[PlacedTrade, ...]
    readings: Mapping[int, Mapping[Hash32, Readings]]
    marks: Marks = field(default_factory=Marks)


@dataclass(frozen=True, slots=True)
class CycleResult:
    """Allocations by (run, utility), and the result of the run asked for."""

    allocations: Mapping[tuple[int, Hash32], UtilityAllocation]
    result: RunResult


def allocate_utility(
    utility: Hash32, trades: Iterable[PlacedTrade], readings: Readings, cycle: int, allocation_rule: int
) -> UtilityAllocation:
    """Divides a utility's readings among the trades of its meters.

    `trades` may hold others' trades; each of the utility's is allocated once, at the lowest place given. A group
    without a reading is MISSING. Raises SettlementError for an unknown rule and a MISSING reading that has energy.
    """
    allocate = allocation.rule(allocation_rule)
    mine = [
        ((placed.meter(side), placed.trade.slot_start, side), placed)
        for placed in once_each(trades)
        for side in Side
        if placed.utility(side) == utility
    ]
    mine.sort(key=lambda one: (one[0], one[1].number, one[1].index))
    leaves: list[AllocationLeaf] = []
    for group, members in groupby(mine, key=lambda one: one[0]):
        placed_here = [placed for _, placed in members]
        reading = readings.get(group, NO_READING)
        if reading.status is Status.MISSING and reading.wh:
            raise SettlementError("reading", reading.wh, "a missing reading has no energy")
        shares = allocate(reading.wh, [placed.contracted_wh for placed in placed_here])
        leaves += _group_leaves(group, placed_here, reading, shares, cycle)
    return UtilityAllocation(utility, tuple(leaves))


def settle_run(
    run: int,
    trades: Iterable[PlacedTrade],
    seen: Iterable[SeenLeaf],
    marks: Marks,
    templates: Mapping[Hash32, Template],
    terms: Terms,
) -> RunResult:
    """Figures, outcomes, rows and proposed locks of `run`, from the leaves of all runs up to it.

    Raises SettlementError where a trade's template is not among `templates` or does not fit it.
    """
    leaves = LeafIndex(seen)
    found: dict[tuple[Hash32, Side], Figure | None] = {}
    settled: dict[Hash32, Settled] = {}
    flowing: list[PairLeaf] = []
    waiting: list[tuple[Pair, int]] = []
    for placed in once_each(trades):
        buyer, seller = (
            figures.figure_of(
                placed,
                side,
                run,
                leaves.of_side(placed.digest, side),
                marks.of_side(placed.digest, side),
                marks.void_runs_of(placed, side),
                terms,
            )
            for side in Side
        )
        found[placed.digest, Side.BUYER], found[placed.digest, Side.SELLER] = buyer, seller
        outcome = figures.settle(placed.contracted_wh, run, buyer, seller, terms)
        settled[placed.digest] = outcome
        template = _template(placed, templates)
        if outcome.quantities is not None:
            flowing += flow_leaves(placed, template, outcome.quantities, terms.cycle)
        elif outcome.outcome is Outcome.WAITS:
            waiting += waiting_amounts(placed, template)
    return RunResult(found, settled, rows_of(flowing), keep_of(waiting))


def member_rows(
    member: Hash32,
    run: int,
    trades: Iterable[PlacedTrade],
    seen: Iterable[SeenLeaf],
    marks: Marks,
    templates: Mapping[Hash32, Template],
    terms: Terms,
) -> dict[Pair, RowContent]:
    """The rows of one member, from its own trades and both sides' leaves of those; nothing else is needed."""
    result = settle_run(run, trades, seen, marks, templates, terms)
    return {pair: row for pair, row in result.rows.items() if member in pair}


def compute_cycle(inputs: CycleInputs) -> CycleResult:
    """The whole computation from readings, for the run asked for. Raises like the steps it is made of."""
    terms = Terms.of(inputs.cycle, inputs.config)
    allocations = {
        (run, utility): allocate_utility(utility, inputs.trades, readings, terms.cycle, terms.allocation_rule)
        for run, by_utility in sorted(inputs.readings.items())
        if run <= inputs.run
        for utility, readings in sorted(by_utility.items())
    }
    seen = [one for (run, _), posted in allocations.items() for one in posted.seen(run)]
    result = settle_run(inputs.run, inputs.trades, seen, inputs.marks, inputs.templates, terms)
    return CycleResult(allocations, result)


def _group_leaves(
    group: Group, placed_here: list[PlacedTrade], reading: SlotReading, shares: list[int], cycle: int
) -> Iterable[AllocationLeaf]:
    meter, slot_start, side = group
    total = sum(placed.contracted_wh for placed in placed_here)
    before = 0
    for placed, share in zip(placed_here, shares, strict=True):
        yield AllocationLeaf(
            trade_digest=placed.digest,
            commitment=placed.number,
            index=placed.index,
            side=int(side),
            meter=meter,
            slot_start=slot_start,
            contracted_wh=placed.contracted_wh,
            contracted_before=before,
            meter_wh=reading.wh,
            contracted_total_wh=total,
            status=int(reading.status),
            allocated_wh=share,
            salt=preimages.allocation_salt(placed.trade.salt, cycle, side),
        )
        before += placed.contracted_wh


def _template(placed: PlacedTrade, templates: Mapping[Hash32, Template]) -> Template:
    try:
        return templates[placed.trade.template]
    except KeyError:
        raise SettlementError("template", placed.trade.template, "is not known") from None
