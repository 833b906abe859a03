"""The market's time: moved from event to event, and never on while somebody is busy."""

from __future__ import annotations

import pytest

from demo.conductor import Conductor


def _recorded() -> tuple[Conductor, list[str]]:
    said: list[str] = []

    def mine(time: int, blocks: int) -> None:
        said.append(f"block {time}" if blocks == 1 else f"{blocks} blocks {time}")

    return Conductor(mine, lambda: said.append("rest")), said


def test_everything_in_the_order_of_its_time_and_a_block_after_each_with_a_rest() -> None:
    conductor, said = _recorded()
    conductor.at(20, "b", lambda: said.append("b"))
    conductor.tick(10, 3)
    conductor.at(20, "c", lambda: said.append("c"))
    labels: list[tuple[int, str]] = []
    conductor.run(lambda done, label: labels.append((done, label)))
    assert said == ["3 blocks 10", "rest", "b", "block 20", "rest", "c", "block 20", "rest"]
    assert labels == [(0, ""), (1, "b"), (2, "c")]
    assert conductor.total == 3


def test_an_action_that_moves_time_on_makes_what_it_passed_happen_at_once() -> None:
    conductor, said = _recorded()
    conductor.at(10, "long", lambda: conductor.move(30))
    conductor.tick(20)
    conductor.at(25, "late", lambda: said.append("late"))
    conductor.run()
    assert [one for one in said if one != "rest"] == ["block 30", "block 30", "late", "block 30"]
    assert conductor.now == 30


def test_what_is_put_in_during_the_run_is_done_in_its_turn_and_the_past_is_refused() -> None:
    conductor, said = _recorded()

    def put() -> None:
        conductor.at(15, "later", lambda: said.append("later"))
        with pytest.raises(ValueError, match=r"^early: 5 is before 8$"):
            conductor.at(5, "early", lambda: None)

    conductor.tick(8)
    conductor.at(10, "put", put)
    conductor.tick(20)
    conductor.run()
    assert [one for one in said if one != "rest"] == ["block 8", "block 10", "later", "block 15", "block 20"]


def test_it_goes_on_where_it_was_left() -> None:
    conductor, said = _recorded()
    for time in (10, 20, 30):
        conductor.tick(time)
    conductor.run(until=20)
    assert [one for one in said if one != "rest"] == ["block 10"]
    conductor.run()
    assert [one for one in said if one != "rest"] == ["block 10", "block 20", "block 30"]
