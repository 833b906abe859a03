"""`clearwatt check`: what it says of good input, and every way in which it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli import main as program
from tests.cli.market_files import READING, TRADE, write_market, write_readings, write_trades


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A market's files, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_market(tmp_path)
    write_readings(tmp_path, READING)
    write_trades(tmp_path, TRADE, TRADE | {"order_item_id": "item-2", "quantity": "750", "unit": "Wh"})
    return tmp_path


READINGS = ("check", "readings", "readings.csv", "--market", "deployment.json", "--meters", "meters.csv")
TRADES = ("check", "trades", "trades.csv", "--market", "deployment.json")
FORMULA = ("check", "formula", "roles.BUYER.roleInputs.contractedQuantity × price", "--rates", "price,fee#FLAT")


def document(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert program.run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_readings_and_what_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(READINGS) == 0
    assert capsys.readouterr().out.splitlines() == [
        "readings.csv: 1 reading of 2 meters (1 READ)",
        "  missing: IN-0001 import, 12 slots from 2026-08-01T18:30:00Z",
        "  missing: IN-0001 import, 11 slots from 2026-08-02T07:30:00Z",
        "  missing: IN-0002 export, 24 slots from 2026-08-01T18:30:00Z",
        "  missing: IN-0002 import, 24 slots from 2026-08-01T18:30:00Z",
    ]
    found = document(capsys, *READINGS)
    assert (found["readings"], found["meters"], found["qualities"]) == (1, 2, {"READ": 1})
    assert found["gaps"][0] == {
        "meter_id": "IN-0001",
        "direction": "import",
        "slot_start": "2026-08-01T18:30:00Z",
        "slots": 12,
    }


def test_no_readings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_readings(folder)
    assert program.run(READINGS) == 0
    assert capsys.readouterr().out == "readings.csv: 0 readings of 2 meters (none)\n"


def test_trades(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([*TRADES, "--at", "2026-08-02T08:00:00+05:30"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "trades.csv: 2 trades in 1 cycle, 2.25 kWh",
        "  2 by p2p.fixed-price.settled.v1",
    ]
    assert document(capsys, *TRADES) == {
        "file": "trades.csv",
        "trades": 2,
        "contracted_wh": 2_250,
        "currency": "INR",
        "cycles": [20_666],
        "templates": {"p2p.fixed-price.settled.v1": 2},
    }


def test_formula(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(FORMULA) == 0
    assert capsys.readouterr().out.splitlines() == ["program  0x00011022", "text     contracted × price"]
    assert document(capsys, *FORMULA) == {
        "program": "0x00011022",
        "text": "contracted × price",
        "rates": ["price", "fee#FLAT"],
    }


def test_a_zone_for_times_without_offset(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local = {"slot_start": "2026-08-02T12:00", "slot_end": "2026-08-02T13:00"}
    write_readings(folder, READING | local)
    assert program.run(READINGS) == 3
    assert "readings.csv:2: slot_start: states no offset from UTC" in capsys.readouterr().err
    assert program.run([*READINGS, "--zone", "Asia/Kolkata"]) == 0


def test_a_refusal_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trades(folder, TRADE | {"unit": "kW"})
    assert document(capsys, *TRADES, code=3) == {
        "refused": {
            "file": "trades.csv",
            "line": 2,
            "field": "unit",
            "message": "power where energy is meant (got 'kW')",
        }
    }
    assert document(capsys, "check", "formula", "settled × prize", code=3) == {
        "refused": {"field": "formula", "column": 11, "message": "unknown name prize"}
    }


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((*TRADES, "--at", "noon"), 2, "Invalid value for --at: not an ISO 8601 date and time"),
        ((*TRADES, "--zone", "Nowhere/Else"), 2, "there is no time zone 'Nowhere/Else'"),
        ((*TRADES, "--zone", "../zone"), 2, "there is no time zone"),
        (("check", "trades", "trades.csv", "--market", "trades.csv"), 2, "record is called deployment.json"),
        (("check", "trades", "trades.csv"), 2, "Missing option '--market'"),
        (("check", "formula", "settled × price", "--rates", "price,price"), 3, "rate_names: names must differ"),
        (("check", "formula", "settled", "--rates", ""), 3, "formula: column 1: a flow must be money"),
        (("check", "trades", "none.csv", "--market", "deployment.json"), 4, "there is no file none.csv"),
        (("check", "trades", "trades.csv", "--market", "other/deployment.json"), 4, "there is no file other"),
    ],
)
def test_ways_to_end(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    assert program.run(arguments) == code
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"market":', '"marker":', "deployment.json: the keys must be"),
        ('"gate":14400', '"gate":"x"', "deployment.json:gate: must be a non-negative integer"),
    ],
)
def test_records_that_are_none(
    folder: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, sentence: str
) -> None:
    file = folder / "deployment.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert program.run(TRADES) == 3
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("name", ["readings", "trades", "formula"])
def test_every_help_has_an_example(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert program.run(["check", name, "--help"]) == 0
    assert f"Example: clearwatt check {name} " in capsys.readouterr().out
