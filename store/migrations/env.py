"""What Alembic runs to migrate: in the connection, and so in the transaction, that `store.migrate` hands it."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from store.schema import Money, Number, Word, metadata


def as_sql_type(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """Writes our column types as what they are in the database: a revision must mean the same in years."""
    if kind == "type" and isinstance(item, Word | Money):
        return f"sa.{item.impl_instance!r}"
    if kind == "type" and repr(item) == repr(Number):
        return "NUMBER"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a column by making the table anew
    render_item=as_sql_type,
)
context.run_migrations()
