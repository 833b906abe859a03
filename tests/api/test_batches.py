"""Batches over HTTP: complete ones are relayed, incomplete ones wait, each caller sees its own part, proofs verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from settlement import merkle, preimages
from settlement.documents import document, value_of
from settlement.trade import Commitment, Lock, TradeBatch
from store.records import MemberSignature
from tests.api.gateway_scene import GatewayScene, hexed, problem
from tests.member.scene import CYCLE, SignedTrade


def make(scene: GatewayScene, trades: Sequence[SignedTrade], sequence: int, locks: tuple[Lock, ...] = ()) -> TradeBatch:
    low, high = sorted((scene.market.id("sunmarket"), scene.market.id("rooftrade")))
    root = merkle.root([preimages.trade_leaf(one.digest) for one in trades])
    starts = min(one.trade.slot_start for one in trades)
    return TradeBatch(CYCLE, low, high, sequence, starts, len(trades), root, locks)


def body(scene: GatewayScene, batch: TradeBatch, trades: Sequence[SignedTrade], by: Sequence[str]) -> dict[str, Any]:
    members = [scene.market.members[name] for name in by]
    return {
        "batch": document(batch),
        "trades": [{"trade": document(one.trade), "signatures": document(one.signatures)} for one in trades],
        "signatures": [document(MemberSignature.of(one.id, one.sign(scene.market.domain, batch))) for one in members],
    }


@pytest.fixture(scope="module")
def trades(scene: GatewayScene) -> list[SignedTrade]:
    """Four trades of the two platforms; of the last one the utilities are the other way round."""
    market = scene.market
    found = [market.trade(hour=10 + place, item=f"batched-{place}") for place in range(3)]
    other = market.trade(hour=14, item="other", buyer_utility="westpower", seller_utility="westpower")
    return [*found, other]


@pytest.fixture(scope="module")
def committed(scene: GatewayScene, trades: list[SignedTrade]) -> str:
    """A batch that came in two parts, and is on the chain; its id."""
    batch = make(scene, trades, 1)
    first = scene.client("sunmarket").post("/v1/batches", body(scene, batch, trades, ["sunmarket"]))
    assert first.status_code == 202, first.text
    found = first.json()
    assert (found["state"], found["transaction"]) == ("PENDING_SIGNATURES", None)
    assert found["missing"] == [hexed(scene.market.id("rooftrade"))]
    assert found["to_sign"][0]["typed_data"]["primaryType"] == "TradeBatch"
    second = scene.client("rooftrade").post("/v1/batches", body(scene, batch, trades, ["rooftrade"]))
    assert (second.json()["state"], second.json()["transaction"]) == ("WAITING", f"commit:{found['id']}")
    scene.work()
    return str(found["id"])


def test_committed(scene: GatewayScene, committed: str) -> None:
    found = scene.client("rooftrade").get(f"/v1/batches/{committed}").json()
    assert (found["state"], found["finality"], found["number"]) == ("COMMITTED", "final", 1)
    assert scene.market.call("TradeBook", "commitment_count") == 1


def test_trades_of_it_are_known(scene: GatewayScene, committed: str, trades: list[SignedTrade]) -> None:
    """Their signers never came to the gateway, and yet find them there."""
    found = scene.client("eastpower").get("/v1/trades?limit=500").json()["items"]
    by_digest = {one["digest"]: one for one in found}
    for one in trades[:3]:
        seen = by_digest[hexed(one.digest)]
        assert (seen["state"], seen["lane"], seen["number"], seen["missing"]) == ("COMMITTED", "batched", 1, [])


@pytest.mark.parametrize("place", range(4))
def test_proofs_verify(scene: GatewayScene, committed: str, trades: list[SignedTrade], place: int) -> None:
    one = trades[place]
    found = scene.client("westpower").get(f"/v1/proofs/trades/{hexed(one.digest)}").json()

    record = value_of(Commitment, found["commitment"])
    path = value_of(tuple[bytes, ...], found["path"])
    assert found["index"] == place
    assert merkle.verify(record.root, record.count, place, preimages.trade_leaf(one.digest), path)
    assert preimages.commitment_record(record) == scene.market.call("TradeBook", "commitment", found["number"])


def test_who_sees_what(scene: GatewayScene, committed: str, trades: list[SignedTrade]) -> None:
    whole = scene.client("sunmarket").get(f"/v1/batches/{committed}").json()
    assert whole["trades"] == [hexed(one.digest) for one in trades]
    part = scene.client("eastpower").get(f"/v1/batches/{committed}").json()
    assert (part["state"], part["trades"], part["to_sign"]) == ("COMMITTED", None, None)
    stranger = scene.client("settlebank").get(f"/v1/batches/{committed}")
    assert (stranger.status_code, problem(stranger)["code"]) == (404, "batch-unknown")
    unseen = scene.client("settlebank").get(f"/v1/proofs/trades/{hexed(trades[0].digest)}")
    assert (unseen.status_code, problem(unseen)["code"]) == (404, "trade-unknown")


def test_contract_refuses_before_anything_is_kept(scene: GatewayScene, committed: str) -> None:
    """A sequence that was used: the platforms are told at once, in the contract's words."""
    again = [scene.market.trade(hour=16, item="late")]
    batch = make(scene, again, 1)
    answer = scene.client("sunmarket").post("/v1/batches", body(scene, batch, again, ["sunmarket", "rooftrade"]))
    assert (answer.status_code, problem(answer)["code"]) == (422, "contract-refuses")
    assert problem(answer)["reason"] == "TradeBook: sequence not higher"
    unknown = scene.client("sunmarket").get(f"/v1/batches/{hexed(scene.market.domain.digest(batch))}")
    assert unknown.status_code == 404


def test_proof_before_commitment(scene: GatewayScene) -> None:
    one = [scene.market.trade(hour=17, item="uncommitted")]
    batch = make(scene, one, 9)
    scene.client("sunmarket").post("/v1/batches", body(scene, batch, one, ["sunmarket"]))
    answer = scene.client("sunmarket").get(f"/v1/proofs/trades/{hexed(one[0].digest)}")
    assert (answer.status_code, problem(answer)["code"]) == (409, "not-committed")


def test_other_trades_than_it_says(scene: GatewayScene, trades: list[SignedTrade]) -> None:
    client, batch = scene.client("sunmarket"), make(scene, trades, 20)
    for others, why in (
        (trades[:3], "4 trades, 3 came"),
        ([trades[1], trades[0], *trades[2:]], "root"),
        ([trades[0], trades[0], *trades[2:]], "twice"),
    ):
        answer = client.post("/v1/batches", body(scene, batch, others, ["sunmarket"]))
        assert (answer.status_code, problem(answer)["code"]) == (422, "batch-differs")
        assert why in problem(answer)["detail"]


def test_wrong_signatures(scene: GatewayScene, trades: list[SignedTrade]) -> None:
    batch = make(scene, trades, 21)
    forged = body(scene, replace(batch, sequence=22), trades, ["sunmarket"]) | {"batch": document(batch)}
    answer = scene.client("sunmarket").post("/v1/batches", forged)
    assert problem(answer)["errors"][0]["pointer"] == "#/signatures/0"
    # Also a signature on one of the trades.
    forged = body(scene, batch, trades, ["sunmarket"])
    forged["trades"][2]["signatures"][1]["r"] = "0x" + "11" * 32
    answer = scene.client("sunmarket").post("/v1/batches", forged)
    assert (answer.status_code, problem(answer)["code"]) == (422, "member-signature-wrong")
    assert problem(answer)["errors"][0]["pointer"] == "#/trades/2/signatures/1"
    answer = scene.client("eastpower").post("/v1/batches", body(scene, batch, trades, ["sunmarket"]))
    assert (answer.status_code, problem(answer)["code"]) == (403, "not-yours")
