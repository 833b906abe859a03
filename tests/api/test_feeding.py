"""What of an event stands in the feed: all that is public, and nothing that only a trade's signers see."""

from __future__ import annotations

from typing import Any

from settlement.preimages import sorted_locks
from tests.api.gateway_scene import SIGNERS, GatewayScene, hexed
from tests.api.test_batches import body, make


def events(scene: GatewayScene, name: str) -> list[dict[str, Any]]:
    found = scene.client("settlebank").get(f"/v1/feed?limit=500&types={name}").json()
    return [one for one in found["items"] if one["type"] == name]


def test_registered_trade_is_told_without_the_trade(scene: GatewayScene) -> None:
    one = scene.market.trade(item="told")
    scene.client("sunmarket").post("/v1/trades", scene.proposal(one, SIGNERS))
    scene.work()

    answer = scene.client("settlebank").get("/v1/feed?limit=500").text
    (told,) = events(scene, "TradeRegistered")

    assert told["payload"]["trade_digest"] == hexed(one.digest)
    assert (told["subject"], told["payload"]["contract"]) == (f"trade:{hexed(one.digest)}", "TradeBook")
    for private in (one.trade.salt, one.trade.buyer_meter, one.trade.seller_meter, one.trade.order_hash):
        assert private.hex() not in answer


def test_money_is_text(scene: GatewayScene) -> None:
    market = scene.market
    market.fund("sunmarket", 1 << 70)
    trades = [market.trade(item="locked", hour=12)]
    locks = sorted_locks({(market.id("sunmarket"), market.id("rooftrade")): 1 << 60})
    batch = make(scene, trades, 1, locks)
    scene.client("sunmarket").post("/v1/batches", body(scene, batch, trades, ["sunmarket", "rooftrade"]))
    scene.work()

    (committed,) = events(scene, "BatchCommitted")
    assert committed["payload"]["locks"][0]["amount"] == str(1 << 60)
    assert committed["subject"] == f"commitment:{committed['payload']['number']}"
    (deposited,) = events(scene, "Deposited")
    assert deposited["payload"]["amount"] == str(1 << 70)
    assert deposited["subject"] == f"member:{hexed(market.id('sunmarket'))}"
