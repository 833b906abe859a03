"""Orders as a platform keeps them, and the trades made of them: what is hashed, salted and written under pseudonyms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from settlement.canonical_json import Json
from settlement.documents import value_of
from settlement.formula.templates import Template
from settlement.hashing import Hash32, keccak256
from settlement.order import Order, order_document, order_form, order_of
from settlement.trade import Trade


class Lane(StrEnum):
    """How a trade is put on the chain: with others under one root, or alone with every signature verified there."""

    BATCHED = "batched"
    REGISTERED = "registered"


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """An order, the lane that its platforms agreed on, and the canonical text that its trade's hash is over."""

    order: Order
    lane: Lane
    document: str

    @classmethod
    def of(cls, order: Order, lane: Lane) -> Self:
        """An order that came as no document of its own."""
        return cls(order, lane, order_document(order).decode())

    @property
    def meters(self) -> tuple[tuple[Hash32, str], ...]:
        """Its meters, the buyer's first, each with the utility whose it is."""
        return (self.order.buyer_utility, self.order.buyer_meter), (self.order.seller_utility, self.order.seller_meter)


Pseudonyms = Mapping[tuple[Hash32, str], Hash32]
"""How meters are known in one cycle, by (utility, meter id)."""


def trade_salt(secret: bytes, trade_id: Hash32) -> Hash32:
    """The salt of a trade, which its seller's platform makes from a secret of its own; the same at each attempt."""
    return keccak256(secret, b"trade salt", trade_id)


def make_trade(kept: KeptOrder, slot_length: int, pseudonyms: Pseudonyms, salt: Hash32) -> Trade:
    """The trade of an order. Raises KeyError where a meter has no pseudonym yet."""
    buyer_meter, seller_meter = (pseudonyms[meter] for meter in kept.meters)
    return kept.order.trade(slot_length, buyer_meter, seller_meter, salt, kept.document.encode())


def kept_document(kept: KeptOrder) -> dict[str, Json]:
    """An order as the store keeps it."""
    return {"lane": kept.lane.value, "order": order_form(kept.order), "document": kept.document}


def kept_order(found: Mapping[str, Any], templates: Mapping[str, Template]) -> KeptOrder:
    """The order behind its stored form; `templates` by title. Raises SettlementError for what is none."""
    order = order_of(found.get("order"), templates, "$.order")
    lane = value_of(Lane, found.get("lane"), "$.lane")
    return KeptOrder(order, lane, value_of(str, found.get("document"), "$.document"))
