"""A market of registry, escrow and ledger, in which three obligations at most are set off at a time."""

from __future__ import annotations

from collections.abc import Iterator

import boa  # type: ignore[import-untyped]
import pytest

from settlement.config import Config
from tests.contracts import money
from tests.contracts.market import Market


@pytest.fixture(scope="module")
def deployed() -> Market:
    return money.deploy_money(config=Config(set_off=3))


@pytest.fixture
def market(deployed: Market) -> Iterator[Market]:
    with boa.env.anchor():
        yield deployed
