"""The JSON form of values: there and back for every signed type, and strict about everything else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.trade import AllocationLeaf, Claim, FlowLeaf, Lock, MemberFlow, Row, ShownLeaf, Signature, TradeLocks
from store.records import MemberSignature, RecordedLock

WORDS = st.binary(min_size=32, max_size=32)
SMALL = st.integers(0, 2**53 - 1)
MONEY = st.integers(0, 2**96 - 1)
LOCKS = st.builds(Lock, WORDS, WORDS, MONEY)
LEAVES = st.builds(AllocationLeaf, WORDS, SMALL, SMALL, SMALL, WORDS, *[SMALL] * 7, WORDS)
VALUES = st.one_of(
    LOCKS,
    st.builds(TradeLocks, WORDS, st.lists(LOCKS).map(tuple)),
    st.builds(ShownLeaf, SMALL, WORDS, SMALL, SMALL, LEAVES, st.lists(WORDS).map(tuple)),
    st.builds(FlowLeaf, WORDS, SMALL, SMALL, MONEY, WORDS),
    st.builds(Row, SMALL, SMALL, SMALL, WORDS, WORDS, MONEY, SMALL, WORDS, MONEY, WORDS),
    st.builds(
        Claim,
        *[SMALL] * 2,
        WORDS,
        *[SMALL] * 6,
        st.lists(st.builds(MemberFlow, WORDS, WORDS, MONEY)).map(tuple),
    ),
    st.builds(RecordedLock, SMALL, LOCKS),
    st.builds(MemberSignature, WORDS, SMALL, WORDS, WORDS),
)


class Colour(StrEnum):
    RED = "red"


class Rank(IntEnum):
    FIRST = 1


@dataclass(frozen=True)
class Mixed:
    name: str
    is_open: bool
    colour: Colour
    rank: Rank
    signature: Signature | None


@given(VALUES)
def test_there_and_back_through_json_text(value: Any) -> None:
    assert value_of(type(value), json.loads(json.dumps(document(value)))) == value


def test_enums_truths_and_what_may_be_absent() -> None:
    value = Mixed("a", True, Colour.RED, Rank.FIRST, None)
    form = document(value)
    assert form == {"name": "a", "is_open": True, "colour": "red", "rank": 1, "signature": None}
    assert value_of(Mixed, form) == value


def test_money_is_text_and_other_numbers_are_numbers() -> None:
    assert document(RecordedLock(7, Lock(bytes(32), b"\1" * 32, 2**95))) == {
        "number": 7,
        "lock": {"payer": "0x" + "00" * 32, "payee": "0x" + "01" * 32, "amount": str(2**95)},
    }


@pytest.mark.parametrize("number", [-1, 2**53])
def test_a_number_that_has_no_form_is_not_written(number: int) -> None:
    with pytest.raises(SettlementError, match="number: does not fit its JSON form"):
        document(RecordedLock(number, Lock(bytes(32), bytes(32), 0)))


def test_a_fraction_is_not_written() -> None:
    with pytest.raises(SettlementError, match="float has no JSON form"):
        document([0.5])


LOCK = {"payer": "0x" + "00" * 32, "payee": "0x" + "01" * 32, "amount": "5"}


@pytest.mark.parametrize(
    ("change", "where", "why"),
    [
        ({"amount": 5}, "locks[0].amount", "decimal number as text"),
        ({"amount": "05"}, "locks[0].amount", "decimal number as text"),
        ({"amount": "-5"}, "locks[0].amount", "decimal number as text"),
        ({"payer": "0x00"}, "locks[0].payer", "32 bytes"),
        ({"payer": "0x" + "AA" * 32}, "locks[0].payer", "lower-case"),
        ({"payer": 5}, "locks[0].payer", "must be text"),
        ({"more": 1}, "locks[0].more", "is unknown"),
    ],
)
def test_another_form_is_refused_with_its_path(change: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(SettlementError, match=why) as caught:
        value_of(TradeLocks, {"trade_digest": "0x" + "00" * 32, "locks": [{**LOCK, **change}]}, "body")
    assert caught.value.field == f"body.{where}"


@pytest.mark.parametrize(
    ("found", "where", "why"),
    [
        ({"trade_digest": "0x" + "00" * 32}, "$.locks", "is missing"),
        ({"trade_digest": "0x" + "00" * 32, "locks": {}}, "$.locks", "must be a list"),
        ([], "$", "must be an object"),
        (None, "$", "must be an object"),
    ],
)
def test_another_shape_is_refused(found: Any, where: str, why: str) -> None:
    with pytest.raises(SettlementError, match=why) as caught:
        value_of(TradeLocks, found)
    assert caught.value.field == where


@pytest.mark.parametrize("number", [True, "7", 7.0, -1, 2**53])
def test_a_number_of_another_kind_is_refused(number: Any) -> None:
    with pytest.raises(SettlementError, match="non-negative integer"):
        value_of(RecordedLock, {"number": number, "lock": LOCK})
