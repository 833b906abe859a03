"""Verdicts on disk, so that a run can be stopped and taken up again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.mutation.bench import Verdict
from scripts.mutation.operators import Mutant


class Memory:
    """The verdicts of one source's mutants before one list of tests.

    Each holds as long as the fingerprint that it rests on. Older ones only say which test to ask first.
    """

    def __init__(self, file: Path, rests_on: Callable[[Verdict], str]) -> None:
        self.file = file
        self.rests_on = rests_on
        kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        told = {name: (one.pop("holds"), Verdict(**one)) for name, one in kept.get("verdicts", {}).items()}
        self.verdicts = {name: verdict for name, (holds, verdict) in told.items() if holds == rests_on(verdict)}
        self.killers: dict[str, str] = kept.get("killers", {})

    def verdict(self, mutant: Mutant) -> Verdict | None:
        """What is known of a mutant, if anything."""
        return self.verdicts.get(mutant.id)

    def first(self, mutant: Mutant) -> list[str]:
        """The test that has killed it before, if one has."""
        return [self.killers[mutant.id]] if mutant.id in self.killers else []

    def keep(self, mutant: Mutant, verdict: Verdict) -> None:
        """Remembers, at once, and wholly or not at all."""
        self.verdicts[mutant.id] = verdict
        if verdict.word == "killed":
            self.killers[mutant.id] = verdict.by
        document = {
            "verdicts": {
                name: {**asdict(one), "holds": self.rests_on(one)} for name, one in sorted(self.verdicts.items())
            },
            "killers": dict(sorted(self.killers.items())),
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        written = self.file.with_suffix(".new")
        written.write_text(json.dumps(document, indent=1) + "\n")
        written.rename(self.file)
