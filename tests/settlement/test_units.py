"""Energy, money, rates and times: exact, bounded, refused with a reason."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement import units
from settlement.errors import SettlementError
from settlement.units import Calendar, Number

INDIA = ZoneInfo("Asia/Kolkata")
LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("value", "unit", "wh"),
    [
        ("10", "kWh", 10_000),
        ("10.0", "kWH", 10_000),
        (15, "KWH", 15_000),
        (Decimal("7.5"), "kwh", 7_500),
        ("0.001", "kWh", 1),
        ("1.5", "MWh", 1_500_000),
        ("250", "Wh", 250),
        ("2.5e1", "kWh", 25_000),
        ("2.500000", "kWh", 2_500),
        (" 3 ", " kWh ", 3_000),
        ("0", "kWh", 0),
        ("-0", "kWh", 0),
        ("1099511627.775", "kWh", units.WH_BOUND - 1),
    ],
)
def test_traded_quantity_is_exact(value: Number, unit: str, wh: int) -> None:
    assert units.traded_wh(value, unit) == wh


@pytest.mark.parametrize(
    ("value", "unit", "message"),
    [
        ("0.0005", "kWh", "whole number of Wh"),
        ("1", "kW", "power where energy is meant"),
        ("1", "KW", "power where energy is meant"),
        ("1", "MW", "power where energy is meant"),
        ("1", "J", "unknown energy unit"),
        ("-1", "kWh", "must not be negative"),
        (-1, "kWh", "must not be negative"),
        ("1,5", "kWh", "not a decimal number"),
        ("1_000", "kWh", "not a decimal number"),
        ("NaN", "kWh", "not a decimal number"),
        ("Infinity", "kWh", "not a decimal number"),
        ("", "kWh", "not a decimal number"),
        (".5", "kWh", "not a decimal number"),
        ("١", "kWh", "not a decimal number"),
        ("1e999", "kWh", "too many digits"),
        ("1e9999", "kWh", "not a decimal number"),
        ("1" * 65, "kWh", "too many digits"),
        ("1099511627.776", "kWh", "too large"),
        (True, "kWh", "must be decimal text"),
        (1.5, "kWh", "must be decimal text"),
    ],
)
def test_bad_quantities_are_refused_with_the_reason(value: Number, unit: str, message: str) -> None:
    with pytest.raises(SettlementError, match=message):
        units.traded_wh(value, unit)


def test_a_reading_is_floored_and_its_raw_figure_kept() -> None:
    assert units.metered_wh("8.2999", "kWh") == units.Reading(8_299, "8.2999 kWh")
    assert units.metered_wh(Decimal("0.0009")) == units.Reading(0, "0.0009 kWh")


@pytest.mark.parametrize(("value", "amount"), [("12.5", 12_500_000), ("0.000001", 1), (7, 7_000_000)])
def test_money_in_base_units(value: Number, amount: int) -> None:
    assert units.money(value) == amount


def test_money_bounds_and_precision() -> None:
    largest = units.money_text(units.AMOUNT_BOUND - 1)
    assert units.money(largest) == units.AMOUNT_BOUND - 1
    with pytest.raises(SettlementError, match="too large"):
        units.money(units.money_text(units.AMOUNT_BOUND))
    with pytest.raises(SettlementError, match="too many decimals"):
        units.money("0.0000001")


def test_rates_per_any_energy_unit() -> None:
    assert units.rate_per_kwh("6") == 6_000_000
    assert units.rate_per_kwh("0.15", "kWH") == 150_000
    assert units.rate_per_kwh("4500", "MWh") == 4_500_000
    assert units.rate_per_kwh("0.006", "Wh") == 6_000_000
    with pytest.raises(SettlementError, match="too many decimals"):
        units.rate_per_kwh("0.0001", "MWh")
    with pytest.raises(SettlementError, match="power"):
        units.rate_per_kwh("6", "kW")
    with pytest.raises(SettlementError, match="too large"):
        units.rate_per_kwh(units.money_text(units.RATE_BOUND))
    assert units.flat_rate("2.50") == 2_500_000


@given(st.integers(0, units.WH_BOUND - 1), st.integers(0, units.AMOUNT_BOUND - 1))
def test_text_and_back(wh: int, amount: int) -> None:
    assert units.traded_wh(units.kwh_text(wh)) == wh
    assert units.money(units.money_text(amount)) == amount
    assert units.money(Decimal(units.money_text(amount))) == amount


def test_texts() -> None:
    assert units.kwh_text(12_500) == "12.5"
    assert units.kwh_text(3_000) == "3"
    assert units.money_text(12_500_000) == "12.50"
    assert units.money_text(-1) == "-0.000001"
    assert units.money_text(5_000_000, 0) == "5"
    assert units.time_text(1_767_938_400) == "2026-01-09T06:00:00Z"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-09T06:00:00Z", "2026-01-09T06:00:00Z"),
        ("2026-01-09T11:30:00+05:30", "2026-01-09T06:00:00Z"),
        ("2026-01-09T11:30+0530", "2026-01-09T06:00:00Z"),
        ("2026-01-09T11:30:00", "2026-01-09T06:00:00Z"),
        ("2026-01-09 11:30", "2026-01-09T06:00:00Z"),
        ("2026-01-09t06:00:00.000z", "2026-01-09T06:00:00Z"),
    ],
)
def test_times_are_utc_or_in_the_markets_zone(text: str, utc: str) -> None:
    assert units.time_text(units.epoch_seconds(text, INDIA)) == utc


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-01-09", "not an ISO 8601"),
        ("2026-W02-1T00:00", "not an ISO 8601"),
        ("2026-13-09T00:00:00", "no such date"),
        ("2026-01-09T24:00:00", "no such date"),
        ("2026-01-09T06:00:00.5Z", "whole second"),
        ("1969-12-31T23:59:59Z", "before 1970"),
    ],
)
def test_bad_times_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettlementError, match=message):
        units.epoch_seconds(text, INDIA)


def test_hours_that_a_zone_skips_or_repeats_need_an_offset() -> None:
    for text in ("2026-03-29T01:30:00", "2026-10-25T01:30:00"):
        with pytest.raises(SettlementError, match="state its offset"):
            units.epoch_seconds(text, LONDON)
    assert units.time_text(units.epoch_seconds("2026-10-25T01:30:00+00:00", LONDON)) == "2026-10-25T01:30:00Z"


def test_stamps_drop_their_fraction() -> None:
    assert units.stamp_seconds("2024-10-04T10:25:05.999Z", INDIA) == units.epoch_seconds("2024-10-04T10:25:05Z", INDIA)


def test_calendar() -> None:
    half_past = 18 * 3_600 + 1_800
    calendar = Calendar(half_past, 3_600, 86_400)
    start = units.epoch_seconds("2026-01-09T00:00:00", INDIA)
    cycle = calendar.cycle_of(start)
    assert calendar.cycle_start(cycle) == start
    assert calendar.cycle_end(cycle) == start + 86_400
    assert calendar.cycle_of(start + 86_399) == cycle
    assert calendar.cycle_of(start - 1) == cycle - 1
    assert calendar.is_on_grid(start + 3_600)
    assert not calendar.is_on_grid(start + 1_800)
    assert not calendar.is_on_grid(half_past - 3_600)
    assert len(calendar.slots(cycle)) == 24
    with pytest.raises(SettlementError, match="outside the market's calendar"):
        calendar.cycle_of(half_past - 1)


@pytest.mark.parametrize("arguments", [(-1, 3_600, 86_400), (0, 0, 86_400), (0, 3_600, 5_000), (0, 3_600, 0)])
def test_calendars_that_do_not_fit_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(SettlementError):
        Calendar(*arguments)
