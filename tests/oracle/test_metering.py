"""A utility's meters, their pseudonyms, and readings out of several files."""

from __future__ import annotations

from pathlib import Path

import pytest

from member.lines import LineError
from oracle.metering import Meter, MeterBook, by_group, merged, meter_pseudonym, read_own_meters, recorded
from oracle.meters import Direction, MeterReading, Quality
from settlement.cycle import SlotReading
from settlement.faults import Status
from settlement.hashing import keccak256
from settlement.identity import meter_hash
from settlement.placed import Side
from store.database import Database
from store.desk import DeskStore

UTILITY = keccak256(b"utility")
SECRET = bytes(range(32))


def reading(wh: int, quality: Quality = Quality.READ, meter: str = "m-1", slot: int = 3_600) -> MeterReading:
    return MeterReading(meter, slot, slot + 3_600, Direction.EXPORT, wh, str(wh), quality)


def test_meters_with_and_without_limits(tmp_path: Path) -> None:
    path = tmp_path / "meters.csv"
    path.write_text("meter_id\nder://meter/M-1\n")
    assert read_own_meters(path) == {"M-1": Meter("M-1")}
    path.write_text("meter_id,export_wh,import_wh\nM-1,5000,\nM-2,0,12000\n")
    assert read_own_meters(path) == {"M-1": Meter("M-1", 5_000, None), "M-2": Meter("M-2", 0, 12_000)}
    assert read_own_meters(path)["M-2"].limit(Side.BUYER) == 12_000
    assert read_own_meters(path)["M-2"].limit(Side.SELLER) == 0


@pytest.mark.parametrize("limit", ["-1", "1.5", "1e3", str(1 << 40), "²"])
def test_a_limit_that_is_none_is_refused(tmp_path: Path, limit: str) -> None:
    path = tmp_path / "meters.csv"
    path.write_text(f"meter_id,export_wh,import_wh\nM-1,{limit},\n")
    with pytest.raises(LineError, match=r"meters\.csv:2: export_wh: must be whole Wh"):
        read_own_meters(path)


def test_a_pseudonym_is_of_one_secret_meter_and_cycle() -> None:
    one = meter_pseudonym(SECRET, UTILITY, "M-1", 7)
    assert one == meter_pseudonym(SECRET, UTILITY, "M-1", 7)
    assert one.meter == meter_hash(one.salt, "M-1")
    others = [
        meter_pseudonym(SECRET, UTILITY, "M-1", 8),
        meter_pseudonym(SECRET, UTILITY, "M-2", 7),
        meter_pseudonym(bytes(32), UTILITY, "M-1", 7),
    ]
    assert len({one.salt, *(other.salt for other in others)}) == 4


def test_a_later_file_corrects_and_a_figure_comes_before_none() -> None:
    missing = reading(0, Quality.MISSING)
    assert merged([[reading(5)], [reading(7)]]) == (reading(7),)
    assert merged([[missing], [reading(7)]]) == (reading(7),)
    assert merged([[reading(7)], [missing]]) == (reading(7),)
    assert merged([[missing], []]) == (missing,)


def test_readings_by_group() -> None:
    pseudonym = meter_pseudonym(SECRET, UTILITY, "m-1", 7)
    other = reading(9, meter="not-mine")
    rows = recorded([reading(5, Quality.ESTIMATED), other], {"m-1": pseudonym}, 1)
    assert [(one.run, one.utility, one.meter_id, one.raw_kwh) for one in rows] == [(1, UTILITY, "m-1", "5")]
    assert by_group(rows) == {(pseudonym.meter, 3_600, Side.SELLER): SlotReading(5, Status.ESTIMATED)}


def test_what_was_told_stands_under_another_secret(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'desk.db'}")
    database.create()
    store = DeskStore(database)
    meters = {"M-1": Meter("M-1"), "M-2": Meter("M-2")}
    told = MeterBook(UTILITY, meters, SECRET, store).tell("M-1", 7)
    assert told == meter_pseudonym(SECRET, UTILITY, "M-1", 7)
    other = MeterBook(UTILITY, meters, bytes(32), store)
    assert other.of_cycle(7)["M-1"] == told
    assert other.of_cycle(7)["M-2"] == meter_pseudonym(bytes(32), UTILITY, "M-2", 7)
    assert other.ids(7)[told.meter] == "M-1"
    assert other.tell("M-3", 7) is None
