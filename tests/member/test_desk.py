"""A member's desk: what of it counts is what the chain bears out, and both members of a pair come to the same row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from member.daemon import Daemon
from member.desk import Desk
from member.errors import NotKnown
from settlement.config import DAY, HOUR
from settlement.cycle import UtilityAllocation
from settlement.figures import Origin
from settlement.hashing import ZERO_HASH
from settlement.placed import Side
from store.records import PlacedTrade, ServedLeaf
from tests.member.scene import CYCLE, DAY_END, GENESIS_TIME, PRICE, WHEELING, Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(tmp_path) as made:
        yield made


def follow(scene: Scene) -> None:
    for daemon in scene.daemons.values():
        daemon.once()


def start(scene: Scene, *names: str) -> list[Desk]:
    return [scene.daemon(name).desk for name in names]


def delivered(scene: Scene, placed: tuple[PlacedTrade, ...], **given: Any) -> tuple[ServedLeaf, ...]:
    """After the day, the leaves that eastpower posted."""
    scene.move_to(DAY_END)
    return scene.allocate("eastpower", placed, **given)


# --- rows ---


def test_both_members_of_a_pair_come_to_the_same_row(scene: Scene) -> None:
    sun, roof, east = start(scene, "sunmarket", "rooftrade", "eastpower")
    placed = scene.commit([scene.trade(wh=500), scene.trade(wh=300, item="second"), scene.trade(hour=11)])
    scene.tell(placed)
    served = delivered(scene, placed, delivered=lambda one: one.contracted_wh * 4 // 5)
    scene.serve(served)
    scene.seal()
    follow(scene)
    pair = scene.id("sunmarket"), scene.id("rooftrade")
    content, keep = sun.row(CYCLE, 0, pair)
    assert (content, keep) == roof.row(CYCLE, 0, pair) == east.row(CYCLE, 0, pair)
    assert (content.amount, keep) == ((400 + 240 + 400) * PRICE // 1000, 0)
    assert [leaf.settled_wh for leaf in content.leaves].count(400) == 2
    wheeling = scene.id("sunmarket"), scene.id("westpower")
    assert sun.row(CYCLE, 0, wheeling)[0].amount == (400 + 240 + 400) * WHEELING // 1000
    assert sun.row(CYCLE, 0, (pair[1], pair[0])) == (replace(content, payer=pair[1], payee=pair[0], leaves=()), 0)
    assert sun.pairs(CYCLE, 0) == tuple(sorted((pair, wheeling)))
    assert roof.pairs(CYCLE, 0) == (pair,)
    assert sun.result(CYCLE, 0).figures[placed[0].digest, Side.BUYER].origin is Origin.LEAF  # type: ignore[union-attr]


def test_without_its_leaves_a_trade_waits_and_keeps_its_lock(scene: Scene) -> None:
    (sun,) = start(scene, "sunmarket")
    scene.fund("sunmarket", 10_000_000)
    placed = scene.commit([scene.trade(), scene.trade(item="second")], {("sunmarket", "rooftrade"): 6_000_000})
    scene.tell(placed)
    served = delivered(scene, placed)
    scene.serve([leaf for leaf in served if leaf.leaf.trade_digest == placed[0].digest])
    follow(scene)
    pair = scene.id("sunmarket"), scene.id("rooftrade")
    content, keep = sun.row(CYCLE, 0, pair)
    assert (content.amount, keep) == (500 * PRICE // 1000, 500 * PRICE // 1000)
    assert pair in sun.pairs(CYCLE, 0)


def test_a_lock_alone_makes_a_pair(scene: Scene) -> None:
    (sun,) = start(scene, "sunmarket")
    scene.fund("sunmarket", 10_000_000)
    scene.commit([scene.trade()], {("sunmarket", "rooftrade"): 1_000_000})  # nobody was told of its place
    follow(scene)
    assert sun.pairs(CYCLE, 0) == ((scene.id("sunmarket"), scene.id("rooftrade")),)
    assert sun.counting(CYCLE) == ()


# --- trades ---


def test_registered_trades_are_read_from_the_chain(scene: Scene) -> None:
    sun, west = start(scene, "sunmarket", "westpower")
    placed = scene.register(scene.trade())
    foreign = scene.register(scene.trade(item="second", grid_operator="eastpower"))
    follow(scene)
    assert [one.digest for one in sun.placed(CYCLE)] == [placed.digest, foreign.digest]
    assert [one.digest for one in west.placed(CYCLE)] == [placed.digest]  # of the second it is no signer
    assert sun.placed(CYCLE)[0] == replace(placed, signatures=())
    assert sun.place_fault(placed) is None
    assert sun.cycles() == (CYCLE,)


def test_what_curtailment_leaves(scene: Scene) -> None:
    (sun,) = start(scene, "sunmarket")
    placed = scene.commit([scene.trade(), scene.trade(item="second")])
    scene.tell(placed)
    follow(scene)
    assert [one.contracted_wh for one in sun.counting(CYCLE)] == [500, 500]
    for wh in (200, 120):
        scene.curtail("eastpower", placed[1], wh)
    follow(scene)
    assert [one.contracted_wh for one in sun.counting(CYCLE)] == [500, 120]


def test_places_that_the_chain_does_not_bear_out_do_not_count(scene: Scene) -> None:
    (sun,) = start(scene, "sunmarket")
    one, other = scene.commit([scene.trade(), scene.trade(item="second")])
    elsewhere = scene.trade(item="third")
    false = PlacedTrade(elsewhere.digest, elsewhere.trade, one.number + 1, 0, (), elsewhere.signatures)
    scene.tell([one, replace(other, path=(ZERO_HASH,)), false])
    follow(scene)
    assert sun.placed(CYCLE) == (one,)
    assert sun.place_fault(replace(other, path=(ZERO_HASH,))) == "trade not committed"
    assert sun.place_fault(false) == "commitment unknown"
    assert sun.place_fault(replace(one, signatures=one.signatures[::-1])) is None  # they are found by their members
    assert sun.commitment(one.number).commitment.count == 2
    with pytest.raises(NotKnown, match=rf"^commitment {one.number + 1} is not followed$"):
        sun.commitment(one.number + 1)


def test_a_reorganisation_takes_a_trade_from_its_place(scene: Scene) -> None:
    sun = scene.daemon("sunmarket", finality="depth:12").desk
    # Blocks enough that those to come are not final.
    scene.move_to(GENESIS_TIME, blocks=20)
    snapshot = scene.snapshot()
    first = scene.commit([scene.trade()])
    scene.tell(first)
    follow(scene)
    assert sun.placed(CYCLE) == first
    scene.take_back(snapshot)
    follow(scene)
    assert sun.placed(CYCLE) == ()
    second = scene.commit([scene.trade(item="another"), scene.trade()])
    follow(scene)
    assert second[1].number == first[0].number
    assert sun.placed(CYCLE) == ()  # what was told of the number is not true of it any more
    scene.tell(second)
    assert sun.placed(CYCLE) == second


# --- leaves ---


def test_leaves_that_are_not_posted_do_not_count(scene: Scene) -> None:
    (sun,) = start(scene, "sunmarket")
    placed = scene.commit([scene.trade(), scene.trade(item="second")])
    scene.tell(placed)
    first = delivered(scene, placed, delivered=lambda one: 100)
    scene.serve(first)
    follow(scene)
    assert sun.served(CYCLE, 0) == first
    assert sun.leaf_fault(CYCLE, first[0]) is None
    moved = replace(first[0], leaf=replace(first[0].leaf, allocated_wh=101))
    assert sun.leaf_fault(CYCLE, moved) == "not in the posted tree"
    assert sun.leaf_fault(CYCLE, replace(first[0], utility=scene.id("westpower"))) == "nothing posted"
    assert sun.leaf_fault(CYCLE, replace(first[0], run=1)) == "nothing posted"

    second = scene.allocate("eastpower", placed, attempt=2)
    follow(scene)
    assert sun.leaf_fault(CYCLE, first[0]) == "another tree was posted"
    assert sun.served(CYCLE, 0) == ()  # the old ones count no more, the new ones are not here yet
    scene.serve(second)
    assert sun.served(CYCLE, 0) == second


def test_a_later_run_takes_what_came_late(scene: Scene) -> None:
    (sun,) = start(scene, "sunmarket")
    placed = scene.commit([scene.trade(), scene.trade(item="second")])
    scene.tell(placed)

    def only_first(honest: UtilityAllocation) -> UtilityAllocation:
        kept = tuple(leaf for leaf in honest.leaves if leaf.trade_digest == placed[0].digest)
        return UtilityAllocation(honest.utility, kept)

    scene.serve(delivered(scene, placed, change=only_first))
    scene.seal()
    scene.move_to(DAY_END + 13 * DAY)
    scene.serve(scene.allocate("eastpower", placed, run=1), run=1)
    follow(scene)
    pair = scene.id("sunmarket"), scene.id("rooftrade")
    assert sun.row(CYCLE, 0, pair)[0].count == 1
    assert sun.row(CYCLE, 1, pair)[0].count == 2


# --- packets ---


def test_a_packet_carries_what_its_row_is_made_of(scene: Scene) -> None:
    sun, _ = start(scene, "sunmarket", "westpower")
    placed = scene.commit(
        [
            scene.trade(),
            scene.trade(item="second", buyer="rooftrade", seller="sunmarket"),
            scene.trade(item="third"),
        ]
    )
    scene.tell(placed)
    served = delivered(scene, placed)
    scene.serve(served)
    follow(scene)
    packet = sun.packet(CYCLE, 0, (scene.id("sunmarket"), scene.id("rooftrade")))
    assert packet.pair == (scene.id("sunmarket"), scene.id("rooftrade"))
    assert packet.trades == (placed[0], placed[2])
    assert packet.commitments == (sun.commitment(placed[0].number),)
    of_row = {placed[0].digest, placed[2].digest}
    assert packet.served == tuple(leaf for leaf in served if leaf.leaf.trade_digest in of_row)


# --- keeping ---


def test_what_was_computed_is_kept_until_something_behind_it_changes(scene: Scene) -> None:
    sun, *_ = start(scene, "sunmarket", "rooftrade")
    placed = scene.commit([scene.trade(), scene.trade(item="second")])
    scene.tell(placed)
    served = delivered(scene, placed)
    follow(scene)
    without = sun.result(CYCLE, 0)
    assert sun.result(CYCLE, 0) is without
    assert not without.rows
    scene.serve(served)
    computed = sun.result(CYCLE, 0)
    assert len(computed.rows) == 2
    scene.move_to(DAY_END + 13 * HOUR)
    scene.send("AllocationOracle", "open_window", CYCLE)  # an event of the cycle, but nothing to a row
    follow(scene)
    assert sun.result(CYCLE, 0) is computed
    # Another day of the desk changes nothing either.
    other = scene.commit([scene.trade(cycle=CYCLE + 2)])
    scene.tell(other, cycle=CYCLE + 2)
    follow(scene)
    assert sun.result(CYCLE, 0) is computed
    assert sun.cycles() == (CYCLE, CYCLE + 2)


def test_a_void_group_changes_what_was_computed(scene: Scene) -> None:
    (sun,) = start(scene, "sunmarket")
    placed = scene.commit([scene.trade(), scene.trade(item="second")])
    scene.tell(placed)

    def too_much(honest: UtilityAllocation) -> UtilityAllocation:
        first, *rest = honest.leaves
        return UtilityAllocation(honest.utility, (replace(first, allocated_wh=first.allocated_wh - 1), *rest))

    served = delivered(scene, placed, change=too_much)
    scene.serve(served)
    scene.move_to(DAY_END + 13 * HOUR)
    follow(scene)
    pair = scene.id("sunmarket"), scene.id("rooftrade")
    wrong = served[0].leaf.trade_digest
    # The rules know that a leaf against the rule does not count, mark or no mark.
    assert {leaf.trade_digest for leaf in sun.row(CYCLE, 0, pair)[0].leaves} == {one.digest for one in placed} - {wrong}
    before = sun.result(CYCLE, 0)
    scene.send("AllocationFaults", "void_by_rule", CYCLE, scene.id("eastpower"), served[0].shown)
    follow(scene)
    after = sun.result(CYCLE, 0)
    assert after is not before
    assert sun.market.marks(CYCLE, 0, sun.counting(CYCLE)).void_runs
    assert after.rows == before.rows


def test_a_restarted_member_computes_the_same(scene: Scene) -> None:
    daemon: Daemon[Any] = scene.daemon("sunmarket")
    placed = scene.commit([scene.trade()])
    scene.tell(placed)
    scene.serve(delivered(scene, placed))
    daemon.once()
    before = daemon.desk.result(CYCLE, 0)
    again = scene.daemon("sunmarket").desk
    assert again.placed(CYCLE) == placed
    assert again.result(CYCLE, 0) == before
