"""The trades CSV: one case for each way in which a line can be bad."""

from __future__ import annotations

from datetime import timedelta, timezone
from pathlib import Path

import pytest

from member.lines import NO_ZONE, LineError
from settlement.config import HOUR, Config
from settlement.formula.templates import (
    FIXED_PRICE_SETTLED,
    INTER_UTILITY,
    MARKET,
    Role,
    Template,
    template_from_text,
)
from settlement.hashing import ZERO_HASH
from settlement.identity import member_id
from settlement.order import Order
from settlement.validity import MemberRole
from trading.exported import COLUMNS, Market, read_trades

ZONE = timezone(timedelta(hours=5, minutes=30))
NOON = 1785652200  # 12:00 on 2 August 2026 in India
GATE = 4 * HOUR
FLAT = template_from_text("test.flat", 1, ("fee#FLAT",), ((Role.BUYER, Role.SELLER, "fee"),))


def market_of(*templates: Template) -> Market:
    roles = {
        "a.platform.example": MemberRole.PLATFORM,
        "b.platform.example": MemberRole.PLATFORM,
        "u.utility.example": MemberRole.UTILITY,
        "v.utility.example": MemberRole.UTILITY | MemberRole.GRID_OPERATOR,
    }
    return Market(
        Config(gate=GATE),
        {member_id(subscriber): role for subscriber, role in roles.items()},
        {one.title: one for one in templates},
        ZONE,
    )


INDIA = market_of(FIXED_PRICE_SETTLED, INTER_UTILITY, MARKET, FLAT)

GOOD = {
    "transaction_id": "tx-1",
    "order_item_id": "item-1",
    "buyer_platform": "a.platform.example",
    "seller_platform": "B.platform.example",
    "buyer_utility": "u.utility.example",
    "seller_utility": "v.utility.example",
    "grid_operator": "v.utility.example",
    "buyer_meter": "der://meter/IN-0001",
    "seller_meter": "der://Grid.example/IN-0002",
    "slot_start": "2026-08-02T12:00:00+05:30",
    "quantity": "1.5",
    "unit": "kWh",
    "currency": "INR",
    "template": "p2p.fixed-price.settled.v1",
    "rates": "wheeling=0.2;price=6.50",
    "traded_at": "2026-08-01T18:05:00.250+05:30",
    "valid_until": "2026-08-02T08:00:00+05:30",
}


def read(tmp_path: Path, *lines: dict[str, str], at: int | None = None, market: Market = INDIA) -> list[Order]:
    path = tmp_path / "trades.csv"
    rows = [",".join(COLUMNS), *(",".join(line[column] for column in COLUMNS) for line in lines)]
    path.write_bytes("\r\n".join(rows).encode("utf-8", "surrogateescape"))
    return list(read_trades(path, market, at))


def test_a_good_line(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD) == [
        Order(
            transaction_id="tx-1",
            order_item_id="item-1",
            template=FIXED_PRICE_SETTLED,
            buyer_platform=member_id("a.platform.example"),
            seller_platform=member_id("b.platform.example"),
            buyer_utility=member_id("u.utility.example"),
            seller_utility=member_id("v.utility.example"),
            grid_operator=member_id("v.utility.example"),
            buyer_meter="IN-0001",
            seller_meter="grid.example/IN-0002",
            slot_start=NOON,
            contracted_wh=1_500,
            rates=(6_500_000, 200_000),
            traded_at=NOON - 17 * HOUR - 55 * 60,
            valid_until=NOON - GATE,
        )
    ]


def test_a_template_without_grid_operator(tmp_path: Path) -> None:
    rates = "price=6;buyerWheeling=0.25;sellerWheeling=0.3;penalty=0"
    (trade,) = read(tmp_path, GOOD | {"grid_operator": "", "template": INTER_UTILITY.title, "rates": rates})
    assert (trade.grid_operator, trade.rates) == (ZERO_HASH, (6_000_000, 250_000, 300_000, 0))


def test_a_flat_rate_is_an_amount(tmp_path: Path) -> None:
    (trade,) = read(tmp_path, GOOD | {"grid_operator": "", "template": FLAT.title, "rates": "fee#FLAT=2.50"})
    assert trade.rates == (2_500_000,)


def test_times_without_offset_are_the_markets(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD | {"slot_start": "2026-08-02T12:00"}) == read(tmp_path, GOOD)


def test_times_without_offset_are_refused_where_no_zone_is_known(tmp_path: Path) -> None:
    market = Market(INDIA.config, INDIA.roles, INDIA.templates, NO_ZONE)
    assert read(tmp_path, GOOD, market=market) == read(tmp_path, GOOD)
    with pytest.raises(LineError, match="slot_start: states no offset from UTC"):
        read(tmp_path, GOOD | {"slot_start": "2026-08-02T12:00"}, market=market)


def test_the_same_trade_again_is_ignored_a_different_one_refused(tmp_path: Path) -> None:
    assert len(read(tmp_path, GOOD, GOOD, GOOD | {"order_item_id": "item-2"})) == 2
    with pytest.raises(LineError, match=r"trades\.csv:3: line: differs from an earlier one for this transaction"):
        read(tmp_path, GOOD, GOOD | {"quantity": "1.6"})


def test_at_a_time(tmp_path: Path) -> None:
    early = GOOD | {"valid_until": "2026-08-02T07:00:00+05:30"}
    assert len(read(tmp_path, GOOD, at=NOON - GATE)) == 1
    with pytest.raises(LineError, match="slot_start: its gate closed at 2026-08-02T02:30:00Z"):
        read(tmp_path, GOOD, at=NOON - GATE + 1)
    assert len(read(tmp_path, early, at=NOON - GATE - HOUR)) == 1
    with pytest.raises(LineError, match="valid_until: over at 2026-08-02T01:30:01Z"):
        read(tmp_path, early, at=NOON - GATE - HOUR + 1)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("transaction_id", "", "must be printable text"),
        ("order_item_id", "item\udcff", "must be printable text"),
        ("buyer_platform", "c.platform.example", "unknown member"),
        ("seller_platform", "", "must be printable ASCII"),
        ("seller_platform", "u.utility.example", "is not a PLATFORM of this market"),
        ("buyer_utility", "a.platform.example", "is not a UTILITY of this market"),
        ("seller_utility", "w.utility.example", "unknown member"),
        ("grid_operator", "u.utility.example", "is not a GRID_OPERATOR of this market"),
        ("grid_operator", "", "needed, a flow of p2p.fixed-price.settled.v1 names it"),
        ("buyer_meter", "der://", "names no meter"),
        ("seller_meter", "IN 2", "must be printable ASCII"),
        ("slot_start", "noon", "not an ISO 8601 date and time"),
        ("slot_start", "2026-08-02T12:00:00Z", "off the market's grid"),
        ("slot_start", "1970-01-01T00:00:00Z", "off the market's grid"),
        ("quantity", "1.2345", "a traded quantity must be a whole number of Wh"),
        ("quantity", "0", "must be above 0"),
        ("quantity", "-1", "must not be negative"),
        ("quantity", "1e12", "too large"),
        ("quantity", "", "not a decimal number"),
        ("unit", "kW", "power where energy is meant"),
        ("unit", "", "unknown energy unit"),
        ("currency", "USD", "all trades of a market are in its one currency, INR"),
        ("currency", "inr", "all trades of a market are in its one currency, INR"),
        ("template", "p2p.fixed-price.settled", "unknown template, there are p2p.fixed-price.settled.v1, p2p.inter"),
        ("template", "p2p.market.v1", "names a market agent"),
        ("template", "p2p.inter-utility.v1", "no flow of p2p.inter-utility.v1 names it"),
        ("rates", "", "lacks price, wheeling"),
        ("rates", "price=6", "lacks wheeling"),
        ("rates", "price=6;wheeling=0;", "must be name=value pairs"),
        ("rates", "price=6;wheeling=0;penalty=1", "p2p.fixed-price.settled.v1 has no rate of this name"),
        ("rates", "price=6;price=6", "stands twice"),
        ("rates", "price=-1;wheeling=0", "price: must not be negative"),
        ("rates", "price=18446744073709.551616;wheeling=0", "price: too large"),
        ("rates", "price=6.0000001;wheeling=0", "price: too many decimals"),
        ("traded_at", "2026-08-01", "not an ISO 8601 date and time"),
        ("valid_until", "2026-08-02T08:00:01+05:30", "after the gate closes at 2026-08-02T02:30:00Z"),
        ("valid_until", "2026-08-01T18:00:00+05:30", "before traded_at"),
        ("valid_until", "2026-08-02T07:00:00.5+05:30", "must be a whole second"),
    ],
)
def test_bad_fields(tmp_path: Path, field: str, text: str, message: str) -> None:
    with pytest.raises(LineError) as raised:
        read(tmp_path, GOOD, GOOD | {"order_item_id": "item-2", field: text})
    error = raised.value
    named = "grid_operator" if text == "p2p.inter-utility.v1" else field
    assert (error.file, error.line, error.field) == (tmp_path / "trades.csv", 3, named)
    assert message in error.message


def test_the_largest_rate_is_taken(tmp_path: Path) -> None:
    (trade,) = read(tmp_path, GOOD | {"rates": "price=18446744073709.551615;wheeling=0"})
    assert trade.rates == (2**64 - 1, 0)


def test_another_header(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("transaction_id,order_item_id\n")
    with pytest.raises(LineError, match="1: line: the header must be transaction_id,order_item_id,buyer_platform"):
        read_trades(path, INDIA)
