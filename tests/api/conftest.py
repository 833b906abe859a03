"""A gateway before a real chain, one for each test file that wants it; and the databases of both kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.gateway_scene import GatewayScene
from tests.store.databases import database, database_url

__all__ = ["database", "database_url"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayScene]:
    with GatewayScene(tmp_path_factory.mktemp("gateway")) as made:
        yield made
