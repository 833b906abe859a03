"""Beckn messages at the gateway's door: who may say what, what comes of it, and what is never taken twice."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import rfc8785
from fastapi.testclient import TestClient
from jsonschema_rs import validator_for

from api.app import document_text
from api.beckn import LARGEST, BecknSettings
from api.gateway import Gateway, assemble
from api.routes import beckn
from api.settings import Rate
from settlement.config import HOUR, code
from settlement.formula.templates import FIXED_PRICE_SETTLED, SHIPPED_BY_ID, Role
from settlement.order import order_of
from settlement.units import time_text
from tests.api.beckn_messages import line, order_message, raw, signature
from tests.api.gateway_scene import PUBLIC_URL, GatewayScene, problem
from tests.member.scene import CONFIG, DAY_START, GENESIS_TIME, scene_key, subscriber_of

SETTINGS = BecknSettings(
    zone=ZoneInfo("UTC"),
    template=FIXED_PRICE_SETTLED.title,
    rates={"wheeling": 25_000},
    grid_operator=Role.SELLER_UTILITY,
    utilities={"NORTH": "eastpower.example", "SOUTH": "westpower.example"},
)
TEMPLATES = {one.title: one for one in SHIPPED_BY_ID.values()}
SUN, ROOF = "sunmarket.example", "rooftrade.example"

DOLLARS = replace(CONFIG, currency=code("USD"))

Change = Callable[[dict[str, Any]], object]


class BecknScene(GatewayScene):
    """A market in dollars, whose gateway takes messages."""

    beckn = SETTINGS

    def assembled(self) -> Gateway:
        keys = scene_key("account", "gateway relayer"), scene_key("account", "gateway")
        adapters = [beckn.adapter(self.beckn, lambda: int(time.time()))]
        return assemble(self.settings, self.market.record, self.database, *keys, version="test", adapters=adapters)

    def again(self, settings: BecknSettings = SETTINGS, **changed: Any) -> TestClient:
        """Another gateway over the same database, told otherwise."""
        self.beckn = settings
        kept = self.settings
        self.settings = replace(kept, **changed)
        try:
            gateway = self.assembled()
        finally:
            self.beckn, self.settings = SETTINGS, kept
        gateway.work.follow()
        return TestClient(gateway.app, base_url=PUBLIC_URL, raise_server_exceptions=False)

    def send(self, document: Any, by: str, http: httpx.Client | None = None, path: str = "") -> httpx.Response:
        """A message, signed by a member."""
        body = document if isinstance(document, bytes) else raw(document)
        action = path or document["context"]["action"]
        headers = {"Authorization": signature(by, body)}
        return (http or self.http).post(f"/beckn/{action}", content=body, headers=headers)

    def orders(self, name: str, cursor: str = "") -> dict[str, Any]:
        """What a member sees of orders, from a cursor on."""
        found = self.client(name).get("/v1/orders" + (f"?cursor={cursor}" if cursor else ""))
        assert found.is_success, found.text
        body: dict[str, Any] = found.json()
        return body

    def kept(self, transaction: str, name: str = "sunmarket") -> list[dict[str, Any]]:
        """The orders of a transaction that a member sees."""
        return [one for one in self.orders(name)["items"] if one["order"]["transaction_id"] == transaction]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BecknScene]:
    """A market in which time stands still and everybody stays what they are."""
    with BecknScene(tmp_path_factory.mktemp("beckn"), config=DOLLARS) as made:
        yield made


@pytest.fixture
def own_scene(tmp_path: Path) -> Iterator[BecknScene]:
    """One for a single test."""
    with BecknScene(tmp_path, config=DOLLARS) as made:
        yield made


def confirm(
    transaction: str, action: str = "confirm", stamp: int = GENESIS_TIME, hour: int = 10, hours: int = 1, **more: Any
) -> dict[str, Any]:
    """An order of 2.5 kWh of an offer that goes by the transaction."""
    start = DAY_START + hour * HOUR
    offer = more.pop("offer", f"offer of {transaction}")
    parties = {"bap": SUN, "bpp": ROOF} | {name: more.pop(name) for name in ("bap", "bpp") if name in more}
    lines = [line(offer, 2.5, "0.20", time_text(start), time_text(start + hours * HOUR), **more)]
    return order_message(action, lines, time_text(stamp), transaction, **parties)


def agree(scene: BecknScene, transaction: str, **more: Any) -> None:
    """Both messages of an order, taken."""
    assert_ack(scene.send(confirm(transaction, **more), "sunmarket"))
    assert_ack(scene.send(confirm(transaction, "on_confirm", **more), "rooftrade"))


def assert_ack(found: httpx.Response) -> None:
    assert (found.status_code, found.json()) == (200, {"message": {"ack": {"status": "ACK"}}})


def refusal(found: httpx.Response, status: int = 400) -> tuple[str, str, str]:
    """Code, path and message of a NACK."""
    body = found.json()
    assert (found.status_code, body["message"]) == (status, {"ack": {"status": "NACK"}}), body
    error = body["error"]
    return error["code"], error.get("path", ""), error["message"]


# --- what comes of an order ---


def test_an_answered_confirm_is_an_order_for_its_platforms_alone(scene: BecknScene) -> None:
    request = confirm("whole")
    assert_ack(scene.send(request, "sunmarket"))
    assert scene.kept("whole") == []
    assert_ack(scene.send(confirm("whole", "on_confirm", stamp=GENESIS_TIME + 4), "rooftrade"))
    (kept,) = scene.kept("whole")
    schema = {"$ref": "#/components/schemas/Orders", "components": json.loads(document_text())["components"]}
    validator_for(schema).validate(scene.orders("sunmarket"))
    assert scene.kept("whole", "rooftrade") == [kept]
    for name in scene.market.utilities:
        assert scene.orders(name)["items"] == []
    assert kept["document"].encode() == rfc8785.dumps(request["message"]["order"])
    order = order_of(kept["order"], TEMPLATES)
    assert kept["trade_id"] == "0x" + order.trade_id().hex()
    assert (order.buyer_platform, order.seller_platform) == (scene.market.id("sunmarket"), scene.market.id("rooftrade"))
    assert (order.buyer_utility, order.seller_utility) == (scene.market.id("eastpower"), scene.market.id("westpower"))
    assert order.grid_operator == order.seller_utility
    assert (order.contracted_wh, order.rates, order.traded_at) == (2_500, (200_000, 25_000), GENESIS_TIME + 4)
    assert (order.slot_start, order.valid_until) == (DAY_START + 10 * HOUR, DAY_START + 9 * HOUR)
    assert (order.buyer_meter, order.seller_meter) == ("B-7", "roofs.example/S-3")


def test_the_cursor_goes_on_behind_the_last_order(scene: BecknScene) -> None:
    before = scene.orders("sunmarket")["next"]
    nothing = scene.orders("sunmarket", before)
    assert (nothing["items"], nothing["next"]) == ([], before)
    agree(scene, "two hours", hours=2)
    page = scene.orders("sunmarket", before)
    assert [one["order"]["contracted_wh"] for one in page["items"]] == [1_250, 1_250]
    assert len({one["trade_id"] for one in page["items"]}) == 2
    first = scene.client("sunmarket").get(f"/v1/orders?limit=1&cursor={before}").json()
    assert first["items"] == page["items"][:1]
    assert scene.orders("sunmarket", first["next"])["items"] == page["items"][1:]
    assert problem(scene.http.get("/v1/orders"))["code"] == "signature-missing"


# --- the same again, and something else ---


def test_a_replay_changes_nothing(scene: BecknScene) -> None:
    agree(scene, "replayed")
    kept = scene.kept("replayed")
    agree(scene, "replayed")
    reordered = json.dumps(confirm("replayed", "on_confirm"), indent=1, sort_keys=True).encode()
    assert_ack(scene.send(reordered, "rooftrade", path="on_confirm"))
    assert scene.kept("replayed") == kept


def test_what_was_answered_does_not_change(scene: BecknScene) -> None:
    agree(scene, "answered")
    kept = scene.kept("answered")
    for changed, by, path in (
        (confirm("answered", hour=11), "sunmarket", "/context/transaction_id"),
        (confirm("answered", stamp=GENESIS_TIME + 1), "sunmarket", "/context/transaction_id"),
        (confirm("answered", "on_confirm", stamp=GENESIS_TIME + 1), "rooftrade", "/context/timestamp"),
    ):
        assert refusal(scene.send(changed, by))[:2] == ("BIZ_ORDER_CHANGED", path)
    other_line = refusal(scene.send(confirm("answered", "on_confirm", hour=11), "rooftrade"))
    assert other_line == ("SCH_FIELD_INVALID", "/message/order", "is not the order that was asked for")
    assert scene.kept("answered") == kept


def test_before_the_answer_the_newest_confirm_counts(scene: BecknScene) -> None:
    assert_ack(scene.send(confirm("moving"), "sunmarket"))
    newer = confirm("moving", stamp=GENESIS_TIME + 2, hour=12)
    assert_ack(scene.send(newer, "sunmarket"))
    assert refusal(scene.send(confirm("moving"), "sunmarket"))[:2] == ("BIZ_ORDER_CHANGED", "/context/timestamp")
    answer = confirm("moving", "on_confirm", stamp=GENESIS_TIME + 3)
    assert refusal(scene.send(answer, "rooftrade"))[1] == "/message/order"
    assert scene.kept("moving") == []
    assert_ack(scene.send(confirm("moving", "on_confirm", stamp=GENESIS_TIME + 3, hour=12), "rooftrade"))
    assert [one["order"]["slot_start"] for one in scene.kept("moving")] == [DAY_START + 12 * HOUR]


def test_nobody_answers_what_nobody_asked(scene: BecknScene) -> None:
    found = refusal(scene.send(confirm("unasked", "on_confirm"), "rooftrade"))
    assert found == ("BIZ_NO_SUCH_ORDER", "/context/transaction_id", "nobody asked to confirm this")


# --- one sale, one order ---


def test_a_confirm_passed_on_to_a_utility_makes_no_order(scene: BecknScene) -> None:
    agree(scene, "parent", offer="shared offer")
    cascaded = confirm("cascaded", offer="shared offer", bap=ROOF, bpp="westpower.example")
    found = refusal(scene.send(cascaded, "rooftrade"))
    assert found == ("BIZ_UNSUPPORTED", "/context/bpp_id", "is no PLATFORM of this market")
    assert refusal(scene.send(cascaded, "sunmarket"), 401)[0] == "AUT_UNAUTHORIZED_ACTION"


@pytest.mark.parametrize(
    "other",
    [
        {"bap": ROOF, "bpp": SUN},
        {"bap": SUN, "bpp": ROOF},
        {"bap": ROOF, "bpp": SUN, "seller_meter": "der://meter/another", "buyer_meter": "B-7"},
        {"bap": ROOF, "bpp": SUN, "buyer_meter": "der://north.example/B-7"},
    ],
)
def test_the_same_sale_under_another_transaction_is_refused(scene: BecknScene, other: dict[str, Any]) -> None:
    if not scene.kept("first"):
        agree(scene, "first", offer="once")
    again = confirm("second", offer="once", **other)
    reason = "order line once: the same offer, slot, quantity and buyer's meter are an order already"
    by = "sunmarket" if other["bap"] == SUN else "rooftrade"
    assert refusal(scene.send(again, by)) == ("BIZ_DUPLICATE_ORDER", "/message/order", reason)
    assert scene.kept("second") == []


def test_of_two_confirms_of_a_sale_the_first_answered_is_the_order(scene: BecknScene) -> None:
    for transaction in ("here", "there"):
        assert_ack(scene.send(confirm(transaction, offer="twice asked"), "sunmarket"))
    assert_ack(scene.send(confirm("there", "on_confirm", offer="twice asked"), "rooftrade"))
    late = scene.send(confirm("here", "on_confirm", offer="twice asked"), "rooftrade")
    assert refusal(late)[0] == "BIZ_DUPLICATE_ORDER"
    assert (len(scene.kept("there")), scene.kept("here")) == (1, [])


@pytest.mark.parametrize("other", [{"offer": "sold b"}, {"hour": 11}, {"buyer_meter": "B-8"}])
def test_another_sale_is_another_order(scene: BecknScene, other: dict[str, Any]) -> None:
    if not scene.kept("sold"):
        agree(scene, "sold", offer="sold a")
    name = f"sold {next(iter(other))}"
    agree(scene, name, **({"offer": "sold a"} | other))
    assert len(scene.kept(name)) == 1


# --- who may ---


def test_what_is_not_signed_by_its_sender_is_refused(scene: BecknScene) -> None:
    body = raw(confirm("unsigned"))
    now = int(time.time())
    good = signature("sunmarket", body)
    for header, reason, detail in (
        (None, "AUT_SIGNATURE_MISSING", "the message is not signed"),
        ("Bearer x", "AUT_SIGNATURE_MISSING", "the Authorization header is no Beckn signature"),
        (good.replace("sunmarket", "rooftrade"), "AUT_SIGNATURE_INVALID", "is not that key's over this body"),
        (signature("sunmarket", body + b" "), "AUT_SIGNATURE_INVALID", "is not that key's over this body"),
        (signature("sunmarket", body, now - 60), "AUT_SIGNATURE_INVALID", "has expired"),
        (signature("sunmarket", body, now + 60), "AUT_SIGNATURE_INVALID", "from the future"),
        (signature("nobody", body), "AUT_SUBSCRIBER_NOT_FOUND", "no key key-1 of nobody.example is known"),
        (signature("settlebank", body), "AUT_SUBSCRIBER_NOT_FOUND", "no key key-1 of settlebank.example is known"),
        (signature("a subscriber", body), "AUT_SUBSCRIBER_NOT_FOUND", "is known"),
    ):
        found = scene.http.post("/beckn/confirm", content=body, headers={"Authorization": header} if header else {})
        code_, path, message = refusal(found, 401)
        assert (code_, path) == (reason, "")
        assert detail in message
        challenge = 'Signature realm="clearwatt",headers="(created) (expires) digest"'
        assert found.headers["www-authenticate"] == challenge
    assert_ack(scene.http.post("/beckn/confirm", content=body, headers={"Authorization": good}))


def test_each_action_has_its_sender(scene: BecknScene) -> None:
    assert_ack(scene.send(confirm("senders"), "sunmarket"))
    for message, by in ((confirm("senders", "on_confirm"), "sunmarket"), (confirm("senders"), "rooftrade")):
        name = "bpp_id" if by == "sunmarket" else "bap_id"
        found = refusal(scene.send(message, by), 401)
        assert found == ("AUT_UNAUTHORIZED_ACTION", "", f"{name} is not whose key signed the message")
    assert scene.kept("senders") == []


def test_a_suspended_platform_is_not_heard(own_scene: BecknScene) -> None:
    scene, market = own_scene, own_scene.market
    assert_ack(scene.send(confirm("before"), "sunmarket"))
    market.by_council("MemberRegistry", "suspend", market.id("sunmarket"), True)
    scene.follow()
    assert refusal(scene.send(confirm("suspended"), "sunmarket"), 401)[0] == "AUT_SUBSCRIBER_NOT_FOUND"
    # Nor does anybody sell to it.
    found = refusal(scene.send(confirm("before", "on_confirm"), "rooftrade"))
    assert found == ("BIZ_UNSUPPORTED", "/context/bap_id", "is no PLATFORM of this market")


# --- what is no order of this market ---


@pytest.mark.parametrize("action", ["on_update", "status", "select", "confirm%00"])
def test_other_actions_are_refused(scene: BecknScene, action: str) -> None:
    found = refusal(scene.send(confirm("other", action), "sunmarket"))
    assert found[0] == "BIZ_UNSUPPORTED"
    assert found[2].endswith(": only confirm and on_confirm are taken here")


def at(document: dict[str, Any], *keys: Any) -> Any:
    for key in keys:
        document = document[key]
    return document


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        (lambda one: one["context"].update(action="on_confirm"), "SCH_FIELD_INVALID", "/context/action"),
        (lambda one: one["context"].update(transaction_id="x" * 201), "SCH_FIELD_INVALID", "/context/transaction_id"),
        (lambda one: one["context"].update(transaction_id="x\0"), "SCH_FIELD_INVALID", "/context/transaction_id"),
        (lambda one: one["context"].update(transaction_id="x\ud800"), "SCH_FIELD_INVALID", "/context/transaction_id"),
        (lambda one: one["context"].pop("timestamp"), "SCH_REQUIRED_FIELD_MISSING", "/context/timestamp"),
        (lambda one: one["context"].update(bpp_id="a b"), "SCH_FIELD_INVALID", "/context/bpp_id"),
        (lambda one: one["context"].update(bpp_id="who.example"), "BIZ_UNSUPPORTED", "/context/bpp_id"),
        (
            lambda one: one["context"].update(timestamp=time_text(DAY_START + HOUR + 1)),
            "BIZ_DEADLINE_PASSED",
            "/message/order",
        ),
        (
            lambda one: at(one, "message", "order", "beckn:orderAttributes").update(utilityIdBuyer="EAST"),
            "BIZ_UNSUPPORTED",
            "/message/order/beckn:orderAttributes/utilityIdBuyer",
        ),
        (lambda one: one.update(deep=json.loads("[" * 70 + "]" * 70)), "SCH_INVALID_JSON", ""),
    ],
)
def test_what_does_not_fit_is_refused(scene: BecknScene, change: Change, code: str, path: str) -> None:
    message = copy.deepcopy(confirm("misfit", hour=2))
    change(message)
    assert refusal(scene.send(raw(message), "sunmarket", path="confirm"))[:2] == (code, path)


def test_what_has_no_canonical_form_is_refused_when_it_is_answered(scene: BecknScene) -> None:
    for place, extra in enumerate(({"\ud800": 1}, {"big": 1 << 60})):
        request = confirm(f"formless {place}")
        request["message"]["order"] |= extra
        assert_ack(scene.send(request, "sunmarket"))
        answer = scene.send(confirm(f"formless {place}", "on_confirm"), "rooftrade")
        assert refusal(answer)[1:2] == ("/message/order",)
        assert "has no canonical form" in refusal(answer)[2]


def test_after_the_gate_nothing_is_agreed_but_the_same_again_is(own_scene: BecknScene) -> None:
    scene, market = own_scene, own_scene.market
    agree(scene, "in time", hour=1)
    assert_ack(scene.send(confirm("too late", hour=1), "sunmarket"))
    market.move_to(DAY_START)
    scene.follow()
    agree(scene, "at the last moment", hour=1)
    market.move_to(DAY_START + 1)
    scene.follow()
    reason = f"order line offer of too late: its trade can be committed until {time_text(DAY_START)} only"
    for message, by in (
        (confirm("too late", "on_confirm", hour=1), "rooftrade"),
        (confirm("too late", hour=1, stamp=GENESIS_TIME + 1), "sunmarket"),
    ):
        assert refusal(scene.send(message, by)) == ("BIZ_DEADLINE_PASSED", "/message/order", reason)
    agree(scene, "in time", hour=1)


# --- how much, and with what settings ---


def test_senders_and_strangers_have_buckets_of_their_own(scene: BecknScene) -> None:
    http = scene.again(rates={**scene.settings.rates, "write": Rate(2, 600), "anonymous": Rate(1, 600)})
    for _ in range(2):
        assert_ack(scene.send(confirm("counted"), "sunmarket", http))
    full = scene.send(confirm("counted"), "sunmarket", http)
    assert refusal(full, 429) == ("NET_TOO_MANY_REQUESTS", "", "2 within 600 s are taken")
    assert full.headers["retry-after"] == "300"
    assert refusal(scene.send(confirm("counted"), "nobody", http), 401)[0] == "AUT_SUBSCRIBER_NOT_FOUND"
    assert refusal(scene.send(confirm("counted"), "nobody", http), 429)[0] == "NET_TOO_MANY_REQUESTS"
    assert_ack(scene.send(confirm("counted", "on_confirm"), "rooftrade", http))


def test_too_large_a_message(scene: BecknScene) -> None:
    body = raw(confirm("large")) + b" " * LARGEST
    found = refusal(scene.send(body, "sunmarket", path="confirm"), 413)
    assert found == ("NET_BODY_TOO_LARGE", "", f"a message has at most {LARGEST} bytes")
    small = scene.again(max_body=500)
    assert refusal(scene.send(confirm("large"), "sunmarket", small), 413)[2] == "at most 500 bytes are taken"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (replace(SETTINGS, template="other.v1"), "other.v1: the market has no such template"),
        (replace(SETTINGS, rates={}), "the rates besides the price must be wheeling"),
        (replace(SETTINGS, rates={"wheeling": 0, "more": 0}), "the rates besides the price must be wheeling"),
        (replace(SETTINGS, grid_operator=None), "a grid operator must be named where a flow names one, and only there"),
        (
            replace(SETTINGS, template="p2p.market.v1", rates={"fee": 0, "wheeling": 0}),
            "the rates besides the price must be fee, wheeling",
        ),
    ],
)
def test_settings_that_do_not_fit_the_market(scene: BecknScene, settings: BecknSettings, reason: str) -> None:
    found = refusal(scene.send(confirm("unfit"), "sunmarket", scene.again(settings)), 500)
    assert found[0] == "NET_INTERNAL_ERROR"
    assert found[2].endswith(reason)


def test_a_grid_operator_that_is_none(scene: BecknScene) -> None:
    known = {"NORTH": "eastpower.example", "SOUTH": subscriber_of("rooftrade")}
    found = refusal(scene.send(confirm("no utility"), "sunmarket", scene.again(replace(SETTINGS, utilities=known))))
    path = "/message/order/beckn:orderAttributes/utilityIdSeller"
    assert found == ("BIZ_UNSUPPORTED", path, "is no UTILITY of this market")


def test_before_the_chain_was_followed_nobody_is_known(scene: BecknScene) -> None:
    gateway = scene.assembled()
    http = TestClient(gateway.app, base_url=PUBLIC_URL)
    assert refusal(scene.send(confirm("early"), "sunmarket", http), 503)[0] == "NET_TRY_AGAIN"
    gateway.work.follow()
    assert_ack(scene.send(confirm("early"), "sunmarket", http))
