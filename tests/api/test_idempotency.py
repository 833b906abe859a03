"""A request has one effect and one answer, whatever comes again, at once or later."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from api.idempotency import Answer, Effect, Once, fingerprint, request_key
from store import answered, feed
from store.answered import RequestKey
from store.database import Database
from store.feed import News
from wire.problems import Refused

KEY = RequestKey("0xaa", "POST /v1/things", "one")
ASKED = fingerprint("POST", "/v1/things", {"a": 1})
NEWS = News("Thing", "thing:1", 1, bytes(32), 0, {})


class Wall:
    now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def once(database: Database, wall: Wall) -> Once:
    return Once(database, wall, kept_seconds=100)


def effect(status: int = 201) -> Callable[[], Effect]:
    """One item in a table, and its number as the answer."""

    def act(connection: Connection) -> Answer:
        return Answer(status, {"seq": feed.append(connection, [NEWS]).seq})

    return lambda: act


def effects(database: Database) -> int:
    with database.reading() as connection:
        return feed.count(connection)


def test_answered_once(once: Once, database: Database) -> None:
    first = once.answer(KEY, ASKED, effect())
    again = once.answer(KEY, ASKED, effect(status=500))

    assert (first.status, first.body, first.is_replayed) == (201, '{"seq":1}', False)
    assert (again.status, again.body, again.is_replayed) == (201, '{"seq":1}', True)
    assert effects(database) == 1


def test_same_key_for_something_else(once: Once, database: Database) -> None:
    once.answer(KEY, ASKED, effect())

    with pytest.raises(Refused) as error:
        once.answer(KEY, fingerprint("POST", "/v1/things", {"a": 2}), effect())

    assert error.value.code == "idempotency-key-reused"
    assert effects(database) == 1


@pytest.mark.parametrize(
    "other",
    [RequestKey("0xbb", KEY.route, KEY.key), RequestKey(KEY.caller, "POST /v1/others", KEY.key)],
    ids=["caller", "route"],
)
def test_keys_are_the_callers_own(once: Once, database: Database, other: RequestKey) -> None:
    once.answer(KEY, ASKED, effect())
    assert not once.answer(other, ASKED, effect()).is_replayed
    assert effects(database) == 2


def test_failure_leaves_nothing(once: Once, database: Database) -> None:
    def failing(connection: Connection) -> Answer:
        feed.append(connection, [NEWS])
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        once.answer(KEY, ASKED, lambda: failing)
    assert effects(database) == 0

    assert not once.answer(KEY, ASKED, effect()).is_replayed
    assert effects(database) == 1


def test_refused_request_is_judged_again(once: Once) -> None:
    def refuse() -> Effect:
        raise Refused("not-yours", "not now")

    with pytest.raises(Refused):
        once.answer(KEY, ASKED, refuse)
    assert once.answer(KEY, ASKED, effect()).status == 201


def test_replay_is_not_judged(once: Once) -> None:
    once.answer(KEY, ASKED, effect())

    def refuse() -> Effect:
        raise AssertionError("a replay needs no judgement")

    assert once.answer(KEY, ASKED, refuse).is_replayed


def test_at_once(once: Once, database: Database) -> None:
    """While the first is being answered the second is told to wait, and then gets the same."""
    began, may_end = threading.Event(), threading.Event()

    def slow() -> Effect:
        began.set()
        assert may_end.wait(10)
        return effect()()

    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(once.answer(KEY, ASKED, slow)))
    thread.start()
    assert began.wait(10)
    with pytest.raises(Refused) as error:
        once.answer(KEY, ASKED, effect())
    may_end.set()
    thread.join()

    assert error.value.code == "request-running"
    assert once.answer(KEY, ASKED, effect()).is_replayed
    assert effects(database) == 1


def test_two_processes_at_once(database: Database, wall: Wall) -> None:
    """Another process does not know what this one is working on: the row decides."""
    both = threading.Barrier(2, timeout=10)

    def meeting() -> Effect:
        both.wait()
        return effect()()

    given = []
    threads = [
        threading.Thread(target=lambda: given.append(Once(database, wall, 100).answer(KEY, ASKED, meeting)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(one.is_replayed for one in given) == [False, True]
    assert {one.body for one in given} == {'{"seq":1}'}
    assert effects(database) == 1


def test_answers_are_forgotten(once: Once, database: Database, wall: Wall) -> None:
    once.answer(KEY, ASKED, effect())
    wall.now += 100
    assert once.forget_old() == 0
    wall.now += 1
    assert once.forget_old() == 1
    with database.reading() as connection:
        assert answered.find(connection, KEY) is None


@pytest.mark.parametrize("key", [None, "", " ", "a b", "x" * 256, "ü"])
def test_no_key(key: str | None) -> None:
    with pytest.raises(Refused) as error:
        request_key("0xaa", "POST /", key)
    assert error.value.code == "idempotency-key-missing"


def test_fingerprint_is_of_the_meaning() -> None:
    assert fingerprint("POST", "/a", {"x": 1, "y": "2"}) == fingerprint("POST", "/a", {"y": "2", "x": 1})
    others = [("POST", "/b", {"x": 1, "y": "2"}), ("PUT", "/a", {"x": 1, "y": "2"}), ("POST", "/a", {"x": 1, "y": 2})]
    first = fingerprint("POST", "/a", {"x": 1, "y": "2"})
    assert all(fingerprint(*one) != first for one in others)
