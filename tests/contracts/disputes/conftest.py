"""A market with disputes and five arbiters, at the deadline of run 0."""

from __future__ import annotations

from collections.abc import Iterator

import boa
import pytest

from settlement import typed_data
from tests.contracts.disputes.case import ARBITERS, SMALL, WITH_DISPUTES, Case
from tests.contracts.trading import deploy_trading


@pytest.fixture(scope="module")
def deployed() -> Case:
    market = deploy_trading(SMALL, only=WITH_DISPUTES)
    with boa.env.prank(market.council):
        market.arbiters.set_arbiters(["0x" + typed_data.address_of(key).hex() for key in ARBITERS])
    return Case(market)


@pytest.fixture
def case(deployed: Case) -> Iterator[Case]:
    with boa.env.anchor():
        yield deployed
