"""The JSON form of every value that members exchange or keep: a dataclass as an object, and strictly back.

Keys are the fields' names. 32-byte words and other bytes are 0x and lower-case hex; money and rates are decimal text,
because a JSON number is a double to most readers; all other numbers are integers up to 2^53 − 1. Reading refuses
whatever writing would not have made: unknown or missing keys, other types, numbers out of bounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum, IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from settlement.canonical_json import MAX_INTEGER
from settlement.errors import SettlementError

T = TypeVar("T")

# What a number is goes by its field's name, which means the same everywhere: these are money or rates.
DECIMAL_TEXT = frozenset({"amount", "keep", "closed", "acknowledged", "rates", "paid", "owed", "owed_back", "total"})

# Bytes that are not one word.
FREE_LENGTH = frozenset({"data", "program", "raw"})

_NUMBER = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_WORD = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)


def document(value: Any, name: str = "") -> Any:
    """The JSON form of a value: dataclasses, tuples, bytes, integers, texts, enums, None and what they nest.

    Raises SettlementError, naming the field, for a number that its form does not hold.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: document(getattr(value, field.name), field.name) for field in fields(value)}
    if isinstance(value, Enum) and not isinstance(value, IntEnum):
        return value.value
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if value < 0 or (name not in DECIMAL_TEXT and value > MAX_INTEGER):
            raise SettlementError(name, value, "does not fit its JSON form")
        return str(int(value)) if name in DECIMAL_TEXT else int(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple | list):
        return [document(item, name) for item in value]
    raise SettlementError(name, value, f"{type(value).__name__} has no JSON form")


def value_of(kind: type[T], found: Any, where: str = "") -> T:
    """The value of class `kind` (or a tuple type) behind its JSON form.

    Raises SettlementError with the path of the field that does not fit, as in `trade.rates[1]`.
    """
    return cast(T, _read(kind, found, where or "$", where.rpartition(".")[2]))


def _read(hint: Any, found: Any, where: str, name: str) -> Any:
    origin = get_origin(hint)
    if origin is tuple:
        if not isinstance(found, list):
            raise SettlementError(where, found, "must be a list")
        return tuple(_read(get_args(hint)[0], item, f"{where}[{i}]", name) for i, item in enumerate(found))
    if origin is UnionType:
        if found is None and NoneType in get_args(hint):
            return None
        return _read(next(one for one in get_args(hint) if one is not NoneType), found, where, name)
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_object(hint, found, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(found)
        except ValueError:
            raise SettlementError(where, found, f"is no {hint.__name__}") from None
    return _read_plain(hint, found, where, name)


def _read_plain(hint: Any, found: Any, where: str, name: str) -> Any:
    if hint is bool:
        if isinstance(found, bool):
            return found
        raise SettlementError(where, found, "must be true or false")
    if hint is int:
        return _read_number(found, where, name)
    if not isinstance(found, str):
        raise SettlementError(where, found, "must be text")
    if hint is bytes:
        if not (_HEX if name in FREE_LENGTH else _WORD).fullmatch(found):
            raise SettlementError(where, found, "must be 0x and lower-case hex digits of 32 bytes")
        return bytes.fromhex(found[2:])
    if hint is str:
        return found
    raise SettlementError(where, found, f"{hint} has no JSON form")


def _read_number(found: Any, where: str, name: str) -> int:
    if name in DECIMAL_TEXT:
        if not isinstance(found, str) or not _NUMBER.fullmatch(found):
            raise SettlementError(where, found, "must be a decimal number as text")
        return int(found)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= MAX_INTEGER:
        raise SettlementError(where, found, "must be a non-negative integer")
    return found


def _read_object(kind: Any, found: Any, where: str) -> Any:
    hints = _hints(kind)
    if not isinstance(found, Mapping):
        raise SettlementError(where, found, "must be an object")
    for key in found:
        if key not in hints:
            raise SettlementError(f"{where}.{key}", found[key], "is unknown")
    for key in hints:
        if key not in found:
            raise SettlementError(f"{where}.{key}", None, "is missing")
    return kind(**{key: _read(hint, found[key], f"{where}.{key}", key) for key, hint in hints.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
