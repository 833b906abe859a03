"""The demo's order book: what the homes trade, decided the evening before from what was known then.

At 18:00 Indian time each platform offers, for every hour of the next day, what its sellers exported in the same hour
of the last day whose meters have been read by then: that very day for hours that are over, the day before for the
evening hours. Buyers ask for what they imported in that hour. So the quantities are a naive forecast, and what the
homes then deliver and use falls short of it as it does in life. Energy goes in lots of at most 500 Wh; buyers choose
in turns, each the cheapest lot left. Pure: the same homes give the same trades.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from demo.homes import DAYS, HOURS, Home

OFFERED_AT_HOUR = 18
DELIVERY_DAYS = range(1, DAYS)
LOT_WH = 500
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


@dataclass(slots=True)
class _Lot:
    seller: int
    price: int
    wh: int


def price_of(home: int) -> int:
    """What a home asks for its energy all week, base units per kWh: no two of the homes ask the same."""
    steps = (HIGHEST_PRICE - LOWEST_PRICE) // PRICE_STEP + 1
    return LOWEST_PRICE + home * 19 % steps * PRICE_STEP


def reference_day(day: int, hour: int) -> int:
    """The day whose same hour the offers for `day` and `hour` repeat; negative where the data begins too late."""
    return day - 1 if hour < OFFERED_AT_HOUR else day - 2


def plan_trades(homes: Sequence[Home]) -> tuple[PlannedTrade, ...]:
    """All trades of the week, ordered by (day, hour, buyer, seller, Wh).

    A pair of homes may trade several lots in an hour. The evening hours of the first delivery day have no day to look
    back at, so nothing is offered in them.
    """
    return tuple(sorted(trade for day in DELIVERY_DAYS for hour in range(HOURS) for trade in _match(homes, day, hour)))


def _match(homes: Sequence[Home], day: int, hour: int) -> Iterator[PlannedTrade]:
    """The trades of one hour. Who needs most chooses first, and all choose again until nobody finds a lot."""
    seen = reference_day(day, hour)
    if seen < 0:
        return
    lots = sorted((lot for home in homes for lot in _lots(home, seen, hour)), key=lambda lot: lot.price)
    needs = {home.index: home.imported_wh(seen, hour) for home in homes}
    choosing = sorted(needs, key=lambda home: (-needs[home], home))
    while choosing:
        still_choosing = []
        for buyer in choosing:
            lot = next((lot for lot in lots if min(lot.wh, needs[buyer]) >= LEAST_TRADE_WH), None)
            if lot:
                wh = min(lot.wh, needs[buyer])
                lot.wh -= wh
                needs[buyer] -= wh
                still_choosing.append(buyer)
                yield PlannedTrade(day, hour, buyer, lot.seller, wh, lot.price)
        choosing = still_choosing


def _lots(home: Home, day: int, hour: int) -> Iterator[_Lot]:
    """A home's surplus of an hour in lots of at most 500 Wh."""
    surplus = home.exported_wh(day, hour)
    for start in range(0, surplus, LOT_WH):
        yield _Lot(home.index, price_of(home.index), min(LOT_WH, surplus - start))
