"""Batches: which trades of a pair of platforms are committed together, when, and with what locked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from member.cosigning import Fault
from settlement import preimages
from settlement.config import Config
from settlement.flows import Pair, waiting_amounts
from settlement.formula.templates import Template
from settlement.hashing import Hash32
from settlement.merkle import Tree
from settlement.placed import PlacedTrade
from settlement.trade import Lock, TradeBatch
from settlement.units import time_text
from store.records import OpenTrade


@dataclass(frozen=True, slots=True)
class ProposedBatch:
    """A batch and the digests of its trades in the order of its tree."""

    batch: TradeBatch
    digests: tuple[Hash32, ...]

    @property
    def key(self) -> str:
        """What makes a batch unique: its platforms and its sequence among theirs."""
        return f"{self.batch.platform_a.hex()}:{self.batch.platform_b.hex()}:{self.batch.sequence}"


def platform_pair(trade: OpenTrade) -> Pair:
    """The two platforms of a trade in the order of a batch."""
    low, high = sorted((trade.trade.buyer_platform, trade.trade.seller_platform))
    return low, high


def in_batch_order(trades: Iterable[OpenTrade]) -> tuple[OpenTrade, ...]:
    """Trades in the order in which a batch lists them: by slot and digest."""
    return tuple(sorted(trades, key=lambda one: (one.trade.slot_start, one.digest)))


def last_call(trades: Iterable[OpenTrade], config: Config) -> int:
    """The last block time at which a batch of all these trades can be committed, epoch seconds."""
    return min(min(one.trade.valid_until, one.trade.slot_start - config.gate) for one in trades)


def tree_of(digests: Sequence[Hash32]) -> Tree:
    """The tree over a batch's trades."""
    return Tree([preimages.trade_leaf(digest) for digest in digests])


def worst_case(trades: Iterable[OpenTrade], templates: Mapping[Hash32, Template]) -> dict[Pair, int]:
    """The most that each ordered pair of platforms can come to owe by these trades, base units."""
    owed: dict[Pair, int] = defaultdict(int)
    for one in trades:
        placed = PlacedTrade(one.digest, one.trade, 0, 0, one.trade.contracted_wh)
        platforms = {one.trade.buyer_platform, one.trade.seller_platform}
        for pair, amount in waiting_amounts(placed, templates[one.trade.template]):
            if set(pair) == platforms:
                owed[pair] += amount
    return owed


def locks_of(
    trades: Iterable[OpenTrade], templates: Mapping[Hash32, Template], percent: Mapping[Pair, int]
) -> tuple[Lock, ...]:
    """What is locked between the platforms of these trades: of each ordered pair's worst case what the two agreed."""
    owed = worst_case(trades, templates)
    return preimages.sorted_locks({pair: amount * percent.get(pair, 0) // 100 for pair, amount in owed.items()})


def make_batch(
    trades: Sequence[OpenTrade],
    sequence: int,
    templates: Mapping[Hash32, Template],
    percent: Mapping[Pair, int],
) -> ProposedBatch:
    """The batch of some trades of one pair of platforms and one cycle."""
    ordered = in_batch_order(trades)
    platform_a, platform_b = platform_pair(ordered[0])
    digests = tuple(one.digest for one in ordered)
    batch = TradeBatch(
        cycle=ordered[0].cycle,
        platform_a=platform_a,
        platform_b=platform_b,
        sequence=sequence,
        earliest_slot=ordered[0].trade.slot_start,
        count=len(ordered),
        root=tree_of(digests).root,
        locks=locks_of(ordered, templates, percent),
    )
    return ProposedBatch(batch, digests)


def batch_fault(
    proposed: ProposedBatch,
    known: Mapping[Hash32, OpenTrade],
    config: Config,
    templates: Mapping[Hash32, Template],
    percent: Mapping[Pair, int],
    last_sequence: int,
    now: int,
) -> Fault | None:
    """Why the other platform of a batch does not sign it, or None.

    `known` are the trades that it has, by digest; it signs only what is signed by all, as it would have made it.
    """
    batch = proposed.batch
    for digest in proposed.digests:
        trade = known.get(digest)
        if trade is None:
            return Fault("digests", f"0x{digest.hex()} is not known here")
        if trade.missing:
            return Fault("digests", f"0x{digest.hex()} lacks a signature of 0x{trade.missing[0].hex()}")
    if not proposed.digests or len(set(proposed.digests)) < len(proposed.digests):
        return Fault("digests", "empty, or a trade stands in it twice")
    trades = [known[digest] for digest in proposed.digests]
    if len({(platform_pair(one), one.cycle) for one in trades}) > 1:
        return Fault("digests", "trades of several cycles or pairs of platforms")
    if batch.sequence <= last_sequence:
        return Fault("sequence", f"not above {last_sequence}, the last one committed")
    if now > last_call(trades, config):
        return Fault("digests", f"one of them could be committed until {time_text(last_call(trades, config))} only")
    ours = make_batch(trades, batch.sequence, templates, percent)
    for name in ("cycle", "platform_a", "platform_b", "earliest_slot", "count", "locks"):
        if getattr(batch, name) != getattr(ours.batch, name):
            return Fault(name, "is not what this platform makes of these trades")
    if batch.root != ours.batch.root or proposed.digests != ours.digests:
        return Fault("root", "is not over these trades in the order of slots and digests")
    return None
