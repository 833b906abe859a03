"""The feed: bound item by item, never rewritten, whatever the chain does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from settlement.hashing import keccak256
from store import feed
from store.database import Database
from store.feed import NO_ITEMS, TAKEN_BACK, FeedItem, News, chained, first_break, item_hash


def news(block: int, index: int = 0, fork: int = 0) -> News:
    block_hash = keccak256(b"block", bytes([block, fork]))
    return News("Something", f"cycle:{block}", block, block_hash, index, {"amount": "1", "wh": index})


def items(database: Database, after: int = 0, limit: int = 500, types: tuple[str, ...] = ()) -> list[FeedItem]:
    with database.reading() as connection:
        return [one for one, _ in feed.after(connection, after, limit, types)]


def test_chained(database: Database) -> None:
    with database.transaction() as connection:
        assert feed.append(connection, []) == NO_ITEMS
        feed.append(connection, [news(1), news(1, 1)])
    with database.transaction() as connection:
        head = feed.append(connection, [news(2)])

    found = items(database)
    assert [one.seq for one in found] == [1, 2, 3]
    assert found[0].prev_hash == bytes(32)
    assert [one.prev_hash for one in found[1:]] == [one.hash for one in found[:-1]]
    assert (head.seq, head.hash) == (3, found[2].hash)
    assert first_break(NO_ITEMS, found) is None


def test_undone_with_its_transaction(database: Database) -> None:
    def follow() -> None:
        with database.transaction() as connection:
            feed.append(connection, [news(1)])
            raise RuntimeError("the follower failed")

    with pytest.raises(RuntimeError):
        follow()
    assert items(database) == []


def test_taken_back(database: Database) -> None:
    with database.transaction() as connection:
        feed.append(connection, [news(1), news(2), news(2, 1), news(3)])
    with database.transaction() as connection:
        assert feed.take_back(connection, [news(2).block_hash, news(3).block_hash], "gone") == 3
        feed.append(connection, [news(2, fork=1)])

    found = items(database)
    assert [(one.news.type, one.news.undoes) for one in found[4:]] == [
        (TAKEN_BACK, 4),
        (TAKEN_BACK, 3),
        (TAKEN_BACK, 2),
        ("Something", None),
    ]
    with database.reading() as connection:
        states = {one.seq: undone for one, undone in feed.after(connection, 0, 100)}
    assert [seq for seq, undone in states.items() if undone] == [2, 3, 4]
    assert first_break(NO_ITEMS, found) is None


def test_block_that_comes_back(database: Database) -> None:
    """The chain goes to another branch and back: the same block is news again, and can leave again."""
    for _ in range(2):
        with database.transaction() as connection:
            feed.append(connection, [news(1)])
        with database.transaction() as connection:
            assert feed.take_back(connection, [news(1).block_hash], "gone") == 1
    with database.transaction() as connection:
        assert feed.take_back(connection, [news(1).block_hash], "gone") == 0
    assert [one.news.undoes for one in items(database)] == [None, 1, None, 3]


def test_filter_never_hides_what_was_taken_back(database: Database) -> None:
    with database.transaction() as connection:
        feed.append(connection, [news(1), replace(news(1, 1), type="Other")])
        feed.take_back(connection, [news(1).block_hash], "gone")
    assert [one.seq for one in items(database, types=("Other",))] == [2, 3, 4]
    assert [one.seq for one in items(database, after=2, limit=1)] == [3]


CHANGES: dict[str, Any] = {
    "type": "Another",
    "subject": "cycle:9",
    "block_number": 9,
    "block_hash": bytes(32),
    "log_index": 9,
    "payload": {"amount": "2", "wh": 0},
    "undoes": 1,
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_is_bound(field: str) -> None:
    found = chained(NO_ITEMS, [news(1), news(2), news(3)])
    found[1] = replace(found[1], news=replace(found[1].news, **{field: CHANGES[field]}))
    assert first_break(NO_ITEMS, found) == 2


def test_dropped_and_swapped() -> None:
    found = chained(NO_ITEMS, [news(1), news(2), news(3)])
    assert first_break(NO_ITEMS, [found[0], found[2]]) == 3
    assert first_break(NO_ITEMS, [found[1], found[0], found[2]]) == 2
    # Rewritten from its second item on, with hashes that fit: whoever saw an earlier head knows.
    second = news(2, fork=1)
    forged = replace(found[1], news=second, hash=item_hash(2, second, found[0].hash))
    assert first_break(NO_ITEMS, [found[0], forged, found[2]]) == 3


class Following(RuleBasedStateMachine):
    """Blocks come and go as a follower tells of them; the feed is compared with a list."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.database = Database(f"sqlite:///{Path(self.folder.name)}/feed.db")
        self.database.create()
        self.chain: list[tuple[bytes, list[int]]] = []  # (block hash, numbers of its items)
        self.seen: list[FeedItem] = []
        self.count = 0

    @rule(logs=st.lists(st.integers(0, 3), max_size=3), fork=st.integers(0, 1))
    def block(self, logs: list[int], fork: int) -> None:
        number = len(self.chain)
        made = [replace(news(number, place, fork), payload={"wh": log}) for place, log in enumerate(logs)]
        with self.database.transaction() as connection:
            feed.append(connection, made)
        first = len(self.everything) + 1 - len(made)
        self.chain.append((news(number, 0, fork).block_hash, list(range(first, first + len(made)))))

    @precondition(lambda self: self.chain)
    @rule(depth=st.integers(1, 4), logs=st.integers(0, 2))
    def reorganise(self, depth: int, logs: int) -> None:
        gone = self.chain[-depth:]
        self.chain = self.chain[:-depth]
        with self.database.transaction() as connection:
            taken = feed.take_back(connection, [one for one, _ in gone], "gone")
            feed.append(connection, [news(len(self.chain), place, 2) for place in range(logs)])
        assert taken == sum(len(numbers) for _, numbers in gone)
        last = len(self.everything)
        self.chain.append((news(len(self.chain), 0, 2).block_hash, list(range(last - logs + 1, last + 1))))

    @property
    def everything(self) -> list[FeedItem]:
        return items(self.database)

    @invariant()
    def is_bound_and_only_grows(self) -> None:
        found = self.everything
        assert first_break(NO_ITEMS, found) is None
        assert found[: len(self.seen)] == self.seen, "an item was rewritten"
        self.seen = found

    @invariant()
    def what_stands_is_the_chain(self) -> None:
        with self.database.reading() as connection:
            found = feed.after(connection, 0, 500)
        standing = [one.seq for one, undone in found if not undone and one.news.undoes is None]
        assert standing == [seq for _, numbers in self.chain for seq in numbers]

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


TestFollowing = Following.TestCase
TestFollowing.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
