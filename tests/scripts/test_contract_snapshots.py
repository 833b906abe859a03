"""Snapshots of contracts: what they hold, and which change they tell of in which words."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from chain import artifacts
from scripts import contract_gates, contract_snapshots
from scripts.contract_builds import CONTRACTS, TARGETS, Build, build
from scripts.contract_snapshots import FOLDER, differences, write

SOURCE = """# pragma version 0.4.3
# pragma nonreentrancy on
OWNER: immutable(address)
first: uint256
second: uint256


@deploy
def __init__():
    OWNER = msg.sender


@external
def act():
    self.first += 1
    self.second += 1
"""


def builds(folder: Path) -> list[Build]:
    """Everything in a folder, for both targets."""
    return [build(folder, path, target) for path in sorted(folder.glob("*.vy")) for target in TARGETS]


def found(folder: Path) -> list[tuple[str, str]]:
    """The differences, without what they all end with."""
    return [
        (where, how.removesuffix(f"; {contract_snapshots.RENEW}")) for where, how in differences(folder, builds(folder))
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one contract with its snapshot."""
    made = tmp_path / "contracts"
    made.mkdir()
    (made / "Counter.vy").write_text(SOURCE)
    write(made, builds(made))
    return made


def test_what_a_snapshot_holds(folder: Path) -> None:
    kept = json.loads((folder / FOLDER / "Counter.json").read_text())
    assert kept.keys() == {"vyper", "integrity", *TARGETS}
    # Before Cancun the lock against re-entry takes the first slot; then it is transient.
    slots = {target: kept[target]["layout"]["storage_layout"]["first"]["slot"] for target in TARGETS}
    assert slots == {"london": 1, "cancun": 0}
    assert kept["london"]["layout"]["code_layout"]["OWNER"] == {"type": "address", "length": 32, "offset": 0}
    assert found(folder) == []


def test_a_snapshot_is_the_same_wherever_the_compiler_stands(folder: Path) -> None:
    source = SOURCE.replace("first: uint256", "first: IERC20\nthird: uint256").replace("self.first", "self.third")
    source = source.replace("OWNER: imm", "from ethereum.ercs import IERC20\n\nOWNER: imm")
    (folder / "Counter.vy").write_text(source)
    for one in builds(folder):
        assert one.layout["storage_layout"]["first"]["type"] == "vyper/builtins/interfaces/IERC20.vyi"


def test_a_comment_changes_the_sources_alone(folder: Path) -> None:
    (folder / "Counter.vy").write_text(SOURCE + "# a remark\n")
    ((where, how),) = found(folder)
    assert where == "layouts/Counter.json"
    assert how.startswith("integrity ")
    assert ";" not in how


def test_code_that_changes_is_told_for_both_targets(folder: Path) -> None:
    (folder / "Counter.vy").write_text(SOURCE.replace("first += 1", "first += 2"))
    ((_, how),) = found(folder)
    assert [part.split()[0] for part in how.split("; ")] == ["cancun.code_sha256", "integrity", "london.code_sha256"]


def test_a_variable_that_moves_is_told_with_its_slots(folder: Path) -> None:
    moved = SOURCE.replace("first: uint256\nsecond: uint256\n", "second: uint256\nfirst: uint256\nthird: uint256\n")
    (folder / "Counter.vy").write_text(moved)
    ((_, how),) = found(folder)
    assert "london.layout.storage_layout.first.slot 1 → 2" in how
    assert "cancun.layout.storage_layout.second.slot 1 → 0" in how
    assert "london.layout.storage_layout.third nothing → {" in how


def test_contracts_that_come_and_go(folder: Path) -> None:
    (folder / "Second.vy").write_text(SOURCE)
    assert found(folder) == [("layouts/Second.json", "there is no snapshot of this contract")]
    (folder / "Counter.vy").unlink()
    assert found(folder)[0] == ("layouts/Counter.json", "there is no such contract")
    write(folder, builds(folder))
    assert found(folder) == []
    assert [file.name for file in (folder / FOLDER).iterdir()] == ["Second.json"]


def test_another_place_on_disk_changes_nothing(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another" / "contracts"
    shutil.copytree(folder, elsewhere)
    assert found(elsewhere) == []


def test_the_gate_says_how_to_renew(folder: Path) -> None:
    (folder / "Counter.vy").write_text(SOURCE + "# a remark\n")
    (fault,) = contract_gates.check_snapshots(folder, builds(folder))
    assert (fault.file, fault.gate) == ("contracts/layouts/Counter.json", "snapshot")
    assert fault.message.endswith("if it is meant: .venv/bin/python -m scripts.contract_snapshots --write")


def test_what_is_deployed_is_what_the_snapshots_say() -> None:
    kept = {file.stem: json.loads(file.read_text()) for file in (CONTRACTS / FOLDER).glob("*.json")}
    assert kept.keys() == {file.stem for file in CONTRACTS.glob("*.vy")}
    for name, snapshot in kept.items():
        made = artifacts.load(name)
        assert snapshot["london"]["code_sha256"] == hashlib.sha256(made.runtime).hexdigest(), name
        assert snapshot["vyper"] == made.vyper
