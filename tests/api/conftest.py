"""A gateway before a real chain, one for each test file that wants it; and the databases of both kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.api.gateway_scene import GatewayScene
from tests.store.databases import database, database_url

__all__ = ["database", "database_url"]

# Plain lines: the console's own way of showing an exception takes seconds.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayScene]:
    with GatewayScene(tmp_path_factory.mktemp("gateway")) as made:
        yield made
