"""What every request meets: who asks, limits, ids, problems, what is measured and logged, and how health is told."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from api.settings import Auditor, Rate
from chain.errors import ConnectionFailed
from settlement.identity import member_id
from tests.api.gateway_scene import AUDITOR_KEY, PUBLIC_URL, Client, GatewayScene, hexed, problem
from tests.member.scene import scene_key

NOW = int(time.time())


def auditor(name: str, key: str, scopes: set[str], until: int = NOW + 1_000) -> Auditor:
    hashed = hashlib.sha256(key.encode()).digest()
    return Auditor(name, hashed, frozenset({member_id("sunmarket.example")}), frozenset(scopes), until)


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayScene]:
    """A gateway with auditors, small limits and a trade of the first two platforms."""
    auditors = (
        auditor("all", AUDITOR_KEY, {"trades", "settlement", "money", "feed"}),
        auditor("money", "money key", {"money"}),
        auditor("former", "former key", {"trades"}, until=NOW - 1),
    )
    rates = {"read": Rate(400), "write": Rate(100), "proof": Rate(2), "anonymous": Rate(5)}
    folder = tmp_path_factory.mktemp("strict")
    with GatewayScene(folder, auditors=auditors, rates=rates, max_body=20_000) as scene:
        one = scene.market.trade(item="audited")
        scene.client("sunmarket").post("/v1/trades", scene.proposal(one, ["sunmarket"]))
        yield scene


def bearer(scene: GatewayScene, path: str, key: str = AUDITOR_KEY) -> Any:
    return scene.http.get(path, headers={"Authorization": f"Bearer {key}"})


# --- who asks ---


def test_nobody(scene: GatewayScene) -> None:
    answer = scene.http.get("/v1/trades")
    assert (answer.status_code, problem(answer)["code"]) == (401, "signature-missing")
    assert answer.headers["www-authenticate"] == "Signature, Bearer"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"base": "http://elsewhere.example"}, "signature-wrong"),
        ({"key": scene_key("hot", "nobody")}, "signature-wrong"),
        ({"member": member_id("stranger.example")}, "member-unknown"),
    ],
)
def test_somebody_else(scene: GatewayScene, change: dict[str, Any], code: str) -> None:
    member = scene.market.members["sunmarket"]
    client = Client(**({"http": scene.http, "member": member.id, "key": member.key, "base": PUBLIC_URL} | change))
    assert problem(client.get("/v1/trades"))["code"] == code


def test_the_body_is_signed(scene: GatewayScene) -> None:
    client = scene.client("sunmarket")
    headers = client.headers("POST", "/v1/trades", b"{}") | {"Idempotency-Key": "x"}
    answer = scene.http.post("/v1/trades", content=b'{"a":1}', headers=headers)
    assert (answer.status_code, problem(answer)["code"]) == (401, "digest-differs")


def test_the_query_is_signed(scene: GatewayScene) -> None:
    headers = scene.client("sunmarket").headers("GET", "/v1/trades?limit=1", b"")
    assert scene.http.get("/v1/trades?limit=1", headers=headers).status_code == 200
    headers = scene.client("sunmarket").headers("GET", "/v1/trades?limit=1", b"")
    assert problem(scene.http.get("/v1/trades?limit=2", headers=headers))["code"] == "signature-wrong"


def test_replayed_request(scene: GatewayScene) -> None:
    headers = scene.client("sunmarket").headers("GET", "/v1/members", b"")
    assert scene.http.get("/v1/members", headers=headers).status_code == 200
    answer = scene.http.get("/v1/members", headers=headers)
    assert (answer.status_code, problem(answer)["code"]) == (401, "signature-replayed")


def test_auditor_reads_as_the_member_that_engaged_it(strict: GatewayScene) -> None:
    (one,) = bearer(strict, "/v1/trades").json()["items"]
    assert one["trade"]["buyer_platform"] == hexed(member_id("sunmarket.example"))
    assert (one["to_sign"], len(one["signatures"])) == (None, 1)
    for path in ("/v1/cycles", "/v1/rows?cycle=1", "/v1/obligations", "/v1/members", "/v1/feed", "/v1/feed/head"):
        assert bearer(strict, path).status_code == 200, path


def test_auditor_never_writes(strict: GatewayScene) -> None:
    headers = {"Authorization": f"Bearer {AUDITOR_KEY}", "Idempotency-Key": "x"}
    answer = strict.http.post("/v1/trades", content=b"{}", headers=headers)
    assert (answer.status_code, problem(answer)["code"]) == (403, "scope-missing")


@pytest.mark.parametrize(
    ("key", "path", "code"),
    [
        ("money key", "/v1/trades", "scope-missing"),
        ("money key", "/v1/cycles", "scope-missing"),
        ("money key", "/v1/feed", "scope-missing"),
        ("former key", "/v1/trades", "api-key-wrong"),
        ("no key", "/v1/trades", "api-key-wrong"),
    ],
)
def test_keys_that_do_not_reach(strict: GatewayScene, key: str, path: str, code: str) -> None:
    assert problem(bearer(strict, path, key))["code"] == code
    assert bearer(strict, "/v1/obligations", "money key").status_code == 200


# --- limits ---


def test_rate_is_told_and_kept(strict: GatewayScene) -> None:
    client = strict.client("rooftrade")
    path = f"/v1/proofs/trades/{'0x' + '11' * 32}"
    answers = [client.get(path) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"proof";r=1;t=0',
        '"proof";r=0;t=0',
        '"proof";r=0;t=30',
    ]
    assert (problem(answers[2])["code"], answers[2].headers["retry-after"]) == ("too-many-requests", "30")
    assert client.get("/v1/trades").status_code == 200, "another class"
    assert strict.client("sunmarket").get(path).status_code == 404, "another member"


def test_strangers_are_few(strict: GatewayScene) -> None:
    statuses = [strict.http.get("/v1/trades").status_code for _ in range(8)]
    assert statuses[-1] == 429
    assert set(statuses) == {401, 429}
    assert strict.client("sunmarket").get("/v1/trades").status_code == 200


def test_body_limit(strict: GatewayScene) -> None:
    client = strict.client("sunmarket")
    answer = client.post("/v1/trades", b"x" * 20_001)
    assert (answer.status_code, problem(answer)["code"]) == (413, "body-too-large")

    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 1_000

    headers = client.headers("POST", "/v1/trades", b"x" * 30_000) | {"Idempotency-Key": "x"}
    answer = strict.http.post("/v1/trades", content=chunks(), headers=headers)
    assert (answer.status_code, problem(answer)["code"]) == (413, "body-too-large")
    # The limit itself still fits.
    assert problem(client.post("/v1/trades", b"x" * 20_000))["code"] == "body-malformed"


# --- problems ---


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/nothing", 404, "not-found"),
        ("/v1/trades/0x11", 422, "value-refused"),
        ("/v1/rows", 422, "value-refused"),
        ("/v1/rows?cycle=-1", 422, "value-refused"),
        ("/v1/trades?limit=501", 422, "value-refused"),
        ("/v1/trades?state=GONE", 422, "value-refused"),
        ("/v1/transactions/none", 404, "not-found"),
    ],
)
def test_problems(scene: GatewayScene, path: str, status: int, code: str) -> None:
    answer = scene.client("sunmarket").get(path)
    assert (answer.status_code, problem(answer)["code"]) == (status, code)


def test_method(scene: GatewayScene) -> None:
    answer = scene.http.delete("/v1/trades")
    assert (answer.status_code, problem(answer)["code"]) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET" or "POST" in answer.headers["allow"]


def test_idempotency_over_http(scene: GatewayScene) -> None:
    client, body = scene.client("sunmarket"), scene.proposal(scene.market.trade(item="again"), [])
    first = client.post("/v1/trades", body, key="the-key")
    again = client.post("/v1/trades", json.dumps(body, sort_keys=True, indent=1).encode(), key="the-key")
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.headers["idempotency-replayed"], again.json()) == ("true", first.json())
    assert "idempotency-replayed" not in first.headers
    other = scene.proposal(scene.market.trade(item="else"), [])
    answer = client.post("/v1/trades", other, key="the-key")
    assert (answer.status_code, problem(answer)["code"]) == (422, "idempotency-key-reused")
    none = client.post("/v1/trades", other, key="")
    assert (none.status_code, problem(none)["code"]) == (400, "idempotency-key-missing")
    # Another member may use the same key.
    assert scene.client("rooftrade").post("/v1/trades", other, key="the-key").status_code == 201


def test_before_the_chain_is_followed(tmp_path: Path) -> None:
    """Nobody is a stranger only because the gateway does not know the members yet."""
    with GatewayScene(tmp_path) as scene:
        restarted = scene.assembled()
        with TestClient(restarted.app, base_url=PUBLIC_URL) as http:
            member = scene.market.members["sunmarket"]
            client = Client(http, member.id, member.key)
            early = client.get("/v1/members")
            assert (early.status_code, problem(early)["code"]) == (503, "try-again")
            assert http.get("/startupz").status_code == http.get("/readyz").status_code == 503
            assert http.get("/livez").status_code == 200
            restarted.work.follow()
            assert client.get("/v1/members").status_code == http.get("/startupz").status_code == 200


def test_node_is_silent(scene: GatewayScene, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> None:
        raise ConnectionFailed("no answer from the node at secret.example:8545/token")

    monkeypatch.setattr(scene.gateway.parts.market, "moment", silent)
    answer = scene.client("sunmarket").get("/v1/cycles")
    assert (answer.status_code, problem(answer)["code"]) == (503, "try-again")
    assert answer.headers["retry-after"] == "1"
    assert "secret" not in answer.text


def test_defect(scene: GatewayScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene.gateway.parts.market, "moment", lambda: 1 // 0)
    answer = scene.client("sunmarket").get("/v1/cycles")
    assert (answer.status_code, problem(answer)["code"]) == (500, "internal-error")
    assert "division" not in answer.text


# --- what is told of it ---


def test_ids_and_headers(scene: GatewayScene) -> None:
    client = scene.client("sunmarket")
    headers = client.headers("GET", "/v1/cycles", b"")
    answer = scene.http.get("/v1/cycles", headers=headers | {"X-Request-Id": "my-request-1"})
    assert answer.headers["x-request-id"] == "my-request-1"
    assert answer.headers["x-index-lag-blocks"] == "0"
    assert answer.headers["x-as-of-block"] == str(answer.json()["as_of_block"]["number"])
    assert answer.json()["finality"] == "final"
    bad = scene.http.get("/livez", headers={"X-Request-Id": "a b\tc" * 40})
    assert len(bad.headers["x-request-id"]) == 24


def test_lag_is_told(scene: GatewayScene) -> None:
    scene.gateway.parts.pulse.node_at(scene.market.rpc.block_number() + 50)
    try:
        answer = scene.client("sunmarket").get("/v1/cycles")
        assert (answer.status_code, answer.headers["x-index-lag-blocks"]) == (200, "50")
        stale = scene.client("sunmarket").get(f"/v1/proofs/trades/{'0x' + '11' * 32}")
        assert (stale.status_code, problem(stale)["code"]) == (503, "index-stale")
        ready = scene.http.get("/readyz")
        assert (ready.status_code, ready.json()["components"]["index"]) == (503, "50 blocks behind")
    finally:
        scene.follow()
    assert scene.http.get("/readyz").status_code == 200


def test_logs_hold_no_bodies(scene: GatewayScene) -> None:
    one = scene.market.trade(item="logged")
    with structlog.testing.capture_logs() as logs:
        scene.client("sunmarket").post("/v1/trades", scene.proposal(one, ["sunmarket"]), key="secret-idempotency-key")
        scene.client("sunmarket").get(f"/v1/trades?missing={hexed(one.trade.buyer_platform)}")
        scene.http.get("/v1/trades", headers={"Authorization": "Bearer secret-api-key"})
    requests = [line for line in logs if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/v1/trades", 201),
        ("/v1/trades", 200),
        ("/v1/trades", 401),
    ]
    assert requests[0]["caller"] == hexed(scene.market.id("sunmarket"))
    text = json.dumps(logs, default=str)
    for secret in (one.trade.salt.hex(), one.trade.buyer_meter.hex(), "secret", "missing="):
        assert secret not in text


def test_metrics(scene: GatewayScene) -> None:
    scene.client("sunmarket").get("/v1/cycles")
    scene.http.get("/v1/cycles/%2e%2e/0x1234")
    with TestClient(scene.gateway.admin) as admin:
        found = admin.get("/metrics").text
        assert admin.get("/readyz").status_code == 200
    assert 'clearwatt_requests_total{method="GET",route="/v1/cycles",status="200"}' in found
    assert "clearwatt_index_lag_blocks 0.0" in found
    assert 'clearwatt_build_info{version="test"} 1.0' in found
    assert "0x1234" not in found, "nothing is counted by raw address"
    assert scene.http.get("/metrics").status_code == 404, "not where members call"


def test_health(scene: GatewayScene) -> None:
    scene.work()
    assert scene.http.get("/livez").text == "alive"
    assert scene.http.get("/startupz").text == "started"
    ready = scene.http.get("/readyz").json()
    assert ready["ready"]
    assert set(ready["components"]) >= {"database", "following", "index", "loops", "node", "sending"}


def test_status_is_idle_once_all_is_done(tmp_path: Path) -> None:
    with GatewayScene(tmp_path) as scene:
        work = scene.gateway.work
        work.round()
        status = scene.http.get("/v1/status").json()
        assert status["idle_at"] == status["head"] == scene.market.rpc.block_number()
        one = scene.market.trade()
        signers = ("sunmarket", "rooftrade", "eastpower", "westpower")
        scene.client("sunmarket").post("/v1/trades", scene.proposal(one, signers), key="k")
        woken = scene.http.get("/v1/status").json()
        assert (woken["idle_at"], woken["wakes"]) == (None, status["wakes"] + 1)
        assert work.round(), "it sent"
        assert scene.http.get("/v1/status").json()["idle_at"] is None, "the block is not followed yet"
        work.round()
        assert scene.http.get("/v1/status").json()["idle_at"] == scene.market.rpc.block_number()
        scene.client("sunmarket").post("/v1/trades", scene.proposal(one, signers), key="k")
        assert scene.http.get("/v1/status").json()["wakes"] == woken["wakes"], "a replay changes nothing"
