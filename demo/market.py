"""The demo's order book: what the homes trade, decided the evening before from what was known then.

At 18:00 Indian time each platform offers, for every hour of the next day, what its sellers exported in the same hour
of the last day whose meters have been read by then: that very day for hours that are over, the day before for the
evening hours. Buyers ask for what they imported in that hour. The market matches greedily, so the quantities are a
naive forecast, and what the homes then deliver falls short of it as it does in life. Pure: the same homes give the
same trades.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from demo.homes import DAYS, HOURS, Home

OFFERED_AT_HOUR = 18
DELIVERY_DAYS = range(1, DAYS)
LEAST_TRADE_WH = 50

# Prices in base units (10^-6 INR) per kWh.
LOWEST_PRICE = 5_500_000
HIGHEST_PRICE = 8_000_000
PRICE_STEP = 50_000


@dataclass(frozen=True, slots=True, order=True)
class PlannedTrade:
    """`wh` to be delivered in one hour of a delivery day, homes by index, `price` in base units per kWh."""

    day: int
    hour: int
    buyer_home: int
    seller_home: int
    wh: int
    price: int


def price_of(home: int) -> int:
    """What a home asks for its energy all week, base units per kWh: no two of the homes ask the same."""
    steps = (HIGHEST_PRICE - LOWEST_PRICE) // PRICE_STEP + 1
    return LOWEST_PRICE + home * 19 % steps * PRICE_STEP


def reference_day(day: int, hour: int) -> int:
    """The day whose same hour the offers for `day` and `hour` repeat; negative where the data begins too late."""
    return day - 1 if hour < OFFERED_AT_HOUR else day - 2


def plan_trades(homes: Sequence[Home]) -> tuple[PlannedTrade, ...]:
    """All trades of the week, ordered by (day, hour, buyer, seller).

    A pair of homes trades at most once in an hour. The evening hours of the first delivery day have no day to look
    back at, so nothing is offered in them.
    """
    return tuple(sorted(trade for day in DELIVERY_DAYS for hour in range(HOURS) for trade in _match(homes, day, hour)))


def _match(homes: Sequence[Home], day: int, hour: int) -> Iterator[PlannedTrade]:
    """The trades of one hour: the buyer who needs most chooses first, each takes the cheapest offers left."""
    seen = reference_day(day, hour)
    if seen < 0:
        return
    offers = {home.index: home.exported_wh(seen, hour) for home in sorted(homes, key=lambda home: price_of(home.index))}
    for buyer in sorted(homes, key=lambda home: (-home.imported_wh(seen, hour), home.index)):
        wanted = buyer.imported_wh(seen, hour)
        for seller, offered in offers.items():
            wh = min(wanted, offered)
            if wh >= LEAST_TRADE_WH:
                yield PlannedTrade(day, hour, buyer.index, seller, wh, price_of(seller))
                wanted -= wh
                offers[seller] -= wh
