"""Beckn v2 orders between utilities (`beckn.one:deg:p2p-trading-interdiscom`): a confirm becomes orders.

The message says who trades what, when and for how much; it carries neither wheeling nor a grid operator, which are the
market's. Totals in it are recomputed and never trusted: a total that differs is reported and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Final

from api.message import LIMIT, UNSUPPORTED, Node, canonical, parse
from settlement.formula.templates import Role, Template
from settlement.hashing import ZERO_HASH, Hash32
from settlement.identity import canonical_meter_id, member_id
from settlement.order import Order, split_quantity
from settlement.units import Calendar, epoch_seconds, money, rate_per_kwh, stamp_seconds, traded_wh

DOMAIN: Final = "beckn.one:deg:p2p-trading-interdiscom:"
ORDER_KEYS: Final = ("message", "order")
ATTRIBUTES: Final = "beckn:orderAttributes"
MAX_SLOTS: Final = 96


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What a market says where such a message is silent.

    `utilities` are subscriber ids by the names that messages use for utilities; `rates` are the rates of `template`
    after the price, in base units; `grid_operator` is the role whose member operates the grid, or None where the
    template has no such flow. Times without a zone are in `zone`; trades must be committed `gate` seconds ahead.
    """

    currency: str
    calendar: Calendar
    zone: tzinfo
    gate: int
    template: Template
    rates: tuple[int, ...]
    grid_operator: Role | None
    utilities: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The orders of a confirmed message, the canonical bytes their hashes are over, and what looked odd in it."""

    transaction_id: str
    orders: tuple[Order, ...]
    order_document: bytes
    remarks: tuple[str, ...]


def is_ours(message: Node) -> bool:
    """Whether a message is of this generation."""
    context = message.find("context")
    domain = None if context is None else context.find("domain")
    return domain is not None and isinstance(domain.value, str) and domain.value.startswith(DOMAIN)


def confirmed(request: bytes, response: bytes, terms: OrderTerms) -> Confirmation:
    """The orders that a confirm asked for and its on_confirm agreed to.

    The request is what trades are bound to; the response must repeat its lines and gives the time of the trade.
    Raises MessageRefused at the first value that does not fit, with its pointer.
    """
    asked, agreed = parse(request), parse(response)
    _check_action(asked, "confirm")
    _check_action(agreed, "on_confirm")
    _check_same(asked, agreed)
    traded_at = agreed.at("context", "timestamp")
    time = traded_at.read(lambda: stamp_seconds(traded_at.text(), terms.zone))
    orders = tuple(_orders(asked, time, terms))
    if tuple(_orders(agreed, time, terms)) != orders:
        agreed.at(*ORDER_KEYS).refuse("is not the order that was asked for")
    document = canonical(request, *ORDER_KEYS)
    return Confirmation(_transaction(asked), orders, document, tuple(_remarks(asked, orders, terms)))


def proposed(request: bytes, terms: OrderTerms) -> tuple[Order, ...]:
    """The orders that a confirm asks for, judged before anybody answers it; traded at the request's own time.

    Raises MessageRefused like `confirmed`.
    """
    asked = parse(request)
    _check_action(asked, "confirm")
    stamp = asked.at("context", "timestamp")
    return tuple(_orders(asked, stamp.read(lambda: stamp_seconds(stamp.text(), terms.zone)), terms))


def _check_action(message: Node, action: str) -> None:
    if not is_ours(message):
        message.at("context", "domain").refuse(f"is not {DOMAIN}…", UNSUPPORTED)
    found = message.at("context", "action")
    if found.text() != action:
        found.refuse(f"must be {action}")


def _check_same(asked: Node, agreed: Node) -> None:
    for key in ("transaction_id", "bap_id", "bpp_id"):
        found = agreed.at("context", key)
        if found.text() != asked.at("context", key).text():
            found.refuse("differs from the confirm's")


def _transaction(message: Node) -> str:
    return message.at("context", "transaction_id").text()


def _orders(message: Node, traded_at: int, terms: OrderTerms) -> Iterator[Order]:
    order = message.at(*ORDER_KEYS)
    lines = list(order.at("beckn:orderItems").items())
    if not lines:
        order.at("beckn:orderItems").refuse("has no line")
    seen: set[str] = set()
    for line in lines:
        # The offer is the line's only key; used twice, two trades would have one id.
        offer = line.at("beckn:acceptedOffer", "beckn:id")
        if offer.text() in seen:
            offer.refuse("stands in two lines of one order")
        seen.add(offer.text())
        yield from _line_orders(message, line, traded_at, terms)


def _line_orders(message: Node, line: Node, traded_at: int, terms: OrderTerms) -> Iterator[Order]:
    attributes = message.at(*ORDER_KEYS, ATTRIBUTES)
    offer = line.at("beckn:acceptedOffer")
    details = offer.at("beckn:offerAttributes")
    _check_pricing(details, attributes)
    buyer_utility, seller_utility = (_utility(attributes.at(f"utilityId{side}"), terms) for side in ("Buyer", "Seller"))
    starts = _slots(details.at("beckn:timeWindow"), terms)
    quantity = _quantity(line.at("beckn:quantity"))
    _check_limit(line, details, quantity)
    rates = (_price(details.at("beckn:price"), terms), *terms.rates)
    for start, wh in zip(starts, split_quantity(quantity, len(starts)), strict=True):
        yield Order(
            transaction_id=_transaction(message),
            order_item_id=offer.at("beckn:id").text(),
            template=terms.template,
            buyer_platform=_member(message.at("context", "bap_id")),
            seller_platform=_member(message.at("context", "bpp_id")),
            buyer_utility=buyer_utility,
            seller_utility=seller_utility,
            grid_operator=_grid_operator(terms, buyer_utility, seller_utility),
            # In this generation the customer at the line is the buyer's, whatever its utility's name says.
            buyer_meter=_meter(line.at("beckn:orderItemAttributes", "providerAttributes", "meterId")),
            seller_meter=_meter(details.at("sourceMeterId")),
            slot_start=start,
            contracted_wh=wh,
            rates=rates,
            traded_at=traded_at,
            valid_until=start - terms.gate,
        )


def _check_pricing(details: Node, attributes: Node) -> None:
    model = details.find("pricingModel")
    if model is not None and model.text() != "PER_KWH":
        model.refuse("no template of the market expresses this pricing", UNSUPPORTED)
    for formulas in (details.find("revenueFlows"), attributes.find("revenueFlows")):
        if formulas is not None:
            formulas.refuse("this message's generation has no formulas; the market's template governs", UNSUPPORTED)
    wheeling = details.find("wheelingCharges")
    if wheeling is not None and Decimal(str(wheeling.at("amount").number())):
        # It would be a flat amount for the whole offer, and no shipped template has such an input.
        wheeling.refuse("a flat wheeling charge has no input in the market's template", UNSUPPORTED)


def _slots(window: Node, terms: OrderTerms) -> range:
    """The grid slots that a delivery window covers."""
    ends = [window.at(f"schema:{key}Time") for key in ("start", "end")]
    start, end = (node.read(lambda node=node: epoch_seconds(node.text(), terms.zone)) for node in ends)  # type: ignore[misc]
    length = terms.calendar.slot_length
    if not terms.calendar.is_on_grid(start) or (end - start) % length or end <= start:
        window.refuse(f"does not lie on the market's grid of {length} s")
    if (end - start) // length > MAX_SLOTS:
        window.refuse(f"is longer than {MAX_SLOTS} slots")
    return range(start, end, length)


def _quantity(node: Node) -> int:
    count, unit = node.at("unitQuantity"), node.at("unitText")
    wh = count.read(lambda: traded_wh(count.number(), unit.text()))
    if not wh:
        count.refuse("must be above 0")
    return wh


def _check_limit(line: Node, details: Node, quantity: int) -> None:
    limit = details.find("beckn:maxQuantity")
    if limit is not None and quantity > _quantity(limit):
        line.at("beckn:quantity", "unitQuantity").refuse("is more than was offered", LIMIT)


def _price(node: Node, terms: OrderTerms) -> int:
    _check_currency(node.at("currency"), terms)
    value, unit = node.at("value"), node.find("unitText")
    return value.read(lambda: rate_per_kwh(value.number(), "kWh" if unit is None else unit.text()))


def _check_currency(node: Node, terms: OrderTerms) -> None:
    # Some write the unit behind the currency.
    if node.text().partition("/")[0] != terms.currency:
        node.refuse(f"the market's currency is {terms.currency}", UNSUPPORTED)


def _member(node: Node) -> Hash32:
    return node.read(lambda: member_id(node.text()))


def _utility(node: Node, terms: OrderTerms) -> Hash32:
    subscriber = terms.utilities.get(node.text())
    if subscriber is None:
        node.refuse("the market knows no utility of this name", UNSUPPORTED)
    return member_id(subscriber)


def _meter(node: Node) -> str:
    return node.read(lambda: canonical_meter_id(node.text()))


def _grid_operator(terms: OrderTerms, buyer_utility: Hash32, seller_utility: Hash32) -> Hash32:
    match terms.grid_operator:
        case Role.BUYER_UTILITY:
            return buyer_utility
        case Role.SELLER_UTILITY:
            return seller_utility
        case _:
            return ZERO_HASH


def _remarks(message: Node, orders: tuple[Order, ...], terms: OrderTerms) -> Iterator[str]:
    """Totals that the message states beside its lines, where they differ from the lines'."""
    order = message.at(*ORDER_KEYS)
    total = order.at(ATTRIBUTES).find("total_quantity")
    contracted = sum(one.contracted_wh for one in orders)
    if total is not None and total.read(lambda: traded_wh(total.number())) != contracted:
        yield f"{total.pointer}: the lines come to {contracted} Wh"
    payment = order.find("beckn:payment")
    amount = None if payment is None else payment.find("beckn:amount")
    if amount is not None:
        _check_currency(amount.at("currency"), terms)
        stated = amount.at("value")
        due = sum(one.contracted_wh * one.rates[0] // 1000 for one in orders)
        if stated.read(lambda: money(stated.number())) != due:
            yield f"{stated.pointer}: the lines come to {due} base units"
