"""What one hands over so that somebody else can recompute a row: its trades with signatures and places, its leaves.

A packet proves itself: every place is judged by the chain, every leaf stands in a tree that its utility posted. What
is public (curtailments, marks, sealed inputs) is not in it; whoever recomputes takes that from the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chain.errors import Reverted
from settlement import cycle as rules
from settlement import merkle, preimages
from settlement.figures import Marks, SeenLeaf, Terms
from settlement.flows import Pair
from settlement.formula.templates import Template
from settlement.hashing import ZERO_HASH, Hash32
from settlement.placed import PlacedTrade as CountingTrade
from settlement.rows import RowContent
from settlement.trade import Commitment, Place, Signature, Trade
from store.records import PlacedTrade, RecordedCommitment, ServedLeaf


class PacketRefused(Exception):
    """A packet that does not prove itself; `where` names the part, the message says what is wrong with it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class Chain(Protocol):
    """What of the chain a packet is judged by."""

    def check_place(self, place: Place, trade: Trade, signatures: Sequence[Signature]) -> Hash32:
        """The trade's digest if the place is valid as of its commitment; raises Reverted with the reason if not."""

    def posted(self, cycle: int, run: int, utility: Hash32) -> Hash32:
        """What is kept of the tree that a utility posted in a run (`preimages.posted_tree`), zero where it did not."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What is shown about one row."""

    cycle: int
    run: int
    payer: Hash32
    payee: Hash32
    trades: tuple[PlacedTrade, ...]
    commitments: tuple[RecordedCommitment, ...]
    served: tuple[ServedLeaf, ...]

    @property
    def pair(self) -> Pair:
        """The ordered pair (payer, payee)."""
        return self.payer, self.payee

    @property
    def digests(self) -> frozenset[Hash32]:
        """The trades in it."""
        return frozenset(one.digest for one in self.trades)

    def with_added(self, other: Packet) -> Packet:
        """Both packets' trades, commitments and leaves, each once; `other` is about the same row."""
        return Packet(
            self.cycle,
            self.run,
            self.payer,
            self.payee,
            tuple(dict.fromkeys((*self.trades, *other.trades))),
            tuple(dict.fromkeys((*self.commitments, *other.commitments))),
            tuple(dict.fromkeys((*self.served, *other.served))),
        )

    def without(self, other: Packet) -> Packet:
        """What this packet has beyond `other`: trades and leaves that are not in it."""
        trades = tuple(one for one in self.trades if one not in set(other.trades))
        numbers = {one.number for one in trades}
        return Packet(
            self.cycle,
            self.run,
            self.payer,
            self.payee,
            trades,
            tuple(one for one in self.commitments if one.number in numbers),
            tuple(one for one in self.served if one not in set(other.served)),
        )

    @property
    def is_empty(self) -> bool:
        """Whether it shows nothing."""
        return not self.trades and not self.served


def signatures_of(placed: PlacedTrade, commitment: Commitment) -> list[Signature]:
    """The signatures that prove a place: the trade's in role order; none for a registered trade.

    What a registered trade's signers signed was verified when it was taken.
    """
    if commitment.sequence == 0:
        return []
    given = {one.member: one.signature for one in placed.signatures}
    return [given[member] for member in placed.trade.signers if member in given]


def check_places(chain: Chain, cycle: int, trades: Iterable[PlacedTrade], records: Mapping[int, object]) -> None:
    """Raises PacketRefused unless every trade stands at a place of the cycle that the chain finds valid.

    `records` are the commitments that came with the trades, by number.
    """
    for one in trades:
        where = f"trade 0x{one.digest.hex()}"
        record = records.get(one.number)
        if not isinstance(record, RecordedCommitment):
            raise PacketRefused(where, f"commitment {one.number} is not in the packet")
        commitment = record.commitment
        if commitment.cycle != cycle:
            raise PacketRefused(where, f"it was committed in cycle {commitment.cycle}")
        try:
            digest = chain.check_place(one.place(commitment), one.trade, signatures_of(one, commitment))
        except Reverted as error:
            raise PacketRefused(where, error.reason) from error
        if digest != one.digest:
            raise PacketRefused(where, f"its digest is 0x{digest.hex()}")


def check_leaves(chain: Chain, cycle: int, run: int, served: Iterable[ServedLeaf]) -> None:
    """Raises PacketRefused unless every leaf, of a run up to `run`, stands in the tree that its utility posted."""
    posted: dict[tuple[int, Hash32], Hash32] = {}
    for one in served:
        where = f"leaf {one.position} of run {one.run}"
        if one.run > run:
            raise PacketRefused(where, f"the row is of run {run}")
        key = one.run, one.utility
        if key not in posted:
            posted[key] = chain.posted(cycle, *key)
        if posted[key] == ZERO_HASH or preimages.posted_tree(one.root, one.count) != posted[key]:
            raise PacketRefused(where, "its tree is not the posted one")
        if not merkle.verify(one.root, one.count, one.position, preimages.allocation_leaf(one.leaf), one.path):
            raise PacketRefused(where, "it is not in its tree")


def check_packet(chain: Chain, packet: Packet) -> None:
    """Raises PacketRefused unless every trade's place and every leaf of the packet is proven."""
    records = {one.number: one for one in packet.commitments}
    check_places(chain, packet.cycle, packet.trades, records)
    check_leaves(chain, packet.cycle, packet.run, packet.served)
    for one in packet.served:
        if one.leaf.trade_digest not in packet.digests:
            raise PacketRefused(f"leaf {one.position} of run {one.run}", "its trade is not in the packet")


def recompute(
    packet: Packet,
    counting: Iterable[CountingTrade],
    marks: Marks,
    templates: Mapping[Hash32, Template],
    terms: Terms,
) -> tuple[RowContent, rules.RunResult]:
    """The row that a checked packet comes to, and the whole result; `counting` are its trades after curtailment."""
    seen = (SeenLeaf(one.run, one.utility, one.leaf) for one in packet.served)
    result = rules.settle_run(packet.run, counting, seen, marks, templates, terms)
    return result.rows.get(packet.pair, RowContent(*packet.pair, ())), result
