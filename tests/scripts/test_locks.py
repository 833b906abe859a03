"""The locks hold hashes for everything, agree with each other, and name no host."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"


def entries(name: str) -> dict[str, str]:
    """Each pinned requirement with its hashes, from its line to the next."""
    text = re.sub(r"^\s*#.*\n", "", (REQUIREMENTS / f"{name}.lock").read_text(), flags=re.MULTILINE)
    return dict(re.findall(r"^(\S+==\S+)((?:.*\\\n)+.*\n)", text, re.MULTILINE))


@pytest.mark.parametrize(("name", "least"), [("clearwatt", 20), ("dev", 50), ("homes", 1)])
def test_everything_is_pinned_with_hashes(name: str, least: int) -> None:
    found = entries(name)
    assert len(found) >= least
    lines = (REQUIREMENTS / f"{name}.lock").read_text().splitlines()
    assert len(found) == sum(1 for line in lines if line and not line.startswith((" ", "#")))
    assert all("--hash=sha256:" in hashes for hashes in found.values())


def test_development_holds_every_pin_of_the_application() -> None:
    application, development = entries("clearwatt"), entries("dev")
    assert application.keys() <= development.keys()


def test_every_direct_requirement_has_its_line_in_the_documentation() -> None:
    documented = (ROOT / "docs" / "dependencies.md").read_text()
    for name in ("clearwatt", "dev", "homes"):
        for line in (REQUIREMENTS / f"{name}.in").read_text().splitlines():
            package = re.match(r"[a-z0-9-]+", line)
            if package:
                short = package[0].removeprefix("pytest")
                assert short in documented, package[0]


def test_no_host_stands_in_a_lock() -> None:
    for file in (*REQUIREMENTS.iterdir(), ROOT / "tools" / "package-lock.json"):
        assert "://" not in file.read_text(), file.name


def test_npm_packages_carry_their_hash() -> None:
    packages = json.loads((ROOT / "tools" / "package-lock.json").read_text())["packages"]
    locked = {name: entry for name, entry in packages.items() if name}
    assert locked
    assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in locked.values())
