"""Runs the contract tests and says how much of each contract they ran: lines, and both ways of every `if` and `assert`.

Usage: contract_coverage.py [pytest arguments]. Writes build/coverage/contracts.json. Exit code 1 if a test fails, or
where less than 98 % of a contract's or module's lines ran or of its conditions went both ways (two exceptions below).
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "coverage" / "contracts.json"
LEAST_PERCENT = 98
# Of what cannot come so far, what it comes to.
LEAST_ELSEWHERE = {
    # Four bounds of 33 are of what is fixed at deployment: only a constructor fails there, and that leaves no trace.
    "modules/parameters.vy": 87,
    # Six lines have code of their own for London alone, for which only tests of gas deploy: and these let no member
    # announce a payout or call a key compromised.
    "modules/typed_data.vy": 97,
}
MOST_LISTED = 12
# Corruptions, all orders of runs and the machine over all contracts run lines that other tests run, for many minutes.
TESTS = (
    "tests/contracts",
    "tests/conformance/test_vyper.py",
    "--ignore=tests/contracts/completeness",
    "--ignore=tests/contracts/law",
    "--ignore=tests/contracts/settlement/test_any_order.py",
)

Seen = tuple[tuple[str, str, int, int, int], bool, set[bool], bool]


@dataclass
class Covered:
    """One source: lines with code and those that ran; conditions, and those that went both ways."""

    lines: int = 0
    ran: int = 0
    missing: list[int] = field(default_factory=list)
    conditions: int = 0
    both_ways: int = 0
    one_way: list[int] = field(default_factory=list)

    @property
    def percent(self) -> int:
        """The lesser of lines that ran and conditions that went both ways, of a hundred, floored."""
        conditions = self.both_ways * 100 // self.conditions if self.conditions else 100
        return min(self.ran * 100 // max(1, self.lines), conditions)


def gather(seen: Iterable[Seen]) -> dict[str, Covered]:
    """By source, relative to contracts/."""
    ran: dict[str, dict[int, bool]] = defaultdict(dict)
    ways: dict[tuple[str, int, int], set[bool]] = defaultdict(set)
    for (file, kind, line, column, _), did_run, went, jumps in seen:
        name = file.partition("contracts/")[2]
        if not name or "mocks/" in name:
            continue
        ran[name][line] = ran[name].get(line, False) or did_run
        if jumps and kind in ("If", "Assert"):
            ways[name, line, column] |= went
    found: dict[str, Covered] = {}
    for name, lines in sorted(ran.items()):
        missing = sorted(line for line, did_run in lines.items() if not did_run)
        conditions = {key[1:]: went for key, went in ways.items() if key[0] == name}
        one_way = sorted({line for (line, _), went in conditions.items() if len(went) < 2})
        both = sum(len(went) == 2 for went in conditions.values())
        found[name] = Covered(len(lines), len(lines) - len(missing), missing, len(conditions), both, one_way)
    return found


def _listed(lines: list[int]) -> str:
    return " ".join([*map(str, lines[:MOST_LISTED]), *(["..."] if len(lines) > MOST_LISTED else [])]) or "-"


def main(arguments: list[str]) -> int:
    """Runs the tests and prints the table."""
    with tempfile.TemporaryDirectory(prefix="clearwatt-traces-") as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "tests.contracts.tracing"]
        environment = {**os.environ, "CLEARWATT_TRACES": folder}
        tests = subprocess.run([*command, *(arguments or TESTS)], cwd=ROOT, env=environment, check=False)
        seen: list[Seen] = []
        for file in sorted(Path(folder).glob("*.pickle")):
            seen += pickle.loads(file.read_bytes())
    covered = gather(seen)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({name: asdict(one) for name, one in covered.items()}, indent=2) + "\n", "utf-8")
    print(f"{'contract':<34} {'lines':>11} {'%':>4} {'both ways':>11}   not run / one way")
    for name, one in covered.items():
        open_ends = f"{_listed(one.missing)} / {_listed(one.one_way)}"
        lines, conditions = f"{one.ran}/{one.lines}", f"{one.both_ways}/{one.conditions}"
        print(f"{name:<34} {lines:>11} {one.percent:>4} {conditions:>11}   {open_ends}")
    low = [name for name, one in covered.items() if one.percent < LEAST_ELSEWHERE.get(name, LEAST_PERCENT)]
    total, ran = sum(one.lines for one in covered.values()), sum(one.ran for one in covered.values())
    print(f"contract coverage: {ran} of {total} lines, {len(low)} sources too low: {', '.join(low)}")
    return 1 if low or tests.returncode or not covered else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
