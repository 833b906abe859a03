"""The gateway's feed: what the chain said, in the order in which the gateway learned it, each item bound to the last.

Items are only ever added. An event that leaves the chain is followed by an item that takes it back; neither is
changed. `hash = H(canonical JSON of all other fields)`, which contains the hash before; so whoever has seen one head
can tell later whether anything before it was dropped or put in another order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Column, Connection, Integer, RowMapping, String, Table, func, select

from settlement import canonical_json
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from store.schema import Document, Number, Word, metadata

items = Table(
    "gateway_feed",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=False),
    Column("type", String(64), nullable=False),
    Column("subject", String(80), nullable=False),
    Column("block_number", Number, nullable=False),
    Column("block_hash", Word, nullable=False),
    Column("log_index", Integer, nullable=False),
    Column("undoes", Number, nullable=True, unique=True),
    Column("payload", Document, nullable=False),
    Column("prev_hash", Word, nullable=False),
    Column("hash", Word, nullable=False),
)


@dataclass(frozen=True, slots=True)
class News:
    """What is to be added: an event of a block, or, with `undoes`, that the event of an earlier item left the chain.

    `subject` is what it is about, for people and filters; `payload` is JSON of integers and texts.
    """

    type: str
    subject: str
    block_number: int
    block_hash: Hash32
    log_index: int
    payload: Mapping[str, Any]
    undoes: int | None = None


@dataclass(frozen=True, slots=True)
class FeedItem:
    """News in its place: `seq` from 1 without gaps, the hash of the item before, and its own."""

    seq: int
    news: News
    prev_hash: Hash32
    hash: Hash32


@dataclass(frozen=True, slots=True)
class FeedHead:
    """The newest item's number and hash; 0 and zero before the first."""

    seq: int
    hash: Hash32


NO_ITEMS: Final = FeedHead(0, ZERO_HASH)


def hashed_document(seq: int, news: News, prev_hash: Hash32) -> dict[str, Any]:
    """What an item's hash is over, and what is shown of it besides its finality, which changes."""
    return {
        "seq": seq,
        "type": news.type,
        "subject": news.subject,
        "block": {"number": news.block_number, "hash": news.block_hash},
        "log_index": news.log_index,
        "undoes": news.undoes,
        "payload": news.payload,
        "prev_hash": prev_hash,
    }


def item_hash(seq: int, news: News, prev_hash: Hash32) -> Hash32:
    """The hash of an item. Raises SettlementError for a payload without canonical form."""
    return keccak256(canonical_json.dumps(hashed_document(seq, news, prev_hash)))


def chained(head: FeedHead, news: Iterable[News]) -> list[FeedItem]:
    """The items that news become after a head."""
    found: list[FeedItem] = []
    for one in news:
        mine = item_hash(head.seq + 1, one, head.hash)
        found.append(FeedItem(head.seq + 1, one, head.hash, mine))
        head = FeedHead(head.seq + 1, mine)
    return found


def first_break(before: FeedHead, found: Iterable[FeedItem]) -> int | None:
    """The number of the first item that does not follow from the one before it, or None where all do."""
    for one in found:
        place = one.seq, one.prev_hash
        if place != (before.seq + 1, before.hash) or item_hash(one.seq, one.news, one.prev_hash) != one.hash:
            return one.seq
        before = FeedHead(one.seq, one.hash)
    return None


def head(connection: Connection) -> FeedHead:
    """The newest item."""
    row = connection.execute(select(items.c.seq, items.c.hash).order_by(items.c.seq.desc()).limit(1)).first()
    return NO_ITEMS if row is None else FeedHead(row.seq, row.hash)


def append(connection: Connection, news: Sequence[News]) -> FeedHead:
    """Adds news, in the transaction of whatever they are about, and returns the new head."""
    made = chained(head(connection), news)
    if made:
        connection.execute(items.insert(), [_row(one) for one in made])
    return FeedHead(made[-1].seq, made[-1].hash) if made else head(connection)


def take_back(connection: Connection, block_hashes: Sequence[Hash32], detail: str) -> int:
    """Adds, newest first, an item for each one of blocks that left the chain, and returns how many."""
    undone = items.alias()
    standing = (
        select(items)
        .outerjoin(undone, undone.c.undoes == items.c.seq)
        .where(items.c.block_hash.in_(block_hashes), items.c.undoes.is_(None), undone.c.seq.is_(None))
        .order_by(items.c.seq.desc())
    )
    gone = [_item(row) for row in connection.execute(standing).mappings()]
    append(
        connection,
        [
            replace(one.news, type=TAKEN_BACK, payload={"type": one.news.type, "detail": detail}, undoes=one.seq)
            for one in gone
        ],
    )
    return len(gone)


TAKEN_BACK: Final = "TakenBack"
"""The type of an item that takes another back."""


def after(connection: Connection, seq: int, limit: int, types: Sequence[str] = ()) -> tuple[tuple[FeedItem, bool], ...]:
    """At most `limit` items after number `seq`, of these types or of all, each with whether it was taken back.

    An item that takes back is of every type, so that a filter never hides that something did not happen.
    """
    undone = items.alias()
    query = (
        select(items, undone.c.seq.label("undone_by"))
        .outerjoin(undone, undone.c.undoes == items.c.seq)
        .where(items.c.seq > seq)
        .order_by(items.c.seq)
        .limit(limit)
    )
    if types:
        query = query.where(items.c.type.in_([*types, TAKEN_BACK]))
    return tuple((_item(row), row["undone_by"] is not None) for row in connection.execute(query).mappings())


def count(connection: Connection) -> int:
    """How many items there are."""
    return int(connection.execute(select(func.count()).select_from(items)).scalar_one())


def _row(one: FeedItem) -> dict[str, Any]:
    news = one.news
    return {
        "seq": one.seq,
        "type": news.type,
        "subject": news.subject,
        "block_number": news.block_number,
        "block_hash": news.block_hash,
        "log_index": news.log_index,
        "undoes": news.undoes,
        "payload": dict(news.payload),
        "prev_hash": one.prev_hash,
        "hash": one.hash,
    }


def _item(row: RowMapping) -> FeedItem:
    fields = ("type", "subject", "block_number", "block_hash", "log_index", "payload", "undoes")
    return FeedItem(row["seq"], News(**{name: row[name] for name in fields}), row["prev_hash"], row["hash"])
