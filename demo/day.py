"""One delivery day from offers to sealed inputs: what is traded, committed, metered, allocated and posted.

`Day` is the demo's own memory of everything that happened, from which the auditors' folders are written; members see
only what is put on their desks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from demo import calendar, trading
from demo.desk import Desk, ServedLeaf, counting, serve
from demo.homes import Home
from demo.market import PlannedTrade
from demo.members import Member, Members
from demo.readings import write_readings
from demo.trading import Pair, SignedTrade
from demo.world import World
from oracle.meters import Direction, MeterReading, read_readings
from settlement import cycle as rules
from settlement import preimages
from settlement.faults import Status
from settlement.figures import MarkKind, Marks, SideMarks
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade as CountingTrade
from settlement.placed import Side
from settlement.trade import Allocation, Curtailment, Lock, TradeBatch, TradeLocks
from store.records import (
    MemberSignature,
    PlacedTrade,
    PostedAllocation,
    RecordedClaim,
    RecordedCommitment,
    RecordedCurtailment,
    RecordedFlow,
    RecordedLock,
    RecordedMark,
    RecordedReading,
    SettledRow,
)

Change = Callable[[rules.UtilityAllocation], rules.UtilityAllocation]
"""What a utility that errs makes of its honest allocation."""


@dataclass
class Run:
    """What a run of the day's cycle came to."""

    allocations: dict[Hash32, rules.UtilityAllocation] = field(default_factory=dict)
    readings: list[RecordedReading] = field(default_factory=list)
    rows: list[SettledRow] = field(default_factory=list)
    flows: list[RecordedFlow] = field(default_factory=list)
    claims: list[RecordedClaim] = field(default_factory=list)
    inputs: Hash32 = bytes(32)


@dataclass
class Day:
    """A delivery day and everything that was said about it."""

    number: int
    plans: Sequence[PlannedTrade]
    trades: list[SignedTrade] = field(default_factory=list)
    commitments: list[RecordedCommitment] = field(default_factory=list)
    locks: list[RecordedLock] = field(default_factory=list)
    placed: list[PlacedTrade] = field(default_factory=list)
    curtailments: list[RecordedCurtailment] = field(default_factory=list)
    posted: list[PostedAllocation] = field(default_factory=list)
    marks: list[RecordedMark] = field(default_factory=list)
    runs: dict[int, Run] = field(default_factory=dict)
    facts: list[str] = field(default_factory=list)

    @property
    def cycle(self) -> int:
        """The number of its cycle."""
        return calendar.cycle(self.number)

    @property
    def end(self) -> int:
        """E of its cycle."""
        return calendar.day_end(self.number)

    def counting(self) -> tuple[CountingTrade, ...]:
        """All trades of the day, curtailed."""
        return counting(self.placed, self.curtailments)

    def rule_marks(self) -> Marks:
        """The marks so far, as the rules take them (the demo has void groups only)."""
        void: dict[Hash32, int] = {}
        for mark in self.marks:
            if mark.kind == MarkKind.VOID:
                group = preimages.group_key(mark.utility, mark.meter, mark.slot_start, mark.side)
                void[group] = void.get(group, 0) | 1 << mark.run
        return Marks(void, dict[Hash32, SideMarks]())


@dataclass
class Market:
    """The market at work: what everybody does in every day alike."""

    world: World
    members: Members
    homes: Sequence[Home]
    desks: dict[Hash32, Desk]
    sequences: dict[Pair, int] = field(default_factory=dict)

    def desk(self, member: Hash32) -> Desk:
        """A member's desk."""
        return self.desks[member]

    # --- before delivery ---

    def offer(self, day: Day) -> None:
        """The evening before: matches become trades, signed by everyone they bind."""
        domain = self.world.domain
        for number, plan in enumerate(day.plans):
            trade = trading.make_trade(self.members, self.homes, plan, number)
            day.trades.append(trading.sign_trade(self.members, domain, trade))

    def commit(
        self, day: Day, share: Callable[[Pair, int], int], registered: Callable[[SignedTrade], bool] = lambda _: False
    ) -> None:
        """Before the gate: a batch for each pair of platforms; those trades singly that are to be registered.

        `share` makes what is locked, in base units, of the worst case of an ordered pair.
        """
        for one in day.trades:
            if registered(one):
                self._register(day, one, share)
        for pair, trades in trading.by_pair(one for one in day.trades if not registered(one)).items():
            self._commit_batch(day, pair, trades, share)
        self.file_trades(day)

    def file_trades(self, day: Day) -> None:
        """Every signer gets its trades with their places, before delivery: no proof, no allocation."""
        for desk in self.desks.values():
            desk.file_trades(day.cycle, day.commitments, day.placed, day.curtailments)

    def curtail(self, day: Day, placed: PlacedTrade, wh: int, by: Member) -> None:
        """A utility lowers a trade before its slot begins."""
        commitment = self.desk(by.id).commitment(day.cycle, placed.number).commitment
        curtailment = Curtailment(placed.number, placed.index, wh, 1)
        signature = by.sign(self.world.domain, curtailment)
        place = placed.place(commitment)
        self.world.send("curtail a trade", "TradeBook", "curtail", curtailment, place, placed.trade, [signature], [])
        day.curtailments.append(
            RecordedCurtailment(placed.number, placed.index, placed.digest, wh, 1, self.world.last_time)
        )
        self.file_trades(day)

    def _commit_batch(
        self, day: Day, pair: Pair, trades: Sequence[SignedTrade], share: Callable[[Pair, int], int]
    ) -> None:
        sequence = self.sequences.get(pair, 0) + 1
        self.sequences[pair] = sequence
        locks = trading.locks_for(trades, share)
        batch = trading.make_batch(pair, trades, sequence, locks)
        signatures = [self.members.by_id[one].sign(self.world.domain, batch) for one in batch.signers]
        self.world.send(batch_operation(batch), "TradeBook", "commit_batch", batch, signatures, [])
        number = self.world.call("TradeBook", "commitment_count")
        record = preimages.batch_commitment(batch, self.world.last_time)
        tree = trading.batch_tree(trades)
        self._record(day, RecordedCommitment(number, record), locks)
        day.placed += [_placed(one, number, index, tree.path(index)) for index, one in enumerate(trades)]

    def _register(self, day: Day, one: SignedTrade, share: Callable[[Pair, int], int]) -> None:
        locks = trading.locks_for([one], share)
        domain = self.world.domain
        statement = TradeLocks(one.digest, locks)
        payers = dict.fromkeys(lock.payer for lock in locks)
        lock_signatures = [self.members.by_id[payer].sign(domain, statement) for payer in payers]
        self.world.send(
            f"register a trade, {len(one.signatures)} signatures, {len(locks)} lock",
            "TradeBook",
            "register_trade",
            one.trade,
            list(one.signatures),
            list(locks),
            lock_signatures,
            [],
        )
        number = self.world.call("TradeBook", "commitment_count")
        record = preimages.registered_commitment(one.trade, one.digest, day.cycle, self.world.last_time)
        self._record(day, RecordedCommitment(number, record), locks)
        day.placed.append(_placed(one, number, 0, ()))

    def _record(self, day: Day, commitment: RecordedCommitment, locks: Iterable[Lock]) -> None:
        day.commitments.append(commitment)
        day.locks += [RecordedLock(commitment.number, lock) for lock in locks]

    # --- after delivery ---

    def allocate(
        self,
        day: Day,
        run: int,
        utility: Member,
        missing: Iterable[tuple[int, int]] = (),
        change: Change = lambda honest: honest,
    ) -> None:
        """A serving utility reads its meters' file, allocates, signs, posts, and serves the leaves with their proofs.

        `missing` are (home index, hour) whose reading has not come yet.
        """
        world = self.world
        mine = [home for home in self.homes if trading.utility_of(self.members, home) is utility]
        path = utility.folder / "readings" / f"{calendar.delivery_date(day.number)}-run-{run}.csv"
        write_readings(path, mine, day.number, missing=set(missing))
        known = {trading.canonical_meter(home): home for home in mine}
        readings = read_readings(path, calendar.CALENDAR, known, calendar.ZONE)
        desk = self.desk(utility.id)
        by_group = _by_group(self.members, known, readings, day.cycle)
        honest = rules.allocate_utility(
            utility.id, desk.counting(day.cycle), by_group, day.cycle, calendar.CONFIG.allocation_rule
        )
        posted = change(honest)
        self._post(day, run, utility, posted.statement(day.cycle, run, 1, world.config_digest))
        state = day.runs.setdefault(run, Run())
        state.allocations[utility.id] = posted
        state.readings += _recorded(self.members, utility, known, readings, day.cycle, run)

    def serve(self, day: Day, run: int) -> None:
        """The leaves of a run's allocations reach every signer of their trades."""
        served = [leaf for posted in day.runs[run].allocations.values() for leaf in serve(run, posted)]
        for desk in self.desks.values():
            desk.file_leaves(day.cycle, run, served)

    def _post(self, day: Day, run: int, utility: Member, statement: Allocation) -> None:
        signature = utility.sign(self.world.domain, statement)
        self.world.send("post an allocation", "AllocationOracle", "post", statement, signature, [])
        day.posted.append(
            PostedAllocation(
                run,
                statement.attempt,
                utility.id,
                statement.root,
                statement.count,
                statement.config_digest,
                signature,
                self.world.last_time,
            )
        )

    def seal(self, day: Day, run: int) -> None:
        """Fixes the inputs of a run."""
        self.world.send("seal a run", "AllocationOracle", "seal", day.cycle)
        day.runs.setdefault(run, Run()).inputs = self.world.call("AllocationOracle", "inputs", day.cycle, run)


def batch_operation(batch: TradeBatch) -> str:
    """How the gas table calls the commitment of a batch."""
    return f"commit a batch, {len(batch.signers)} signatures, {len(batch.locks)} locks"


def served_in(day: Day, run: int) -> tuple[ServedLeaf, ...]:
    """All leaves of all runs up to `run`, as the utilities served them."""
    return tuple(
        leaf
        for earlier in sorted(day.runs)
        if earlier <= run
        for posted in day.runs[earlier].allocations.values()
        for leaf in serve(earlier, posted)
    )


def _placed(one: SignedTrade, number: int, index: int, path: tuple[Hash32, ...]) -> PlacedTrade:
    signed = zip(one.trade.signers, one.signatures, strict=True)
    return PlacedTrade(
        one.digest,
        one.trade,
        number,
        index,
        path,
        tuple(MemberSignature.of(member, signature) for member, signature in signed),
    )


def _by_group(
    members: Members, known: dict[str, Home], readings: Iterable[MeterReading], cycle: int
) -> dict[rules.Group, rules.SlotReading]:
    """Readings by group: exports are what a seller's meter delivered, imports what a buyer's took."""
    return {
        (
            trading.meter_pseudonym(members, known[one.meter_id], cycle),
            one.slot_start,
            Side.SELLER if one.direction is Direction.EXPORT else Side.BUYER,
        ): rules.SlotReading(one.wh, Status[one.quality.value])
        for one in readings
    }


def _recorded(
    members: Members, utility: Member, known: dict[str, Home], readings: Iterable[MeterReading], cycle: int, run: int
) -> list[RecordedReading]:
    return [
        RecordedReading(
            run,
            utility.id,
            trading.meter_pseudonym(members, known[one.meter_id], cycle),
            one.meter_id,
            trading.meter_salt(members, known[one.meter_id], cycle),
            one.slot_start,
            one.slot_end,
            one.direction.value,
            one.wh,
            one.raw_kwh,
            one.quality.value,
        )
        for one in readings
    ]
