"""Every reason with which a contract refuses something, and the test that matches it.

Usage: revert_reasons.py [--all]. Exit code 1 if a reason has no test. Coverage says that an `assert` went both ways
(`contract_coverage.py`, for nearly all of them); this list, that each refusal is expected for the reason it gives: that
its whole text is what a test says must come of a call. In a comment, a docstring or a message it is none.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A refusal names its contract; a row that is skipped says why with a constant of its own.
REASON = re.compile(r'"([A-Z][A-Za-z]+: [^"]+)"')
SKIP_REASON = re.compile(r'String\[32\]\) = "([^"]+)"')


def reasons(contracts: Path) -> Iterator[tuple[Path, str]]:
    """Contract source and reason, in order of appearance; each reason once a source."""
    for source in sorted([*contracts.glob("*.vy"), *contracts.glob("modules/*.vy")]):
        text = source.read_text("ascii")
        found = [*REASON.findall(text), *SKIP_REASON.findall(text)]
        for reason in dict.fromkeys(found):
            yield source, reason


# What is given to these is expected: boa's, pytest's, and those of the tests' models and tables.
EXPECTING = {"reverts", "parametrize", "param", "Refused", "refused", "proven"}
# Within these a text is as much expected as they are.
AROUND = (
    ast.Tuple,
    ast.List,
    ast.Set,
    ast.Dict,
    ast.IfExp,
    ast.BoolOp,
    ast.BinOp,
    ast.Subscript,
    ast.Starred,
    ast.keyword,
)


def expected(texts: Mapping[Path, str]) -> dict[Path, set[str]]:
    """Of each test source the texts that it expects: compared with, looped over, returned by a model, given to what
    expects a refusal, or in a table with a name that any of them uses."""
    trees = {file: ast.parse(text) for file, text in texts.items()}
    used = {_name(node) for tree in trees.values() for node in ast.walk(tree) if _is_read(node)}
    found: dict[Path, set[str]] = {}
    for file, tree in trees.items():
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        texts_of = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        found[file] = {str(node.value) for node in texts_of if _is_expected(node, parents, used)}
    return found


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load)


def _is_expected(node: ast.AST, parents: Mapping[ast.AST, ast.AST], used: set[str]) -> bool:
    around = parents[node]
    while isinstance(around, AROUND):
        around = parents[around]
    if isinstance(around, ast.Call):
        return _name(around.func) in EXPECTING
    if isinstance(around, ast.Assign):
        return any(_name(target) in used for target in around.targets)
    if isinstance(around, ast.AnnAssign):
        return _name(around.target) in used
    return isinstance(around, (ast.Compare, ast.For, ast.comprehension, ast.Return))


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def main(arguments: list[str]) -> int:
    """Prints reasons without a test, or with --all every reason with its tests."""
    texts = expected({file: file.read_text("utf-8") for file in sorted((ROOT / "tests").rglob("*.py"))})
    missing = total = 0
    for source, reason in reasons(ROOT / "contracts"):
        total += 1
        where = [str(file.relative_to(ROOT)) for file, found in texts.items() if reason in found]
        if not where:
            missing += 1
        if not where or "--all" in arguments:
            print(f"{source.name}: {reason}: {', '.join(where) or 'NO TEST'}")
    print(f"{total} reasons, {missing} without a test")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
