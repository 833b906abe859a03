"""Mutants that no test can tell from the contract, each with the reason why."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scripts.mutation.operators import Mutant
from scripts.mutation.suites import ROOT, TESTS

FILE = ROOT / TESTS / "equivalents.toml"


@dataclass(frozen=True)
class Equivalent:
    """A change that changes nothing: in this contract, this line, and why."""

    contract: str
    before: str
    after: str
    reason: str
    nth: int = 0

    def is_of(self, mutant: Mutant) -> bool:
        """Whether this is the mutant that is meant."""
        meant = self.contract, self.before, self.after, self.nth
        return meant == (mutant.source, mutant.before, mutant.after, mutant.nth)


def read(file: Path = FILE) -> list[Equivalent]:
    """The list; raises ValueError for an entry without a reason, TypeError for one without a line."""
    entries = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
    found = [Equivalent(contract, **fields) for contract, listed in entries.items() for fields in listed]
    for one in found:
        if not one.reason.strip():
            raise ValueError(f"{file.name}: {one.contract}: `{one.after}` has no reason")
    return found


def unknown(listed: Iterable[Equivalent], mutants: Iterable[Mutant]) -> list[Equivalent]:
    """The entries that are of none of these mutants: their line has changed, and with it perhaps the reason."""
    there = list(mutants)
    return [one for one in listed if not any(one.is_of(mutant) for mutant in there)]
