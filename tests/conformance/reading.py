"""Reads vectors back: decimal text, 0x hex and objects into the values they stand for."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

FOLDER = Path(__file__).resolve().parent

T = TypeVar("T")


def vectors(subject: str) -> Any:
    """A subject's vectors, as JSON."""
    return json.loads((FOLDER / f"{subject}.json").read_text(encoding="utf-8"))


def hex_bytes(text: str) -> bytes:
    """The bytes behind 0x and hex digits."""
    return bytes.fromhex(text.removeprefix("0x"))


def integers(texts: Sequence[str]) -> list[int]:
    """Integers from decimal texts."""
    return [int(text) for text in texts]


def hashes(texts: Sequence[str]) -> tuple[bytes, ...]:
    """bytes32 from hex texts."""
    return tuple(hex_bytes(text) for text in texts)


def read(kind: type[T], given: Any) -> T:
    """An object of vectors as the dataclass that it stands for."""
    value = _read(kind, given)
    assert isinstance(value, kind)
    return value


def _read(kind: Any, given: Any) -> Any:
    if isinstance(kind, types.UnionType):  # optional, or an address as text
        if given is None:
            return None
        return _read(next(one for one in typing.get_args(kind) if one is not types.NoneType), given)
    if typing.get_origin(kind) is tuple:
        return tuple(_read(typing.get_args(kind)[0], one) for one in given)
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        build: Any = kind
        return build(**{one.name: _read(hints[one.name], given[one.name]) for one in fields(kind)})
    if kind is bytes:
        return hex_bytes(given)
    if kind is str:
        return given
    if issubclass(kind, int):
        return kind(int(given))
    assert issubclass(kind, Enum)
    return kind(given)
