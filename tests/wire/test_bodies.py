"""Bodies: written canonically; read strictly, with what is wrong in words."""

from __future__ import annotations

import pytest

from wire.bodies import body_of, read_body
from wire.problems import Refused


def test_a_document_there_and_back() -> None:
    found = {"b": [1, "zwölf", None, True], "a": {"0x": "0x00"}}
    assert body_of(found) == '{"a":{"0x":"0x00"},"b":[1,"zwölf",null,true]}'.encode()
    assert read_body(body_of(found)) == found


def test_what_others_write_need_not_be_canonical() -> None:
    assert read_body(b' {"b": 1,\n "a": "\\u0061"} ') == {"b": 1, "a": "a"}


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"{} {}", "Extra data: line 1 column 4 (char 3)"),
        (b'{"a":1.5}', "1.5 is not an integer; amounts are text"),
        (b'{"a":1e3}', "1e3 is not an integer; amounts are text"),
        (b'{"a":NaN}', "NaN is not an integer; amounts are text"),
        (b'{"a":1,"a":2}', "a key stands twice"),
        (b'{"a":9007199254740992}', "integer beyond 2^53 - 1, write it as text"),
        (b'{"a":"\\ud800"}', "lone surrogate in text"),
        (b"[" * 100 + b"]" * 100, "nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    ],
)
def test_refused_bodies(raw: bytes, detail: str) -> None:
    with pytest.raises(Refused) as caught:
        read_body(raw)
    assert (caught.value.code, caught.value.detail) == ("body-malformed", detail)


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(Refused) as caught:
        read_body(b'{"a":"\xff"}')
    assert caught.value.code == "body-malformed"
    assert "can't decode" in caught.value.detail


def test_numbers_of_any_length() -> None:
    with pytest.raises(Refused) as caught:
        read_body(b"1" * 5_000)
    assert caught.value.code == "body-malformed"
