"""The market's time: moved from event to event, and never on while somebody is busy."""

from __future__ import annotations

import pytest

from demo.conductor import Conductor


def _recorded() -> tuple[Conductor, list[str]]:
    said: list[str] = []
    return Conductor(lambda time: said.append(f"block {time}"), lambda: said.append("rest")), said


def test_everything_in_the_order_of_its_time_with_a_rest_after_each_block() -> None:
    conductor, said = _recorded()
    conductor.at(20, "b", lambda: said.append("b"))
    conductor.tick(10)
    conductor.at(20, "c", lambda: said.append("c"))
    labels: list[tuple[int, str]] = []
    conductor.run(lambda done, label: labels.append((done, label)))
    assert said == [
        *("block 10", "rest"),
        *("block 20", "rest", "b", "block 20", "rest"),
        *("c", "block 20", "rest"),
    ]
    assert labels == [(0, ""), (1, "b"), (2, "c")]
    assert conductor.total == 3


def test_an_action_that_moves_time_on_makes_what_it_passed_happen_at_once() -> None:
    conductor, said = _recorded()
    conductor.at(10, "long", lambda: conductor.move(30))
    conductor.tick(20)
    conductor.at(25, "late", lambda: said.append("late"))
    conductor.run(lambda *_: None)
    assert [one for one in said if one != "rest"] == ["block 10", "block 30", "block 30", "late", "block 30"]


def test_what_is_put_in_during_the_run_is_done_in_its_turn_and_the_past_is_refused() -> None:
    conductor, said = _recorded()

    def put() -> None:
        conductor.at(15, "later", lambda: said.append("later"))
        with pytest.raises(ValueError, match=r"^early: 5 is before 10$"):
            conductor.at(5, "early", lambda: None)

    conductor.at(10, "put", put)
    conductor.tick(20)
    conductor.run(lambda *_: None)
    assert [one for one in said if one != "rest"] == [
        "block 10",
        "block 10",
        "block 15",
        "later",
        "block 15",
        "block 20",
    ]
