"""Every reason with which a contract refuses something, and the test that matches it.

Usage: revert_reasons.py [--all]. Exit code 1 if a reason has no test. Coverage says that an `assert` went both ways
(`contract_coverage.py`, for nearly all of them); this list, that each refusal was seen for the reason it gives.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
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


def tests_with(tests: Path) -> dict[Path, str]:
    """The texts of all tests that may match a reason."""
    return {file: file.read_text("utf-8") for file in sorted(tests.rglob("*.py"))}


def main(arguments: list[str]) -> int:
    """Prints reasons without a test, or with --all every reason with its tests."""
    texts = tests_with(ROOT / "tests")
    missing = total = 0
    for source, reason in reasons(ROOT / "contracts"):
        total += 1
        where = [str(file.relative_to(ROOT)) for file, text in texts.items() if f'"{reason}"' in text]
        if not where:
            missing += 1
        if not where or "--all" in arguments:
            print(f"{source.name}: {reason}: {', '.join(where) or 'NO TEST'}")
    print(f"{total} reasons, {missing} without a test")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
