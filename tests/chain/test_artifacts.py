"""Compiled once, again when anything changed, and never half read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chain import artifacts
from chain.errors import CompileFailed

ROOT = Path(__file__).resolve().parents[2]
MODULE = "# pragma version 0.4.3\n\n\n@internal\n@pure\ndef _one() -> uint256:\n    return 1\n"
CONTRACT = (
    "# pragma version 0.4.3\n\nfrom .modules import one\n\n\n"
    "@external\n@pure\ndef answer() -> uint256:\n    return one._one()\n"
)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "contracts"
    (folder / "modules").mkdir(parents=True)
    (folder / "modules" / "one.vy").write_text(MODULE)
    (folder / "Answer.vy").write_text(CONTRACT)
    return folder


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def test_compiles_and_remembers(sources: Path, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = artifacts.load("Answer", sources, kept)
    assert (made.name, made.evm, made.vyper) == ("Answer", "london", "0.4.3")
    assert made.method_ids == {"answer()": "0x85bb7d69"}
    assert made.runtime
    assert made.runtime in made.bytecode
    assert [entry["name"] for entry in made.abi] == ["answer"]
    assert [file.name for file in kept.iterdir()] == ["Answer.json"]
    monkeypatch.setattr(artifacts, "_compile", pytest.fail)
    assert artifacts.load("Answer", sources, kept) == made


@pytest.mark.parametrize("change", ["Answer.vy", "modules/one.vy", "interfaces/New.vyi"])
def test_any_changed_source_compiles_again(sources: Path, kept: Path, change: str) -> None:
    before = artifacts.source_key(sources)
    artifacts.load("Answer", sources, kept)
    file = sources / change
    file.parent.mkdir(exist_ok=True)
    file.write_text((file.read_text() if file.exists() else "") + "# changed\n")
    assert artifacts.source_key(sources) != before
    artifacts.load("Answer", sources, kept)
    assert json.loads((kept / "Answer.json").read_text())["key"] == artifacts.source_key(sources)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": "x"}', "null"])
def test_a_damaged_file_is_made_again(sources: Path, kept: Path, damage: str) -> None:
    made = artifacts.load("Answer", sources, kept)
    (kept / "Answer.json").write_text(damage)
    assert artifacts.load("Answer", sources, kept) == made


def test_a_file_that_lost_a_field_is_made_again(sources: Path, kept: Path) -> None:
    made = artifacts.load("Answer", sources, kept)
    document = json.loads((kept / "Answer.json").read_text())
    del document["abi"]
    (kept / "Answer.json").write_text(json.dumps(document))
    assert artifacts.load("Answer", sources, kept) == made


def test_processes_that_compile_at_once(sources: Path, kept: Path) -> None:
    code = (
        "from pathlib import Path; from chain import artifacts; "
        f"print(artifacts.load('Answer', Path({str(sources)!r}), Path({str(kept)!r})).runtime.hex())"
    )

    def compile_elsewhere(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    with ThreadPoolExecutor() as pool:
        runtimes = set(pool.map(compile_elsewhere, range(3)))
    assert runtimes == {artifacts.load("Answer", sources, kept).runtime.hex()}
    assert [file.name for file in kept.iterdir()] == ["Answer.json"]


def test_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["Echo", "ModuleProbe"]
    for name in names:
        (artifacts.CACHE / f"{name}.json").unlink(missing_ok=True)
    made = artifacts.load_all(names)
    assert {name: one.name for name, one in made.items()} == {name: name for name in names}
    monkeypatch.setattr(artifacts, "_compile", pytest.fail)
    assert artifacts.load_all(names) == made
    with pytest.raises(CompileFailed, match="there is no contract Nothing"):
        artifacts.load_all(["Echo", "Nothing"])


def test_a_mock_does_not_make_contracts_stale(sources: Path) -> None:
    contracts, mocks = artifacts.source_key(sources), artifacts.source_key(sources, mocks=True)
    (sources / "mocks").mkdir()
    (sources / "mocks" / "Mock.vy").write_text(MODULE)
    assert artifacts.source_key(sources) == contracts
    assert artifacts.source_key(sources, mocks=True) != mocks


def test_mocks_are_found_after_contracts(sources: Path, kept: Path) -> None:
    (sources / "mocks").mkdir()
    shutil.copy(ROOT / "contracts" / "mocks" / "Echo.vy", sources / "mocks")
    assert "kept()" in artifacts.load("Echo", sources, kept).method_ids


def test_unknown_contract(sources: Path, kept: Path) -> None:
    with pytest.raises(CompileFailed, match="there is no contract Nothing in"):
        artifacts.load("Nothing", sources, kept)


def test_the_compilers_words_reach_the_caller(sources: Path, kept: Path) -> None:
    (sources / "Answer.vy").write_text(CONTRACT.replace("one._one()", "two"))
    with pytest.raises(CompileFailed, match=r"Answer\.vy: .*'two' has not been declared"):
        artifacts.load("Answer", sources, kept)
    assert not kept.exists()
