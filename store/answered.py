"""Requests that were answered, by their idempotency key: the row is written with the effect, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Column, Connection, Integer, String, Table, Text, delete, select

from settlement.hashing import Hash32
from store.schema import Number, Word, metadata

requests = Table(
    "gateway_requests",
    metadata,
    Column("caller", String(80), primary_key=True),
    Column("route", String(80), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", Word, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("answered_at", Number, nullable=False, index=True),
)


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes a request the same one: who asks, what (method and route template), and the key that it chose."""

    caller: str
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What was asked (a hash of it) and what was answered, JSON as text; `answered_at` is the wall clock's second."""

    fingerprint: Hash32
    status: int
    body: str
    answered_at: int


def find(connection: Connection, key: RequestKey) -> Answered | None:
    """The answer that was given under a key."""
    query = select(requests).where(
        requests.c.caller == key.caller, requests.c.route == key.route, requests.c.key == key.key
    )
    row = connection.execute(query).first()
    return None if row is None else Answered(row.fingerprint, row.status, row.body, row.answered_at)


def keep(connection: Connection, key: RequestKey, answered: Answered) -> None:
    """Writes an answer. The primary key refuses a second one."""
    connection.execute(
        requests.insert().values(
            caller=key.caller,
            route=key.route,
            key=key.key,
            fingerprint=answered.fingerprint,
            status=answered.status,
            body=answered.body,
            answered_at=answered.answered_at,
        )
    )


def forget(connection: Connection, before: int) -> int:
    """Deletes what was answered before a wall-clock second, and returns how many."""
    return connection.execute(delete(requests).where(requests.c.answered_at < before)).rowcount
