"""The database under threads, beside other processes, and when one of them is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, ForeignKey, Integer, MetaData, Table, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError

from store.database import Database
from store.errors import DatabaseUnfit, DatabaseUnreachable
from store.schema import Document, Money, Number, Word
from store.upsert import write_once, write_over

ROOT = Path(__file__).resolve().parents[2]
HERE = {**os.environ, "PYTHONPATH": str(ROOT)}

metadata = MetaData()
counters = Table("counters", metadata, Column("id", Number, primary_key=True), Column("count", Integer, nullable=False))
entries = Table(
    "entries",
    metadata,
    Column("id", Number, primary_key=True),
    Column("counter", ForeignKey(counters.c.id)),
    Column("word", Word),
    Column("money", Money),
    Column("document", Document),
)


@pytest.fixture
def tables(database_url: str) -> Iterator[Database]:
    """A database with the tables of these tests, and a counter at 0."""
    with Database(database_url) as database:
        with database.transaction() as connection:
            metadata.create_all(connection)
            connection.execute(counters.insert().values(id=1, count=0))
        yield database


def count(connection: Connection) -> int:
    """Where the counter stands."""
    return int(connection.execute(select(counters.c.count)).scalar_one())


def count_up(connection: Connection) -> None:
    """Reads the counter, lets others have a try, and writes what it read and one more."""
    before = count(connection)
    time.sleep(0.001)
    connection.execute(update(counters).values(count=before + 1))


# --- threads ---


def test_threads_that_read_and_then_write_lose_nothing(tables: Database) -> None:
    def work(_: int) -> None:
        for _ in range(20):
            with tables.exclusive() as connection:
                count_up(connection)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    with tables.reading() as connection:
        assert count(connection) == 160


def test_on_sqlite_every_transaction_waits_before_it_reads(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/file")
    with database.transaction() as connection:
        metadata.create_all(connection)
        connection.execute(counters.insert().values(id=1, count=0))

    def work(_: int) -> None:
        for _ in range(20):
            with database.transaction() as connection:
                count_up(connection)

    with database:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
        with database.reading() as connection:
            assert count(connection) == 160


def test_a_reader_sees_one_state_while_others_write(tables: Database) -> None:
    def others_write() -> None:
        with tables.transaction() as connection:
            count_up(connection)

    with tables.reading() as connection:
        before = count(connection)
        other = threading.Thread(target=others_write)
        other.start()
        other.join()
        assert (before, count(connection)) == (0, 0)
    with tables.reading() as connection:
        assert count(connection) == 1


def test_a_writer_is_not_seen_before_it_commits_and_does_not_hold_up_readers(tables: Database) -> None:
    with tables.transaction() as connection:
        count_up(connection)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(lambda: _read(tables)).result(timeout=5) == 0
    assert _read(tables) == 1


def _read(database: Database) -> int:
    with database.reading() as connection:
        return count(connection)


def test_many_threads_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        with database.transaction() as connection:
            metadata.create_all(connection)
            connection.execute(counters.insert().values(id=number, count=0))

    with Database(f"sqlite:///{tmp_path}/file") as database:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
        with database.reading() as connection:
            assert sorted(connection.scalars(select(counters.c.id))) == list(range(8))


def test_a_writer_gives_up_when_the_one_before_it_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.database.BUSY_SECONDS", 0.1)
    with Database(f"sqlite:///{tmp_path}/file") as one, Database(f"sqlite:///{tmp_path}/file") as other:
        with one.transaction(), pytest.raises(OperationalError, match="database is locked"), other.transaction():
            pass
        with other.transaction() as connection:
            metadata.create_all(connection)


# --- all or nothing ---


@pytest.mark.parametrize("kind", ["transaction", "exclusive"])
def test_what_raises_changes_nothing(tables: Database, kind: str) -> None:
    write: Callable[[], AbstractContextManager[Connection]] = getattr(tables, kind)
    with contextlib.suppress(InterruptedError), write() as connection:
        count_up(connection)
        assert count(connection) == 1
        raise InterruptedError
    assert _read(tables) == 0


def test_reading_cannot_write_and_the_connection_can_write_afterwards(tables: Database) -> None:
    with pytest.raises(DBAPIError, match=r"readonly|read-only"), tables.reading() as connection:
        connection.execute(update(counters).values(count=5))
    with tables.transaction() as connection:
        count_up(connection)
    assert _read(tables) == 1


KILLED = """
import os, signal, sys
from store.database import Database
from tests.store.test_database import counters
database = Database(sys.argv[1])
with database.transaction() as connection:
    connection.execute(counters.update().values(count=7))
with database.transaction() as connection:
    connection.execute(counters.update().values(count=8))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_of_a_killed_process_remains_what_it_had_committed(tables: Database, database_url: str) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, database_url], cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}
    )
    assert killed.returncode == -signal.SIGKILL
    with tables.transaction() as connection:
        assert count(connection) == 7
        count_up(connection)
    assert _read(tables) == 8


def test_references_must_hold(tables: Database) -> None:
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"), tables.transaction() as connection:
        connection.execute(entries.insert().values(counter=2))


# --- one process a file ---

HOLDER = """
import sys
from store.database import Database
database = Database(sys.argv[1])
database.claim()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_file_is_claimed_by_one_process_until_it_ends_however_it_ends(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/file"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        cwd=ROOT,
        env=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with Database(url) as second, pytest.raises(DatabaseUnreachable) as refused:
            second.claim()
        assert str(refused.value) == (
            f"{url} is in use by process {holder.pid}; one process at a time may work with a SQLite file"
        )
    finally:
        holder.kill()
        holder.communicate()
    with Database(url) as next_one:
        next_one.claim()
        next_one.claim()  # it has it already
        assert (tmp_path / "file.claim").read_text() == str(os.getpid())


def test_a_claim_ends_with_close(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/file"
    with Database(url) as first, Database(url) as second:
        first.claim()
        with pytest.raises(DatabaseUnreachable, match=f"in use by process {os.getpid()};"):
            second.claim()
        first.close()
        second.claim()


def test_claiming_says_what_is_wrong_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable, match="cannot be claimed: No such file or directory"):
        Database(f"sqlite:///{tmp_path}/missing/file").claim()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite://", "SQLite in memory: every thread would have a database of its own"),
        ("sqlite:///:memory:", "SQLite in memory"),
        ("mysql://root@host/name", "mysql: the database must be SQLite or PostgreSQL"),
        ("desk.sqlite", "the database must be a URL such as sqlite:///file"),
    ],
)
def test_other_databases_are_refused(url: str, reason: str) -> None:
    with pytest.raises(DatabaseUnfit, match=reason):
        Database(url)


def test_the_name_hides_the_password() -> None:
    assert Database("postgresql://me:secret@host/name").name == "postgresql://me:***@host/name"


# --- values ---

LARGEST = (1 << 256) - 1


def test_values_come_back(tables: Database) -> None:
    document = {"text": 'NUL \0, quote ", \u00e9, \U0001f50c', "list": [1, None, True, {"b": 1, "a": 2**53 - 1}]}
    with tables.transaction() as connection:
        made = connection.execute(
            entries.insert().values(word=b"\0" * 31 + b"\xff", money=LARGEST, document=document)
        ).inserted_primary_key
        connection.execute(entries.insert().values())
    assert made is not None
    with tables.reading() as connection:
        first, second = connection.execute(select(entries).order_by(entries.c.id)).all()
    assert first == (made.id, None, b"\0" * 31 + b"\xff", LARGEST, document)
    assert list(first.document["list"][3]) == ["b", "a"]
    assert (second.word, second.money) == (None, None)
    assert second.id == first.id + 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [({"word": b"short"}, "5 bytes, expected 32"), ({"money": -1}, "-1 base units")],
)
def test_values_that_are_none_are_refused(tables: Database, value: dict[str, object], reason: str) -> None:
    with pytest.raises(StatementError, match=reason), tables.transaction() as connection:
        connection.execute(entries.insert().values(**value))


def test_writing_over_and_writing_once(tables: Database) -> None:
    with tables.transaction() as connection:
        write_over(connection, counters, [])
        write_once(connection, counters, [])
        write_once(connection, counters, [{"id": 1, "count": 9}, {"id": 2, "count": 2}])
        assert connection.execute(select(counters).order_by(counters.c.id)).all() == [(1, 0), (2, 2)]
        write_over(connection, counters, [{"id": 1, "count": 3}, {"id": 3, "count": 4}, {"id": 3, "count": 5}])
        assert connection.execute(select(counters).order_by(counters.c.id)).all() == [(1, 3), (2, 2), (3, 5)]
