"""Batches between two platforms: the lower id of the two proposes, both sign, one of them commits before the gate."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from chain.errors import Reverted
from chain.outbox import REVERTED, SUPERSEDED
from member.board import Waiting
from member.cosigning import Fault, SignedTrade, Terms, signature_fault
from member.daemon import Daemon
from member.errors import PeerRefused, PeerSilent
from member.service import Body, Caller, answer
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.trade import TradeBatch
from store.records import MemberSignature, OpenTrade
from trading.batchbook import BatchBook, KeptBatch
from trading.batching import ProposedBatch, batch_fault, last_call, make_batch, platform_pair
from trading.booking import OrderBook
from trading.config import PlatformConfig, Relay
from trading.orders import Lane
from wire.problems import FieldProblem, Refused

_SECOND_TRY: Final = 2  # after so much of the time before the gate is left (1/2), trades the other refuses are left out
_OTHERS_TURN: Final = 4  # when so little of it is left (1/4), the other platform commits what both have signed


@dataclass(frozen=True, slots=True)
class SignedBatch:
    """A batch with its proposer's signature, as platforms hand it to each other."""

    proposed: ProposedBatch
    signature: MemberSignature


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch as the gateway takes it."""

    batch: TradeBatch
    trades: tuple[SignedTrade, ...]
    signatures: tuple[MemberSignature, ...]


class BatchRoom:
    """What a platform knows of its batches and of the trades that could stand in one."""

    def __init__(self, daemon: Daemon[PlatformConfig], orders: OrderBook, batches: BatchBook) -> None:
        self.daemon = daemon
        self.market = daemon.market
        self.orders = orders
        self.batches = batches
        self.me = daemon.me.id

    def percent(self, pair: Pair) -> dict[Pair, int]:
        """What was agreed to be locked between two platforms, of each direction's worst case."""
        other = next((member for member in pair if member != self.me), self.me)
        percent = self.daemon.config.partner(other).lock_percent
        return {pair: percent, (pair[1], pair[0]): percent}

    def trades_of(self, digests: Iterable[Hash32]) -> list[OpenTrade]:
        """The trades of a batch that this platform signed. StoreError would be a defect: it had them all."""
        found = (self.daemon.store.open_trade(digest) for digest in digests)
        return [one for one in found if one is not None]

    def placed(self, cycle: int) -> frozenset[Hash32]:
        """The trades of a cycle that stand on the chain."""
        return frozenset(one.digest for one in self.daemon.desk.placed(cycle))

    def commitment(self, kept: KeptBatch) -> int | None:
        """The number of a batch's commitment on the chain as followed now."""
        batch = kept.proposed.batch
        for number, one in self.market.cycle(batch.cycle).commitments.items():
            record = one.record
            if (record.platform_a, record.platform_b, record.sequence, record.root) == (
                *kept.pair,
                batch.sequence,
                batch.root,
            ):
                return number
        return None

    def last_sequence(self, pair: Pair) -> int:
        """The highest sequence that a pair has used on the chain."""
        found: int = self.market.call("TradeBook", "last_sequence", *pair)
        return found

    def last_call(self, kept: KeptBatch) -> int:
        """The last time at which a batch can be committed."""
        return last_call(self.trades_of(kept.proposed.digests), self.market.config(kept.proposed.batch.cycle))

    def candidates(self) -> Mapping[tuple[int, Pair], Sequence[OpenTrade]]:
        """Trades signed by all that can still be committed and stand in no live batch, by cycle and platforms."""
        now = self.market.now()
        wanted: dict[int, set[Hash32]] = defaultdict(set)
        for kept in self.orders.all():
            if kept.lane is Lane.BATCHED and kept.order.valid_until >= now:
                wanted[self.market.calendar.cycle_of(kept.order.slot_start)].add(kept.order.trade_id())
        taken = self.batches.live_digests()
        found: dict[tuple[int, Pair], list[OpenTrade]] = defaultdict(list)
        for cycle, ids in wanted.items():
            placed = self.placed(cycle)
            for one in self.daemon.store.open_trades(cycle):
                is_free = one.digest not in taken and one.digest not in placed
                if one.trade.trade_id in ids and not one.missing and is_free:
                    found[cycle, platform_pair(one)].append(one)
        return found


class ProposingStage:
    """Proposes batches when their time comes, has the other platform sign, and commits them."""

    name = "batches"

    def __init__(self, room: BatchRoom) -> None:
        self._room = room
        self._daemon = room.daemon
        self._market = room.market
        self._refused: dict[str, frozenset[Hash32]] = {}  # by batch, the trades that the other platform would not take
        self._waiting: list[Waiting] = []
        self._complaints: list[str] = []

    def run(self) -> bool:
        """Goes on with every live batch, then proposes what is due."""
        self._waiting, self._complaints = [], []
        did = False
        for kept in self._room.batches.all():
            if kept.is_live:
                did |= self._go_on(kept)
        candidates = self._room.candidates()
        for cycle, pair in sorted(candidates):
            if pair[0] == self._room.me and self._room.batches.live(pair) is None:
                did |= self._propose(cycle, pair, candidates[cycle, pair])
        self._daemon.waits(self.name, self._waiting)
        self._daemon.complains(self.name, self._complaints)
        return did

    # --- proposing ---

    def _propose(self, cycle: int, pair: Pair, trades: Sequence[OpenTrade]) -> bool:
        config = self._market.config(cycle)
        now = self._market.now()
        trades = [one for one in trades if last_call([one], config) >= now]
        if not trades or now < last_call(trades, config) - self._early:
            return False
        if now + config.commit_ahead < self._market.calendar.cycle_start(cycle):
            return False
        used = max((one.proposed.batch.sequence for one in self._room.batches.all() if one.pair == pair), default=0)
        sequence = max(used, self._room.last_sequence(pair)) + 1
        return self._sign(make_batch(trades, sequence, self._market.templates, self._room.percent(pair)))

    def _sign(self, proposed: ProposedBatch) -> bool:
        signature = MemberSignature.of(self._room.me, self._daemon.desk.sign(proposed.batch))
        self._room.batches.keep(KeptBatch(proposed, (signature,)))
        return True

    # --- going on ---

    def _go_on(self, kept: KeptBatch) -> bool:
        batch = kept.proposed.batch
        if self._room.commitment(kept) is not None:
            return False  # the next stage notes where it stands
        if self._market.now() > self._room.last_call(kept) or self._room.last_sequence(kept.pair) >= batch.sequence:
            self._complaints.append(f"batch {batch.sequence} of cycle {batch.cycle} was not committed in time")
            self._room.batches.move(kept, replace(kept, is_over=True))
            return True
        if kept.missing:
            return batch.platform_a == self._room.me and self._ask(kept)
        return self._commit(kept)

    def _ask(self, kept: KeptBatch) -> bool:
        """Asks the other platform to sign; what it refuses is left out when time gets short."""
        batch = kept.proposed.batch
        other = kept.missing[0]
        mine = next(one for one in kept.signatures if one.member == self._room.me)
        try:
            found = self._daemon.peers.post(other, "/v1/batches/sign", document(SignedBatch(kept.proposed, mine)))
            signature = value_of(MemberSignature, found)
            terms = self._market.terms(batch.earliest_slot)
            fault = signature_fault(self._market.domain.digest(batch), (other,), (signature,), terms)
            if fault is not None:
                raise SettlementError(fault.field, batch.root, fault.reason)
        except PeerRefused as error:
            self._waiting.append(Waiting(batch.cycle, f"batch {batch.sequence}: {error}", (other,), pair=kept.pair))
            return self._without_refused(kept, error)
        except (PeerSilent, SettlementError) as error:
            self._waiting.append(Waiting(batch.cycle, f"batch {batch.sequence}: {error}", (other,), pair=kept.pair))
            return False
        self._room.batches.move(kept, replace(kept, signatures=(*kept.signatures, signature)))
        return True

    def _without_refused(self, kept: KeptBatch, error: PeerRefused) -> bool:
        """The same batch without the trades that the other platform would not take; whether there is one."""
        listed = error.problem.facts.get("digests", [])
        refused = {bytes.fromhex(one[2:]) for one in listed if isinstance(one, str) and _is_word(one)}
        left = [one for one in self._room.trades_of(kept.proposed.digests) if one.digest not in refused]
        half_over = self._market.now() >= self._room.last_call(kept) - self._early // _SECOND_TRY
        if not half_over or len(left) in (0, len(kept.proposed.digests)):
            return False
        batch = kept.proposed.batch
        percent = self._room.percent(kept.pair)
        return self._sign(make_batch(left, batch.sequence, self._market.templates, percent))

    # --- committing ---

    def _commit(self, kept: KeptBatch) -> bool:
        """Sends what both have signed: the proposer at once, the other one when time gets short."""
        batch = kept.proposed.batch
        is_mine = batch.platform_a == self._room.me
        if not is_mine and self._market.now() < self._room.last_call(kept) - self._early // _OTHERS_TURN:
            return False
        if self._daemon.config.platform.relay is Relay.GATEWAY:
            return self._through_gateway(kept)
        intent = f"batch:{self._market.domain.digest(batch).hex()}"
        sent = self._market.sender.find(intent)
        if sent is not None:
            if sent.state in (REVERTED, SUPERSEDED):
                self._complaints.append(f"batch {batch.sequence} of cycle {batch.cycle} failed: {sent.reason}")
                self._room.batches.move(kept, replace(kept, is_over=True))
                return True
            return False
        try:
            self._market.submit(intent, "TradeBook", "commit_batch", batch, kept.in_order, [])
        except Reverted as error:
            self._complaints.append(f"batch {batch.sequence} of cycle {batch.cycle} is refused: {error.reason}")
            return False
        self._daemon.log.info("batch sent", cycle=batch.cycle, sequence=batch.sequence, trades=batch.count)
        return True

    def _through_gateway(self, kept: KeptBatch) -> bool:
        batch = kept.proposed.batch
        gateway = self._daemon.peers.gateway
        trades = tuple(SignedTrade(one.trade, one.signatures) for one in self._room.trades_of(kept.proposed.digests))
        body = document(NewBatch(batch, trades, kept.signatures))
        # Once a block: what the chain refused, or what failed, may go through later.
        key = f"{self._market.domain.digest(batch).hex()}-{self._market.head().number}"
        try:
            if gateway is None:
                raise PeerSilent("gateway", "no address here")
            gateway.post("/v1/batches", body, idempotency_key=key)
        except (PeerSilent, PeerRefused) as error:
            self._waiting.append(Waiting(batch.cycle, f"batch {batch.sequence}: {error}", pair=kept.pair))
        return False  # the chain says when it is there

    @property
    def _early(self) -> int:
        return self._daemon.config.platform.batch_before_gate


def routes(room: BatchRoom) -> APIRouter:
    """`POST /v1/batches/sign`."""
    router = APIRouter(prefix="/v1")

    @router.post("/batches/sign")
    def sign(caller: Caller, body: Body) -> Response:
        """This platform's signature on a batch that it would have made itself of trades that it knows as signed."""
        asked = value_of(SignedBatch, body)
        with room.batches.lock:
            signature = _signature(room, caller, asked)
        room.daemon.wake()
        return answer(document(signature))

    return router


def _signature(room: BatchRoom, caller: Hash32, asked: SignedBatch) -> MemberSignature:
    """The signature, kept before it is given. Raises Refused (`batch-refused`) with what does not fit."""
    batch = asked.proposed.batch
    if caller != batch.platform_a or room.me != batch.platform_b or asked.signature.member != caller:
        raise batch_refused(Fault("platform_a", "a batch is proposed by the lower of its two platforms"))
    kept = room.batches.find(asked.proposed.key)
    if kept is not None and not kept.is_over:
        if kept.proposed == asked.proposed:
            return next(one for one in kept.signatures if one.member == room.me)
        raise batch_refused(Fault("sequence", "another batch is signed under it"))
    trades = {one.digest: one for one in room.trades_of(asked.proposed.digests)}
    fault = (
        signature_fault(room.market.domain.digest(batch), (caller,), (asked.signature,), _terms(room, asked))
        or _stands_already(room, asked.proposed)
        or batch_fault(
            asked.proposed,
            trades,
            room.market.config(batch.cycle),
            room.market.templates,
            room.percent((batch.platform_a, batch.platform_b)),
            room.last_sequence((batch.platform_a, batch.platform_b)),
            room.market.now(),
        )
    )
    if fault is not None:
        not_here = [digest for digest in asked.proposed.digests if digest not in trades or trades[digest].missing]
        raise batch_refused(fault, not_here)
    mine = MemberSignature.of(room.me, room.daemon.desk.sign(batch))
    room.batches.keep(KeptBatch(asked.proposed, (asked.signature, mine)))
    return mine


def _stands_already(room: BatchRoom, proposed: ProposedBatch) -> Fault | None:
    """Whether one of the trades stands on the chain, or in another batch that may still come there."""
    live = room.batches.live_digests()
    placed = room.placed(proposed.batch.cycle)
    for digest in proposed.digests:
        if digest in placed:
            return Fault("digests", f"0x{digest.hex()} is committed already")
        other = live.get(digest)
        if other is not None and other.proposed.key != proposed.key:
            return Fault("digests", f"0x{digest.hex()} stands in batch {other.proposed.batch.sequence}")
    return None


def batch_refused(fault: Fault, not_here: Sequence[Hash32] = ()) -> Refused:
    """The problem with a batch; `not_here` are the trades that this platform does not have, or not signed by all."""
    return Refused(
        "batch-refused",
        f"{fault.field}: {fault.reason}",
        errors=(FieldProblem(f"#/proposed/{fault.field}", fault.reason),),
        facts={"digests": ["0x" + one.hex() for one in not_here]},
    )


def _terms(room: BatchRoom, asked: SignedBatch) -> Terms:
    return room.market.terms(asked.proposed.batch.earliest_slot)


def _is_word(text: str) -> bool:
    return re.fullmatch("0x[0-9a-f]{64}", text, re.ASCII) is not None
