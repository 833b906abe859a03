"""Problem documents: each code is listed once, documented, and says what went wrong where."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from settlement.documents import value_of
from settlement.errors import SettlementError
from settlement.trade import Trade
from wire.problem_types import PROBLEM_TYPES, page
from wire.problems import FieldProblem, Problem, Refused, value_refused

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("wire", "member", "oracle", "trading", "api")
RAISED_AS = frozenset({"Problem", "Refused", "RequestRefused", "ProblemType"})


def _codes_raised() -> Iterator[tuple[str, str]]:
    """Every code that stands first in a call that makes a problem, with its place."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                first = node.args[0]
                if name in RAISED_AS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value, f"{file.relative_to(ROOT)}:{node.lineno}"


def test_every_code_that_is_raised_is_listed() -> None:
    raised = list(_codes_raised())
    assert len(raised) > 30  # else the search itself is broken
    assert [place for code, place in raised if code not in PROBLEM_TYPES] == []


def test_the_page_of_problems_is_the_list() -> None:
    written = (ROOT / "docs" / "problems.md").read_text()
    assert written == page(), "run: python -m wire.problem_types > docs/problems.md"
    for code, kind in PROBLEM_TYPES.items():
        assert kind.code == code
        assert 400 <= kind.status < 600
        assert f"| `{code}` | {kind.status} |" in written


def test_the_document_of_a_problem() -> None:
    problem = Problem("row-differs", "own row has 3 leaves", facts={"count": 3, "amount": "12"})
    assert problem.document() == {
        "type": "urn:clearwatt:problem:row-differs",
        "title": "The rows of the two members differ",
        "status": 409,
        "detail": "own row has 3 leaves",
        "code": "row-differs",
        "count": 3,
        "amount": "12",
    }
    assert Problem.read(problem.document()) == problem


def test_a_problem_with_fields_is_read_back() -> None:
    problem = Problem("value-refused", "two fields", (FieldProblem("#/a", "one"), FieldProblem("#/b/0", "two")))
    found = problem.document()
    assert found["errors"] == [{"pointer": "#/a", "detail": "one"}, {"pointer": "#/b/0", "detail": "two"}]
    assert Problem.read(found) == problem


def test_what_is_no_problem_of_ours() -> None:
    for found in (None, [], "row-differs", {}, {"code": "unheard-of"}, {"code": ["row-differs"]}):
        assert Problem.read(found) is None


def test_a_hostile_problem_is_cut() -> None:
    found = Problem.read({"code": "not-found", "detail": "x" * 10_000, "errors": ["no object", {"pointer": 1}]})
    assert found == Problem("not-found", "x" * 2_000, (FieldProblem("", ""),))


def test_an_unlisted_code_and_a_taken_name() -> None:
    with pytest.raises(ValueError, match=r"^unheard-of is no listed problem$"):
        Problem("unheard-of", "")
    with pytest.raises(ValueError, match=r"^facts named \['status'\]$"):
        Refused("row-differs", "", facts={"status": 200})


def test_a_refused_value_names_its_field_by_pointer() -> None:
    with pytest.raises(SettlementError) as caught:
        value_of(tuple[Trade, ...], [{"trade_id": "0x"}], "$.trades")
    problem = value_refused(caught.value)
    assert problem.code == "value-refused"
    assert problem.errors[0].pointer.startswith("#/trades/0")
    assert value_refused(SettlementError("$.a~b.c/d", 1, "why")).errors == (FieldProblem("#/a~0b/c~1d", "why"),)
    assert value_refused(SettlementError("$", 1, "why")).errors == (FieldProblem("#", "why"),)
