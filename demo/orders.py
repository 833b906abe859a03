"""The homes' matches as platforms export them: lines of the trades CSV (`docs/protocol.md`, section 13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from demo.calendar import CONFIG, day_start, slot
from demo.files import write_lines
from demo.homes import Home
from demo.market import PlannedTrade
from demo.members import Member, Members
from settlement.config import HOUR
from settlement.formula.templates import FIXED_PRICE_SETTLED, INTER_UTILITY
from settlement.units import kwh_text, money_text, time_text
from trading.exported import COLUMNS

OFFERED_BEFORE = 6 * HOUR
CURRENCY = "INR"
WHEELING_INSIDE = "0.20"
WHEELING_BUYER = "0.25"
WHEELING_SELLER = "0.30"
PENALTY = "0"

Line = tuple[str, ...]


def utility_of(members: Members, home: Home) -> Member:
    """The utility whose meter a home has."""
    return members.serving[home.utility]


def platform_of(members: Members, home: Home) -> Member:
    """The platform on which a home trades."""
    return members.platforms[home.platform]


def parties(members: Members, homes: Sequence[Home], plan: PlannedTrade) -> tuple[Member, Member]:
    """The buyer's platform and the seller's."""
    return platform_of(members, homes[plan.buyer_home]), platform_of(members, homes[plan.seller_home])


def transaction_id(day: int, number: int) -> str:
    """What both platforms call the sale that is number `number` of its day, counted from 0."""
    return f"demo-{day}-{number}"


def item_id(plan: PlannedTrade) -> str:
    """What both platforms call the offer that was taken."""
    return f"offer-{plan.seller_home}-{plan.hour}"


def write_orders(path: Path, lines: Iterable[Line]) -> None:
    """A file of trades, there as a whole or not at all."""
    write_lines(path, COLUMNS, lines)


def order_line(members: Members, homes: Sequence[Home], plan: PlannedTrade, number: int) -> Line:
    """The line of a match, the same at both platforms; `number` counts the day's matches from 0."""
    buying, selling = homes[plan.buyer_home], homes[plan.seller_home]
    buyer, seller = parties(members, homes, plan)
    buyer_utility, seller_utility = utility_of(members, buying), utility_of(members, selling)
    inside = buyer_utility is seller_utility
    starts = slot(plan.day, plan.hour)
    price = f"price={money_text(plan.price)}"
    rates = (
        f"{price};wheeling={WHEELING_INSIDE}"
        if inside
        else f"{price};buyerWheeling={WHEELING_BUYER};sellerWheeling={WHEELING_SELLER};penalty={PENALTY}"
    )
    return (
        transaction_id(plan.day, number),
        item_id(plan),
        buyer.subscriber,
        seller.subscriber,
        buyer_utility.subscriber,
        seller_utility.subscriber,
        members.grid_operator.subscriber if inside else "",
        buying.meter_id,
        selling.meter_id,
        time_text(starts),
        kwh_text(plan.wh),
        "kWh",
        CURRENCY,
        (FIXED_PRICE_SETTLED if inside else INTER_UTILITY).title,
        rates,
        time_text(day_start(plan.day) - OFFERED_BEFORE),
        time_text(starts - CONFIG.gate),
    )
