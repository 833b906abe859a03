"""What routes are made with."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Path, Query

from api.bell import Bell
from api.health import Pulse
from api.market import Market
from api.proposing import Proposals
from api.relaying import Relayer
from api.serving import Reception
from settlement.hashing import Hash32
from store.database import Database
from wire.problems import Refused

WORD: Final = "^0x[0-9a-f]{64}$"
MAX_PAGE: Final = 500
MAX_NUMBER: Final = (1 << 53) - 1

Digest = Annotated[str, Path(pattern=WORD, description="0x and 64 lower-case hex digits")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most")]
Cycle = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="The number of a cycle")]
OfCycle = Annotated[int | None, Query(ge=0, le=MAX_NUMBER, description="Of this cycle only")]
Cursor = Annotated[str, Query(max_length=64, description="`next` of the page before")]


@dataclass(frozen=True)
class Parts:
    """The parts of a gateway that its routes work with."""

    market: Market
    database: Database
    reception: Reception
    proposals: Proposals
    relayer: Relayer
    bell: Bell
    pulse: Pulse
    key: bytes


def word(text: str) -> Hash32:
    """The bytes of a word in an address, whose pattern was checked."""
    return bytes.fromhex(text.removeprefix("0x"))


def cursor_of(seq: int) -> str:
    """A cursor behind a number."""
    return base64.urlsafe_b64encode(f"after:{seq}".encode()).decode().rstrip("=")


def seq_of(cursor: str) -> int:
    """The number behind which a page begins; 0 without a cursor. Raises Refused for what is no cursor of ours."""
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        text = ""
    kind, _, number = text.partition(":")
    if kind != "after" or not (number.isascii() and number.isdigit()) or int(number) > MAX_NUMBER:
        raise Refused("value-refused", "cursor: is none of ours")
    return int(number)
