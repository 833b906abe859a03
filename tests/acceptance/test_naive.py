"""The demo's folders against a second settlement that shares no code with the rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance import naive
from tests.acceptance.conftest import DemoRun
from tests.acceptance.naive import VOID, NaiveRun

SETTLED = ("agreed", "early", "attested", "claimed")


@pytest.fixture(scope="module")
def runs(demo_run: DemoRun) -> dict[Path, NaiveRun]:
    """What each run's folder comes to."""
    folders = sorted(demo_run.data.glob("cycles/*/run-*"))
    assert folders
    return {folder: naive.recompute(demo_run.data, folder) for folder in folders}


def test_it_shares_no_code_with_the_rules() -> None:
    source = Path(naive.__file__).read_text()
    imported = [line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert not {name.split(".")[0] for name in imported} & {"settlement", "store", "audit", "chain", "demo"}


def test_digests_and_commitment_roots(runs: dict[Path, NaiveRun]) -> None:
    for folder, mine in runs.items():
        filed = naive.read(folder, "trades")
        assert {(one["number"], one["index"]): one["digest"] for one in filed} == mine.digests
        committed = {one["number"]: (one["root"], one["count"]) for one in naive.read(folder, "commitments")}
        counts = {number: sum(n == number for n, _ in mine.digests) for number in mine.commitment_roots}
        assert committed == {number: (root, counts[number]) for number, root in mine.commitment_roots.items()}


def test_posted_roots(runs: dict[Path, NaiveRun]) -> None:
    compared = 0
    for folder, mine in runs.items():
        erred = {(mark["run"], mark["utility"]) for mark in naive.read(folder, "marks") if mark["kind"] == VOID}
        for one in naive.read(folder, "allocations"):
            key = one["run"], one["utility"]
            # Only a utility whose group was voided posted something else than the rule gives.
            assert (mine.roots[key] == (one["root"], one["count"])) is (key not in erred), (folder, key)
            compared += 1
    assert compared >= 2 * 7


def test_settled_energy(runs: dict[Path, NaiveRun]) -> None:
    for folder, mine in runs.items():
        for leaf in naive.read(folder, "flow_leaves"):
            assert leaf["settled_wh"] == mine.settled[leaf["trade_digest"]]


def test_rows(demo_run: DemoRun, runs: dict[Path, NaiveRun]) -> None:
    deployment = json.loads((demo_run.data / "deployment.json").read_text())
    empty = (0, 0, naive.merkle_root([]))
    compared = 0
    for folder, mine in runs.items():
        for row in naive.read(folder, "rows"):
            assert row["digest"] == naive.typed_digest(deployment, naive.struct_hash(naive.ROW_TYPE, row))
            computed = mine.rows.get((row["payer"], row["payee"]), empty)
            told = int(row["amount"]), row["count"], row["root"]
            assert (told == computed) is (row["way"] in SETTLED), (folder, row["way"])
            compared += 1
    assert compared >= 7


def test_claims(runs: dict[Path, NaiveRun]) -> None:
    for folder, mine in runs.items():
        for claim in naive.read(folder, "claims"):
            assert claim["settled_wh"] == mine.settled[claim["trade_digest"]]
