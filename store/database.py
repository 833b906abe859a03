"""One database: SQLite for a single process and its threads, PostgreSQL for a gateway; the same tables in both.

Every write happens in `transaction`, which either commits as a whole before it is left or changes nothing. Neither kind
of connection is to be opened inside another one by the same thread: the inner would wait for the outer.
"""

from __future__ import annotations

import fcntl
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Self

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError

from store.errors import DatabaseUnfit, DatabaseUnreachable
from store.schema import metadata

TABLE_FILES: Final = (
    "store.outbox",
    "store.index",
    "store.desk",
    "store.gateway",
    "store.feed",
    "store.answered",
    "store.orders",
)
"""Every file that defines tables; what is not listed here is in no migration."""

BUSY_SECONDS: Final = 30
"""How long a writer waits for the one before it."""

EXCLUSIVE: Final = 0x436C6561725761
"""PostgreSQL's number of the lock that exclusive transactions take, one in each database."""


class Database:
    """A database at a URL: `sqlite:///file`, or `postgresql+psycopg://user@host/name`."""

    def __init__(self, url: str) -> None:
        """Nothing is opened before the first use. Raises DatabaseUnfit for what is no URL of such a database."""
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise DatabaseUnfit("the database must be a URL such as sqlite:///file") from None
        self.name = parsed.render_as_string(hide_password=True)
        self.dialect = parsed.get_backend_name()
        self.file: Path | None = None
        if self.dialect == "sqlite":
            if parsed.database in (None, "", ":memory:"):
                raise DatabaseUnfit("SQLite in memory: every thread would have a database of its own; name a file")
            self.file = Path(str(parsed.database)).absolute()
            self.engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
            _prepare_sqlite(self.engine)
        elif self.dialect == "postgresql":
            self.engine = create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        else:
            raise DatabaseUnfit(f"{self.dialect}: the database must be SQLite or PostgreSQL")
        self._claim: IO[str] | None = None

    def claim(self) -> None:
        """Makes a SQLite file this process's own, until `close` or its end, however it ends.

        Whatever runs for long calls it before anything else: its threads share the file, but two processes would each
        believe to be the only one that acts on what is in it. Nothing happens on PostgreSQL, whose row locks are for
        that. Raises DatabaseUnreachable where another process, or another object in this one, holds it.
        """
        if self.file is None or self._claim is not None:
            return
        try:
            claim = Path(f"{self.file}.claim").open("a+")  # noqa: SIM115 - held open on purpose
        except OSError as error:
            raise DatabaseUnreachable(f"{self.name} cannot be claimed: {error.strerror}") from None
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.seek(0)
            holder = claim.read().strip() or "another"
            claim.close()
            raise DatabaseUnreachable(
                f"{self.name} is in use by process {holder}; one process at a time may work with a SQLite file"
            ) from None
        claim.truncate(0)
        claim.write(str(os.getpid()))
        claim.flush()
        self._claim = claim

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection that may write; what was done in it is committed on leaving, or undone when that raises.

        On SQLite it waits for the one writer before it reads anything, so that what it reads is still true when it
        writes; a wait of more than `BUSY_SECONDS` raises OperationalError.
        """
        with self.engine.connect() as connection:
            connection.execution_options(sqlite_writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """A `transaction` beside which no other exclusive one runs, whatever the database.

        For what decides by reading that something is not there; SQLite has one writer in any case.
        """
        with self.transaction() as connection:
            if self.dialect == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(EXCLUSIVE)))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the database, that of its first query, and cannot write."""
        with self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            try:
                yield connection
            finally:
                connection.rollback()

    def create(self) -> None:
        """Makes every table at once, for tests; what lives longer is made and kept by migrations (`store.migrate`)."""
        load_tables()
        with self.transaction() as connection:
            metadata.create_all(connection)

    def close(self) -> None:
        """Closes every connection and gives up the claim; the next use opens others."""
        self.engine.dispose()
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load_tables() -> None:
    """Has every file of `TABLE_FILES` put its tables into `metadata`."""
    for file in TABLE_FILES:
        importlib.import_module(file)


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late; ours is below
        cursor = connection.cursor()
        # FULL: a signature that was given and then lost with the power could be given again to something else.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        # A transaction that begins by reading and then writes fails where another wrote in between, without waiting:
        # so whoever may write says so at the beginning, and nobody else can.
        if connection.get_execution_options().get("sqlite_writes"):
            connection.exec_driver_sql("PRAGMA query_only=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("PRAGMA query_only=ON")
            connection.exec_driver_sql("BEGIN")
