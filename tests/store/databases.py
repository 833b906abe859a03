"""The databases that tests run on: a SQLite file, and PostgreSQL where `CLEARWATT_TEST_POSTGRES` names a server.

The server's tests carry the mark `postgres`; `make test-postgres` starts a server and runs just these.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from store.database import Database

SERVER = os.environ.get("CLEARWATT_TEST_POSTGRES")

KINDS: list[Any] = ["sqlite"]
if SERVER is not None:
    KINDS.append(pytest.param("postgresql", marks=pytest.mark.postgres))


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a database without tables, of a kind out of `KINDS`; its own, and gone afterwards."""
    name = f"clearwatt_{uuid.uuid4().hex}"
    if kind == "sqlite":
        yield f"sqlite:///{folder}/{name}.sqlite"
        return
    assert SERVER is not None
    server = create_engine(SERVER, isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield make_url(SERVER).set(database=name).render_as_string(hide_password=False)
        finally:
            with server.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        server.dispose()


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    with empty_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with all tables, empty."""
    with Database(database_url) as opened:
        opened.create()
        yield opened
