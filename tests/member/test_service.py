"""A member's service over real HTTP: who is let in, what is refused as which problem, places that are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from sqlalchemy.exc import OperationalError

from chain.account import Account
from member.daemon import Daemon
from member.errors import NotKnown, PeerRefused
from member.service import LARGEST_BODY, Body, Caller, answer
from settlement.documents import document
from settlement.trade import HotKeyChange
from store.records import PlacedTrade
from tests.member.scene import CYCLE, Scene, scene_key, subscriber_of
from wire.bodies import body_of
from wire.problems import Refused
from wire.signed_requests import sign, target_of


def echo(daemon: Daemon[Any]) -> APIRouter:
    """Routes that answer in every way there is."""
    router = APIRouter()

    @router.post("/echo")
    def post(caller: Caller, body: Body) -> Any:
        return answer({"caller": caller, "body": body})

    @router.get("/echo/{number}")
    def get(caller: Caller, number: int) -> Any:
        return answer({"number": number})

    @router.get("/fails/{how}")
    def fails(how: str) -> Any:
        raise {
            "defect": KeyError("hot key 0x4242"),
            "unknown": NotKnown("no such row"),
            "busy": OperationalError("select secret", {}, Exception("database is locked")),
            "refused": Refused("row-differs", "own row has 3 leaves", facts={"count": 3}),
        }[how]

    return router


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Scene(tmp_path_factory.mktemp("scene")) as made:
        made.daemon("eastpower", routers=[echo])
        made.daemon("sunmarket")
        yield made


def call(
    scene: Scene, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> httpx.Response:
    return httpx.request(method, scene.url("eastpower") + path, content=body or None, headers=headers, trust_env=False)


def signed(
    scene: Scene, method: str, path: str, body: bytes = b"", by: str = "sunmarket", to: str = "eastpower", **given: Any
) -> dict[str, str]:
    member = scene.members[by]
    values = {"created": int(time.time()), "nonce": f"nonce-{time.monotonic_ns()}", "key": member.key} | given
    key = values.pop("key")
    return sign(key, member.id, method, target_of(scene.url(to), path), body, **values)


def problem(response: httpx.Response) -> tuple[int, str, str]:
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert found["status"] == response.status_code
    assert found["type"] == f"urn:clearwatt:problem:{found['code']}"
    return response.status_code, found["code"], found["detail"]


# --- who asks ---


def test_a_signed_request_is_its_members(scene: Scene) -> None:
    body = body_of({"a": [1]})
    found = call(scene, "POST", "/echo?x=1&y=%2F", body, signed(scene, "POST", "/echo?x=1&y=%2F", body))
    assert found.json() == {"caller": "0x" + scene.id("sunmarket").hex(), "body": {"a": [1]}}
    assert call(scene, "GET", "/echo/5", headers=signed(scene, "GET", "/echo/5")).json() == {"number": 5}


def test_an_unsigned_request(scene: Scene) -> None:
    found = call(scene, "POST", "/echo", b"{}")
    assert problem(found) == (401, "signature-missing", "Signature-Input and Signature are wanted")
    assert found.headers["www-authenticate"] == "Signature"


def test_a_request_to_another_member_is_not_taken(scene: Scene) -> None:
    # As a member that was asked itself could hand it on, Host header and all.
    headers = signed(scene, "POST", "/echo", b"{}", to="sunmarket")
    found = call(scene, "POST", "/echo", b"{}", headers | {"Host": scene.url("sunmarket").removeprefix("http://")})
    assert problem(found)[:2] == (401, "signature-wrong")


def test_the_same_request_again(scene: Scene) -> None:
    headers = signed(scene, "POST", "/echo", b"{}")
    assert call(scene, "POST", "/echo", b"{}", headers).status_code == 200
    assert problem(call(scene, "POST", "/echo", b"{}", headers))[:2] == (401, "signature-replayed")


def test_a_stale_request(scene: Scene) -> None:
    headers = signed(scene, "POST", "/echo", b"{}", created=int(time.time()) - 100)
    assert problem(call(scene, "POST", "/echo", b"{}", headers))[:2] == (401, "signature-stale")


def test_who_is_no_member(scene: Scene) -> None:
    stranger = replace(scene.members["sunmarket"], subscriber="stranger.example")
    target = target_of(scene.url("eastpower"), "/echo")
    headers = sign(stranger.key, stranger.id, "POST", target, b"{}", int(time.time()), "nonce-of-a-stranger")
    code = problem(call(scene, "POST", "/echo", b"{}", headers))
    assert code == (403, "member-unknown", f"0x{stranger.id.hex()} has no key in this market")


def test_a_key_that_was_replaced(tmp_path: Path) -> None:
    with Scene(tmp_path) as scene:
        east = scene.daemon("eastpower", routers=[echo])
        new = scene_key("hot", "sunmarket, the next")
        change = HotKeyChange(scene.id("sunmarket"), Account(new, scene.rpc).address, 0)
        cold = replace(scene.members["sunmarket"], key=scene_key("cold", "sunmarket"))
        assert call(scene, "POST", "/echo", b"{}", signed(scene, "POST", "/echo", b"{}")).status_code == 200
        scene.move_to(scene.now + 1)
        scene.send("MemberRegistry", "change_hot_key", change.member, change.key, cold.sign(scene.domain, change), b"")
        east.once()
        old = call(scene, "POST", "/echo", b"{}", signed(scene, "POST", "/echo", b"{}"))
        assert problem(old)[:2] == (401, "signature-wrong")
        assert call(scene, "POST", "/echo", b"{}", signed(scene, "POST", "/echo", b"{}", key=new)).status_code == 200


# --- refusals ---


def test_what_the_framework_refuses_is_a_problem(scene: Scene) -> None:
    assert problem(call(scene, "GET", "/nothing")) == (404, "not-found", "Not Found")
    assert problem(call(scene, "PUT", "/echo")) == (405, "method-not-allowed", "Method Not Allowed")
    found = call(scene, "GET", "/echo/five", headers=signed(scene, "GET", "/echo/five"))
    assert problem(found)[:2] == (422, "value-refused")
    assert found.json()["errors"][0]["pointer"] == "#/path/number"


def test_what_routes_raise_is_a_problem(scene: Scene) -> None:
    assert problem(call(scene, "GET", "/fails/unknown")) == (404, "not-found", "no such row")
    assert problem(call(scene, "GET", "/fails/busy")) == (503, "try-again", "the database is busy")
    found = call(scene, "GET", "/fails/refused")
    assert problem(found) == (409, "row-differs", "own row has 3 leaves")
    assert found.json()["count"] == 3


def test_a_defect_tells_nothing(scene: Scene) -> None:
    found = call(scene, "GET", "/fails/defect")
    assert problem(found) == (500, "internal-error", "see the log of this member")
    assert "4242" not in found.text


def test_a_body_that_is_no_json(scene: Scene) -> None:
    found = call(scene, "POST", "/echo", b'{"a":1.5}', signed(scene, "POST", "/echo", b'{"a":1.5}'))
    assert problem(found) == (400, "body-malformed", "1.5 is not an integer; amounts are text")


def test_a_body_that_is_too_large(scene: Scene) -> None:
    body = b" " * (LARGEST_BODY + 1)
    found = call(scene, "POST", "/echo", body, signed(scene, "POST", "/echo", body))
    assert problem(found) == (413, "body-too-large", f"at most {LARGEST_BODY} bytes are taken")


def test_only_what_is_meant_is_served(scene: Scene) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert problem(call(scene, "GET", path))[:2] == (404, "not-found")
    assert "server" not in call(scene, "GET", "/v1/status").headers


# --- status and places ---


def test_status_needs_no_signature(scene: Scene) -> None:
    scene.daemons["eastpower"].once()
    found = call(scene, "GET", "/v1/status").json()
    assert found["member"] == "0x" + scene.id("eastpower").hex()
    assert found["subscriber"] == subscriber_of("eastpower")
    assert found["head"] == found["idle_at"] == scene.rpc.block_number()
    assert (found["problems"], found["waiting"]) == ([], [])


def tell(scene: Scene, placed: list[PlacedTrade]) -> Any:
    sun = scene.daemons["sunmarket"]
    return sun.peers.post(scene.id("eastpower"), "/v1/trades/placed", {"trades": [document(one) for one in placed]})


def refused(scene: Scene, placed: list[PlacedTrade]) -> tuple[str, str]:
    with pytest.raises(PeerRefused) as caught:
        tell(scene, placed)
    return caught.value.problem.code, caught.value.problem.detail


def test_places_are_taken_once_the_commitment_is_followed(scene: Scene) -> None:
    east = scene.daemons["eastpower"]
    placed = list(scene.commit([scene.trade(item="a"), scene.trade(item="b")]))
    number = placed[0].number
    assert refused(scene, placed) == ("try-again", f"commitment {number} is not followed here yet")
    east.once()
    wakes = east.status()["wakes"]
    assert tell(scene, placed) == {"taken": 2}
    # Before the answer was sent: whoever saw it finds the member at work.
    assert (east.status()["wakes"], east.status()["idle_at"]) == (wakes + 1, None)
    assert [one for one in east.desk.placed(CYCLE) if one.number == number] == placed
    east.once()
    assert tell(scene, placed) == {"taken": 2}
    assert east.status()["wakes"] == wakes + 1  # nothing new, nobody woken
    assert east.status()["idle_at"] is not None


def test_places_that_are_not_valid(scene: Scene) -> None:
    one, other = scene.commit([scene.trade(item="c"), scene.trade(item="d")])
    scene.daemons["eastpower"].once()
    assert refused(scene, [one, replace(other, index=0)]) == ("place-invalid", "trade not committed")
    assert refused(scene, [replace(one, digest=other.digest)]) == ("place-invalid", "another digest")
    assert refused(scene, [replace(one, signatures=one.signatures[:-1])]) == ("place-invalid", "signature missing")
    swapped = (one.signatures[0], *other.signatures[1:])
    assert refused(scene, [replace(one, signatures=swapped)]) == ("place-invalid", "not the signer's key")
    assert not set(scene.daemons["eastpower"].desk.placed(CYCLE)) & {one, other}


def test_places_of_others(scene: Scene) -> None:
    east = scene.daemons["eastpower"]
    west = scene.trade(item="e", buyer_utility="westpower", seller_utility="westpower", grid_operator="westpower")
    (placed,) = scene.commit([west])
    east.once()
    assert refused(scene, [placed]) == (
        "not-yours",
        f"this member is no signer of trade 0x{placed.digest.hex()}",
    )


def test_what_is_no_list_of_places(scene: Scene) -> None:
    sun = scene.daemons["sunmarket"]
    (placed,) = scene.commit([scene.trade(item="f")])
    one = document(placed)
    for body, pointer in (
        ([], "#"),
        ({"trades": [], "more": 1}, "#"),
        ({"trades": {}}, "#/trades"),
        ({"trades": [one | {"index": "0"}]}, "#/trades/0/index"),
        ({"trades": [one, one | {"digest": "0x00"}]}, "#/trades/1/digest"),
    ):
        with pytest.raises(PeerRefused) as caught:
            sun.peers.post(scene.id("eastpower"), "/v1/trades/placed", body)
        assert caught.value.problem.code == "value-refused"
        assert caught.value.problem.errors[0].pointer == pointer
