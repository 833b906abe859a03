"""Reading what was followed: the right events, decoded once, the same object as long as nothing new concerns it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from chain import view
from chain.errors import NothingFollowed
from chain.evidence import Event
from chain.finality import Finality
from chain.following import Follower
from chain.rpc import binary
from chain.view import ChainView
from store.database import Database
from store.index import StoredChain
from tests.chain.fake_node import FakeChain, FakeNode, hexed, log_of, word
from tests.store.databases import database, database_url

__all__ = ["database", "database_url"]

SEALED = log_of("AllocationOracle", "RunSealed", cycle=5, run=0, inputs=word(50))
SEALED_NEXT = log_of("AllocationOracle", "RunSealed", cycle=6)
CLAIM_APPLIED = log_of("Settlement", "ClaimApplied", cycle=5, trade_digest=word(3), paid=70, owed=8)
ATTESTED = log_of("Settlement", "RowAttested", cycle=5, row_digest=word(9))
CHUNK = log_of("Settlement", "ChunkPublished", row_digest=word(9), count=2)
PUBLISHED = log_of("Settlement", "RowPublished", row_digest=word(9))
COMMITTED = log_of("TradeBook", "BatchCommitted", number=1, cycle=5)
REGISTERED = log_of("TradeBook", "TradeRegistered", number=2, cycle=6)
PAUSED = log_of("MemberRegistry", "Paused", until=99)
FELL_DUE = log_of("ObligationLedger", "FellDue", number=4, amount=250)
DEPOSITED = log_of("SettlementEscrow", "Deposited", member=word(1), amount=1 << 200)


class Scene:
    """A followed chain: extend or fork it, then `follow`."""

    def __init__(self, database: Database) -> None:
        self.chain = FakeChain()
        self.record = self.chain.record()
        self.memory = StoredChain(database)
        self.follower = Follower("http://127.0.0.1:1", self.record, self.memory, Finality.parse("depth:3"))
        self.node = self.follower._rpc = FakeNode(self.chain)
        self.view = ChainView(self.memory, self.record)

    def follow(self) -> None:
        self.follower.catch_up()


@pytest.fixture
def scene(database: Database) -> Scene:
    return Scene(database)


def names(events: tuple[Event, ...]) -> list[str]:
    return [event.name for event in events]


def test_a_cycle_has_its_events_and_no_others(scene: Scene) -> None:
    scene.chain.extend([PAUSED, COMMITTED, SEALED], [SEALED_NEXT], [CLAIM_APPLIED, ATTESTED, FELL_DUE])
    scene.chain.extend([CHUNK], [PUBLISHED, DEPOSITED])
    scene.follow()
    events = scene.view.cycle(5).events
    assert names(events) == [
        "BatchCommitted",
        "RunSealed",
        "ClaimApplied",  # tells its cycle in its data
        "RowAttested",
        "ChunkPublished",  # tell only the row, whose cycle the attestation told
        "RowPublished",
    ]
    sealed = events[1]
    assert (sealed.contract, sealed["run"], sealed["inputs"]) == ("AllocationOracle", 0, word(50))
    assert (sealed.block, sealed.log_index, sealed.time) == (1, 2, scene.chain.head.time - 20)
    assert sealed.transaction.startswith("0x")
    assert len(sealed.transaction) == 66
    assert (events[2]["cycle"], events[2]["paid"], events[4]["count"]) == (5, 70, 2)
    assert names(tuple(scene.view.cycle(5).of_cycle(5, "RunSealed"))) == ["RunSealed"]
    assert names(scene.view.cycle(6).events) == ["RunSealed"]
    assert scene.view.cycle(7).events == ()


def test_standing_and_ledger(scene: Scene) -> None:
    scene.chain.extend([PAUSED, SEALED, DEPOSITED], [FELL_DUE])
    scene.follow()
    assert names(scene.view.standing().events) == ["Paused"]
    assert names(scene.view.ledger().events) == ["Deposited", "FellDue"]
    assert scene.view.ledger().events[0]["amount"] == 1 << 200


def test_cycles_are_those_in_which_something_was_committed(scene: Scene) -> None:
    scene.chain.extend([REGISTERED, COMMITTED, log_of("AllocationOracle", "RunSealed", cycle=9)], [COMMITTED])
    scene.follow()
    assert scene.view.cycles() == (5, 6)


def test_the_same_evidence_until_something_new_concerns_it(scene: Scene) -> None:
    scene.chain.extend([COMMITTED, PAUSED, DEPOSITED])
    scene.follow()
    cycle, standing, ledger = scene.view.cycle(5), scene.view.standing(), scene.view.ledger()
    assert scene.view.cycle(5) is cycle
    scene.chain.extend([SEALED_NEXT], [])
    scene.follow()
    assert scene.view.cycle(5) is cycle
    assert scene.view.standing() is standing
    assert scene.view.ledger() is ledger
    scene.chain.extend([SEALED])
    scene.follow()
    newer = scene.view.cycle(5)
    assert names(newer.events) == ["BatchCommitted", "RunSealed"]
    assert newer.events[0] is cycle.events[0]  # decoded once
    assert scene.view.standing() is standing


def test_what_left_the_chain_is_in_no_evidence(scene: Scene) -> None:
    scene.chain.extend([COMMITTED, PAUSED], [SEALED, DEPOSITED])
    scene.follow()
    before = scene.view.cycle(5), scene.view.standing(), scene.view.ledger()
    scene.chain.fork(1, [CLAIM_APPLIED], [])
    scene.follow()
    assert names(before[0].events) == ["BatchCommitted", "RunSealed"]  # what was given out stays as it was
    assert names(scene.view.cycle(5).events) == ["BatchCommitted", "ClaimApplied"]
    assert names(scene.view.standing().events) == ["Paused"]
    assert scene.view.ledger().events == ()


def test_a_rewind_and_its_replacement_between_two_readings(scene: Scene) -> None:
    scene.chain.extend([COMMITTED], [SEALED])
    scene.follow()
    first = scene.view.cycle(5)
    scene.chain.fork(1, [SEALED])  # the same log in another block of the same number
    scene.follow()
    assert scene.view.cycle(5).events[1].transaction != first.events[1].transaction


def test_only_so_many_cycles_are_kept(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "CYCLES_KEPT", 2)
    scene.chain.extend([COMMITTED, REGISTERED])
    scene.follow()
    five, six = scene.view.cycle(5), scene.view.cycle(6)
    assert scene.view.cycle(5) is five
    scene.view.cycle(7)
    assert scene.view.cycle(5) is five  # asked for later than cycle 6
    again = scene.view.cycle(6)
    assert again is not six
    assert again.events == six.events


def test_head_and_finality(scene: Scene) -> None:
    with pytest.raises(NothingFollowed, match="nothing of the chain has been followed yet"):
        scene.view.head()
    with pytest.raises(NothingFollowed):
        scene.view.cycle(5)
    made = [scene.chain.extend([]) for _ in range(5)]
    scene.follow()
    head = scene.view.head()
    assert (head.number, head.hash, head.parent) == (5, made[4].hash, made[3].hash)
    assert (head.time, head.final) == (made[4].time, False)
    assert scene.view.is_final(2, hexed(made[1].hash)) is True
    assert scene.view.is_final(2, hexed(made[2].hash)) is False  # another block was in its place
    assert scene.view.is_final(3, hexed(made[2].hash)) is False  # not yet
    assert scene.view.is_final(8, hexed(made[4].hash)) is False


def test_since_gives_pages_in_chain_order(scene: Scene) -> None:
    scene.chain.extend([PAUSED, COMMITTED, SEALED], [], [DEPOSITED], [FELL_DUE])
    scene.follow()
    place, seen = (-1, 0), []
    while page := scene.view.since(*place, 2):
        assert len(page) <= 2
        seen += names(tuple(page))
        place = page[-1].block, page[-1].log_index
    assert seen == ["Paused", "BatchCommitted", "RunSealed", "Deposited", "FellDue"]
    assert names(tuple(scene.view.since(1, 1, 10))) == ["RunSealed", "Deposited", "FellDue"]


def test_many_threads_read_while_one_follows(scene: Scene) -> None:
    scene.chain.extend([COMMITTED])
    scene.follow()

    def remembered() -> tuple[tuple[int, bytes], ...]:
        return tuple((log.block.number, log.transaction) for log in scene.memory.of_cycle(5, -1)[1])

    def read(_: int) -> set[tuple[tuple[int, bytes], ...]]:
        shown = (scene.view.cycle(5).events for _ in range(40))
        return {tuple((event.block, binary(event.transaction)) for event in events) for events in shown}

    moments = {remembered()}
    with ThreadPoolExecutor(4) as readers:
        reading = [readers.submit(read, turn) for turn in range(8)]
        for turn in range(20):
            if turn % 3 == 2:
                scene.chain.fork(1, [COMMITTED], [SEALED])
            else:
                scene.chain.extend([SEALED])
            scene.follow()
            moments.add(remembered())
        seen = set().union(*(one.result() for one in reading))
    assert seen <= moments  # each reader saw the chain as it stood at some moment
    assert len(seen) > 1
    assert len(scene.view.cycle(5).events) == len(remembered())
