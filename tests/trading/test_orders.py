"""From an order to the trade: its document, its salt, and that it survives being stored."""

from __future__ import annotations

import json

import pytest

from settlement.formula.templates import INTER_UTILITY
from settlement.hashing import keccak256
from settlement.order import order_hash
from tests.trading.book import ORDER, PSEUDONYMS, SALT, order, trade_of
from trading.orders import KeptOrder, Lane, kept_document, kept_order, make_trade, order_document, trade_salt


def test_the_trade_of_an_order() -> None:
    made = trade_of(ORDER)
    assert (made.trade_id, made.template) == (ORDER.trade_id(), INTER_UTILITY.template_id)
    assert (made.buyer_meter, made.seller_meter) == tuple(PSEUDONYMS.values())
    assert (made.slot_end - made.slot_start, made.contracted_wh) == (3_600, 1_500)
    assert made.order_hash == keccak256(SALT, order_document(ORDER)) == order_hash(SALT, order_document(ORDER))


def test_without_a_pseudonym_there_is_no_trade() -> None:
    with pytest.raises(KeyError):
        make_trade(order(buyer_meter="IN-9"), 3_600, PSEUDONYMS, SALT)


def test_every_field_is_in_the_document() -> None:
    changes = [
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


def test_a_stored_order_is_the_same_one() -> None:
    kept = KeptOrder(ORDER, Lane.REGISTERED)
    stored = json.loads(json.dumps(kept_document(kept)))
    assert kept_order(stored, {INTER_UTILITY.title: INTER_UTILITY}) == kept
