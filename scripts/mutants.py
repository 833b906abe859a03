"""Mutation check: changes the contracts mechanically, a line at a time, and asks the tests whether they notice.

Usage: python -m scripts.mutants [--contract NAME...] [--count 20] [--module-count 10] [--seed 1] [--jobs 1]
       [--thorough] [--no-gate] [--json] [--document] [--list]

Each mutant is compiled and judged in a copy of the tree by its contract's own tests (`scripts/mutation/suites.py`),
with `--thorough` by all tests of contracts if it survives those. The modules that contracts share are changed too
(`--contract modules/merkle`), and judged by tests of contracts that import them.

Verdicts are kept in `build/mutants/`, so that a run can be stopped and taken up again; `build/mutants.json` tells what
was made, killed, and what survived, and with `--document` so does `docs/mutants.md`. Survivors that nothing can tell
from the contract are listed in `tests/contracts/equivalents.toml`, each with its reason, and not counted. Exit code 1
when less than 95 % are killed or that list is wrong, 2 when the tests themselves fail.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from scripts.mutation import document
from scripts.mutation.bench import BenchError
from scripts.mutation.campaign import Plan, Tally, candidates, run
from scripts.mutation.operators import chosen
from scripts.mutation.suites import ROOT, SUITES

OUT = ROOT / "build" / "mutants.json"
LEAST_PERCENT = 95
INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Runs the check; returns the exit code."""
    options = _parser().parse_args(arguments)
    plan = Plan(
        tuple(options.contract or SUITES),
        options.count,
        options.module_count,
        options.seed,
        thorough=options.thorough,
        jobs=options.jobs,
    )
    if options.list:
        _list(plan)
        return 0
    signal.signal(signal.SIGTERM, _stop)
    # Reports may be wanted by a program: then people read the progress on the other stream.
    stream = sys.stderr if options.json else sys.stdout
    began = time.monotonic()
    try:
        tallies = run(plan, lambda line: print(line, file=stream, flush=True))
    except KeyboardInterrupt:
        print("mutants: stopped; what is known is kept, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except (BenchError, BlockingIOError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    report = _report(plan, tallies, time.monotonic() - began)
    OUT.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if options.document:
        document.FILE.write_text(document.page(report), "utf-8")
    if options.json:
        print(json.dumps(report))
    else:
        _print_table(tallies)
    print(f"mutants: {report['killed']} of {report['made']} killed, {report['percent']} %", file=stream)
    passed = report["percent"] >= LEAST_PERCENT and not any(tally.refuted for tally in tallies)
    return 0 if passed or options.no_gate else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Mutation check of the contracts.")
    parser.add_argument(
        "--contract", nargs="+", choices=sorted(SUITES), metavar="NAME", help="only these, or modules/NAME"
    )
    parser.add_argument("--count", type=int, default=20, help="mutants of each contract (default 20)")
    parser.add_argument("--module-count", type=int, default=10, help="mutants of each module (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="which ones are drawn (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="contracts at a time (default 1)")
    parser.add_argument("--thorough", action="store_true", help="survivors meet all other tests of contracts too")
    parser.add_argument("--no-gate", action="store_true", help="exit code 0 whatever survives")
    parser.add_argument("--json", action="store_true", help="the report on stdout, progress on stderr")
    parser.add_argument("--document", action="store_true", help="write the result to docs/mutants.md too")
    parser.add_argument("--list", action="store_true", help="only say which would be drawn first, if all compile")
    return parser


def _list(plan: Plan) -> None:
    for contract in plan.contracts:
        for mutant, _ in zip(chosen(candidates(contract), plan.seed), range(plan.asked(contract)), strict=False):
            print(f"{mutant.id} line {mutant.line}: {mutant.before} → {mutant.after}")


def _report(plan: Plan, tallies: Sequence[Tally], seconds: float) -> dict[str, Any]:
    made, killed = sum(tally.made for tally in tallies), sum(tally.killed for tally in tallies)
    return {
        "seed": plan.seed,
        "count": plan.count,
        "module_count": plan.module_count,
        "thorough": plan.thorough,
        "made": made,
        "killed": killed,
        "percent": round(100 * killed / made, 1) if made else 100.0,
        "seconds": round(seconds, 1),
        "contracts": {tally.contract: tally.document() for tally in tallies},
    }


def _print_table(tallies: Sequence[Tally]) -> None:
    print(f"\n{'contract':<26} {'made':>5} {'killed':>7} {'survived':>9} {'equivalent':>11} {'seconds':>8}")
    for tally in tallies:
        figures = f"{tally.made:>5} {tally.killed:>7} {len(tally.survivors):>9} {len(tally.equivalent):>11}"
        print(f"{tally.contract:<26} {figures} {tally.seconds:>8.0f}")
    for tally in tallies:
        for mutant in tally.survivors:
            print(f"{tally.contract}:{mutant.line}: survives: {mutant.before} → {mutant.after}")
        for mutant, reason in tally.equivalent:
            print(f"{tally.contract}:{mutant.line}: equivalent: {mutant.before} → {mutant.after}: {reason}")
        for wrong in tally.refuted:
            print(f"{tally.contract}: equivalents.toml is wrong: {wrong}")


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
