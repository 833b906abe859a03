"""The order book: nobody is over-offered, the cheapest goes first, the same homes give the same trades."""

from __future__ import annotations

from collections import defaultdict

import pytest

from demo.homes import DAYS, HOURS, Home, HomeHour, Reading
from demo.market import (
    DELIVERY_DAYS,
    HIGHEST_PRICE,
    LEAST_TRADE_WH,
    LOT_WH,
    LOWEST_PRICE,
    PRICE_STEP,
    PlannedTrade,
    plan_trades,
    price_of,
    reference_day,
)
from oracle.meters import Direction


@pytest.fixture(scope="module")
def trades(homes: tuple[Home, ...]) -> tuple[PlannedTrade, ...]:
    return plan_trades(homes)


def _home(index: int, net_wh: int) -> Home:
    """A home whose every hour nets the same: export if positive."""
    direction = Direction.EXPORT if net_wh > 0 else Direction.IMPORT
    hour = HomeHour(0, 0, Reading(direction, abs(net_wh), "0"))
    return Home(index, (hour,) * (DAYS * HOURS))


def _first_hour(*homes: Home) -> list[tuple[int, int, int]]:
    """(buyer, seller, Wh) in the first hour of the first delivery day."""
    return [(t.buyer_home, t.seller_home, t.wh) for t in plan_trades(homes) if (t.day, t.hour) == (1, 0)]


def test_no_seller_offers_more_than_it_exported(homes: tuple[Home, ...], trades: tuple[PlannedTrade, ...]) -> None:
    sold: dict[tuple[int, int, int, int], int] = defaultdict(int)
    for trade in trades:
        sold[trade.seller_home, reference_day(trade.day, trade.hour), trade.hour, trade.day] += trade.wh
    assert all(wh <= homes[seller].exported_wh(seen, hour) for (seller, seen, hour, _), wh in sold.items())


def test_no_buyer_takes_more_than_it_imported(homes: tuple[Home, ...], trades: tuple[PlannedTrade, ...]) -> None:
    bought: dict[tuple[int, int, int, int], int] = defaultdict(int)
    for trade in trades:
        bought[trade.buyer_home, reference_day(trade.day, trade.hour), trade.hour, trade.day] += trade.wh
    assert all(wh <= homes[buyer].imported_wh(seen, hour) for (buyer, seen, hour, _), wh in bought.items())


def test_trades_are_ordered_and_within_their_bounds(trades: tuple[PlannedTrade, ...]) -> None:
    assert list(trades) == sorted(trades)
    for trade in trades:
        assert trade.day in DELIVERY_DAYS
        assert LEAST_TRADE_WH <= trade.wh <= LOT_WH
        assert trade.buyer_home != trade.seller_home
        assert trade.price == price_of(trade.seller_home)


def test_the_same_homes_give_the_same_trades(homes: tuple[Home, ...], trades: tuple[PlannedTrade, ...]) -> None:
    assert plan_trades(homes) == trades
    assert plan_trades(homes[::-1]) == trades


def test_the_week_is_lively(homes: tuple[Home, ...], trades: tuple[PlannedTrade, ...]) -> None:
    assert len(trades) == 1127
    assert {trade.day for trade in trades} == set(DELIVERY_DAYS)
    sides = {(homes[trade.buyer_home].utility, homes[trade.seller_home].utility) for trade in trades}
    assert sides == {(0, 0), (0, 1), (1, 0), (1, 1)}
    short = [t for t in trades if homes[t.seller_home].exported_wh(t.day, t.hour) < t.wh]
    assert len(short) > len(trades) // 10


def test_prices_lie_on_their_steps_and_differ() -> None:
    prices = [price_of(home) for home in range(17)]
    assert len(set(prices)) == 17
    assert all(LOWEST_PRICE <= price <= HIGHEST_PRICE and price % PRICE_STEP == 0 for price in prices)


def test_offers_repeat_what_is_known_at_six_in_the_evening() -> None:
    assert reference_day(3, 17) == 2
    assert reference_day(3, 18) == 1
    assert reference_day(1, 18) == -1


def test_the_first_evening_has_nothing_to_look_back_at() -> None:
    trades = plan_trades((_home(0, 400), _home(1, -400)))
    assert max(trade.hour for trade in trades if trade.day == 1) == 17
    assert max(trade.hour for trade in trades if trade.day == 2) == 23


def test_the_cheapest_lot_goes_first() -> None:
    assert price_of(0) < price_of(1) < price_of(2)
    assert _first_hour(_home(2, 300), _home(1, 300), _home(0, 300), _home(3, -450)) == [(3, 0, 300), (3, 1, 150)]


def test_who_needs_most_chooses_first_and_then_in_turns() -> None:
    trades = _first_hour(_home(0, 1000), _home(1, 1000), _home(3, -600), _home(4, -900))
    assert trades == [(3, 0, 500), (3, 1, 100), (4, 0, 500), (4, 1, 400)]


@pytest.mark.parametrize(("offered", "wanted", "traded"), [(49, 400, []), (400, 49, []), (50, 400, [50])])
def test_less_than_50_wh_is_not_worth_a_trade(offered: int, wanted: int, traded: list[int]) -> None:
    assert [wh for _, _, wh in _first_hour(_home(0, offered), _home(1, -wanted))] == traded


def test_nobody_to_trade_with_is_no_trade() -> None:
    assert plan_trades((_home(0, 400), _home(1, 400))) == ()
    assert plan_trades(()) == ()
