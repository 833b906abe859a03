"""Which tests judge a contract's mutants, the likeliest and quickest first, and what a mutant depends on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = Path("tests/contracts")
CONTRACTS = Path("contracts")

# A contract's own tests, then others that call it for what it is there for.
SUITES = {
    "AllocationFaults": ("test_allocation_faults", "test_allocation_check"),
    "AllocationOracle": ("test_allocation_oracle", "test_allocation_faults", "test_disputes", "test_closing"),
    "Arbiters": ("test_disputes", "test_obligation_ledger"),
    "Council": ("test_council",),
    "DepositToken": ("test_deposit_token", "test_settlement_escrow"),
    "Disputes": ("test_disputes",),
    "MemberRegistry": ("test_member_registry", "test_safe"),
    "ObligationLedger": ("test_obligation_ledger", "test_settlement_escrow", "test_money_machine"),
    "RevenueFlows": ("test_revenue_flows", "test_trade_result"),
    "RowDemands": ("test_row_demands", "test_closing"),
    "RowFaults": ("test_row_faults", "test_row_demands"),
    "Settlement": ("test_settlement", "test_closing"),
    "SettlementEscrow": ("test_settlement_escrow", "test_closing", "test_money_machine"),
    "StatementRegistry": ("test_statement_registry",),
    "TradeBook": ("test_trade_book",),
    "TradeResult": ("test_trade_result", "test_differential"),
}

# These notice any change of a source, or of what it costs, so they say nothing of what it does.
DEAF = (
    "tests/contracts/test_snapshot_gas.py",
    "tests/contracts/test_member_registry.py::test_common_questions_are_cheap",
    "tests/contracts/completeness/test_seeded.py",
    "tests/contracts/law/test_seeded.py",
    "tests/contracts/law/test_invariants_table.py",
)

_LOCAL_IMPORT = re.compile(r"^from (\.+)(\w*) import (\w+)", re.MULTILINE)


def own_tests(contract: str) -> list[str]:
    """The test files of a contract, as paths within the checkout."""
    return [(TESTS / f"{name}.py").as_posix() for name in SUITES[contract]]


def other_tests(contract: str, root: Path = ROOT) -> list[str]:
    """All other tests of contracts, without the deaf ones; the largest last, as they mostly are the slowest."""
    own = {*own_tests(contract), *DEAF}
    found = [path for path in (root / TESTS).rglob("test_*.py") if path.relative_to(root).as_posix() not in own]
    return [path.relative_to(root).as_posix() for path in sorted(found, key=lambda path: (len(path.parts), path.name))]


def imports(path: Path) -> set[Path]:
    """A Vyper source and everything that it imports from beside it, at any depth."""
    found, waiting = {path}, [path]
    while waiting:
        one = waiting.pop()
        for dots, package, name in _LOCAL_IMPORT.findall(one.read_text("ascii")):
            base = one.parents[len(dots) - 1] / package / name
            new = {file for file in (base.with_suffix(".vy"), base.with_suffix(".vyi")) if file.exists()} - found
            found |= new
            waiting += new
    return found


def fingerprint(root: Path, contract: str, tests: Iterable[str]) -> str:
    """Over what decides the fate of a contract's mutants: its sources, these tests, and what stands beside them."""
    judges = {root / test for test in tests}
    beside = {path for judge in judges for path in judge.parent.glob("*.py") if not path.name.startswith("test_")}
    total = hashlib.sha256()
    for file in sorted(imports(root / CONTRACTS / f"{contract}.vy") | judges | beside):
        total.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()[:16]
