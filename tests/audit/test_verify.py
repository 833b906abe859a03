"""Audits of a small market: valid as it happened, and every single changed column is found where it stands."""

from __future__ import annotations

import shutil
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from audit.findings import Axis, Check, Verdict
from audit.verify import audit
from store import tables
from store.folders import read_cycle, read_table, run_folder, write_cycle, write_manifest, write_table
from store.tables import Column, Table
from tests.audit.scene import CYCLE, Scene, load


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


@pytest.fixture(scope="module")
def written(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("scene")
    scene.write(data)
    return data


@pytest.fixture
def data(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "data"))


def verdict_of(scene: Scene, data: Path) -> Verdict:
    return audit(data, scene.record(), scene.chain, load)


def test_what_happened_is_valid(scene: Scene, data: Path) -> None:
    verdict = verdict_of(scene, data)
    assert verdict.findings == ()
    assert verdict.answer == "VALID"
    assert all(verdict.checks.values())
    assert verdict.counts["runs"] == 2
    assert [note.text for note in verdict.notes if "proven fault" in note.text]
