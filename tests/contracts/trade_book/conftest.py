"""A market in which trades are committed, set back after every test."""

from __future__ import annotations

from typing import Any

import boa
import pytest

from tests.contracts.market import Market
from tests.contracts.trading import deploy_trading


@pytest.fixture(scope="module")
def deployed() -> Market:
    return deploy_trading()


@pytest.fixture
def market(deployed: Market) -> Any:
    with boa.env.anchor():
        yield deployed
