"""Problem documents (RFC 9457): how a member or the gateway says no, in a form that programs and people can read.

Every code is listed in `wire.problem_types`; a problem of another code cannot be made. `docs/problems.md` is written
from that list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from settlement.errors import SettlementError
from wire.problem_types import PROBLEM_TYPES, ProblemType

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:clearwatt:problem:"

_OWN_FIELDS: Final = frozenset({"type", "title", "status", "detail", "code", "errors"})
_LONGEST_TEXT: Final = 2_000


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field; `pointer` is a JSON pointer into the request's body (RFC 6901, as a fragment)."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal. `facts` are further members of the document, such as what one computes oneself.

    ValueError for a code that is not listed, and for a fact that takes the name of a member of every problem.
    """

    code: str
    detail: str
    errors: tuple[FieldProblem, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.code not in PROBLEM_TYPES:
            raise ValueError(f"{self.code} is no listed problem")
        if taken := _OWN_FIELDS & self.facts.keys():
            raise ValueError(f"facts named {sorted(taken)}")

    @property
    def kind(self) -> ProblemType:
        """What is the same for all problems of this code."""
        return PROBLEM_TYPES[self.code]

    @property
    def status(self) -> int:
        """The HTTP status it is answered with."""
        return self.kind.status

    def document(self) -> dict[str, Any]:
        """The problem as JSON; facts must be in their JSON form (`settlement.documents`) already."""
        found: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.kind.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            found["errors"] = [{"pointer": one.pointer, "detail": one.detail} for one in self.errors]
        return found | dict(self.facts)

    @classmethod
    def read(cls, found: Any) -> Problem | None:
        """The problem in somebody's answer, or None for what is none of ours. Long texts are cut."""
        if not isinstance(found, Mapping) or _text(found.get("code")) not in PROBLEM_TYPES:
            return None
        listed = found.get("errors", [])
        errors = tuple(
            FieldProblem(_text(one.get("pointer")), _text(one.get("detail")))
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, Mapping)
        )
        facts = {name: value for name, value in found.items() if name not in _OWN_FIELDS}
        return cls(str(found["code"]), _text(found.get("detail")), errors, facts)


class Refused(Exception):
    """A request that is answered with a problem: raised where it is found, turned into the answer in one place."""

    def __init__(
        self, code: str, detail: str, *, errors: tuple[FieldProblem, ...] = (), facts: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.problem = Problem(code, detail, errors, facts or {})

    @property
    def code(self) -> str:
        """The problem's code."""
        return self.problem.code

    @property
    def detail(self) -> str:
        """The problem's sentence."""
        return self.problem.detail


def value_refused(error: SettlementError) -> Problem:
    """What the rules refuse in a body, with the field it is about."""
    return Problem("value-refused", f"{error.field}: {error.message}", (FieldProblem(_pointer(error), error.message),))


def _pointer(error: SettlementError) -> str:
    """`$.trade.rates[1]` as `#/trade/rates/1`."""
    path = error.field.removeprefix("$").replace("[", ".").replace("]", "").strip(".")
    return "#" + "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path.split(".") if part)


def _text(found: Any) -> str:
    return found[:_LONGEST_TEXT] if isinstance(found, str) else ""
