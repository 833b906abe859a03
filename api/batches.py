"""Batches as the gateway keeps and shows them, and what is checked before one is taken in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from api.bodies import NewBatch
from api.calls import CommitBatch, Signed
from api.idempotency import Answer, Effect
from api.market import Market, Moment
from api.proposing import locks_fault
from api.relaying import Known, Relayer
from api.serving import RefusedValue, made
from api.trades import Lane
from api.typed_json import ToSign
from api.views.finality import Finality, of_block
from api.views.trade_life import place_of
from chain.errors import Reverted
from settlement import merkle, preimages
from settlement.documents import document
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from settlement.trade import TradeBatch
from store import gateway
from store.gateway import KeptBatch, Relay, SignatureSlots
from store.records import MemberSignature
from wire.problems import Refused

COMMIT = "commit"


class BatchState(StrEnum):
    """What has happened to a batch: `WAITING` for a block with all its signatures, or committed in one."""

    PENDING_SIGNATURES = "PENDING_SIGNATURES"
    WAITING = "WAITING"
    COMMITTED = "COMMITTED"


@dataclass(frozen=True, slots=True)
class BatchView:
    """A batch; `id` is the digest that its signers sign, `number` its commitment's, `transaction` what commits it."""

    id: Hash32
    batch: TradeBatch
    state: BatchState
    number: int | None
    transaction: str | None
    signatures: tuple[MemberSignature, ...]
    missing: tuple[Hash32, ...]
    trades: tuple[Hash32, ...]
    finality: Finality


@dataclass(frozen=True, slots=True)
class CollectedBatch:
    """What the database says of a batch."""

    kept: KeptBatch
    slots: SignatureSlots
    trades: tuple[Hash32, ...]
    relay: Relay | None


def collected_batch(connection: Connection, digest: Hash32) -> CollectedBatch | None:
    """What the database says of the batch of a digest; None where it is not known."""
    kept = gateway.batch(connection, digest)
    if kept is None:
        return None
    slots = gateway.signatures_on(connection, [digest])[digest]
    relay = gateway.newest_relay(connection, digest)
    return CollectedBatch(kept, slots, gateway.trades_of_batch(connection, digest), relay)


def batch_document(one: CollectedBatch, market: Market, moment: Moment) -> dict[str, Any]:
    """The batch as it is shown to those who may see all of it."""
    batch = one.kept.batch
    facts = market.facts(batch.cycle, moment)
    seen = place_of([batch.root], facts)
    if seen is not None and seen.commitment.record.sequence != batch.sequence:
        seen = None  # the same trades, committed by another batch
    state = BatchState.PENDING_SIGNATURES if one.slots.missing else BatchState.WAITING
    view = BatchView(
        id=one.kept.digest,
        batch=batch,
        state=state if seen is None else BatchState.COMMITTED,
        number=None if seen is None else seen.commitment.number,
        transaction=None if one.relay is None else one.relay.id,
        signatures=one.slots.in_order,
        missing=one.slots.missing,
        trades=one.trades,
        finality=of_block(None if seen is None else seen.event.block, moment.final),
    )
    wanted = [ToSign(member, batch, one.kept.digest) for member in one.slots.missing]
    made_of: dict[str, Any] = document(view)
    return made_of | {"to_sign": [each.document(market.domain) for each in wanted]}


class Batches:
    """Takes in batches for one market."""

    def __init__(self, market: Market, relayer: Relayer) -> None:
        self._market = market
        self._relayer = relayer

    def take_in(self, caller: Hash32, new: NewBatch) -> Effect:
        """Judges a batch that a member brings, or adds signatures to, and returns what keeps it and its trades.

        A batch without missing signatures is tried on the node first. Raises Refused: not the caller's, other trades
        than the batch says, locks that do not fit, a wrong signature, what the contract would refuse.
        """
        batch = new.batch
        if caller not in batch.signers:
            raise Refused("not-yours", "only a member that signs a batch brings it")
        moment = self._market.moment()
        fault = locks_fault(batch.locks)
        if fault is not None:
            raise RefusedValue(SettlementError("batch.locks", len(batch.locks), fault))
        digest = self._digest(batch, "batch")
        digests = [self._digest(one.trade, f"trades[{place}]") for place, one in enumerate(new.trades)]
        _check_trades(batch, digests)
        authority = self._market.authority()
        authority.check(digest, batch.signers, new.signatures, "signatures")
        for place, (one, trade_digest) in enumerate(zip(new.trades, digests, strict=True)):
            authority.check(trade_digest, one.trade.signers, one.signatures, f"trades/{place}/signatures")
        known = self._relayer.known(digest)
        if known is None and {one.member for one in new.signatures} == set(batch.signers):
            given = {one.member: one.signature for one in new.signatures}
            self._rehearse(CommitBatch(batch, tuple(given[member] for member in batch.signers)))

        def keep(connection: Connection) -> Answer:
            if gateway.batch(connection, digest) is None:
                gateway.keep_batch(connection, digest, batch, digests)
                gateway.expect_signatures(connection, digest, batch.signers)
            for one, trade_digest in zip(new.trades, digests, strict=True):
                if gateway.trade(connection, trade_digest) is None:
                    gateway.keep_trade(connection, trade_digest, one.trade, batch.cycle, Lane.BATCHED, (), None)
                    gateway.expect_signatures(connection, trade_digest, one.trade.signers)
                gateway.add_signatures(connection, trade_digest, one.signatures)
            gateway.add_signatures(connection, digest, new.signatures)
            return self._relayed(connection, digest, moment, known)

        return keep

    def _digest(self, value: object, where: str) -> Hash32:
        try:
            return self._market.domain.digest(value)
        except ValueError as error:
            raise RefusedValue(SettlementError(where, "", str(error))) from error

    def _relayed(self, connection: Connection, digest: Hash32, moment: Moment, known: Known | None) -> Answer:
        one = collected_batch(connection, digest)
        if one is None:
            raise AssertionError("the batch was kept in this transaction")
        if not one.slots.missing:
            call = CommitBatch(one.kept.batch, tuple(each.signature for each in one.slots.in_order))
            self._relayer.relay(connection, Signed(COMMIT, digest, call), one.slots.signers, known)
            one = collected_batch(connection, digest) or one
        return made(moment, batch_document(one, self._market, moment), 202)

    def _rehearse(self, call: CommitBatch) -> None:
        try:
            self._market.rehearse(call)
        except Reverted as error:
            raise contract_refuses(error) from error


def contract_refuses(error: Reverted) -> Refused:
    """The problem that a contract's refusal is, with its words."""
    return Refused("contract-refuses", f"{error.contract}.{error.function} refuses", facts={"reason": error.reason})


def _check_trades(batch: TradeBatch, digests: Sequence[Hash32]) -> None:
    if len(digests) != batch.count:
        raise Refused("batch-differs", f"the batch says {batch.count} trades, {len(digests)} came")
    if len(set(digests)) < len(digests):
        raise Refused("batch-differs", "a trade stands twice")
    if merkle.root([preimages.trade_leaf(one) for one in digests]) != batch.root:
        raise Refused("batch-differs", "the trades' root is not the batch's")
