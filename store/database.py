"""One database: SQLite for a single process and its threads, PostgreSQL for a gateway; the same tables in both.

Every write happens in `transaction`, which either commits as a whole before it is left or changes nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select

from store.errors import DatabaseUnfit
from store.schema import metadata

TABLE_FILES: Final = ("store.outbox", "store.index", "store.desk", "store.gateway")
"""Every file that defines tables; what is not listed here is in no migration."""

BUSY_SECONDS: Final = 30

EXCLUSIVE: Final = 0x436C6561725761
"""PostgreSQL's number of the lock that exclusive transactions take, one in each database."""


class Database:
    """A database at a URL: `sqlite:///file`, or `postgresql+psycopg://user@host/name`."""

    def __init__(self, url: str) -> None:
        """Nothing is opened before the first use. Raises DatabaseUnfit for other kinds of databases."""
        parsed = make_url(url)
        self.dialect = parsed.get_backend_name()
        if self.dialect == "sqlite":
            self.engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS})
            _prepare_sqlite(self.engine)
        elif self.dialect == "postgresql":
            self.engine = create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
        else:
            raise DatabaseUnfit(f"{self.dialect}: the database must be SQLite or PostgreSQL")

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection that may write; what was done in it is committed on leaving, or undone when that raises.

        On SQLite it waits for the one writer before it reads anything, so that what it reads is still true when it
        writes.
        """
        with self.engine.connect() as connection:
            connection.execution_options(sqlite_begin="IMMEDIATE")
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
        """A connection that sees one state of the database throughout and writes nothing."""
        with self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            try:
                yield connection
            finally:
                connection.rollback()

    def create(self) -> None:
        """Makes every table at once, for tests; what lives longer is made and kept by migrations (`store.migrate`)."""
        for file in TABLE_FILES:
            importlib.import_module(file)
        metadata.create_all(self.engine)

    def close(self) -> None:
        """Closes every connection; the next use opens others."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late; `transaction` says it
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")
