"""Trades as the gateway keeps and shows them: what was signed, what is missing, how far the chain has taken them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from api.calls import REGISTER, RegisterTrade, Signed
from api.market import Market, Moment
from api.typed_json import ToSign
from api.views.finality import Finality
from api.views.trade_life import Life, Reason, SigningTrade, State, life_of, roots_of
from settlement.documents import document
from settlement.hashing import Hash32
from settlement.trade import Lock, Trade, TradeLocks
from store import gateway
from store.gateway import NO_SLOTS, SENT, KeptTrade, Relay, SignatureSlots
from store.records import MemberSignature


class Lane(StrEnum):
    """How a trade comes onto the chain: alone with all its signatures, or in a batch of two platforms."""

    REGISTERED = "registered"
    BATCHED = "batched"


@dataclass(frozen=True, slots=True)
class TradeView:
    """A trade and how far it has come. `number` is its commitment's; `transaction` the id of what registers it."""

    digest: Hash32
    trade: Trade
    lane: Lane
    cycle: int
    state: State
    reason: Reason | None
    contracted_wh: int
    number: int | None
    run: int | None
    signatures: tuple[MemberSignature, ...]
    missing: tuple[Hash32, ...]
    locks: tuple[Lock, ...]
    lock_signatures: tuple[MemberSignature, ...]
    transaction: str | None
    finality: Finality


@dataclass(frozen=True, slots=True)
class Collected:
    """What the database says of a trade."""

    kept: KeptTrade
    slots: SignatureSlots
    lock_slots: SignatureSlots
    batch_roots: tuple[Hash32, ...]
    relay: Relay | None

    @property
    def missing(self) -> tuple[Hash32, ...]:
        """The members whose signature is missing, on the trade or its locks, each once."""
        return tuple(dict.fromkeys((*self.slots.missing, *self.lock_slots.missing)))

    @property
    def signed(self) -> Signed:
        """The call that registers the trade, once nothing is missing."""
        trade, of_locks = self.kept.trade, {one.member: one.signature for one in self.lock_slots.in_order}
        by_platforms = {member: of_locks.pop(member) for member in trade.platforms}
        call = RegisterTrade(
            trade,
            tuple(by_platforms.get(one.member, one.signature) for one in self.slots.in_order),
            self.kept.locks,
            tuple(of_locks.values()),
        )
        return Signed(REGISTER, self.kept.digest, call)

    @property
    def can_be_registered(self) -> bool:
        """Whether it is to be registered and nothing is missing for that."""
        return self.kept.lane == Lane.REGISTERED and not self.missing

    def to_sign(self) -> tuple[ToSign, ...]:
        """Every signature that is missing."""
        trade, locks = self.kept.trade, TradeLocks(self.kept.digest, self.kept.locks)
        on_trade = (ToSign(member, trade, self.kept.digest) for member in self.slots.missing)
        if self.kept.locks_digest is None:
            return tuple(on_trade)
        on_locks = [ToSign(member, locks, self.kept.locks_digest) for member in self.lock_slots.missing]
        return (*on_trade, *on_locks)


def collected(connection: Connection, kept: Sequence[KeptTrade]) -> tuple[Collected, ...]:
    """What the database says of these trades, in their order."""
    digests = [one.digest for one in kept]
    lock_digests = [one.locks_digest for one in kept if one.locks_digest is not None]
    slots = gateway.signatures_on(connection, [*digests, *lock_digests])
    placed = gateway.batches_with(connection, digests)
    relays = gateway.newest_relays(connection, digests)
    return tuple(
        Collected(
            one,
            slots[one.digest],
            NO_SLOTS if one.locks_digest is None else slots[one.locks_digest],
            tuple(stands.batch.root for stands, _ in placed.get(one.digest, ())),
            relays.get(one.digest),
        )
        for one in kept
    )


def life(one: Collected, market: Market, moment: Moment, *, orphaned: bool = False) -> Life:
    """How far a trade has come as of a moment."""
    # What was refused is tried again, and stays refused until the sender took it.
    refused = one.relay.reason if one.relay is not None and one.relay.state != SENT else None
    signing = SigningTrade(
        one.kept.digest,
        one.kept.trade,
        roots_of(one.kept.digest, one.batch_roots),
        len(one.slots.given) + len(one.lock_slots.given),
        one.missing,
        refused,
        orphaned,
    )
    return life_of(signing, market.facts(one.kept.cycle, moment), market.template(one.kept.trade.template))


def trade_view(one: Collected, found: Life) -> TradeView:
    """The trade as it is shown to those who may see all of it."""
    return TradeView(
        digest=one.kept.digest,
        trade=one.kept.trade,
        lane=Lane(one.kept.lane),
        cycle=one.kept.cycle,
        state=found.state,
        reason=found.reason,
        contracted_wh=found.contracted_wh,
        number=found.number,
        run=found.run,
        signatures=one.slots.in_order,
        missing=one.missing,
        locks=one.kept.locks,
        lock_signatures=one.lock_slots.in_order,
        transaction=None if one.relay is None else one.relay.id,
        finality=found.finality,
    )


def trade_document(one: Collected, found: Life, market: Market) -> dict[str, Any]:
    """The JSON form, with what is to be signed where a signature is missing and a commitment still possible."""
    made: dict[str, Any] = document(trade_view(one, found))
    wanted: Iterable[ToSign] = one.to_sign() if found.state in (State.PROPOSED, State.PENDING_SIGNATURES) else ()
    return made | {"to_sign": [each.document(market.domain) for each in wanted]}
