"""Taking in trades and signatures: what is checked before anything is kept, and what a complete one sets going.

The core of every way in: routes hand a `NewTrade` to it, and so does whatever reads another protocol's messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sqlalchemy import Connection

from api.authority import Authority
from api.bodies import MoreSignatures, NewTrade
from api.idempotency import Answer, Effect
from api.market import Market, Moment
from api.relaying import Known, Relayer
from api.serving import RefusedValue, made
from api.trades import Collected, Lane, collected, life, trade_document
from settlement import preimages
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from settlement.trade import Lock, Place, Trade, TradeLocks, lock_signers
from settlement.units import AMOUNT_BOUND
from settlement.validity import place_fault
from store import gateway
from store.database import Database
from store.gateway import KeptTrade
from wire.problems import Refused

MAX_LOCKS = 16
BATCH_HAS_LOCKS = "a batch carries the locks of its trades"


class Proposals:
    """Takes in trades for one market."""

    def __init__(self, market: Market, database: Database, relayer: Relayer) -> None:
        self._market = market
        self._database = database
        self._relayer = relayer

    def propose(self, caller: Hash32, new: NewTrade) -> Effect:
        """Judges a trade that a member proposes, or adds signatures to, and returns what keeps it.

        Raises Refused: not the caller's, not valid in this market now, locks that do not fit, a wrong signature.
        """
        trade = new.trade
        if caller not in trade.signers:
            raise Refused("not-yours", "only a member that signs a trade proposes it")
        moment = self._market.moment()
        cycle, digest = self._judged(trade, moment)
        locks_digest = self._judged_locks(digest, new)
        authority = self._market.authority()
        authority.check(digest, trade.signers, new.signatures, "signatures")
        if locks_digest is not None:
            authority.check(locks_digest, lock_signers(trade, new.locks), new.lock_signatures, "lock_signatures")
        known = self._relayer.known(digest)

        def keep(connection: Connection) -> Answer:
            kept = gateway.trade(connection, digest)
            is_new = kept is None
            if kept is None:
                gateway.keep_trade(connection, digest, trade, cycle, new.lane, new.locks, locks_digest)
                gateway.expect_signatures(connection, digest, trade.signers)
                if locks_digest is not None:
                    gateway.expect_signatures(connection, locks_digest, lock_signers(trade, new.locks))
                kept = gateway.trade(connection, digest)
            if kept is None or (kept.lane, kept.locks) != (new.lane, new.locks):
                raise Refused("trade-differs", "the trade was proposed with another lane or other locks")
            more = MoreSignatures(new.signatures, new.lock_signatures)
            return self._add(connection, kept, more, moment, known, 201 if is_new else 200)

        return keep

    def sign(self, digest: Hash32, kept: KeptTrade, more: MoreSignatures) -> Effect:
        """Judges signatures on a trade that is kept, and returns what adds them. Raises Refused for a wrong one."""
        moment = self._market.moment()
        authority: Authority = self._market.authority()
        authority.check(digest, kept.trade.signers, more.signatures, "signatures")
        if kept.locks_digest is not None:
            signers = lock_signers(kept.trade, kept.locks)
            authority.check(kept.locks_digest, signers, more.lock_signatures, "lock_signatures")
        elif more.lock_signatures:
            raise RefusedValue(SettlementError("lock_signatures", len(more.lock_signatures), BATCH_HAS_LOCKS))
        known = self._relayer.known(digest)
        return lambda connection: self._add(connection, kept, more, moment, known, 200)

    def _judged(self, trade: Trade, moment: Moment) -> tuple[int, Hash32]:
        """The trade's cycle and digest, where it could be committed as it stands now."""
        try:
            cycle = self._market.calendar.cycle_of(trade.slot_start)
            digest = self._market.domain.digest(trade)
        except SettlementError as error:
            raise RefusedValue(error) from error
        except ValueError as error:
            raise RefusedValue(SettlementError("trade", "", str(error))) from error
        # As if it were registered in this block: the same judgement as will be passed on its place.
        record = preimages.registered_commitment(trade, digest, cycle, moment.time)
        place = Place(1, record, 0, ())
        fault = place_fault(place, trade, (), self._market.registry, self._market.config(cycle), self._market.domain)
        if fault is not None:
            raise Refused("place-invalid", fault)
        return cycle, digest

    def _judged_locks(self, digest: Hash32, new: NewTrade) -> Hash32 | None:
        if new.lane is Lane.BATCHED:
            for name, given in (("locks", new.locks), ("lock_signatures", new.lock_signatures)):
                if given:
                    raise RefusedValue(SettlementError(name, len(given), BATCH_HAS_LOCKS))
            return None
        fault = locks_fault(new.locks)
        if fault is not None:
            raise RefusedValue(SettlementError("locks", len(new.locks), fault))
        return self._market.domain.digest(TradeLocks(digest, new.locks))

    def _add(
        self,
        connection: Connection,
        kept: KeptTrade,
        more: MoreSignatures,
        moment: Moment,
        known: Known | None,
        status: int,
    ) -> Answer:
        gateway.add_signatures(connection, kept.digest, more.signatures)
        if kept.locks_digest is not None:
            gateway.add_signatures(connection, kept.locks_digest, more.lock_signatures)
        one = self._collected(connection, kept)
        if one.can_be_registered:
            self._relayer.relay(connection, one.signed, audience(one), known)
            one = self._collected(connection, kept)
        found = life(one, self._market, moment)
        return made(moment, trade_document(one, found, self._market), status)

    def _collected(self, connection: Connection, kept: KeptTrade) -> Collected:
        return collected(connection, [kept])[0]


def audience(one: Collected) -> tuple[Hash32, ...]:
    """The members whose business a trade is: its signers, and who locks for it."""
    return tuple(dict.fromkeys((*one.slots.signers, *one.lock_slots.signers)))


def locks_fault(locks: Sequence[Lock]) -> str | None:
    """Why locks are not as a commitment carries them, or None."""
    if len(locks) > MAX_LOCKS:
        return f"are at most {MAX_LOCKS}"
    if any(lock.payer == lock.payee or not 0 < lock.amount < AMOUNT_BOUND for lock in locks):
        return "are between two members, above 0 and below 2^96"
    if any((a.payer, a.payee) >= (b.payer, b.payee) for a, b in pairwise(locks)):
        return "are strictly sorted by payer and payee"
    return None
