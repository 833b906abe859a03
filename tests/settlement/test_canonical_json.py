"""Canonical JSON: one byte string for each value."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement import canonical_json
from settlement.errors import SettlementError

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-canonical_json.MAX_INTEGER, canonical_json.MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=12,
)


def test_brackets_in_text_do_not_nest() -> None:
    raw = canonical_json.dumps({"a": "[" * 100 + '\\"' + "{" * 100})
    assert canonical_json.dumps(canonical_json.loads(raw)) == raw


def test_form() -> None:
    document: canonical_json.Json = {"b": [1, True, None], "a": {"z": "ü\n\x01", "hash": b"\xab" * 32}}
    assert (
        canonical_json.dumps(document)
        == ('{"a":{"hash":"0x' + "ab" * 32 + '","z":"ü\\n\\u0001"},"b":[1,true,null]}').encode()
    )


def test_keys_are_ordered_by_code_point() -> None:
    assert canonical_json.dumps({"\U0001f600": 2, "\ufb33": 1, "Z": 3, "a": 4}) == (
        '{"Z":3,"a":4,"\ufb33":1,"\U0001f600":2}'.encode()
    )


@given(DOCUMENTS)
def test_round_trip(document: Any) -> None:
    raw = canonical_json.dumps(document)
    assert canonical_json.loads(raw) == document
    assert canonical_json.dumps(canonical_json.loads(raw)) == raw


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1 << 53, "beyond"),
        (-(1 << 53), "beyond"),
        (1.5, "float has no canonical form"),
        (Decimal(1), "Decimal has no canonical form"),
        ({1: "a"}, "a key must be text"),
        ("\ud800", "lone surrogate"),
        (json.loads("[" * 65 + "]" * 65), "nested too deeply"),
    ],
)
def test_refused_values(value: Any, message: str) -> None:
    with pytest.raises(SettlementError, match=message):
        canonical_json.dumps({"field": value} if not isinstance(value, dict) else value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"a": 1}', "not canonical"),
        (b'{"b":1,"a":2}', "not canonical"),
        (b'{"a":1,"a":1}', "not canonical"),
        (b'"\\u0041"', "not canonical"),
        (b"1.0", "not an integer"),
        (b"NaN", "not an integer"),
        (b"9007199254740992", "beyond"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 65 + b"]" * 65, "nested too deeply"),
    ],
)
def test_refused_bytes(raw: bytes, message: str) -> None:
    with pytest.raises(SettlementError, match=message):
        canonical_json.loads(raw)
