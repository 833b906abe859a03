"""From what was signed to one transaction: kept with the request that completed it, sent once, followed to its end.

A relay has no power of its own. It is written in the database transaction of the request; a loop hands it to the
sender under its id, and the sender takes an id only once. So a process that dies anywhere in between leaves neither
two transactions nor none.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Connection

from api.calls import REGISTER, RegisterTrade, Signed, call_of
from api.views.finality import Finality
from chain.errors import CannotEncode, GasRefused, Reverted
from chain.outbox import FINAL, INCLUDED, ORPHANED, QUEUED, REVERTED, SUPERSEDED
from chain.sending import Sender
from settlement.hashing import Hash32
from store import gateway
from store.database import Database
from store.gateway import REFUSED, SENT, WAITING, Relay

REJECTED: Final = "rejected"
"""The state of a transaction that the contract refused before anything was sent."""

_log = structlog.get_logger("api.relaying")


@dataclass(frozen=True, slots=True)
class ActionView:
    """Something that happened to a transaction `times` times, between two times (UTC epoch seconds)."""

    action: str
    times: int
    first: int
    last: int
    error: str | None


@dataclass(frozen=True, slots=True)
class TransactionView:
    """A relayed call and what became of it; `reason` is the contract's text where it refused or failed."""

    id: str
    kind: str
    subject: Hash32
    state: str
    hash: str | None
    nonce: int | None
    block_number: int | None
    block_hash: str | None
    reason: str | None
    finality: Finality
    history: tuple[ActionView, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A relay and what became of it."""

    relay: Relay
    view: TransactionView

    @property
    def has_failed(self) -> bool:
        """Whether it can no longer succeed, so that the same may be tried anew."""
        return self.view.state in (REVERTED, SUPERSEDED)


class Relayer:
    """Relays what members signed. Thread-safe."""

    def __init__(self, database: Database, sender: Sender) -> None:
        self._database = database
        self._sender = sender
        self._sending = threading.Lock()
        self._awaited: set[str] = set()

    def known(self, subject: Hash32) -> Known | None:
        """The newest relay of what was signed, and what became of it. Opens a connection of its own."""
        with self._database.reading() as connection:
            relay = gateway.newest_relay(connection, subject)
        return None if relay is None else Known(relay, self.look(relay))

    def relay(
        self, connection: Connection, signed: Signed, audience: Iterable[Hash32], known: Known | None
    ) -> TransactionView:
        """The relay of what was signed, made in the caller's transaction where none is there that can still succeed.

        `known` is what was known of it before the transaction began: what has not failed by then is not made again.
        """
        newest = gateway.newest_relay(connection, signed.subject)
        if newest is None or (known is not None and known.relay.id == newest.id and known.has_failed):
            attempt = 1 if newest is None else newest.attempt + 1
            made = gateway.keep_relay(connection, signed.kind, signed.subject, attempt, signed.document, audience)
            return _unsent(made)
        if newest.state == REFUSED:
            gateway.move_relay(connection, newest.seq, WAITING)
            return _unsent(newest, QUEUED)
        return known.view if known is not None and known.relay.id == newest.id else _unsent(newest)

    def send_waiting(self) -> int:
        """Hands what waits to the sender, and returns how much of it the sender took.

        Raises ConnectionFailed and the like where the node does not answer: everything stays as it was.
        """
        with self._sending:
            with self._database.reading() as connection:
                waiting = gateway.unsent_relays(connection)
            return sum(self._send(one) for one in waiting)

    def is_awaited(self, head: int) -> bool:
        """Whether a transaction that was sent is in no block up to `head`, as far as this process has sent it."""
        with self._sending:
            for one in sorted(self._awaited):
                found = self._sender.find(one)
                if found is None or (found.block_number is not None and found.block_number <= head):
                    self._awaited.discard(one)
            return bool(self._awaited)

    def try_refused(self, now: int) -> None:
        """Lets registrations that the contract refused wait again: what they lacked may have come.

        Not those whose trade is no longer valid at `now` (block time).
        """
        with self._database.reading() as connection:
            refused = gateway.refused_relays(connection, REGISTER)
        for one in refused:
            call = call_of(one.kind, one.call)
            if isinstance(call, RegisterTrade) and now <= call.trade.valid_until:
                with self._database.transaction() as connection:
                    gateway.move_relay(connection, one.seq, WAITING, one.reason)

    def look(self, relay: Relay) -> TransactionView:
        """What became of a relay. Opens a connection of its own."""
        found = self._sender.find(relay.id)
        if found is None:
            return _unsent(relay)
        return TransactionView(
            relay.id,
            relay.kind,
            relay.subject,
            found.state,
            found.hash,
            found.nonce,
            found.block_number,
            found.block_hash,
            found.reason,
            _FINALITY.get(found.state, Finality.PENDING),
            tuple(ActionView(one.name, one.times, one.first, one.last, one.error) for one in found.history),
        )

    def _send(self, relay: Relay) -> bool:
        call = call_of(relay.kind, relay.call)
        try:
            self._sender.submit(relay.id, call.contract, call.function, *call.arguments)
        except Reverted as error:
            return self._refused(relay, error.reason)
        except (GasRefused, CannotEncode) as error:
            return self._refused(relay, str(error))
        with self._database.transaction() as connection:
            gateway.move_relay(connection, relay.seq, SENT)
        self._awaited.add(relay.id)
        _log.info("relayed", tx_id=relay.id)
        return True

    def _refused(self, relay: Relay, reason: str) -> bool:
        if relay.reason != reason:
            _log.warning("relay refused", tx_id=relay.id, reason=reason)
        with self._database.transaction() as connection:
            gateway.move_relay(connection, relay.seq, REFUSED, reason)
        return False


_FINALITY: Final = {
    FINAL: Finality.FINAL,
    REVERTED: Finality.FINAL,
    INCLUDED: Finality.INCLUDED,
    ORPHANED: Finality.ORPHANED,
}


def _unsent(relay: Relay, state: str | None = None) -> TransactionView:
    """A relay of which the sender has nothing."""
    state = state or (REJECTED if relay.state == REFUSED else QUEUED)
    reason = relay.reason if state == REJECTED else None
    return TransactionView(
        relay.id, relay.kind, relay.subject, state, None, None, None, None, reason, Finality.PENDING, ()
    )
