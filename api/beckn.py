"""Beckn messages in: who sent them, whether they say what a market can settle, and the orders that come of it.

A confirm is kept as it came; its on_confirm turns it into orders, which the seller's platform makes trades of. Nothing
here decides anything for a party: an order binds nobody until every signer of its trade has signed.

Messages have no nonce. What stands here instead is their content: the same message again changes nothing, an older
confirm never takes the place of a newer one, and what was answered stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from sqlalchemy import Connection

from api.beckn_g3 import ATTRIBUTES, ORDER_KEYS, Confirmation, OrderTerms, confirmed, proposed
from api.market import Market
from api.message import UNSUPPORTED, MessageRefused, Node, parse
from settlement import canonical_json
from settlement.errors import SettlementError
from settlement.formula.templates import Role, Template
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.identity import member_id
from settlement.order import Order, order_form
from settlement.units import stamp_seconds, time_text
from settlement.validity import MemberRole
from store import orders
from store.database import Database
from store.orders import LONGEST_TRANSACTION, Exchange, Message, NewOrder
from wire.beckn_signature import SignatureRefused, verify
from wire.problems import Refused

CONFIRM: Final = "confirm"
ON_CONFIRM: Final = "on_confirm"

UNAUTHORISED: Final = "AUT_UNAUTHORIZED_ACTION"
CHANGED: Final = "BIZ_ORDER_CHANGED"
UNASKED: Final = "BIZ_NO_SUCH_ORDER"
SOLD: Final = "BIZ_DUPLICATE_ORDER"
TOO_LATE: Final = "BIZ_DEADLINE_PASSED"

# Whose key signs a message, by its action: the context's field that names the sender.
SENDERS: Final = {CONFIRM: "bap_id", ON_CONFIRM: "bpp_id"}

LARGEST: Final = 1 << 20
"""Bytes of a message; an order of a hundred lines has a tenth of it."""

PRICE: Final = "price"
"""The rate that messages carry; what else the template asks for is the market's."""

_UTILITIES: Final = "/" + "/".join((*ORDER_KEYS, ATTRIBUTES, "utilityId"))

# Who is who in an order, where its message says so, and what the registry must call it. The seller's utility stands
# for the grid operator, whom no message names.
_DUTIES: Final = (
    ("buyer_platform", "/context/bap_id", MemberRole.PLATFORM),
    ("seller_platform", "/context/bpp_id", MemberRole.PLATFORM),
    ("buyer_utility", f"{_UTILITIES}Buyer", MemberRole.UTILITY),
    ("seller_utility", f"{_UTILITIES}Seller", MemberRole.UTILITY),
    ("grid_operator", f"{_UTILITIES}Seller", MemberRole.GRID_OPERATOR),
)


@dataclass(frozen=True, slots=True)
class BecknSettings:
    """What the market says where messages are silent (`api.beckn_g3.OrderTerms`).

    `template` is a title, `rates` are base units by the names that the template has besides the price.
    """

    zone: tzinfo
    template: str
    rates: Mapping[str, int]
    grid_operator: Role | None
    utilities: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message whose sender is known to be the one that it names."""

    raw: Message
    message: Node
    buyer_platform: Hash32
    seller_platform: Hash32
    transaction: str


class BecknOrders:
    """Takes Beckn messages for one market. Any thread may use it."""

    def __init__(self, market: Market, database: Database, settings: BecknSettings, wall: Callable[[], int]) -> None:
        """`wall` is the wall clock, Unix seconds: signatures of messages expire by it."""
        self._market = market
        self._database = database
        self._settings = settings
        self._wall = wall

    def sender(self, signature: str | None, body: bytes) -> Hash32:
        """The member whose key signed a message. Raises SignatureRefused, and Refused for one that is too large."""
        if len(body) > LARGEST:
            raise Refused("body-too-large", f"a message has at most {LARGEST} bytes")
        return member_id(verify(signature, body, self._wall(), self._key_of).subscriber)

    def take(self, action: str, sender: Hash32, raw: Message) -> tuple[str, ...]:
        """Takes a message of a `sender` that is known, and returns what looked odd in it.

        Raises MessageRefused; SignatureRefused for a message that names somebody else as its sender; Refused while
        the market is not followed.
        """
        if action not in SENDERS:
            raise MessageRefused("", f"{action}: only {' and '.join(SENDERS)} are taken here", UNSUPPORTED)
        sent = _sent(action, sender, raw)
        terms = self._terms()
        with self._database.exclusive() as connection:
            known = orders.exchange(connection, sent.buyer_platform, sent.seller_platform, sent.transaction)
            if action == CONFIRM:
                self._ask(connection, known, sent, terms)
                return ()
            return self._agree(connection, known, sent, terms).remarks

    # --- confirm ---

    def _ask(self, connection: Connection, known: Exchange | None, sent: Sent, terms: OrderTerms) -> None:
        if known is not None and known.request.body == sent.raw.body:
            return
        stamp = sent.message.at("context", "timestamp")
        if known is not None and known.response is not None:
            sent.message.at("context", "transaction_id").refuse("was confirmed already with another order", CHANGED)
        if known is not None and _time(parse(known.request.body), terms) > _time(sent.message, terms):
            stamp.refuse("is before that of the confirm which is here", CHANGED)
        self._judge(connection, proposed(sent.raw.body, terms))
        orders.keep_request(connection, sent.buyer_platform, sent.seller_platform, sent.transaction, sent.raw)

    # --- on_confirm ---

    def _agree(self, connection: Connection, known: Exchange | None, sent: Sent, terms: OrderTerms) -> Confirmation:
        if known is None:
            sent.message.at("context", "transaction_id").refuse("nobody asked to confirm this", UNASKED)
        confirmation = confirmed(known.request.body, sent.raw.body, terms)
        if known.response is not None:
            # An answer counts once; the same lines at the same time are the same answer.
            if confirmed(known.request.body, known.response.body, terms).orders != confirmation.orders:
                sent.message.at("context", "timestamp").refuse("was answered already, at another time", CHANGED)
            return confirmation
        self._judge(connection, confirmation.orders)
        orders.keep_response(connection, sent.buyer_platform, sent.seller_platform, sent.transaction, sent.raw)
        for order in confirmation.orders:
            orders.keep_order(connection, _new(order, confirmation.order_document))
        return confirmation

    def _judge(self, connection: Connection, agreed: tuple[Order, ...]) -> None:
        """Raises MessageRefused for orders that could not become trades now, or whose sales are orders already."""
        authority = self._market.authority()
        for order in agreed:
            for name, pointer, role in _DUTIES:
                member: Hash32 = getattr(order, name)
                standing = authority.standing(member)
                if member == ZERO_HASH:
                    continue
                if standing is None or standing.is_suspended or not standing.roles & role:
                    raise MessageRefused(pointer, f"is no {role.name} of this market", UNSUPPORTED)
            line = f"order line {order.order_item_id}"
            until = order.valid_until
            if max(authority.now, order.traded_at) > until:
                detail = f"{line}: its trade can be committed until {time_text(until)} only"
                raise MessageRefused("/message/order", detail, TOO_LATE)
            if orders.is_sold(connection, sale_of(order)):
                detail = f"{line}: the same offer, slot, quantity and buyer's meter are an order already"
                raise MessageRefused("/message/order", detail, SOLD)

    # --- the market ---

    def _terms(self) -> OrderTerms:
        config = self._market.newest_config()
        settings = self._settings
        template = self._template()
        return OrderTerms(
            currency=config.currency.rstrip(b"\0").decode("ascii", "replace"),
            calendar=self._market.calendar,
            zone=settings.zone,
            gate=config.gate,
            template=template,
            rates=tuple(settings.rates[name] for name in template.rate_names[1:]),
            grid_operator=settings.grid_operator,
            utilities=settings.utilities,
        )

    def _template(self) -> Template:
        """The template of the settings. Raises Refused where the market has none that fits them."""
        settings = self._settings
        found = [one.template for one in self._market.registry.templates.values()]
        for one in found:
            if one.title == settings.template:
                fault = _misfit(one, settings)
                if fault is not None:
                    raise Refused("internal-error", f"{one.title}: {fault}")
                return one
        raise Refused("internal-error", f"{settings.template}: the market has no such template")

    def _key_of(self, subscriber: str, _: str) -> bytes | None:
        """The Beckn key that the registry has for a member; which of its keys, the chain does not tell apart."""
        try:
            member = member_id(subscriber)
        except SettlementError:
            return None
        standing = self._market.authority().standing(member)
        if standing is None or standing.is_suspended:
            return None
        return self._market.beckn_keys().get(member)


def sale_of(order: Order) -> Hash32:
    """What two messages about one sale have in common, whatever they call it.

    A platform passes a confirm on to utilities under another transaction, in the buyer's platform's place: neither
    the transaction nor the platforms say that it is the same sale. Nor does the host before a meter's own name.
    """
    meter = order.buyer_meter.rpartition("/")[2]
    return keccak256(canonical_json.dumps([order.order_item_id, order.slot_start, order.contracted_wh, meter]))


def _sent(action: str, sender: Hash32, raw: Message) -> Sent:
    message = parse(raw.body)
    found = message.at("context", "action")
    if found.text() != action:
        found.refuse(f"must be {action}")
    ids = {name: _member(message.at("context", name)) for name in SENDERS.values()}
    if ids[SENDERS[action]] != sender:
        raise SignatureRefused(UNAUTHORISED, f"{SENDERS[action]} is not whose key signed the message")
    transaction = message.at("context", "transaction_id")
    if len(transaction.text()) > LONGEST_TRANSACTION:
        transaction.refuse(f"has more than {LONGEST_TRANSACTION} characters")
    return Sent(raw, message, ids["bap_id"], ids["bpp_id"], transaction.text())


def _member(node: Node) -> Hash32:
    return node.read(lambda: member_id(node.text()))


def _time(message: Node, terms: OrderTerms) -> int:
    stamp = message.at("context", "timestamp")
    return stamp.read(lambda: stamp_seconds(stamp.text(), terms.zone))


def _new(order: Order, document: bytes) -> NewOrder:
    # For the platforms alone: the document names customers and accounts, and each side's meter by its own name.
    members = (order.buyer_platform, order.seller_platform)
    return NewOrder(order.trade_id(), sale_of(order), order_form(order), document.decode(), members)


def _misfit(template: Template, settings: BecknSettings) -> str | None:
    """Why messages and settings together do not make trades under a template, or None."""
    if template.rate_names[:1] != (PRICE,) or set(template.rate_names[1:]) != set(settings.rates):
        return f"the rates besides the price must be {', '.join(template.rate_names[1:]) or 'none'}"
    if (Role.GRID_OPERATOR in template.roles) != (settings.grid_operator is not None):
        return "a grid operator must be named where a flow names one, and only there"
    if Role.MARKET_AGENT in template.roles:
        return "no message names its market agent"
    return None
