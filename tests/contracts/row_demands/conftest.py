"""A market with four committed trades, and with their run 0 sealed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.row_demands.case import own_meters
from tests.contracts.settling import Scene, deploy_settling
from tests.contracts.trading import CONFIG, trade_of

SMALL = replace(CONFIG, row_demands=2)


@pytest.fixture(scope="module")
def committed() -> Scene:
    """Three batched trades of 2 kWh between platforms a and b, and a registered one."""
    scene = Scene(deploy_settling(SMALL))
    scene.commit([trade_of(scene.market, number, **own_meters(number)) for number in range(3)])
    scene.register(trade_of(scene.market, 3, **own_meters(3)))
    return scene


@pytest.fixture
def scene(committed: Scene) -> Scene:
    """Run 0 is sealed with all meters fully read."""
    scene = committed.copy()
    scene.settle_inputs()
    return scene
