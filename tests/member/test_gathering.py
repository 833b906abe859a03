"""Gathering leaves: what a utility serves counts only as the chain bears it out, and what is missing is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.responses import Response

from member.daemon import Daemon
from member.gathering import Gathering
from member.service import Caller, answer
from settlement.documents import document
from store.records import PlacedTrade, ServedLeaf
from tests.member.scene import CYCLE, DAY_END, Scene
from wire.problems import Refused

Serve = Callable[[Sequence[ServedLeaf]], Sequence[ServedLeaf]]


class Serving:
    """A utility that serves what it is told to."""

    leaves: Sequence[ServedLeaf] = ()
    asked = 0

    def routes(self, daemon: Daemon[Any]) -> APIRouter:
        router = APIRouter(prefix="/v1")

        @router.get("/leaves/{cycle}/{run}")
        def leaves(caller: Caller, cycle: int, run: int) -> Response:
            self.asked += 1
            if not self.leaves:
                raise Refused("try-again", "not ready")
            return answer({"leaves": [document(one) for one in self.leaves]})

        return router


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(tmp_path) as made:
        yield made


@pytest.fixture
def serving() -> Serving:
    return Serving()


@pytest.fixture
def placed(scene: Scene, serving: Serving) -> tuple[PlacedTrade, ...]:
    """Two trades of a platform that gathers, whose utility serves; nothing is posted yet."""
    scene.daemon("eastpower", routers=[serving.routes])
    scene.daemon("sunmarket", stages=[Gathering])
    found = scene.commit([scene.trade(hour=10), scene.trade(hour=11, item="other")])
    scene.tell(found)
    scene.move_to(DAY_END)
    return found


def gathered(scene: Scene) -> list[tuple[int, int]]:
    """Side and Wh of the leaves that the platform has."""
    leaves = scene.daemons["sunmarket"].store.leaves(CYCLE, 0)
    return sorted((one.leaf.side, one.leaf.allocated_wh) for one in leaves)


def reason(scene: Scene) -> str:
    (waits,) = scene.daemons["sunmarket"].status()["waiting"]
    assert waits["for_whom"] == ["eastpower.example"]
    found: str = waits["reason"]
    return found


def test_leaves_are_fetched_once(scene: Scene, serving: Serving, placed: tuple[PlacedTrade, ...]) -> None:
    serving.leaves = scene.allocate("eastpower", placed)
    scene.settle_down()
    assert gathered(scene) == [(0, 500), (0, 500), (1, 500), (1, 500)]
    scene.move_to(DAY_END + 1)
    scene.settle_down()
    assert serving.asked == 1
    scene.daemon("sunmarket", stages=[Gathering])
    scene.settle_down()
    assert serving.asked == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: replace(one, leaf=replace(one.leaf, allocated_wh=499)), "not in the posted tree"),
        (lambda one: replace(one, position=one.position + 1), "not in the posted tree"),
        (lambda one: replace(one, root=bytes(32)), "another tree was posted"),
        (lambda one: replace(one, run=1), "is not what was asked for"),
        (lambda one: replace(one, leaf=replace(one.leaf, trade_digest=bytes(32))), "is not what was asked for"),
    ],
)
def test_a_leaf_that_is_not_proven_is_not_kept(
    scene: Scene,
    serving: Serving,
    placed: tuple[PlacedTrade, ...],
    change: Callable[[ServedLeaf], ServedLeaf],
    why: str,
) -> None:
    first, *others = scene.allocate("eastpower", placed)
    serving.leaves = [change(first), *others]
    scene.settle_down()
    assert gathered(scene) == []
    assert reason(scene).startswith("leaves of 4 trades: leaves[0]: ")
    assert why in reason(scene)


def test_what_is_not_served_is_waited_for(scene: Scene, serving: Serving, placed: tuple[PlacedTrade, ...]) -> None:
    leaves = scene.allocate("eastpower", placed)
    scene.settle_down()
    assert reason(scene) == "leaves of 4 trades: eastpower.example: no answer yet: not ready"
    serving.leaves = leaves[:3]
    scene.daemons["sunmarket"].peers.heard(scene.id("eastpower"))
    scene.settle_down()
    assert len(gathered(scene)) == 3
    assert reason(scene) == "leaves of 1 trades are not served"
    serving.leaves = leaves
    scene.settle_down()
    assert len(gathered(scene)) == 4
    assert scene.daemons["sunmarket"].status()["waiting"] == []


def test_a_new_attempt_is_fetched_anew(scene: Scene, serving: Serving, placed: tuple[PlacedTrade, ...]) -> None:
    serving.leaves = scene.allocate("eastpower", placed)
    scene.settle_down()
    serving.leaves = scene.allocate("eastpower", placed, attempt=2, delivered=lambda one: 400)
    scene.settle_down()
    assert gathered(scene) == [(0, 400), (0, 400), (1, 400), (1, 400)]
