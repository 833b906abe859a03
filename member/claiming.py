"""Claiming: where no row came about, the payee shows its trades one by one and the chain computes each.

The last way, which needs nobody but the chain: neither the payer's signature nor a quorum's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from chain.claims import MadeClaim, claims_of
from member.board import Waiting
from member.packets import signatures_of
from member.proofs import LeavesOf, claims_figures, shown_for_claim
from member.reckoning import Reckoned, Reckoning
from member.sending import send_once
from settlement.figures import Figure
from settlement.hashing import Hash32
from settlement.placed import Side
from settlement.trade import ShownLeaf
from store.records import PlacedTrade, Way

if TYPE_CHECKING:
    from member.daemon import Daemon


class Claiming:
    """The stage that claims what is still not paid or owed a while after the seal. Cranks apply it."""

    name = "claiming"

    def __init__(self, daemon: Daemon[Any]) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._desk = daemon.desk
        self._me = daemon.me.id
        self._reckoning = Reckoning(daemon.desk, daemon.config)
        self._waiting: list[Waiting] = []

    def run(self) -> bool:
        """Claims every trade of every pair whose time has come."""
        self._waiting = []
        did = False
        for cycle in self._market.cycles():
            for pair in self._reckoning.pairs(cycle):
                reckoned = self._reckoning.of(cycle, pair)
                if reckoned is not None and self._is_claimed(reckoned):
                    did |= self._claim_all(reckoned)
        self._daemon.waits(self.name, self._waiting)
        return did

    def _is_claimed(self, reckoned: Reckoned) -> bool:
        """Whether this member is owed more than is applied, waited long enough, and no attested row is on its way."""
        if reckoned.way is not Way.AGREED or reckoned.pair[1] != self._me:
            return False
        if reckoned.content.amount <= reckoned.state.applied or self._has_row(reckoned):
            return False
        ready: int = self._market.sealed_at(reckoned.cycle, reckoned.run) + self._daemon.config.timings.claim_after
        return bool(self._market.now() >= ready)

    def _has_row(self, reckoned: Reckoned) -> bool:
        """Whether a row of this run has settled the pair, so that claims are left out, or one is pending."""
        state, run = reckoned.state, reckoned.run
        return state.has_row_of(run) or (state.pending is not None and state.pending.row.run == run)

    def _claim_all(self, reckoned: Reckoned) -> bool:
        made: dict[tuple[Hash32, int], list[MadeClaim]] = {}
        for one in claims_of(self._market.cycle(reckoned.cycle), reckoned.cycle):
            made.setdefault(one.of, []).append(one)
        did = False
        for placed in self._trades(reckoned):
            claims = made.get((placed.digest, reckoned.run), [])
            if any(one.applied_at for one in claims):
                continue
            # Claims of other figures keep nobody from making a right one beside them.
            own = {side: self._figures(reckoned)[placed.digest, side] for side in Side}
            right = [one for one in claims if claims_figures(one.claim, own)]
            if any(not one.struck_at for one in right):
                self._wait(reckoned, placed, "its claim is in its window")
                continue
            did |= self._claim(reckoned, placed, len(right))
        return did

    def _figures(self, reckoned: Reckoned) -> Mapping[tuple[Hash32, Side], Figure | None]:
        """This member's own figures of all sides in the row's run."""
        return self._desk.result(reckoned.cycle, reckoned.run).figures

    def _claim(self, reckoned: Reckoned, placed: PlacedTrade, struck: int) -> bool:
        record = self._desk.commitment(placed.number).commitment
        signatures = signatures_of(placed, record)
        shown = self._shown(reckoned, placed)
        if shown is None:
            self._wait(reckoned, placed, "a leaf that counts is not on the desk")
            return False
        intent = f"claim:0x{placed.digest.hex()}:{reckoned.run}:{struck}"
        place = placed.place(record)
        return send_once(self._market, intent, "Settlement", "claim", place, placed.trade, signatures, *shown)

    def _shown(self, reckoned: Reckoned, placed: PlacedTrade) -> list[list[ShownLeaf]] | None:
        """What proves both sides' figures, or None where a leaf is lacking."""
        counting = next(one for one in self._desk.counting(reckoned.cycle) if one.digest == placed.digest)
        figures = self._figures(reckoned)
        leaves = LeavesOf(self._desk.served(reckoned.cycle, reckoned.run))
        found = [shown_for_claim(leaves, counting, side, figures[placed.digest, side]) for side in Side]
        shown = [one for one in found if one is not None]
        return shown if len(shown) == len(found) else None

    def _trades(self, reckoned: Reckoned) -> Iterator[PlacedTrade]:
        """The trades in the row, each once, at its lowest place."""
        left = {leaf.trade_digest for leaf in reckoned.content.leaves}
        for one in self._desk.placed(reckoned.cycle):
            if one.digest in left:
                left.remove(one.digest)
                yield one

    def _wait(self, reckoned: Reckoned, placed: PlacedTrade, reason: str) -> None:
        other = (reckoned.other_than(self._me),)
        self._waiting.append(Waiting(reckoned.cycle, reason, other, reckoned.run, reckoned.pair, placed.digest))
