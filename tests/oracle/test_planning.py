"""When a utility posts: not before it is time, not without its readings unless it must, and not what stands already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from chain.evidence import Evidence
from member.desk import Desk
from member.market import PostedTree
from oracle.metering import Meter, MeterBook, meter_pseudonym
from oracle.meters import Direction, MeterReading, Quality
from oracle.planning import Plan, Planner, Verdict
from settlement.config import HOUR
from settlement.figures import Marks
from settlement.hashing import Hash32
from settlement.placed import Side
from settlement.units import Calendar
from tests.settlement import builders
from tests.settlement.builders import CONFIG, CYCLE, CYCLE_START, UTILITY_B, placed, trade

CALENDAR = Calendar(CONFIG.anchor, CONFIG.slot_length, CONFIG.cycle_length)
END = CALENDAR.cycle_end(CYCLE)
DEADLINE = END + CONFIG.run_deadlines[0]
SEALED = DEADLINE + CONFIG.window
SECRET = bytes(32)
METER = meter_pseudonym(SECRET, UTILITY_B, "M", CYCLE)
TRADE = placed(trade("5", seller_meter=METER.meter))


@dataclass
class FakeMarket:
    """A market in which this utility has one trade."""

    time: int = END
    sealed: int | None = None
    trees: dict[int, PostedTree] = field(default_factory=dict)
    marked: Marks = field(default_factory=Marks)
    evidence: Evidence = field(default_factory=lambda: Evidence(()))
    calendar = CALENDAR

    def now(self) -> int:
        return self.time

    def cycles(self) -> tuple[int, ...]:
        return (CYCLE,)

    def cycle(self, _: int) -> Evidence:
        return self.evidence

    def config(self, _: int) -> Any:
        return CONFIG

    def newest_sealed_run(self, _: int) -> int | None:
        return self.sealed

    def sealed_at(self, _: int, __: int) -> int:
        return SEALED

    def deadline(self, _: int, run: int) -> int:
        return END + CONFIG.run_deadlines[run]

    def posted(self, _: int, run: int, __: Hash32) -> PostedTree | None:
        return self.trees.get(run)

    def marks(self, *_: object) -> Marks:
        return self.marked


@dataclass
class FakeDesk:
    market: FakeMarket
    looks: int = 0

    @property
    def store(self) -> FakeDesk:
        return self

    def changes(self, _: int) -> int:
        return 0

    def meters(self, _: int) -> tuple[()]:
        return ()

    def counting(self, _: int) -> tuple[Any, ...]:
        self.looks += 1
        return (TRADE,)


@dataclass
class Files:
    contents: Mapping[str, tuple[MeterReading, ...]]
    changes: int = 0


@dataclass(frozen=True)
class Patience:
    allocate_after: int = HOUR
    incomplete_wait: int = 2 * HOUR


def reading(wh: int) -> MeterReading:
    end = CYCLE_START + CONFIG.slot_length
    return MeterReading("M", CYCLE_START, end, Direction.EXPORT, wh, str(wh), Quality.READ)


class Setting:
    def __init__(self, *readings: MeterReading) -> None:
        self.market = FakeMarket()
        self.desk = FakeDesk(self.market)
        self.files = Files({"day.csv": readings})
        book = MeterBook(UTILITY_B, {"M": Meter("M")}, SECRET, cast(Any, self.desk))
        self.planner = Planner(cast(Desk, self.desk), book, self.files, Patience())

    def plan(self, time: int) -> Plan | None:
        self.market.time = time
        return next(iter(self.planner.plans()), None)

    def verdict(self, time: int) -> Verdict | None:
        found = self.plan(time)
        return None if found is None else found.verdict

    def post(self, run: int) -> None:
        """What would be posted stands on the chain."""
        made = self.planner.plan(CYCLE, run)
        assert made is not None
        self.market.trees[run] = PostedTree(1, made.draft.root, len(made.draft.allocation.leaves))
        self.market.evidence = Evidence(())


@pytest.mark.parametrize(
    ("time", "verdict"),
    [
        (END - 1, None),
        (END, Verdict.EARLY),
        (END + HOUR - 1, Verdict.EARLY),
        (END + HOUR, Verdict.DUE),
        (DEADLINE - 1, Verdict.DUE),
        (DEADLINE, None),
    ],
)
def test_with_all_readings(time: int, verdict: Verdict | None) -> None:
    assert Setting(reading(5_000)).verdict(time) is verdict


@pytest.mark.parametrize(
    ("time", "verdict"),
    [
        (END + HOUR - 1, Verdict.EARLY),
        (END + HOUR, Verdict.INCOMPLETE),
        (DEADLINE - 2 * HOUR - 1, Verdict.INCOMPLETE),
        (DEADLINE - 2 * HOUR, Verdict.DUE),
        (DEADLINE, None),
    ],
)
def test_with_a_reading_missing(time: int, verdict: Verdict | None) -> None:
    assert Setting().verdict(time) is verdict


def test_what_is_posted_stands_until_something_changes() -> None:
    setting = Setting(reading(5_000))
    setting.post(0)
    assert setting.verdict(END + HOUR) is Verdict.STANDS
    looks = setting.desk.looks
    assert setting.verdict(END + 2 * HOUR) is None  # and is not computed again
    assert setting.desk.looks == looks
    setting.files.contents, setting.files.changes = {"day.csv": (reading(4_000),)}, 1
    found = setting.plan(END + 2 * HOUR)
    assert found is not None
    assert (found.verdict, found.reason) == (Verdict.DUE, "something has changed since run 0, attempt 1")


def test_a_later_run_posts_only_what_is_new() -> None:
    setting = Setting()
    setting.post(0)
    setting.market.sealed = 0
    assert setting.verdict(SEALED + HOUR) is Verdict.STANDS
    setting.files.contents, setting.files.changes = {"day.csv": (reading(4_000),)}, 1
    assert setting.verdict(SEALED + HOUR - 1) is Verdict.EARLY
    found = setting.plan(SEALED + HOUR)
    assert found is not None
    assert (found.run, found.verdict) == (1, Verdict.DUE)


def test_what_does_not_count_is_posted_again_as_it_is() -> None:
    setting = Setting(reading(5_000))
    setting.post(0)
    setting.market.sealed = 0
    setting.market.marked = Marks(builders.void(TRADE, Side.SELLER, 0), {})
    found = setting.plan(SEALED + HOUR)
    assert found is not None
    assert (found.verdict, found.reason) == (
        Verdict.DUE,
        "a part of what was posted in run 0 does not count",
    )


def test_after_the_last_run_nothing_is_posted() -> None:
    setting = Setting(reading(5_000))
    setting.market.sealed = CONFIG.last_run
    assert setting.verdict(SEALED + HOUR) is None


def test_readings_of_other_cycles_are_left_out() -> None:
    setting = Setting(reading(5_000))
    assert [one.wh for one in setting.planner.readings(CYCLE, 0)] == [5_000]
    assert setting.planner.readings(CYCLE + 1, 0) == ()
