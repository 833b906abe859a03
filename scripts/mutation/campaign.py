"""A run over contracts: draws mutants, has them judged or remembers what became of them, and counts."""

from __future__ import annotations

import fcntl
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.mutation import equivalents
from scripts.mutation.bench import Bench, Verdict
from scripts.mutation.memory import Memory
from scripts.mutation.operators import Mutant, chosen, mutants
from scripts.mutation.suites import CONTRACTS, ROOT, fingerprint, other_tests, own_tests

FOLDER = ROOT / "build" / "mutants"
ASKED_FIRST = 4

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is asked for: at least `count` mutants that compile of each contract, drawn by `seed`."""

    contracts: tuple[str, ...]
    count: int = 20
    seed: int = 1
    thorough: bool = False
    jobs: int = 1


@dataclass
class Tally:
    """What became of one contract's mutants. Equivalent ones are judged too, but not counted as made."""

    contract: str
    killed: int = 0
    survivors: list[Mutant] = field(default_factory=list)
    equivalent: list[tuple[Mutant, str]] = field(default_factory=list)
    # Entries of the list of equivalents that are wrong: of a mutant that a test kills, or of none.
    refuted: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def made(self) -> int:
        """How many are counted."""
        return self.killed + len(self.survivors)

    def document(self) -> dict[str, Any]:
        """For a report."""
        return {
            "made": self.made,
            "killed": self.killed,
            "survivors": [_described(mutant) for mutant in self.survivors],
            "equivalent": [{**_described(mutant), "reason": reason} for mutant, reason in self.equivalent],
            "refuted": self.refuted,
            "seconds": round(self.seconds, 1),
        }


def candidates(contract: str, tree: Path = ROOT) -> list[Mutant]:
    """Every mutant of a contract, as it stands in a tree."""
    return mutants(contract, (tree / CONTRACTS / f"{contract}.vy").read_text("ascii"))


def run(plan: Plan, say: Say) -> list[Tally]:
    """Judges what the plan asks for; raises BenchError where tests say nothing, BlockingIOError beside another run.

    Whatever ends it, nothing runs any more when it returns.
    """
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for contract in plan.contracts:
        waiting.put(contract)
    tallies: dict[str, Tally] = {}

    def work(bench: Bench) -> None:
        with bench, suppress(queue.Empty):
            while True:
                contract = waiting.get_nowait()
                tallies[contract] = judged(contract, plan, bench, say)

    with _alone(FOLDER), ThreadPoolExecutor(plan.jobs) as pool:
        benches = [Bench(FOLDER, number) for number in range(1, plan.jobs + 1)]
        working = [pool.submit(work, bench) for bench in benches]
        try:
            for done in as_completed(working):
                done.result()
        except BaseException:
            for bench in benches:
                bench.end()  # which the thread at work notices at once
            raise
    return [tallies[contract] for contract in plan.contracts]


def judged(contract: str, plan: Plan, bench: Bench, say: Say) -> Tally:
    """One contract's tally."""
    began = time.monotonic()
    tally = Tally(contract)
    all_of_it = candidates(contract, bench.tree)
    listed = [one for one in equivalents.read() if one.contract == contract]
    tally.refuted += [f"there is no such line: `{one.after}`" for one in equivalents.unknown(listed, all_of_it)]
    courts = [Court("own", contract, own_tests(contract, bench.tree), bench)]
    if plan.thorough:
        courts.append(Court("others", contract, other_tests(contract, bench.tree), bench))
    for mutant in chosen(all_of_it, plan.seed):
        if tally.made >= plan.count:
            break
        for court in courts:
            verdict = court.verdict(mutant)
            if verdict.word != "survived":
                break
        if verdict.word == "stillborn":
            continue
        reason = next((one.reason for one in listed if one.is_of(mutant)), None)
        if reason is not None:
            tally.equivalent.append((mutant, reason))
            if verdict.word == "killed":
                tally.refuted.append(f"{verdict.by} kills `{mutant.after}`")
        elif verdict.word == "killed":
            tally.killed += 1
        else:
            tally.survivors.append(mutant)
        fate = f"killed by {verdict.by.rpartition('/')[2]}" if verdict.word == "killed" else "SURVIVED"
        fate = "equivalent" if reason is not None and verdict.word == "survived" else fate
        shown = mutant.after if len(mutant.after) <= 90 else mutant.after[:89] + "…"
        say(
            f"{contract} {tally.killed} of {tally.made} killed, {time.monotonic() - began:.0f} s; "
            f"{mutant.operator}, line {mutant.line}: {shown} -- {fate} ({verdict.seconds} s)"
        )
    tally.seconds = time.monotonic() - began
    return tally


class Court:
    """A list of tests before which one contract's mutants are brought; it remembers its verdicts."""

    def __init__(self, name: str, contract: str, tests: list[str], bench: Bench) -> None:
        self.contract = contract
        self.tests = tests
        self.bench = bench
        self.memory = Memory(FOLDER / "verdicts" / f"{contract}.{name}.json", fingerprint(bench.tree, contract, tests))
        self.baseline: float | None = None
        self.killers: list[tuple[int, str]] = []

    def verdict(self, mutant: Mutant) -> Verdict:
        """What the tests say, now or when they were last asked the same."""
        known = self.memory.verdict(mutant)
        if known is None:
            if self.baseline is None:
                self.baseline = self.bench.baseline(self.contract, self.tests)
            known = self.bench.judge(mutant, self.tests, self._first(mutant), self.baseline)
            self.memory.keep(mutant, known)
        if known.word == "killed":
            self.killers.append((mutant.line, known.by))
        return known

    def _first(self, mutant: Mutant) -> list[str]:
        """The likeliest killers: of this mutant before, else of its neighbours."""
        near = sorted(self.killers, key=lambda killer: abs(killer[0] - mutant.line))
        return list(dict.fromkeys([*self.memory.first(mutant), *(by for _, by in near)]))[:ASKED_FIRST]


def _described(mutant: Mutant) -> dict[str, Any]:
    return {
        "id": mutant.id,
        "operator": mutant.operator,
        "line": mutant.line,
        "before": mutant.before,
        "after": mutant.after,
        **({"nth": mutant.nth} if mutant.nth else {}),
    }


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the folder against a second run beside this one."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
