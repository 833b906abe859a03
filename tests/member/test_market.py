"""The market as a member sees it, compared with what the contracts of a real chain answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.account import Account
from chain.errors import NothingFollowed, Reverted
from member.daemon import Daemon
from member.errors import NotKnown
from member.market import Market, Phase, PostedTree
from settlement import typed_data
from settlement.config import DAY, HOUR
from settlement.formula.templates import SHIPPED_BY_ID
from settlement.identity import member_id
from settlement.merkle import EMPTY_ROOT
from settlement.trade import Allocation, HotKeyChange, KeyCompromised
from settlement.validity import MemberRole
from tests.member.scene import (
    BANK,
    CALENDAR,
    CONFIG,
    CYCLE,
    DAY_END,
    GENESIS_TIME,
    Scene,
    scene_key,
    subscriber_of,
)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(tmp_path, platforms=2, utilities=4) as made:
        yield made


@pytest.fixture
def daemon(scene: Scene) -> Daemon[Any]:
    return scene.daemon("sunmarket")


@pytest.fixture
def market(daemon: Daemon[Any]) -> Market:
    return daemon.market


def cold(scene: Scene, name: str, value: object) -> Any:
    return replace(scene.members[name], key=scene_key("cold", name)).sign(scene.domain, value)


# --- now ---


def test_nothing_is_known_before_the_first_round(scene: Scene) -> None:
    market = scene.member_daemon("sunmarket").market
    with pytest.raises(NothingFollowed):
        market.now()
    assert market.name(scene.id("eastpower")) == subscriber_of("eastpower")


def test_everything_is_as_of_the_newest_followed_block(scene: Scene, daemon: Daemon[Any], market: Market) -> None:
    before = market.head()
    (placed,) = scene.commit([scene.trade()])
    scene.move_to(GENESIS_TIME + HOUR)
    assert market.head() == before
    assert market.now() == GENESIS_TIME
    assert market.cycles() == ()
    assert market.commitment(placed.number) is None
    assert market.call("TradeBook", "commitment_count") == 0  # asked as of that block, not of the chain's newest
    daemon.once()
    assert (market.head().number, market.now()) == (before.number + 2, GENESIS_TIME + HOUR)
    assert market.cycles() == (CYCLE,)
    assert market.call("TradeBook", "commitment_count") == 1


def test_a_reorganisation_takes_back_what_it_took(scene: Scene) -> None:
    daemon = scene.daemon("sunmarket", finality="depth:12")
    snapshot = scene.snapshot()
    (placed,) = scene.commit([scene.trade()])
    daemon.once()
    known = daemon.market.commitment(placed.number)
    assert known is not None
    assert known.record.root == daemon.market.cycle(CYCLE).commitments[placed.number].record.root
    scene.take_back(snapshot)
    daemon.once()
    assert daemon.market.head().number == scene.rpc.block_number()
    assert daemon.market.commitment(placed.number) is None
    assert daemon.market.cycles() == ()


def test_calls_that_the_contract_refuses(market: Market) -> None:
    with pytest.raises(Reverted) as caught:
        market.submit("seal", "AllocationOracle", "seal", CYCLE)
    assert caught.value.reason == "AllocationOracle: window not over"


def test_an_intent_is_sent_once(scene: Scene, daemon: Daemon[Any], market: Market) -> None:
    spender = scene.contracts["SettlementEscrow"].address
    first = market.submit("approve", "DepositToken", "approve", spender, 5)
    daemon.once()
    again = market.submit("approve", "DepositToken", "approve", spender, 6)
    assert (again.id, again.state) == (first.id, "final")
    relayer = Account(scene_key("relayer", "sunmarket"), scene.rpc).address
    assert scene.call("DepositToken", "allowance", relayer, spender) == 5


# --- members ---


def test_members_and_their_roles(scene: Scene, market: Market) -> None:
    utilities = tuple(sorted(scene.id(name) for name in scene.utilities))
    platforms = tuple(sorted(scene.id(name) for name in scene.platforms))
    assert market.members(MemberRole.UTILITY) == utilities
    assert market.members(MemberRole.GRID_OPERATOR) == utilities
    assert market.members(MemberRole.PLATFORM) == platforms
    assert market.members(MemberRole.PLATFORM | MemberRole.UTILITY) == tuple(sorted((*platforms, *utilities)))
    assert market.members(MemberRole.SETTLEMENT_BANK) == (scene.id(BANK),)
    assert market.members(MemberRole.MARKET_AGENT) == ()


def test_attestors_and_quorum(scene: Scene, daemon: Daemon[Any], market: Market) -> None:
    assert market.attestors() == (tuple(scene.id(name) for name in scene.utilities), 3)
    fewer = [scene.id("hillpower"), scene.id("eastpower")]
    scene.by_council("MemberRegistry", "set_attestors", fewer)
    daemon.once()
    assert market.attestors() == (tuple(fewer), 2)


def test_names(scene: Scene, market: Market) -> None:
    assert market.name(scene.id("hillpower")) == subscriber_of("hillpower")
    late = member_id("late.example")
    assert market.name(late) == "0x" + late.hex()
    market.know(["late.example"])
    assert market.name(late) == "late.example"


def test_keys_follow_the_registry(scene: Scene, daemon: Daemon[Any], market: Market) -> None:
    east = scene.id("eastpower")
    old, new = scene.members["eastpower"].key, scene_key("hot", "eastpower, the next")
    assert market.keys_of(east) == {typed_data.address_of(old)}
    assert market.keys_of(member_id("stranger.example")) == frozenset()

    scene.move_to(scene.now + 10)
    change = HotKeyChange(east, Account(new, scene.rpc).address, 0)
    scene.send("MemberRegistry", "change_hot_key", east, change.key, cold(scene, "eastpower", change), b"")
    daemon.once()
    assert market.keys_of(east) == {typed_data.address_of(new)}  # at once, although trades have days of grace

    scene.move_to(scene.now + 10)
    stop = KeyCompromised(east, change.key, 1)
    scene.send("MemberRegistry", "mark_compromised", east, stop.key, cold(scene, "eastpower", stop), b"")
    daemon.once()
    assert market.keys_of(east) == frozenset()


# --- parameters ---


def test_the_config_of_a_cycle_is_that_of_its_first_commitment(
    scene: Scene, daemon: Daemon[Any], market: Market
) -> None:
    assert market.config(CYCLE) == CONFIG
    scene.commit([scene.trade()])
    scene.move_to(scene.now + 1)
    later = replace(CONFIG, gate=2 * HOUR)
    scene.by_council("MemberRegistry", "set_config", later)
    scene.commit([scene.trade(item="second")])
    daemon.once()
    assert market.config(CYCLE) == CONFIG
    assert market.config(CYCLE + 1) == later
    assert scene.call("AllocationOracle", "config_version", CYCLE) == 1
    assert market.terms(CALENDAR.cycle_start(CYCLE)).config == CONFIG
    assert market.terms(CALENDAR.cycle_end(CYCLE)).config == later


def test_calendar_and_templates(market: Market) -> None:
    assert market.calendar == CALENDAR
    assert dict(market.templates) == SHIPPED_BY_ID


# --- a cycle ---


def test_a_cycle_from_trade_to_seal(scene: Scene, daemon: Daemon[Any], market: Market) -> None:
    def followed() -> Phase:
        daemon.once()
        assert market.phase(CYCLE) == scene.call("AllocationOracle", "phase", CYCLE)
        return market.phase(CYCLE)

    east = scene.id("eastpower")
    assert followed() is Phase.UNUSED
    placed = scene.commit([scene.trade(), scene.trade(item="second")])
    assert followed() is Phase.DELIVERY
    assert market.deadline(CYCLE, 0) == DAY_END + 12 * HOUR
    with pytest.raises(NotKnown, match=rf"^the intake of run 1 of cycle {CYCLE} has not begun$"):
        market.deadline(CYCLE, 1)
    scene.move_to(DAY_END)
    assert followed() is Phase.INTAKE
    assert market.posted(CYCLE, 0, east) is None

    first = scene.allocate("eastpower", placed, delivered=lambda one: 1)
    daemon.once()
    assert market.posted(CYCLE, 0, east) == PostedTree(1, first[0].root, 4)
    second = scene.allocate("eastpower", placed, attempt=2)
    daemon.once()
    assert market.posted(CYCLE, 0, east) == PostedTree(2, second[0].root, 4)
    statement = Allocation(CYCLE, 0, 2, east, second[0].root, 4, CONFIG.digest())
    assert market.is_posted(statement)
    assert not market.is_posted(replace(statement, attempt=1, root=first[0].root))
    assert not market.is_posted(replace(statement, utility=scene.id("westpower"), root=EMPTY_ROOT, count=0))

    assert (market.newest_sealed_run(CYCLE), market.is_sealed(CYCLE, 0)) == (None, False)
    with pytest.raises(NotKnown, match=rf"^run 0 of cycle {CYCLE} is not sealed$"):
        market.inputs(CYCLE, 0)
    scene.seal()
    assert followed() is Phase.INTAKE
    assert (market.newest_sealed_run(CYCLE), market.is_sealed(CYCLE, 0), market.is_sealed(CYCLE, 1)) == (0, True, False)
    assert market.inputs(CYCLE, 0) == scene.call("AllocationOracle", "inputs", CYCLE, 0)
    assert market.sealed_at(CYCLE, 0) == scene.call("AllocationOracle", "sealed_at", CYCLE, 0)
    assert market.deadline(CYCLE, 1) == DAY_END + 14 * DAY


def test_a_late_seal_leaves_the_least_intake(scene: Scene, daemon: Daemon[Any], market: Market) -> None:
    scene.commit([scene.trade()])
    scene.move_to(DAY_END + 20 * DAY)
    scene.seal()
    daemon.once()
    assert market.deadline(CYCLE, 1) == market.sealed_at(CYCLE, 0) + CONFIG.least_intake


def test_a_pause_moves_deadlines(scene: Scene, daemon: Daemon[Any], market: Market) -> None:
    scene.commit([scene.trade()])
    guardian = Account(scene_key("account", "guardian"), scene.rpc)
    scene.move_to(DAY_END + HOUR)
    scene.contracts["MemberRegistry"].transact(guardian, "pause")
    scene.move_to(DAY_END + 4 * HOUR)
    scene.contracts["MemberRegistry"].transact(guardian, "resume")
    daemon.once()
    deadline = market.deadline(CYCLE, 0)
    assert deadline == DAY_END + 15 * HOUR
    scene.move_to(deadline - 1)
    daemon.once()
    assert (market.deadline(CYCLE, 0), market.phase(CYCLE)) == (deadline, Phase.INTAKE)
    scene.move_to(deadline)
    daemon.once()
    assert market.phase(CYCLE) is Phase.WINDOW
    assert market.deadline(CYCLE, 0) <= deadline  # past: no more is known of it


def test_curtailments(scene: Scene, daemon: Daemon[Any], market: Market) -> None:
    placed = scene.commit([scene.trade(), scene.trade(item="second")])
    scene.curtail("eastpower", placed[1], 120)
    daemon.once()
    (found,) = market.curtailments(CYCLE)
    assert (found.number, found.index, found.trade_digest) == (placed[1].number, 1, placed[1].digest)
    assert (found.contracted_wh, found.reason, found.recorded_at) == (120, 1, scene.now)
    assert market.curtailments(CYCLE + 1) == ()
