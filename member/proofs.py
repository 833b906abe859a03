"""Which proof fits which fault: what a watcher shows the chain of a leaf, an attested row or a claim that is wrong.

Nothing is sent from here. What is right gives no proof; what is wrong but cannot be shown with what one has gives
none either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from settlement import faults
from settlement.cycle import RunResult
from settlement.faults import Fault
from settlement.figures import Figure, Marks, Origin
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade, Side
from settlement.rows import leaf_key
from settlement.trade import Claim, FlowLeaf, ShownLeaf
from store.records import ServedLeaf


class LeavesOf:
    """Served leaves by trade, side and run, each only in its own side's utility's tree."""

    def __init__(self, served: Iterable[ServedLeaf]) -> None:
        self._by_side: dict[tuple[Hash32, int], list[ServedLeaf]] = {}
        for one in served:
            self._by_side.setdefault((one.leaf.trade_digest, one.leaf.side), []).append(one)

    def newest_first(self, placed: PlacedTrade, side: Side) -> list[ServedLeaf]:
        """The leaves of one side of a trade, one a run, newest run first."""
        by_run: dict[int, ServedLeaf] = {}
        for one in self._by_side.get((placed.digest, side), ()):
            if one.utility == placed.utility(side):
                by_run.setdefault(one.run, one)
        return [by_run[run] for run in sorted(by_run, reverse=True)]

    def of_run(self, placed: PlacedTrade, side: Side, run: int) -> ShownLeaf | None:
        """The leaf of one side of a trade in a run, as contracts take it."""
        return next((one.shown for one in self.newest_first(placed, side) if one.run == run), None)


# --- what proves a figure ---


def shown_for_figure(leaves: LeavesOf, placed: PlacedTrade, side: Side, figure: Figure | None) -> list[ShownLeaf]:
    """What proves the figure of a side by itself: the leaves that pass, newest run first, down to the one that counts.

    A recorded figure needs none. Where no leaf counts, all are shown, and every posted run has to pass.
    """
    if figure is not None and figure.origin is Origin.RECORDED:
        return []
    found = leaves.newest_first(placed, side)
    return [one.shown for one in found if figure is None or one.run >= figure.run]


def shown_for_claim(leaves: LeavesOf, placed: PlacedTrade, side: Side, figure: Figure | None) -> list[ShownLeaf] | None:
    """What a claim shows of a side: the leaf that counts, or nothing; None where that leaf is not at hand."""
    if figure is None or figure.origin is not Origin.LEAF:
        return []
    leaf = leaves.of_run(placed, side, figure.run)
    return None if leaf is None else [leaf]


# --- allocations ---


@dataclass(frozen=True, slots=True)
class VoidProof:
    """A leaf that voids its group: by itself where `trade` is None, else against that trade."""

    served: ServedLeaf
    fault: Fault
    trade: PlacedTrade | None

    @property
    def group(self) -> tuple[Hash32, Hash32, int, int]:
        """The group that becomes void: utility, meter, slot start, side, as they are written in the leaf."""
        leaf = self.served.leaf
        return self.served.utility, leaf.meter, leaf.slot_start, leaf.side


def void_proofs(
    served: Iterable[ServedLeaf], trades: Mapping[Hash32, PlacedTrade], cycle: int, rule: int
) -> Iterator[VoidProof]:
    """A proof for each group that a leaf shows to be wrong, once; `trades` are those one knows, by digest."""
    proven: set[tuple[Hash32, Hash32, int, int]] = set()
    for one in served:
        trade = trades.get(one.leaf.trade_digest)
        fault = faults.fault_by_rule(one.leaf, rule)
        proof = VoidProof(one, fault, None)
        if not fault and trade is not None:
            fault = faults.fault_by_trade(one.leaf, one.utility, trade, cycle)
            proof = VoidProof(one, fault, trade)
        if fault and proof.group not in proven:
            proven.add(proof.group)
            yield proof


def twice_proofs(served: Iterable[ServedLeaf]) -> Iterator[tuple[ServedLeaf, ServedLeaf]]:
    """Two leaves of one trade and side at different positions of one tree, once for each side."""
    by_side: dict[tuple[int, Hash32, Hash32, int], list[ServedLeaf]] = {}
    for one in served:
        by_side.setdefault((one.run, one.utility, one.leaf.trade_digest, one.leaf.side), []).append(one)
    for found in by_side.values():
        for first, second in combinations(found, 2):
            if first.position != second.position and first.root == second.root:
                yield first, second
                break


# --- attested rows ---


@dataclass(frozen=True, slots=True)
class WrongLeaf:
    """A leaf of somebody's row that its trade does not give: `own` is what it gives between this pair, if anything."""

    position: int
    shown: FlowLeaf
    own: FlowLeaf | None
    trade: PlacedTrade
    buyer: tuple[ShownLeaf, ...]
    seller: tuple[ShownLeaf, ...]


def wrong_leaves(
    pair: Pair,
    shown: Sequence[FlowLeaf],
    result: RunResult,
    trades: Mapping[Hash32, PlacedTrade],
    leaves: LeavesOf,
) -> Iterator[WrongLeaf]:
    """The leaves of a row that are wrong, with what proves it; leaves of trades one does not know cannot be judged."""
    row = result.rows.get(pair)
    own = {leaf_key(leaf): leaf for leaf in row.leaves} if row else {}
    for position, leaf in enumerate(shown):
        trade = trades.get(leaf.trade_digest)
        mine = own.get(leaf_key(leaf))
        if trade is None or leaf == mine:
            continue
        buyer, seller = (
            tuple(shown_for_figure(leaves, trade, side, result.figures.get((trade.digest, side)))) for side in Side
        )
        yield WrongLeaf(position, leaf, mine, trade, buyer, seller)


# --- claims ---


@dataclass(frozen=True, slots=True)
class ClaimFault:
    """What ends a claim: a leaf that is newer than the claimed one, or (None) the mark twice on the claimed one."""

    side: Side
    newer: ShownLeaf | None


def claim_fault(
    claim: Claim, placed: PlacedTrade, figure: Mapping[Side, Figure | None], leaves: LeavesOf, marks: Marks
) -> ClaimFault | None:
    """What is wrong with the figures that a claim shows, or None; `figure` are one's own in the claim's run."""
    for side, (origin, run) in _claimed(claim).items():
        if origin is Origin.LEAF and marks.of_side(placed.digest, side).twice >> run & 1:
            return ClaimFault(side, None)
        own = figure[side]
        if own is None or own.origin is not Origin.LEAF:
            continue
        if origin is Origin.NONE or (origin is Origin.LEAF and own.run > run):
            newer = leaves.of_run(placed, side, own.run)
            if newer is not None:
                return ClaimFault(side, newer)
    return None


def claims_figures(claim: Claim, figure: Mapping[Side, Figure | None]) -> bool:
    """Whether a claim shows just these figures, by where they come from."""
    own = {side: (Origin.NONE, 0) if one is None else (one.origin, one.run) for side, one in figure.items()}
    return own == _claimed(claim)


def _claimed(claim: Claim) -> dict[Side, tuple[Origin, int]]:
    """Where the figures that a claim shows come from, and of which run a leaf is."""
    return {
        Side.BUYER: (Origin(claim.buyer_origin), claim.buyer_run),
        Side.SELLER: (Origin(claim.seller_origin), claim.seller_run),
    }
