"""The demo's own promises, day by day, read from its summary and folders as a user would."""

from __future__ import annotations

from typing import Any

from settlement.figures import MarkKind
from store.folders import read_table, run_folder, run_folders
from store.records import Way
from store.tables import ALLOCATIONS, CLAIMS, CURTAILMENTS, MARKS, ROWS
from tests.acceptance.conftest import DemoRun


def day(demo_run: DemoRun, number: int) -> dict[str, Any]:
    found: dict[str, Any] = demo_run.summary["days"][number - 1]
    assert found["day"] == number
    return found


def total(rows: list[dict[str, Any]], key: str) -> int:
    return sum(int(row[key]) for row in rows)


def of_way(rows: list[dict[str, Any]], way: Way) -> list[dict[str, Any]]:
    return [row for row in rows if row["way"] == way.value]


def cycles(demo_run: DemoRun) -> list[int]:
    return sorted({int(folder.parent.name) for folder in run_folders(demo_run.data)})


def test_every_check_is_true(demo_run: DemoRun) -> None:
    checks = demo_run.summary["checks"]
    assert checks
    assert [name for name, holds in checks.items() if not holds] == []


def test_a_week_of_trades_is_settled(demo_run: DemoRun) -> None:
    days = demo_run.summary["days"]
    assert len(days) == 7
    for one in days:
        assert one["trades"] > 100
        assert 0 < one["settled_wh"] < one["contracted_wh"]


def test_day_1_pays_locks_at_once_and_owes_the_rest(demo_run: DemoRun) -> None:
    rows = day(demo_run, 1)["rows"]
    assert {row["way"] for row in rows} == {Way.AGREED.value}
    assert total(rows, "paid") > 0
    assert total(rows, "owed") > 0
    assert total(rows, "amount") == total(rows, "paid") + total(rows, "owed")


def test_day_2_is_paid_early_and_the_sealed_rows_add_nothing(demo_run: DemoRun) -> None:
    rows = day(demo_run, 2)["rows"]
    early = of_way(rows, Way.EARLY)
    assert len(early) == 2
    assert total(early, "paid") == total(early, "amount") > 0
    pairs = {(row["payer"], row["payee"]) for row in early}
    sealed = [row for row in of_way(rows, Way.AGREED) if (row["payer"], row["payee"]) in pairs]
    assert len(sealed) == 2
    assert total(sealed, "paid") == total(sealed, "owed") == total(sealed, "owed_back") == 0


def test_day_3_rows_of_the_silent_platform_are_attested_by_three_of_four(demo_run: DemoRun) -> None:
    rows = read_table(run_folder(demo_run.data, cycles(demo_run)[2], 0), ROWS)
    attested = [one for one in rows if one.way == Way.ATTESTED]
    assert len(attested) >= 4
    assert {one.attestation_mask.bit_count() for one in attested} == {3}
    assert all(one.applied_at for one in attested)


def test_day_4_strikes_the_false_row_and_applies_the_right_one(demo_run: DemoRun) -> None:
    rows = read_table(run_folder(demo_run.data, cycles(demo_run)[3], 0), ROWS)
    (struck,) = [one for one in rows if one.way == Way.STRUCK]
    (right,) = [one for one in rows if one.way == Way.ATTESTED]
    assert struck.applied_at == 0
    assert (right.row.payer, right.row.payee) == (struck.row.payer, struck.row.payee)
    assert right.row.amount == struck.row.amount - 1_000_000
    assert right.row.version == struck.row.version + 1
    assert right.applied_at


def test_day_5_voids_one_group_whose_trades_settle_in_run_1(demo_run: DemoRun) -> None:
    cycle = cycles(demo_run)[4]
    (mark,) = read_table(run_folder(demo_run.data, cycle, 0), MARKS)
    assert mark.kind == MarkKind.VOID
    shown = day(demo_run, 5)
    assert shown["waiting_wh"] > 0
    again = [one for one in read_table(run_folder(demo_run.data, cycle, 1), ALLOCATIONS) if one.run == 1]
    assert [one.utility for one in again] == [mark.utility]
    assert [row for row in shown["rows"] if row["run"] == 1]


def test_day_6_waits_for_a_reading_and_settles_a_curtailed_trade_at_less(demo_run: DemoRun) -> None:
    cycle = cycles(demo_run)[5]
    (curtailed,) = read_table(run_folder(demo_run.data, cycle, 0), CURTAILMENTS)
    assert curtailed.contracted_wh > 0
    shown = day(demo_run, 6)
    assert shown["waiting_wh"] > 0
    assert [row for row in shown["rows"] if row["run"] == 1]


def test_day_7_claims_are_computed_and_paid(demo_run: DemoRun) -> None:
    claims = read_table(run_folder(demo_run.data, cycles(demo_run)[6], 0), CLAIMS)
    assert len(claims) >= 3
    assert all(one.applied_at and not one.struck_at for one in claims)
    (claimed,) = of_way(day(demo_run, 7)["rows"], Way.CLAIMED)
    assert int(claimed["paid"]) > 0
    assert int(claimed["owed"]) == 0


def test_what_is_received_is_what_is_paid(demo_run: DemoRun) -> None:
    members = demo_run.summary["members"]
    assert total(members, "received") == total(members, "paid") > 0
    assert total(members, "owed") == total(members, "is_owed")
    assert total(members, "withdrawn") > 0
