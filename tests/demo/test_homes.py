"""The homes: the right rows of the data set, exact figures, and clear refusals."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from demo.homes import DATA, DAYS, HOURS, Home, HomesMissing, date_of, load_homes, moment_of
from oracle.meters import Direction

HEADER = "Month,Hour,Equipment Electric Power [kWh],Solar Generation [W/kW]\n"
EVE = "7.0,24.0,9.9,9.9\n"


def _install(folder: Path, rows: list[str], nominal_power: str = "5.0") -> Path:
    """A data set of one home."""
    data = folder / DATA
    data.mkdir(parents=True)
    pv = {"attributes": {"nominal_power": "POWER"}}
    schema = json.dumps({"buildings": {"Building_1": {"energy_simulation": "one.csv", "pv": pv}}})
    (data / "schema.json").write_text(schema.replace('"POWER"', nominal_power))
    (data / "one.csv").write_text(HEADER + EVE + "".join(rows))
    return folder


def _rows(load: str = "0", solar: str = "0") -> list[str]:
    return [f"8.0,{hour % HOURS + 1}.0,{load},{solar}\n" for hour in range(DAYS * HOURS)]


def test_seventeen_homes_of_eight_days(homes: tuple[Home, ...]) -> None:
    assert [home.index for home in homes] == list(range(17))
    assert {len(home.hours) for home in homes} == {DAYS * HOURS}


def test_the_first_hour_is_the_one_that_ends_at_one_on_1_august(homes: tuple[Home, ...]) -> None:
    # The data's second row of Building_1: 0.8511666666666671 kWh, no sun.
    first = homes[0].at(0, 0)
    assert (first.load_wh, first.solar_wh) == (851, 0)
    assert (first.net.direction, first.net.wh, first.net.raw_kwh) == (Direction.IMPORT, 851, "0.8511666666666671")


def test_net_is_solar_less_load_and_floored_only_once(homes: tuple[Home, ...]) -> None:
    for hour in (hour for home in homes for hour in home.hours):
        signed = hour.net.wh if hour.net.direction is Direction.EXPORT else -hour.net.wh
        assert abs(signed - (hour.solar_wh - hour.load_wh)) <= 1
        assert hour.net.wh == int(Decimal(hour.net.raw_kwh) * 1000)


def test_solar_counts_nominal_power(tmp_path: Path) -> None:
    (home,) = load_homes(_install(tmp_path, _rows(load="0.5", solar="712.7539"), nominal_power="5.0"))
    hour = home.at(1, 12)
    assert (hour.load_wh, hour.solar_wh) == (500, 3563)
    assert (hour.net.direction, hour.net.wh, hour.net.raw_kwh) == (Direction.EXPORT, 3063, "3.0637695")


def test_an_even_hour_is_an_import_of_nothing(tmp_path: Path) -> None:
    (home,) = load_homes(_install(tmp_path, _rows(load="0.5", solar="100")))
    assert (home.at(0, 0).net.direction, home.at(0, 0).net.raw_kwh) == (Direction.IMPORT, "0")
    assert home.exported_wh(0, 0) == home.imported_wh(0, 0) == 0


def test_utility_platform_and_meter_follow_from_the_index(homes: tuple[Home, ...]) -> None:
    assert [(home.utility, home.platform) for home in homes[:4]] == [(0, 0), (1, 1), (0, 2), (1, 0)]
    assert homes[6].meter_id == "der://meter/IN-0007"


def test_days_begin_at_indian_midnight() -> None:
    assert date_of(1) == date(2026, 8, 2)
    assert moment_of(1, 0).astimezone(UTC) == datetime(2026, 8, 1, 18, 30, tzinfo=UTC)
    assert moment_of(1, 24) == moment_of(2, 0)


@pytest.mark.parametrize(("day", "hour"), [(-1, 0), (DAYS, 0), (0, -1), (0, HOURS)])
def test_hours_outside_the_week_are_refused(homes: tuple[Home, ...], day: int, hour: int) -> None:
    with pytest.raises(ValueError, match="outside the demo's week"):
        homes[0].at(day, hour)


def test_missing_data_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(HomesMissing, match="make setup") as raised:
        load_homes(tmp_path)
    assert raised.value.path == tmp_path / DATA


def test_shifted_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one\.csv: row 0 is month 8\.0, hour 2\.0"):
        load_homes(_install(tmp_path, _rows()[1:] + _rows()[:1]))


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="191 hours from 1 August, expected 192"):
        load_homes(_install(tmp_path, _rows()[:-1]))
