"""The outbox: an intent once, a nonce once, whatever threads and processes do, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError, OperationalError

from store import database as database_module
from store import outbox as tables
from store.database import Database
from store.outbox import StoredOutbox, StoredTransaction
from tests.store.databases import database, database_url

__all__ = ["database", "database_url"]

ADDRESS = "0x" + "ab" * 20
GENESIS = "0x" + "11" * 32
BLOCK = (7, "0x" + "22" * 32)
FIRST_NONCE = 5


@pytest.fixture
def outbox(database: Database) -> StoredOutbox:
    return StoredOutbox(database)


@pytest.fixture
def signer(outbox: StoredOutbox) -> int:
    return outbox.open(1, ADDRESS, GENESIS, FIRST_NONCE).id


def enqueue(outbox: StoredOutbox, signer: int, intent: str, now: int = 100) -> StoredTransaction:
    return outbox.enqueue(signer, intent, "Echo", "keep", ADDRESS, b"\x01\x02", 60_000, now)


def digest(number: int) -> str:
    return f"0x{number:064x}"


def test_a_signer_keeps_what_it_began_with(outbox: StoredOutbox, signer: int) -> None:
    again = outbox.open(1, ADDRESS.upper().replace("X", "x"), digest(9), 99)
    assert (again.id, again.genesis, again.next_nonce, again.address) == (signer, GENESIS, FIRST_NONCE, ADDRESS)
    assert outbox.open(2, ADDRESS, GENESIS, 0).id != signer
    assert outbox.known(1, ADDRESS) == again
    assert outbox.known(3, ADDRESS) is None


def test_an_intent_gets_the_next_nonce_once(outbox: StoredOutbox, signer: int) -> None:
    first = enqueue(outbox, signer, "a")
    assert (first.nonce, first.state, first.hash, first.attempts) == (FIRST_NONCE, "queued", None, ())
    assert (first.contract, first.function, first.target, first.data, first.gas) == (
        "Echo",
        "keep",
        ADDRESS,
        b"\x01\x02",
        60_000,
    )
    assert outbox.enqueue(signer, "a", "Echo", "other", ADDRESS, b"", 1, 200) == first
    assert enqueue(outbox, signer, "b").nonce == FIRST_NONCE + 1
    assert outbox.signer(signer).next_nonce == FIRST_NONCE + 2
    assert outbox.find(signer, "a") == outbox.get(first.id) == first
    assert outbox.find(signer, "c") is None


def test_two_signers_do_not_share_intents_or_nonces(outbox: StoredOutbox, signer: int) -> None:
    other = outbox.open(1, "0x" + "cd" * 20, GENESIS, FIRST_NONCE).id
    assert enqueue(outbox, signer, "a").nonce == enqueue(outbox, other, "a").nonce == FIRST_NONCE
    assert outbox.find(signer, "a") != outbox.find(other, "a")


@pytest.mark.parametrize("column", ["intent", "nonce"])
def test_the_database_itself_refuses_a_second_row(
    outbox: StoredOutbox, signer: int, database: Database, column: str
) -> None:
    made = enqueue(outbox, signer, "a")
    names = ("contract", "function", "target", "data", "gas", "state")
    twin = {name: getattr(made, name) for name in names} | {"signer": signer, "intent": "b", "nonce": 99}
    with pytest.raises(IntegrityError, match=column), database.transaction() as connection:
        connection.execute(insert(tables.transactions).values(twin | {column: getattr(made, column)}))


def test_threads_with_one_intent_make_one_row_and_with_many_no_gap(outbox: StoredOutbox, signer: int) -> None:
    intents = ["same", "other", *map(str, range(6))]
    start = threading.Barrier(2 * len(intents))
    found: dict[str, set[int]] = {intent: set() for intent in intents}

    def submit(intent: str) -> None:
        start.wait()
        found[intent].add(enqueue(outbox, signer, intent).nonce)

    threads = [threading.Thread(target=submit, args=(intent,)) for intent in intents * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(nonces) == 1 for nonces in found.values())
    assert sorted(nonce for nonces in found.values() for nonce in nonces) == list(
        range(FIRST_NONCE, FIRST_NONCE + len(intents))
    )


def test_nonce_and_row_come_together_or_not_at_all(
    outbox: StoredOutbox, signer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the last statement of the database transaction")

    monkeypatch.setattr(tables, "_count", fail)
    with pytest.raises(RuntimeError):
        enqueue(outbox, signer, "a")
    assert outbox.find(signer, "a") is None
    assert outbox.signer(signer).next_nonce == FIRST_NONCE


def test_the_first_bytes_of_a_number_stay(outbox: StoredOutbox, signer: int) -> None:
    made = enqueue(outbox, signer, "a")
    outbox.keep_attempt(made.id, 0, digest(1), b"first", cancels=False, now=101)
    outbox.keep_attempt(made.id, 0, digest(2), b"second", cancels=False, now=102)
    kept = outbox.get(made.id)
    assert [(one.hash, one.raw, one.cancels) for one in kept.attempts] == [(digest(1), b"first", False)]
    assert (kept.state, kept.hash) == ("signed", digest(1))
    outbox.keep_attempt(made.id, 1, digest(3), b"third", cancels=True, now=103)
    kept = outbox.get(made.id)
    assert [(one.raw, one.cancels) for one in kept.attempts] == [(b"first", False), (b"third", True)]
    assert kept.hash == digest(3)


def test_history_counts_and_keeps_the_last_error(outbox: StoredOutbox, signer: int) -> None:
    made = enqueue(outbox, signer, "a", now=100)
    outbox.advance(made.id, "queued", "refused", 101, error="txpool is full")
    outbox.advance(made.id, "queued", "refused", 105, error="nonce too low")
    outbox.advance(made.id, "queued", "broadcast", 106, state="broadcast")
    told = [(one.name, one.times, one.first, one.last, one.error) for one in outbox.get(made.id).history]
    assert told == [
        ("queued", 1, 100, 100, None),
        ("refused", 2, 101, 105, "nonce too low"),
        ("broadcast", 1, 106, 106, None),
    ]


def test_moving_on_sets_the_block_and_moving_back_clears_it(outbox: StoredOutbox, signer: int) -> None:
    made = enqueue(outbox, signer, "a")
    outbox.advance(made.id, "queued", "included", 1, state="included", digest=digest(1), block=BLOCK, reason="no")
    there = outbox.get(made.id)
    assert (there.state, there.hash, there.block_number, there.block_hash, there.reason) == (
        "included",
        digest(1),
        *BLOCK,
        "no",
    )
    outbox.advance(made.id, "included", "looked at", 2)
    assert outbox.get(made.id).block_number == BLOCK[0]
    outbox.advance(made.id, "included", "orphaned", 3, state="orphaned")
    gone = outbox.get(made.id)
    assert (gone.state, gone.hash, gone.block_number, gone.block_hash, gone.reason) == (
        "orphaned",
        digest(1),
        None,
        None,
        None,
    )


def test_who_saw_an_old_state_changes_nothing(outbox: StoredOutbox, signer: int) -> None:
    made = enqueue(outbox, signer, "a")
    outbox.advance(made.id, "queued", "final", 1, state="final", block=BLOCK)
    outbox.advance(made.id, "queued", "broadcast", 2, state="broadcast")
    assert outbox.get(made.id).state == "final"
    assert [one.name for one in outbox.get(made.id).history] == ["queued", "final"]


def test_what_is_unfinished_and_what_is_final(outbox: StoredOutbox, signer: int) -> None:
    states = ["final", "queued", "reverted", "included", "superseded", "orphaned", "signed", "broadcast"]
    for state in states:
        made = enqueue(outbox, signer, state)
        if state != "queued":
            outbox.advance(made.id, "queued", state, 1, state=state, block=BLOCK)
    assert [one.state for one in outbox.unfinished(signer)] == ["queued", "included", "orphaned", "signed", "broadcast"]
    newest = outbox.newest_final(signer)
    assert newest is not None
    assert newest.state == "reverted"
    assert outbox.newest_final(outbox.open(9, ADDRESS, GENESIS, 0).id) is None


def test_suspending_and_conflicts(outbox: StoredOutbox, signer: int) -> None:
    outbox.suspend(signer, "maintenance")
    outbox.raise_conflict(signer, 7)
    outbox.raise_conflict(signer, 8)
    held = outbox.signer(signer)
    assert (held.suspended, held.conflict) == ("maintenance", 7)
    outbox.suspend(signer, None)
    outbox.settle_conflict(signer, 3)
    free = outbox.signer(signer)
    assert (free.suspended, free.conflict, free.next_nonce) == (None, None, FIRST_NONCE)
    outbox.settle_conflict(signer, 9)
    assert outbox.signer(signer).next_nonce == 9


def test_unknown_transaction(outbox: StoredOutbox) -> None:
    with pytest.raises(KeyError):
        outbox.get(12)


WRITES: list[Callable[[StoredOutbox, StoredTransaction], None]] = [
    lambda outbox, one: outbox.advance(one.id, "queued", "final", 1, state="final", block=BLOCK),
    lambda outbox, one: outbox.keep_attempt(one.id, 0, digest(1), b"raw", cancels=False, now=1),
    lambda outbox, one: outbox.suspend(1, "maintenance"),
    lambda outbox, one: outbox.raise_conflict(1, 5),
    lambda outbox, one: outbox.settle_conflict(1, 50),
]


@pytest.mark.parametrize("write", WRITES, ids=["advance", "keep_attempt", "suspend", "raise", "settle"])
def test_a_database_that_stays_locked_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[StoredOutbox, StoredTransaction], None]
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.05)
    with Database(f"sqlite:///{tmp_path}/outbox.db") as impatient:
        impatient.create()
        outbox = StoredOutbox(impatient)
        signer = outbox.open(1, ADDRESS, GENESIS, FIRST_NONCE).id
        made = enqueue(outbox, signer, "a")
        before = outbox.signer(signer)
        with Database(f"sqlite:///{tmp_path}/outbox.db") as other, other.transaction():
            with pytest.raises(OperationalError, match="database is locked"):
                write(outbox, made)
            with pytest.raises(OperationalError, match="database is locked"):
                enqueue(outbox, signer, "b")
        assert (outbox.get(made.id), outbox.signer(signer), outbox.find(signer, "b")) == (made, before, None)
        write(outbox, made)
        assert (outbox.get(made.id), outbox.signer(signer)) != (made, before)
