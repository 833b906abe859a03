"""What the gateway was handed: trades, batches, the signatures on them, and what it relays to the chain.

Nothing here says how far a trade has come: that is read off the chain's events. Methods take the connection of the
caller's transaction, so that a request is answered, and its answer remembered, in one piece with its effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Integer, Row, Select, String, Table, Text, and_, exists, or_, select, update

from settlement.canonical_json import Json
from settlement.documents import document, value_of
from settlement.hashing import Hash32
from settlement.trade import Lock, Trade, TradeBatch
from store import answered, feed
from store.records import MemberSignature
from store.schema import Document, Number, Word, metadata
from store.upsert import write_once

__all__ = ["answered", "feed"]  # their tables belong to the gateway's

trades = Table(
    "gateway_trades",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("digest", Word, nullable=False, unique=True),
    Column("locks_digest", Word, nullable=True, unique=True),
    Column("cycle", Number, nullable=False, index=True),
    Column("lane", String(16), nullable=False),
    Column("trade", Document, nullable=False),
    Column("locks", Document, nullable=False),
)

signatures = Table(
    "gateway_signatures",
    metadata,
    Column("digest", Word, primary_key=True),
    Column("member", Word, primary_key=True, index=True),
    Column("position", Integer, nullable=False),
    Column("v", Integer, nullable=True),
    Column("r", Word, nullable=True),
    Column("s", Word, nullable=True),
)

batches = Table(
    "gateway_batches",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("digest", Word, nullable=False, unique=True),
    Column("cycle", Number, nullable=False, index=True),
    Column("root", Word, nullable=False, index=True),
    Column("batch", Document, nullable=False),
)

places = Table(
    "gateway_places",
    metadata,
    Column("batch", Word, primary_key=True),
    Column("index", Number, primary_key=True, autoincrement=False),
    Column("trade", Word, nullable=False, index=True),
)

relays = Table(
    "gateway_relays",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("id", String(160), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("subject", Word, nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Text, nullable=True),
    Column("call", Document, nullable=False),
)

audiences = Table(
    "gateway_audiences",
    metadata,
    Column("relay", Number, primary_key=True, autoincrement=False),
    Column("member", Word, primary_key=True),
)

WAITING, SENT, REFUSED = "waiting", "sent", "refused"
"""States of a relay: not handed to the sender yet, handed over, refused by the contract before anything was sent."""


@dataclass(frozen=True, slots=True)
class KeptTrade:
    """A trade and the locks that it is to be committed with; `locks_digest` is what is signed of them in the
    registered lane; in the other a batch carries them."""

    seq: int
    digest: Hash32
    trade: Trade
    cycle: int
    lane: str
    locks: tuple[Lock, ...]
    locks_digest: Hash32 | None


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """A batch; `digest` is what its signers sign."""

    seq: int
    digest: Hash32
    batch: TradeBatch


@dataclass(frozen=True, slots=True)
class SignatureSlots:
    """Who must sign an object, in order, and the signatures that are there."""

    signers: tuple[Hash32, ...]
    given: Mapping[Hash32, MemberSignature]

    @property
    def missing(self) -> tuple[Hash32, ...]:
        """The members whose signature is missing, in order."""
        return tuple(member for member in self.signers if member not in self.given)

    @property
    def in_order(self) -> tuple[MemberSignature, ...]:
        """The signatures that are there, in the signers' order."""
        return tuple(self.given[member] for member in self.signers if member in self.given)


NO_SLOTS = SignatureSlots((), {})


@dataclass(frozen=True, slots=True)
class Relay:
    """A call that the gateway sends once for those who signed it; `call` is its document, `subject` what was signed.

    `id` is the sender's intent. A later `attempt` at the same subject follows one that failed on the chain.
    """

    seq: int
    id: str
    kind: str
    subject: Hash32
    attempt: int
    state: str
    reason: str | None
    call: Json


# --- signatures ---


def expect_signatures(connection: Connection, digest: Hash32, signers: Sequence[Hash32]) -> None:
    """Notes who must sign an object; what is noted already stays."""
    rows = [{"digest": digest, "member": member, "position": place} for place, member in enumerate(signers)]
    write_once(connection, signatures, rows)


def add_signatures(connection: Connection, digest: Hash32, given: Iterable[MemberSignature]) -> int:
    """Fills in signatures of members that must sign and have not, and returns how many; a first one stays."""
    added = 0
    for one in given:
        statement = (
            update(signatures)
            .where(signatures.c.digest == digest, signatures.c.member == one.member, signatures.c.r.is_(None))
            .values(v=one.v, r=one.r, s=one.s)
        )
        added += connection.execute(statement).rowcount
    return added


def signatures_on(connection: Connection, digests: Iterable[Hash32]) -> dict[Hash32, SignatureSlots]:
    """Who must sign each of these objects, and who has."""
    query = select(signatures).where(signatures.c.digest.in_(list(digests))).order_by(signatures.c.position)
    signers: dict[Hash32, list[Hash32]] = {}
    given: dict[Hash32, dict[Hash32, MemberSignature]] = {}
    for row in connection.execute(query):
        signers.setdefault(row.digest, []).append(row.member)
        filled = given.setdefault(row.digest, {})
        if row.r is not None:
            filled[row.member] = MemberSignature(row.member, row.v, row.r, row.s)
    return {digest: SignatureSlots(tuple(members), given[digest]) for digest, members in signers.items()}


# --- trades ---


def keep_trade(
    connection: Connection,
    digest: Hash32,
    trade: Trade,
    cycle: int,
    lane: str,
    locks: tuple[Lock, ...],
    locks_digest: Hash32 | None,
) -> None:
    """Keeps a new trade. The database refuses one that is there."""
    connection.execute(
        trades.insert().values(
            digest=digest,
            locks_digest=locks_digest,
            cycle=cycle,
            lane=lane,
            trade=document(trade),
            locks=document(locks),
        )
    )


def trade(connection: Connection, digest: Hash32) -> KeptTrade | None:
    """The trade of a digest."""
    row = connection.execute(select(trades).where(trades.c.digest == digest)).first()
    return None if row is None else _trade(row)


def trades_page(
    connection: Connection,
    members: Iterable[Hash32],
    *,
    after: int,
    limit: int,
    cycle: int | None = None,
    missing: Hash32 | None = None,
) -> tuple[KeptTrade, ...]:
    """Trades that one of `members` must sign, in the order in which they came, after number `after`.

    Of one cycle, or of all; all, or those that lack the signature of the member `missing`.
    """
    query = select(trades).where(trades.c.seq > after, _is_signer(list(members))).order_by(trades.c.seq).limit(limit)
    if cycle is not None:
        query = query.where(trades.c.cycle == cycle)
    if missing is not None:
        query = query.where(_is_signer([missing], lacking=True))
    return tuple(_trade(row) for row in connection.execute(query))


def _is_signer(members: Sequence[Hash32], *, lacking: bool = False) -> Any:
    own = or_(signatures.c.digest == trades.c.digest, signatures.c.digest == trades.c.locks_digest)
    wanted = and_(own, signatures.c.member.in_(members))
    return exists(select(signatures.c.digest).where(and_(wanted, signatures.c.r.is_(None)) if lacking else wanted))


# --- batches ---


def keep_batch(connection: Connection, digest: Hash32, batch: TradeBatch, digests: Sequence[Hash32]) -> None:
    """Keeps a new batch with the digests of its trades in their order. The database refuses one that is there."""
    connection.execute(
        batches.insert().values(digest=digest, cycle=batch.cycle, root=batch.root, batch=document(batch))
    )
    connection.execute(
        places.insert(), [{"batch": digest, "index": index, "trade": one} for index, one in enumerate(digests)]
    )


def batch(connection: Connection, digest: Hash32) -> KeptBatch | None:
    """The batch of a digest."""
    row = connection.execute(select(batches).where(batches.c.digest == digest)).first()
    return None if row is None else _batch(row)


def trades_of_batch(connection: Connection, digest: Hash32) -> tuple[Hash32, ...]:
    """The digests of a batch's trades in their order."""
    query = select(places.c.trade).where(places.c.batch == digest).order_by(places.c.index)
    return tuple(connection.execute(query).scalars())


def batches_with(connection: Connection, digests: Iterable[Hash32]) -> dict[Hash32, tuple[tuple[KeptBatch, int], ...]]:
    """For each of these trades that stands in batches: those, and its index in each."""
    query = (
        select(batches, places.c.trade, places.c.index.label("place"))
        .join(places, places.c.batch == batches.c.digest)
        .where(places.c.trade.in_(list(digests)))
        .order_by(batches.c.seq)
    )
    found: dict[Hash32, list[tuple[KeptBatch, int]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.trade, []).append((_batch(row), row.place))
    return {digest: tuple(those) for digest, those in found.items()}


# --- relays ---


def keep_relay(
    connection: Connection, kind: str, subject: Hash32, attempt: int, call: Json, audience: Iterable[Hash32]
) -> Relay:
    """A new relay, to be sent; `audience` are the members that may look how it goes. The database refuses a second."""
    name = f"{kind}:0x{subject.hex()}" + (f"~{attempt}" if attempt > 1 else "")
    values = {"id": name, "kind": kind, "subject": subject, "attempt": attempt, "state": WAITING, "call": call}
    seq = int(connection.execute(relays.insert().values(values).returning(relays.c.seq)).scalar_one())
    write_once(connection, audiences, [{"relay": seq, "member": member} for member in dict.fromkeys(audience)])
    return Relay(seq, name, kind, subject, attempt, WAITING, None, call)


def relay(connection: Connection, name: str) -> Relay | None:
    """The relay of an id."""
    return _first_relay(connection, select(relays).where(relays.c.id == name))


def newest_relay(connection: Connection, subject: Hash32) -> Relay | None:
    """The last attempt at relaying what was signed."""
    return newest_relays(connection, [subject]).get(subject)


def newest_relays(connection: Connection, subjects: Iterable[Hash32]) -> dict[Hash32, Relay]:
    """The last attempt at each of these."""
    query = select(relays).where(relays.c.subject.in_(list(subjects))).order_by(relays.c.attempt)
    return {row.subject: _relay(row) for row in connection.execute(query)}


def audience(connection: Connection, seq: int) -> frozenset[Hash32]:
    """The members that may look at a relay."""
    return frozenset(connection.execute(select(audiences.c.member).where(audiences.c.relay == seq)).scalars())


def unsent_relays(connection: Connection, limit: int = 64) -> tuple[Relay, ...]:
    """Relays that are to be sent, oldest first."""
    query = select(relays).where(relays.c.state == WAITING).order_by(relays.c.seq).limit(limit)
    return tuple(_relay(row) for row in connection.execute(query))


def refused_relays(connection: Connection, kind: str) -> tuple[Relay, ...]:
    """Relays of a kind that the contract refused when they were tried."""
    query = select(relays).where(relays.c.state == REFUSED, relays.c.kind == kind).order_by(relays.c.seq)
    return tuple(_relay(row) for row in connection.execute(query))


def move_relay(connection: Connection, seq: int, state: str, reason: str | None = None) -> None:
    """What became of a relay."""
    connection.execute(update(relays).where(relays.c.seq == seq).values(state=state, reason=reason))


def _first_relay(connection: Connection, query: Select[Any]) -> Relay | None:
    row = connection.execute(query).first()
    return None if row is None else _relay(row)


def _trade(row: Row[Any]) -> KeptTrade:
    return KeptTrade(
        row.seq,
        row.digest,
        value_of(Trade, row.trade),
        row.cycle,
        row.lane,
        value_of(tuple[Lock, ...], row.locks),
        row.locks_digest,
    )


def _batch(row: Row[Any]) -> KeptBatch:
    return KeptBatch(row.seq, row.digest, value_of(TradeBatch, row.batch))


def _relay(row: Row[Any]) -> Relay:
    return Relay(row.seq, row.id, row.kind, row.subject, row.attempt, row.state, row.reason, row.call)
