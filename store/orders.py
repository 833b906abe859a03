"""Orders that came to the gateway in platforms' own messages: the raw bytes, and what was read from them.

A message stands under the transaction that it is about and the two platforms; what it was answered is kept with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, LargeBinary, String, Table, Text, select, update

from settlement.hashing import Hash32
from store.schema import Document, Number, Word, metadata
from store.upsert import write_once

LONGEST_TRANSACTION: Final = 200
"""So many characters has a transaction's id at most."""

exchanges = Table(
    "gateway_exchanges",
    metadata,
    Column("buyer_platform", Word, primary_key=True),
    Column("seller_platform", Word, primary_key=True),
    Column("transaction", String(LONGEST_TRANSACTION), primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("request_signature", Text, nullable=False),
    Column("response", LargeBinary, nullable=True),
    Column("response_signature", Text, nullable=True),
)

orders = Table(
    "gateway_orders",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("trade_id", Word, nullable=False, unique=True),
    Column("sale", Word, nullable=False, unique=True),
    Column("order", Document, nullable=False),
    Column("document", Text, nullable=False),
)

parties = Table(
    "gateway_order_parties",
    metadata,
    Column("trade_id", Word, primary_key=True),
    Column("member", Word, primary_key=True, index=True),
)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came: its bytes, and the signature header that shows who sent them."""

    body: bytes
    signature: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and, once it was answered, the answer."""

    request: Message
    response: Message | None


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order in its JSON form, and the canonical text that its trade's hash is over.

    `sale` is what the same sale has in common whatever it is called; `members` are those who may see the order.
    """

    trade_id: Hash32
    sale: Hash32
    order: Mapping[str, Any]
    document: str
    members: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """An order as it is kept; `seq` counts up in the order in which orders came."""

    seq: int
    trade_id: Hash32
    order: Mapping[str, Any]
    document: str


def exchange(
    connection: Connection, buyer_platform: Hash32, seller_platform: Hash32, transaction: str
) -> Exchange | None:
    """What two platforms have said about a transaction."""
    row = connection.execute(select(exchanges).where(*_key(buyer_platform, seller_platform, transaction))).first()
    if row is None:
        return None
    answered = None if row.response is None else Message(bytes(row.response), row.response_signature)
    return Exchange(Message(bytes(row.request), row.request_signature), answered)


def keep_request(
    connection: Connection, buyer_platform: Hash32, seller_platform: Hash32, transaction: str, request: Message
) -> None:
    """Keeps a request, in place of an earlier one that nobody has answered; an answered one stays."""
    said = {"request": request.body, "request_signature": request.signature}
    names = {"buyer_platform": buyer_platform, "seller_platform": seller_platform, "transaction": transaction}
    write_once(connection, exchanges, [names | said])
    key = _key(buyer_platform, seller_platform, transaction)
    connection.execute(update(exchanges).where(*key, exchanges.c.response.is_(None)).values(said))


def keep_response(
    connection: Connection, buyer_platform: Hash32, seller_platform: Hash32, transaction: str, response: Message
) -> None:
    """Keeps the first answer to a request, for good."""
    key = _key(buyer_platform, seller_platform, transaction)
    said = {"response": response.body, "response_signature": response.signature}
    connection.execute(update(exchanges).where(*key, exchanges.c.response.is_(None)).values(said))


def keep_order(connection: Connection, new: NewOrder) -> None:
    """Keeps an order. IntegrityError where its trade id or its sale is kept already; ask `is_sold` before."""
    values = {"trade_id": new.trade_id, "sale": new.sale, "order": dict(new.order), "document": new.document}
    connection.execute(orders.insert().values(values))
    seeing = [{"trade_id": new.trade_id, "member": member} for member in dict.fromkeys(new.members)]
    connection.execute(parties.insert(), seeing)


def is_sold(connection: Connection, sale: Hash32) -> bool:
    """Whether an order of this sale is kept, under whatever transaction."""
    return connection.execute(select(orders.c.seq).where(orders.c.sale == sale)).first() is not None


def orders_page(connection: Connection, members: Iterable[Hash32], after: int, limit: int) -> tuple[KeptOrder, ...]:
    """Orders that some of the members may see, in the order in which they came, from behind the number `after`."""
    visible = select(parties.c.trade_id).where(parties.c.member.in_(list(members)))
    query = select(orders).where(orders.c.seq > after, orders.c.trade_id.in_(visible))
    rows = connection.execute(query.order_by(orders.c.seq).limit(limit))
    return tuple(KeptOrder(row.seq, bytes(row.trade_id), row.order, row.document) for row in rows)


def _key(buyer_platform: Hash32, seller_platform: Hash32, transaction: str) -> tuple[Any, ...]:
    return (
        exchanges.c.buyer_platform == buyer_platform,
        exchanges.c.seller_platform == seller_platform,
        exchanges.c.transaction == transaction,
    )
