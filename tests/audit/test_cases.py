"""Audits where more than a figure is wrong: rows that are missing or added, signatures, faults, chains that differ."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.findings import Axis, Check, Finding, Verdict
from audit.verify import audit
from chain.deployment import DeploymentRecord
from settlement import preimages, typed_data
from settlement.hashing import keccak256
from store import tables
from store.folders import read_cycle, read_table, run_folder, write_cycle, write_manifest, write_table
from store.records import MemberSignature, PlacedTrade, RecordedClaim
from store.tables import Table
from tests.audit.fake_chain import CYCLE, UB, A, B, load
from tests.audit.scene import Scene
from tests.audit.scene_folder import deployment_record, verdict_of, write_folder

RUN_0 = f"cycles/{CYCLE}/run-0"
NOT_IN_RUN_0 = tables.CLAIMS


def rewrite(data: Path, run: int, table: Table[Any], change: Callable[[list[Any]], list[Any]]) -> None:
    """Writes a table again after `change`, and its manifest."""
    folder = run_folder(data, CYCLE, run)
    write_table(folder, table, change(list(read_table(folder, table))))
    write_manifest(folder, CYCLE, run)


def of_check(verdict: Verdict, check: Check) -> list[Finding]:
    return [one for one in verdict.findings if one.check is check]


@pytest.mark.parametrize("table", [one for one in tables.CYCLE_TABLES if one is not NOT_IN_RUN_0], ids=lambda t: t.name)
def test_a_missing_row_is_found(scene: Scene, data: Path, table: Table[Any]) -> None:
    rewrite(data, 0, table, lambda rows: rows[1:])
    verdict = verdict_of(scene, data)
    # A reading by itself is missed by the leaf that was allocated from it, a leaf by its posted root.
    assert f"{RUN_0}/{table.file}" in {one.file for one in verdict.findings}


@pytest.mark.parametrize("table", [one for one in tables.CYCLE_TABLES if one is not NOT_IN_RUN_0], ids=lambda t: t.name)
def test_a_row_given_twice_is_found(scene: Scene, data: Path, table: Table[Any]) -> None:
    rewrite(data, 0, table, lambda rows: [*rows, rows[0]])
    verdict = verdict_of(scene, data)
    assert f"{RUN_0}/{table.file}" in {one.file for one in verdict.findings}


def test_a_run_without_its_folder_is_found(scene: Scene, data: Path) -> None:
    shutil.rmtree(run_folder(data, CYCLE, 1))
    (finding,) = of_check(verdict_of(scene, data), Check.RUNS)
    assert (finding.file, finding.expected) == (f"cycles/{CYCLE}/run-1", "the folder of a sealed run")


def test_a_run_of_a_cycle_that_never_was_is_found(scene: Scene, data: Path) -> None:
    shutil.copytree(run_folder(data, CYCLE, 0), run_folder(data, CYCLE + 1, 0))
    (finding,) = of_check(verdict_of(scene, data), Check.RUNS)
    assert finding.file == f"cycles/{CYCLE + 1}/run-0"


# --- signatures ---


def foreign(signatures: tuple[MemberSignature, ...]) -> tuple[MemberSignature, ...]:
    """The last signature made with a key that is not its member's."""
    stranger = typed_data.sign(keccak256(b"a stranger's key"), keccak256(b"something else"))
    return (*signatures[:-1], MemberSignature.of(signatures[-1].member, stranger))


@pytest.mark.parametrize("line", [1, 7], ids=["batched", "registered"])
def test_a_trade_signed_by_another_key_is_found(scene: Scene, data: Path, line: int) -> None:
    rewrite(
        data,
        0,
        tables.TRADES,
        lambda rows: [
            replace(row, signatures=foreign(row.signatures)) if at == line else row for at, row in enumerate(rows, 1)
        ],
    )
    (finding,) = verdict_of(scene, data).findings
    assert (finding.check, finding.line, finding.field) == (Check.TRADE_SIGNATURES, line, "signatures")
    assert finding.found == "not the signer's key"


def test_a_registered_trade_that_its_platforms_signed_without_its_locks_is_found(scene: Scene, data: Path) -> None:
    def bare(row: PlacedTrade) -> PlacedTrade:
        signed = MemberSignature.of(row.trade.buyer_platform, scene.sign(row.trade.buyer_platform, row.trade))
        return replace(row, signatures=(signed, *row.signatures[1:]))

    rewrite(data, 0, tables.TRADES, lambda rows: [bare(row) if at == 7 else row for at, row in enumerate(rows, 1)])
    (finding,) = verdict_of(scene, data).findings
    assert (finding.check, finding.line, finding.found) == (Check.TRADE_SIGNATURES, 7, "not the signer's key")


def test_a_row_signed_by_another_key_is_found(scene: Scene, data: Path) -> None:
    rewrite(data, 0, tables.ROWS, lambda rows: [replace(row, signatures=foreign(row.signatures)) for row in rows])
    findings = verdict_of(scene, data).findings
    assert {one.check for one in findings} == {Check.ROW_SIGNATURES}
    assert [one.line for one in findings] == [1, 2, 3, 4]  # early, agreed, struck, attested


def test_signatures_of_other_members_are_found(scene: Scene, data: Path) -> None:
    rewrite(data, 0, tables.ROWS, lambda rows: [replace(row, signatures=row.signatures[::-1]) for row in rows])
    findings = verdict_of(scene, data).findings
    assert {(one.check, one.field) for one in findings} == {(Check.ROW_SIGNATURES, "signatures")}


def test_an_allocation_signed_by_another_utility_is_found(scene: Scene, data: Path) -> None:
    rewrite(
        data,
        0,
        tables.ALLOCATIONS,
        lambda rows: [replace(rows[0], signature=rows[1].signature), *rows[1:]],
    )
    (finding,) = verdict_of(scene, data).findings
    assert (finding.check, finding.line) == (Check.ALLOCATION_SIGNATURES, 1)
    assert finding.check.axis is Axis.SIGNATURES


# --- wrong figures that were posted or signed ---


def test_a_wrong_leaf_that_nobody_proved_is_found(tmp_path: Path) -> None:
    scene = Scene(voided=False)
    write_folder(scene, tmp_path)
    findings = of_check(verdict_of(scene, tmp_path), Check.ALLOCATION_LEAVES)
    first = read_table(run_folder(tmp_path, CYCLE, 0), tables.ALLOCATION_LEAVES)
    line = next(line for line, row in enumerate(first, 1) if (row.utility, row.position) == (UB, 0))
    assert {(one.line, one.field) for one in findings} == {(line, "allocated_wh")}
    assert {int(one.found) - int(one.expected) for one in findings} == {50}


def test_what_two_members_agreed_otherwise_is_noted(tmp_path: Path) -> None:
    scene = Scene(extra=5)
    write_folder(scene, tmp_path)
    verdict = verdict_of(scene, tmp_path)
    assert verdict.findings == ()
    assert any("both members signed amount" in note.text for note in verdict.notes)


# --- chains that say something else ---


@pytest.mark.parametrize(
    ("view", "answer", "check"),
    [
        (("SettlementEscrow", "pair", CYCLE, A, B), 1, Check.PAIR_WORDS),
        (("SettlementEscrow", "free", A), 1, Check.FREE_BALANCES),
        (("SettlementEscrow", "held"), 1, Check.CONSERVATION),
        (("ObligationLedger", "owed", A, B), 1, Check.CONSERVATION),
        (("TradeBook", "commitment", 2), bytes(32), Check.COMMITMENTS),
        (("AllocationOracle", "posted", CYCLE, 1, UB), bytes(32), Check.ALLOCATION_ROOTS),
        (("AllocationOracle", "inputs", CYCLE, 0), bytes(32), Check.SEALED_INPUTS),
        (("MemberRegistry", "config_digest", 1), bytes(32), Check.DEPLOYMENT),
        (("MemberRegistry", "domain_separator"), bytes(32), Check.DEPLOYMENT),
    ],
    ids=lambda value: "-".join(str(part) for part in value[:2]) if isinstance(value, tuple) else "",
)
def test_a_state_that_events_do_not_lead_to_is_found(
    scene: Scene, data: Path, view: tuple[Any, ...], answer: Any, check: Check
) -> None:
    chain = deepcopy(scene.chain)
    assert view in chain.answers
    chain.answers[view] = answer
    verdict = audit(data, deployment_record(scene), chain, load)
    assert {one.check for one in verdict.findings} == {check}
    assert verdict.checks[check.label] is False


def test_a_payment_that_the_lock_did_not_cover_is_found(scene: Scene, data: Path) -> None:
    chain = deepcopy(scene.chain)
    at = next(place for place, event in enumerate(chain.log) if event.name == "RowApplied")
    fields = dict(chain.log[at].fields)
    chain.log[at] = replace(chain.log[at], fields={**fields, "paid": fields["paid"] + 1, "owed": fields["owed"] - 1})
    findings = of_check(audit(data, deployment_record(scene), chain, load), Check.PAYMENTS)
    assert {one.field for one in findings} == {"paid", "owed"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"market_id": bytes(32)}, "market_id"),
        ({"chain_id": 1}, "chain_id"),
        ({"genesis_hash": bytes(32)}, "genesis_hash"),
        ({"block": 6}, "block"),
        ({"block": 8}, "block"),
        ({"evm": "cancun"}, "evm"),
        ({"vyper": "0.4.2"}, "vyper"),
        ({"config_digest": bytes(32)}, "config_digest"),
        ({"templates": {"p2p.fixed-price.settled.v1": bytes(32)}}, "templates.p2p.fixed-price.settled.v1"),
        ({"members": {"platform-a.example": {"id": A, "roles": 2}}}, "members.platform-a.example.roles"),
        ({"members": {"platform-a.example": {"id": B, "roles": 1}}}, "members.platform-a.example.id"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_deployment_record_of_something_else_is_found(
    scene: Scene, data: Path, change: dict[str, Any], field: str
) -> None:
    record: DeploymentRecord = replace(deployment_record(scene), **change)
    findings = of_check(audit(data, record, scene.chain, load), Check.DEPLOYMENT)
    assert field in {one.field for one in findings}


def test_other_code_than_recorded_leaves_everything_unchecked(scene: Scene, data: Path) -> None:
    record = deployment_record(scene)
    moved = replace(record.contracts["Settlement"], runtime_sha256="00" * 32)
    verdict = audit(data, replace(record, contracts={**record.contracts, "Settlement": moved}), scene.chain, load)
    assert [one.field for one in verdict.findings] == ["contracts.Settlement.runtime_sha256"]
    assert not any(verdict.checks.values())


# --- files that cannot be read ---


@pytest.mark.parametrize(
    ("name", "value"),
    [("market", "other"), ("run", 1), ("end", 1), ("chain_id", 5), ("market_id", bytes(32)), ("inputs", (bytes(32),))],
)
def test_a_changed_cycle_record_is_found(scene: Scene, data: Path, name: str, value: Any) -> None:
    folder = run_folder(data, CYCLE, 0)
    write_cycle(folder, replace(read_cycle(folder), **{name: value}))
    write_manifest(folder, CYCLE, 0)
    (finding,) = verdict_of(scene, data).findings
    assert (finding.check, finding.file, finding.field) == (Check.CYCLE_RECORD, f"{RUN_0}/cycle.json", name)


def test_a_changed_parameter_is_found_by_its_name(scene: Scene, data: Path) -> None:
    folder = run_folder(data, CYCLE, 0)
    record = read_cycle(folder)
    write_cycle(folder, replace(record, config=replace(record.config, window=1)))
    write_manifest(folder, CYCLE, 0)
    (finding,) = verdict_of(scene, data).findings
    assert (finding.field, finding.expected, finding.found) == ("config.window", "86400", "1")


def test_a_value_out_of_bounds_is_found_at_its_place(scene: Scene, data: Path) -> None:
    file = run_folder(data, CYCLE, 0) / tables.READINGS.file
    table = pq.read_table(file)
    values = table.column("wh").to_pylist()
    values[2] = -1
    at = table.schema.get_field_index("wh")
    pq.write_table(table.set_column(at, pa.field("wh", pa.int64(), nullable=False), pa.array(values)), file)
    write_manifest(file.parent, CYCLE, 0)
    (finding,) = of_check(verdict_of(scene, data), Check.FORMAT)
    assert (finding.file, finding.line, finding.field) == (f"{RUN_0}/readings.parquet", 3, "wh")


@pytest.mark.parametrize("name", ["trades.parquet", "cycle.json", "manifest.json"])
def test_a_file_that_is_gone_or_broken_is_found(scene: Scene, data: Path, name: str) -> None:
    file = run_folder(data, CYCLE, 0) / name
    file.write_bytes(b"broken")
    assert f"{RUN_0}/{name}" in {one.file for one in verdict_of(scene, data).findings}
    file.unlink()
    assert f"{RUN_0}/{name}" in {one.file for one in verdict_of(scene, data).findings}


@pytest.mark.parametrize("table", [tables.OBLIGATIONS, tables.NOTICES], ids=lambda table: table.name)
def test_debts_that_are_gone_or_broken_are_found(scene: Scene, data: Path, table: Table[Any]) -> None:
    file = data / table.file
    file.write_bytes(b"broken")
    assert [(one.check, one.file) for one in verdict_of(scene, data).findings] == [(Check.FORMAT, table.file)]
    file.unlink()
    assert [(one.check, one.file) for one in verdict_of(scene, data).findings] == [(Check.FORMAT, table.file)]


# --- claims ---


def with_two_claims(scene: Scene, data: Path, applied: tuple[int, int]) -> Scene:
    """Two right claims of a trade whose flows stood in rows when one of them was applied; when, by the file."""
    scene = deepcopy(scene)
    trade = scene.counting()[-1].digest
    right = next(one.claim for one in scene.claims[1] if one.applied_at)
    log = scene.chain.log
    # As if rows had held both its flows: no event says that it was applied.
    log[:] = [event for event in log if event.name not in ("Claimed", "ClaimApplied", "ClaimStruck")]
    claims = [scene.make_claim(1, trade, right.settled_wh, right.flows) for _ in range(2)]
    for one in claims:
        scene.chain.answers["Settlement", "claim_stage", trade, 1, preimages.claim_record(one)] = 2
    filed = [RecordedClaim(one, at, 0) for one, at in zip(claims, applied, strict=True)]
    rewrite(data, 1, tables.CLAIMS, lambda _: filed)
    return scene


@pytest.mark.parametrize(("applied", "found"), [((0, 0), []), ((9, 0), []), ((0, 9), []), ((9, 9), [2])], ids=str)
def test_of_claims_that_rows_held_one_is_applied(
    scene: Scene, data: Path, applied: tuple[int, int], found: list[int]
) -> None:
    verdict = verdict_of(with_two_claims(scene, data, applied), data)
    assert [one.line for one in of_check(verdict, Check.CLAIMS)] == found


def test_claims_of_another_figure_that_were_not_applied_are_noted(scene: Scene, data: Path) -> None:
    notes = [one for one in verdict_of(scene, data).notes if "a claim of another figure" in str(one)]
    assert len(notes) == 2
