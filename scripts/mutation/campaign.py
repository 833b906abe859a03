"""A run over contracts and modules: draws mutants, has them judged or remembers what became of them, and counts."""

from __future__ import annotations

import fcntl
import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from scripts.mutation import equivalents
from scripts.mutation.bench import Bench, Verdict
from scripts.mutation.memory import Memory
from scripts.mutation.operators import Mutant, chosen, mutants
from scripts.mutation.suites import CONTRACTS, MODULES, ROOT, fingerprint, other_tests, own_stages

FOLDER = ROOT / "build" / "mutants"
ASKED_FIRST = 4

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is asked for: this many mutants that compile of each contract and of each module, drawn by `seed`."""

    contracts: tuple[str, ...]
    count: int = 20
    module_count: int = 10
    seed: int = 1
    thorough: bool = False
    jobs: int = 1

    def asked(self, source: str) -> int:
        """How many of this one, if it has so many."""
        return self.module_count if source.startswith(f"{MODULES}/") else self.count


@dataclass
class Tally:
    """What became of one source's mutants. Equivalent ones are judged too, but not counted as made.

    `seconds` are those that its verdicts took, whenever they were found.
    """

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
    """Every mutant of a contract or module, as it stands in a tree."""
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
    """The tally of one contract or module."""
    began = time.monotonic()
    tally = Tally(contract)
    all_of_it = candidates(contract, bench.tree)
    listed = [one for one in equivalents.read() if one.contract == contract]
    tally.refuted += [f"there is no such line: `{one.after}`" for one in equivalents.unknown(listed, all_of_it)]
    courts = [Court("own", contract, own_stages(contract, bench.tree), bench)]
    if plan.thorough:
        courts.append(Court("others", contract, [other_tests(contract, bench.tree)], bench))
    for mutant in chosen(all_of_it, plan.seed):
        if tally.made >= plan.asked(contract):
            break
        for court in courts:
            verdict = court.verdict(mutant)
            tally.seconds += verdict.seconds
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
    return tally


class Court:
    """Lists of tests before which one source's mutants are brought, one after the other; it remembers its verdicts."""

    def __init__(self, name: str, contract: str, stages: list[list[str]], bench: Bench) -> None:
        self.contract = contract
        self.stages = stages
        self.bench = bench
        tests = [test for stage in stages for test in stage]

        @cache
        def of(*judges: str) -> str:
            return fingerprint(bench.tree, contract, judges)

        def rests_on(verdict: Verdict) -> str:
            """What no other test can undo: a mutant is dead, or no contract. A survivor meets every test."""
            killer = verdict.by.partition("::")[0]
            return of() if verdict.word == "stillborn" else of(killer) if killer in tests else of(*tests)

        self.memory = Memory(FOLDER / "verdicts" / f"{contract}.{name}.json", rests_on)
        self.baselines: dict[int, float] = {}
        self.killers: list[tuple[int, str]] = []

    def verdict(self, mutant: Mutant) -> Verdict:
        """What the tests say, now or when they were last asked the same."""
        known = self.memory.verdict(mutant)
        if known is None:
            known = self._judged(mutant)
            self.memory.keep(mutant, known)
        if known.word == "killed":
            self.killers.append((mutant.line, known.by))
        return known

    def _judged(self, mutant: Mutant) -> Verdict:
        """What the stages say, that of the likeliest killer before all others; each must pass without the mutant."""
        first = self._first(mutant)
        likeliest = first[0].partition("::")[0] if first else ""
        seconds = 0.0
        for place in sorted(range(len(self.stages)), key=lambda place: likeliest not in self.stages[place]):
            stage = self.stages[place]
            if place not in self.baselines:
                self.baselines[place] = self.bench.baseline(self.contract, stage)
            asked = [test for test in first if test.partition("::")[0] in stage]
            verdict = self.bench.judge(mutant, stage, asked, self.baselines[place])
            seconds += verdict.seconds
            if verdict.word != "survived":
                break
        return replace(verdict, seconds=round(seconds, 1))

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
