"""Programs of a market are killed and started again: who is missing holds up its own, and nobody else's.

Three delivery days. When the first is settled a platform and one attestor are gone; when the second is, the platform
and two attestors; on the third a serving utility is gone until its run is sealed. In between everybody is back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from audit.node import NodeChain
from chain.evidence import Event, Evidence
from demo import calendar
from demo.everyday import MINUTE, Everyday
from demo.members import Member, Members
from demo.readings import write_readings
from settlement.config import DAY, HOUR
from store.records import Way
from tests.acceptance.conftest import small_market

FIRST, SECOND, THIRD = 1, 3, 5
BEFORE_SEAL = 35 * HOUR + 40 * MINUTE
WAYS = {1: Way.AGREED, 2: Way.EARLY, 3: Way.ATTESTED}
Pair = tuple[bytes, bytes]


@dataclass
class Told:
    """What was seen: the chain, and what programs said of themselves, at moments of the run."""

    members: Members
    chain: dict[str, Evidence] = field(default_factory=dict)
    status: dict[str, dict[str, Any]] = field(default_factory=dict)
    pids: dict[str, list[int]] = field(default_factory=dict)

    def rows(self, moment: str, day: int) -> dict[Pair, list[Event]]:
        """The rows that had applied in a day's cycle."""
        found: dict[Pair, list[Event]] = {}
        for event in self.chain[moment].of_cycle(calendar.cycle(day), "RowApplied"):
            found.setdefault((event["payer"], event["payee"]), []).append(event)
        return found

    def waiting(self, moment: str, day: int) -> list[dict[str, Any]]:
        """What anybody waited for in a day's cycle."""
        statuses = self.status[moment].values()
        return [one for said in statuses for one in said.waiting if one["cycle"] == calendar.cycle(day)]


class Stage:
    """A market of three days, moved on step by step."""

    def __init__(self, days: Everyday) -> None:
        self.days = days
        self.market = days.market
        self.told = Told(self.market.members)
        days.put(4)
        end = calendar.day_end(THIRD) + 14 * DAY
        for hours in range(0, 28, 2):
            self.market.conductor.tick(end + hours * HOUR)

    def run(self, day: int, after: int) -> None:
        """Up to so many seconds after a day's end."""
        self.market.conductor.run(until=calendar.day_end(day) + after)

    def kill(self, *members: Member) -> None:
        """Ends programs at once."""
        for one in members:
            self.told.pids.setdefault(one.name, []).append(self.market.children[one.name].pid)
            self.market.children[one.name].kill()

    def start(self, *members: Member) -> None:
        """Starts them again, and waits until everybody has noticed."""
        self.market.children.start([self.market.children[one.name] for one in members])
        self.market.conductor.move(self.market.conductor.now)

    def look(self, moment: str) -> None:
        """Keeps what is to be seen now."""
        world = self.market.world
        self.told.chain[moment] = Evidence(tuple(NodeChain(world.record, world.rpc).events()))
        self.told.status[moment] = self.market.children.statuses()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with small_market(tmp_path_factory.mktemp("faults"), FIRST, SECOND, THIRD) as days:
        stage = Stage(days)
        platform = stage.market.members.platforms[2]
        east, west, state, hill = stage.market.members.utilities

        stage.run(FIRST, HOUR // 2)
        others = next(home for home in stage.market.homes if home.utility == 0)
        wrong = west.folder / "inbox" / "readings" / "others.csv"
        write_readings(wrong, [others], FIRST)
        stage.market.conductor.move(stage.market.conductor.now)
        stage.look("another utility's meter")
        wrong.unlink()

        stage.run(FIRST, BEFORE_SEAL)
        stage.kill(platform, hill)
        stage.run(FIRST, 46 * HOUR)
        stage.look("one attestor gone")
        stage.start(platform, hill)

        stage.run(SECOND, BEFORE_SEAL)
        stage.kill(platform, state, hill)
        stage.run(SECOND, 42 * HOUR)
        stage.look("two attestors gone")
        stage.start(platform, state, hill)
        stage.run(SECOND, 47 * HOUR)
        stage.look("all back")

        stage.run(THIRD, HOUR // 2)
        stage.kill(east)
        stage.run(THIRD, 46 * HOUR)
        stage.look("a utility gone")
        stage.start(east)
        stage.run(THIRD, 16 * DAY)
        stage.look("a utility back")
        yield stage.told


def test_a_file_with_another_utilitys_meter_is_refused(told: Told) -> None:
    west = told.members.utilities[1]
    problems = told.status["another utility's meter"][west.name].problems
    refused = [one["what"] for one in problems if one["stage"] == "readings"]
    assert len(refused) == 1
    assert "others.csv:2: meter_id: unknown meter" in refused[0]
    posted = {event["utility"] for event in told.chain["one attestor gone"].of("AllocationPosted")}
    assert west.id in posted  # what was good in its inbox was used all the same


def test_with_one_attestor_gone_attested_rows_still_come(told: Told) -> None:
    platform = told.members.platforms[2]
    rows = told.rows("one attestor gone", FIRST)
    owed = {pair: events for pair, events in rows.items() if pair[0] == platform.id}
    assert len(owed) >= 4
    assert {WAYS[event["way"]] for events in owed.values() for event in events} == {Way.ATTESTED}
    attested = told.chain["one attestor gone"].of_cycle(calendar.cycle(FIRST), "RowAttested")
    assert {event["mask"] for event in attested} == {0b0111}  # all but the one that is gone
    others = [event for pair, events in rows.items() for event in events if platform.id not in pair]
    assert len(others) >= 4
    assert {WAYS[event["way"]] for event in others} == {Way.AGREED}


def test_with_two_of_four_gone_agreed_rows_settle_all_the_same(told: Told) -> None:
    platform, gone = told.members.platforms[2], {one.id for one in told.members.utilities[2:]}
    rows = told.rows("two attestors gone", SECOND)
    assert not [pair for pair in rows if platform.id in pair or gone & set(pair)]
    assert len(rows) >= 4
    assert {WAYS[event["way"]] for events in rows.values() for event in events} == {Way.AGREED}
    assert not list(told.chain["two attestors gone"].of_cycle(calendar.cycle(SECOND), "RowAttested"))


def test_a_row_without_a_quorum_says_whom_it_waits_for(told: Told) -> None:
    platform = told.members.platforms[2]
    gone = {one.subscriber for one in told.members.utilities[2:]}
    asked = [one for one in told.waiting("two attestors gone", SECOND) if one["stage"] == "soliciting"]
    assert {one["pair"][0] for one in asked} >= {platform.subscriber}
    for one in asked:
        assert set(one["for_whom"]) == gone
        assert one["reason"].startswith("2 of 3 attestors have signed; ")
        assert all(f"{name}: no answer" in one["reason"] for name in gone)


def test_those_that_were_killed_catch_up(told: Told) -> None:
    rows = told.rows("all back", SECOND)
    back = {told.members.platforms[2].id, told.members.utilities[2].id}
    assert len([pair for pair in rows if back & set(pair)]) >= 6
    for name, status in told.status["all back"].items():
        assert status.problems == [], name
        assert not [one for one in status.waiting if one["cycle"] <= calendar.cycle(SECOND)], name
        assert status.idle_at == told.status["all back"]["sunmarket"].idle_at, name


def test_with_a_serving_utility_gone_only_its_trades_wait(told: Told) -> None:
    east = told.members.serving[0]
    evidence, cycle = told.chain["a utility gone"], calendar.cycle(THIRD)
    posted = {event["utility"] for event in evidence.of_cycle(cycle, "AllocationPosted")}
    assert posted == {told.members.serving[1].id}
    assert [event["run"] for event in evidence.of_cycle(cycle, "RunSealed")] == [0]
    rows = told.rows("a utility gone", THIRD)
    paid = [pair for pair, events in rows.items() if events[-1]["amount"]]
    assert len(paid) >= 3  # trades between two meters of the other utility
    assert not [pair for pair in paid if east.id in pair]


def test_what_waited_for_it_settles_in_the_next_run(told: Told) -> None:
    east = told.members.serving[0]
    evidence, cycle = told.chain["a utility back"], calendar.cycle(THIRD)
    posted = [(event["run"], event["utility"]) for event in evidence.of_cycle(cycle, "AllocationPosted")]
    assert (1, east.id) in posted
    before, after = told.rows("a utility gone", THIRD), told.rows("a utility back", THIRD)
    assert [pair for pair in after if east.id in pair]
    more = [pair for pair, events in after.items() if events[-1]["run"] == 1]
    assert len(more) > len(before) // 2
    # Some trades come to nothing: then the row only releases what was kept locked for them.
    added = [after[pair][-1]["amount"] - (before[pair][-1]["amount"] if pair in before else 0) for pair in more]
    assert min(added) >= 0
    assert len([amount for amount in added if amount]) > len(added) // 2


def test_whoever_was_killed_is_gone(told: Told) -> None:
    pids = [pid for several in told.pids.values() for pid in several]
    assert len(pids) == 6
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
