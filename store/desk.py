"""A member's desk: what it was told, what it signed and what it was shown, by cycle.

What is public stands on the chain and is followed there (`store.index`); what stands here a member could not get back
from the chain, above all its own signatures. Every method is one transaction, and writing the same again changes
nothing, so that a stage that was interrupted is simply run again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, Final

from sqlalchemy import Column, Connection, ForeignKey, Integer, String, Table, delete, func, select

from settlement.canonical_json import Json
from settlement.documents import document, value_of
from settlement.hashing import Hash32
from settlement.trade import AllocationLeaf, Signature, Trade
from store.database import Database
from store.errors import StoreError
from store.records import (
    MemberSignature,
    MeterPseudonym,
    OpenTrade,
    PlacedTrade,
    RecordedReading,
    RowState,
    ServedLeaf,
    StoredAllocation,
)
from store.schema import Document, Number, Word, metadata
from store.upsert import write_once, write_over

MOST_READ: Final = 20_000
AT_ONCE: Final = 500

EVIDENCE: Final = "evidence"
"""The kind of facts that are kept when a member has signed two different statements under one key."""

trades = Table(
    "desk_trades",
    metadata,
    Column("digest", Word, primary_key=True),
    Column("trade_id", Word, nullable=False, index=True),
    Column("cycle", Number, nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("trade", Document, nullable=False),
)

signatures = Table(
    "desk_signatures",
    metadata,
    Column("digest", Word, ForeignKey(trades.c.digest), primary_key=True),
    Column("member", Word, primary_key=True),
    Column("v", Integer, nullable=False),
    Column("r", Word, nullable=False),
    Column("s", Word, nullable=False),
)

places = Table(
    "desk_places",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("index", Number, primary_key=True, autoincrement=False),
    Column("cycle", Number, nullable=False, index=True),
    Column("placed", Document, nullable=False),
)

meters = Table(
    "desk_meters",
    metadata,
    Column("cycle", Number, primary_key=True, autoincrement=False),
    Column("utility", Word, primary_key=True),
    Column("meter_id", String, primary_key=True),
    Column("salt", Word, nullable=False),
    Column("meter", Word, nullable=False),
)

allocations = Table(
    "desk_allocations",
    metadata,
    Column("cycle", Number, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("allocation", Document, nullable=False),
)

leaves = Table(
    "desk_leaves",
    metadata,
    Column("cycle", Number, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("utility", Word, primary_key=True),
    Column("position", Number, primary_key=True, autoincrement=False),
    Column("root", Word, nullable=False),
    Column("served", Document, nullable=False),
)

rows = Table(
    "desk_rows",
    metadata,
    Column("cycle", Number, primary_key=True, autoincrement=False),
    Column("run", Integer, primary_key=True, autoincrement=False),
    Column("payer", Word, primary_key=True),
    Column("payee", Word, primary_key=True),
    Column("way", String, primary_key=True),
    Column("digest", Word, primary_key=True),
    Column("version", Number, nullable=False),
    Column("kept", Number, nullable=False),
    Column("state", Document, nullable=False),
)

facts = Table(
    "desk_facts",
    metadata,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("document", Document, nullable=False),
)


class DeskStore:
    """The desk of one member in its database; any thread may use it."""

    def __init__(self, database: Database) -> None:
        """The tables must be there (`store.migrate`)."""
        self._database = database
        # By digest, trades that were read before: they never change, and are asked for again and again.
        self._trades: OrderedDict[Hash32, Trade] = OrderedDict()
        self._reading = Lock()

    # --- trades that are being signed ---

    def keep_trade(self, trade: Trade, digest: Hash32, cycle: int, state: str) -> None:
        """Keeps a trade, or the state that it has come to; `digest` is its EIP-712 digest."""
        with self._database.exclusive() as connection:
            write_over(connection, trades, [_trade_row(OpenTrade(digest, trade, cycle, state, ()))])

    def keep_signed(self, signed: Sequence[OpenTrade]) -> None:
        """Keeps trades with what members signed of them, all at once, so that a list costs no more than one trade.

        A trade that is kept already keeps its state; its signatures are taken as in `add_signatures`, which raises for
        the same reasons, and then nothing of the list is kept.
        """
        with self._database.exclusive() as connection:
            write_once(connection, trades, [_trade_row(one) for one in signed])
            for one in signed:
                _add_signatures(connection, one.digest, one.trade, one.signatures)

    def add_signatures(self, digest: Hash32, given: Sequence[MemberSignature]) -> None:
        """Keeps what members signed, which the caller has verified; the first signature of each stays.

        A member that has signed another trade under the same trade id has broken its word: both are kept as a fact of
        kind `EVIDENCE`. Raises StoreError for a trade that is not kept, and for a member that is none of its signers.
        """
        with self._database.exclusive() as connection:
            found = connection.scalar(select(trades.c.trade).where(trades.c.digest == digest))
            if found is None:
                raise StoreError(f"trade 0x{digest.hex()} is not on the desk")
            _add_signatures(connection, digest, value_of(Trade, found), given)

    def open_trade(self, digest: Hash32) -> OpenTrade | None:
        """The trade with this digest."""
        with self._database.reading() as connection:
            return next(iter(self._open_trades(connection, trades.c.digest == digest)), None)

    def open_trades(self, cycle: int | None = None, state: str | None = None) -> tuple[OpenTrade, ...]:
        """All trades, or those of a cycle, or in a state, ordered by digest."""
        conditions = []
        if cycle is not None:
            conditions.append(trades.c.cycle == cycle)
        if state is not None:
            conditions.append(trades.c.state == state)
        with self._database.reading() as connection:
            return self._open_trades(connection, *conditions)

    def _open_trades(self, connection: Connection, *conditions: Any) -> tuple[OpenTrade, ...]:
        given: dict[Hash32, dict[Hash32, MemberSignature]] = {}
        signed = select(signatures).join(trades).where(*conditions)
        for found in connection.execute(signed):
            by_member = given.setdefault(found.digest, {})
            by_member[found.member] = MemberSignature(found.member, found.v, found.r, found.s)
        columns = select(trades.c.digest, trades.c.cycle, trades.c.state)
        kept = connection.execute(columns.where(*conditions).order_by(trades.c.digest)).all()
        read = self._read(connection, [found.digest for found in kept])
        return tuple(
            _open_trade(found.digest, read[found.digest], found.cycle, found.state, given.get(found.digest, {}))
            for found in kept
        )

    def _read(self, connection: Connection, digests: Sequence[Hash32]) -> dict[Hash32, Trade]:
        """The trades of digests, most of which were read before."""
        with self._reading:
            known = {digest: self._trades[digest] for digest in digests if digest in self._trades}
        new = [digest for digest in digests if digest not in known]
        for first in range(0, len(new), AT_ONCE):
            query = select(trades.c.digest, trades.c.trade).where(trades.c.digest.in_(new[first : first + AT_ONCE]))
            known |= {found.digest: value_of(Trade, found.trade) for found in connection.execute(query)}
        with self._reading:
            self._trades.update((digest, known[digest]) for digest in new)
            while len(self._trades) > MOST_READ:
                self._trades.popitem(last=False)
        return known

    # --- trades at their places ---

    def place(self, placed: Sequence[PlacedTrade], cycle: int) -> None:
        """Keeps trades at places of commitments of a cycle, proven and verified by the caller."""
        made = [{"number": one.number, "index": one.index, "cycle": cycle, "placed": document(one)} for one in placed]
        with self._database.exclusive() as connection:
            write_over(connection, places, made)

    def placed(self, cycle: int) -> tuple[PlacedTrade, ...]:
        """The trades of a cycle by place, a trade as often as it has places."""
        query = select(places.c.placed).where(places.c.cycle == cycle).order_by(places.c.number, places.c.index)
        with self._database.reading() as connection:
            return tuple(value_of(PlacedTrade, found) for found in connection.scalars(query))

    def cycles(self) -> tuple[int, ...]:
        """The cycles of which a trade has a place, in order."""
        with self._database.reading() as connection:
            return tuple(connection.scalars(select(places.c.cycle).distinct().order_by(places.c.cycle)))

    # --- meters ---

    def keep_meter(self, meter: MeterPseudonym) -> None:
        """Keeps what a meter is called in a cycle.

        Raises StoreError where it is kept under another pseudonym: a meter has one a cycle.
        """
        row = document(meter) | {"utility": meter.utility, "salt": meter.salt, "meter": meter.meter}
        with self._database.exclusive() as connection:
            write_once(connection, meters, [row])
            kept = connection.execute(
                select(meters).where(
                    meters.c.cycle == meter.cycle,
                    meters.c.utility == meter.utility,
                    meters.c.meter_id == meter.meter_id,
                )
            ).one()
            if (kept.salt, kept.meter) != (meter.salt, meter.meter):
                raise StoreError(f"a meter of utility 0x{meter.utility.hex()} has another pseudonym in {meter.cycle}")

    def meters(self, cycle: int) -> tuple[MeterPseudonym, ...]:
        """All pseudonyms of a cycle, by utility and meter id."""
        query = select(meters).where(meters.c.cycle == cycle).order_by(meters.c.utility, meters.c.meter_id)
        with self._database.reading() as connection:
            return tuple(MeterPseudonym(**found) for found in connection.execute(query).mappings())

    # --- allocations and leaves ---

    def keep_allocation(
        self,
        cycle: int,
        run: int,
        attempt: int,
        leaves: Sequence[AllocationLeaf],
        readings: Sequence[RecordedReading],
        signature: Signature,
    ) -> None:
        """Keeps an allocation of the owner's; to be called after signing and before anybody else sees the signature.

        Raises StoreError, and keeps both as a fact of kind `EVIDENCE`, where other leaves are kept for this attempt:
        whoever publishes the second is found out.
        """
        made = StoredAllocation(cycle, run, attempt, tuple(leaves), tuple(readings), signature)
        key = {"cycle": cycle, "run": run, "attempt": attempt}
        with self._database.exclusive() as connection:
            write_once(connection, allocations, [{**key, "allocation": document(made)}])
            kept = value_of(
                StoredAllocation,
                connection.execute(select(allocations.c.allocation).filter_by(**key)).scalar_one(),
            )
            if kept.leaves != made.leaves:
                statements = [
                    {"leaves": document(one.leaves), "signature": document(one.signature)} for one in (kept, made)
                ]
                _keep_fact(connection, EVIDENCE, f"allocation:{cycle}:{run}:{attempt}", {"statements": statements})
        if kept.leaves != made.leaves:
            raise StoreError(f"attempt {attempt} of run {run} of cycle {cycle} is signed with other leaves")

    def allocation(self, cycle: int, run: int) -> StoredAllocation | None:
        """The owner's last attempt in a run."""
        query = select(allocations.c.allocation).filter_by(cycle=cycle, run=run)
        with self._database.reading() as connection:
            found = connection.scalar(query.order_by(allocations.c.attempt.desc()).limit(1))
        return None if found is None else value_of(StoredAllocation, found)

    def keep_leaves(self, cycle: int, run: int, served: Sequence[ServedLeaf]) -> None:
        """Keeps leaves that stand in trees posted in a run, proven by the caller against the chain.

        A utility has one tree a run: leaves under another root than before take the place of all of its that were
        kept. Raises StoreError for a leaf of another run.
        """
        for one in served:
            if one.run != run:
                raise StoreError(f"a leaf of run {one.run} among those of run {run}")
        made = [
            {
                "cycle": cycle,
                "run": run,
                "utility": one.utility,
                "position": one.position,
                "root": one.root,
                "served": document(one),
            }
            for one in served
        ]
        with self._database.exclusive() as connection:
            for utility, root in {(one.utility, one.root) for one in served}:
                replaced = delete(leaves).filter_by(cycle=cycle, run=run, utility=utility)
                connection.execute(replaced.where(leaves.c.root != root))
            write_over(connection, leaves, made)

    def leaves(self, cycle: int, up_to_run: int) -> tuple[ServedLeaf, ...]:
        """The leaves of a cycle's runs from 0 to `up_to_run`, by run, utility and position."""
        query = select(leaves.c.served).where(leaves.c.cycle == cycle, leaves.c.run <= up_to_run)
        ordered = query.order_by(leaves.c.run, leaves.c.utility, leaves.c.position)
        with self._database.reading() as connection:
            return tuple(value_of(ServedLeaf, found) for found in connection.scalars(ordered))

    # --- rows ---

    def keep_row(self, row: RowState) -> None:
        """Keeps how far a row got. Nothing that was ever signed is forgotten: another digest is another row."""
        key = {
            "cycle": row.cycle,
            "run": row.run,
            "payer": row.payer,
            "payee": row.payee,
            "way": row.way.value,
        }
        with self._database.exclusive() as connection:
            latest = connection.scalar(select(func.max(rows.c.kept)).filter_by(**key)) or 0
            made = {"digest": row.digest, "version": row.row.version, "kept": latest + 1, "state": document(row)}
            write_over(connection, rows, [{**key, **made}])

    def row_state(self, cycle: int, run: int, payer: Hash32, payee: Hash32, way: str) -> RowState | None:
        """The row with the highest version of a pair, settled this way in a run; of several the one last kept."""
        query = select(rows.c.state).filter_by(cycle=cycle, run=run, payer=payer, payee=payee, way=str(way))
        with self._database.reading() as connection:
            found = connection.scalar(query.order_by(rows.c.version.desc(), rows.c.kept.desc()).limit(1))
        return None if found is None else value_of(RowState, found)

    def row_states(self, cycle: int | None = None) -> tuple[RowState, ...]:
        """All rows ever kept, or those of a cycle, by cycle, run, pair, way, version and when they were kept."""
        query = select(rows.c.state) if cycle is None else select(rows.c.state).where(rows.c.cycle == cycle)
        order = (
            rows.c.cycle,
            rows.c.run,
            rows.c.payer,
            rows.c.payee,
            rows.c.way,
            rows.c.version,
            rows.c.kept,
        )
        with self._database.reading() as connection:
            return tuple(value_of(RowState, found) for found in connection.scalars(query.order_by(*order)))

    # --- everything small and rare ---

    def keep_fact(self, kind: str, key: str, document: Json) -> None:
        """Keeps a document under a kind and a key, in place of what was kept there: decisions, refusals, evidence."""
        with self._database.exclusive() as connection:
            _keep_fact(connection, kind, key, document)

    def keep_facts(self, kind: str, documents: Mapping[str, Json]) -> None:
        """Keeps documents of one kind by key, all at once."""
        with self._database.exclusive() as connection:
            rows = [{"kind": kind, "key": key, "document": document} for key, document in documents.items()]
            write_over(connection, facts, rows)

    def fact(self, kind: str, key: str) -> Any:
        """The document under a kind and a key, or None."""
        with self._database.reading() as connection:
            return connection.scalar(select(facts.c.document).filter_by(kind=kind, key=key))

    def facts(self, kind: str) -> Mapping[str, Any]:
        """All documents of a kind, by key."""
        query = select(facts.c.key, facts.c.document).where(facts.c.kind == kind).order_by(facts.c.key)
        with self._database.reading() as connection:
            return {found.key: found.document for found in connection.execute(query)}


def _keep_fact(connection: Connection, kind: str, key: str, document: Json) -> None:
    write_over(connection, facts, [{"kind": kind, "key": key, "document": document}])


def _trade_row(one: OpenTrade) -> dict[str, Any]:
    return {
        "digest": one.digest,
        "trade_id": one.trade.trade_id,
        "cycle": one.cycle,
        "state": one.state,
        "trade": document(one.trade),
    }


def _signature_row(one: MemberSignature) -> dict[str, Any]:
    return {"member": one.member, "v": one.v, "r": one.r, "s": one.s}


def _add_signatures(connection: Connection, digest: Hash32, trade: Trade, given: Sequence[MemberSignature]) -> None:
    for one in given:
        if one.member not in trade.signers:
            raise StoreError(f"member 0x{one.member.hex()} is no signer of trade 0x{digest.hex()}")
    write_once(connection, signatures, [{"digest": digest, **_signature_row(one)} for one in given])
    others = select(trades.c.digest).where(trades.c.trade_id == trade.trade_id, trades.c.digest != digest)
    if connection.execute(others).first() is not None:
        for one in given:
            _note_second_trade(connection, digest, trade, one)


def _open_trade(
    digest: Hash32, trade: Trade, cycle: int, state: str, given: Mapping[Hash32, MemberSignature]
) -> OpenTrade:
    in_order = tuple(given[member] for member in trade.signers if member in given)
    return OpenTrade(digest, trade, cycle, state, in_order)


def _note_second_trade(connection: Connection, digest: Hash32, trade: Trade, by: MemberSignature) -> None:
    others = (
        select(trades.c.trade, signatures)
        .join(signatures)
        .where(
            trades.c.trade_id == trade.trade_id,
            trades.c.digest != digest,
            signatures.c.member == by.member,
        )
    )
    for other in connection.execute(others):
        earlier = MemberSignature(by.member, other.v, other.r, other.s)
        statements = [
            {"trade": other.trade, "signature": document(earlier)},
            {"trade": document(trade), "signature": document(by)},
        ]
        key = f"trade:0x{trade.trade_id.hex()}:0x{by.member.hex()}"
        _keep_fact(connection, EVIDENCE, key, {"statements": statements})
