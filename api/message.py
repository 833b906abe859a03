"""Reading a JSON message strictly: every value by its pointer, so that a refusal says where.

Numbers are kept as the decimal text that was sent; nothing here makes a float of a quantity or a price.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

import rfc8785

from settlement.canonical_json import MAX_DEPTH, depth_of
from settlement.errors import SettlementError

T = TypeVar("T")


class MessageRefused(Exception):
    """A message that cannot be taken: where (a JSON pointer), why, and a code in the sender's own taxonomy."""

    def __init__(self, pointer: str, detail: str, code: str) -> None:
        super().__init__(f"{pointer or '/'}: {detail}")
        self.pointer = pointer
        self.detail = detail
        self.code = code


INVALID = "SCH_FIELD_INVALID"
MISSING = "SCH_REQUIRED_FIELD_MISSING"
NOT_JSON = "SCH_INVALID_JSON"
UNSUPPORTED = "BIZ_UNSUPPORTED"
LIMIT = "BIZ_QUANTITY_UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Node:
    """A value in a message and its pointer (RFC 6901)."""

    value: Any
    pointer: str = ""

    def refuse(self, detail: str, code: str = INVALID) -> NoReturn:
        """Raises MessageRefused for this value."""
        raise MessageRefused(self.pointer, detail, code)

    def find(self, key: str) -> Node | None:
        """The value under a key, or None. Raises MessageRefused where this is no object."""
        if not isinstance(self.value, Mapping):
            self.refuse("must be an object")
        found = self.value.get(key)
        return None if found is None else Node(found, f"{self.pointer}/{key.replace('~', '~0').replace('/', '~1')}")

    def at(self, *keys: str) -> Node:
        """The value that keys lead to, one below the other. Raises MessageRefused where one is missing."""
        here = self
        for key in keys:
            below = here.find(key)
            if below is None:
                raise MessageRefused(f"{here.pointer}/{key}", "is missing", MISSING)
            here = below
        return here

    def items(self) -> Iterator[Node]:
        """The elements of a list. Raises MessageRefused where this is none."""
        if not isinstance(self.value, list):
            self.refuse("must be a list")
        for place, item in enumerate(self.value):
            yield Node(item, f"{self.pointer}/{place}")

    def text(self) -> str:
        """A text of printable characters that is not empty. Raises MessageRefused."""
        # A NUL or half a surrogate pair would be refused by a database, too late to say where it stands.
        if not isinstance(self.value, str) or not self.value or not self.value.isprintable():
            self.refuse("must be printable text")
        return self.value

    def number(self) -> Decimal | int | str:
        """A number, or its text, as it was sent. Raises MessageRefused."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | Decimal | str):
            self.refuse("must be a number")
        return self.value

    def read(self, convert: Callable[[], T]) -> T:
        """What a rule makes of this value; its refusal becomes one of the message."""
        try:
            return convert()
        except SettlementError as error:
            raise MessageRefused(self.pointer, f"{error.field}: {error.message}", INVALID) from error


def parse(raw: bytes) -> Node:
    """The message in these bytes.

    Raises MessageRefused for what is no JSON object, is nested too deeply, or has a key twice in one object.
    """
    return Node(_loads(raw, Decimal))


def canonical(raw: bytes, *keys: str) -> bytes:
    """The RFC 8785 form of the part of a message that keys lead to.

    The scheme defines a number's text by its IEEE double; this is the one place where a float passes, and nothing is
    computed from it. Raises MessageRefused where a number is beyond what a double tells apart.
    """
    node = Node(_loads(raw, float)).at(*keys)
    try:
        return rfc8785.dumps(node.value)
    except ValueError as error:
        raise MessageRefused(node.pointer, f"has no canonical form: {error}", INVALID) from error


def _loads(raw: bytes, number: Callable[[str], Any]) -> Any:
    if depth_of(raw) > MAX_DEPTH:
        raise MessageRefused("", f"is nested more than {MAX_DEPTH} deep", NOT_JSON)
    try:
        found = json.loads(raw.decode(), parse_float=number, parse_constant=_no_number, object_pairs_hook=_once)
    except ValueError as error:
        raise MessageRefused("", f"is no JSON: {error}", NOT_JSON) from error
    if not isinstance(found, dict):
        raise MessageRefused("", "must be an object", NOT_JSON)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
