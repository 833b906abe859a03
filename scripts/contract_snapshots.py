"""What every contract of this release is, to the byte: sources, code for each EVM version, storage layout.

Usage: python -m scripts.contract_snapshots [--write]

`contracts/layouts/` keeps one file a contract: `integrity` is the compiler's checksum over its sources, `code_sha256`
the hash of its runtime code (before the immutables, which a chain appends), `layout` where each variable stands. A
change there is a change of what is deployed, so it has to be meant: `make gates` compares, `--write` renews. Exit code
1 where something differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.contract_builds import CONTRACTS, TARGETS, Build, build

FOLDER = "layouts"
RENEW = "if it is meant: .venv/bin/python -m scripts.contract_snapshots --write"

Document = dict[str, Any]


def documents(builds: Iterable[Build]) -> dict[str, Document]:
    """The snapshots of contracts by name, each of all its targets."""
    found: dict[str, Document] = {}
    for one in builds:
        snapshot = found.setdefault(one.contract, {"vyper": version("vyper"), "integrity": one.integrity})
        snapshot[one.target] = {"code_sha256": one.code_sha256, "layout": one.layout}
    return found


def differences(folder: Path, builds: Iterable[Build]) -> Iterator[tuple[str, str]]:
    """Where kept snapshots and contracts differ: file within `folder`, and how."""
    made = documents(builds)
    kept = {file.stem: json.loads(file.read_text()) for file in sorted((folder / FOLDER).glob("*.json"))}
    for name in sorted(made.keys() | kept.keys()):
        where = f"{FOLDER}/{name}.json"
        if name not in kept:
            yield where, f"there is no snapshot of this contract; {RENEW}"
        elif name not in made:
            yield where, f"there is no such contract; {RENEW}"
        elif changed := list(_changes(kept[name], made[name])):
            yield where, f"{'; '.join(changed)}; {RENEW}"


def write(folder: Path, builds: Iterable[Build]) -> None:
    """Renews all snapshots; those of contracts that are gone are removed."""
    made = documents(builds)
    kept = folder / FOLDER
    kept.mkdir(exist_ok=True)
    for file in kept.glob("*.json"):
        if file.stem not in made:
            file.unlink()
    for name, snapshot in made.items():
        (kept / f"{name}.json").write_text(json.dumps(snapshot, indent=1, sort_keys=True) + "\n")


def _changes(kept: Mapping[str, Any], made: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The leaves that differ, by their path; of a variable that moved, from where to where."""
    for key in sorted(kept.keys() | made.keys()):
        where = f"{path}.{key}" if path else key
        before, now = kept.get(key), made.get(key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _changes(before, now, where)
        elif before != now:
            yield f"{where} {_shown(before)} → {_shown(now)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value)
    return text if len(text) <= 24 else text[:12] + "…"


def main(arguments: Sequence[str]) -> int:
    """Compiles everything, then compares or writes; returns the exit code."""
    parser = argparse.ArgumentParser(description="Storage layouts and checksums of the contracts.")
    parser.add_argument("--write", action="store_true", help="renew the snapshots")
    options = parser.parse_args(arguments)
    builds = [build(CONTRACTS, path, target) for path in sorted(CONTRACTS.glob("*.vy")) for target in TARGETS]
    if options.write:
        write(CONTRACTS, builds)
    found = list(differences(CONTRACTS, builds))
    for where, how in found:
        print(f"{CONTRACTS.name}/{where}: {how}")
    print(f"contract snapshots: {len(builds) // len(TARGETS)} contracts, {len(found)} differ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
