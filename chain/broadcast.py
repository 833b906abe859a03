"""Offering signed bytes to a node, and what its answer means, however it words it."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from chain.errors import ConnectionFailed, RpcError
from chain.rpc import Rpc

# Whole words: "unknown transaction" is another matter.
_KNOWN: Final = re.compile(
    r"\b(already ?known|known transaction|already imported|already (exists )?in (the )?(mempool|cache|pool))\b",
    re.IGNORECASE,
)


class Outcome(Enum):
    """What became of an offer. None of them says whether the transaction is in a block; only its receipt does."""

    TAKEN = "broadcast"
    """The node has it, or had it already."""
    REFUSED = "refused"
    """It does not take it: the nonce is used or too far ahead, its pool is full, the gas or its price does not suit."""
    UNKNOWN = "unanswered"
    """No answer: it may have arrived."""


def broadcast(rpc: Rpc, raw: bytes) -> tuple[Outcome, str | None]:
    """Offers signed bytes once; the error is the node's text, or the connection's."""
    try:
        rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
    except RpcError as error:
        if _KNOWN.search(error.message):
            return Outcome.TAKEN, None
        return Outcome.REFUSED, error.message
    except ConnectionFailed as error:
        return Outcome.UNKNOWN, str(error)
    return Outcome.TAKEN, None
