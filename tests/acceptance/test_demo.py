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


def test_day_2_is_paid_early_and_the_sealed_inputs_add_nothing(demo_run: DemoRun) -> None:
    rows = day(demo_run, 2)["rows"]
    early = of_way(rows, Way.EARLY)
    assert len(early) == 2
    assert total(early, "paid") == total(early, "amount") > 0
    pairs = {(row["payer"], row["payee"]) for row in early}
    assert not [row for row in of_way(rows, Way.AGREED) if (row["payer"], row["payee"]) in pairs]
    assert "2 of 2 early rows are what the sealed inputs give" in " ".join(day(demo_run, 2)["facts"])


def test_early_rows_are_only_signed_on_day_2(demo_run: DemoRun) -> None:
    assert [one["day"] for one in demo_run.summary["days"] if of_way(one["rows"], Way.EARLY)] == [2]


def test_day_3_rows_of_the_silent_platform_are_attested_by_three_of_four(demo_run: DemoRun) -> None:
    rows = read_table(run_folder(demo_run.data, cycles(demo_run)[2], 0), ROWS)
    attested = [one for one in rows if one.way == Way.ATTESTED]
    assert len(attested) >= 4
    assert {one.attestation_mask.bit_count() for one in attested} == {3}
    assert all(one.applied_at for one in attested)
    silent = demo_run.market.members.platforms[2]
    assert {one.row.payer for one in attested} == {silent.id}


def test_day_4_strikes_the_false_row_and_applies_the_right_one(demo_run: DemoRun) -> None:
    rows = read_table(run_folder(demo_run.data, cycles(demo_run)[3], 0), ROWS)
    (struck,) = [one for one in rows if one.way == Way.STRUCK]
    pair = struck.row.payer, struck.row.payee
    (right,) = [one for one in rows if one.applied_at and (one.row.payer, one.row.payee) == pair]
    assert struck.applied_at == 0
    assert right.row.amount == struck.row.amount - 1_000_000
    assert right.row.version > struck.row.version
    (fact,) = day(demo_run, 4)["facts"]
    assert fact.split(" ")[0] in {one.name for one in demo_run.market.members.platforms}


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


def test_the_figures_are_those_of_the_same_homes_in_any_market(demo_run: DemoRun) -> None:
    days = demo_run.summary["days"]
    figures = ("trades", "contracted_wh", "allocated_wh", "settled_wh", "waiting_wh")
    assert [[one[name] for name in figures] for one in days] == [
        [196, 62_353, 30_833, 19_296, 0],
        [183, 58_875, 37_410, 21_820, 0],
        [159, 51_159, 34_363, 15_098, 0],
        [146, 45_254, 34_113, 19_999, 0],
        [144, 47_344, 27_490, 17_026, 559],
        [147, 48_748, 36_271, 21_259, 2_320],
        [152, 50_090, 39_856, 17_629, 0],
    ]
    rows = [row for one in days for row in one["rows"]]
    assert (total(rows, "paid"), total(rows, "owed")) == (392_095_850, 363_334_900)


def test_one_pairs_batches_and_the_registered_trades_went_through_the_gateway(demo_run: DemoRun) -> None:
    sent = demo_run.summary["senders"]
    assert sent["gateway"]["commit_batch"] >= 7
    assert sent["gateway"]["register_trade"] == 31
    assert sent["sunmarket"]["commit_batch"] >= 7


def test_what_stood_still_or_was_started_again_is_at_the_head_with_the_others(demo_run: DemoRun) -> None:
    assert len(demo_run.statuses) == 8
    heads = {status.idle_at if status else None for status in demo_run.statuses.values()}
    assert len(heads) == 1
    assert None not in heads
