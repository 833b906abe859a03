"""What an audit says: a verdict, and for each contradiction where it stands, on which axis, and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any


class Axis(StrEnum):
    """In which respect records can fail."""

    INTEGRITY = "integrity"  # files and chain are the ones they say they are
    SIGNATURES = "signatures"  # everyone who had to sign did
    COMPLETENESS = "completeness"  # nothing that the chain took is left out, nothing is added
    SEMANTICS = "semantics"  # the figures follow from the inputs by the rules


class Check(Enum):
    """One rule that the records must meet: its name in the verdict, and its axis."""

    MANIFEST = "manifest", Axis.INTEGRITY
    FORMAT = "format", Axis.INTEGRITY
    DEPLOYMENT = "deployment", Axis.INTEGRITY
    CYCLE_RECORD = "cycle_record", Axis.INTEGRITY
    TRADE_SIGNATURES = "trade_signatures", Axis.SIGNATURES
    ALLOCATION_SIGNATURES = "allocation_signatures", Axis.SIGNATURES
    ROW_SIGNATURES = "row_signatures", Axis.SIGNATURES
    NOTICE_SIGNATURES = "notice_signatures", Axis.SIGNATURES
    RUNS = "runs", Axis.COMPLETENESS
    COMMITMENTS = "commitments", Axis.COMPLETENESS
    LOCKS = "locks", Axis.COMPLETENESS
    TRADES = "trades", Axis.COMPLETENESS
    CURTAILMENTS = "curtailments", Axis.COMPLETENESS
    ALLOCATIONS = "allocations", Axis.COMPLETENESS
    MARKS = "marks", Axis.COMPLETENESS
    ROWS = "rows", Axis.COMPLETENESS
    CLAIMS = "claims", Axis.COMPLETENESS
    OBLIGATIONS = "obligations", Axis.COMPLETENESS
    NOTICES = "notices", Axis.COMPLETENESS
    TRADE_DIGESTS = "trade_digests", Axis.SEMANTICS
    TRADE_PLACES = "trade_places", Axis.SEMANTICS
    SEALED_INPUTS = "sealed_inputs", Axis.SEMANTICS
    READINGS = "readings", Axis.SEMANTICS
    ALLOCATION_ROOTS = "allocation_roots", Axis.SEMANTICS
    ALLOCATION_LEAVES = "allocation_leaves", Axis.SEMANTICS
    FLOW_LEAVES = "flow_leaves", Axis.SEMANTICS
    ROW_TOTALS = "row_totals", Axis.SEMANTICS
    CLAIMED_FIGURES = "claimed_figures", Axis.SEMANTICS
    PAYMENTS = "payments", Axis.SEMANTICS
    PAIR_WORDS = "pair_words", Axis.SEMANTICS
    FREE_BALANCES = "free_balances", Axis.SEMANTICS
    CONSERVATION = "conservation", Axis.SEMANTICS

    def __init__(self, label: str, axis: Axis) -> None:
        self.label = label
        self.axis = axis


@dataclass(frozen=True, slots=True)
class Finding:
    """A contradiction: `file` relative to the data folder, `line` the row from 1 (0: none), `field` its column.

    `expected` follows from the other records and the chain, `found` is what stands there.
    """

    check: Check
    file: str
    line: int
    field: str
    expected: str
    found: str

    def document(self) -> dict[str, str | int]:
        """The finding as JSON."""
        return {
            "axis": self.check.axis,
            "check": self.check.label,
            "file": self.file,
            "line": self.line,
            "field": self.field,
            "expected": self.expected,
            "found": self.found,
        }

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line or "", self.field) if part != "")
        return f"{place}: expected {self.expected}, found {self.found} [{self.check.axis}, {self.check.label}]"


@dataclass(frozen=True, slots=True)
class Note:
    """What is no contradiction but good to know: a fault proven on chain, an amount that two members agreed."""

    file: str
    line: int
    text: str

    def document(self) -> dict[str, str | int]:
        """The note as JSON."""
        return {"file": self.file, "line": self.line, "text": self.text}

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: `checks` says of every rule whether it was found to hold, `counts` how much was looked at."""

    findings: tuple[Finding, ...]
    notes: tuple[Note, ...]
    checks: Mapping[str, bool]
    counts: Mapping[str, int]

    @property
    def is_valid(self) -> bool:
        """Whether nothing contradicts."""
        return not self.findings

    @property
    def answer(self) -> str:
        """`VALID` or `TAMPERED`."""
        return "VALID" if self.is_valid else "TAMPERED"

    def document(self) -> dict[str, Any]:
        """The verdict as JSON."""
        return {
            "answer": self.answer,
            "checks": dict(self.checks),
            "counts": dict(self.counts),
            "findings": [finding.document() for finding in self.findings],
            "notes": [note.document() for note in self.notes],
        }


@dataclass
class Report:
    """Collects what the checks find."""

    findings: dict[Finding, None] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    unchecked: set[Check] = field(default_factory=set)

    def find(self, check: Check, file: str, line: int, field: str, expected: object, found: object) -> None:
        """A contradiction; the same one from two checks of a rule counts once."""
        self.findings[Finding(check, file, line, field, shown(expected), shown(found))] = None

    def note(self, file: str, line: int, text: str) -> None:
        """Something to know."""
        self.notes.append(Note(file, line, text))

    def count(self, name: str, number: int) -> None:
        """Adds to a count."""
        self.counts[name] = self.counts.get(name, 0) + number

    def verdict(self) -> Verdict:
        """The answer over everything that was checked."""
        broken = {finding.check for finding in self.findings} | self.unchecked
        checks = {check.label: check not in broken for check in Check}
        return Verdict(tuple(self.findings), tuple(self.notes), checks, dict(self.counts))


def shown(value: object) -> str:
    """A value for people: hashes as 0x and hex, everything else as its text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return str(value)
