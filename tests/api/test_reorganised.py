"""The chain changes its mind: states follow without repair, the feed says so and rewrites nothing, nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from chain.outbox import ORPHANED
from store import feed
from store.feed import NO_ITEMS, TAKEN_BACK, first_break
from store.outbox import transactions
from tests.api.gateway_scene import SIGNERS, GatewayScene, hexed
from tests.member.scene import SignedTrade


def state(scene: GatewayScene, one: SignedTrade) -> dict[str, Any]:
    found: dict[str, Any] = scene.client("sunmarket").get(f"/v1/trades/{hexed(one.digest)}").json()
    return found


def items(scene: GatewayScene) -> list[Any]:
    with scene.database.reading() as connection:
        return [one for one, _ in feed.after(connection, 0, 500)]


@pytest.mark.parametrize("depth", [1, 3])
def test_registered_trade_leaves_the_chain_and_comes_back(tmp_path: Path, depth: int) -> None:
    with GatewayScene(tmp_path, finality="depth:12") as scene:
        one = scene.market.trade()
        scene.client("sunmarket").post("/v1/trades", scene.proposal(one, SIGNERS))
        scene.work()
        found = state(scene, one)
        assert (found["state"], found["finality"]) == ("COMMITTED", "included")
        if depth > 1:
            scene.market.move_to(scene.market.now, depth - 1)
            scene.follow()
        before = items(scene)

        # The blocks are replaced by empty ones: the transaction is in none of them, and not even in the pool.
        scene.market.rpc.call("anvil_reorg", depth, [])
        scene.follow()

        found = state(scene, one)
        assert (found["state"], found["reason"]["cause"]) == ("WAITING", "commitment")
        after = items(scene)
        assert after[: len(before)] == before
        (gone,) = after[len(before) :]
        assert (gone.news.type, gone.news.undoes) == (TAKEN_BACK, before[-1].seq)
        listed = scene.client("sunmarket").get("/v1/feed?types=TradeRegistered").json()["items"]
        assert [(each["type"], each["finality"]) for each in listed] == [
            ("TradeRegistered", "orphaned"),
            (TAKEN_BACK, "included"),
        ]

        # The gateway's own sender notices, and sends the same bytes again.
        scene.gateway.work.send()
        scene.work()
        scene.market.move_to(scene.market.now, 1)
        scene.work()

        found = state(scene, one)
        assert (found["state"], found["number"]) == ("COMMITTED", 1)
        assert scene.market.call("TradeBook", "commitment_count") == 1
        transaction = scene.client("sunmarket").get(f"/v1/transactions/{found['transaction']}").json()
        assert "orphaned" in {action["action"] for action in transaction["history"]}
        registered = [each for each in items(scene) if each.news.type == "TradeRegistered"]
        assert len(registered) == 2
        assert first_break(NO_ITEMS, items(scene)) is None


def test_orphaned_is_said(tmp_path: Path) -> None:
    """Between the loss of its block and the next sending a transaction, and its trade, are orphaned, not pending."""
    with GatewayScene(tmp_path, finality="depth:12") as scene:
        one = scene.market.trade()
        scene.client("sunmarket").post("/v1/trades", scene.proposal(one, SIGNERS))
        scene.work()
        scene.market.rpc.call("anvil_reorg", 1, [])
        scene.follow()
        # Where a process that died in between has left it.
        with scene.database.transaction() as connection:
            connection.execute(update(transactions).values(state=ORPHANED))

        found = state(scene, one)

        assert (found["state"], found["finality"]) == ("WAITING", "orphaned")
        transaction = scene.client("sunmarket").get(f"/v1/transactions/{found['transaction']}").json()
        assert (transaction["state"], transaction["finality"]) == ("orphaned", "orphaned")
        scene.work()
        assert state(scene, one)["state"] == "COMMITTED"


def test_final_is_final_only_at_its_depth(tmp_path: Path) -> None:
    with GatewayScene(tmp_path, finality="depth:2") as scene:
        one = scene.market.trade()
        scene.client("sunmarket").post("/v1/trades", scene.proposal(one, SIGNERS))
        scene.work()
        for finality in ("included", "included", "final"):
            assert state(scene, one)["finality"] == finality
            scene.market.move_to(scene.market.now, 1)
            scene.follow()
