"""The chain as it was followed: blocks, and the logs that they brought. Satisfies `chain.memory.ChainMemory`.

Logs hang on their block by a foreign key that cascades, so no log outlives its block; what else is derived from a
block should hang on it likewise. Logs are kept raw and decoded by whoever reads them.

Not every block has a row. Above the newest final block each has one, because a reorganisation is found by comparing
hashes there; far below it only the blocks that brought logs have one, besides the genesis block. A chain of many
millions of empty blocks therefore costs next to nothing, and no comparison needs the rows that are left out: whatever
could still be taken back is above them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Select,
    String,
    Table,
    and_,
    delete,
    insert,
    or_,
    select,
    true,
    update,
)

from store.database import Database
from store.errors import DatabaseUnfit, IndexOutrun
from store.schema import Number, Word, metadata

KEPT_BELOW_FINAL: Final = 128
"""So many blocks below the newest final one keep their rows though they brought no logs."""

PRUNED_AT_ONCE: Final = 256
"""Rows are taken away once so many more blocks than before lie below that."""

_NOWHERE: Final = -1

followed: Final = Table(
    "followed_chain",
    metadata,
    Column("market", Word, primary_key=True),
    Column("chain_id", Number, nullable=False),
    Column("genesis", Word, nullable=False),
    Column("final", Number, nullable=False),
    Column("rewinds", Number, nullable=False),
    Column("pruned", Number, nullable=False),
)

blocks: Final = Table(
    "blocks",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("hash", Word, nullable=False, unique=True),
    Column("parent", Word, nullable=False),
    Column("time", Number, nullable=False),
)

logs: Final = Table(
    "logs",
    metadata,
    Column("block", ForeignKey(blocks.c.number, ondelete="CASCADE"), primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("transaction", Word, nullable=False),
    Column("contract", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("cycle", Number),
    Column("row_digest", Word),
    Column("topics", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index(None, "cycle", "block"),
    Index(None, "contract", "block"),
    Index(None, "name", "cycle"),
    Index(None, "row_digest"),
)


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block (`chain.memory.Block`)."""

    number: int
    hash: bytes
    parent: bytes
    time: int


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A log (`chain.memory.Log`)."""

    block: StoredBlock
    index: int
    transaction: bytes
    contract: str
    name: str
    cycle: int | None
    row_digest: bytes | None
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredMark:
    """How far the chain is remembered (`chain.memory.Mark`)."""

    head: StoredBlock
    final: int
    rewinds: int


@dataclass(frozen=True, slots=True)
class Change:
    """What one database transaction does to the index, the logs in chain order.

    `head` is the newest block after it, `final` the number of the newest final one.
    """

    removed: tuple[StoredLog, ...]
    appended: tuple[StoredLog, ...]
    head: StoredBlock
    final: int


Listener = Callable[[Connection, Change], None]
"""Called inside the transaction of each change, after its rows are written; what it raises undoes the change."""


class _Place(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def hash(self) -> bytes: ...


class StoredPage:
    """Blocks and logs to be added (`chain.memory.Page`)."""

    def __init__(self) -> None:
        self.blocks: list[StoredBlock] = []
        self.logs: list[StoredLog] = []

    def add_block(self, number: int, block_hash: bytes, parent: bytes, time: int) -> None:
        """The next block."""
        self.blocks.append(StoredBlock(number, block_hash, parent, time))

    def add_log(
        self,
        index: int,
        transaction: bytes,
        contract: str,
        name: str,
        cycle: int | None,
        row_digest: bytes | None,
        topics: Sequence[bytes],
        data: bytes,
    ) -> None:
        """A log of the newest added block."""
        log = StoredLog(self.blocks[-1], index, transaction, contract, name, cycle, row_digest, tuple(topics), data)
        self.logs.append(log)


class StoredChain:
    """The index in one database. `listeners` hear of every change inside its transaction."""

    def __init__(self, database: Database, listeners: Sequence[Listener] = ()) -> None:
        self._database = database
        self._listeners = tuple(listeners)

    # --- following ---

    def open(self, market: bytes, chain_id: int, genesis: bytes) -> None:
        """Dedicates an empty index to a market. Raises DatabaseUnfit where it is of another market or chain."""
        ours = {"market": market, "chain_id": chain_id, "genesis": genesis}
        with self._database.exclusive() as connection:
            found = connection.execute(select(followed)).one_or_none()
            if found is None:
                connection.execute(insert(followed).values(**ours, final=0, rewinds=0, pruned=0))
            elif any(getattr(found, name) != value for name, value in ours.items()):
                raise DatabaseUnfit(
                    f"this database follows market 0x{found.market.hex()} on chain {found.chain_id} with genesis "
                    f"0x{found.genesis.hex()}, not market 0x{market.hex()} on chain {chain_id} with genesis "
                    f"0x{genesis.hex()}"
                )

    @contextmanager
    def change(self, head: _Place | None, ancestor: _Place | None, final: int) -> Iterator[StoredPage]:
        """Takes back every block above `ancestor` and adds those of the page, in one transaction.

        Raises IndexOutrun, and changes nothing, where `head` is no longer the newest block.
        """
        page = StoredPage()
        yield page
        above = _NOWHERE if ancestor is None else ancestor.number
        with self._database.transaction() as connection:
            state = connection.execute(select(followed).with_for_update()).one()
            newest = _newest(connection)
            if (newest and newest.hash) != (head and head.hash):
                raise IndexOutrun("somebody else has followed the chain in the meantime")
            removed = _logs(connection, logs.c.block > above)
            rewound = newest is not None and newest.number > above
            if rewound:
                connection.execute(delete(blocks).where(blocks.c.number > above))
            _write_blocks(connection, page)
            appended = _write_logs(connection, page)
            after = _newest(connection)
            if after is None:
                raise DatabaseUnfit("an index without any block")
            final = max(state.final, min(final, after.number))
            pruned = _prune(connection, state.pruned, final)
            values = {"final": final, "pruned": pruned, "rewinds": state.rewinds + rewound}
            connection.execute(update(followed).values(**values))
            for listener in self._listeners:
                listener(connection, Change(removed, appended, after, final))

    def newest_block(self, at_most: int) -> StoredBlock | None:
        """The block with the highest number up to `at_most` that has a row."""
        with self._database.reading() as connection:
            return _newest(connection, at_most)

    # --- reading ---

    def mark(self) -> StoredMark | None:
        """How far the chain is remembered; None before the first block."""
        with self._database.reading() as connection:
            return _mark(connection)

    def of_cycle(self, cycle: int, above: int) -> tuple[StoredMark, tuple[StoredLog, ...]]:
        """The logs of a cycle in blocks above a number, and the mark of the same moment."""
        return self._read(and_(logs.c.cycle == cycle, logs.c.block > above))

    def of_contracts(self, contracts: Collection[str], above: int) -> tuple[StoredMark, tuple[StoredLog, ...]]:
        """All logs of some contracts in blocks above a number, and the mark of the same moment."""
        return self._read(and_(logs.c.contract.in_(contracts), logs.c.block > above))

    def above(self, block: int) -> tuple[StoredMark, tuple[StoredLog, ...]]:
        """All logs in blocks above a number, and the mark of the same moment."""
        return self._read(logs.c.block > block)

    def since(self, block: int, index: int, limit: int) -> tuple[StoredLog, ...]:
        """At most `limit` logs after a place, in chain order."""
        later = or_(logs.c.block > block, and_(logs.c.block == block, logs.c.index > index))
        with self._database.reading() as connection:
            return _logs(connection, later, limit)

    def of_row(self, row_digest: bytes) -> tuple[StoredLog, ...]:
        """The logs that name a row, in chain order."""
        with self._database.reading() as connection:
            return _logs(connection, logs.c.row_digest == row_digest)

    def cycles(self, names: Collection[str]) -> tuple[int, ...]:
        """The cycles that any of these events is about, ascending."""
        wanted = select(logs.c.cycle).distinct().where(logs.c.name.in_(names), logs.c.cycle.is_not(None))
        with self._database.reading() as connection:
            return tuple(connection.scalars(wanted.order_by(logs.c.cycle)))

    def _read(self, where: ColumnElement[bool]) -> tuple[StoredMark, tuple[StoredLog, ...]]:
        with self._database.reading() as connection:
            mark = _mark(connection)
            if mark is None:
                raise DatabaseUnfit("nothing of the chain has been followed yet")
            return mark, _logs(connection, where)


def _mark(connection: Connection) -> StoredMark | None:
    # One row from either table, in one question: this is asked all the time.
    wanted = select(followed.c.final, followed.c.rewinds, blocks).select_from(followed.join(blocks, true()))
    found = connection.execute(wanted.order_by(blocks.c.number.desc()).limit(1)).one_or_none()
    if found is None:
        return None
    final, rewinds, *block = found
    return StoredMark(StoredBlock(*block), final, rewinds)


def _newest(connection: Connection, at_most: int | None = None) -> StoredBlock | None:
    wanted = select(blocks).order_by(blocks.c.number.desc()).limit(1)
    if at_most is not None:
        wanted = wanted.where(blocks.c.number <= at_most)
    found = connection.execute(wanted).one_or_none()
    return None if found is None else StoredBlock(*found)


def _logs(connection: Connection, where: ColumnElement[bool], limit: int | None = None) -> tuple[StoredLog, ...]:
    wanted: Select[Any] = select(blocks, logs).join(logs, logs.c.block == blocks.c.number).where(where)
    found = connection.execute(wanted.order_by(logs.c.block, logs.c.index).limit(limit))
    return tuple(_log(row) for row in found)


def _log(row: Row[Any]) -> StoredLog:
    values = tuple(row)
    block, (_, index, transaction, contract, name, cycle, row_digest, topics, data) = values[:4], values[4:]
    words = tuple(topics[start : start + 32] for start in range(0, len(topics), 32))
    return StoredLog(StoredBlock(*block), index, transaction, contract, name, cycle, row_digest, words, data)


def _write_blocks(connection: Connection, page: StoredPage) -> None:
    rows = [
        {"number": block.number, "hash": block.hash, "parent": block.parent, "time": block.time}
        for block in page.blocks
    ]
    if rows:
        connection.execute(insert(blocks), rows)


def _write_logs(connection: Connection, page: StoredPage) -> tuple[StoredLog, ...]:
    """Inserts the logs of a page and returns them as they are kept."""
    kept = tuple(_with_cycles(connection, page.logs))
    rows = [
        {
            "block": log.block.number,
            "index": log.index,
            "transaction": log.transaction,
            "contract": log.contract,
            "name": log.name,
            "cycle": log.cycle,
            "row_digest": log.row_digest,
            "topics": b"".join(log.topics),
            "data": log.data,
        }
        for log in kept
    ]
    if rows:
        connection.execute(insert(logs), rows)
    return kept


def _with_cycles(connection: Connection, page: Sequence[StoredLog]) -> Iterator[StoredLog]:
    """The logs of a page, those that name only a row with its cycle, if a log before them tells it."""
    told: dict[bytes, int | None] = {}
    for log in page:
        row = log.row_digest
        if row is None:
            yield log
        elif log.cycle is not None:
            told[row] = log.cycle
            yield log
        else:
            if row not in told:
                same_row = select(logs.c.cycle).where(logs.c.row_digest == row, logs.c.cycle.is_not(None))
                told[row] = connection.scalar(same_row.limit(1))
            yield replace(log, cycle=told[row])


def _prune(connection: Connection, pruned: int, final: int) -> int:
    """Takes away the rows of blocks without logs far below the newest final one; returns how far that is done."""
    target = final - KEPT_BELOW_FINAL
    if target - pruned < PRUNED_AT_ONCE:
        return pruned
    brought = select(logs.c.block).where(logs.c.block == blocks.c.number).exists()
    connection.execute(delete(blocks).where(blocks.c.number > pruned, blocks.c.number <= target, ~brought))
    return target
