"""What all tables of the database share: one set of metadata, and how our values become columns.

Each subject has a file of its own with its tables and the queries over them; migrations are made from all of them
together (`store.database.TABLE_FILES`).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Dialect, Integer, LargeBinary, MetaData, String, TypeDecorator

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Wh, times (UTC epoch seconds), numbers of blocks and cycles: 63 bits. SQLite counts a primary key up by itself only
# where its type is called INTEGER, which is as wide there.
Number: Final = BigInteger().with_variant(Integer(), "sqlite")

# Documents in the form of `settlement.documents`. Not JSONB: it refuses texts that JSON allows, such as one with a
# NUL, and what a peer sends must be storable alike in both databases.
Document: Final = JSON()


class Word(TypeDecorator[bytes]):
    """32 bytes: ids, digests, roots, block hashes."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Refuses what is not 32 bytes, so that a short value never becomes another key."""
        if value is not None and len(value) != 32:
            raise ValueError(f"{len(value)} bytes, expected 32")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        """Plain bytes, whatever the driver gives."""
        return None if value is None else bytes(value)


class Money(TypeDecorator[int]):
    """Base units below 2^256, as decimal text: no database integer is wide enough, and none is summed in SQL."""

    impl = String(78)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """Refuses negative amounts."""
        if value is not None and value < 0:
            raise ValueError(f"{value} base units")
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """The integer."""
        return None if value is None else int(value)
