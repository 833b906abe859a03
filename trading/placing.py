"""Once a batch stands on the chain: every signer of its trades gets their places with the proofs, before delivery."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from member.board import Waiting
from member.errors import PeerRefused, PeerSilent
from member.trade_service import in_parts
from settlement.documents import document
from settlement.hashing import Hash32
from store.records import PlacedTrade
from trading.batchbook import KeptBatch
from trading.batching import tree_of
from trading.proposing import BatchRoom


class PlacingStage:
    """Notes where this platform's batches stand, and tells the others: both platforms do, so that one is enough."""

    name = "places"

    def __init__(self, room: BatchRoom) -> None:
        self._room = room
        self._daemon = room.daemon
        self._market = room.market

    def run(self) -> bool:
        """Tells whoever has not taken the places yet."""
        did = False
        waiting: list[Waiting] = []
        for kept in self._room.batches.all():
            if self._daemon.is_stopping or self._is_past(kept):
                continue
            number = self._room.commitment(kept)
            if number is None or (kept.is_told and kept.number == number):
                continue  # told; or not committed, or no longer: after a reorganisation it may stand elsewhere
            did |= self._place(kept, number, waiting)
        self._daemon.waits(self.name, waiting)
        return did

    def _is_past(self, kept: KeptBatch) -> bool:
        """Whether places are of no more use: nothing of the cycle can be allocated for the first time."""
        cycle = kept.proposed.batch.cycle
        config = self._market.config(cycle)
        return self._market.now() >= self._market.calendar.cycle_end(cycle) + config.run_deadlines[-1]

    def _place(self, kept: KeptBatch, number: int, waiting: list[Waiting]) -> bool:
        did = False
        if kept.number != number:
            moved = replace(kept, number=number, told=(), is_told=False, is_over=False)
            self._daemon.store.place(self._placed(moved, number), kept.proposed.batch.cycle)
            self._room.batches.move(kept, moved)
            self._daemon.log.info("batch placed", number=number, trades=kept.proposed.batch.count)
            kept, did = moved, True
        told = {*kept.told, *kept.pair}
        by_member: dict[Hash32, list[PlacedTrade]] = defaultdict(list)
        for one in self._placed(kept, number):
            for member in one.trade.signers:
                if member not in told:
                    by_member[member].append(one)
        for member in sorted(by_member):
            if self._tell(member, by_member[member], kept, waiting):
                after = replace(kept, told=(*kept.told, member))
                self._room.batches.move(kept, after)
                kept, did = after, True
        if set(by_member) <= set(kept.told):
            self._room.batches.move(kept, replace(kept, is_told=True))
            did = True
        return did

    def _placed(self, kept: KeptBatch, number: int) -> list[PlacedTrade]:
        """The batch's trades at their places."""
        tree = tree_of(kept.proposed.digests)
        return [
            PlacedTrade(one.digest, one.trade, number, index, tree.path(index), one.signatures)
            for index, one in enumerate(self._room.trades_of(kept.proposed.digests))
        ]

    def _tell(self, member: Hash32, trades: Sequence[PlacedTrade], kept: KeptBatch, waiting: list[Waiting]) -> bool:
        try:
            for part in in_parts(trades):
                self._daemon.peers.post(member, "/v1/trades/placed", {"trades": document(part)})
        except (PeerSilent, PeerRefused) as error:
            cycle = kept.proposed.batch.cycle
            waiting.append(Waiting(cycle, f"the places of {len(trades)} trades are not taken: {error}", (member,)))
            return False
        return True
