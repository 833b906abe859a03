"""The form of a vector: integers are decimal text, bytes 0x and lower-case hex, structs objects by field name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from random import Random
from typing import Any


def plain(value: Any) -> Any:
    """A value in the form of a vector; field names as in the contracts."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Enum) and not isinstance(value, int):
        return value.value
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value]


def seeded(subject: str) -> Random:
    """Random numbers that are the same in every run."""
    return Random(int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big"))
