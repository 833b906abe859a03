"""The demo's calendar: Indian days, hourly slots, and when in a day what happens. All times are UTC epoch seconds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from settlement.config import DAY, HOUR, Config
from settlement.units import Calendar

ZONE = ZoneInfo("Asia/Kolkata")
FIRST_DELIVERY = date(2026, 8, 2)
DAYS = 7

# Everything in the demo happens after this; the node's genesis block carries it.
GENESIS_TIME = int(datetime(2026, 7, 31, tzinfo=UTC).timestamp())

# A platform that does not answer is needed again for the next day's trades: its rows are attested and applied between.
CONFIG = Config(gate=4 * HOUR, attest_wait=2 * HOUR, row_window=4 * HOUR)
CALENDAR = Calendar(CONFIG.anchor, CONFIG.slot_length, CONFIG.cycle_length)


def delivery_date(day: int) -> date:
    """The date of delivery day 1 to 7."""
    return FIRST_DELIVERY + timedelta(days=day - 1)


def day_start(day: int) -> int:
    """Indian midnight at which delivery day `day` begins."""
    start = delivery_date(day)
    return int(datetime(start.year, start.month, start.day, tzinfo=ZONE).timestamp())


def day_end(day: int) -> int:
    """The end of the day: E of its cycle."""
    return day_start(day) + DAY


def slot(day: int, hour: int) -> int:
    """The start of an hour of a day."""
    return day_start(day) + hour * HOUR


def cycle(day: int) -> int:
    """The number of the cycle that is this day."""
    return CALENDAR.cycle_of(day_start(day))
