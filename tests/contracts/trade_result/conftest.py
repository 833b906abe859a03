"""Registry, templates and TradeResult, with stand-ins for book and oracle."""

from __future__ import annotations

import pytest

from tests.contracts.market import Market
from tests.contracts.trade_result.case import deploy_results


@pytest.fixture(scope="module")
def market() -> Market:
    return deploy_results()
