"""What the demo writes, a utility's reader reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.homes import HOURS, INDIA, Home, moment_of
from demo.readings import write_readings
from oracle.meters import Direction, MeterReading, Quality, read_readings
from settlement.config import DAY, HOUR, Config
from settlement.units import Calendar

CALENDAR = Calendar(Config().anchor, HOUR, DAY)


def _read(path: Path, homes: tuple[Home, ...]) -> dict[tuple[str, int, Direction], MeterReading]:
    known = {home.meter_id.removeprefix("der://meter/") for home in homes}
    readings = read_readings(path, CALENDAR, known, INDIA)
    return {(reading.meter_id, reading.slot_start, reading.direction): reading for reading in readings}


def _slot(day: int, hour: int) -> int:
    return int(moment_of(day, hour).timestamp())


def test_a_day_reads_back_with_both_registers(tmp_path: Path, homes: tuple[Home, ...]) -> None:
    path = tmp_path / "new" / "readings.csv"
    write_readings(path, homes, 1)
    readings = _read(path, homes)
    assert len(readings) == len(homes) * HOURS * 2
    for home in homes:
        for hour in range(HOURS):
            meter = f"IN-{home.index + 1:04d}"
            exported = readings[meter, _slot(1, hour), Direction.EXPORT]
            imported = readings[meter, _slot(1, hour), Direction.IMPORT]
            assert (exported.wh, imported.wh) == (home.exported_wh(1, hour), home.imported_wh(1, hour))
            assert home.at(1, hour).net.raw_kwh in (exported.raw_kwh, imported.raw_kwh)
            assert exported.quality is imported.quality is Quality.READ


def test_a_missing_hour_has_no_figure(tmp_path: Path, homes: tuple[Home, ...]) -> None:
    path = tmp_path / "readings.csv"
    write_readings(path, homes[:1], 2, missing={(0, 12)})
    readings = _read(path, homes)
    for direction in Direction:
        reading = readings["IN-0001", _slot(2, 12), direction]
        assert (reading.quality, reading.wh, reading.raw_kwh) == (Quality.MISSING, 0, "")
    assert sum(reading.quality is Quality.MISSING for reading in readings.values()) == 2


def test_an_estimated_hour_repeats_the_day_before(tmp_path: Path, homes: tuple[Home, ...]) -> None:
    path = tmp_path / "readings.csv"
    write_readings(path, homes[:1], 2, estimated={(0, 12)})
    reading = _read(path, homes)["IN-0001", _slot(2, 12), Direction.EXPORT]
    assert (reading.quality, reading.wh) == (Quality.ESTIMATED, homes[0].exported_wh(1, 12))
    assert reading.wh != homes[0].exported_wh(2, 12)


def test_a_day_outside_the_week_is_refused(tmp_path: Path, homes: tuple[Home, ...]) -> None:
    with pytest.raises(ValueError, match="outside the demo's week"):
        write_readings(tmp_path / "readings.csv", homes, 8)
