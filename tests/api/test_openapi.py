"""The OpenAPI document: as committed, complete, and kept by every answer, also to requests that nobody thought of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from jsonschema_rs import Draft202012Validator, validator_for
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import document_text
from api.bodies import NewTrade
from api.examples import BODIES
from api.settings import Rate
from settlement.documents import value_of
from tests.api.gateway_scene import GatewayScene, hexed
from tests.api.test_batches import body, make
from wire.problem_types import PROBLEM_TYPES

COMMITTED = Path(__file__).parents[2] / "api" / "openapi.json"
DOCUMENT = json.loads(document_text())
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

# Clients are generated from these names; one may be added, none changes.
STABLE = {
    "proposeTrade",
    "signTrade",
    "getTrade",
    "listTrades",
    "listOrders",
    "commitBatch",
    "getBatch",
    "proveTrade",
    "listCycles",
    "getCycle",
    "listRows",
    "settleRows",
    "listObligations",
    "notifyPayment",
    "acknowledgePayment",
    "withdraw",
    "listMembers",
    "getTransaction",
    "readFeed",
    "readFeedHead",
}


def test_as_committed() -> None:
    assert COMMITTED.read_text() == document_text(), "write it anew: clearwatt openapi > api/openapi.json"


def test_names_are_stable() -> None:
    assert set(OPERATIONS) == STABLE
    assert DOCUMENT["openapi"] == "3.1.0"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_answer_is_listed(name: str) -> None:
    method, _, operation = OPERATIONS[name]
    responses = operation["responses"]
    for status in ("401", "403", "413", "422", "429", "500", "503"):
        assert list(responses[status]["content"]) == ["application/problem+json"], status
        for code in responses[status]["description"].replace("`", "").split(", "):
            assert PROBLEM_TYPES[code].status == int(status)
    assert operation["summary"]
    assert any(status.startswith("2") for status in responses)
    if method == "post":
        assert {"400", "409"} <= set(responses)
        assert [one["name"] for one in operation["parameters"] if one["in"] == "header"] == ["Idempotency-Key"]
        assert operation["security"] == [{"member": []}]


@pytest.mark.parametrize("name", BODIES)
def test_examples_fit(name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    validator_for(schema).validate(BODIES[name])


def test_schema_is_as_strict_as_the_reader() -> None:
    validator = Draft202012Validator({"$ref": "#/components/schemas/NewTrade", "components": DOCUMENT["components"]})
    good = BODIES["NewTrade"]
    assert value_of(NewTrade, good)
    for changed in (
        good | {"more": 1},
        {key: value for key, value in good.items() if key != "lane"},
        good | {"lane": "fast"},
        good | {"trade": good["trade"] | {"rates": [1]}},
        good | {"trade": good["trade"] | {"salt": "0xAB"}},
        good | {"trade": good["trade"] | {"slot_start": 1 << 53}},
    ):
        assert not validator.is_valid(changed)
        with pytest.raises(ValueError):
            value_of(NewTrade, changed)


def test_real_answers_fit(scene: GatewayScene) -> None:
    """Whatever the gateway answers to a full market is what its document says."""
    trades = [scene.market.trade(item=f"documented-{place}", hour=9 + place) for place in range(2)]
    client = scene.client("sunmarket")
    batch = make(scene, trades, 1)
    answers = [
        ("proposeTrade", client.post("/v1/trades", scene.proposal(scene.market.trade(item="open"), ["sunmarket"]))),
        (
            "commitBatch",
            client.post("/v1/batches", body(scene, batch, trades, ["sunmarket", "rooftrade"])),
        ),
    ]
    scene.work()
    paths = {
        "getTrade": f"/v1/trades/{hexed(trades[0].digest)}",
        "listTrades": "/v1/trades?limit=2",
        "listOrders": "/v1/orders",
        "getBatch": f"/v1/batches/{hexed(scene.market.domain.digest(batch))}",
        "proveTrade": f"/v1/proofs/trades/{hexed(trades[1].digest)}",
        "listCycles": "/v1/cycles",
        "getCycle": "/v1/cycles/20650",
        "listRows": "/v1/rows?cycle=20650",
        "listObligations": "/v1/obligations",
        "listMembers": "/v1/members",
        "getTransaction": f"/v1/transactions/commit:{hexed(scene.market.domain.digest(batch))}",
        "readFeed": "/v1/feed",
        "readFeedHead": "/v1/feed/head",
    }
    answers += [(name, client.get(path)) for name, path in paths.items()]
    answers.append(("getBatch", scene.client("eastpower").get(paths["getBatch"])))
    for name, answer in answers:
        assert answer.is_success, answer.text
        _, _, operation = OPERATIONS[name]
        schema = operation["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        validator_for({**schema, "components": DOCUMENT["components"]}).validate(answer.json())


# --- requests that nobody thought of ---


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayScene]:
    many = {name: Rate(1_000_000) for name in ("read", "write", "proof", "anonymous")}
    with GatewayScene(tmp_path_factory.mktemp("fuzzed"), rates=many) as made:
        yield made


def whole(value: Any) -> Any:
    """The same with 2.0 as 2: to JSON they are one number, to us one is no integer, which is tested elsewhere."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


FUZZED = {
    operation.ok().definition.raw["operationId"]: operation.ok()
    for operation in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
}


@pytest.mark.parametrize("name", FUZZED)
def test_nothing_breaks(name: str, fuzzed: GatewayScene) -> None:
    """Signed as a member would sign it, anything is answered as documented, and never with a defect."""
    client = fuzzed.client("sunmarket")

    @given(case=FUZZED[name].as_strategy())
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def ask(case: Any) -> None:
        prepared = case.as_transport_kwargs(base_url=client.base)
        params = {key: value for key, value in (prepared.get("params") or {}).items() if key != "wait"}
        request = fuzzed.http.build_request(
            prepared["method"],
            prepared["url"],
            params=params or None,
            json=whole(prepared.get("json")),
            content=prepared.get("data"),
        )
        target = str(request.url).removeprefix(client.base)
        request.headers.update(client.headers(request.method, target, request.read()))
        key = (case.headers or {}).get("Idempotency-Key")
        if key is not None:
            request.headers["Idempotency-Key"] = key
        response = schemathesis.Response.from_httpx(fuzzed.http.send(request), verify=False)
        # Our own schemas are stricter than formats; a problem is always answered as one.
        case.validate_response(
            response,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    ask()
