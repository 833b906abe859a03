"""Measures what every operation costs and writes `docs/gas.md` and `build/bench/gas.json` (`make bench-gas`).

`--snapshot` also renews `tests/contracts/gas.json`, with which the tests compare. What is measured, and how, stands in
`tests/contracts/gas.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import vyper

from tests.contracts import gas, gas_members, gas_settling, gas_trading
from tests.contracts.gas import PARTS, Measured

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "gas.md"
RESULT = ROOT / "build" / "bench" / "gas.json"
OPERATIONS = (*gas_trading.OPERATIONS, *gas_settling.OPERATIONS, *gas_members.OPERATIONS)
# A cycle, composed: trades, then how often each measured operation happens.
TRADES = 1_000_000
CYCLE = {
    "commit a batch of any size: 2 signatures, 1 new lock": 500,
    "post an allocation": 10,
    "open a window": 1,
    "seal a run: run 0": 1,
    "an agreed row: 64 in a call, all from the lock": 500,
}
CYCLE_TARGET = 100


def cycle(measured: Sequence[Measured]) -> int:
    """Gas of a whole cycle, from measured parts."""
    by_name = {one.name: one.gas for one in measured}
    return sum(by_name[name] * times for name, times in CYCLE.items())


def targets(measured: Sequence[Measured]) -> list[str]:
    """Of operations that have a target at some sizes alone: at which, and which others cost more."""
    lines = ["A target is set for the size that it stands beside, and for no other:", ""]
    for operation in dict.fromkeys(one.operation for one in measured):
        sizes = [one for one in measured if one.operation == operation]
        bound = {one.parameters: one.target for one in sizes if one.target is not None}
        if not bound or len(bound) == len(sizes):
            continue
        stated = "; ".join(f"{parameters} ({target:,})" for parameters, target in bound.items())
        free = [one for one in sizes if one.target is None and one.gas > max(bound.values())]
        above = "; ".join(f"{one.parameters} ({one.gas:,})" for one in free)
        lines.append(f"* {operation}: {stated}.{f' More than any of these: {above}.' if above else ''}")
    return lines


def page(measured: Sequence[Measured], complete: bool) -> str:
    """The document."""
    lines = [
        "# Gas",
        "",
        "Written by `make bench-gas`, which fails, as the tests do for one size of each operation, where one costs over"
        " 5 % more than in [tests/contracts/gas.json](../tests/contracts/gas.json), or more than its target.",
        "",
        f"Vyper {vyper.__version__.split('+')[0]}, `-O gas`, EVM {gas.EVM}. Each figure is of one transaction with cold"
        " storage, per unit (call, row or leaf): 21 000 base and calldata included, refunds deducted. A level is one"
        " sibling in each of the proof's paths: 2^levels leaves.",
        "",
        "| operation | parameters | gas | target |",
        "| --- | --- | --- | --- |",
    ]
    for one in measured:
        target = "" if one.target is None else f"{one.target:,}"
        lines.append(f"| {one.operation} | {one.parameters} | {one.gas:,} | {target} |")
    lines += ["", *targets(measured)]
    total = cycle(measured)
    lines += [
        "",
        "## A cycle",
        "",
        f"{TRADES:,} trades between 50 members cost **{total / TRADES:.1f} gas a trade** (target below {CYCLE_TARGET})."
        " Composed, not run, from the figures above: "
        + "; ".join(f"{n:,} × {name}" for name, n in CYCLE.items())
        + ".",
        "",
        "## What it is spent on",
        "",
        "*Signatures* are recoveries; *calls* are calls of other contracts (2 600 for the first of each) without what"
        " these spend; *storage* is reading (2 100 a cold word) and writing (22 100 a new word); the rest is computing,"
        " copying and encoding.",
        "",
        "| operation | " + " | ".join(PARTS) + " | rest |",
        "| --- |" + " --- |" * (len(PARTS) + 1),
    ]
    for one in measured:
        if one.parts:
            rest = one.gas - sum(one.parts.values())
            cells = " | ".join(f"{one.parts[part]:,}" for part in PARTS)
            lines.append(f"| {one.name} | {cells} | {rest:,} |")
    if not complete:
        lines += ["", "Sizes left out here are measured by `make bench-gas` without `--quick`."]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Measures, writes, and tells what is at fault; returns the exit code."""
    parser = argparse.ArgumentParser(description="What every operation costs.")
    parser.add_argument("--quick", action="store_true", help="only what the tests compare, without the larger sizes")
    parser.add_argument("--snapshot", action="store_true", help="renew the snapshot that the tests compare with")
    options = parser.parse_args(arguments)
    measured: list[Measured] = []
    for operation in OPERATIONS:
        for one in operation(not options.quick):
            print(f"{one.name}: {one.gas:,}", flush=True)
            measured.append(one)
    if options.snapshot:
        known = {one.name: one.gas for one in measured}
        gas.SNAPSHOT.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    table = [
        {"operation": one.operation, "parameters": one.parameters, "gas": one.gas, "target": one.target}
        for one in measured
    ]
    total = cycle(measured) // TRADES
    table.append({"operation": "a cycle", "parameters": f"a trade of {TRADES:,}", "gas": total, "target": CYCLE_TARGET})
    RESULT.write_text(json.dumps(table, indent=1) + "\n")
    PAGE.write_text(page(measured, not options.quick))
    found = gas.faults(measured, gas.snapshot())
    if total >= CYCLE_TARGET:
        found.append(f"a cycle: {total} gas a trade, the target is below {CYCLE_TARGET}")
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
