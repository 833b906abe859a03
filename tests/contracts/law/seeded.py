"""Seeds bugs into the contracts, and has the state machine find them.

`found.json` says which example of plain play finds each first: the tests play that one, so that a bug takes seconds.
`python -m tests.contracts.law.seeded` hunts all bugs from the first example on, several at a time, says what was found
by what, and writes the table anew: do so when the machine itself has changed, for then it plays other examples. With a
part of a bug's name it hunts that one and leaves the table.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import boa  # type: ignore[import-untyped]

from tests.contracts import market as markets
from tests.contracts.law import world
from tests.contracts.law.bugs import BUGS, Bug
from tests.contracts.law.profile import PLAIN, play_plainly

FOUND = Path(__file__).parent / "found.json"


@contextmanager
def seeded(bug: Bug) -> Iterator[None]:
    """The market with this bug in it, deployed anew, as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "contracts"
        shutil.copytree(markets.CONTRACTS, root, ignore=shutil.ignore_patterns("mocks"))
        text = (root / bug.file).read_text("ascii")
        if text.count(bug.right) != 1:
            raise ValueError(f"{bug.name}: the source has its text {text.count(bug.right)} times")
        (root / bug.file).write_text(text.replace(bug.right, bug.wrong), "ascii")
        right_source, right_world = markets.source, world.deployed

        @cache
        def source(name: str) -> Any:
            return boa.load_partial(str(root / f"{name}.vy")) if name in bug.contracts else right_source(name)

        markets.source = source  # type: ignore[assignment]
        try:
            world.deployed = cache(world.deploy_world)
            yield
        finally:
            markets.source, world.deployed = right_source, right_world


def hunt(bug: Bug, examples: Iterable[int] = range(PLAIN)) -> tuple[int, str] | None:
    """The first of these examples of plain play that finds a bug, and what it finds; None if none does."""
    with seeded(bug):
        for example in examples:
            try:
                play_plainly(example)
            except Exception as found:
                return example, described(found)
    return None


def described(found: Exception) -> str:
    """What was noticed, in a line."""
    try:
        first, *_ = [*str(found).splitlines(), ""]
    except Exception:
        # titanoboa's own text decodes what the failing frame held, which need not be decodable.
        first = "(without a text)"
    return f"{type(found).__name__}: {first}"


def main(arguments: list[str]) -> int:
    """Every bug, or those whose name contains the argument; exit code 1 if one survives, and no table then."""
    bugs = [bug for bug in BUGS if not arguments or arguments[0] in bug.name]
    table: dict[str, int] = {}
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        for bug, found in zip(bugs, processes.map(hunt, bugs), strict=True):
            if found:
                table[bug.name] = found[0]
            said = f"{found[1]} (example {found[0]})" if found else "SURVIVED"
            print(f"{bug.name} [{bug.file}]: {said}", flush=True)
    if not arguments and len(table) == len(BUGS):
        FOUND.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    return 0 if len(table) == len(bugs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
