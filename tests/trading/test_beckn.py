"""From two Beckn messages to trades on a real chain: daemons of both platforms and both utilities, and the gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import rfc8785

from api.beckn import BecknSettings
from api.routes import beckn
from member.daemon import Daemon
from member.peers import Peer
from settlement.config import DAY, HOUR, code
from settlement.formula.templates import FIXED_PRICE_SETTLED, Role
from settlement.hashing import keccak256
from settlement.identity import canonical_meter_id
from settlement.order import order_form
from settlement.trade import Trade
from settlement.units import Calendar, epoch_seconds
from tests.api.beckn_messages import line, order_message, raw, signature
from tests.member.scene import CONFIG
from tests.trading.book import ORDER
from tests.trading.bustle import problems, reasons
from tests.trading.test_registered import Market
from trading.fetching import CURSOR
from trading.orders import KeptOrder, Lane

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "deg" / "g3-interdiscom"
UTC = ZoneInfo("UTC")
MORNING = epoch_seconds("2026-01-09T06:00:00Z", UTC)
SLOT = 6 * HOUR
GRID = replace(CONFIG, currency=code("USD"), anchor=0, slot_length=SLOT, cycle_length=DAY)
CYCLE = Calendar(0, SLOT, DAY).cycle_of(MORNING)


@dataclass(frozen=True, slots=True)
class Messages:
    """A confirm and its on_confirm, as they are sent."""

    request: bytes
    answer: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The confirm."""
        found: dict[str, Any] = json.loads(self.request)
        return found

    @property
    def platforms(self) -> tuple[str, str]:
        """The buyer's and the seller's."""
        return self.document["context"]["bap_id"], self.document["context"]["bpp_id"]

    @property
    def utilities(self) -> tuple[str, str]:
        """The buyer's and the seller's, by the names that they have in messages."""
        attributes = self.document["message"]["order"]["beckn:orderAttributes"]
        return attributes["utilityIdBuyer"], attributes["utilityIdSeller"]

    @property
    def meters(self) -> tuple[str, str]:
        """The buyer's and the seller's."""
        (one, *_) = self.document["message"]["order"]["beckn:orderItems"]
        seller = one["beckn:acceptedOffer"]["beckn:offerAttributes"]["sourceMeterId"]
        buyer = one["beckn:orderItemAttributes"]["providerAttributes"]["meterId"]
        return canonical_meter_id(buyer), canonical_meter_id(seller)


def own_messages() -> Messages:
    """Two lines of one seller's day, in the figures of the public example."""
    lines = [
        line("offer-morning-001", 15.0, 0.15, "2026-01-09T06:00:00Z", "2026-01-09T12:00:00Z"),
        line("offer-afternoon-001", 10.0, 0.18, "2026-01-09T12:00:00Z", "2026-01-09T18:00:00Z"),
    ]
    request = order_message("confirm", lines, "2026-01-08T09:00:00Z", "tx-day")
    request["message"]["order"]["note"] = "Grüße, 1.50 €"  # the hash is over what nobody reads, too
    answer = order_message("on_confirm", lines, "2026-01-08T09:00:05Z", "tx-day")
    return Messages(raw(request), raw(answer))


class BecknMarket(Market):
    """A market in dollars with slots of six hours, the seller's utility operating the grid, wheeling free of charge."""

    def __init__(self, folder: Path, messages: Messages, lane: str | None) -> None:
        super().__init__(folder, platforms=messages.platforms, config=GRID, genesis_time=MORNING - 30 * HOUR)
        self.messages = messages
        settings = BecknSettings(
            zone=UTC,
            template=FIXED_PRICE_SETTLED.title,
            rates={"wheeling": 0},
            grid_operator=Role.SELLER_UTILITY,
            utilities=dict(zip(messages.utilities, ("eastpower.example", "westpower.example"), strict=True)),
        )
        self.open_gateway(beckn.adapter(settings, lambda: int(time.time())))
        for name, meter in zip(self.utilities, messages.meters, strict=True):
            self.home(name).mkdir(parents=True, exist_ok=True)
            (self.home(name) / "meters.csv").write_text(f"meter_id,export_wh,import_wh\n{meter},20000,20000\n")
            self.utility(name, gateway=f'"{self.gateway_url}"')
        for name in self.platforms:
            self.start(name, lane)

    def start(self, name: str, lane: str | None) -> Daemon[Any]:
        """Starts (or restarts) a platform that fetches orders into a lane."""
        fetching = "" if lane is None else f'beckn_lane = "{lane}"'
        return self.platform(name, platform=fetching, gateway=f'"{self.gateway_url}"')

    def post(self, action: str, by: str, body: bytes) -> None:
        """Sends a message to the gateway, signed by a platform."""
        headers = {"Authorization": signature(by, body), "Content-Type": "application/json"}
        found = httpx.post(f"{self.gateway_url}/beckn/{action}", content=body, headers=headers, trust_env=False)
        assert (found.status_code, found.json()) == (200, {"message": {"ack": {"status": "ACK"}}})

    def exchange(self) -> None:
        """Both platforms say what they agreed."""
        buying, selling = self.messages.platforms
        self.post("confirm", buying, self.messages.request)
        self.post("on_confirm", selling, self.messages.answer)

    def trades(self, name: str) -> list[Trade]:
        """What a member knows to stand on the chain, in the order of slots."""
        return sorted((one.trade for one in self.daemons[name].desk.placed(CYCLE)), key=lambda one: one.slot_start)


def public_messages() -> Messages:
    """The public example, where it is at hand."""
    if not EXAMPLES.is_dir():
        pytest.skip(f"the public example messages are not at {EXAMPLES}")
    return Messages(*((EXAMPLES / f"confirm-{kind}.json").read_bytes() for kind in ("request", "response")))


@pytest.mark.parametrize(("messages", "lane"), [(own_messages, "batched"), (public_messages, "registered")])
def test_a_confirm_between_utilities_becomes_two_trades_on_the_chain(tmp_path: Path, messages: Any, lane: str) -> None:
    with BecknMarket(tmp_path, messages(), lane) as market:
        market.exchange()
        market.settle_down()
        market.move_to(MORNING - 90 * 60)  # the gate closes an hour before, batches are proposed an hour before that
        market.settle_down()
        market.settle_down()

        buying, selling = market.messages.platforms
        trades = market.trades(buying)
        assert [(one.contracted_wh, one.slot_start, one.slot_end, one.rates) for one in trades] == [
            (15_000, MORNING, MORNING + SLOT, (150_000, 0)),
            (10_000, MORNING + SLOT, MORNING + 2 * SLOT, (180_000, 0)),
        ]
        document = rfc8785.dumps(market.messages.document["message"]["order"])
        for trade in trades:
            assert trade.order_hash == keccak256(trade.salt, document)
            assert (trade.buyer_platform, trade.seller_platform) == (market.id(buying), market.id(selling))
            assert trade.buyer_utility == market.id("eastpower")
            assert trade.seller_utility == trade.grid_operator == market.id("westpower")
            assert trade.template == FIXED_PRICE_SETTLED.template_id
        transaction = market.messages.document["context"]["transaction_id"]
        store = market.daemons[selling].store
        orders = [one["order"] for one in store.facts("order").values()]
        assert {one["order_item_id"] for one in orders} == {"offer-morning-001", "offer-afternoon-001"}
        assert {one["transaction_id"] for one in orders} == {transaction}
        for name in market.names:
            assert market.trades(name) == trades, name
            assert not problems(market.daemons[name]), name
            assert not reasons(market.daemons[name]), name
        book = market.contracts["TradeBook"]
        if lane == "registered":
            assert [one["trade"]["trade_id"] for one in book.events(name="TradeRegistered")] == [
                one.trade_id for one in sorted(trades, key=lambda one: one.trade_id)
            ]
        else:
            (batch,) = book.events(name="BatchCommitted")
            assert batch["record"]["count"] == 2


@pytest.fixture
def market(tmp_path: Path) -> Iterator[BecknMarket]:
    with BecknMarket(tmp_path, own_messages(), "registered") as made:
        yield made


def test_orders_are_fetched_once_and_after_a_restart_from_where_it_was(
    market: BecknMarket, monkeypatch: pytest.MonkeyPatch
) -> None:
    buying, _ = market.messages.platforms
    asked: list[str] = []
    get = Peer.get

    def noting(peer: Peer, path: str) -> Any:
        if path.startswith("/v1/orders"):
            asked.append(path)
        return get(peer, path)

    nothing = market.daemons[buying].store.fact(CURSOR, market.gateway_url)
    monkeypatch.setattr(Peer, "get", noting)
    market.exchange()
    daemon = market.start(buying, "registered")
    cursor = daemon.store.fact(CURSOR, market.gateway_url)
    assert len(daemon.store.facts("order")) == 2
    market.move_to(market.now + 1)
    daemon.once()
    daemon = market.start(buying, "registered")
    assert daemon.store.fact(CURSOR, market.gateway_url) == cursor
    assert asked == [f"/v1/orders?limit=100&cursor={after}" for after in (nothing, cursor, cursor)]
    assert not problems(daemon)


def test_a_platform_that_was_not_told_to_fetches_nothing(market: BecknMarket) -> None:
    buying, selling = market.messages.platforms
    market.start(buying, None)
    market.exchange()
    market.settle_down()
    assert market.daemons[buying].store.facts("order") == {}
    assert len(market.daemons[selling].store.facts("order")) == 2
    assert market.call("TradeBook", "commitment_count") == 0


def test_what_a_gateway_makes_up_is_left_out(market: BecknMarket, monkeypatch: pytest.MonkeyPatch) -> None:
    buying, selling = market.messages.platforms
    ours = replace(
        ORDER,
        template=FIXED_PRICE_SETTLED,
        rates=(1, 0),
        buyer_platform=market.id(buying),
        seller_platform=market.id(selling),
        grid_operator=market.id("westpower"),
        valid_until=0,
    )
    good = item(ours)
    broken = "half a character: \ud800"
    page = {
        "items": [
            7,
            good | {"order": good["order"] | {"template": "other.v1"}},
            good | {"trade_id": "0x" + "00" * 32},
            good | {"document": broken},
            item(replace(ours, transaction_id="tx-2")) | {"order": order_form(ours) | {"transaction_id": broken}},
            item(replace(ours, buyer_platform=market.id("eastpower"), seller_platform=market.id("westpower"))),
            good,
            good | {"document": "another"},
        ],
        "next": "Zm9v",
    }
    daemon = market.daemons[buying]
    answers: list[Any] = [page]
    empty: dict[str, Any] = {"items": [], "next": None}
    monkeypatch.setattr(Peer, "get", lambda peer, path: answers[-1] if "orders" in path else empty)
    market.move_to(market.now + 1)
    daemon.once()
    assert [one["document"] for one in daemon.store.facts("order").values()] == [good["document"]]
    found = "\n".join(problems(daemon))
    for part in (
        "$.order: must be an object",
        "$.order.template: is not known",
        "is not the order's",
        "surrogates not allowed",
        "$.order: is of other platforms",
        "order tx-1: order: differs from one that was read before",
    ):
        assert part in found, part
    more: tuple[Any, ...] = ({"items": []}, {"items": {}, "next": "Zm9v"}, {"items": [], "next": "a&limit=1"})
    for nonsense in more:
        answers.append(nonsense)
        market.move_to(market.now + 1)
        daemon.once()
        assert any(one.startswith("the gateway: ") for one in reasons(daemon)), nonsense
    assert daemon.store.fact(CURSOR, market.gateway_url) == "Zm9v"


def item(order: Any) -> dict[str, Any]:
    """An order as the gateway lists it."""
    kept = KeptOrder.of(order, Lane.REGISTERED)
    return {
        "trade_id": "0x" + order.trade_id().hex(),
        "order": order_form(order),
        "document": kept.document,
    }
