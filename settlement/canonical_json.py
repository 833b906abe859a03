"""Canonical JSON of our own documents: one byte string for each value, so that its hash means something.

In the manner of RFC 8785, but simpler: keys sorted by code point, no spaces, UTF-8, integers only. Amounts and
whatever may exceed 2^53 − 1 are strings, because a JSON number is a double to most readers; hashes are 0x and
lower-case hex digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from settlement.errors import SettlementError

MAX_INTEGER = (1 << 53) - 1
MAX_DEPTH = 64

_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|[\]}]', re.DOTALL)

Json = None | bool | int | str | Sequence["Json"] | Mapping[str, "Json"] | bytes


def dumps(value: Json) -> bytes:
    """The canonical bytes of a document.

    Raises SettlementError for numbers that are no integers or beyond ±(2^53 − 1), keys that are no text, lone
    surrogates and types that JSON has not.
    """
    text = json.dumps(_plain(value, "$"), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise SettlementError("$", text[error.start], "lone surrogate in text") from error


def loads(raw: bytes) -> Any:
    """The document behind canonical bytes. Raises SettlementError where `dumps` would not have written them."""
    if depth_of(raw) > MAX_DEPTH:
        raise SettlementError("$", raw, "nested too deeply")
    try:
        value = json.loads(raw.decode(), parse_float=_no_fraction, parse_constant=_no_fraction)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SettlementError("$", raw, "not JSON") from error
    # Whatever differs (spaces, order, a repeated key, an escape) is found by writing it again.
    if dumps(value) != raw:
        raise SettlementError("$", raw, "not canonical")
    return value


def depth_of(raw: bytes) -> int:
    """How deeply the JSON in these bytes is nested, counted without parsing it.

    The standard library's parser recurses, and where the recursion limit was raised it overruns the stack instead of
    failing: what comes from outside is counted first.
    """
    depth = deepest = 0
    for match in _NESTING.finditer(raw):
        if match[1]:
            depth += 1
            deepest = max(deepest, depth)
        elif match[0][:1] != b'"':
            depth -= 1
    return deepest


def _plain(value: Json, where: str, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:
        raise SettlementError("$", where, "nested too deeply")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise SettlementError(where, value, "integer beyond 2^53 - 1, write it as text")
        return value
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise SettlementError(where, key, "a key must be text")
        return {key: _plain(value[key], f"{where}.{key}", depth + 1) for key in sorted(value)}
    if isinstance(value, Sequence):
        return [_plain(item, f"{where}[{place}]", depth + 1) for place, item in enumerate(value)]
    raise SettlementError(where, value, f"{type(value).__name__} has no canonical form")


def _no_fraction(text: str) -> NoReturn:
    raise SettlementError("$", text, "not an integer, write it as text")
