"""A market with three committed trades, and with their run 0 sealed."""

from __future__ import annotations

import pytest

from tests.contracts.row_faults.case import own_meters
from tests.contracts.settling import Scene, deploy_settling
from tests.contracts.trading import trade_of


@pytest.fixture(scope="module")
def committed() -> Scene:
    """Three trades of 2 kWh between platforms a and b, with flows to each other and to the grid operator."""
    scene = Scene(deploy_settling())
    scene.commit([trade_of(scene.market, number, **own_meters(number)) for number in range(3)])
    return scene


@pytest.fixture
def scene(committed: Scene) -> Scene:
    """Run 0 is sealed with all meters fully read."""
    scene = committed.copy()
    scene.settle_inputs()
    return scene
