"""What an attestor knows of rows between others: packets that proved themselves, and who was heard about each row.

A packet counts once the chain has borne out every part of it. Before an attestor signs, the row's other member is
shown the packet and has the market's attest wait to add what was left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from member.desk import counting
from member.market import Market
from member.packets import Packet, recompute
from settlement.cycle import RunResult
from settlement.documents import document, value_of
from settlement.figures import Terms
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade as CountingTrade
from settlement.rows import RowContent
from settlement.trade import Place, Signature, Trade
from store.desk import DeskStore

HEARING: Final = "hearing"
PACKET: Final = "packet"


@dataclass(frozen=True, slots=True)
class Hearing:
    """A row that one of its members asks an attestor for.

    `root` is that of the row's leaves: for other leaves the wait begins anew. `asked_at` is the chain's time of the
    first request, `shown_at` that at which the other member was shown the packet, or first gave no answer: from then
    on it has the market's attest wait. `is_heard`: it has answered.
    """

    cycle: int
    run: int
    payer: Hash32
    payee: Hash32
    asker: Hash32
    root: Hash32
    asked_at: int
    shown_at: int | None
    is_heard: bool

    @property
    def pair(self) -> Pair:
        """The ordered pair (payer, payee)."""
        return self.payer, self.payee

    @property
    def other(self) -> Hash32:
        """The member that did not ask."""
        return self.payee if self.asker == self.payer else self.payer

    @property
    def key(self) -> str:
        """The key under which it is kept: one for each of the row's members."""
        return f"{_row_key(self.cycle, self.run, self.pair)}:0x{self.asker.hex()}"


class Hearings:
    """Hearings and packets in a member's store. Any thread may use it."""

    def __init__(self, store: DeskStore) -> None:
        self._store = store

    def find(self, hearing: Hearing) -> Hearing | None:
        """What is kept of a hearing, if it is about the same leaves."""
        kept = self._store.fact(HEARING, hearing.key)
        found = None if kept is None else value_of(Hearing, kept)
        return found if found is not None and found.root == hearing.root else None

    def keep(self, hearing: Hearing) -> None:
        """Keeps how far a hearing got."""
        self._store.keep_fact(HEARING, hearing.key, document(hearing))

    def unheard(self) -> list[Hearing]:
        """The hearings whose other member has not answered."""
        found = (value_of(Hearing, one) for one in self._store.facts(HEARING).values())
        return [one for one in found if not one.is_heard]

    def packet(self, cycle: int, run: int, pair: Pair) -> Packet | None:
        """All that was shown of a row and proved itself."""
        kept = self._store.fact(PACKET, _row_key(cycle, run, pair))
        return None if kept is None else value_of(Packet, kept)

    def add(self, packet: Packet) -> Packet:
        """Adds a packet that proved itself to what was shown before; the whole."""
        known = self.packet(packet.cycle, packet.run, packet.pair)
        whole = packet if known is None else known.with_added(packet)
        if whole != known:
            self._store.keep_fact(PACKET, _row_key(packet.cycle, packet.run, packet.pair), document(whole))
        return whole


class OnChain:
    """The chain that packets are judged by, as followed by a member."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def check_place(self, place: Place, trade: Trade, signatures: Sequence[Signature]) -> Hash32:
        """The contract's own check. Raises Reverted with its reason."""
        digest: Hash32 = self._market.call("TradeResult", "check_place", place, trade, list(signatures))
        return digest

    def posted(self, cycle: int, run: int, utility: Hash32) -> Hash32:
        """What the contract keeps of a utility's tree."""
        kept: Hash32 = self._market.call("AllocationOracle", "posted", cycle, run, utility)
        return kept


def recomputed(market: Market, packet: Packet) -> tuple[RowContent, RunResult, Mapping[Hash32, CountingTrade]]:
    """The row that a checked packet comes to by what the chain says now, the whole result, and its trades by digest."""
    trades = {one.digest: one for one in counting(packet.trades, market.curtailments(packet.cycle))}
    marks = market.marks(packet.cycle, packet.run, trades.values())
    terms = Terms.of(packet.cycle, market.config(packet.cycle))
    content, result = recompute(packet, trades.values(), marks, market.templates, terms)
    return content, result, trades


def _row_key(cycle: int, run: int, pair: Pair) -> str:
    return f"{cycle}:{run}:0x{pair[0].hex()}:0x{pair[1].hex()}"
