"""Settlement: what two members' claims come to ends at 2^96 - 1, and nobody else's claim fails by it."""

from __future__ import annotations

from dataclasses import astuple

import boa
import pytest

from settlement.formula.templates import Role, Template, template_from_text
from settlement.hashing import ZERO_HASH
from settlement.units import AMOUNT_BOUND, RATE_BOUND, WH_BOUND
from tests.contracts.settlement.case import BUYER, LOCK, PAIR, SELLER, own_meters
from tests.contracts.settling import FUNDS, Pair, Scene, deploy_settling, events, later
from tests.contracts.trading import CONFIG, CYCLE, trade_of

MOST = AMOUNT_BOUND - 1
HUGE = (WH_BOUND - 1) * (RATE_BOUND - 1) * 3 // 1_000
UTILITY = "utility_b"
CHARGED = (BUYER, UTILITY)
PRICE, CHARGE = 10_000_000, 6  # of an honest trade: 2 kWh at 5 a kWh; three times what is charged for a kWh


@pytest.fixture(scope="module")
def market() -> Scene:
    """Two trades whose charge is nearly 2^96 / 2 times three, and an honest one, of the same template."""
    flows = (
        (Role.BUYER, Role.GRID_OPERATOR, "settled × charge × 3"),
        (Role.BUYER, Role.SELLER, "settled × price"),
    )
    template: Template = template_from_text("charged", 1, ("charge", "price"), flows)
    scene = Scene(deploy_settling())
    with boa.env.prank(scene.market.council):
        described = [(flow.payer, flow.payee, flow.program) for flow in template.flows]
        scene.market.flows.register(template.name, template.version, list(template.rate_names), described)
    later(1)
    about = {"template": template.template_id, "grid_operator": scene.id(UTILITY)}
    huge = [
        trade_of(
            scene.market, number, rates=(RATE_BOUND - 1, 0), contracted_wh=WH_BOUND - 1, **own_meters(number), **about
        )
        for number in range(2)
    ]
    scene.commit([*huge, trade_of(scene.market, 2, rates=(1, 5_000_000), **own_meters(2), **about)], [(*PAIR, LOCK)])
    return scene


@pytest.mark.parametrize("early", [0, MOST, MOST - 1])
def test_a_sum_stops_and_holds_up_nobody(market: Scene, early: int) -> None:
    """Whether it is the pair's word that says the sum, or (below what was applied before) a word of its own."""
    scene = market.copy()
    assert HUGE < MOST < 2 * HUGE
    if early:
        scene.settle(scene.plain(*CHARGED, early, inputs=ZERO_HASH))
    scene.settle_inputs()
    claims = [scene.claim(trade) for trade in scene.trades]
    later(CONFIG.claim_window)
    sums = []
    for claim in claims:
        scene.market.settlement.apply_claim(astuple(claim))
        sums += [
            (event["claimed_sum"], scene.word(*CHARGED).applied)
            for event in events(scene.market.settlement, "ClaimApplied")
            if event["payee"] == scene.id(UTILITY)
        ]
    by_whom = scene.market.escrow.pair(CYCLE, scene.id(BUYER), scene.id(UTILITY)) >> 240
    assert by_whom == 0b100  # by claims, by neither kind of row (docs/protocol.md, section 8)
    assert sums == [(HUGE, max(HUGE, early)), (MOST, MOST), (MOST, MOST)]
    assert scene.owed(*CHARGED) == MOST
    # The honest trade's other flow is paid.
    assert scene.word(*PAIR) == Pair(LOCK - PRICE, PRICE, 0, 1, False, False)
    assert scene.free(SELLER) == FUNDS + PRICE
    # And the two may still agree on something else.
    assert scene.settle(scene.plain(*CHARGED, CHARGE, version=2)) == 1
    assert (scene.owed(*CHARGED), scene.owed(UTILITY, BUYER)) == (MOST, MOST - CHARGE)
