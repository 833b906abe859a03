"""Writes the conformance vectors, `tests/conformance/*.json`, from the Python reference; always the same bytes.

Integers are decimal text, bytes are 0x and lower-case hex, structs are objects by the contracts' field names; in
`canonical_json.json` documents stand as they are. Another implementation reads these files and nothing else.

Usage: make_vectors.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scripts.vectors import primitives, rules

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "conformance"

SUBJECTS: Mapping[str, Callable[[], Any]] = {
    "merkle": primitives.merkle_vectors,
    "identity": primitives.identity_vectors,
    "typed_data": primitives.typed_data_vectors,
    "config": primitives.config_vectors,
    "canonical_json": primitives.canonical_json_vectors,
    "programs": rules.program_vectors,
    "templates": rules.template_vectors,
    "allocation": rules.allocation_vectors,
    "figures": rules.figure_vectors,
    "rows": rules.row_vectors,
}


def text_of(subject: str) -> str:
    """The text of a subject's file."""
    return json.dumps(SUBJECTS[subject](), ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    """Writes every file."""
    for subject in SUBJECTS:
        (FOLDER / f"{subject}.json").write_text(text_of(subject), encoding="utf-8")


if __name__ == "__main__":
    main()
