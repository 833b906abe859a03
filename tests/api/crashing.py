"""`clearwatt` in a process that kills itself at the n-th boundary after a request came: `python -m tests.api.crashing`.

Boundaries are before and after each commit of the database, and before and after each sending of a transaction. The
file `arm` beside the configuration holds n; the next request with an Idempotency-Key takes it up.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from api.idempotency import Once
from chain.rpc import Rpc
from cli.main import run
from store.database import Database

KILLED = 99

left: int | None = None
"""How many boundaries are still to be passed, once armed."""


def boundary() -> None:
    """Ends the process here, without a word, if it is its turn."""
    global left
    if left is not None:
        left -= 1
        if left == 0:
            os._exit(KILLED)


def install(arm: Path) -> None:
    """Puts boundaries into what commits and sends."""
    answer, call, transaction = Once.answer, Rpc.call, Database.transaction

    def armed_answer(self: Once, *arguments: Any) -> Any:
        global left
        if arm.exists():
            left = int(arm.read_text())
            arm.unlink()
        return answer(self, *arguments)

    def watched_call(self: Rpc, method: str, *params: object) -> Any:
        if method != "eth_sendRawTransaction":
            return call(self, method, *params)
        boundary()
        found = call(self, method, *params)
        boundary()
        return found

    @contextmanager
    def watched_transaction(self: Database) -> Iterator[Connection]:
        with transaction(self) as connection:
            yield connection
        boundary()

    @event.listens_for(Engine, "commit")
    def before_commit(_: Connection) -> None:
        boundary()

    Once.answer = armed_answer  # type: ignore[method-assign]
    Rpc.call = watched_call  # type: ignore[method-assign]
    Database.transaction = watched_transaction  # type: ignore[method-assign]


if __name__ == "__main__":
    install(Path(sys.argv[sys.argv.index("--config") + 1]).parent / "arm")
    sys.exit(run(sys.argv[1:]))
