"""Transactions on their way to the chain: signers with their nonces, signed bytes, and what became of each.

Satisfies `chain.outbox.Outbox`. Two constraints carry the promises, whatever processes and threads do: one row for an
intent, one row for a nonce of a signer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from store.database import Database
from store.schema import Number, Word, metadata
from store.upsert import write_once

UNFINISHED: Final = ("queued", "signed", "broadcast", "included", "orphaned")
IN_A_FINAL_BLOCK: Final = ("final", "reverted")

_Identity: Final = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts only a key of this very type itself

signers: Final = Table(
    "signers",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("chain_id", Number, nullable=False),
    Column("address", String(42), nullable=False),
    Column("genesis", Word, nullable=False),
    Column("next_nonce", Number, nullable=False),
    Column("suspended", Text),
    Column("conflict", Number),
    UniqueConstraint("chain_id", "address"),
)

transactions: Final = Table(
    "transactions",
    metadata,
    Column("id", _Identity, primary_key=True),
    Column("signer", ForeignKey(signers.c.id), nullable=False),
    Column("intent", String(200), nullable=False),
    Column("contract", String(64), nullable=False),
    Column("function", String(64), nullable=False),
    Column("target", String(42), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("gas", Number, nullable=False),
    Column("nonce", Number, nullable=False),
    Column("state", String(16), nullable=False),
    Column("hash", Word),
    Column("block_number", Number),
    Column("block_hash", Word),
    Column("reason", Text),
    UniqueConstraint("signer", "intent"),
    UniqueConstraint("signer", "nonce"),
    Index(None, "signer", "state"),
)

attempts: Final = Table(
    "transaction_attempts",
    metadata,
    Column("transaction", ForeignKey(transactions.c.id), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("hash", Word, nullable=False, unique=True),
    Column("raw", LargeBinary, nullable=False),
    Column("cancels", Boolean, nullable=False),
)

actions: Final = Table(
    "transaction_actions",
    metadata,
    Column("transaction", ForeignKey(transactions.c.id), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("place", Integer, nullable=False),
    Column("times", Number, nullable=False),
    Column("first", Number, nullable=False),
    Column("last", Number, nullable=False),
    Column("error", Text),
)


@dataclass(frozen=True, slots=True)
class StoredSigner:
    """A key on one chain (`chain.outbox.Signer`)."""

    id: int
    chain_id: int
    address: str
    genesis: str
    next_nonce: int
    suspended: str | None
    conflict: int | None


@dataclass(frozen=True, slots=True)
class StoredAction:
    """What happened to a transaction, how often, first and last when (UTC epoch seconds), and the last error."""

    name: str
    times: int
    first: int
    last: int
    error: str | None


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """Signed bytes and their hash. `cancels`: they only use the nonce up."""

    hash: str
    raw: bytes
    cancels: bool


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """One intent of a signer and what became of it (`chain.outbox.Transaction`)."""

    id: int
    intent: str
    contract: str
    function: str
    target: str
    data: bytes
    gas: int
    nonce: int
    state: str
    hash: str | None
    block_number: int | None
    block_hash: str | None
    reason: str | None
    attempts: tuple[StoredAttempt, ...]
    history: tuple[StoredAction, ...]


class StoredOutbox:
    """The outbox of every signer in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- signers ---

    def known(self, chain_id: int, address: str) -> StoredSigner | None:
        """The signer of this address on this chain, if it ever sent."""
        where = (signers.c.chain_id == chain_id) & (signers.c.address == address.lower())
        with self._database.reading() as connection:
            found = connection.execute(select(signers).where(where)).one_or_none()
            return None if found is None else _signer(found)

    def open(self, chain_id: int, address: str, genesis: str, next_nonce: int) -> StoredSigner:
        """The signer; one that is not known yet begins with `genesis` and `next_nonce`."""
        new = {
            "chain_id": chain_id,
            "address": address.lower(),
            "genesis": _bytes(genesis),
            "next_nonce": next_nonce,
        }
        with self._database.transaction() as connection:
            write_once(connection, signers, [new])
            where = (signers.c.chain_id == chain_id) & (signers.c.address == address.lower())
            return _signer(connection.execute(select(signers).where(where)).one())

    def signer(self, signer: int) -> StoredSigner:
        """The signer as it stands now."""
        with self._database.reading() as connection:
            return _signer(connection.execute(select(signers).where(signers.c.id == signer)).one())

    def suspend(self, signer: int, reason: str | None) -> None:
        """Holds it back for a reason of the operator's, or no longer (None)."""
        with self._database.transaction() as connection:
            connection.execute(update(signers).where(signers.c.id == signer).values(suspended=reason))

    def raise_conflict(self, signer: int, nonce: int) -> None:
        """Notes that somebody else used this nonce; the first one noted stays."""
        with self._database.transaction() as connection:
            where = (signers.c.id == signer) & signers.c.conflict.is_(None)
            connection.execute(update(signers).where(where).values(conflict=nonce))

    def settle_conflict(self, signer: int, next_nonce: int) -> None:
        """Notes that the conflict is dealt with; the next nonce is at least this one."""
        with self._database.transaction() as connection:
            known = self._locked(connection, signer)
            connection.execute(
                update(signers)
                .where(signers.c.id == signer)
                .values(conflict=None, next_nonce=max(known.next_nonce, next_nonce))
            )

    # --- transactions ---

    def enqueue(
        self, signer: int, intent: str, contract: str, function: str, target: str, data: bytes, gas: int, now: int
    ) -> StoredTransaction:
        """The intent's transaction; a new one takes the signer's next nonce in the same database transaction."""
        with self._database.transaction() as connection:
            nonce = self._locked(connection, signer).next_nonce  # only then is what is read below still true
            known = _one(connection, (transactions.c.signer == signer) & (transactions.c.intent == intent))
            if known is not None:
                return known
            made = connection.execute(
                insert(transactions).values(
                    signer=signer,
                    intent=intent,
                    contract=contract,
                    function=function,
                    target=target,
                    data=data,
                    gas=gas,
                    nonce=nonce,
                    state="queued",
                )
            ).inserted_primary_key
            assert made is not None  # noqa: S101 - one row was inserted, so it has a key
            connection.execute(update(signers).where(signers.c.id == signer).values(next_nonce=nonce + 1))
            _count(connection, made.id, "queued", now, None)
            return _only(connection, made.id)

    def keep_attempt(self, transaction: int, number: int, digest: str, raw: bytes, cancels: bool, now: int) -> None:
        """Stores signed bytes as the transaction's attempt `number`, unless it has one of this number already."""
        new = {
            "transaction": transaction,
            "number": number,
            "hash": _bytes(digest),
            "raw": raw,
            "cancels": cancels,
        }
        this = transactions.c.id == transaction
        same = (attempts.c.transaction == transaction) & (attempts.c.number == number)
        with self._database.transaction() as connection:
            state = connection.execute(select(transactions.c.state).where(this).with_for_update()).scalar_one()
            if connection.execute(select(attempts.c.hash).where(same)).first() is not None:
                return
            connection.execute(insert(attempts).values(new))
            moved = "signed" if state == "queued" else state
            connection.execute(update(transactions).where(this).values(hash=new["hash"], state=moved))
            _count(connection, transaction, "signed", now, None)

    def advance(
        self,
        transaction: int,
        seen: str,
        action: str,
        now: int,
        *,
        state: str | None = None,
        error: str | None = None,
        digest: str | None = None,
        block: tuple[int, str] | None = None,
        reason: str | None = None,
    ) -> None:
        """Adds to the history and, with `state`, moves on: block and reason become what is given.

        `digest` is the hash of the attempt in that block.
        Nothing happens to a transaction that is no longer in the state in which the caller has `seen` it.
        """
        new: dict[str, Any] = {"state": state or seen}
        if state is not None:
            number, block_hash = block or (None, None)
            new |= {"block_number": number, "block_hash": block_hash and _bytes(block_hash), "reason": reason}
        if digest is not None:
            new["hash"] = _bytes(digest)
        unmoved = (transactions.c.id == transaction) & (transactions.c.state == seen)
        with self._database.transaction() as connection:
            if connection.execute(update(transactions).where(unmoved).values(new)).rowcount == 1:
                _count(connection, transaction, action, now, error)

    def find(self, signer: int, intent: str) -> StoredTransaction | None:
        """The transaction of an intent."""
        with self._database.reading() as connection:
            return _one(connection, (transactions.c.signer == signer) & (transactions.c.intent == intent))

    def get(self, transaction: int) -> StoredTransaction:
        """The transaction with this id, whoever signs it. KeyError where there is none."""
        with self._database.reading() as connection:
            found = _one(connection, transactions.c.id == transaction)
        if found is None:
            raise KeyError(transaction)
        return found

    def unfinished(self, signer: int) -> tuple[StoredTransaction, ...]:
        """Those whose end is not known for good, by nonce."""
        where = (transactions.c.signer == signer) & transactions.c.state.in_(UNFINISHED)
        with self._database.reading() as connection:
            rows = connection.execute(select(transactions).where(where).order_by(transactions.c.nonce)).all()
            return _whole(connection, rows)

    def newest_final(self, signer: int) -> StoredTransaction | None:
        """The one with the highest nonce of those that are final in a block."""
        where = (transactions.c.signer == signer) & transactions.c.state.in_(IN_A_FINAL_BLOCK)
        with self._database.reading() as connection:
            newest = select(transactions).where(where).order_by(transactions.c.nonce.desc()).limit(1)
            return next(iter(_whole(connection, connection.execute(newest).all())), None)

    def _locked(self, connection: Connection, signer: int) -> StoredSigner:
        """The signer, whom nobody else changes until this database transaction ends."""
        return _signer(connection.execute(select(signers).where(signers.c.id == signer).with_for_update()).one())


def _count(connection: Connection, transaction: int, name: str, now: int, error: str | None) -> None:
    this = actions.c.transaction == transaction
    again = update(actions).where(this, actions.c.name == name).values(times=actions.c.times + 1, last=now, error=error)
    if connection.execute(again).rowcount == 0:
        place = connection.execute(select(func.count()).where(this)).scalar_one()
        first = {"place": place, "times": 1, "first": now, "last": now, "error": error}
        connection.execute(insert(actions).values(transaction=transaction, name=name, **first))


def _one(connection: Connection, where: Any) -> StoredTransaction | None:
    return next(iter(_whole(connection, connection.execute(select(transactions).where(where)).all())), None)


def _only(connection: Connection, transaction: int) -> StoredTransaction:
    (found,) = _whole(connection, connection.execute(select(transactions).where(transactions.c.id == transaction)))
    return found


def _whole(connection: Connection, rows: Iterable[Row[Any]]) -> tuple[StoredTransaction, ...]:
    """The transactions of these rows with their attempts, oldest first, and their history, by what first happened."""
    rows = list(rows)
    ids = [row.id for row in rows]
    if not ids:
        return ()
    tried: dict[int, list[StoredAttempt]] = defaultdict(list)
    for one in connection.execute(select(attempts).where(attempts.c.transaction.in_(ids)).order_by(attempts.c.number)):
        tried[one.transaction].append(StoredAttempt(_hex(one.hash), bytes(one.raw), one.cancels))
    happened: dict[int, list[StoredAction]] = defaultdict(list)
    for one in connection.execute(select(actions).where(actions.c.transaction.in_(ids)).order_by(actions.c.place)):
        happened[one.transaction].append(StoredAction(one.name, one.times, one.first, one.last, one.error))
    return tuple(
        StoredTransaction(
            id=row.id,
            intent=row.intent,
            contract=row.contract,
            function=row.function,
            target=row.target,
            data=bytes(row.data),
            gas=row.gas,
            nonce=row.nonce,
            state=row.state,
            hash=row.hash and _hex(row.hash),
            block_number=row.block_number,
            block_hash=row.block_hash and _hex(row.block_hash),
            reason=row.reason,
            attempts=tuple(tried[row.id]),
            history=tuple(happened[row.id]),
        )
        for row in rows
    )


def _signer(row: Row[Any]) -> StoredSigner:
    return StoredSigner(
        row.id, row.chain_id, row.address, _hex(row.genesis), row.next_nonce, row.suspended, row.conflict
    )


def _hex(word: bytes) -> str:
    return "0x" + word.hex()


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
