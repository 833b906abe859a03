"""Writes the demo's account and gas table into the README, between its markers, from `build/demo/summary.json`.

Usage: readme_figures.py (after `make demo`). Figures in the README come from a run, never from a hand.
"""

from __future__ import annotations

import io
import json
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from demo.account import open_console, print_account

ROOT = Path(__file__).resolve().parents[1]
SUMMARY = ROOT / "build" / "demo" / "summary.json"
README = ROOT / "README.md"


def account(summary: dict[str, Any]) -> str:
    """The account as `make demo` prints it, without gas and roots, which have their own places."""
    page = io.StringIO()
    print_account(summary, open_console(page))
    sections = re.split(r"\n(?=\S)", page.getvalue().strip())
    kept = (part for part in sections if not part.startswith(("Gas", "Roots")))
    return "```\n" + "\n".join(kept) + "\n```"


def gas_table(summary: dict[str, Any]) -> str:
    """Operations with count, median, maximum and target."""
    lines = ["| operation | calls | median | max | target |", "| --- | ---: | ---: | ---: | ---: |"]
    for entry in summary["gas"]:
        target = f"{entry['target']:,}" if entry["target"] is not None else ""
        lines.append(f"| {entry['operation']} | {entry['count']} | {entry['median']:,} | {entry['max']:,} | {target} |")
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, Vyper {version('vyper')}"
    return "\n".join([*lines, "", f"<sub>{machine}.</sub>"])


def put(text: str, marker: str, content: str) -> str:
    """The README with `content` between the markers of this name."""
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"README.md has no marker {marker}")
    return pattern.sub(lambda found: found.group(1) + content + "\n" + found.group(2), text)


def main() -> int:
    """Rewrites the README."""
    if not SUMMARY.is_file():
        print("there is no build/demo/summary.json: run `make demo` first", file=sys.stderr)
        return 4
    summary = json.loads(SUMMARY.read_text("utf-8"))
    text = put(README.read_text("utf-8"), "demo", account(summary))
    README.write_text(put(text, "gas", gas_table(summary)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
