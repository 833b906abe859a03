"""What the gateway keeps: a first signature stays, a trade is its signers', a relay is made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from settlement.hashing import Hash32, keccak256
from settlement.trade import Lock, Trade, TradeBatch
from store import gateway
from store.database import Database
from store.gateway import REFUSED, SENT, WAITING
from store.records import MemberSignature
from tests.settlement.builders import CYCLE, DOMAIN, PLATFORM_A, PLATFORM_B, UTILITY_A, UTILITY_B, trade
from tests.store.databases import database, database_url

__all__ = ["database", "database_url"]

STRANGER = keccak256(b"stranger")


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.transaction() as opened:
        yield opened


def signature(member: Hash32, text: bytes = b"one") -> MemberSignature:
    return MemberSignature(member, 27, keccak256(b"r", text), keccak256(b"s", text))


def keep(connection: Connection, name: str, locks: tuple[Lock, ...] = (), cycle: int = CYCLE) -> Trade:
    one = trade(salt=keccak256(name.encode()))
    digest = DOMAIN.digest(one)
    locks_digest = keccak256(b"locks", digest) if locks else None
    gateway.keep_trade(connection, digest, one, cycle, "registered", locks, locks_digest)
    gateway.expect_signatures(connection, digest, one.signers)
    if locks_digest is not None:
        gateway.expect_signatures(connection, locks_digest, [lock.payer for lock in locks])
    return one


def test_trade_comes_back(connection: Connection) -> None:
    locks = (Lock(PLATFORM_A, PLATFORM_B, 1 << 90),)
    one = keep(connection, "a", locks)
    found = gateway.trade(connection, DOMAIN.digest(one))
    assert found is not None
    assert (found.trade, found.locks, found.cycle, found.lane) == (one, locks, CYCLE, "registered")
    assert gateway.trade(connection, STRANGER) is None


def test_trade_is_kept_once(connection: Connection) -> None:
    keep(connection, "a")
    with pytest.raises(IntegrityError):
        keep(connection, "a")


def test_first_signature_stays(connection: Connection) -> None:
    one = keep(connection, "a")
    digest = DOMAIN.digest(one)
    assert gateway.add_signatures(connection, digest, [signature(PLATFORM_B), signature(UTILITY_A)]) == 2
    assert gateway.add_signatures(connection, digest, [signature(PLATFORM_B, b"other")]) == 0
    assert gateway.add_signatures(connection, digest, [signature(STRANGER)]) == 0

    slots = gateway.signatures_on(connection, [digest])[digest]

    assert slots.signers == one.signers, "in the trade's order"
    assert slots.in_order == (signature(PLATFORM_B), signature(UTILITY_A))
    assert slots.missing == tuple(member for member in one.signers if member not in (PLATFORM_B, UTILITY_A))


def test_pages_are_the_signers_own(connection: Connection) -> None:
    found = [DOMAIN.digest(keep(connection, name)) for name in "abcde"]
    first = gateway.trades_page(connection, [UTILITY_B], after=0, limit=3)
    second = gateway.trades_page(connection, [UTILITY_B], after=first[-1].seq, limit=3)
    assert [one.digest for one in (*first, *second)] == found
    assert gateway.trades_page(connection, [STRANGER], after=0, limit=9) == ()
    assert len(gateway.trades_page(connection, [STRANGER, UTILITY_A], after=0, limit=9)) == 5


def test_pages_of_what_is_missing(connection: Connection) -> None:
    one, other = keep(connection, "a"), keep(connection, "b", (Lock(PLATFORM_A, PLATFORM_B, 1),), cycle=7)
    for each in (one, other):
        gateway.add_signatures(connection, DOMAIN.digest(each), [signature(PLATFORM_A)])

    def missing(member: Hash32, cycle: int | None = None) -> list[Trade]:
        page = gateway.trades_page(connection, [PLATFORM_A], after=0, limit=9, cycle=cycle, missing=member)
        return [found.trade for found in page]

    assert missing(PLATFORM_A) == [other], "its locks lack a signature"
    assert missing(PLATFORM_B) == [one, other]
    assert missing(PLATFORM_B, cycle=7) == [other]
    assert missing(STRANGER) == []
    gateway.add_signatures(connection, keccak256(b"locks", DOMAIN.digest(other)), [signature(PLATFORM_A)])
    assert missing(PLATFORM_A) == []


def test_batches_hold_trades(connection: Connection) -> None:
    digests = [keccak256(b"trade", bytes([place])) for place in range(3)]
    for sequence in (1, 2):
        batch = TradeBatch(CYCLE, PLATFORM_A, PLATFORM_B, sequence, 5, 3, keccak256(bytes([sequence])), ())
        gateway.keep_batch(connection, keccak256(b"batch", bytes([sequence])), batch, digests[:: 3 - 2 * sequence])

    found = gateway.batches_with(connection, [digests[0], STRANGER])

    assert [(kept.batch.sequence, index) for kept, index in found[digests[0]]] == [(1, 0), (2, 2)]
    assert STRANGER not in found
    assert gateway.trades_of_batch(connection, keccak256(b"batch\x02")) == tuple(reversed(digests))


def test_relay_is_made_once(connection: Connection) -> None:
    subject = keccak256(b"subject")
    made = gateway.keep_relay(connection, "register", subject, 1, {"a": 1}, [PLATFORM_A, PLATFORM_A, PLATFORM_B])
    assert made.id == f"register:0x{subject.hex()}"
    assert gateway.audience(connection, made.seq) == {PLATFORM_A, PLATFORM_B}
    assert gateway.unsent_relays(connection) == (made,)
    with pytest.raises(IntegrityError):
        gateway.keep_relay(connection, "register", subject, 1, {}, [])


def test_relay_moves(connection: Connection) -> None:
    subject = keccak256(b"subject")
    first = gateway.keep_relay(connection, "register", subject, 1, {}, [])
    gateway.move_relay(connection, first.seq, REFUSED, "not now")
    assert gateway.unsent_relays(connection) == ()
    (refused,) = gateway.refused_relays(connection, "register")
    assert (refused.state, refused.reason) == (REFUSED, "not now")
    assert gateway.refused_relays(connection, "commit") == ()
    gateway.move_relay(connection, first.seq, SENT)
    again = gateway.keep_relay(connection, "register", subject, 2, {}, [])
    assert again.id == f"register:0x{subject.hex()}~2"
    newest = gateway.newest_relay(connection, subject)
    assert newest is not None
    assert (newest.attempt, newest.state) == (2, WAITING)
