"""Utilities at work on a real chain: readings in, allocations posted, leaves served, limits kept, trades curtailed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from member.daemon import Daemon
from member.errors import PeerRefused
from settlement.config import HOUR
from settlement.cycle import UtilityAllocation
from settlement.documents import document
from settlement.trade import AllocationLeaf
from tests.member.scene import CYCLE
from tests.trading.bustle import Bustle, Crash, crash_at, order_line, problems, reasons

EXPORT, IMPORT = ("W-1", "export"), ("E-1", "import")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Bustle]:
    with Bustle(tmp_path) as made:
        made.everybody()
        yield made


def committed(scene: Bustle, *lines: dict[str, str]) -> None:
    """Trades on the chain, by default two of one pair of meters."""
    for name in scene.platforms:
        scene.order(name, lines or [order_line(1), order_line(2, kwh="0.3")])
    scene.settle_down()
    scene.before_gate()
    scene.settle_down()
    assert scene.call("TradeBook", "commitment_count")


def leaves(daemon: Daemon[Any]) -> list[tuple[int, int]]:
    """Side and allocated Wh of the leaves that a daemon has, in the order of trees."""
    return [(one.leaf.side, one.leaf.allocated_wh) for one in daemon.store.leaves(CYCLE, 3)]


def posted(scene: Bustle, utility: str) -> list[tuple[int, int]]:
    """Run and attempt of what a utility posted."""
    events = scene.contracts["AllocationOracle"].events(name="AllocationPosted")
    return [(one["run"], one["attempt"]) for one in events if one["utility"] == scene.id(utility)]


def test_readings_become_posted_allocations_and_served_leaves(scene: Bustle) -> None:
    committed(scene)
    scene.read("eastpower", {IMPORT: 900})
    scene.read("westpower", {EXPORT: 600})
    scene.after_day(HOUR - 1)
    scene.settle_down()
    assert posted(scene, "eastpower") == posted(scene, "westpower") == []
    scene.after_day(HOUR)
    scene.settle_down()
    assert posted(scene, "eastpower") == posted(scene, "westpower") == [(0, 1)]
    for name in scene.names:
        given = leaves(scene.daemons[name])
        # 600 Wh for 500 + 300: five and three eighths of it, floored.
        assert sorted(given) == [(0, 300), (0, 500), (1, 225), (1, 375)], name
        assert not problems(scene.daemons[name]), name
        assert not reasons(scene.daemons[name]), name


def test_leaves_are_for_the_signers_of_their_trades(scene: Bustle) -> None:
    inside = order_line(2, buyer=("rooftrade", "eastpower", "E-2"))
    committed(scene, order_line(1), inside)
    scene.read("eastpower", {IMPORT: 500, ("E-2", "import"): 500})
    scene.read("westpower", {EXPORT: 1_000})
    scene.after_day()
    scene.settle_down()
    trades = {name: scene.daemons[name].store.leaves(CYCLE, 0) for name in scene.platforms}
    assert {one.leaf.trade_digest for one in trades["rooftrade"]} == {
        one.digest for one in scene.daemons["eastpower"].desk.placed(CYCLE)
    }
    given = scene.daemons["sunmarket"].peers.get(scene.id("eastpower"), f"/v1/leaves/{CYCLE}/0")
    (mine,) = {one.digest for one in scene.daemons["sunmarket"].desk.placed(CYCLE)}
    assert [one["leaf"]["trade_digest"] for one in given["leaves"]] == ["0x" + mine.hex()]
    with pytest.raises(PeerRefused, match="allocation-unknown: nothing is posted in run 1"):
        scene.daemons["sunmarket"].peers.get(scene.id("eastpower"), f"/v1/leaves/{CYCLE}/1")


def test_another_utilitys_meter_refuses_the_file_and_what_was_good_stands(scene: Bustle) -> None:
    committed(scene)
    scene.read("westpower", {EXPORT: 800})
    scene.settle_down()
    bad = scene.read("westpower", {EXPORT: 1, IMPORT: 1})
    scene.settle_down()
    complaint = f"{bad}:3: meter_id: unknown meter (got 'E-1')"
    assert problems(scene.daemons["westpower"]) == [complaint]
    scene.utility("westpower")  # and after a restart
    assert problems(scene.daemons["westpower"]) == [complaint]
    scene.after_day()
    scene.settle_down()
    assert posted(scene, "westpower") == [(0, 1)]
    assert (1, 500) in leaves(scene.daemons["westpower"])


def test_platforms_are_told_what_meters_are_called_and_nobody_else(scene: Bustle) -> None:
    ask = {"cycle": CYCLE, "meters": ["W-1", "E-1"]}
    found = scene.daemons["sunmarket"].peers.post(scene.id("westpower"), "/v1/meters", ask)
    assert ([one["meter_id"] for one in found["meters"]], found["unknown"]) == (["W-1"], ["E-1"])
    with pytest.raises(PeerRefused, match="not-yours: only platforms are told"):
        scene.daemons["eastpower"].peers.post(scene.id("westpower"), "/v1/meters", ask)
    with pytest.raises(PeerRefused, match=r"value-refused: \$\.cycle: is over"):
        scene.daemons["sunmarket"].peers.post(scene.id("westpower"), "/v1/meters", ask | {"cycle": CYCLE - 2})


def test_a_meters_limit_holds_over_all_that_was_signed(scene: Bustle) -> None:
    lines = [order_line(1, kwh="3"), order_line(2, kwh="2.001")]
    for name in scene.platforms:
        scene.order(name, lines)
    scene.settle_down()
    (refused,) = [one for one in scene.daemons["rooftrade"].status()["waiting"] if one["stage"] == "signatures"]
    left = {scene.trade_id(lines[0]): "2.999", scene.trade_id(lines[1]): "2"}
    (kept,) = scene.daemons["westpower"].store.open_trades(CYCLE)
    assert {refused["trade"], kept.trade.trade_id} == left.keys()
    assert refused["reason"] == (
        f"not signed: contracted_wh: {left[refused['trade']]} kWh are left of the meter's 5 kWh in this slot"
    )
    assert refused["for_whom"] == ["westpower.example"]


def test_nobody_uses_up_a_limit_without_signing_first(scene: Bustle) -> None:
    committed(scene)
    trade = scene.daemons["westpower"].desk.placed(CYCLE)[0].trade
    body = {"trades": [{"trade": document(trade), "signatures": []}]}
    with pytest.raises(PeerRefused, match="not-yours: the member that asks has to sign first"):
        scene.daemons["sunmarket"].peers.post(scene.id("westpower"), "/v1/trades/sign", body)


def test_a_missing_reading_waits_and_comes_in_with_a_later_run(scene: Bustle) -> None:
    committed(scene)
    scene.read("eastpower", {IMPORT: 900})
    scene.read("westpower", {EXPORT: 0}, quality="MISSING")
    scene.after_day()
    scene.settle_down()
    assert posted(scene, "westpower") == []
    (waits,) = problems(scene.daemons["westpower"])
    assert waits.startswith(f"cycle {CYCLE}, run 0: nothing is posted; 1 readings are missing, waits for them until")
    scene.after_day(scene.config.run_deadlines[0] - HOUR)
    scene.settle_down()
    assert posted(scene, "westpower") == [(0, 1)]
    assert [one.leaf.status for one in scene.daemons["westpower"].store.leaves(CYCLE, 0) if one.leaf.side] == [2, 2]
    scene.seal()
    scene.settle_down()
    scene.read("westpower", {EXPORT: 800}, file="late.csv")
    scene.move_to(scene.now + HOUR)
    scene.settle_down()
    assert posted(scene, "westpower") == [(0, 1), (1, 1)]
    assert posted(scene, "eastpower") == [(0, 1)]  # nothing of its has changed
    mine = [one.leaf for one in scene.daemons["sunmarket"].store.leaves(CYCLE, 1) if one.run == 1]
    assert sorted(leaf.allocated_wh for leaf in mine) == [300, 500]


def test_a_correction_goes_into_the_next_attempt(scene: Bustle) -> None:
    committed(scene)
    scene.read("westpower", {EXPORT: 600})
    scene.after_day()
    scene.settle_down()
    scene.read("westpower", {EXPORT: 800}, file="later.csv")
    scene.settle_down()
    assert posted(scene, "westpower") == [(0, 1), (0, 2)]
    assert [pair for pair in leaves(scene.daemons["sunmarket"]) if pair[0] == 1] != []
    assert sorted(wh for side, wh in leaves(scene.daemons["sunmarket"]) if side == 1) == [300, 500]
    scene.settle_down()
    assert posted(scene, "westpower") == [(0, 1), (0, 2)]


def test_a_voided_group_is_posted_again_in_the_next_run(scene: Bustle) -> None:
    committed(scene)
    scene.stop("westpower")
    scene.after_day()

    def too_much(honest: UtilityAllocation) -> UtilityAllocation:
        first, *others = honest.leaves
        wrong: AllocationLeaf = replace(first, allocated_wh=first.allocated_wh - 1)
        return UtilityAllocation(honest.utility, (wrong, *others))

    placed = scene.daemons["rooftrade"].desk.placed(CYCLE)
    served = scene.allocate("westpower", placed, change=too_much)
    scene.after_day(scene.config.run_deadlines[0])
    scene.send("AllocationFaults", "void_by_rule", CYCLE, scene.id("westpower"), served[0].shown)
    scene.seal()
    scene.utility("westpower")
    scene.read("westpower", {EXPORT: 800})
    scene.move_to(scene.now + HOUR)
    scene.settle_down()
    assert posted(scene, "westpower") == [(0, 1), (1, 1)]


def test_an_outlier_is_not_signed_without_the_operators_word(scene: Bustle) -> None:
    committed(scene)
    scene.read("westpower", {EXPORT: 6_001})
    scene.after_day()
    scene.settle_down()
    assert posted(scene, "westpower") == []
    (said,) = problems(scene.daemons["westpower"])
    assert "6.001 kWh, over 120 % of its limit of 5 kWh (1 of 1); to sign it all the same, say why in " in said
    file = Path(said.rpartition(" ")[2])
    file.parent.mkdir()
    file.write_text("new panels since Monday")
    scene.settle_down()
    assert posted(scene, "westpower") == [(0, 1)]
    store = scene.daemons["westpower"].store
    assert [one["words"] for one in store.facts("override").values()] == ["new panels since Monday"]
    assert problems(scene.daemons["westpower"]) == []


def test_a_curtailment_is_put_on_the_chain_once(scene: Bustle) -> None:
    committed(scene)
    trade = scene.trade_id(order_line(1)).hex()
    for name in ("eastpower", "westpower"):  # both utilities are told of the same outage
        folder = scene.home(name) / "inbox" / "curtailments"
        (folder / "outage.csv").write_text(f"trade_id,contracted_wh,reason\n0x{trade},200,1\n")
    scene.settle_down()
    scene.settle_down()
    (event,) = scene.contracts["TradeBook"].events(name="Curtailed")
    assert (event["contracted_wh"], event["reason"]) == (200, 1)
    # What says more than stands there already changes nothing and is no complaint.
    folder = scene.home("eastpower") / "inbox" / "curtailments"
    (folder / "second.csv").write_text(f"trade_id,contracted_wh,reason\n0x{trade},300,1\n")
    scene.settle_down()
    assert problems(scene.daemons["eastpower"]) == problems(scene.daemons["westpower"]) == []
    scene.read("westpower", {EXPORT: 800})
    scene.after_day()
    scene.settle_down()
    assert sorted(wh for side, wh in leaves(scene.daemons["westpower"]) if side == 1) == [200, 300]


@pytest.mark.parametrize("boundary", ["sign", "keep_allocation", "submit", "keep_leaves"])
@pytest.mark.parametrize("is_after", [False, True])
def test_a_restart_in_the_middle_posts_once(
    scene: Bustle, monkeypatch: pytest.MonkeyPatch, boundary: str, is_after: bool
) -> None:
    committed(scene)
    scene.read("westpower", {EXPORT: 600})
    scene.after_day()
    utility = scene.daemons["westpower"]
    where = {"sign": utility.desk, "submit": utility.market}.get(boundary, utility.store)
    crash_at(monkeypatch, where, boundary, is_after)
    with pytest.raises(Crash):
        scene.settle_down()
    monkeypatch.undo()
    scene.utility("westpower")
    scene.settle_down()
    assert posted(scene, "westpower") == [(0, 1)]
    assert sorted(wh for side, wh in leaves(scene.daemons["sunmarket"]) if side == 1) == [225, 375]


def test_no_attempt_is_signed_twice_with_different_leaves(scene: Bustle) -> None:
    committed(scene)
    scene.read("westpower", {EXPORT: 600})
    scene.after_day()
    utility = scene.daemons["westpower"]
    utility.market.sender.suspend("held back")
    utility.once()
    first = utility.store.allocation(CYCLE, 0)
    assert first is not None
    assert first.attempt == 1
    scene.read("westpower", {EXPORT: 700}, file="later.csv")
    scene.move_to(scene.now + 1)
    utility.once()
    second = utility.store.allocation(CYCLE, 0)
    assert second is not None
    assert (second.attempt, second.leaves == first.leaves) == (2, False)
    assert utility.store.facts("evidence") == {}
