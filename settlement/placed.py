"""A trade that counts in a cycle: a valid one, at its lowest place, with what is left of it after curtailment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from settlement.hashing import Hash32
from settlement.trade import Trade


class Side(IntEnum):
    """The two sides of a trade, each with its own meter and utility."""

    BUYER = 0
    SELLER = 1


@dataclass(frozen=True, slots=True)
class PlacedTrade:
    """A trade at place (number, index); `contracted_wh` is what is contracted after curtailment."""

    digest: Hash32
    trade: Trade
    number: int
    index: int
    contracted_wh: int

    def utility(self, side: Side) -> Hash32:
        """The utility that allocates this side."""
        return self.trade.buyer_utility if side is Side.BUYER else self.trade.seller_utility

    def meter(self, side: Side) -> Hash32:
        """The meter whose energy this side uses."""
        return self.trade.buyer_meter if side is Side.BUYER else self.trade.seller_meter


def once_each(trades: Iterable[PlacedTrade]) -> tuple[PlacedTrade, ...]:
    """Each trade once, at the lowest of the places given, in the order of places."""
    lowest: dict[Hash32, PlacedTrade] = {}
    for placed in sorted(trades, key=lambda one: (one.number, one.index)):
        lowest.setdefault(placed.digest, placed)
    return tuple(lowest.values())
