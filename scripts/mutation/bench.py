"""A worker with its copy of the tree, as its owner sees it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from chain.node import dies_with_parent
from scripts.mutation.operators import Mutant
from scripts.mutation.suites import CONTRACTS, DEAF, ROOT

COPIED = ("contracts", "settlement", "tests", "scripts", "pyproject.toml")
NOT_NEEDED = {"build", ".git", ".venv"}
LEAST_CPU_SECONDS = 300
CPU_TIMES_BASELINE = 10

Word = Literal["killed", "survived", "stillborn", "broken"]


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: `killed` by a test, `survived`, `stillborn` if it is no contract; in so many seconds."""

    word: Word
    by: str
    seconds: float


class BenchError(Exception):
    """The tests say nothing about mutants: they fail without one, or cannot be run."""


class Bench:
    """Judges mutants one after the other; use as a context manager, after which nothing runs any more."""

    def __init__(self, folder: Path, number: int = 1) -> None:
        self.tree = folder / f"tree-{number}"
        self.cache = folder / "compiled"
        self.process: subprocess.Popen[str] | None = None
        self.ended = False

    def __enter__(self) -> Self:
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir(parents=True)
        for path in ROOT.iterdir():
            if path.name in COPIED:
                copy = shutil.copytree if path.is_dir() else shutil.copy
                copy(path, self.tree / path.name)
            elif path.name not in NOT_NEEDED:
                (self.tree / path.name).symlink_to(path)
        if self.ended:
            raise BenchError("ended before it began")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scripts.mutation.worker", str(self.cache)],
            cwd=self.tree,
            env={**os.environ, "PYTHONPATH": str(self.tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for its owner, who ends all of its processes at once
            preexec_fn=dies_with_parent(),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        shutil.rmtree(self.tree, ignore_errors=True)

    def end(self) -> None:
        """Ends the worker and whatever it started; from any thread, and for good."""
        self.ended = True
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def baseline(self, contract: str, tests: Sequence[str]) -> float:
        """The seconds that the tests take without a mutant; raises BenchError if one fails, for then all would."""
        verdict = self._ask(contract, None, tests, (), 3600)
        if verdict.word != "survived":
            output = (self.tree / "output.txt").read_text("utf-8", "replace")
            raise BenchError(f"{contract}: {verdict.by} fails without any mutant\n{output[-4000:]}")
        return verdict.seconds

    def judge(self, mutant: Mutant, tests: Sequence[str], first: Sequence[str], baseline: float) -> Verdict:
        """What the tests say of a mutant, `first` before all others."""
        text = mutant.applied_to(self._source(mutant.source).read_text("ascii"))
        cpu_seconds = max(LEAST_CPU_SECONDS, int(CPU_TIMES_BASELINE * baseline))
        verdict = self._ask(mutant.source, text, tests, first, cpu_seconds)
        if verdict.word == "broken":
            raise BenchError(f"{mutant.id}: {verdict.by}")
        return verdict

    def _source(self, contract: str) -> Path:
        return self.tree / CONTRACTS / f"{contract}.vy"

    def _ask(
        self, contract: str, text: str | None, tests: Sequence[str], first: Sequence[str], cpu_seconds: int
    ) -> Verdict:
        assert self.process, "a bench is a context manager"
        requests, replies = self.process.stdin, self.process.stdout
        assert requests is not None and replies is not None  # noqa: PT018 - pipes, both of them
        request: dict[str, Any] = {
            "source": self._source(contract).relative_to(self.tree).as_posix(),
            "text": text,
            "tests": list(tests),
            "first": list(first),
            "deaf": DEAF,
            "cpu_seconds": cpu_seconds,
        }
        began = time.monotonic()
        answer = ""
        with suppress(BrokenPipeError):
            print(json.dumps(request), file=requests, flush=True)
            answer = replies.readline()
        if not answer:
            raise BenchError(f"the worker has ended, exit code {self.process.wait()}")
        reply = json.loads(answer)
        return Verdict(reply["verdict"], reply["by"], round(time.monotonic() - began, 1))
