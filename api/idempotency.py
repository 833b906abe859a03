"""Every request that changes something is answered once: its effect and its answer are one database transaction.

What comes again under the same key gets the answer of the first time, whatever became of the connection in between.
Refusals and failures leave nothing behind, so the same request may be sent again once its reason is gone.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from settlement import canonical_json
from settlement.hashing import Hash32
from store import answered
from store.answered import Answered, RequestKey
from store.database import Database
from wire.problems import Refused

HEADER: Final = "Idempotency-Key"
RETRY_SECONDS: Final = 1
_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON document, made by us and in JSON form already."""

    status: int
    document: Any


@dataclass(frozen=True, slots=True)
class Given:
    """What goes back to the caller; `is_replayed` where it is the answer of an earlier time."""

    status: int
    body: str
    is_replayed: bool


Effect = Callable[[Connection], Answer]
"""What changes the database, in a transaction that is not its own."""


def request_key(caller: str, route: str, key: str | None) -> RequestKey:
    """The key of a request. Raises Refused where the caller gave none, or one that is no key."""
    if key is None or not _KEY.fullmatch(key):
        raise Refused("idempotency-key-missing", f"{HEADER} must have 1 to 255 printable characters")
    return RequestKey(caller, route, key)


def fingerprint(method: str, path: str, document: Any) -> Hash32:
    """What a request asks for, as a hash: another order of keys or other spaces are the same request."""
    body = canonical_json.dumps(document)
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), body))).digest()


class Once:
    """Answers requests once. One process answers for a database."""

    def __init__(self, database: Database, wall: Callable[[], int], kept_seconds: int) -> None:
        """`wall` is the wall clock, UTC epoch seconds; answers are kept for `kept_seconds`."""
        self._database = database
        self._wall = wall
        self._kept_seconds = kept_seconds
        self._running: set[RequestKey] = set()
        self._lock = threading.Lock()

    def answer(self, key: RequestKey, asked: Hash32, prepare: Callable[[], Effect]) -> Given:
        """The answer to a request: the kept one, or that of its effect, which then happens now.

        `prepare` judges the request and returns its effect; what it, or the effect, raises leaves nothing behind.
        Raises Refused where the same key was used for something else, or is being worked on.
        """
        with self._alone(key):
            with self._database.reading() as connection:
                known = answered.find(connection, key)
            if known is not None:
                return _again(known, asked)
            effect = prepare()
            with self._database.exclusive() as connection:
                # Another process may have been quicker; the claim is decided here, with the effect.
                known = answered.find(connection, key)
                if known is not None:
                    return _again(known, asked)
                made = effect(connection)
                body = json.dumps(made.document, ensure_ascii=False, separators=(",", ":"))
                answered.keep(connection, key, Answered(asked, made.status, body, self._wall()))
            return Given(made.status, body, is_replayed=False)

    def forget_old(self) -> int:
        """Deletes answers that are older than they are kept, and returns how many."""
        with self._database.transaction() as connection:
            return answered.forget(connection, self._wall() - self._kept_seconds)

    @contextmanager
    def _alone(self, key: RequestKey) -> Iterator[None]:
        with self._lock:
            if key in self._running:
                raise Refused("request-running", "the same request has not been answered yet")
            self._running.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(key)


def _again(known: Answered, asked: Hash32) -> Given:
    if known.fingerprint != asked:
        raise Refused("idempotency-key-reused", "under this key something else was asked for")
    return Given(known.status, known.body, is_replayed=True)
