"""From readings to the posted roots: every leaf follows from a reading and its trades by the market's rule.

A utility may have posted a wrong leaf. That is no fault of the records: where its group was voided on chain it is a
proven fault and noted, else it is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property

from audit.comparison import compare
from audit.evidence import Context
from audit.findings import Check, Report
from audit.run_records import RunRecords
from settlement import preimages
from settlement.config import Config
from settlement.cycle import Group, Readings, SlotReading, allocate_utility
from settlement.errors import SettlementError
from settlement.faults import Status
from settlement.figures import Marks, SeenLeaf
from settlement.hashing import Hash32
from settlement.identity import canonical_meter_id, meter_hash
from settlement.merkle import Tree
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf
from settlement.units import Calendar, metered_wh
from store import tables
from store.records import RecordedLeaf, RecordedReading

Leaves = tuple[AllocationLeaf, ...]
LEAF_FIELDS = tuple(one.name for one in fields(AllocationLeaf))
SIDE_OF = {"import": Side.BUYER, "export": Side.SELLER}
DIRECTION_OF = {side: direction for direction, side in SIDE_OF.items()}
NO_READING = SlotReading(0, Status.MISSING)


@dataclass(frozen=True, slots=True)
class Posted:
    """A tree as the chain took it: a utility's last attempt of a run."""

    run: int
    utility: Hash32
    root: Hash32
    count: int


@dataclass
class KnownLeaves:
    """Leaves that stand behind posted roots, as folders seen before have proven, by (cycle, run, utility)."""

    leaves: dict[tuple[int, int, Hash32], Leaves] = field(default_factory=dict)


def check_allocations(
    report: Report,
    context: Context,
    records: RunRecords,
    config: Config,
    trades: tuple[PlacedTrade, ...],
    marks: Marks,
    known: KnownLeaves,
) -> tuple[SeenLeaf, ...]:
    """Checks readings, leaves and roots; returns the leaves of all runs up to the folder's, as they were posted."""
    return _Allocations(report, context, records, config, trades, marks, known).checked()


@dataclass
class _Allocations:
    report: Report
    context: Context
    records: RunRecords
    config: Config
    trades: tuple[PlacedTrade, ...]
    marks: Marks
    known: KnownLeaves

    def __post_init__(self) -> None:
        self.file = self.records.file(tables.ALLOCATION_LEAVES)
        self.readings_file = self.records.file(tables.READINGS)
        self.by_digest = {placed.digest: placed for placed in self.trades}
        self.calendar = Calendar(self.config.anchor, self.config.slot_length, self.config.cycle_length)
        self.rows: dict[tuple[int, Hash32], list[tuple[int, RecordedLeaf]]] = {}
        for line, row in enumerate(self.records.leaves, 1):
            self.rows.setdefault((row.run, row.utility), []).append((line, row))

    def checked(self) -> tuple[SeenLeaf, ...]:
        """All leaves behind the posted roots."""
        trees = list(self._posted())
        self._check_readings({(posted.run, posted.utility) for posted in trees})
        seen: list[SeenLeaf] = []
        for posted in trees:
            leaves = self._behind(posted)
            self.known.leaves[self.records.cycle, posted.run, posted.utility] = leaves
            seen += (SeenLeaf(posted.run, posted.utility, leaf) for leaf in leaves)
        for (run, utility), rows in self.rows.items():
            for line, _ in rows:
                if any(posted.run == run for posted in trees):
                    self._find(line, "utility", "one that posted in this run", utility)
                else:
                    self._find(line, "run", "one up to the folder's in which something was posted", run)
        return tuple(seen)

    def _posted(self) -> Iterator[Posted]:
        last: dict[tuple[int, Hash32], Posted] = {}
        for event in self.context.evidence.of_cycle(self.records.cycle, "AllocationPosted"):
            run, utility = event["run"], event["utility"]
            last[run, utility] = Posted(run, utility, event["root"], event["count"])
        for posted in last.values():
            if posted.run <= self.records.run:
                self._check_kept(posted)
                yield posted

    def _check_kept(self, posted: Posted) -> None:
        kept = self.context.chain.view("AllocationOracle", "posted", self.records.cycle, posted.run, posted.utility)
        tree = preimages.posted_tree(posted.root, posted.count)
        if kept != tree:
            file = self.records.file(tables.ALLOCATIONS)
            self.report.find(Check.ALLOCATION_ROOTS, file, 0, "root", kept, tree)

    # --- leaves ---

    def _behind(self, posted: Posted) -> Leaves:
        """The leaves that the posted root is over, whatever stands in the file; differences are found."""
        given = sorted(self.rows.pop((posted.run, posted.utility), ()), key=lambda one: one[1].position)
        leaves = tuple(row.leaf for _, row in given)
        if _is_over(posted, leaves):
            for place, (line, row) in enumerate(given):
                if row.position != place:
                    self._find(line, "position", place, row.position)
            self._check_leaves(posted, given)
            return leaves
        for candidate in self._candidates(posted, leaves):
            if _is_over(posted, candidate):
                self._compare(posted, candidate, given)
                return candidate
        self.report.find(
            Check.ALLOCATION_ROOTS,
            self.file,
            0,
            "root",
            f"{posted.root.hex()} over {posted.count} leaves of {posted.utility.hex()} in run {posted.run}",
            f"{_root(leaves).hex()} over {len(leaves)}",
        )
        self._compare(posted, self._by_rule(posted, None), given)
        return leaves

    def _candidates(self, posted: Posted, found: Leaves) -> Iterator[Leaves]:
        """What the tree may have been: as proven before, by the rule, by the rule but for groups proven wrong."""
        proven = self.known.leaves.get((self.records.cycle, posted.run, posted.utility))
        if proven is not None:
            yield proven
        by_rule = self._by_rule(posted, None)
        yield by_rule
        instead = {(leaf.trade_digest, leaf.side): leaf for leaf in found if self._is_void(posted, leaf)}
        yield tuple(instead.get((leaf.trade_digest, leaf.side), leaf) for leaf in by_rule)

    def _compare(self, posted: Posted, expected: Leaves, given: list[tuple[int, RecordedLeaf]]) -> None:
        wanted = [RecordedLeaf(posted.run, posted.utility, place, leaf) for place, leaf in enumerate(expected)]
        # The comparison numbers rows as it gets them; the file's own numbers are put back.
        part = Report()
        table = tables.ALLOCATION_LEAVES
        compare(part, Check.ALLOCATION_LEAVES, self.file, table, wanted, [row for _, row in given])
        for one in part.findings:
            line = given[one.line - 1][0] if one.line else 0
            self._find(line, one.field, one.expected, one.found)

    def _check_leaves(self, posted: Posted, given: list[tuple[int, RecordedLeaf]]) -> None:
        """The posted leaves against the rule on the readings that they state, and those against the readings."""
        in_tree = {row.leaf.trade_digest for _, row in given}
        stated = _stated([row.leaf for _, row in given])
        filed = self._readings.get((posted.run, posted.utility), {})
        by_rule = {(leaf.trade_digest, leaf.side): leaf for leaf in self._by_rule(posted, in_tree, {**filed, **stated})}
        for line, row in given:
            leaf, expected = row.leaf, by_rule.get((row.leaf.trade_digest, row.leaf.side))
            if leaf == expected:
                continue
            if self._is_void(posted, leaf):
                self.report.note(self.file, line, "a wrong leaf whose group was voided on chain: a proven fault")
            elif expected is None:
                self._find(line, "trade_digest", "a trade of the utility's meters", leaf.trade_digest)
            else:
                for name in LEAF_FIELDS:
                    if getattr(expected, name) != getattr(leaf, name):
                        self._find(line, name, getattr(expected, name), getattr(leaf, name))
        for group, reading in stated.items():
            if filed.get(group, NO_READING) != reading:
                self._find_reading(posted, group, reading)
        self._note_absent(posted, in_tree)

    def _note_absent(self, posted: Posted, in_tree: set[Hash32]) -> None:
        for placed in self.trades:
            if placed.digest not in in_tree and any(placed.utility(side) == posted.utility for side in Side):
                text = f"no leaf of trade 0x{placed.digest.hex()} in run {posted.run}: its side waits"
                self.report.note(self.file, 0, text)

    def _by_rule(self, posted: Posted, only: set[Hash32] | None, readings: Readings | None = None) -> Leaves:
        """The utility's leaves by the rule, over all trades or `only` some, from the file's readings or others."""
        trades = [placed for placed in self.trades if only is None or placed.digest in only]
        given = self._readings.get((posted.run, posted.utility), {}) if readings is None else readings
        try:
            rule = self.config.allocation_rule
            return allocate_utility(posted.utility, trades, given, self.records.cycle, rule).leaves
        except SettlementError:
            return ()  # a MISSING reading with energy, found with the readings

    def _is_void(self, posted: Posted, leaf: AllocationLeaf) -> bool:
        group = preimages.group_key(posted.utility, leaf.meter, leaf.slot_start, leaf.side)
        return bool(self.marks.void_runs.get(group, 0) >> posted.run & 1)

    # --- readings ---

    @cached_property
    def _readings(self) -> dict[tuple[int, Hash32], dict[Group, SlotReading]]:
        """What each utility allocated from, by run and utility, then by group."""
        found: dict[tuple[int, Hash32], dict[Group, SlotReading]] = {}
        for row in self.records.readings:
            group = (row.meter, row.slot_start, SIDE_OF.get(row.direction, Side.BUYER))
            status = Status.__members__.get(row.quality, Status.READ)
            found.setdefault((row.run, row.utility), {})[group] = SlotReading(row.wh, status)
        return found

    def _check_readings(self, posted: set[tuple[int, Hash32]]) -> None:
        """Every row by itself: its meter's pseudonym, its slot, its figure; one row a run, register and slot."""
        seen: set[tuple[int, Hash32, Hash32, int, str]] = set()
        for line, row in enumerate(self.records.readings, 1):
            for name, expected in self._faults(row):
                self._find_in_readings(line, name, expected, getattr(row, name))
            if (row.run, row.utility) not in posted:
                name = "utility" if any(run == row.run for run, _ in posted) else "run"
                self._find_in_readings(line, name, "one that something was posted in or by", getattr(row, name))
            key = row.run, row.utility, row.meter, row.slot_start, row.direction
            if key in seen:
                self._find_in_readings(line, "direction", "one row a run, register and slot", "a second")
            seen.add(key)

    def _faults(self, row: RecordedReading) -> Iterator[tuple[str, object]]:
        pseudonyms = self._pseudonyms
        if pseudonyms.get((row.meter_id, row.salt)) != row.meter:
            yield from self._wrong_meter(row)
        if row.slot_start not in self.calendar.slots(self.records.cycle):
            yield "slot_start", "a slot of the cycle"
        if row.slot_end != row.slot_start + self.config.slot_length:
            yield "slot_end", row.slot_start + self.config.slot_length
        if row.direction not in SIDE_OF:
            yield "direction", "import or export"
        if row.quality not in Status.__members__:
            yield "quality", "READ, ESTIMATED or MISSING"
        elif row.quality == Status.MISSING.name:
            if row.wh:
                yield "wh", 0
            if row.raw_kwh:
                yield "raw_kwh", "nothing"
        else:
            yield from self._wrong_figure(row)

    def _wrong_figure(self, row: RecordedReading) -> Iterator[tuple[str, object]]:
        try:
            wh = metered_wh(row.raw_kwh).wh
        except SettlementError as error:
            yield "raw_kwh", error.message
            return
        if wh != row.wh:
            # Whichever of the two the utility allocated from is the right one.
            key = row.run, row.utility, row.meter, row.slot_start, SIDE_OF.get(row.direction)
            allocated = self._allocated.get(key)
            yield ("raw_kwh", f"a figure of {row.wh} Wh") if allocated == row.wh else ("wh", wh)

    def _wrong_meter(self, row: RecordedReading) -> Iterator[tuple[str, object]]:
        """The column that does not fit the other two, by what the meter's other rows have there."""
        for (meter_id, salt), meter in self._pseudonyms.items():
            if (meter_id, salt) == (row.meter_id, row.salt):
                yield "meter", meter
                return
            if meter == row.meter and meter_id == row.meter_id:
                yield "salt", salt
                return
            if meter == row.meter and salt == row.salt:
                yield "meter_id", meter_id
                return
        yield "meter", "the hash of salt and meter id"

    @cached_property
    def _pseudonyms(self) -> dict[tuple[str, Hash32], Hash32]:
        """(meter id, salt) to pseudonym, of the rows in which all three fit."""
        computed: dict[tuple[str, Hash32], Hash32 | None] = {}
        for row in self.records.readings:
            if (row.meter_id, row.salt) not in computed:
                computed[row.meter_id, row.salt] = _pseudonym(row)
        return {
            (row.meter_id, row.salt): row.meter
            for row in self.records.readings
            if computed[row.meter_id, row.salt] == row.meter
        }

    @cached_property
    def _allocated(self) -> dict[tuple[int, Hash32, Hash32, int, int | None], int]:
        """The readings that leaves state."""
        return {
            (row.run, row.utility, row.leaf.meter, row.leaf.slot_start, row.leaf.side): row.leaf.meter_wh
            for row in self.records.leaves
        }

    def _find_reading(self, posted: Posted, group: Group, reading: SlotReading) -> None:
        """A reading that is not the one which the utility allocated from."""
        meter, slot_start, side = group
        other_register = 0
        for line, row in enumerate(self.records.readings, 1):
            if (row.run, row.utility, row.meter, row.slot_start) != (posted.run, posted.utility, meter, slot_start):
                continue
            if SIDE_OF.get(row.direction) is side:
                if row.wh != reading.wh:
                    self._find_in_readings(line, "wh", reading.wh, row.wh)
                if row.quality != reading.status.name:
                    self._find_in_readings(line, "quality", reading.status.name, row.quality)
                return
            if (row.wh, row.quality) == (reading.wh, reading.status.name):
                other_register = line
        if other_register:
            found = self.records.readings[other_register - 1].direction
            self._find_in_readings(other_register, "direction", DIRECTION_OF[side], found)
        else:
            expected = f"{reading.wh} Wh ({reading.status.name}) of meter 0x{meter.hex()} in slot {slot_start}"
            self._find_in_readings(0, "", f"{expected}, {DIRECTION_OF[side]}", "no reading")

    def _find_in_readings(self, line: int, name: str, expected: object, found: object) -> None:
        self.report.find(Check.READINGS, self.readings_file, line, name, expected, found)

    def _find(self, line: int, name: str, expected: object, found: object) -> None:
        self.report.find(Check.ALLOCATION_LEAVES, self.file, line, name, expected, found)


def _pseudonym(row: RecordedReading) -> Hash32 | None:
    try:
        return meter_hash(row.salt, canonical_meter_id(row.meter_id))
    except SettlementError:
        return None


def _root(leaves: Leaves) -> Hash32:
    return Tree([preimages.allocation_leaf(leaf) for leaf in leaves]).root


def _stated(leaves: Iterable[AllocationLeaf]) -> dict[Group, SlotReading]:
    """The readings that leaves state, of groups whose leaves all state the same."""
    found: dict[Group, set[SlotReading]] = {}
    for leaf in leaves:
        if leaf.side in list(Side) and leaf.status in list(Status):
            group = leaf.meter, leaf.slot_start, Side(leaf.side)
            found.setdefault(group, set()).add(SlotReading(leaf.meter_wh, Status(leaf.status)))
    return {group: next(iter(readings)) for group, readings in found.items() if len(readings) == 1}


def _is_over(posted: Posted, leaves: Leaves) -> bool:
    return len(leaves) == posted.count and _root(leaves) == posted.root
