"""A market with five committed trades, and with their run 0 sealed."""

from __future__ import annotations

import pytest

from tests.contracts.settlement.case import BUYER, LOCK, SELLER, own_meters
from tests.contracts.settling import Scene, deploy_settling
from tests.contracts.trading import trade_of


@pytest.fixture(scope="module")
def committed() -> Scene:
    """Five trades of 2 kWh at 5 a kWh between platforms a and b, committed with a lock of 30."""
    scene = Scene(deploy_settling())
    trades = [trade_of(scene.market, number, **own_meters(number)) for number in range(5)]
    scene.commit(trades, [(BUYER, SELLER, LOCK)])
    return scene


@pytest.fixture
def scene(committed: Scene) -> Scene:
    """The same with run 0 sealed, all meters fully read."""
    scene = committed.copy()
    scene.settle_inputs()
    return scene
