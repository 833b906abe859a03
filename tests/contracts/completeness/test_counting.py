"""How many corruptions were tried is said at the end of a run, whoever tried them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.contracts.completeness import counting
from tests.contracts.completeness.corruptions import Corruption

ROOT = Path(__file__).resolve().parents[3]
CONFTEST = """
from tests.conftest import pytest_terminal_summary
from tests.contracts.completeness.conftest import counted
"""
TESTS = """
import pytest
from tests.contracts.completeness.counting import tried

@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("number", range(4))
def test_order(number):
    tried("order", "FlowLeaf", "refused")
    tried("root", "Allocation", "")
    assert number < 3

def test_of_something_else():
    pass
"""


def test_the_line_and_the_table(tmp_path: Path) -> None:
    counts = Counter({("order", "FlowLeaf", "refused"): 2, ("root", "Row", "taken"): 1, ("order", "Row", "refused"): 4})
    structs, fields = counting.registry()
    assert counting.line(counts) == (
        f"completeness: {structs} signed structs with {fields} fields, 2 leaves with 18;"
        " 7 corruptions tried: order 6, root 1"
    )
    counting.write(counts, tmp_path / "build" / "counts.json")
    assert json.loads((tmp_path / "build" / "counts.json").read_text()) == {
        "order": {"FlowLeaf": {"refused": 2}, "Row": {"refused": 4}},
        "root": {"Row": {"taken": 1}},
    }


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("salt", ("leaf field", "FlowLeaf.salt")),
        ("meter_wh, fitted", ("leaf field fitted", "FlowLeaf.meter_wh")),
        ("omission", ("omission", "FlowLeaf")),
    ],
)
def test_a_lie_is_counted_by_its_sort_and_place(what: str, expected: tuple[str, str]) -> None:
    counting.tally.clear()
    counting.tried_lie(Corruption(what, "", (), ()), "FlowLeaf", "")
    assert counting.tally == {(*expected, counting.TAKEN): 1}


@pytest.mark.parametrize("processes", [[], ["-n", "2"]], ids=["in one process", "in two"])
def test_a_run_says_what_its_tests_tried(tmp_path: Path, processes: list[str]) -> None:
    """Each once, those of a test that failed too."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), *processes]
    run = subprocess.run(
        [*command, "-c", str(tmp_path / "pytest.ini"), str(tmp_path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "8 corruptions tried: order 4, root 4" in run.stdout
    assert json.loads((tmp_path / "build" / "completeness.json").read_text()) == {
        "order": {"FlowLeaf": {"refused": 4}},
        "root": {"Allocation": {"taken": 4}},
    }
