"""Writing rows that may be there already: the one statement that SQLite and PostgreSQL have in common for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def write_over(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows; one with the primary key of a row that is there takes its place in every other column."""
    if rows:
        statement = _insert(connection, table)
        key = table.primary_key.columns
        values = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in key}
        connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values), list(rows))


def write_once(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts the rows; what is there under the same primary key, or another unique one, stays as it is."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), list(rows))


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
