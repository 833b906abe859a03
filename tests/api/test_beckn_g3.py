"""Beckn orders between utilities: our own messages, and the public examples where they are at hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.beckn_g3 import OrderTerms, confirmed, proposed
from api.message import MessageRefused
from settlement.config import DAY, HOUR
from settlement.formula.templates import FIXED_PRICE_SETTLED, Role
from settlement.identity import member_id
from settlement.units import Calendar, epoch_seconds
from tests.api.beckn_messages import line, order_message, raw

EXAMPLES = Path(__file__).resolve().parents[3] / "shared" / "deg" / "g3-interdiscom"
UTC = ZoneInfo("UTC")

TERMS = OrderTerms(
    currency="USD",
    calendar=Calendar(0, 6 * HOUR, DAY),
    zone=UTC,
    gate=HOUR,
    template=FIXED_PRICE_SETTLED,
    rates=(0,),
    grid_operator=Role.SELLER_UTILITY,
    utilities={"NORTH": "north.utility.example", "SOUTH": "south.utility.example"},
)

Change = Callable[[dict[str, Any]], object]


def message(action: str = "confirm", time: str = "2026-03-01T10:00:00Z") -> dict[str, Any]:
    lines = [
        line("o-1", 2.5, 0.2, "2026-03-02T00:00:00Z", "2026-03-02T06:00:00Z"),
        line("o-2", "4.5", "0.1", "2026-03-02T06:00:00Z", "2026-03-02T12:00:00Z"),
    ]
    made = order_message(action, lines, time)
    made["message"]["order"]["beckn:orderAttributes"]["total_quantity"] = 7.0
    made["message"]["order"]["beckn:payment"] = {"beckn:amount": {"currency": "USD", "value": 0.95}}
    return made


def changed(change: Change, action: str = "confirm") -> bytes:
    document = copy.deepcopy(message(action))
    change(document)
    return raw(document)


def first_line(document: dict[str, Any]) -> Any:
    return document["message"]["order"]["beckn:orderItems"][0]


def offer(document: dict[str, Any]) -> Any:
    return first_line(document)["beckn:acceptedOffer"]["beckn:offerAttributes"]


def both(terms: OrderTerms = TERMS) -> Any:
    return confirmed(raw(message()), raw(message("on_confirm", "2026-03-01T10:00:04.25Z")), terms)


def refusal(body: bytes, terms: OrderTerms = TERMS) -> tuple[str, str, str]:
    with pytest.raises(MessageRefused) as caught:
        proposed(body, terms)
    return caught.value.pointer, caught.value.detail, caught.value.code


def test_a_line_is_an_order_with_the_markets_wheeling_and_grid_operator() -> None:
    first, second = both().orders
    assert first.transaction_id == "t-1"
    assert (first.order_item_id, second.order_item_id) == ("o-1", "o-2")
    assert (first.contracted_wh, second.contracted_wh) == (2_500, 4_500)
    assert (first.rates, second.rates) == ((200_000, 0), (100_000, 0))
    assert (first.buyer_meter, first.seller_meter) == ("B-7", "roofs.example/S-3")
    assert first.buyer_platform == member_id("buying.example")
    assert first.seller_platform == member_id("selling.example")
    assert first.buyer_utility == member_id("north.utility.example")
    assert first.grid_operator == first.seller_utility == member_id("south.utility.example")
    assert first.slot_start == epoch_seconds("2026-03-02T00:00:00Z", UTC)
    assert first.valid_until == first.slot_start - HOUR
    assert first.traded_at == epoch_seconds("2026-03-01T10:00:04Z", UTC)  # the answer's time, not the request's


def test_totals_that_agree_are_no_remark_and_others_are() -> None:
    assert both().remarks == ()
    request, answer = message(), message("on_confirm")
    for document in (request, answer):
        document["message"]["order"]["beckn:payment"]["beckn:amount"]["value"] = 1
        document["message"]["order"]["beckn:orderAttributes"]["total_quantity"] = 8
    remarks = confirmed(raw(request), raw(answer), TERMS).remarks
    assert [one.partition(": ")[2] for one in remarks] == [
        "the lines come to 7000 Wh",
        "the lines come to 950000 base units",
    ]


def test_a_longer_window_is_one_order_a_slot_in_equal_parts() -> None:
    def longer(document: dict[str, Any]) -> None:
        first_line(document)["beckn:quantity"]["unitQuantity"] = "5.002"
        offer(document)["beckn:timeWindow"]["schema:endTime"] = "2026-03-02T18:00:00Z"

    orders = [one for one in proposed(changed(longer), TERMS) if one.order_item_id == "o-1"]
    assert [one.contracted_wh for one in orders] == [1_668, 1_667, 1_667]
    assert len({one.trade_id() for one in orders}) == 3


def test_the_order_hash_is_over_the_canonical_request() -> None:
    confirmation = both()
    shuffled = json.dumps(message(), indent=3, sort_keys=True).encode()
    again = confirmed(shuffled, raw(message("on_confirm")), TERMS)
    assert again.order_document == confirmation.order_document
    assert confirmation.order_document.startswith(b'{"beckn:orderAttributes":{"total_quantity":7,')


def test_an_answer_that_changes_the_order_is_refused() -> None:
    answer = changed(lambda one: first_line(one)["beckn:quantity"].update(unitQuantity=2.4), "on_confirm")
    with pytest.raises(MessageRefused, match="/message/order: is not the order that was asked for"):
        confirmed(raw(message()), answer, TERMS)


@pytest.mark.parametrize("key", ["transaction_id", "bap_id", "bpp_id"])
def test_an_answer_of_another_transaction_is_refused(key: str) -> None:
    answer = changed(lambda one: one["context"].update({key: "other"}), "on_confirm")
    with pytest.raises(MessageRefused, match=f"/context/{key}: differs from the confirm's"):
        confirmed(raw(message()), answer, TERMS)


@pytest.mark.parametrize(
    ("change", "pointer", "detail"),
    [
        (lambda one: one["context"].update(domain="x"), "/context/domain", "is not beckn.one"),
        (lambda one: one["context"].update(action="init"), "/context/action", "must be confirm"),
        (lambda one: one["context"].pop("bap_id"), "/context/bap_id", "is missing"),
        (lambda one: offer(one).pop("sourceMeterId"), "offerAttributes/sourceMeterId", "is missing"),
        (lambda one: offer(one).update(pricingModel="FIXED"), "pricingModel", "no template"),
        (lambda one: offer(one).update(revenueFlows=[]), "revenueFlows", "no formulas"),
        (lambda one: offer(one).update(wheelingCharges={"amount": 2.5}), "wheelingCharges", "flat wheeling"),
        (lambda one: offer(one)["beckn:price"].update(currency="INR"), "price/currency", "currency is USD"),
        (lambda one: offer(one)["beckn:price"].update(value=-1), "price/value", "rate: "),
        (lambda one: offer(one)["beckn:price"].update(value="0.1234567"), "price/value", "rate: "),
        (lambda one: offer(one)["beckn:price"].update(unitText="kW"), "price/value", "rate: "),
        (lambda one: first_line(one)["beckn:quantity"].update(unitQuantity=2.5001), "unitQuantity", "whole number"),
        (lambda one: first_line(one)["beckn:quantity"].update(unitQuantity=0), "unitQuantity", "above 0"),
        (lambda one: first_line(one)["beckn:quantity"].update(unitQuantity=20.001), "unitQuantity", "than was offered"),
        (lambda one: first_line(one)["beckn:quantity"].update(unitText="kW"), "unitQuantity", "quantity: "),
        (lambda one: first_line(one)["beckn:quantity"].update(unitQuantity=True), "unitQuantity", "must be a number"),
        (
            lambda one: offer(one)["beckn:timeWindow"].update({"schema:startTime": "2026-03-02T01:00:00Z"}),
            "timeWindow",
            "grid",
        ),
        (
            lambda one: offer(one)["beckn:timeWindow"].update({"schema:endTime": "2026-03-02T00:00:00Z"}),
            "timeWindow",
            "grid",
        ),
        (
            lambda one: offer(one)["beckn:timeWindow"].update({"schema:endTime": "2027-03-02T00:00:00Z"}),
            "timeWindow",
            "longer than 96 slots",
        ),
        (
            lambda one: one["message"]["order"]["beckn:orderAttributes"].update(utilityIdBuyer="EAST"),
            "utilityIdBuyer",
            "no utility of this name",
        ),
        (lambda one: one["message"]["order"].update({"beckn:orderItems": []}), "orderItems", "no line"),
        (lambda one: one["message"]["order"].update({"beckn:orderItems": {}}), "orderItems", "must be a list"),
        (
            lambda one: one["message"]["order"]["beckn:orderItems"].append(first_line(one)),
            "orderItems/2/beckn:acceptedOffer/beckn:id",
            "two lines",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_pointer(change: Change, pointer: str, detail: str) -> None:
    found = refusal(changed(change))
    assert found[0].endswith(pointer), found
    assert detail in found[1]


@pytest.mark.parametrize(
    ("body", "detail"),
    [(b"", "is no JSON"), (b"[]", "must be an object"), (b'{"a":1,"a":2}', "twice"), (b'{"a":NaN}', "no number")],
)
def test_what_is_no_message_is_refused(body: bytes, detail: str) -> None:
    pointer, said, code = refusal(body)
    assert (pointer, code) == ("", "SCH_INVALID_JSON")
    assert detail in said


def test_a_number_that_a_double_does_not_hold_has_no_hash() -> None:
    request = changed(lambda one: one["message"]["order"].update(extra=1 << 60))
    answer = changed(lambda one: one["message"]["order"].update(extra=1 << 60), "on_confirm")
    with pytest.raises(MessageRefused, match="has no canonical form"):
        confirmed(request, answer, TERMS)


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason=f"the public example messages are not at {EXAMPLES}")
def test_the_public_inter_utility_confirm_is_two_trades() -> None:
    terms = replace(TERMS, utilities={"BESCOM-KA": "bescom.example", "TPDDL-DL": "tpddl.example"})
    answer = (EXAMPLES / "confirm-response.json").read_bytes()
    confirmation = confirmed((EXAMPLES / "confirm-request.json").read_bytes(), answer, terms)
    told = [
        (one.order_item_id, one.contracted_wh, one.slot_start, one.rates, one.traded_at) for one in confirmation.orders
    ]
    traded = epoch_seconds("2024-10-04T10:25:05Z", UTC)
    morning, afternoon = (epoch_seconds(f"2026-01-09T{hour}:00:00Z", UTC) for hour in ("06", "12"))
    assert told == [
        ("offer-morning-001", 15_000, morning, (150_000, 0), traded),
        ("offer-afternoon-001", 10_000, afternoon, (180_000, 0), traded),
    ]
    assert {one.grid_operator for one in confirmation.orders} == {member_id("tpddl.example")}
    assert confirmation.remarks == ()  # 15 × 0.15 + 10 × 0.18 is the 4.05 that the message states
