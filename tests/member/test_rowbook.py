"""The memory of what was signed: one row a key, and nobody says two things unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from member.rowbook import MOST_HEARD, RowBook, SignedOtherwise, Statements
from settlement.documents import value_of
from settlement.hashing import ZERO_HASH, keccak256
from settlement.merkle import EMPTY_ROOT
from settlement.trade import Row, Signature
from store.database import Database
from store.desk import EVIDENCE, DeskStore
from store.records import Way
from tests.settlement.builders import DOMAIN

PAYER, PAYEE = keccak256(b"payer"), keccak256(b"payee")
ROW = Row(7, 0, 1, PAYER, PAYEE, 10, 0, EMPTY_ROOT, 0, keccak256(b"inputs"))
OTHER = replace(ROW, amount=11)
MINE, THEIRS = (Signature(27, keccak256(name), keccak256(name)) for name in (b"mine", b"theirs"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeskStore]:
    with Database(f"sqlite:///{tmp_path / 'member.db'}") as database:
        database.create()
        yield DeskStore(database)


@pytest.fixture
def book(store: DeskStore) -> RowBook:
    return RowBook(store, DOMAIN.digest)


def sign(book: RowBook, row: Row, way: Way = Way.AGREED) -> None:
    book.sign(row, way, (), lambda _: MINE)


def test_the_same_row_is_signed_once(book: RowBook) -> None:
    made: list[Row] = []

    def make(row: Row) -> Signature:
        made.append(row)
        return MINE

    assert book.sign(ROW, Way.AGREED, (), make) == book.sign(ROW, Way.AGREED, (), make)
    assert made == [ROW]


def test_another_row_under_the_same_key_is_not_signed(book: RowBook) -> None:
    sign(book, ROW)

    with pytest.raises(SignedOtherwise) as refused:
        sign(book, OTHER)
    assert refused.value.row == ROW


@pytest.mark.parametrize("changes", [{"version": 2}, {"run": 1}, {"inputs": ZERO_HASH}, {"payee": PAYER}, {"cycle": 8}])
def test_another_key_is_another_row(book: RowBook, changes: dict[str, object]) -> None:
    sign(book, ROW)
    sign(book, replace(OTHER, **changes))  # type: ignore[arg-type]


def test_another_way_is_another_row(book: RowBook) -> None:
    sign(book, ROW)
    sign(book, OTHER, Way.ATTESTED)


def test_what_was_signed_is_known_after_a_restart(book: RowBook, store: DeskStore) -> None:
    sign(book, ROW)

    with pytest.raises(SignedOtherwise):
        sign(RowBook(store, DOMAIN.digest), OTHER)


def test_what_another_member_still_has_is_signed_no_second_time(book: RowBook) -> None:
    book.recall(ROW, Way.AGREED, MINE)

    with pytest.raises(SignedOtherwise):
        sign(book, OTHER)


def test_both_signatures_make_a_row_agreed_in_any_order(book: RowBook) -> None:
    sign(book, ROW)
    assert book.hear(ROW, Way.AGREED, PAYEE, THEIRS).state == "agreed"
    assert book.hear(OTHER, Way.EARLY, PAYEE, THEIRS).state == "proposed"
    assert book.sign(OTHER, Way.EARLY, (), lambda _: MINE).state == "agreed"


def test_two_statements_under_one_key_are_evidence(book: RowBook, store: DeskStore) -> None:
    for row in (ROW, OTHER):
        book.hear(row, Way.AGREED, PAYEE, THEIRS)

    kept = value_of(Statements, store.fact(EVIDENCE, Statements.key_of(ROW, Way.AGREED)))
    assert (kept.member, [one.row for one in kept.statements]) == (PAYEE, [ROW, OTHER])


def test_statements_under_two_keys_are_none(book: RowBook, store: DeskStore) -> None:
    book.hear(ROW, Way.AGREED, PAYEE, THEIRS)
    book.hear(replace(OTHER, version=2), Way.AGREED, PAYEE, THEIRS)

    assert store.facts(EVIDENCE) == {}


def test_the_next_free_version_passes_what_was_signed_otherwise_or_fell(book: RowBook) -> None:
    def make(version: int) -> Row:
        return replace(ROW, version=version)

    assert book.free_version(1, Way.AGREED, make).version == 1
    sign(book, OTHER)
    assert book.free_version(1, Way.AGREED, make).version == 2
    sign(book, make(2))
    assert book.free_version(1, Way.AGREED, make).version == 2
    known = book.find(make(2), Way.AGREED)
    assert known is not None
    book.mark(known, "struck", "skipped")
    assert book.free_version(1, Way.AGREED, make).version == 3


def test_others_cannot_fill_the_book(book: RowBook) -> None:
    for amount in range(MOST_HEARD + 5):
        book.hear(replace(ROW, amount=amount), Way.AGREED, PAYEE, THEIRS)

    assert len(book.of_cycle(7)) == MOST_HEARD


def test_marking_keeps_what_came_in_between(book: RowBook) -> None:
    sign(book, ROW)
    old = book.find(ROW, Way.AGREED)
    assert old is not None
    book.hear(ROW, Way.AGREED, PAYEE, THEIRS)
    book.mark(old, "submitted", "settle:1")

    now = book.find(ROW, Way.AGREED)
    assert now is not None
    assert (now.state, now.note, now.other) == ("submitted", "settle:1", THEIRS)
