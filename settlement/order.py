"""An order: one agreed sale in one slot, as platforms know it, before its meters are coded and anybody signed.

Whatever it came as (a Beckn message, a CSV line), it becomes this; `Order.trade` makes of it what is signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from settlement import canonical_json
from settlement.canonical_json import Json
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.formula.templates import Template
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.identity import trade_id
from settlement.trade import Trade


@dataclass(frozen=True, slots=True)
class Order:
    """One sale in one slot.

    Members are ids, meters canonical texts, times epoch seconds, `rates` in the template's order in base units (per
    kWh, or as they stand where the name says `#FLAT`).
    """

    transaction_id: str
    order_item_id: str
    template: Template
    buyer_platform: Hash32
    seller_platform: Hash32
    buyer_utility: Hash32
    seller_utility: Hash32
    grid_operator: Hash32
    buyer_meter: str
    seller_meter: str
    slot_start: int
    contracted_wh: int
    rates: tuple[int, ...]
    traded_at: int
    valid_until: int

    def trade_id(self, revision: int = 0) -> Hash32:
        """The id that people and messages use for the trade. Raises SettlementError for figures that do not fit."""
        return trade_id(
            self.buyer_platform,
            self.seller_platform,
            self.transaction_id,
            self.order_item_id,
            self.slot_start,
            revision,
        )

    def trade(
        self,
        slot_length: int,
        buyer_meter: Hash32,
        seller_meter: Hash32,
        salt: Hash32,
        order_document: bytes,
        revision: int = 0,
    ) -> Trade:
        """What the order's members sign.

        `buyer_meter` and `seller_meter` are the pseudonyms that the meters' utilities gave for the slot's cycle,
        `order_document` the canonical bytes of the order that `salt` hides.
        """
        return Trade(
            trade_id=self.trade_id(revision),
            template=self.template.template_id,
            buyer_platform=self.buyer_platform,
            seller_platform=self.seller_platform,
            buyer_utility=self.buyer_utility,
            seller_utility=self.seller_utility,
            grid_operator=self.grid_operator,
            market_agent=ZERO_HASH,
            buyer_meter=buyer_meter,
            seller_meter=seller_meter,
            slot_start=self.slot_start,
            slot_end=self.slot_start + slot_length,
            contracted_wh=self.contracted_wh,
            traded_at=self.traded_at,
            valid_until=self.valid_until,
            rates=self.rates,
            order_hash=order_hash(salt, order_document),
            salt=salt,
        )


def order_form(order: Order) -> dict[str, Json]:
    """The JSON form of an order: as of any value (`settlement.documents`), but its template by its title."""
    return {**document(order), "template": order.template.title}


def order_document(order: Order) -> bytes:
    """The canonical bytes of an order that came as none of its own: both platforms make the same of the same sale."""
    return canonical_json.dumps(order_form(order))


def order_of(form: Any, templates: Mapping[str, Template], where: str = "order") -> Order:
    """The order behind its JSON form; `templates` by title.

    Raises SettlementError with the path of a field that does not fit, under `where`, or for an unknown template.
    """
    if not isinstance(form, Mapping):
        raise SettlementError(where, form, "must be an object")
    title = form.get("template")
    template = templates.get(title) if isinstance(title, str) else None
    if template is None:
        raise SettlementError(f"{where}.template", title, "is not known")
    return replace(value_of(Order, {**form, "template": document(template)}, where), template=template)


def order_hash(salt: Hash32, order_document: bytes) -> Hash32:
    """What a trade says of its order: whoever knows the salt can tell whether a document is the one."""
    return keccak256(salt, order_document)


def split_quantity(total_wh: int, slots: int) -> tuple[int, ...]:
    """A quantity over several slots in equal parts: what does not divide goes, a Wh each, to the earliest."""
    share, rest = divmod(total_wh, slots)
    return tuple(share + (place < rest) for place in range(slots))
