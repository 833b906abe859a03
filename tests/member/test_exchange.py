"""Rows by agreement between real daemons on a real chain: what is signed, by whom, when, and what happens otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from member.errors import PeerRefused
from member.rowbook import SignedRow
from settlement.documents import document
from settlement.trade import Row
from store.desk import EVIDENCE
from tests.member.scene import CYCLE
from tests.member.settled_day import CHARGE, SALE, SettledDay

SUN_TO_ROOF = ("sunmarket", "rooftrade")
EARLY_SUN = '[[partners]]\nsubscriber = "rooftrade.example"\nearly = true\n'
EARLY_ROOF = '[[partners]]\nsubscriber = "sunmarket.example"\nearly = true\n'


def proposal(day: SettledDay, by: str, row: Row) -> object:
    """A row as `by` signs and sends it."""
    return document(SignedRow(row, day.scene.daemons[by].desk.sign(row)))


def right_row(day: SettledDay, version: int = 1) -> Row:
    """The row from the first platform to the second, as both should compute it."""
    daemon = day.scene.daemons["rooftrade"]
    daemon.once()
    pair = day.scene.id("sunmarket"), day.scene.id("rooftrade")
    content, keep = daemon.desk.row(CYCLE, 0, pair)
    return content.row(CYCLE, 0, version, daemon.market.inputs(CYCLE, 0), keep)


def test_both_sign_and_the_rows_settle(tmp_path: Path) -> None:
    with SettledDay(tmp_path, locks={SUN_TO_ROOF: SALE}) as day:
        day.allocate()
        day.seal()
        day.scene.settle_down()

        sale = day.state(*SUN_TO_ROOF)
        assert (sale.applied, sale.lock, sale.is_agreed, sale.settled_run) == (2 * SALE, 0, True, 0)
        assert day.state("sunmarket", "westpower").applied == 2 * CHARGE
        (event,) = [one for one in day.events("RowApplied") if one["payee"] == day.scene.id("rooftrade")]
        assert (event["way"], event["version"], event["paid"], event["owed"]) == (1, 1, SALE, SALE)
        for name in SUN_TO_ROOF:
            (row,) = [one for one in day.rows(name) if one.payee == day.scene.id("rooftrade")]
            assert (row.state, row.own is not None, row.other is not None) == ("applied", True, True)
        assert day.problems() == []
        assert [daemon.once() for daemon in day.scene.daemons.values()] == [False] * 4
        assert len(day.events("RowApplied")) == 2


def test_what_waits_keeps_its_lock(tmp_path: Path) -> None:
    with SettledDay(tmp_path, locks={SUN_TO_ROOF: 2 * SALE}) as day:
        first, second = day.placed
        served = day.scene.allocate("eastpower", (first,))
        day.scene.serve(served)
        day.seal()
        day.scene.settle_down()

        state = day.state(*SUN_TO_ROOF)
        assert (state.applied, state.lock) == (SALE, SALE)
        assert second.digest != first.digest


def test_nothing_is_signed_that_was_not_computed_here(tmp_path: Path) -> None:
    with SettledDay(tmp_path) as day:
        day.make_lazy("sunmarket")
        day.allocate()
        day.seal()
        right = right_row(day)
        day.scene.daemons["sunmarket"].once()
        false = replace(right, amount=right.amount + 1)

        with pytest.raises(PeerRefused) as refused:
            day.scene.daemons["rooftrade"].peers.post(
                day.scene.id("sunmarket"), "/v1/rows", proposal(day, "rooftrade", false)
            )

        assert refused.value.problem.code == "row-differs"
        assert (refused.value.problem.facts["amount"], refused.value.problem.facts["count"]) == (str(2 * SALE), 2)
        signed = [one for one in day.rows("sunmarket") if one.row == false]
        assert [(one.own, one.state) for one in signed] == [(None, "disagreed")]


def test_a_row_of_others_or_with_anothers_signature_is_refused(tmp_path: Path) -> None:
    with SettledDay(tmp_path) as day:
        day.make_lazy("sunmarket")
        day.allocate()
        day.seal()
        right = right_row(day)
        sun = day.scene.id("sunmarket")

        with pytest.raises(PeerRefused) as not_yours:
            day.scene.daemons["eastpower"].peers.post(sun, "/v1/rows", proposal(day, "eastpower", right))
        forged = document(SignedRow(right, day.scene.daemons["eastpower"].desk.sign(right)))
        with pytest.raises(PeerRefused) as not_signed:
            day.scene.daemons["rooftrade"].peers.post(sun, "/v1/rows", forged)

        assert not_yours.value.problem.code == "not-yours"
        assert (not_signed.value.problem.code, not_signed.value.problem.errors[0].pointer) == (
            "value-refused",
            "#/signature",
        )


def test_two_statements_for_one_key_are_kept_and_shown(tmp_path: Path) -> None:
    with SettledDay(tmp_path) as day:
        day.make_lazy("sunmarket")
        day.allocate()
        day.seal()
        right = right_row(day, version=5)
        roof, sun = day.scene.daemons["rooftrade"], day.scene.daemons["sunmarket"]
        sun.once()
        for amount in (right.amount + 1, right.amount + 2):
            with pytest.raises(PeerRefused, match="row-differs"):
                roof.peers.post(sun.me.id, "/v1/rows", proposal(day, "rooftrade", replace(right, amount=amount)))

        (evidence,) = sun.store.facts(EVIDENCE).values()
        amounts = [statement["row"]["amount"] for statement in evidence["statements"]]
        assert (evidence["member"], amounts) == (
            document(roof.me.id),
            [str(right.amount + 1), str(right.amount + 2)],
        )
        shown = roof.peers.get(sun.me.id, f"/v1/rows/{CYCLE}/0")["rows"]
        assert [one["evidence"] for one in shown if one["row"]["amount"] == str(right.amount + 1)] == [evidence]


def test_rows_are_shown_to_their_two_members_only(tmp_path: Path) -> None:
    with SettledDay(tmp_path) as day:
        day.allocate()
        day.seal()
        day.scene.settle_down()
        sun = day.scene.id("sunmarket")

        to_roof = day.scene.daemons["rooftrade"].peers.get(sun, f"/v1/rows?cycle={CYCLE}")["rows"]
        to_east = day.scene.daemons["eastpower"].peers.get(sun, f"/v1/rows/{CYCLE}/0")["rows"]

        assert [(one["row"]["payee"], one["state"]) for one in to_roof] == [
            (document(day.scene.id("rooftrade")), "applied")
        ]
        assert to_roof[0]["payer_signature"] is not None
        assert to_roof[0]["payee_signature"] is not None
        assert to_east == []


def test_a_leaf_that_one_was_not_served_is_shown_by_the_other(tmp_path: Path) -> None:
    with SettledDay(tmp_path) as day:
        day.allocate(silent_to=["sunmarket"])
        day.seal()
        day.scene.settle_down()

        assert day.state(*SUN_TO_ROOF).applied == 2 * SALE
        assert len(day.scene.daemons["sunmarket"].store.leaves(CYCLE, 0)) == 4


def test_a_member_signs_no_row_of_leaves_that_it_can_still_be_shown(tmp_path: Path) -> None:
    """A payer that was served nothing would say that it owes nothing; it is shown the leaves first."""
    with SettledDay(tmp_path, locks={SUN_TO_ROOF: 3 * SALE}) as day:
        day.allocate(silent_to=["sunmarket"])
        day.seal()
        day.scene.daemons["rooftrade"].once()
        day.scene.daemons["sunmarket"].once()

        assert [one.row.amount for one in day.rows("sunmarket") if one.own is not None] == [2 * SALE]
        day.scene.settle_down()
        assert (day.state(*SUN_TO_ROOF).applied, day.state(*SUN_TO_ROOF).version) == (2 * SALE, 1)


def test_members_that_differ_both_keep_the_first_leaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SettledDay(tmp_path, trades=5) as day:
        day.allocate()
        day.seal()
        sun = day.scene.daemons["sunmarket"]
        honest = sun.desk.row

        def false_row(cycle, run, pair):  # type: ignore[no-untyped-def]
            content, keep = honest(cycle, run, pair)
            if pair[1] != day.scene.id("rooftrade"):
                return content, keep
            leaves = list(content.leaves)
            leaves[3] = replace(leaves[3], amount=leaves[3].amount - 7)
            return replace(content, leaves=tuple(leaves)), keep

        monkeypatch.setattr(sun.desk, "row", false_row)
        day.scene.settle_down()

        assert day.state(*SUN_TO_ROOF).applied == 0
        for mine, theirs, reason in (
            ("rooftrade", "sunmarket", f"an amount of {SALE - 7}, own amount {SALE}"),
            ("sunmarket", "rooftrade", f"an amount of {SALE}, own amount {SALE - 7}"),
        ):
            rows = day.scene.daemons[theirs].peers.get(day.scene.id(mine), f"/v1/rows/{CYCLE}/0")["rows"]
            (shown,) = [one for one in rows if one["row"]["payee"] == document(day.scene.id("rooftrade"))]
            assert (shown["state"], shown["difference"]["position"], shown["difference"]["reason"]) == (
                "disagreed",
                3,
                reason,
            )
        (waits,) = [one for one in day.waiting("rooftrade") if one["stage"] == "exchange"]
        assert waits["for_whom"] == ["sunmarket.example"]


# --- early ---


def test_a_pair_that_agreed_on_it_settles_before_the_seal(tmp_path: Path) -> None:
    with SettledDay(tmp_path, running=[], locks={SUN_TO_ROOF: SALE}) as day:
        day.start("sunmarket", EARLY_SUN)
        day.start("rooftrade", EARLY_ROOF)
        day.start("westpower")
        day.scene.tell(day.placed)
        day.scene.settle_down()
        assert day.state(*SUN_TO_ROOF).applied == 0

        day.allocate()
        day.scene.settle_down()

        state = day.state(*SUN_TO_ROOF)
        assert (state.applied, state.settled_run, day.state("sunmarket", "westpower").applied) == (2 * SALE, None, 0)
        assert [one["way"] for one in day.events("RowApplied")] == [2]
        day.seal()
        day.scene.settle_down()
        assert [one["way"] for one in day.events("RowApplied")] == [2, 1]  # the sealed row of this pair says no other


def test_nothing_is_early_unless_both_agreed_on_it(tmp_path: Path) -> None:
    with SettledDay(tmp_path, running=[]) as day:
        day.start("sunmarket")
        day.start("rooftrade", EARLY_ROOF)
        day.scene.tell(day.placed)
        day.allocate()
        day.scene.settle_down()

        assert day.state(*SUN_TO_ROOF).applied == 0
        assert [one.own for one in day.rows("sunmarket")] == [None]
        day.seal()
        day.scene.settle_down()
        assert day.state(*SUN_TO_ROOF).applied == 2 * SALE


# --- later runs, silence, restarts ---


def test_a_later_run_brings_rows_only_where_something_changed(tmp_path: Path) -> None:
    with SettledDay(tmp_path, locks={("sunmarket", "westpower"): 9 * CHARGE}) as day:
        day.allocate()
        day.seal()
        day.scene.settle_down()
        before = len(day.events("RowApplied"))
        day.allocate(run=1)
        day.seal(1)
        day.scene.settle_down()
        assert len(day.events("RowApplied")) == before == 2

        short = {day.placed[0].digest: 400}
        day.allocate(run=2, delivered=lambda one: short.get(one.digest, one.contracted_wh))
        day.seal(2)
        day.scene.settle_down()

        assert day.state(*SUN_TO_ROOF).applied == 2 * SALE - 600_000
        owed_back = [one["owed_back"] for one in day.events("RowApplied")][before:]
        assert sorted(owed_back) == [20_000, 600_000]


def test_a_silent_member_settles_once_it_is_back(tmp_path: Path) -> None:
    with SettledDay(tmp_path) as day:
        day.stop("sunmarket")
        day.allocate()
        day.seal()
        day.scene.settle_down()
        (row,) = day.rows("rooftrade")
        assert (row.state, row.other) == ("proposed", None)
        (waits,) = [one for one in day.waiting("rooftrade") if one["stage"] == "exchange"]
        assert waits["for_whom"] == ["sunmarket.example"]

        day.start("sunmarket")
        day.scene.settle_down()

        assert day.state(*SUN_TO_ROOF).applied == 2 * SALE


def test_a_member_that_ends_before_it_submits_goes_on_after_its_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SettledDay(tmp_path) as day:
        day.allocate()
        day.seal()
        day.scene.daemons["sunmarket"].once()
        monkeypatch.setattr("member.exchange.send_once", lambda *_: False)
        day.scene.daemons["rooftrade"].once()
        assert [one.state for one in day.rows("rooftrade")] == ["agreed"]
        monkeypatch.undo()

        day.start("rooftrade").once()
        day.scene.settle_down()

        assert day.state(*SUN_TO_ROOF).applied == 2 * SALE
        assert len([one for one in day.events("RowApplied") if one["payee"] == day.scene.id("rooftrade")]) == 1


def test_a_member_that_lost_its_memory_is_told_what_it_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without trades and leaves it could compute nothing; what both signed settles all the same."""
    with SettledDay(tmp_path) as day:
        day.allocate()
        day.seal()
        day.scene.daemons["sunmarket"].once()
        monkeypatch.setattr("member.exchange.send_once", lambda *_: False)
        day.scene.daemons["rooftrade"].once()
        monkeypatch.undo()
        day.stop("rooftrade")
        for file in day.scene.home("rooftrade").glob("member.db*"):
            file.unlink()

        roof = day.start("rooftrade")
        roof.once()

        (row,) = [one for one in day.rows("rooftrade") if one.payee == roof.me.id]
        assert (row.state, row.own is not None, row.other is not None) == ("applied", True, True)
        assert day.state(*SUN_TO_ROOF, by="rooftrade").applied == 2 * SALE


def test_rows_that_a_reorganisation_took_back_apply_again_once(tmp_path: Path) -> None:
    with SettledDay(tmp_path, finality="depth:64") as day:
        day.allocate()
        day.seal()
        day.scene.settle_down()
        depth = day.scene.rpc.block_number() - day.events("RowApplied")[0].block + 1

        day.scene.rpc.call("anvil_reorg", depth, [])
        day.pass_time(1)
        day.pass_time(60)

        assert [one["version"] for one in day.events("RowApplied")] == [1, 1]
        assert day.state(*SUN_TO_ROOF).applied == 2 * SALE
        assert [one.state for name in SUN_TO_ROOF for one in day.rows(name) if one.other] == ["applied"] * 3
        assert day.problems() == []


def test_who_answered_submits_if_who_asked_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SettledDay(tmp_path, running=["sunmarket", "rooftrade"]) as day:
        day.allocate()
        day.seal()
        day.scene.daemons["sunmarket"].once()
        monkeypatch.setattr("member.exchange.send_once", lambda *_: False)
        day.scene.daemons["rooftrade"].once()
        monkeypatch.undo()
        day.scene.stop("rooftrade")

        day.scene.daemons["sunmarket"].once()
        assert day.events("RowApplied") == []
        day.pass_time(3_600)

        assert day.state(*SUN_TO_ROOF).applied == 2 * SALE


@pytest.mark.parametrize(("rows_a_call", "calls"), [(64, 1), (1, 2)])
def test_rows_go_to_the_chain_together_as_far_as_a_call_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_a_call: int, calls: int
) -> None:
    monkeypatch.setattr("member.exchange.ROWS_A_CALL", rows_a_call)
    with SettledDay(tmp_path, trades=1, back=1) as day:
        day.allocate()
        day.seal()
        day.scene.settle_down()

        west = day.scene.id("westpower")
        to_west = [one.transaction for one in day.events("RowApplied") if one["payee"] == west]
        assert (len(to_west), len(set(to_west))) == (2, calls)
        assert len(day.events("RowApplied")) == 4
