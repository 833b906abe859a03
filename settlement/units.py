"""Energy, money, rates and times: from the text of messages to integers and back, exactly.

Energy is whole watt-hours, money base units (10^-6 of the currency's main unit), rates base units per kWh, times UTC
epoch seconds. Numbers are read digit by digit as integers, so no precision context and no binary fraction can
change them. The only rounding here is a meter reading floored to Wh, whose raw text is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from settlement.errors import SettlementError

WH_BOUND = 1 << 40
RATE_BOUND = 1 << 64
AMOUNT_BOUND = 1 << 96
TIME_BOUND = 1 << 64

MONEY_DECIMALS = 6
KWH_DECIMALS = 3

Number = str | int | Decimal

_ENERGY_UNITS = {"wh": 0, "kwh": 3, "mwh": 6}
_POWER_UNITS = frozenset({"w", "kw", "mw"})

_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,3}))?", re.ASCII)
_MAX_DIGITS = 64
_MAX_SHIFT = 64

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:[.,]([0-9]+))?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter reading: `wh` floored to whole Wh, `raw` the figure and unit as they came."""

    wh: int
    raw: str


def traded_wh(value: Number, unit: str = "kWh") -> int:
    """A traded quantity in Wh; it must be whole.

    `unit` is Wh, kWh or MWh in any case. Raises SettlementError for power units, fractions of a Wh, negative or
    malformed numbers and quantities of 2^40 Wh and more.
    """
    wh, exact = _energy("quantity", value, unit)
    if not exact:
        raise SettlementError("quantity", value, "a traded quantity must be a whole number of Wh")
    return wh


def metered_wh(value: Number, unit: str = "kWh") -> Reading:
    """A meter reading, floored to Wh with the raw figure kept. Raises like `traded_wh`, except for fractions."""
    wh, _ = _energy("reading", value, unit)
    return Reading(wh, f"{value} {unit.strip()}")


def money(value: Number) -> int:
    """An amount in main units of the currency as base units.

    Raises SettlementError for malformed or negative numbers, more than 6 decimals, and 2^96 base units and more.
    """
    return _exact("amount", value, MONEY_DECIMALS, AMOUNT_BOUND)


def rate_per_kwh(value: Number, per: str = "kWh") -> int:
    """A price in main units per energy unit `per` as base units per kWh.

    Raises SettlementError for power units, prices finer than a base unit per kWh and 2^64 and more.
    """
    return _exact("rate", value, MONEY_DECIMALS + KWH_DECIMALS - _energy_exponent("rate", per), RATE_BOUND)


def flat_rate(value: Number) -> int:
    """A flat amount (not per kWh) as the rate input of a template, in base units; below 2^64."""
    return _exact("rate", value, MONEY_DECIMALS, RATE_BOUND)


def kwh_text(wh: int) -> str:
    """Wh as decimal kWh without trailing zeros: 12500 is "12.5"."""
    return _decimal_text(wh, KWH_DECIMALS, 0)


def money_text(amount: int, least_decimals: int = 2) -> str:
    """Base units as main units of the currency, at least `least_decimals` decimals: 12500000 is "12.50"."""
    return _decimal_text(amount, MONEY_DECIMALS, least_decimals)


def epoch_seconds(text: str, zone: tzinfo) -> int:
    """An ISO 8601 date and time as UTC epoch seconds; text without an offset is in `zone`, the market's.

    Raises SettlementError for other forms, fractions of a second, times before 1970, and local times that the zone
    skips or repeats (state their offset).
    """
    seconds, fraction = _instant(text, zone)
    if fraction.strip("0"):
        raise SettlementError("time", text, "must be a whole second")
    return seconds


def stamp_seconds(text: str, zone: tzinfo) -> int:
    """Like `epoch_seconds` for the time stamp of a message, whose fraction of a second is dropped."""
    seconds, _ = _instant(text, zone)
    return seconds


def time_text(seconds: int) -> str:
    """Epoch seconds as ISO 8601 in UTC: "2026-01-09T06:00:00Z"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Calendar:
    """A market's slot grid and cycles: `anchor` in epoch seconds, lengths in seconds, a cycle a whole number of slots.

    Raises SettlementError where the lengths do not fit each other.
    """

    anchor: int
    slot_length: int
    cycle_length: int

    def __post_init__(self) -> None:
        if self.anchor < 0:
            raise SettlementError("anchor", self.anchor, "must not be before 1970")
        if self.slot_length <= 0:
            raise SettlementError("slot_length", self.slot_length, "must be positive")
        if self.cycle_length <= 0 or self.cycle_length % self.slot_length:
            raise SettlementError("cycle_length", self.cycle_length, "must be a whole number of slots")

    def cycle_of(self, slot_start: int) -> int:
        """The number of the cycle that the time lies in. Raises SettlementError before the anchor."""
        if not self.anchor <= slot_start < TIME_BOUND:
            raise SettlementError("slot_start", slot_start, "outside the market's calendar")
        return (slot_start - self.anchor) // self.cycle_length

    def cycle_start(self, cycle: int) -> int:
        """When the cycle begins, epoch seconds."""
        return self.anchor + cycle * self.cycle_length

    def cycle_end(self, cycle: int) -> int:
        """E, when the cycle ends: the first second that no longer belongs to it."""
        return self.cycle_start(cycle + 1)

    def is_on_grid(self, slot_start: int) -> bool:
        """Whether a grid slot begins at this time."""
        return slot_start >= self.anchor and (slot_start - self.anchor) % self.slot_length == 0

    def slots(self, cycle: int) -> range:
        """The starts of the cycle's slots, ascending."""
        return range(self.cycle_start(cycle), self.cycle_end(cycle), self.slot_length)


def _energy_exponent(field: str, unit: str) -> int:
    name = unit.strip().lower()
    if name in _POWER_UNITS:
        raise SettlementError(field, unit, "power where energy is meant")
    if name not in _ENERGY_UNITS:
        raise SettlementError(field, unit, "unknown energy unit, expected Wh, kWh or MWh")
    return _ENERGY_UNITS[name]


def _energy(field: str, value: Number, unit: str) -> tuple[int, bool]:
    return _shifted(field, value, _energy_exponent(field, unit), WH_BOUND)


def _exact(field: str, value: Number, shift: int, bound: int) -> int:
    whole, exact = _shifted(field, value, shift, bound)
    if not exact:
        raise SettlementError(field, value, "too many decimals")
    return whole


def _shifted(field: str, value: Number, shift: int, bound: int) -> tuple[int, bool]:
    """`value` × 10^shift floored, and whether nothing was cut off; refused outside [0, bound)."""
    digits, exponent = _parsed(field, value)
    exponent += shift
    if exponent >= 0:
        whole, rest = digits * 10**exponent, 0
    else:
        whole, rest = divmod(digits, 10**-exponent)
    if whole >= bound:
        raise SettlementError(field, value, "too large")
    return whole, rest == 0


def _parsed(field: str, value: Number) -> tuple[int, int]:
    """A non-negative number as (digits, exponent of ten)."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise SettlementError(field, value, "must be decimal text, an integer or a Decimal")
    if isinstance(value, int):
        if value < 0:
            raise SettlementError(field, value, "must not be negative")
        return value, 0
    match = _NUMBER.fullmatch(str(value).strip())
    if match is None:
        raise SettlementError(field, value, "not a decimal number")
    sign, whole, fraction, power = match[1], match[2], match[3] or "", int(match[4] or 0)
    # Bounds that every admissible figure meets, so that a hostile number costs nothing.
    if len(whole) + len(fraction) > _MAX_DIGITS or abs(power) > _MAX_SHIFT:
        raise SettlementError(field, value, "too many digits")
    digits = int(whole + fraction)
    if sign == "-" and digits:
        raise SettlementError(field, value, "must not be negative")
    return digits, power - len(fraction)


def _decimal_text(value: int, decimals: int, least_decimals: int) -> str:
    whole, fraction = divmod(abs(value), 10**decimals)
    places = f"{fraction:0{decimals}d}".rstrip("0").ljust(least_decimals, "0")
    return ("-" if value < 0 else "") + (f"{whole}.{places}" if places else str(whole))


def _instant(text: str, zone: tzinfo) -> tuple[int, str]:
    """UTC epoch seconds, and the digits of the fraction of a second as written."""
    match = _TIME.fullmatch(text.strip())
    if match is None or (match[4] and not match[3]):
        raise SettlementError("time", text, "not an ISO 8601 date and time")
    offset = (match[5] or "").upper()
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ':00'}{offset}")
    except ValueError as error:
        raise SettlementError("time", text, "no such date or time") from error
    if not offset:
        moment = moment.replace(tzinfo=zone)
        if moment.utcoffset() != moment.replace(fold=1).utcoffset():
            raise SettlementError("time", text, "skipped or repeated in the market's zone, state its offset")
    elapsed = moment - _EPOCH
    seconds = elapsed.days * 86_400 + elapsed.seconds
    if seconds < 0:
        raise SettlementError("time", text, "before 1970")
    return seconds, match[4] or ""
