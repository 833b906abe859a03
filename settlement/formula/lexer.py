"""Tokens of a formula text: numbers, dotted paths, operators; anything else is refused where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from settlement.errors import FormulaError

MAX_TEXT = 2_000


class Kind(Enum):
    """What a token is."""

    NUMBER = "number"
    PATH = "name"
    SYMBOL = "symbol"
    END = "end of text"


@dataclass(frozen=True, slots=True)
class Token:
    """A token; `text` is normalised (× for products, - for minus), `position` its column from 1."""

    kind: Kind
    text: str
    position: int


# A hyphen between letters or digits belongs to the name (`cdr-ev-charger-ccs2-001`); as a minus it needs a space.
_SEGMENT = r"[A-Za-z_][A-Za-z0-9_]*(?:-+[A-Za-z0-9_]+)*"
_INNER = r"[A-Za-z0-9_]+(?:-+[A-Za-z0-9_]+)*"
_PATH = rf"{_SEGMENT}(?:\.{_INNER})*"
_TOKEN = re.compile(
    rf"(?P<space>[ \t\r\n\u00a0]+)"
    rf"|(?P<path>{_PATH}(?:\[{_PATH}\])?(?:\.{_INNER}(?:\[{_PATH}\])?)*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<symbol>[-+*(),\u00d7\u2212])",
    re.ASCII,
)
_NORMAL = {"*": "×", "\u2212": "-"}


def tokens(text: str) -> list[Token]:
    """The tokens of a formula, an END last. Raises FormulaError at the first character that begins none."""
    if len(text) > MAX_TEXT:
        raise FormulaError(MAX_TEXT + 1, "formula too long")
    found = []
    cursor = 0
    while cursor < len(text):
        match = _TOKEN.match(text, cursor)
        if match is None:
            raise FormulaError(cursor + 1, f"unexpected {text[cursor]!r}")
        if match["path"]:
            found.append(Token(Kind.PATH, match["path"], cursor + 1))
        elif match["number"]:
            found.append(Token(Kind.NUMBER, match["number"], cursor + 1))
        elif match["symbol"]:
            found.append(Token(Kind.SYMBOL, _NORMAL.get(match["symbol"], match["symbol"]), cursor + 1))
        cursor = match.end()
    found.append(Token(Kind.END, "", len(text) + 1))
    return found
