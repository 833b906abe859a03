"""From allocations and marks, over the runs, to the figure of each side, and from both to what a trade settles at.

A figure in run r is the agreed or ruled one recorded before r was sealed, else what the newest leaf that counts
allocates, else none. A trade with a side that has none waits; a market's last run decides without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from settlement import faults, preimages
from settlement.config import Config
from settlement.formula.program import Quantities
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf


class Origin(IntEnum):
    """Where a figure comes from."""

    NONE = 0
    LEAF = 1
    RECORDED = 2


class MarkKind(IntEnum):
    """What happened to a group or a side, numbered as in the accumulator."""

    VOID = 4
    CONTEST = 5
    DEMAND = 6
    ANSWER = 7
    FIGURE = 8
    TWICE = 9


@dataclass(frozen=True, slots=True)
class Figure:
    """The energy of one side, Wh. `run` is the leaf's run, or the one before whose seal the figure was recorded."""

    wh: int
    origin: Origin
    run: int


@dataclass(frozen=True, slots=True)
class SideMarks:
    """What was marked on one side of a trade: bit r of a mask stands for run r.

    `recorded` is the agreed or ruled figure in Wh, if any, `recorded_run` the run before whose seal it was recorded.
    """

    contested: int = 0
    unanswered: int = 0
    twice: int = 0
    recorded: int | None = None
    recorded_run: int = 0

    @classmethod
    def from_word(cls, word: int) -> SideMarks:
        """The marks in a word of AllocationOracle (`docs/protocol.md`, section 8)."""
        has_figure = word >> 24 & 1
        return cls(
            contested=word & 0xFF,
            unanswered=word >> 8 & 0xFF,
            twice=word >> 16 & 0xFF,
            recorded=word >> 64 & (1 << 64) - 1 if has_figure else None,
            recorded_run=word >> 32 & 0xFF if has_figure else 0,
        )

    def to_word(self) -> int:
        """The same as AllocationOracle's word."""
        figure = 0 if self.recorded is None else 1 << 24 | self.recorded_run << 32 | self.recorded << 64
        return self.contested | self.unanswered << 8 | self.twice << 16 | figure


UNMARKED = SideMarks()


@dataclass(frozen=True, slots=True)
class Marks:
    """All marks of a cycle: void runs as a bit mask by group key, marks by side key (`settlement.preimages`)."""

    void_runs: Mapping[Hash32, int] = field(default_factory=dict)
    sides: Mapping[Hash32, SideMarks] = field(default_factory=dict)

    def of_side(self, digest: Hash32, side: Side) -> SideMarks:
        """The marks of one side of a trade."""
        return self.sides.get(preimages.side_key(digest, side), UNMARKED)

    def void_runs_of(self, placed: PlacedTrade, side: Side) -> int:
        """In which runs the group of this side is void."""
        if not self.void_runs:
            return 0
        group = preimages.group_key(placed.utility(side), placed.meter(side), placed.trade.slot_start, side)
        return self.void_runs.get(group, 0)


@dataclass(frozen=True, slots=True)
class SeenLeaf:
    """An allocation leaf in the tree that `utility` posted in `run` (its last attempt)."""

    run: int
    utility: Hash32
    leaf: AllocationLeaf


class LeafIndex:
    """Leaves by trade and side, of whatever part of the posted trees one has seen."""

    def __init__(self, seen: Iterable[SeenLeaf]) -> None:
        self._by_side: dict[tuple[Hash32, int], list[SeenLeaf]] = {}
        for one in seen:
            self._by_side.setdefault((one.leaf.trade_digest, one.leaf.side), []).append(one)

    def of_side(self, digest: Hash32, side: Side) -> Sequence[SeenLeaf]:
        """The leaves of one side of a trade, in whichever trees they stand."""
        return self._by_side.get((digest, side), ())


@dataclass(frozen=True, slots=True)
class Terms:
    """What figures depend on besides leaves and marks: the cycle's number and the market's rules in it."""

    cycle: int
    allocation_rule: int
    last_run: int

    @classmethod
    def of(cls, cycle: int, config: Config) -> Terms:
        """The terms of a cycle under the config version that governs it."""
        return cls(cycle, config.allocation_rule, config.last_run)


def counts(leaf_run: int, run: int, void_runs: int, marks: SideMarks, last_run: int) -> bool:
    """Whether a usable leaf of run `leaf_run`, the only one of its side there, counts in `run`.

    Its group is not void, the side neither unanswered nor twice in the leaf's run, and in at least one run since then
    nobody contested the side; in the last run a contest that ended without a figure is as if not made.
    """
    if leaf_run > run or (void_runs | marks.unanswered | marks.twice) >> leaf_run & 1:
        return False
    since = (1 << run + 1) - (1 << leaf_run)
    return run == last_run or since & ~marks.contested != 0


def figure_of(
    placed: PlacedTrade, side: Side, run: int, seen: Sequence[SeenLeaf], marks: SideMarks, void_runs: int, terms: Terms
) -> Figure | None:
    """The figure of one side in `run`, or None. `seen` are the leaves of this side, `void_runs` its group's mask."""
    if marks.recorded is not None and marks.recorded_run <= run:
        return Figure(marks.recorded, Origin.RECORDED, marks.recorded_run)
    by_run: dict[int, list[AllocationLeaf]] = {}
    for one in seen:
        # A leaf in another utility's tree is that utility's fault and says nothing about this side.
        if one.utility == placed.utility(side):
            by_run.setdefault(one.run, []).append(one.leaf)
    for leaf_run in sorted(by_run, reverse=True):
        leaves = by_run[leaf_run]
        if len(leaves) > 1 or not counts(leaf_run, run, void_runs, marks, terms.last_run):
            continue
        if faults.is_usable(leaves[0], placed.utility(side), placed, terms.cycle, terms.allocation_rule):
            return Figure(leaves[0].allocated_wh, Origin.LEAF, leaf_run)
    return None


class Outcome(Enum):
    """What becomes of a trade in a run."""

    SETTLES = "settles"
    WAITS = "waits"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcome of a trade; its quantities in Wh where it settles."""

    outcome: Outcome
    quantities: Quantities | None = None


def settle(contracted_wh: int, run: int, buyer: Figure | None, seller: Figure | None, terms: Terms) -> Settled:
    """What a trade settles at in `run` from both figures; `contracted_wh` is what curtailment left.

    In the last run a seller without figure counts 0 and a buyer without figure takes the seller's; a trade without
    both comes to nothing, as does one that was curtailed to 0.
    """
    if contracted_wh == 0:
        return Settled(Outcome.NOTHING)
    if buyer is None or seller is None:
        if run < terms.last_run:
            return Settled(Outcome.WAITS)
        if buyer is None and seller is None:
            return Settled(Outcome.NOTHING)
    sold = 0 if seller is None else seller.wh
    bought = sold if buyer is None else buyer.wh
    return Settled(Outcome.SETTLES, Quantities(contracted_wh, min(sold, bought, contracted_wh), bought, sold))
