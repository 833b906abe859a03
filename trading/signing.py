"""What a platform looks at before it signs a trade or a batch: whether it is what its own book says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from member.cosigning import Fault, Terms
from settlement.hashing import Hash32
from settlement.trade import Trade
from store.records import OpenTrade
from trading.orders import KeptOrder, Pseudonyms, make_trade


@dataclass(frozen=True)
class PlatformRules:
    """A platform's rules for signing: the trade is one of its own orders, word for word.

    `order` finds an order by trade id, `pseudonyms` what its meters are called in a cycle, as their utilities told.
    """

    platform: Hash32
    order: Callable[[Hash32], KeptOrder | None]
    pseudonyms: Callable[[int], Pseudonyms]

    def fault(self, trade: Trade, signed: Sequence[OpenTrade], terms: Terms) -> Fault | None:
        """Why this platform does not sign, or None."""
        kept = self.order(trade.trade_id)
        if kept is None:
            return Fault("trade_id", "no order of this platform makes this trade")
        pseudonyms = self.pseudonyms(terms.calendar.cycle_of(trade.slot_start))
        for meter, name in zip(kept.meters, ("buyer_meter", "seller_meter"), strict=True):
            if meter not in pseudonyms:
                return Fault(name, "its utility has not told this platform yet what it is called in this cycle")
        return order_fault(trade, kept, pseudonyms, terms.calendar.slot_length)


def order_fault(trade: Trade, kept: KeptOrder, pseudonyms: Pseudonyms, slot_length: int) -> Fault | None:
    """The first field in which a trade is not the one that this order makes, or None."""
    ours = make_trade(kept, slot_length, pseudonyms, trade.salt)
    for field in fields(Trade):
        if field.name != "order_hash" and getattr(trade, field.name) != getattr(ours, field.name):
            return Fault(field.name, "differs from this platform's order")
    if trade.order_hash != ours.order_hash:
        return Fault("order_hash", "is not over this platform's order")
    return None


def order_conflicts(known: Mapping[Hash32, KeptOrder], kept: KeptOrder) -> Fault | None:
    """Whether another order under the same trade id stands in the book already: an order never changes."""
    earlier = known.get(kept.order.trade_id())
    if earlier is None or earlier == kept:
        return None
    if earlier.lane is not kept.lane:
        return Fault("lane", f"the same order stands among the {earlier.lane} ones")
    return Fault("order", "differs from one that was read before")
