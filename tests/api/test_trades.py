"""Trades over HTTP before a real chain: proposed, signed, registered, seen by those whom they concern."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from settlement.documents import document
from settlement.preimages import sorted_locks
from settlement.trade import Lock, TradeLocks
from settlement.typed_data import HALF_ORDER
from store.records import MemberSignature
from tests.api.gateway_scene import SIGNERS, GatewayScene, hexed, problem, signed_by
from tests.member.scene import SignedTrade

CURVE_ORDER = 2 * HALF_ORDER + 1


def post_signature(scene: GatewayScene, one: SignedTrade, name: str) -> Any:
    return scene.client(name).post(f"/v1/trades/{hexed(one.digest)}/signatures", signed_by(scene.market, one, [name]))


def view(scene: GatewayScene, one: SignedTrade, name: str = "sunmarket") -> dict[str, Any]:
    answer = scene.client(name).get(f"/v1/trades/{hexed(one.digest)}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_from_proposal_to_the_chain(scene: GatewayScene) -> None:
    one = scene.market.trade(item="main-path")
    sun = scene.client("sunmarket")

    answer = sun.post("/v1/trades", scene.proposal(one, ["sunmarket"]))

    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["state"], found["finality"]) == ("PENDING_SIGNATURES", "pending")
    ids = [hexed(scene.market.id(name)) for name in SIGNERS[1:]]
    assert found["missing"] == ids
    # Of a registered trade its platforms sign the locks too, also that there are none.
    wanted = [(each["member"], each["typed_data"]["primaryType"]) for each in found["to_sign"]]
    assert wanted == [*((member, "Trade") for member in ids), (ids[0], "TradeLocks")]
    locks_digest = hexed(scene.market.domain.digest(TradeLocks(one.digest, ())))
    assert {each["digest"] for each in found["to_sign"]} == {hexed(one.digest), locks_digest}
    # A wallet that knows nothing but the answer makes the signature that is wanted.
    seller = scene.market.members["rooftrade"]
    signed = Account.sign_typed_data(seller.key, full_message=found["to_sign"][0]["typed_data"])
    made = MemberSignature(seller.id, signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))
    assert made == scene.signature(one, "rooftrade")

    for name in SIGNERS[1:]:
        answer = post_signature(scene, one, name)
        assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["state"], found["reason"]["cause"]) == ("WAITING", "commitment")
    assert found["missing"] == found["to_sign"] == []

    scene.work()
    found = view(scene, one)
    assert (found["state"], found["finality"], found["reason"]) == ("COMMITTED", "final", None)
    assert found["number"] == scene.market.call("TradeBook", "commitment_count")
    assert scene.market.call("TradeBook", "is_place_registered", one.digest)

    transaction = sun.get(f"/v1/transactions/{found['transaction']}").json()
    assert (transaction["state"], transaction["subject"]) == ("final", hexed(one.digest))
    assert [action["action"] for action in transaction["history"]][:3] == ["queued", "signed", "broadcast"]
    proof = sun.get(f"/v1/proofs/trades/{hexed(one.digest)}").json()
    assert (proof["number"], proof["index"], proof["path"]) == (found["number"], 0, [])


def test_all_at_once_with_locks(scene: GatewayScene) -> None:
    market = scene.market
    buyer, seller = market.id("sunmarket"), market.id("rooftrade")
    market.fund("sunmarket", 2_000_000)
    one = market.trade(item="with-locks", hour=11)
    locks = sorted_locks({(buyer, seller): 1_500_000, (buyer, market.id("westpower")): 50_000})
    body = scene.proposal(one, SIGNERS[1:], locks=locks)

    answer = scene.client("rooftrade").post("/v1/trades", body)

    found = answer.json()
    assert (found["state"], found["missing"]) == ("PENDING_SIGNATURES", [hexed(buyer)])
    _, wanted = found["to_sign"]
    assert (wanted["typed_data"]["primaryType"], wanted["typed_data"]["message"]["tradeDigest"]) == (
        "TradeLocks",
        hexed(one.digest),
    )
    without = signed_by(scene.market, one, ["sunmarket"], ())
    refused = scene.client("sunmarket").post(f"/v1/trades/{hexed(one.digest)}/signatures", without)
    assert problem(refused)["errors"][0]["pointer"] == "#/lock_signatures/0", "the buyer signs that nothing is locked"
    more = signed_by(scene.market, one, ["sunmarket"], locks)
    assert scene.client("sunmarket").post(f"/v1/trades/{hexed(one.digest)}/signatures", more).json()["missing"] == []
    scene.work()
    assert view(scene, one)["state"] == "COMMITTED"
    word = market.call("SettlementEscrow", "pair", found["cycle"], buyer, seller)
    assert word & (1 << 96) - 1 == 1_500_000


def test_what_the_contract_refuses_waits_and_comes_later(scene: GatewayScene) -> None:
    """The lock is not covered; once it is, the gateway tries again by itself."""
    market = scene.market
    one = market.trade(item="uncovered", hour=12)
    locks = (Lock(market.id("rooftrade"), market.id("sunmarket"), 3_000_000),)
    body = scene.proposal(one, SIGNERS, locks=locks)
    scene.client("sunmarket").post("/v1/trades", body)

    scene.work()

    found = view(scene, one)
    assert (found["state"], found["reason"]["cause"]) == ("WAITING", "relay-refused")
    assert found["reason"]["detail"].startswith("SettlementEscrow: ")
    transaction = scene.client("sunmarket").get(f"/v1/transactions/{found['transaction']}").json()
    assert (transaction["state"], transaction["hash"]) == ("rejected", None)
    assert transaction["reason"] == found["reason"]["detail"]

    market.fund("rooftrade", 3_000_000)
    scene.work()
    assert view(scene, one)["state"] == "COMMITTED"


def test_known_trade_takes_more_signatures(scene: GatewayScene) -> None:
    one = scene.market.trade(item="twice")
    assert scene.client("sunmarket").post("/v1/trades", scene.proposal(one, [])).json()["state"] == "PROPOSED"

    again = scene.client("rooftrade").post("/v1/trades", scene.proposal(one, ["rooftrade", "eastpower"]))

    assert (again.status_code, len(again.json()["signatures"])) == (200, 2)
    other = scene.client("rooftrade").post("/v1/trades", scene.proposal(one, [], lane="batched"))
    assert (other.status_code, problem(other)["code"]) == (409, "trade-differs")


# --- whose it is ---


def test_others_see_nothing(scene: GatewayScene) -> None:
    one = scene.market.trade(item="private")
    scene.client("sunmarket").post("/v1/trades", scene.proposal(one, ["sunmarket"]))
    stranger = scene.client("settlebank")
    unknown = scene.market.trade(item="never-seen")

    answers = [stranger.get(f"/v1/trades/{hexed(each.digest)}") for each in (one, unknown)]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert problem(answers[0])["detail"] == problem(answers[1])["detail"], "nothing tells them apart"
    assert stranger.get(f"/v1/proofs/trades/{hexed(one.digest)}").status_code == 404
    assert stranger.get("/v1/trades").json()["items"] == []
    assert hexed(one.digest) not in stranger.get(f"/v1/trades?missing={hexed(scene.market.id('rooftrade'))}").text
    body = signed_by(scene.market, one, ["rooftrade"])
    signed = stranger.post(f"/v1/trades/{hexed(one.digest)}/signatures", body)
    assert (signed.status_code, problem(signed)["code"]) == (404, "trade-unknown")


def test_only_signers_propose(scene: GatewayScene) -> None:
    one = scene.market.trade(item="not-the-banks")
    answer = scene.client("settlebank").post("/v1/trades", scene.proposal(one, SIGNERS))
    assert (answer.status_code, problem(answer)["code"]) == (403, "not-yours")
    assert scene.client("sunmarket").get(f"/v1/trades/{hexed(one.digest)}").status_code == 404


def test_lists(scene: GatewayScene) -> None:
    """What a member polls for: trades that lack its signature, in pages."""
    trades = [scene.market.trade(item=f"listed-{place}", hour=13) for place in range(5)]
    for one in trades:
        scene.client("sunmarket").post("/v1/trades", scene.proposal(one, ["sunmarket"]))
    post_signature(scene, trades[1], "eastpower")
    mine = hexed(scene.market.id("eastpower"))
    wanted = {hexed(one.digest) for one in trades if one is not trades[1]}

    client, found, cursor = scene.client("eastpower"), [], ""
    while cursor is not None:
        page = client.get(f"/v1/trades?missing={mine}&limit=2" + (f"&cursor={cursor}" if cursor else "")).json()
        assert len(page["items"]) <= 2
        found += [one["digest"] for one in page["items"]]
        cursor = page["next"]

    assert wanted <= set(found)
    assert hexed(trades[1].digest) not in found
    assert len(found) == len(set(found))
    states = client.get("/v1/trades?state=COMMITTED&limit=500").json()["items"]
    assert {one["state"] for one in states} == {"COMMITTED"}
    assert client.get("/v1/trades?cycle=1").json()["items"] == []
    refused = client.get("/v1/trades?cursor=nonsense")
    assert (refused.status_code, problem(refused)["code"]) == (422, "value-refused")


# --- what is refused ---


def test_wrong_signatures_are_named(scene: GatewayScene) -> None:
    one = scene.market.trade(item="forged")
    right, other = scene.signature(one, "sunmarket"), scene.signature(one, "rooftrade")
    twin = replace(right, v=55 - right.v, s=(CURVE_ORDER - int.from_bytes(right.s, "big")).to_bytes(32, "big"))
    stranger = replace(right, member=scene.market.id("settlebank"))
    body = scene.proposal(one, ["rooftrade"])
    body["signatures"] += document((replace(other, member=right.member), twin, stranger, other))

    answer = scene.client("sunmarket").post("/v1/trades", body)

    assert answer.status_code == 422
    found = problem(answer)
    assert found["code"] == "member-signature-wrong"
    whys = {error["pointer"]: error["detail"] for error in found["errors"]}
    assert list(whys) == [f"#/signatures/{place}" for place in (1, 2, 3, 4)]
    assert "not by the member's hot key" in whys["#/signatures/1"]
    assert "second" in whys["#/signatures/2"]
    assert "does not sign this" in whys["#/signatures/3"]
    assert "second" in whys["#/signatures/4"]
    assert scene.client("sunmarket").get(f"/v1/trades/{hexed(one.digest)}").status_code == 404, "nothing was kept"


def test_high_s_is_malformed(scene: GatewayScene) -> None:
    one = scene.market.trade(item="high-s")
    right = scene.signature(one, "sunmarket")
    twin = replace(right, v=55 - right.v, s=(CURVE_ORDER - int.from_bytes(right.s, "big")).to_bytes(32, "big"))
    body = scene.proposal(one, []) | {"signatures": [document(twin)]}
    answer = scene.client("sunmarket").post("/v1/trades", body)
    assert "is malformed" in problem(answer)["detail"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"slot_end": 2}, "not a slot"),
        ({"template": b"\x07" * 32}, "unknown template"),
        ({"grid_operator": bytes(32)}, "roles not as named"),
        ({"contracted_wh": 1 << 40}, "figures out of bounds"),
        ({"valid_until": 5}, "committed too late"),
        ({"seller_utility": b"\x09" * 32}, "role not held"),
    ],
)
def test_trades_that_no_place_would_hold(scene: GatewayScene, changed: dict[str, Any], reason: str) -> None:
    one = scene.market.trade(item="unfit")
    body = scene.proposal(one, []) | {"trade": document(replace(one.trade, **changed))}
    answer = scene.client("sunmarket").post("/v1/trades", body)
    assert (answer.status_code, problem(answer)["code"]) == (422, "place-invalid")
    assert problem(answer)["detail"] == reason


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda body: body["trade"].pop("salt"), "#/trade/salt"),
        (lambda body: body["trade"].update(rates=[1]), "#/trade/rates/0"),
        (lambda body: body["trade"].update(contracted_wh=-1), "#/trade/contracted_wh"),
        (lambda body: body.update(lane="fast"), "#/lane"),
        (lambda body: body.update(more=1), "#/more"),
        (lambda body: body.update(locks=[{"payer": "0x00"}]), "#/locks/0/payee"),
    ],
)
def test_malformed_bodies(scene: GatewayScene, change: Any, pointer: str) -> None:
    body = scene.proposal(scene.market.trade(item="malformed"), [])
    change(body)
    answer = scene.client("sunmarket").post("/v1/trades", body)
    assert (answer.status_code, problem(answer)["code"]) == (422, "value-refused")
    assert problem(answer)["errors"][0]["pointer"] == pointer


def test_unfit_locks(scene: GatewayScene) -> None:
    one = scene.market.trade(item="unfit-locks")
    a, b = scene.market.id("sunmarket"), scene.market.id("rooftrade")
    high, low = max(a, b), min(a, b)
    for locks in (
        (Lock(high, low, 1), Lock(low, high, 1)),
        (Lock(low, high, 1), Lock(low, high, 1)),
        (Lock(low, low, 1),),
        (Lock(low, high, 0),),
        tuple(Lock(low, bytes([n]) * 32, 1) for n in range(17)),
    ):
        answer = scene.client("sunmarket").post("/v1/trades", scene.proposal(one, [], locks=locks))
        assert (answer.status_code, problem(answer)["errors"][0]["pointer"]) == (422, "#/locks")
    batched = scene.proposal(one, [], lane="batched", locks=(Lock(low, high, 1),))
    assert problem(scene.client("sunmarket").post("/v1/trades", batched))["errors"][0]["pointer"] == "#/locks"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"trade": 1.5}', b'{"a": 1, "a": 1}', b"\xff", b"[" * 5000])
def test_no_json_of_ours(scene: GatewayScene, raw: bytes) -> None:
    answer = scene.client("sunmarket").post("/v1/trades", raw)
    assert answer.status_code in (400, 422), answer.text
    assert problem(answer)["code"] in ("body-malformed", "value-refused")


def test_removed_member(scene: GatewayScene) -> None:
    """Requests, like signatures, are judged by the hot keys of now."""
    market = scene.market
    bank = market.id("settlebank")
    market.by_council("MemberRegistry", "suspend", bank, True)
    scene.follow()
    members = scene.client("settlebank").get("/v1/members").json()["items"]
    assert {each["subscriber"]: each["is_suspended"] for each in members}["settlebank.example"]

    market.by_council("MemberRegistry", "remove", bank)
    scene.follow()

    answer = scene.client("settlebank").get("/v1/members")
    assert (answer.status_code, problem(answer)["code"]) == (403, "member-unknown")


def test_on_either_database(tmp_path: Path, database_url: str) -> None:
    with GatewayScene(tmp_path, database_url=database_url) as other:
        one = other.market.trade()
        assert other.client("sunmarket").post("/v1/trades", other.proposal(one, SIGNERS)).status_code == 201
        other.work()
        assert view(other, one)["state"] == "COMMITTED"
        assert other.client("sunmarket").get("/v1/feed/head").json()["seq"] > 20
