"""Bringing a database's tables to what this program works with, and refusing to work with any other.

The revisions stand in `store/migrations/versions`; `scripts/migration.py` writes the next one from the tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

from store.database import Database, load_tables
from store.errors import DatabaseUnfit, DatabaseUnreachable

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> str:
    """Makes the tables, or brings them up to date, in one transaction; returns the revision they are at.

    Raises DatabaseUnfit for one that holds what this program did not make or does not know yet, DatabaseUnreachable
    for one that cannot be opened.
    """
    load_tables()
    try:
        with database.exclusive() as connection:
            _refuse_foreign(database, connection)
            command.upgrade(alembic_config(connection), "head")
    except OperationalError as error:
        raise _unreachable(database, error) from error
    return head()


def check(database: Database) -> str:
    """The revision that the tables are at, if that is what this program works with.

    Raises DatabaseUnfit where it is not, no tables included, DatabaseUnreachable where the database is not there.
    """
    if database.file is not None and not database.file.is_file():
        raise DatabaseUnreachable(f"{database.name}: there is no such file; {_remedy(database)}")
    try:
        with database.reading() as connection:
            _refuse_foreign(database, connection)
            current = _revision(connection)
    except OperationalError as error:
        raise _unreachable(database, error) from error
    if current is None:
        raise DatabaseUnfit(f"{database.name} has no tables yet; {_remedy(database)}")
    if current != head():
        raise DatabaseUnfit(
            f"{database.name} is at revision {current}, this program needs {head()}; {_remedy(database)}"
        )
    return current


def head() -> str:
    """The revision that this program works with."""
    return str(ScriptDirectory(str(MIGRATIONS)).get_current_head())


def alembic_config(connection: Connection) -> Config:
    """What Alembic's own commands take to work with our revisions on a connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_foreign(database: Database, connection: Connection) -> None:
    current = _revision(connection)
    if current is None:
        if found := set(inspect(connection).get_table_names()) - {"alembic_version"}:
            names = ", ".join(sorted(found)[:3])
            raise DatabaseUnfit(f"{database.name} holds tables that no migration made: {names}")
        return
    try:
        ScriptDirectory(str(MIGRATIONS)).get_revision(current)
    except CommandError:
        raise DatabaseUnfit(
            f"{database.name} is at revision {current}, which this program does not know: a newer one has used it"
        ) from None


def _remedy(database: Database) -> str:
    return f"run `clearwatt db upgrade --database {database.name}`"


def _unreachable(database: Database, error: OperationalError) -> DatabaseUnreachable:
    return DatabaseUnreachable(f"{database.name} cannot be used: {' '.join(str(error.orig).split())}")
