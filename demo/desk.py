"""A member's desk: the folder with what the member was given, the key it signs with, and what it computes from both.

Nothing here sees another member's folder. What others serve (trades with their proofs, leaves with theirs) is written
into the folder with the tables of `docs/protocol.md`, section 11; what is public (marks, sealed inputs) comes from the
chain and is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from demo.calendar import CONFIG
from demo.members import Member
from settlement import cycle as rules
from settlement.figures import Marks, SeenLeaf, Terms
from settlement.flows import Pair
from settlement.formula.templates import SHIPPED_BY_ID
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade as CountingTrade
from settlement.rows import RowContent
from settlement.trade import AllocationLeaf, ShownLeaf
from store.folders import read_table, run_folder, write_table
from store.records import PlacedTrade, RecordedCommitment, RecordedCurtailment
from store.tables import COMMITMENTS, CURTAILMENTS, TRADES, Table


@dataclass(frozen=True, slots=True)
class ServedLeaf:
    """A leaf as its utility serves it to the signers of the trade: position and proof in the tree it posted."""

    run: int
    utility: Hash32
    root: Hash32
    count: int
    position: int
    leaf: AllocationLeaf
    path: tuple[Hash32, ...]

    @property
    def shown(self) -> ShownLeaf:
        """As contracts take it."""
        return ShownLeaf(self.run, self.root, self.count, self.position, self.leaf, self.path)


SERVED_LEAVES = Table("served_leaves", ServedLeaf)


def counting(placed: Iterable[PlacedTrade], curtailments: Iterable[RecordedCurtailment]) -> tuple[CountingTrade, ...]:
    """Trades with what is contracted after curtailment; the lowest curtailment counts."""
    lowest: dict[Hash32, int] = {}
    for one in curtailments:
        lowest[one.trade_digest] = min(one.contracted_wh, lowest.get(one.trade_digest, one.contracted_wh))
    return tuple(
        CountingTrade(
            one.digest,
            one.trade,
            one.number,
            one.index,
            min(one.trade.contracted_wh, lowest.get(one.digest, one.trade.contracted_wh)),
        )
        for one in placed
    )


@dataclass(frozen=True)
class Desk:
    """What `owner` has in its folder, by cycle."""

    owner: Member

    def file_trades(
        self,
        cycle: int,
        commitments: Iterable[RecordedCommitment],
        trades: Iterable[PlacedTrade],
        curtailments: Iterable[RecordedCurtailment],
    ) -> None:
        """Puts the owner's trades of a cycle into its folder, with the records of the commitments they stand in."""
        mine = [one for one in trades if self.owner.id in one.trade.signers]
        numbers = {one.number for one in mine}
        folder = self._folder(cycle)
        write_table(folder, TRADES, mine)
        write_table(folder, COMMITMENTS, [one for one in commitments if one.number in numbers])
        write_table(folder, CURTAILMENTS, [one for one in curtailments if one.number in numbers])

    def file_leaves(self, cycle: int, run: int, served: Iterable[ServedLeaf]) -> None:
        """Puts the leaves that a run's utilities served for the owner's trades into its folder."""
        mine = {one.digest for one in self.trades(cycle)}
        write_table(
            run_folder(self.owner.folder, cycle, run),
            SERVED_LEAVES,
            [one for one in served if one.leaf.trade_digest in mine],
        )

    def trades(self, cycle: int) -> tuple[PlacedTrade, ...]:
        """The owner's trades of a cycle."""
        return read_table(self._folder(cycle), TRADES)

    def counting(self, cycle: int) -> tuple[CountingTrade, ...]:
        """The same as the rules take them, curtailed."""
        return counting(self.trades(cycle), read_table(self._folder(cycle), CURTAILMENTS))

    def commitment(self, cycle: int, number: int) -> RecordedCommitment:
        """The record of a commitment that holds trades of the owner."""
        return next(one for one in read_table(self._folder(cycle), COMMITMENTS) if one.number == number)

    def served(self, cycle: int, run: int) -> tuple[ServedLeaf, ...]:
        """The leaves served up to a run; a run that served none adds none."""
        folders = (run_folder(self.owner.folder, cycle, earlier) for earlier in range(run + 1))
        return tuple(
            leaf
            for folder in folders
            if (folder / SERVED_LEAVES.file).is_file()
            for leaf in read_table(folder, SERVED_LEAVES)
        )

    def result(self, cycle: int, run: int, marks: Marks) -> rules.RunResult:
        """What the owner's trades of a cycle come to in a run."""
        return result_of(cycle, run, self.counting(cycle), self.served(cycle, run), marks)

    def row(self, cycle: int, run: int, marks: Marks, pair: Pair) -> tuple[RowContent, int]:
        """The row between the owner and another member, and what should stay locked for trades that wait."""
        result = self.result(cycle, run, marks)
        return result.rows.get(pair, RowContent(*pair, ())), result.keep.get(pair, 0)

    def _folder(self, cycle: int) -> Path:
        return self.owner.folder / "cycles" / str(cycle)


def result_of(
    cycle: int, run: int, trades: Iterable[CountingTrade], served: Iterable[ServedLeaf], marks: Marks
) -> rules.RunResult:
    """The rules on trades and served leaves."""
    seen = (SeenLeaf(one.run, one.utility, one.leaf) for one in served)
    return rules.settle_run(run, trades, seen, marks, SHIPPED_BY_ID, Terms.of(cycle, CONFIG))


def serve(run: int, allocation: rules.UtilityAllocation) -> tuple[ServedLeaf, ...]:
    """All leaves of a utility's posted tree with their proofs."""
    tree = allocation.tree
    return tuple(
        ServedLeaf(run, allocation.utility, tree.root, len(allocation.leaves), position, leaf, tree.path(position))
        for position, leaf in enumerate(allocation.leaves)
    )
