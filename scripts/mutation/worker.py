"""Judges mutants in a copy of the tree: compiles the tree once, then every mutant in a process forked from there.

Usage, with the copy as working directory: python -m scripts.mutation.worker CACHE

Reads a request a line (JSON: `source`, a path; `text`, what stands there instead, or null; `tests`, `first`, `deaf`,
`cpu_seconds`) and answers each with a line (`verdict`, `by`). What the tests print is left in `output.txt`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import boa
import pytest
from boa import interpret
from hypothesis import HealthCheck, Phase, settings

from chain.node import dies_with_parent
from scripts.contract_gates import SIZE_LIMIT
from scripts.mutation.suites import CONTRACTS, importers

# What every test needs: loaded once, it is there in every process that is forked.
LOADED = ("pytest_timeout", "tests.contracts.settling")
THROWN_AWAY = "compiled-mutant"  # nobody will ask for a mutant's code again
PASSED, FAILED = 0, 1  # pytest's exit codes
# Only the plugins that tests of contracts use: loading them all takes longer than many a mutant lives.
PLUGINS = ("boa.test.plugin", "_hypothesis_pytestplugin", "pytest_timeout", "no:cacheprovider")
# Fixtures of contracts' tests, and not what all rooms' tests share: that asks for more plugins.
CONFTESTS = "--confcutdir=tests/contracts"
OPTIONS = ["-x", "-q", CONFTESTS, "--rootdir=.", "--override-ini=timeout=0", "--disable-warnings", "--tb=short"]
OPTIONS += [f"-p{plugin}" for plugin in PLUGINS]

Request = dict[str, Any]
Reply = dict[str, Any]


class Compiled:
    """What the compiler made of sources that no mutant changes; the place of `boa.interpret.compiler_data`.

    In a process with a mutant, `stillborn` is why what has it in it is no contract, once that has turned out.
    """

    def __init__(self) -> None:
        self.compile = interpret.compiler_data
        self.known: dict[tuple[str, str, str], Any] = {}
        self.missed: list[str] = []
        self.changed: set[str] = set()
        self.stillborn = ""

    def __call__(
        self, source_code: str, contract_name: str | None, filename: Any, deployer: Any = None, **how: Any
    ) -> Any:
        key = str(filename), source_code, repr(how)
        if key not in self.known:
            self.known[key] = self._checked(key[0], source_code, contract_name, filename, deployer, **how)
            if not how and Path(key[0]).is_file() and Path(key[0]).is_relative_to(Path.cwd()):
                self.missed.append(key[0])
        return self.known[key]

    def _checked(self, path: str, *what: Any, **how: Any) -> Any:
        if os.path.realpath(path) not in self.changed:
            return self.compile(*what, **how)
        try:
            made = self.compile(*what, **how)
            size = len(made.bytecode_runtime) + made.global_ctx.immutable_section_bytes
        except Exception as error:  # the compiler raises of all sorts
            self.stillborn = self.stillborn or type(error).__name__
            raise
        if size >= SIZE_LIMIT and Path(path).parent.name == CONTRACTS.name:
            self.stillborn = self.stillborn or f"{size} bytes"
            raise ValueError(self.stillborn)
        return made

    def expect(self, source: Path) -> None:
        """From now on this source is a mutant, and so is whatever imports it: none of that is known any more."""
        self.changed = {str(path) for path in importers(source)}
        self.known = {key: made for key, made in self.known.items() if os.path.realpath(key[0]) not in self.changed}

    def learn(self, paths: list[str]) -> None:
        """Compiles what a forked process missed, so that the next one finds it."""
        for path in paths:
            boa.load_partial(path)


class Watch:
    """The part of a pytest plugin: which tests come first, and which failed."""

    def __init__(self, first: list[str]) -> None:
        self.first = first
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The likeliest killers are asked before all others."""
        ranks = {name: rank for rank, name in enumerate(self.first)}
        items.sort(key=lambda item: ranks.get(item.nodeid, len(ranks)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes note of the first failure, be it of a fixture."""
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """The same of a file that cannot be collected."""
        if report.failed and not self.failed:
            self.failed = report.nodeid


def judge(request: Request, compiled: Compiled) -> Reply:
    """The tests' word on what stands in the tree now; in a forked process, for it leaves traces."""
    if request["text"] is not None:
        interpret.set_cache_dir(THROWN_AWAY)
        source = Path(request["source"]).resolve()
        compiled.expect(source)
        if source.parent.name == CONTRACTS.name:
            with contextlib.suppress(Exception):
                boa.load_partial(str(source))
    watch = Watch(request["first"])
    deselected = [f"--deselect={test}" for test in request["deaf"]]
    if compiled.stillborn:
        return {"verdict": "stillborn", "by": compiled.stillborn}
    code = pytest.main([*OPTIONS, *deselected, *request["tests"]], plugins=[watch])
    if compiled.stillborn:  # of what imports a module, the tests compile what they need
        return {"verdict": "stillborn", "by": compiled.stillborn}
    if code == PASSED:
        return {"verdict": "survived", "by": ""}
    if code == FAILED or watch.failed:
        return {"verdict": "killed", "by": watch.failed}
    return {"verdict": "broken", "by": f"pytest's exit code {int(code)}"}


def fork_and_judge(request: Request, compiled: Compiled) -> Reply:
    """The verdict, from a process of its own with the mutant in the tree; the tree is restored."""
    source = Path(request["source"])
    right = source.read_text("ascii")
    if request["text"] is not None:
        source.write_text(request["text"], "ascii")
    ask_the_kernel = dies_with_parent()
    gc.freeze()  # what stands here is never garbage, so the child need not look through it
    mouth, ear = os.pipe()[::-1]
    try:
        child = os.fork()
        if child == 0:
            # Whatever happens, the child ends here: nothing of the worker's own may run twice.
            with contextlib.suppress(BaseException):
                if ask_the_kernel:
                    ask_the_kernel()
                resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_seconds"], request["cpu_seconds"]))
                output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(output, 1)
                os.dup2(output, 2)
                compiled.missed.clear()
                reply = {**judge(request, compiled), "missed": compiled.missed}
                sys.stdout.flush()
                os.write(mouth, json.dumps(reply).encode())
            os._exit(0)
        os.close(mouth)
        with os.fdopen(ear) as said:
            answer = said.read()
        _, status = os.waitpid(child, 0)
    finally:
        source.write_text(right, "ascii")
        shutil.rmtree(THROWN_AWAY, ignore_errors=True)
    if answer:
        told: Reply = json.loads(answer)
        missed = told.pop("missed")
        if request["text"] is None:
            compiled.learn(missed)
        return told
    # The kernel ends what uses up its time: a mutant that runs on and on has been noticed.
    ended = os.waitstatus_to_exitcode(status)
    return {"verdict": "killed", "by": "its time"} if ended < 0 else {"verdict": "broken", "by": f"exit code {ended}"}


def main(cache: str) -> None:
    """Answers requests until there are no more."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what compilers and tests print is no reply
    interpret.set_cache_dir(cache)
    for name in LOADED:
        importlib.import_module(name)
    compiled = Compiled()
    interpret.compiler_data = compiled
    # The same examples every time, and no time spent on making a failure small.
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for line in sys.stdin:
        print(json.dumps(fork_and_judge(json.loads(line), compiled)), file=replies, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
