"""A member's desk: what it was given, the key it signs with, and what it computes from both.

Trades and leaves come from others and count only as the chain, as followed now, bears them out: a place is valid, a
leaf stands in the tree that its utility posted last. So a reorganisation needs no clearing up here. What is public
(commitments, curtailments, marks, sealed inputs) comes from the chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chain.evidence import Evidence
from member.errors import NotKnown
from member.kept import Kept
from member.market import Market
from member.packets import Packet
from settlement import cycle as rules
from settlement import merkle, preimages, typed_data
from settlement.figures import Marks, SeenLeaf, Terms
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.identity import member_id
from settlement.placed import PlacedTrade as CountingTrade
from settlement.rows import RowContent, empty_row
from settlement.trade import Commitment, Signature
from settlement.typed_data import Domain
from settlement.validity import Registry, place_fault
from store.database import Database
from store.desk import DeskStore
from store.records import PlacedTrade, RecordedCommitment, RecordedCurtailment, ServedLeaf

_MOST_JUDGED: Final = 100_000


@dataclass(frozen=True, slots=True)
class Member:
    """Who a daemon is: its name in messages, its id on chain, and its hot key, which is never shown."""

    subscriber: str
    key: bytes = field(repr=False)

    @property
    def id(self) -> Hash32:
        """The member's id."""
        return member_id(self.subscriber)

    def sign(self, domain: Domain, value: object) -> Signature:
        """The member's signature of a typed object."""
        return self.sign_digest(domain.digest(value))

    def sign_digest(self, digest: Hash32) -> Signature:
        """The member's signature of a digest."""
        return typed_data.sign(self.key, digest)


class WatchedStore(DeskStore):
    """The desk's store, which notices when what rows are computed from has changed: one process writes a desk."""

    def __init__(self, database: Database) -> None:
        """As in `DeskStore`."""
        super().__init__(database)
        self._changes: Counter[int] = Counter()

    def changes(self, cycle: int) -> int:
        """How often places or leaves of a cycle were written."""
        return self._changes[cycle]

    def place(self, placed: Sequence[PlacedTrade], cycle: int) -> None:
        """As in `DeskStore`."""
        super().place(placed, cycle)
        self._changes[cycle] += 1  # afterwards: whoever counted before has read before

    def keep_leaves(self, cycle: int, run: int, served: Sequence[ServedLeaf]) -> None:
        """As in `DeskStore`."""
        super().keep_leaves(cycle, run, served)
        self._changes[cycle] += 1


@dataclass(frozen=True, slots=True)
class _Computed:
    """What a run comes to, and all that it was computed from."""

    trades: tuple[CountingTrade, ...]
    served: tuple[ServedLeaf, ...]
    marks: Marks
    result: rules.RunResult


class Desk:
    """The desk of one member. Any thread may use it; what it computes it keeps until something behind it changes."""

    def __init__(self, market: Market, store: WatchedStore, me: Member) -> None:
        self.market = market
        self.store = store
        self.me = me
        self._judge = PlaceJudge(market)
        self._proven: set[ServedLeaf] = set()
        self._stored = Kept[int, tuple[PlacedTrade, ...]]()
        self._placed = Kept[int, tuple[PlacedTrade, ...]]()
        self._leaves = Kept[tuple[int, int], tuple[ServedLeaf, ...]]()
        self._computed = Kept[tuple[int, int], _Computed]()

    # --- what one has ---

    def placed(self, cycle: int) -> tuple[PlacedTrade, ...]:
        """The member's trades of a cycle at their valid places; registered ones are read from the chain."""
        evidence, changes = self.market.cycle(cycle), self.store.changes(cycle)

        def make(_: object) -> tuple[PlacedTrade, ...]:
            stored = self._stored.get(cycle, (changes,), lambda _: self.store.placed(cycle))
            found = {(one.number, one.index): one for one in (*stored, *self._registered(evidence))}
            return tuple(found[place] for place in sorted(found) if self.place_fault(found[place]) is None)

        return self._placed.get(cycle, (evidence, changes), make)

    def cycles(self) -> tuple[int, ...]:
        """The cycles in which the member has a trade."""
        return tuple(cycle for cycle in self.market.cycles() if self.placed(cycle))

    def counting(self, cycle: int) -> tuple[CountingTrade, ...]:
        """The member's trades of a cycle as the rules take them: once each, with what curtailment left."""
        return counting(self.placed(cycle), self.market.curtailments(cycle))

    def commitment(self, number: int) -> RecordedCommitment:
        """The record of a commitment. NotKnown for one that is not followed."""
        found = self.market.commitment(number)
        if found is None:
            raise NotKnown(f"commitment {number} is not followed")
        return RecordedCommitment(number, found.record)

    def served(self, cycle: int, run: int) -> tuple[ServedLeaf, ...]:
        """The leaves of the member's trades in the trees posted up to a run, as far as they were served to it."""
        return self._compute(cycle, run).served

    # --- what it comes to ---

    def result(self, cycle: int, run: int) -> rules.RunResult:
        """What the member's trades of a cycle come to in a run."""
        return self._compute(cycle, run).result

    def row(self, cycle: int, run: int, pair: Pair) -> tuple[RowContent, int]:
        """The row between the member and another, and what should stay locked for trades that wait, base units."""
        result = self.result(cycle, run)
        return result.rows.get(pair) or empty_row(*pair), result.keep.get(pair, 0)

    def pairs(self, cycle: int, run: int) -> tuple[Pair, ...]:
        """The member's ordered pairs that have a flow in the run or a lock in the cycle, in ascending order."""
        locks = (lock for one in self.market.cycle(cycle).commitments.values() for lock in one.locks)
        found = {*self.result(cycle, run).rows, *((lock.payer, lock.payee) for lock in locks)}
        return tuple(sorted(pair for pair in found if self.me.id in pair))

    def packet(self, cycle: int, run: int, pair: Pair) -> Packet:
        """What an attestor needs to compute a row: the trades in it with places and signatures, and their leaves."""
        digests = {leaf.trade_digest for leaf in self.row(cycle, run, pair)[0].leaves}
        trades = tuple(one for one in self.placed(cycle) if one.digest in digests)
        commitments = tuple(self.commitment(number) for number in sorted({one.number for one in trades}))
        served = tuple(one for one in self.served(cycle, run) if one.leaf.trade_digest in digests)
        return Packet(cycle, run, *pair, trades, commitments, served)

    def sign(self, value: object) -> Signature:
        """The member's signature of a typed object of this market."""
        return self.me.sign(self.market.domain, value)

    # --- what the chain says about what others give ---

    def place_fault(self, placed: PlacedTrade) -> str | None:
        """Why a trade is not at a valid place, in the words of the contract, or None where it is."""
        return self._judge.fault(placed)

    def leaf_fault(self, cycle: int, served: ServedLeaf) -> str | None:
        """Why a leaf does not stand in the tree that its utility posted last in the run, or None where it does."""
        posted = self.market.posted(cycle, served.run, served.utility)
        if posted is None:
            return "nothing posted"
        if (posted.root, posted.count) != (served.root, served.count):
            return "another tree was posted"
        if served not in self._proven:
            leaf = preimages.allocation_leaf(served.leaf)
            if not merkle.verify(served.root, served.count, served.position, leaf, served.path):
                return "not in the posted tree"
            self._proven.add(served)
        return None

    # --- internals ---

    def _compute(self, cycle: int, run: int) -> _Computed:
        evidence, changes = self.market.cycle(cycle), self.store.changes(cycle)

        def make(before: _Computed | None) -> _Computed:
            trades = self.counting(cycle)
            served = self._of_trades(cycle, run, changes, trades)
            marks = self.market.marks(cycle, run, trades)
            # Most of what happens in a cycle (rows, postings of others) changes nothing of this.
            if before is not None and (before.trades, before.served, before.marks) == (trades, served, marks):
                return before
            seen = (SeenLeaf(one.run, one.utility, one.leaf) for one in served)
            terms = Terms.of(cycle, self.market.config(cycle))
            result = rules.settle_run(run, trades, seen, marks, self.market.templates, terms)
            return _Computed(trades, served, marks, result)

        return self._computed.get((cycle, run), (evidence, changes), make)

    def _of_trades(self, cycle: int, run: int, changes: int, trades: Iterable[CountingTrade]) -> tuple[ServedLeaf, ...]:
        """The leaves of these trades that the chain bears out."""
        leaves = self._leaves.get((cycle, run), (changes,), lambda _: self.store.leaves(cycle, run))
        mine = {one.digest for one in trades}
        return tuple(one for one in leaves if one.leaf.trade_digest in mine and self.leaf_fault(cycle, one) is None)

    def _registered(self, evidence: Evidence) -> Iterable[PlacedTrade]:
        """The member's trades that stand on chain one by one; their signatures were verified there."""
        for one in evidence.commitments.values():
            if one.trade is not None and self.me.id in one.trade.signers:
                yield PlacedTrade(self.market.domain.digest(one.trade), one.trade, one.number, 0, (), ())


class PlaceJudge:
    """Says whether places are valid; each place is judged once for as long as the registry does not change."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._faults: tuple[Evidence | None, dict[tuple[PlacedTrade, Commitment], str | None]] = (None, {})

    def fault(self, placed: PlacedTrade) -> str | None:
        """Why a place is not valid, or None where it is. Raises SettlementError for a trade before the calendar."""
        cycle = self._market.calendar.cycle_of(placed.trade.slot_start)
        commitment = self._market.cycle(cycle).commitments.get(placed.number)
        if commitment is None:
            return "commitment unknown"
        standing = self._market.standing()
        if self._faults[0] is not standing or len(self._faults[1]) > _MOST_JUDGED:
            self._faults = standing, {}
        faults, key = self._faults[1], (placed, commitment.record)
        if key not in faults:
            faults[key] = self._judged(placed, commitment.record, standing.registry)
        return faults[key]

    def _judged(self, placed: PlacedTrade, record: Commitment, registry: Registry) -> str | None:
        domain = self._market.domain
        if domain.digest(placed.trade) != placed.digest:
            return "another digest"
        signatures = [] if record.sequence == 0 else _in_order(placed)
        config = self._market.config(record.cycle)
        return place_fault(placed.place(record), placed.trade, signatures, registry, config, domain)


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


def served_leaves(run: int, allocation: rules.UtilityAllocation) -> tuple[ServedLeaf, ...]:
    """All leaves of a utility's posted tree with their proofs."""
    tree = allocation.tree
    return tuple(
        ServedLeaf(run, allocation.utility, tree.root, len(allocation.leaves), position, leaf, tree.path(position))
        for position, leaf in enumerate(allocation.leaves)
    )


def _in_order(placed: PlacedTrade) -> list[Signature]:
    """The signatures in the order of the trade's signers, as far as they are there."""
    given = {one.member: one.signature for one in placed.signatures}
    return [given[member] for member in placed.trade.signers if member in given]
