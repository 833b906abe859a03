"""From an order to the trade: its document, its salt, and that it survives being stored."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from settlement.errors import SettlementError
from settlement.formula.templates import INTER_UTILITY
from settlement.hashing import keccak256
from settlement.order import order_document, order_form, order_hash
from tests.trading.book import ORDER, PSEUDONYMS, SALT, order, trade_of
from trading.orders import KeptOrder, Lane, kept_document, kept_order, make_trade, trade_salt

TEMPLATES = {INTER_UTILITY.title: INTER_UTILITY}


def test_the_trade_of_an_order() -> None:
    made = trade_of(ORDER)
    assert (made.trade_id, made.template) == (ORDER.trade_id(), INTER_UTILITY.template_id)
    assert (made.buyer_meter, made.seller_meter) == tuple(PSEUDONYMS.values())
    assert (made.slot_end - made.slot_start, made.contracted_wh) == (3_600, 1_500)
    assert made.order_hash == keccak256(SALT, order_document(ORDER)) == order_hash(SALT, order_document(ORDER))


def test_without_a_pseudonym_there_is_no_trade() -> None:
    with pytest.raises(KeyError):
        make_trade(KeptOrder.of(order(buyer_meter="IN-9"), Lane.BATCHED), 3_600, PSEUDONYMS, SALT)


def test_an_order_that_came_as_a_document_is_hashed_as_that() -> None:
    received = KeptOrder(ORDER, Lane.BATCHED, '{"as":"received"}')
    made = make_trade(received, 3_600, PSEUDONYMS, SALT)
    assert made.order_hash == keccak256(SALT, b'{"as":"received"}')
    assert replace(made, order_hash=trade_of(ORDER).order_hash) == trade_of(ORDER)


def test_every_field_is_in_the_document() -> None:
    changes: list[dict[str, Any]] = [
        {"transaction_id": "tx-2"},
        {"order_item_id": "item-2"},
        {"buyer_meter": "IN-3"},
        {"contracted_wh": 1_501},
        {"rates": (6_000_000, 250_000, 300_000, 1)},
        {"traded_at": ORDER.traded_at + 1},
        {"valid_until": ORDER.valid_until - 1},
        {"slot_start": ORDER.slot_start + 3_600},
    ]
    documents = {order_document(order(**change)) for change in changes}
    assert len({*documents, order_document(ORDER)}) == len(changes) + 1
    assert json.loads(order_document(ORDER)).keys() == set(ORDER.__dataclass_fields__)


def test_a_salt_is_of_one_secret_and_trade() -> None:
    one = trade_salt(SALT, ORDER.trade_id())
    assert one == trade_salt(SALT, ORDER.trade_id())
    assert (
        len({one, trade_salt(bytes(32), ORDER.trade_id()), trade_salt(SALT, order(transaction_id="x").trade_id())}) == 3
    )


@pytest.mark.parametrize("document", ['{"as":"received"}', None])
def test_a_stored_order_is_the_same_one(document: str | None) -> None:
    kept = KeptOrder.of(ORDER, Lane.REGISTERED) if document is None else KeptOrder(ORDER, Lane.REGISTERED, document)
    stored = json.loads(json.dumps(kept_document(kept)))
    assert kept_order(stored, TEMPLATES) == kept


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"lane": "fast"}, "$.lane", "is no Lane"),
        ({"document": 7}, "$.document", "must be text"),
        ({"order": []}, "$.order", "must be an object"),
        ({"order": order_form(ORDER) | {"template": "other.v1"}}, "$.order.template", "is not known"),
        ({"order": order_form(ORDER) | {"template": ["other.v1"]}}, "$.order.template", "is not known"),
        ({"order": order_form(ORDER) | {"slot_start": "0"}}, "$.order.slot_start", "must be a non-negative integer"),
        ({"order": order_form(ORDER) | {"rates": [1]}}, "$.order.rates[0]", "must be a decimal number as text"),
        ({"order": order_form(ORDER) | {"more": 1}}, "$.order.more", "is unknown"),
    ],
)
def test_what_is_no_stored_order(change: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(SettlementError) as caught:
        kept_order(kept_document(KeptOrder.of(ORDER, Lane.BATCHED)) | change, TEMPLATES)
    assert (caught.value.field, caught.value.message) == (field, reason)
