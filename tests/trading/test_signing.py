"""What a platform signs: its own orders, word for word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from member.cosigning import Fault, Terms
from settlement.formula.templates import SHIPPED_BY_ID
from settlement.hashing import Hash32, keccak256
from settlement.validity import Registry
from tests.settlement.builders import CONFIG, CYCLE, CYCLE_START, PLATFORM_A
from tests.trading.book import ORDER, PSEUDONYMS, order, trade_of
from trading.orders import KeptOrder, Lane, Pseudonyms
from trading.signing import PlatformRules, order_conflicts

TERMS = Terms(CONFIG, SHIPPED_BY_ID, Registry({}, {}), CYCLE_START - 9 * 3_600)


def rules(pseudonyms: Pseudonyms = PSEUDONYMS) -> PlatformRules:
    book = {ORDER.trade_id(): KeptOrder.of(ORDER, Lane.BATCHED)}
    return PlatformRules(PLATFORM_A, book.get, lambda cycle: pseudonyms if cycle == CYCLE else {})


def test_its_own_order_is_signed() -> None:
    assert rules().fault(trade_of(ORDER), (), TERMS) is None


def test_a_trade_without_an_order() -> None:
    assert rules().fault(trade_of(order(transaction_id="tx-9")), (), TERMS) == Fault(
        "trade_id", "no order of this platform makes this trade"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contracted_wh", 1_499),
        ("rates", (6_000_001, 250_000, 300_000, 0)),
        ("buyer_meter", keccak256(b"another")),
        ("seller_meter", keccak256(b"another")),
        ("valid_until", ORDER.valid_until - 1),
        ("traded_at", ORDER.traded_at - 1),
        ("buyer_utility", keccak256(b"another")),
        ("slot_end", CYCLE_START + 1),
    ],
)
def test_another_figure_than_the_orders(field: str, value: Any) -> None:
    forged = replace(trade_of(ORDER), **{field: value})
    assert rules().fault(forged, (), TERMS) == Fault(field, "differs from this platform's order")


def test_another_document_under_the_hash() -> None:
    forged = replace(trade_of(ORDER), order_hash=keccak256(b"another"))
    assert rules().fault(forged, (), TERMS) == Fault("order_hash", "is not over this platform's order")
    # The salt is the seller's platform's choice, but the hash must open with it.
    resalted = replace(trade_of(ORDER), salt=keccak256(b"another"))
    assert rules().fault(resalted, (), TERMS) == Fault("order_hash", "is not over this platform's order")


@pytest.mark.parametrize("lacking", PSEUDONYMS)
def test_before_the_utility_has_told_the_pseudonym(lacking: tuple[Hash32, str]) -> None:
    known = {meter: name for meter, name in PSEUDONYMS.items() if meter != lacking}
    field = "buyer_meter" if lacking[1] == ORDER.buyer_meter else "seller_meter"
    found = rules(known).fault(trade_of(ORDER), (), TERMS)
    assert found == Fault(field, "its utility has not told this platform yet what it is called in this cycle")


def test_an_order_never_changes() -> None:
    kept = KeptOrder.of(ORDER, Lane.BATCHED)
    book = {ORDER.trade_id(): kept}
    assert order_conflicts({}, kept) is None
    assert order_conflicts(book, kept) is None
    assert order_conflicts(book, KeptOrder.of(ORDER, Lane.REGISTERED)) == Fault(
        "lane", "the same order stands among the batched ones"
    )
    assert order_conflicts(book, KeptOrder.of(order(contracted_wh=1), Lane.BATCHED)) == Fault(
        "order", "differs from one that was read before"
    )
