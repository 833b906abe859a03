"""What an index holds, as plain rows to be compared."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from store.database import Database
from store.index import blocks, followed, logs


def block_rows(database: Database) -> list[tuple[Any, ...]]:
    """Every block's row, upwards."""
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(select(blocks).order_by(blocks.c.number))]


def log_rows(database: Database) -> list[tuple[Any, ...]]:
    """Every log's row, with the hash and time of its block, in chain order; one without a block has None there."""
    joined = select(logs, blocks.c.hash, blocks.c.time).select_from(logs.outerjoin(blocks))
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(joined.order_by(logs.c.block, logs.c.index))]


def final_number(database: Database) -> int:
    """The number of the newest final block."""
    with database.reading() as connection:
        number: int = connection.scalars(select(followed.c.final)).one()
        return number


def assert_same(one: Database, other: Database) -> None:
    """That two indexes hold the same, row by row."""
    assert log_rows(one) == log_rows(other)
    assert block_rows(one) == block_rows(other)
    assert final_number(one) == final_number(other)
