"""Which tests judge a source's mutants, the likeliest and quickest first, and what a mutant depends on.

A source is a contract or a module that contracts import, by its path under `contracts/` without the suffix.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = Path("tests/contracts")
CONTRACTS = Path("contracts")
MODULES = "modules"

# A contract's own tests, then others that call it for what it is there for; of a module those of the contracts that
# import it. Files, and folders for all files in them.
SUITES = {
    "AllocationFaults": ("test_allocation_faults", "test_allocation_check"),
    "AllocationOracle": ("test_allocation_oracle", "test_allocation_faults", "disputes", "test_closing"),
    "Arbiters": ("disputes/test_figures", "obligation_ledger/test_outcomes", "disputes", "obligation_ledger"),
    "Council": ("test_council",),
    "DepositToken": ("test_deposit_token", "test_settlement_escrow"),
    "Disputes": ("disputes",),
    "MemberRegistry": ("member_registry", "test_safe"),
    "ObligationLedger": ("obligation_ledger", "test_settlement_escrow", "test_money_machine"),
    "RevenueFlows": ("test_revenue_flows", "trade_result"),
    "RowDemands": ("row_demands", "test_closing"),
    "RowFaults": ("row_faults", "row_demands"),
    "Settlement": ("settlement", "test_closing"),
    "SettlementEscrow": ("test_settlement_escrow", "test_closing", "test_money_machine"),
    "StatementRegistry": ("test_statement_registry",),
    "TradeBook": ("trade_book",),
    "TradeResult": ("trade_result", "test_differential"),
    "modules/agreed_rows": ("settlement/test_agreed_rows", "settlement/test_attested_rows"),
    "modules/allocation_check": ("test_allocation_check", "test_allocation_faults", "trade_result"),
    "modules/attestor_set": ("member_registry/test_standing", "member_registry/test_members"),
    "modules/claimed_figures": ("row_faults", "row_demands"),
    "modules/claims": ("settlement/test_claims", "settlement/test_claims_beside", "settlement/test_sums_of_claims"),
    "modules/governance": ("member_registry/test_members", "member_registry/test_parameters_and_pause"),
    "modules/hot_keys": ("test_statement_registry", "test_settlement_escrow"),
    "modules/live_notices": ("test_words", "obligation_ledger/test_notices", "obligation_ledger"),
    "modules/merkle": ("test_modules",),
    "modules/pair_state": (
        "settlement/test_agreed_rows",
        "settlement/test_claims",
        "settlement/test_sums_of_claims",
        "settlement/test_attested_rows",
    ),
    "modules/parameters": ("member_registry/test_parameters_and_pause",),
    "modules/pausing": ("member_registry/test_parameters_and_pause",),
    "modules/preimages": ("test_modules",),
    "modules/publication": ("settlement/test_publishing", "settlement/test_attested_rows", "row_demands"),
    "modules/queues": ("obligation_ledger/test_falling_due", "obligation_ledger"),
    "modules/roles": ("member_registry", "test_statement_registry", "test_deposit_token"),
    "modules/run_terms": ("test_words", "row_demands/test_demands", "disputes"),
    "modules/signatures": ("test_modules",),
    "modules/timeline": ("member_registry/test_standing", "member_registry"),
    "modules/typed_data": ("test_modules",),
}

# Folders of what takes longest.
SLOW = ("completeness", "law")

# These notice any change of a source, or of what it costs, so they say nothing of what it does.
DEAF = (
    "tests/contracts/test_snapshot_gas.py",
    "tests/contracts/member_registry/test_standing.py::test_common_questions_are_cheap",
    "tests/contracts/completeness/test_seeded.py",
    "tests/contracts/law/test_seeded.py",
    "tests/contracts/law/test_invariants_table.py",
)

_LOCAL_IMPORT = re.compile(r"^from (\.+)(\w*) import (\w+)", re.MULTILINE)


def own_stages(contract: str, root: Path = ROOT) -> list[list[str]]:
    """The test files of each part of a contract's suite, as paths within the checkout; each where it is named first."""
    found: list[list[str]] = []
    for name in SUITES[contract]:
        folder = root / TESTS / name
        files = sorted(folder.glob("test_*.py")) if folder.is_dir() else [folder.with_name(f"{folder.name}.py")]
        named = [path.relative_to(root).as_posix() for path in files]
        found.append([test for test in named if not any(test in stage for stage in found)])
    return [stage for stage in found if stage]


def own_tests(contract: str, root: Path = ROOT) -> list[str]:
    """All test files of a contract, in their order."""
    return [test for stage in own_stages(contract, root) for test in stage]


def other_tests(contract: str, root: Path = ROOT) -> list[str]:
    """All other tests of contracts, without the deaf ones; the slowest last."""
    own = {*own_tests(contract, root), *DEAF}
    found = [path.relative_to(root) for path in (root / TESTS).rglob("test_*.py")]
    ordered = sorted(found, key=lambda path: (path.parent.name in SLOW, path))
    return [path.as_posix() for path in ordered if path.as_posix() not in own]


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


def importers(path: Path) -> set[Path]:
    """A Vyper source and, if it is a module, the contracts and mocks that import it at any depth."""
    if path.parent.name != MODULES:
        return {path}
    beside = path.parents[1].rglob("*.vy")
    return {path} | {file for file in beside if path in imports(file)}


def fingerprint(root: Path, contract: str, tests: Iterable[str]) -> str:
    """Over what decides the fate of a source's mutants: sources, these tests, what stands beside them or above."""
    judges = {root / test for test in tests}
    folders = {root / TESTS, *(judge.parent for judge in judges)}
    beside = {path for folder in folders for path in folder.glob("*.py") if not path.name.startswith("test_")}
    total = hashlib.sha256()
    sources = {file for one in importers(root / CONTRACTS / f"{contract}.vy") for file in imports(one)}
    for file in sorted(sources | judges | beside):
        total.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes() + b"\0")
    return total.hexdigest()[:16]
