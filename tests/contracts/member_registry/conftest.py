"""A registry with its members, set back after every test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from tests.contracts.market import Market, deploy


@pytest.fixture(scope="module")
def deployed() -> Market:
    return deploy(only=())


@pytest.fixture
def market(deployed: Market) -> Iterator[Market]:
    with boa.env.anchor():
        yield deployed


@pytest.fixture
def registry(market: Market) -> Any:
    return market.registry
