"""Refuses floating point in the settlement rules: energy and money are integers there, rounding is always said.

Usage: check_no_floats.py [folder, `settlement` by default]. A float literal, a complex one, the name `float` and a true
division each end it with exit code 1. Annotations count too: a rule that takes a float has one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def faults(source: str) -> Iterator[tuple[int, str]]:
    """The lines of a Python source that hold floating point, and what they hold."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=float() | complex()):
                yield node.lineno, f"the literal {node.value!r}"
            case ast.Name(id="float" | "complex"):
                yield node.lineno, f"the name {node.id}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, "a true division"


def main(arguments: Sequence[str]) -> int:
    """Prints what it finds; returns the exit code."""
    folder = Path(arguments[0]) if arguments else ROOT / "settlement"
    files = sorted(folder.rglob("*.py"))
    found = [(file, line, what) for file in files for line, what in sorted(faults(file.read_text()))]
    for file, line, what in found:
        print(f"{file}:{line}: {what}")
    print(f"no floats: {len(files)} files, {len(found)} faults")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
