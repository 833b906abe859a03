"""Trades that came to the market's gateway: every member fetches those that lack its signature, and signs or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from member.board import Waiting
from member.cosigning import Cosigner, Fault, Refusal, SignedTrade, Terms
from member.daemon import Daemon
from member.errors import PeerRefused, PeerSilent
from member.gateway_pages import Glances, pages
from member.peers import Peer
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.hashing import Hash32, keccak256
from settlement.trade import Lock, Trade, TradeLocks, lock_signers
from store.records import MemberSignature
from wire.bodies import body_of

# The lane whose trades carry their own locks.
REGISTERED = "registered"


class LockRules(Protocol):
    """What a member signs to be locked for one trade, or that nothing is."""

    def locks_fault(self, trade: Trade, locks: tuple[Lock, ...], terms: Terms) -> Fault | None:
        """Why this member does not sign these locks, or None."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A trade at the gateway that lacks a signature of this member's, on itself or on its locks."""

    trade: Trade
    signatures: tuple[MemberSignature, ...]
    lane: str
    locks: tuple[Lock, ...]
    lock_signatures: tuple[MemberSignature, ...]

    @property
    def lock_signers(self) -> tuple[Hash32, ...]:
        """Who signs its locks here; those of a batched trade come with its batch."""
        return lock_signers(self.trade, self.locks) if self.lane == REGISTERED else ()

    @classmethod
    def read(cls, found: Any, where: str) -> Lacking:
        """Of the gateway's view of a trade, of which the rest is of no matter here. Raises SettlementError."""
        if not isinstance(found, Mapping):
            raise SettlementError(where, None, "must be an object")
        return value_of(cls, {name: found.get(name) for name in cls.__dataclass_fields__}, where)


class GatewaySigningStage:
    """Signs what lacks this member's signature at the gateway."""

    name = "gateway signatures"

    def __init__(self, daemon: Daemon[Any], cosigner: Cosigner, locks: LockRules) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._cosigner = cosigner
        self._locks = locks
        self._glances = Glances()
        self._given: set[Hash32] = set()  # signed and taken, in case the list is older

    def run(self) -> bool:
        """Looks through the gateway's list once."""
        gateway = self._daemon.peers.gateway
        if gateway is None or not self._glances.is_due(self._market.head().number):
            return False
        waiting: list[Waiting] = []
        did = False
        try:
            for place, item in enumerate(pages(gateway, f"/v1/trades?missing=0x{self._daemon.me.id.hex()}")):
                did |= self._sign(gateway, Lacking.read(item, f"$.items[{place}]"), waiting)
                if self._daemon.is_stopping:
                    break
        except (PeerSilent, PeerRefused, SettlementError) as error:
            # It has no power: without it, or with nonsense from it, registered trades wait and all else goes on.
            waiting.append(Waiting(self._market.calendar.cycle_of(self._market.now()), f"the gateway: {error}"))
        self._daemon.waits(self.name, waiting)
        return did

    def _sign(self, gateway: Peer, one: Lacking, waiting: list[Waiting]) -> bool:
        digest = self._market.domain.digest(one.trade)
        if digest in self._given:
            return False
        cycle = self._market.calendar.cycle_of(one.trade.slot_start)
        me = self._daemon.me.id
        is_whole = True
        body: dict[str, Any] = {"signatures": [], "lock_signatures": []}
        if me in one.trade.signers and me not in {by.member for by in one.signatures}:
            (answer,) = self._cosigner.sign([SignedTrade(one.trade, one.signatures)])
            if isinstance(answer, Refusal):
                reason = f"not signed: {answer.field}: {answer.reason}"
                waiting.append(Waiting(cycle, reason, (me,), trade=one.trade.trade_id))
                return False
            body["signatures"] = [document(answer)]
        if me in {*one.lock_signers} - {by.member for by in one.lock_signatures}:
            fault = self._locks.locks_fault(one.trade, one.locks, self._market.terms(one.trade.slot_start))
            if fault is not None:
                reason = f"locks not signed: {fault.field}: {fault.reason}"
                waiting.append(Waiting(cycle, reason, (me,), trade=one.trade.trade_id))
                is_whole = False
            else:
                signature = self._daemon.desk.sign(TradeLocks(digest, one.locks))
                body["lock_signatures"] = [document(MemberSignature.of(me, signature))]
        if not (body["signatures"] or body["lock_signatures"]):
            return False
        key = "sign-" + keccak256(digest, body_of(body)).hex()
        gateway.post(f"/v1/trades/0x{digest.hex()}/signatures", body, idempotency_key=key)
        if is_whole:
            self._given.add(digest)
        return True
