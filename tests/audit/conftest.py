"""A scene that happened, played once, and a fresh copy of its folder for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.audit.scene import Scene
from tests.audit.scene_folder import write_folder


@pytest.fixture(scope="session")
def scene() -> Scene:
    return Scene()


@pytest.fixture(scope="session")
def written(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("scene")
    write_folder(scene, data)
    return data


@pytest.fixture
def data(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(written, tmp_path / "data"))
