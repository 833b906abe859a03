"""Registered trades through a real gateway: brought by the seller's platform, signed by all, committed one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import Adapter
from api.gateway import Gateway, assemble
from api.settings import GatewaySettings
from member.gateway_pages import Glances
from member.listening import Listener
from store.database import Database
from tests.member.scene import CYCLE, scene_key
from tests.trading.bustle import Bustle, order_line, problems, reasons

LOCKED = '[[partners]]\nsubscriber = "{}.example"\nlock_percent = 50\n'


class Market(Bustle):
    """The bustle with a gateway before it."""

    def open_gateway(self, *adapters: Adapter) -> Gateway:
        """Serves it; it works when the test lets everybody settle down."""
        listener = Listener("127.0.0.1", 0)
        self.gateway_url = listener.url
        database = Database(f"sqlite:///{self.folder}/gateway.db")
        database.create()
        settings = GatewaySettings(self.node.url, "instant", listener.url)
        keys = scene_key("account", "gateway relayer"), scene_key("account", "gateway")
        self.gateway = assemble(settings, self.record, database, *keys, version="test", adapters=adapters)
        self.gateway.work.follow()
        listener.serve(self.gateway.app)
        self.closing = [listener.close, database.close]
        return self.gateway

    def settle_down(self, rounds: int = 200) -> None:
        """Members and gateway in turns."""
        for _ in range(4):
            self.move_to(self.now + 1)  # at each block the gateway's lists are looked at
            self.gateway.work.round()
            super().settle_down(rounds)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for close in self.closing:
            close()


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    with Market(tmp_path) as made:
        made.open_gateway()
        for name in made.utilities:
            made.utility(name, gateway=f'"{made.gateway_url}"')
        for name, other in (("sunmarket", "rooftrade"), ("rooftrade", "sunmarket")):
            made.platform(name, LOCKED.format(other), gateway=f'"{made.gateway_url}"')
        yield made


def test_a_registered_order_stands_on_the_chain_with_its_lock(market: Market) -> None:
    market.fund("sunmarket", 10_000_000)
    for name in market.platforms:
        market.order(name, [order_line()], lane="registered")
    market.settle_down()
    (event,) = market.contracts["TradeBook"].events(name="TradeRegistered")
    assert event["trade"]["trade_id"] == market.trade_id(order_line())
    assert [(one["payer"], one["amount"]) for one in event["locks"]] == [
        (market.id("sunmarket"), 500 * 6_000_000 // 1_000 // 2)
    ]
    market.settle_down()
    for name in market.names:
        assert [one.trade.trade_id for one in market.daemons[name].desk.placed(CYCLE)] == [
            market.trade_id(order_line())
        ], name
        assert not problems(market.daemons[name]), name
        assert not reasons(market.daemons[name]), name


def test_without_the_other_platforms_order_nothing_is_registered(market: Market) -> None:
    market.order("rooftrade", [order_line()], lane="registered")
    market.settle_down()
    assert market.call("TradeBook", "commitment_count") == 0
    (waits,) = market.daemons["rooftrade"].status()["waiting"]
    assert (waits["reason"], waits["for_whom"]) == ("lacks signatures", ["sunmarket.example"])
    (mine,) = market.daemons["sunmarket"].status()["waiting"]
    assert mine["reason"] == "not signed: trade_id: no order of this platform makes this trade"


def test_other_locks_than_agreed_are_not_signed(market: Market) -> None:
    market.platform("rooftrade", LOCKED.format("sunmarket").replace("50", "60"), gateway=f'"{market.gateway_url}"')
    for name in market.platforms:
        market.order(name, [order_line()], lane="registered")
    market.settle_down()
    assert market.call("TradeBook", "commitment_count") == 0
    (mine,) = market.daemons["sunmarket"].status()["waiting"]
    assert mine["reason"] == "locks not signed: locks: are not what was agreed"


def test_a_batch_through_the_gateway(market: Market) -> None:
    market.fund("sunmarket", 10_000_000)
    low = min(market.platforms, key=market.id)
    other = next(name for name in market.platforms if name != low)
    market.platform(low, LOCKED.format(other), 'relay = "gateway"', gateway=f'"{market.gateway_url}"')
    for name in market.platforms:
        market.order(name, [order_line()])
    market.settle_down()
    market.before_gate()
    market.settle_down()
    assert market.call("TradeBook", "commitment_count") == 1
    assert [one.trade.trade_id for one in market.daemons["eastpower"].desk.placed(CYCLE)] == [
        market.trade_id(order_line())
    ]


def test_without_the_gateway_all_else_goes_on(market: Market) -> None:
    market.fund("sunmarket", 10_000_000)
    market.closing[0]()
    for name in market.platforms:
        market.order(name, [order_line(1)], lane="registered")
        market.order(name, [order_line(2)])
    market.before_gate()
    market.settle_down()
    assert market.call("TradeBook", "commitment_count") == 1
    assert any(reason.startswith("the gateway: gateway: ") for reason in reasons(market.daemons["rooftrade"]))


def test_glances_are_at_each_block_and_once_a_second() -> None:
    now = [0.0]
    glances = Glances(lambda: now[0])
    assert [glances.is_due(1), glances.is_due(1), glances.is_due(2), glances.is_due(2)] == [True, False, True, False]
    now[0] = 1.0
    assert [glances.is_due(2), glances.is_due(2)] == [True, False]
