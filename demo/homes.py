"""The demo's homes: eight days of seventeen real houses with solar roofs.

Data: `citylearn_challenge_2022_phase_all` in the package CityLearn 2.1.2 (MIT licence, copyright 2020 Jose Ramon
Vazquez-Canteli, Intelligent Environments Laboratory): one year of metered consumption and solar generation of
single-family houses in Fontana, California. Cite as K. Nweye, S. Siva, Z. Nagy, "The CityLearn Challenge 2022", Texas
Data Repository, 2023, doi:10.18738/T8/0YLJ6Q. The demo moves the houses to India and their first week of August to
2026, hour by hour of local time. Loads are the houses', not a model's; the batteries of the data set are left out.

The data's label `Hour` is the hour that ends, 1 to 24, and the first row ends at 24:00 on 31 July.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Context, Decimal, Inexact
from itertools import islice
from pathlib import Path

from oracle.meters import Direction
from settlement.units import metered_wh

INDIA = timezone(timedelta(hours=5, minutes=30), "IST")
FIRST_DATE = date(2026, 8, 1)
DAYS = 8  # day 0, the eve of the first delivery, is only what the first offers look back at
HOURS = 24
PLATFORMS = 3
UTILITIES = 2

INSTALLED = Path(__file__).resolve().parents[1] / "build" / "homes"
DATA = Path("citylearn/data/citylearn_challenge_2022_phase_all")

_LOAD = "Equipment Electric Power [kWh]"
_SOLAR = "Solar Generation [W/kW]"
# Exact or not at all: a sum that would need rounding raises.
_EXACT = Context(prec=60, traps=[Inexact])


class HomesMissing(Exception):
    """The data set is not installed at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no homes at {path}: run `make setup`, which installs them from requirements/homes.lock")
        self.path = path


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter saw in an hour: net energy in one direction, `wh` floored to Wh, `raw_kwh` the exact figure."""

    direction: Direction
    wh: int
    raw_kwh: str


@dataclass(frozen=True, slots=True)
class HomeHour:
    """One hour of a home: `load_wh` consumed and `solar_wh` generated, each floored to Wh; `net` from exact figures."""

    load_wh: int
    solar_wh: int
    net: Reading


@dataclass(frozen=True, slots=True)
class Home:
    """A house, by `index` from 0, with `DAYS` × `HOURS` hours: day 0 is 1 August, hour 0 begins at Indian midnight."""

    index: int
    hours: tuple[HomeHour, ...]

    @property
    def meter_id(self) -> str:
        """The meter's id as messages spell it: `der://meter/IN-0001` is the first home's."""
        return f"der://meter/IN-{self.index + 1:04d}"

    @property
    def utility(self) -> int:
        """Which of the serving utilities owns the meter."""
        return self.index % UTILITIES

    @property
    def platform(self) -> int:
        """Which platform trades for the home."""
        return self.index % PLATFORMS

    def at(self, day: int, hour: int) -> HomeHour:
        """One hour. Raises ValueError outside the week."""
        return self.hours[_position(day, hour)]

    def exported_wh(self, day: int, hour: int) -> int:
        """Net export of the hour in Wh, 0 where the home imported."""
        net = self.at(day, hour).net
        return net.wh if net.direction is Direction.EXPORT else 0

    def imported_wh(self, day: int, hour: int) -> int:
        """Net import of the hour in Wh, 0 where the home exported."""
        net = self.at(day, hour).net
        return net.wh if net.direction is Direction.IMPORT else 0


def date_of(day: int) -> date:
    """The Indian date of a day of the demo: day 1 is 2 August 2026."""
    return FIRST_DATE + timedelta(days=day)


def moment_of(day: int, hour: int) -> datetime:
    """When an hour begins, in Indian time; hour 24 is the next midnight."""
    return datetime.combine(date_of(day), time(), INDIA) + timedelta(hours=hour)


def load_homes(path: Path = INSTALLED) -> tuple[Home, ...]:
    """The homes from the data set installed at `path`, in the order of their numbers.

    Raises HomesMissing where it is not there, ValueError where its rows are not the hours they should be.
    """
    folder = path / DATA
    try:
        schema = json.loads((folder / "schema.json").read_text("utf-8"), parse_float=Decimal)
        return tuple(
            Home(index, _hours(folder / building["energy_simulation"], building["pv"]["attributes"]["nominal_power"]))
            for index, building in enumerate(schema["buildings"].values())
        )
    except FileNotFoundError as error:
        raise HomesMissing(folder) from error


def _position(day: int, hour: int) -> int:
    if not (0 <= day < DAYS and 0 <= hour < HOURS):
        raise ValueError(f"day {day}, hour {hour} is outside the demo's week")
    return day * HOURS + hour


def _hours(file: Path, nominal_kw: Decimal) -> tuple[HomeHour, ...]:
    with file.open(encoding="utf-8", newline="") as text:
        rows = list(islice(csv.DictReader(text), 1, 1 + DAYS * HOURS))
    if len(rows) < DAYS * HOURS:
        raise ValueError(f"{file.name}: {len(rows)} hours from 1 August, expected {DAYS * HOURS}")
    for position, row in enumerate(rows):
        if (int(Decimal(row["Month"])), int(Decimal(row["Hour"]))) != (8, position % HOURS + 1):
            raise ValueError(f"{file.name}: row {position} is month {row['Month']}, hour {row['Hour']}")
    return tuple(_hour(Decimal(row[_LOAD]), Decimal(row[_SOLAR]), nominal_kw) for row in rows)


def _hour(load_kwh: Decimal, solar_w_per_kw: Decimal, nominal_kw: Decimal) -> HomeHour:
    solar_kwh = _EXACT.scaleb(_EXACT.multiply(solar_w_per_kw, nominal_kw), -3)
    net_kwh = _EXACT.subtract(solar_kwh, load_kwh)
    direction = Direction.EXPORT if net_kwh > 0 else Direction.IMPORT
    raw_kwh = f"{_EXACT.normalize(_EXACT.abs(net_kwh)):f}"
    return HomeHour(
        metered_wh(load_kwh).wh, metered_wh(solar_kwh).wh, Reading(direction, metered_wh(raw_kwh).wh, raw_kwh)
    )
