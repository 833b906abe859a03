"""Turning the cranks: who does it, when the others step in, and that it is done once."""

from __future__ import annotations

from pathlib import Path

import pytest

from member.cranks import turn_of
from settlement.config import HOUR
from tests.member.scene import CONFIG, CYCLE, DAY_END
from tests.member.settled_day import SALE, SettledDay

MEMBERS = [bytes([number]) * 32 for number in (1, 2, 3, 4)]


@pytest.mark.parametrize(("cycle", "turns"), [(0, [0, 1, 2, 3]), (1, [1, 2, 3, 0]), (6, [2, 3, 0, 1])])
def test_members_take_turns_by_cycle(cycle: int, turns: list[int]) -> None:
    assert [turn_of(one, list(reversed(MEMBERS)), cycle) for one in MEMBERS] == turns


def test_who_it_concerns_most_comes_first() -> None:
    assert [turn_of(one, MEMBERS, 0, first=MEMBERS[2]) for one in MEMBERS] == [1, 2, 0, 3]


def test_who_is_not_among_them_comes_last() -> None:
    assert turn_of(bytes(32), MEMBERS, 0) == 4


def run_times(day: SettledDay) -> list[str]:
    """Whose relaying accounts sent the window's opening and the seal."""
    senders = {daemon.market.sender.address: name for name, daemon in day.scene.daemons.items()}
    found = []
    for event in day.events("WindowOpened", "RunSealed"):
        sent = day.scene.rpc.call("eth_getTransactionByHash", event.transaction)
        found.append(senders.get(sent["from"], "somebody else"))
    return found


def first_in_turn(day: SettledDay) -> str:
    ids = sorted(day.scene.id(name) for name in day.scene.names)
    return next(name for name in day.scene.names if turn_of(day.scene.id(name), ids, CYCLE) == 0)


def test_a_cycle_is_sealed_by_its_members_alone(tmp_path: Path) -> None:
    with SettledDay(tmp_path) as day:
        day.allocate()
        day.scene.move_to(DAY_END + CONFIG.run_deadlines[0] - 1)
        day.scene.settle_down()
        assert day.events("WindowOpened") == []
        day.pass_time(1)
        assert len(day.events("WindowOpened")) == 1
        day.pass_time(CONFIG.window - HOUR)
        day.pass_time(HOUR)
        day.pass_time(60)

        assert len(day.events("RunSealed")) == 1
        assert run_times(day) == [first_in_turn(day)] * 2
        day.pass_time(60)
        assert day.state("sunmarket", "rooftrade").applied == 2 * SALE
        assert day.problems() == []


def test_the_next_one_steps_in_for_a_dead_one_after_a_delay(tmp_path: Path) -> None:
    with SettledDay(tmp_path, tables="[timings]\ncrank_delay = 300\n") as day:
        dead = first_in_turn(day)
        day.allocate()
        day.stop(dead)
        day.scene.move_to(DAY_END + CONFIG.run_deadlines[0])
        day.scene.settle_down()
        day.pass_time(299)
        assert day.events("WindowOpened") == []
        day.pass_time(1)

        (by,) = run_times(day)
        assert by not in (dead, "somebody else")
