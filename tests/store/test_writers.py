"""Several threads on one database: what each of its parts promises then, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Connection

from settlement.hashing import Hash32, keccak256
from store.database import Database
from store.errors import IndexOutrun
from store.index import Change, StoredBlock, StoredChain
from store.outbox import StoredOutbox

ADDRESS = "0x" + "ab" * 20
GENESIS = keccak256(b"genesis")
MARKET = keccak256(b"market")
THREADS = 4


def at_once(work: Callable[[int], None]) -> None:
    """Runs `work` in several threads, which begin together."""
    barrier = Barrier(THREADS)

    def begin(number: int) -> None:
        barrier.wait()
        work(number)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(begin, range(THREADS)))


# --- the outbox ---


def queue(outbox: StoredOutbox, signer: int, intent: str) -> int:
    """Queues an intent; the nonce of its transaction."""
    return outbox.enqueue(signer, intent, "Settlement", "settle", ADDRESS, b"", 21_000, 1).nonce


def test_a_signer_is_opened_once(database: Database) -> None:
    outbox, found = StoredOutbox(database), set()
    at_once(lambda number: found.add(outbox.open(31_337, ADDRESS, "0x" + GENESIS.hex(), 5 + number).id))
    assert len(found) == 1


def test_every_intent_has_a_nonce_of_its_own_and_none_is_left_out(database: Database) -> None:
    outbox = StoredOutbox(database)
    signer = outbox.open(31_337, ADDRESS, "0x" + GENESIS.hex(), 5).id
    nonces: list[int] = []

    def work(number: int) -> None:
        for place in range(10):
            nonces.append(queue(outbox, signer, f"{number}:{place}"))

    at_once(work)
    assert sorted(nonces) == list(range(5, 5 + THREADS * 10))
    assert outbox.signer(signer).next_nonce == 5 + THREADS * 10


def test_one_intent_of_several_threads_is_one_transaction(database: Database) -> None:
    outbox = StoredOutbox(database)
    signer = outbox.open(31_337, ADDRESS, "0x" + GENESIS.hex(), 0).id
    for place in range(10):
        nonces: set[int] = set()
        at_once(lambda _, intent=f"seal:{place}", seen=nonces: seen.add(queue(outbox, signer, intent)))  # type: ignore[misc]
        assert nonces == {place}
    assert len(outbox.unfinished(signer)) == 10


# --- the index ---


def block(number: int, fork: str = "") -> StoredBlock:
    """A block of a chain, or of a fork of it."""
    above = keccak256(f"block {number - 1}{fork}".encode())
    return StoredBlock(number, keccak256(f"block {number}{fork}".encode()), above, 1_000 + number)


def extend(
    chain: StoredChain, head: StoredBlock | None, *added: StoredBlock, ancestor: StoredBlock | None = None
) -> None:
    """Adds blocks, each with one log, above the head or above an ancestor."""
    with chain.change(head, ancestor or head, 0) as page:
        for one in added:
            page.add_block(one.number, one.hash, one.parent, one.time)
            page.add_log(0, one.hash, "Settlement", "RowApplied", 7, None, (one.hash, MARKET), b"data")


def log_blocks(chain: StoredChain) -> list[Hash32]:
    """The hashes of the blocks that the kept logs stand in."""
    return [log.block.hash for log in chain.since(-1, 0, 100)]


def followed(database: Database, *listeners: Callable[[Connection, Change], None]) -> StoredChain:
    """An index with the first two blocks."""
    chain = StoredChain(database, listeners)
    chain.open(MARKET, 31_337, GENESIS)
    extend(chain, None, block(0), block(1))
    return chain


def test_of_several_followers_one_goes_on(database: Database) -> None:
    chain = followed(database)
    outrun: list[int] = []

    def work(number: int) -> None:
        try:
            extend(chain, block(1), block(2, str(number)))
        except IndexOutrun:
            outrun.append(number)

    at_once(work)
    (winner,) = {*range(THREADS)} - {*outrun}
    assert log_blocks(chain) == [block(0).hash, block(1).hash, block(2, str(winner)).hash]


def test_logs_go_with_their_block_and_listeners_hear_of_it(database: Database) -> None:
    heard: list[tuple[list[int], list[int], int]] = []

    def listen(_: Connection, change: Change) -> None:
        removed = [log.block.number for log in change.removed]
        heard.append((removed, [log.block.number for log in change.appended], change.head.number))

    chain = followed(database, listen)
    extend(chain, block(1), block(2), block(3))
    extend(chain, block(3), block(2, "'"), ancestor=block(1))
    assert log_blocks(chain) == [block(0).hash, block(1).hash, block(2, "'").hash]
    assert heard == [([], [0, 1], 1), ([], [2, 3], 3), ([2, 3], [2], 2)]
    mark = chain.mark()
    assert mark is not None
    assert (mark.head, mark.rewinds) == (block(2, "'"), 1)


def test_a_listener_that_raises_undoes_the_change(database: Database) -> None:
    chain = followed(database)

    def refuse(*_: object) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        extend(StoredChain(database, [refuse]), block(1), block(2), ancestor=block(0))
    assert log_blocks(chain) == [block(0).hash, block(1).hash]
