"""The gates that contract sources pass before anything else is asked of them.

Usage: python -m scripts.contract_gates [--sources | --sizes] [folder, `contracts` by default]

Sources: five compiler advisories of October 2026 touch Vyper 0.4.3 (text outside ASCII, conditional expressions on
arrays, bit-or with `msg.value` or `len(msg.data)` in one, `code_offset` from a caller, calls with effects inside
arguments); the rules keep clear of them, wider than needed where that makes a rule simpler. Then the pragmas, how each
contract is stopped, and the length of files. Sizes: every deployable compiles for both targets without a warning, fits
on a chain, and is what the snapshots in its folder say (`contract_snapshots.py`). Exit code 1 when a gate fails.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vyper import ast as vy_ast
from vyper.exceptions import VyperException
from vyper.semantics.types.function import ContractFunctionT
from vyper.warnings import VyperWarning

from scripts import contract_snapshots
from scripts.contract_builds import CONTRACTS, TARGETS, Build, build, compiler

SIZE_LIMIT = 24_576  # EIP-170; a deployed contract is its runtime code and its immutables
LINES_AT_MOST = 400  # of code: what the docstring rule makes long must not push code out of its file

_DOCSTRING = re.compile(r'^[ ]*"""(?:.|\n)*?"""[ ]*$', re.MULTILINE)

VERSION_PRAGMA = "# pragma version 0.4.3"
REENTRANCY_PRAGMA = "# pragma nonreentrancy on"
# Each begins another contract's code, so it has effects as an `extcall` has.
CALLING_BUILTINS = {
    "raw_call",
    "send",
    "create_from_blueprint",
    "create_minimal_proxy_to",
    "create_copy_of",
    "raw_create",
}


@dataclass(frozen=True, order=True)
class Fault:
    """A source line that a gate does not let pass."""

    file: str
    line: int
    gate: str
    message: str


def code_lines(text: str) -> int:
    """The lines that are neither blank nor comment nor docstring."""
    lines = (line.strip() for line in _DOCSTRING.sub("", text).splitlines())
    return sum(1 for line in lines if line and not line.startswith("#"))


def check_text(file: str, raw: bytes) -> Iterator[Fault]:
    """The gates that need no parsing: characters, pragmas, length."""
    lines = raw.split(b"\n")
    for number, line in enumerate(lines, 1):
        strange = re.search(rb"[^\x20-\x7e]", line)
        if strange:
            yield Fault(file, number, "ascii", f"byte 0x{strange[0].hex()} at column {strange.start() + 1}")
    count = code_lines(raw.decode("latin-1"))
    if count > LINES_AT_MOST:
        yield Fault(file, len(lines), "length", f"{count} lines of code, at most {LINES_AT_MOST}")
    if file.endswith(".vy"):
        yield from _check_pragmas(file, [line.decode("latin-1") for line in lines])


def check_meaning(file: str, module: Any) -> Iterator[Fault]:
    """The gates on an annotated syntax tree."""
    for node in module.get_descendants(vy_ast.IfExp):
        if not node._metadata["type"]._is_prim_word:
            yield Fault(file, node.lineno, "conditional", f"conditional expression on {node._metadata['type']}")
        if node.get_descendants(vy_ast.BitOr) and any(map(_is_call_input, node.get_descendants(vy_ast.Attribute))):
            yield Fault(file, node.lineno, "bit-or", "bit-or and msg.value or msg.data in a conditional expression")
    for node in module.get_descendants(vy_ast.Call):
        if getattr(node.func, "id", None) == "create_from_blueprint":
            for keyword in node.keywords:
                if keyword.arg == "code_offset" and not isinstance(keyword.value, vy_ast.Int):
                    yield Fault(file, node.lineno, "code-offset", "code_offset must be a literal number")
        if _has_effects(node) and (where := _inside(node)):
            yield Fault(file, node.lineno, "effects", f"call with effects inside {where}: bind it to a local first")


def check_deployable(file: str, text: str) -> Iterator[Fault]:
    """What every contract that goes onto a chain says about itself."""
    if REENTRANCY_PRAGMA not in text.splitlines():
        yield Fault(file, 1, "pragma", f"lacks `{REENTRANCY_PRAGMA}`")
    if not re.search(r"^@custom:kill \S", text, re.MULTILINE):
        yield Fault(file, 1, "kill", "lacks @custom:kill: how is this contract stopped?")


def check_sources(folder: Path) -> list[Fault]:
    """All source gates over a folder of contracts."""
    found: list[Fault] = []
    for path in sorted((*folder.rglob("*.vy"), *folder.rglob("*.vyi"))):
        file, raw = path.relative_to(folder.parent).as_posix(), path.read_bytes()
        textual = list(check_text(file, raw))
        found += textual
        if path.suffix == ".vy":
            if path.parent == folder:
                found += check_deployable(file, raw.decode("latin-1"))
            if not any(fault.gate == "ascii" for fault in textual):
                try:
                    found += check_meaning(file, compiler(folder, path, TARGETS[0]).annotated_vyper_module)
                except VyperException as error:
                    found.append(Fault(file, 1, "compiles", first_line(error)))
    return sorted(set(found))


def check_sizes(folder: Path) -> tuple[list[Build], list[Fault]]:
    """Compiles every deployable for every target, warnings as errors, and measures it."""
    builds, found = [], []
    for path in sorted(folder.glob("*.vy")):
        file = path.relative_to(folder.parent).as_posix()
        for target in TARGETS:
            try:
                made = build(folder, path, target)
            except (VyperException, VyperWarning) as error:
                found.append(Fault(file, 1, "compiles", f"{target}: {first_line(error)}"))
                continue
            builds.append(made)
            if made.size >= SIZE_LIMIT:
                found.append(Fault(file, 1, "size", f"{made.size} bytes for {target}, must be below {SIZE_LIMIT}"))
    return builds, found


def check_snapshots(folder: Path, builds: Sequence[Build]) -> list[Fault]:
    """Compares what was compiled with the snapshots kept beside the sources."""
    return [
        Fault(f"{folder.name}/{where}", 1, "snapshot", how)
        for where, how in contract_snapshots.differences(folder, builds)
    ]


def first_line(error: Exception) -> str:
    """The line of a compiler's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.endswith(":")), type(error).__name__)


def main(arguments: Sequence[str]) -> int:
    """Prints the table and the faults; returns the exit code."""
    parser = argparse.ArgumentParser(description="The gates that contract sources pass.")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--sources", action="store_true", help="only the gates on sources")
    only.add_argument("--sizes", action="store_true", help="only compile and measure")
    parser.add_argument("folder", nargs="?", type=Path, default=CONTRACTS)
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    found: list[Fault] = []
    if not options.sizes:
        found += check_sources(folder)
    if not options.sources:
        builds, unfit = check_sizes(folder)
        found += unfit
        if folder == CONTRACTS:  # snapshots are of what is released
            found += check_snapshots(folder, builds)
        _print_table(folder, builds)
    for fault in found:
        print(f"{fault.file}:{fault.line}: {fault.gate}: {fault.message}")
    deployables = len(list(folder.glob("*.vy")))
    print(f"contract gates: {deployables} contracts, {len(found)} faults")
    return 1 if found or not deployables else 0


def _check_pragmas(file: str, lines: Sequence[str]) -> Iterator[Fault]:
    if lines[0] != VERSION_PRAGMA:
        yield Fault(file, 1, "pragma", f"the first line must be `{VERSION_PRAGMA}`")
    for number, line in enumerate(lines, 1):
        # Everything else (EVM version, optimiser, code generator) is a setting of the build, never of a source.
        if re.match(r"\s*#\s*(pragma\b|@version)", line) and line not in (VERSION_PRAGMA, REENTRANCY_PRAGMA):
            yield Fault(file, number, "pragma", f"`{line.strip()}` is not allowed")


def _is_call_input(node: Any) -> bool:
    return getattr(node.value, "id", None) == "msg" and node.attr in ("value", "data")


def _has_effects(node: Any) -> bool:
    if isinstance(node.get_ancestor(), vy_ast.ExtCall):
        return True
    if getattr(node.func, "id", None) in CALLING_BUILTINS:
        return True
    called = node.func._metadata.get("type")
    return isinstance(called, ContractFunctionT) and called.is_internal and called.is_mutable


def _inside(node: Any) -> str | None:
    """What encloses a call within its statement, where that is a place in which calls with effects are not allowed."""
    child, parent = node, node.get_ancestor()
    while parent is not None:
        if isinstance(parent, vy_ast.For):
            return "a loop header" if child is parent.iter else None
        if isinstance(parent, vy_ast.Call) and child is not parent.func:
            return "a log" if isinstance(parent.get_ancestor(), vy_ast.Log) else "an argument"
        if isinstance(parent, vy_ast.FunctionDef):
            return None
        child, parent = parent, parent.get_ancestor()
    return None


def _print_table(folder: Path, builds: Sequence[Build]) -> None:
    by_contract: dict[str, dict[str, int]] = {}
    for one in builds:
        by_contract.setdefault(one.contract, {})[one.target] = one.size
    print(f"{'contract':<20} {'code':>6} " + " ".join(f"{target:>8}" for target in TARGETS))
    for contract, measured in by_contract.items():
        count = code_lines((folder / f"{contract}.vy").read_text("latin-1"))
        figures = " ".join(f"{measured.get(target, '-'):>8}" for target in TARGETS)
        print(f"{contract:<20} {count:>6} {figures}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
