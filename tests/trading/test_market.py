"""Platforms at work on a real chain: from order files to places at all signers, with everything that can be refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.member.scene import CYCLE
from tests.trading.bustle import Bustle, Crash, crash_at, order_line, problems, reasons

LOCKED = '[[partners]]\nsubscriber = "{}.example"\nlock_percent = 50\n'


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Bustle]:
    with Bustle(tmp_path) as made:
        yield made


def start(scene: Bustle, **changed: str) -> None:
    for name in scene.utilities:
        scene.utility(name, **changed)
    scene.platform("sunmarket", LOCKED.format("rooftrade"), **changed)
    scene.platform("rooftrade", LOCKED.format("sunmarket"), **changed)


def test_from_order_files_to_places_at_all_signers(scene: Bustle) -> None:
    start(scene)
    scene.fund("sunmarket", 10_000_000)
    lines = [order_line(number) for number in range(1, 4)]
    for name in scene.platforms:
        scene.order(name, lines)
    scene.settle_down()
    assert not scene.call("TradeBook", "commitment_count")
    scene.before_gate()
    scene.settle_down()
    (event,) = scene.contracts["TradeBook"].events(name="BatchCommitted")
    assert (event["number"], event["cycle"], event["record"]["count"]) == (1, CYCLE, 3)
    assert [(lock["payer"], lock["amount"]) for lock in event["locks"]] == [
        (scene.id("sunmarket"), 3 * 500 * 6_000_000 // 1_000 // 2)
    ]
    for name in scene.names:
        placed = scene.daemons[name].desk.placed(CYCLE)
        assert {one.trade.trade_id for one in placed} == {scene.trade_id(line) for line in lines}, name
        assert not reasons(scene.daemons[name]), name
        assert not problems(scene.daemons[name]), name


def test_nothing_is_committed_without_the_other_platforms_order(scene: Bustle) -> None:
    start(scene)
    scene.order("rooftrade", [order_line()])
    scene.settle_down()
    scene.before_gate()
    scene.settle_down()
    seller = scene.daemons["rooftrade"].status()["waiting"]
    (refused,) = [one for one in seller if one["stage"] == "signatures"]
    assert refused["reason"] == "not signed: trade_id: no order of this platform makes this trade"
    assert refused["for_whom"] == ["sunmarket.example"]
    assert refused["trade"] == scene.trade_id(order_line())
    assert scene.call("TradeBook", "commitment_count") == 0


def placed_everywhere(scene: Bustle, *lines: dict[str, str]) -> bool:
    """Whether every signer has every trade at its place."""
    wanted = {scene.trade_id(line) for line in lines}
    return all({one.trade.trade_id for one in scene.daemons[name].desk.placed(CYCLE)} == wanted for name in scene.names)


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize(
    ("who", "part", "method"),
    [
        ("rooftrade", "store", "keep_meter"),
        ("rooftrade", "store", "keep_signed"),
        ("rooftrade", "peers", "post"),
        ("sunmarket", "store", "keep_fact"),
        ("sunmarket", "peers", "post"),
        ("sunmarket", "market", "submit"),
        ("sunmarket", "store", "place"),
        ("rooftrade", "store", "place"),
    ],
)
def test_a_restart_in_the_middle_commits_once(
    scene: Bustle, monkeypatch: pytest.MonkeyPatch, who: str, part: str, method: str, is_after: bool
) -> None:
    start(scene)
    scene.fund("sunmarket", 10_000_000)
    lines = [order_line(1), order_line(2, kwh="0.3")]
    for name in scene.platforms:
        scene.order(name, lines)
    if method in ("submit", "place", "keep_fact"):
        scene.settle_down()
        scene.before_gate()
    else:
        scene.before_gate()
    crash_at(monkeypatch, getattr(scene.daemons[who], part), method, is_after)
    with pytest.raises(Crash):
        scene.settle_down()
    monkeypatch.undo()
    scene.platform(who, LOCKED.format("sunmarket" if who == "rooftrade" else "rooftrade"))
    scene.settle_down()
    assert scene.call("TradeBook", "commitment_count") == 1
    assert placed_everywhere(scene, *lines)


def test_the_other_platform_commits_what_both_signed_when_the_proposer_is_gone(scene: Bustle) -> None:
    start(scene)
    scene.fund("sunmarket", 10_000_000)
    for name in scene.platforms:
        scene.order(name, [order_line()])
    scene.settle_down()
    scene.before_gate()
    low, high = sorted(scene.platforms, key=scene.id)
    proposer = scene.daemons[low]
    proposer.market.sender.suspend("gone")
    proposer.once()
    scene.stop(low)
    scene.settle_down()
    assert scene.call("TradeBook", "commitment_count") == 0
    scene.before_gate(seconds=14 * 60)
    scene.settle_down()
    assert scene.call("TradeBook", "commitment_count") == 1
    assert len(scene.daemons[high].desk.placed(CYCLE)) == 1
    assert len(scene.daemons["eastpower"].desk.placed(CYCLE)) == 1


def test_other_locks_than_agreed_are_not_signed(scene: Bustle) -> None:
    for name in scene.utilities:
        scene.utility(name)
    scene.platform("sunmarket", LOCKED.format("rooftrade"))
    scene.platform("rooftrade")  # agreed to nothing
    scene.fund("sunmarket", 10_000_000)
    for name in scene.platforms:
        scene.order(name, [order_line()])
    scene.settle_down()
    scene.before_gate()
    scene.settle_down()
    low = min(scene.platforms, key=scene.id)
    (reason,) = reasons(scene.daemons[low])
    assert reason.endswith("batch-refused: locks: is not what this platform makes of these trades")
    assert scene.call("TradeBook", "commitment_count") == 0


def test_a_lock_that_the_balance_does_not_cover_is_a_complaint(scene: Bustle) -> None:
    start(scene)
    for name in scene.platforms:
        scene.order(name, [order_line()])
    scene.settle_down()
    scene.before_gate()
    scene.settle_down()
    low = min(scene.platforms, key=scene.id)
    (problem,) = problems(scene.daemons[low])
    assert problem == f"batch 1 of cycle {CYCLE} is refused: SettlementEscrow: lock not covered"
    scene.fund("sunmarket", 10_000_000)
    scene.settle_down()
    assert scene.call("TradeBook", "commitment_count") == 1
    assert problems(scene.daemons[low]) == []


def test_a_trade_that_one_utility_will_not_sign_keeps_no_other_back(scene: Bustle) -> None:
    start(scene)
    scene.fund("sunmarket", 10_000_000)
    lines = [order_line(1), order_line(2, kwh="5.5")]  # over the seller's limit of 5 kWh
    for name in scene.platforms:
        scene.order(name, lines)
    scene.settle_down()
    scene.before_gate()
    scene.settle_down()
    assert placed_everywhere(scene, lines[0])
    (refused,) = reasons(scene.daemons["rooftrade"])
    assert refused == "not signed: contracted_wh: 4.5 kWh are left of the meter's 5 kWh in this slot"


def test_a_late_order_goes_into_a_batch_of_its_own(scene: Bustle) -> None:
    start(scene)
    scene.fund("sunmarket", 10_000_000)
    first, second = order_line(1), order_line(2, hour=14)
    for name in scene.platforms:
        scene.order(name, [first])
    scene.settle_down()
    scene.before_gate()
    scene.settle_down()
    for name in scene.platforms:
        scene.order(name, [second], file="later.csv")
    scene.settle_down()
    assert scene.call("TradeBook", "commitment_count") == 1
    scene.before_gate(14)
    scene.settle_down()
    events = scene.contracts["TradeBook"].events(name="BatchCommitted")
    assert [one["record"]["sequence"] for one in events] == [1, 2]
    assert placed_everywhere(scene, first, second)


def test_an_order_that_changes_is_refused_with_its_file(scene: Bustle) -> None:
    start(scene)
    scene.order("rooftrade", [order_line(1)])
    scene.settle_down()
    file = scene.order("rooftrade", [order_line(2), order_line(1, kwh="0.6")], file="again.csv")
    scene.settle_down()
    assert problems(scene.daemons["rooftrade"]) == [f"{file}:3: order: differs from one that was read before"]
    scene.platform("rooftrade")
    assert problems(scene.daemons["rooftrade"]) == [f"{file}:3: order: differs from one that was read before"]


def test_after_a_reorganisation_everybody_has_the_new_place(scene: Bustle) -> None:
    start(scene, finality="depth:20")
    scene.fund("sunmarket", 10_000_000)
    for name in scene.platforms:
        scene.order(name, [order_line()])
    scene.settle_down()
    scene.before_gate()
    scene.settle_down()
    (event,) = scene.contracts["TradeBook"].events(name="BatchCommitted")
    # The commitment vanishes; before it is sent again, another one takes its number.
    scene.rpc.call("anvil_reorg", scene.rpc.block_number() - event.block + 1, [])
    assert scene.call("TradeBook", "commitment_count") == 0
    scene.commit([scene.trade(hour=12, buyer="rooftrade", seller="rooftrade")])
    scene.settle_down()
    assert scene.call("TradeBook", "commitment_count") == 2
    for name in scene.names:
        (placed,) = [
            one for one in scene.daemons[name].desk.placed(CYCLE) if one.trade.trade_id == scene.trade_id(order_line())
        ]
        assert placed.number == 2, name
