"""The readings CSV: one named test for each way in which a file can be bad."""

from __future__ import annotations

from datetime import timedelta, timezone
from pathlib import Path

import pytest

from member.lines import LineError
from oracle.meters import Direction, MeterReading, Quality, read_meters, read_readings
from settlement.config import DAY, HOUR, Config
from settlement.units import Calendar

ZONE = timezone(timedelta(hours=5, minutes=30))
CALENDAR = Calendar(Config().anchor, HOUR, DAY)
KNOWN = {"IN-0007", "grid.example/IN-0008"}
NOON = 1785652200  # 12:00 on 2 August 2026 in India

HEADER = "meter_id,slot_start,slot_end,direction,kwh,quality"
TIMES = "2026-08-02T12:00:00+05:30,2026-08-02T13:00:00+05:30"
GOOD = f"der://meter/IN-0007,{TIMES},export,1.2345,READ"


def _read(tmp_path: Path, *lines: str, header: str = HEADER) -> tuple[MeterReading, ...]:
    return _read_bytes(tmp_path, "\r\n".join((header, *lines, "")).encode())


def _read_bytes(tmp_path: Path, content: bytes) -> tuple[MeterReading, ...]:
    path = tmp_path / "readings.csv"
    path.write_bytes(content)
    return read_readings(path, CALENDAR, KNOWN, ZONE)


def _refused(tmp_path: Path, line: str, field: str, message: str) -> None:
    """The line is refused at its place, after a good one."""
    with pytest.raises(LineError) as raised:
        _read(tmp_path, f"IN-0007,{TIMES},import,0,READ", line)
    _is(raised.value, tmp_path, 3, field, message)


def _is(error: LineError, tmp_path: Path, line: int, field: str, message: str) -> None:
    assert (error.file, error.line, error.field) == (tmp_path / "readings.csv", line, field)
    assert message in error.message
    assert str(error) == f"{error.file}:{line}: {field}: {error.message}"


def test_a_good_line(tmp_path: Path) -> None:
    assert _read(tmp_path, GOOD) == (
        MeterReading("IN-0007", NOON, NOON + HOUR, Direction.EXPORT, 1234, "1.2345", Quality.READ),
    )


def test_an_estimated_reading(tmp_path: Path) -> None:
    (reading,) = _read(tmp_path, f"IN-0007,{TIMES},import,2,ESTIMATED")
    assert (reading.wh, reading.quality) == (2000, Quality.ESTIMATED)


def test_a_missing_reading_has_no_figure(tmp_path: Path) -> None:
    (reading,) = _read(tmp_path, f"IN-0007,{TIMES},import,,MISSING")
    assert (reading.wh, reading.raw_kwh, reading.quality) == (0, "", Quality.MISSING)


def test_times_without_zone_are_the_markets(tmp_path: Path) -> None:
    local = _read(tmp_path, "IN-0007,2026-08-02T12:00,2026-08-02T13:00,export,1.2345,READ")
    assert local == _read(tmp_path, GOOD)
    assert local == _read(tmp_path, "IN-0007,2026-08-02T06:30:00Z,2026-08-02T07:30:00Z,export,1.2345,READ")


def test_a_meter_with_a_host(tmp_path: Path) -> None:
    (reading,) = _read(tmp_path, f"der://GRID.example/IN-0008,{TIMES},import,2,READ")
    assert reading.meter_id == "grid.example/IN-0008"


def test_quoted_fields_a_byte_order_mark_and_bare_line_feeds(tmp_path: Path) -> None:
    quoted = '"der://meter/IN-0007",' + GOOD.split(",", 1)[1]
    assert _read_bytes(tmp_path, f"\ufeff{HEADER}\n{quoted}".encode()) == _read(tmp_path, GOOD)


def test_the_same_line_again_is_ignored(tmp_path: Path) -> None:
    assert _read(tmp_path, GOOD, GOOD, GOOD.replace("der://meter/", "")) == _read(tmp_path, GOOD)


def test_both_directions_of_a_slot_are_two_readings_in_file_order(tmp_path: Path) -> None:
    readings = _read(tmp_path, GOOD, GOOD.replace("export", "import"))
    assert [reading.direction for reading in readings] == [Direction.EXPORT, Direction.IMPORT]


def test_a_header_alone_is_no_reading(tmp_path: Path) -> None:
    assert _read(tmp_path) == ()


def test_refuses_a_duplicate_with_another_figure(tmp_path: Path) -> None:
    _refused(tmp_path, f"IN-0007,{TIMES},import,0.1,READ", "line", "differs from an earlier one")


def test_refuses_a_duplicate_with_another_quality(tmp_path: Path) -> None:
    _refused(tmp_path, f"IN-0007,{TIMES},import,0,ESTIMATED", "line", "differs from an earlier one")


def test_refuses_an_unknown_meter(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("IN-0007", "IN-0009"), "meter_id", "unknown meter (got 'der://meter/IN-0009')")


def test_refuses_an_empty_meter(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("der://meter/IN-0007", ""), "meter_id", "printable ASCII")


def test_refuses_a_figure_that_is_no_number(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("1.2345", "1,5").replace("1,5", '"1,5"'), "kwh", "not a decimal number (got '1,5')")


def test_refuses_not_a_number_and_infinity(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("1.2345", "NaN"), "kwh", "not a decimal number")
    _refused(tmp_path, GOOD.replace("1.2345", "inf"), "kwh", "not a decimal number")


def test_refuses_a_reading_without_figure(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("1.2345", ""), "kwh", "not a decimal number (got '')")


def test_refuses_negative_energy(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("1.2345", "-0.001"), "kwh", "must not be negative (got '-0.001')")


def test_refuses_energy_beyond_all_meters(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("1.2345", "2e9"), "kwh", "too large")


def test_refuses_a_figure_that_is_missing(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("READ", "MISSING"), "kwh", "must be empty where quality is MISSING")


def test_refuses_an_unknown_direction(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("export", "Export"), "direction", "must be one of import, export (got 'Export')")


def test_refuses_an_unknown_quality(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("READ", "OK"), "quality", "must be one of READ, ESTIMATED, MISSING (got 'OK')")


def test_refuses_a_time_off_the_grid(tmp_path: Path) -> None:
    line = "IN-0007,2026-08-02T12:30,2026-08-02T13:30,export,1,READ"
    _refused(tmp_path, line, "slot_start", "off the market's grid (got '2026-08-02T12:30')")


def test_refuses_a_time_before_the_market(tmp_path: Path) -> None:
    line = "IN-0007,1970-01-01T12:00Z,1970-01-01T13:00Z,export,1,READ"
    _refused(tmp_path, line, "slot_start", "off the market's grid")


def test_refuses_more_than_one_slot(tmp_path: Path) -> None:
    line = "IN-0007,2026-08-02T12:00,2026-08-02T14:00,export,1,READ"
    _refused(tmp_path, line, "slot_end", "not 3600 s after slot_start (got '2026-08-02T14:00')")


def test_refuses_a_slot_that_ends_before_it_starts(tmp_path: Path) -> None:
    line = "IN-0007,2026-08-02T12:00,2026-08-02T11:00,export,1,READ"
    _refused(tmp_path, line, "slot_end", "not 3600 s after slot_start")


def test_refuses_a_time_that_is_none(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("2026-08-02T12", "2026-08-32T12"), "slot_start", "no such date or time")
    _refused(tmp_path, GOOD.replace("2026-08-02T13:00:00+05:30", "noon"), "slot_end", "not an ISO 8601 date and time")


def test_refuses_a_line_with_too_few_fields(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.removesuffix(",READ"), "line", "broken: 5 fields, expected 6")


def test_refuses_a_line_with_too_many_fields(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD + ",", "line", "broken: 7 fields, expected 6")


def test_refuses_an_empty_line(tmp_path: Path) -> None:
    _refused(tmp_path, "", "line", "broken: 0 fields, expected 6")


def test_refuses_a_broken_quote(tmp_path: Path) -> None:
    _refused(tmp_path, '"IN-0007"x' + GOOD[GOOD.index(",") :], "line", "broken: ")


def test_refuses_a_file_cut_off_inside_a_quote(tmp_path: Path) -> None:
    with pytest.raises(LineError, match="unexpected end of data") as raised:
        _read_bytes(tmp_path, f'{HEADER}\n{GOOD[:-2]},"RE'.encode())
    assert raised.value.field == "line"


def test_refuses_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    with pytest.raises(LineError) as raised:
        _read_bytes(tmp_path, f"{HEADER}\n{GOOD}\n".encode() + GOOD.encode().replace(b"IN-0007", b"IN-\xff007"))
    _is(raised.value, tmp_path, 3, "meter_id", "printable ASCII")
    raised.value.message.encode()  # it can be printed


def test_a_long_value_is_cut_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(LineError) as raised:
        _read(tmp_path, GOOD.replace("1.2345", "x" * 100_000))
    assert len(raised.value.message) < 120


def test_refuses_a_nul_byte(tmp_path: Path) -> None:
    _refused(tmp_path, GOOD.replace("1.2345", "1\0"), "kwh", "not a decimal number (got '1\\x00')")


def test_refuses_another_header(tmp_path: Path) -> None:
    with pytest.raises(LineError) as raised:
        _read(tmp_path, GOOD, header=HEADER.replace("kwh", "wh"))
    _is(raised.value, tmp_path, 1, "line", f"the header must be {HEADER}")


def test_refuses_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(LineError) as raised:
        _read_bytes(tmp_path, b"")
    _is(raised.value, tmp_path, 1, "line", "the header must be")


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_readings(tmp_path / "none.csv", CALENDAR, KNOWN, ZONE)


def test_a_list_of_meters(tmp_path: Path) -> None:
    path = tmp_path / "meters.csv"
    path.write_text("meter_id\nder://meter/IN-0007\nGRID.example/IN-0008\nIN-0007\n")
    assert read_meters(path) == ("IN-0007", "grid.example/IN-0008")


def test_a_list_of_meters_with_a_line_that_names_none(tmp_path: Path) -> None:
    path = tmp_path / "meters.csv"
    path.write_text("meter_id\nIN-0007\nder://\n")
    with pytest.raises(LineError, match="3: meter_id: names no meter"):
        read_meters(path)
