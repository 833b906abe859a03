"""What the follower brings becomes news: in the same database transaction, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from chain.decoding import Decoder
from chain.evidence import Event, struct
from settlement.canonical_json import MAX_INTEGER
from settlement.documents import DECIMAL_TEXT
from settlement.trade import Trade
from settlement.typed_data import Domain
from store import feed
from store.feed import News
from store.index import Change

# Only the signers of a trade see the trade itself; everybody else sees that there is one.
_WITHHELD = frozenset({"trade"})

_SUBJECTS = (("trade_digest", "trade"), ("row_digest", "row"), ("member", "member"), ("cycle", "cycle"))
_NUMBERED = {"FellDue": "obligation", "SetOff": "obligation", "Closed": "obligation", "BatchCommitted": "commitment"}


class FeedWriter:
    """A listener of `store.index.StoredChain`."""

    def __init__(self, decoder: Decoder, domain: Domain) -> None:
        self._decoder = decoder
        self._domain = domain

    def __call__(self, connection: Connection, change: Change) -> None:
        """Takes back what left the chain, newest first, then adds what came."""
        gone = sorted({log.block.hash for log in change.removed})
        if gone:
            feed.take_back(connection, gone, "its block left the chain")
        events = [(log, self._decoder.event(log)) for log in change.appended]
        feed.append(
            connection,
            [self._news(event, log.block.hash) for log, event in events],
        )

    def _news(self, event: Event, block_hash: bytes) -> News:
        payload = {name: _plain(name, value) for name, value in event.fields.items() if name not in _WITHHELD}
        if "trade" in event.fields:
            payload["trade_digest"] = "0x" + self._domain.digest(struct(Trade, event["trade"])).hex()
        payload["contract"] = event.contract
        payload["transaction"] = event.transaction
        payload["time"] = event.time
        return News(event.name, _subject(event.name, payload), event.block, block_hash, event.log_index, payload)


def _subject(name: str, payload: Mapping[str, Any]) -> str:
    if name in _NUMBERED:
        return f"{_NUMBERED[name]}:{payload['number']}"
    for field, kind in _SUBJECTS:
        if payload.get(field) is not None:
            return f"{kind}:{payload[field]}"
    return "market"


def _plain(name: str, value: Any) -> Any:
    """A value of an event as JSON: bytes in hex, money and whatever a JSON number does not hold as text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Mapping):
        return {key: _plain(key, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and (name in DECIMAL_TEXT or value > MAX_INTEGER):
        return str(value)
    return value
