"""The chain's check of allocation leaves against the Python rules, case by case and at the bounds."""

from __future__ import annotations

import random
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import preimages
from settlement.allocation import rule
from settlement.config import FIFO, PRO_RATA
from settlement.faults import Conflict, Fault, conflict_of, fault_by_rule, fault_by_trade
from settlement.hashing import ZERO_HASH, keccak256
from settlement.placed import PlacedTrade
from settlement.trade import AllocationLeaf, Trade
from tests.contracts.market import CONTRACTS

CASES = 1_500
MAX = 2**64 - 1
BOUNDS = (0, 1, 2, 2**40 - 1, 2**40, 2**63, MAX - 1, MAX)
BUYER_UTILITY, SELLER_UTILITY = b"\1" * 32, b"\2" * 32
BUYER_METER, SELLER_METER = b"\3" * 32, b"\4" * 32
DIGEST, SALT = keccak256(b"digest"), keccak256(b"salt")
SLOT = 1_728_100_000
CYCLE = 20_000

TRADE = Trade(
    trade_id=ZERO_HASH,
    template=ZERO_HASH,
    buyer_platform=b"\5" * 32,
    seller_platform=b"\6" * 32,
    buyer_utility=BUYER_UTILITY,
    seller_utility=SELLER_UTILITY,
    grid_operator=ZERO_HASH,
    market_agent=ZERO_HASH,
    buyer_meter=BUYER_METER,
    seller_meter=SELLER_METER,
    slot_start=SLOT,
    slot_end=SLOT + 3_600,
    contracted_wh=2_000,
    traded_at=0,
    valid_until=0,
    rates=(1, 2),
    order_hash=ZERO_HASH,
    salt=SALT,
)


@pytest.fixture(scope="module")
def probe() -> Any:
    return boa.load(str(CONTRACTS / "mocks" / "AllocationCheckProbe.vy"))


def leaf(**changes: Any) -> AllocationLeaf:
    """An honest buyer leaf of the trade, alone on its meter, which read half of what was bought."""
    honest = AllocationLeaf(
        trade_digest=DIGEST,
        commitment=1,
        index=0,
        side=0,
        meter=BUYER_METER,
        slot_start=SLOT,
        contracted_wh=2_000,
        contracted_before=0,
        meter_wh=1_000,
        contracted_total_wh=2_000,
        status=0,
        allocated_wh=1_000,
        salt=preimages.allocation_salt(SALT, CYCLE, 0),
    )
    return replace(honest, **changes)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, Fault.NONE),
        ({"status": 1}, Fault.NONE),
        ({"status": 2, "meter_wh": 0, "allocated_wh": 0}, Fault.NONE),
        ({"side": 2}, Fault.SIDE_UNKNOWN),
        ({"side": 255, "status": 3}, Fault.SIDE_UNKNOWN),
        ({"status": 3}, Fault.STATUS_UNKNOWN),
        ({"status": 2, "meter_wh": 1, "allocated_wh": 0}, Fault.MISSING_NOT_ZERO),
        ({"status": 2, "meter_wh": 0, "allocated_wh": 1}, Fault.MISSING_NOT_ZERO),
        ({"status": 2, "meter_wh": 0, "allocated_wh": 0, "contracted_before": 1}, Fault.BEFORE_ABOVE_TOTAL),
        ({"contracted_before": 1}, Fault.BEFORE_ABOVE_TOTAL),
        ({"contracted_before": MAX, "contracted_wh": MAX}, Fault.BEFORE_ABOVE_TOTAL),
        ({"allocated_wh": 2_001}, Fault.ABOVE_CONTRACTED),
        ({"allocated_wh": 999}, Fault.NOT_THE_RULES),
        ({"allocated_wh": 1_001}, Fault.NOT_THE_RULES),
        ({"meter_wh": 2_000}, Fault.NOT_THE_RULES),
    ],
)
def test_fault_by_rule(probe: Any, changes: dict[str, Any], fault: Fault) -> None:
    shown = leaf(**changes)
    assert probe.fault_by_rule(astuple(shown), PRO_RATA) == fault
    assert fault_by_rule(shown, PRO_RATA) == fault


def test_first_in_first_out(probe: Any) -> None:
    """The reading covers the trade before, then half of this one; or does not reach it."""
    second = leaf(contracted_before=500, contracted_total_wh=2_500, meter_wh=1_500, allocated_wh=1_000)
    assert probe.fault_by_rule(astuple(second), FIFO) == Fault.NONE
    assert probe.fault_by_rule(astuple(second), PRO_RATA) == Fault.NOT_THE_RULES
    for reading in (0, 499, 500):
        assert probe.fault_by_rule(astuple(replace(second, meter_wh=reading, allocated_wh=0)), FIFO) == Fault.NONE
    assert probe.fault_by_rule(astuple(replace(second, meter_wh=501, allocated_wh=0)), FIFO) == Fault.NOT_THE_RULES


def amount(rng: random.Random) -> int:
    """Small, so that neighbours collide; or anywhere, bounds included."""
    return rng.choice((rng.randint(0, 6), rng.randint(0, 5_000), rng.choice(BOUNDS), rng.randint(0, MAX)))


def test_generated_leaves(probe: Any) -> None:
    rng = random.Random(20)
    met = set()
    for _ in range(CASES):
        contracted, before = amount(rng), amount(rng)
        total = rng.choice((amount(rng), min(MAX, contracted + before), min(MAX, contracted + before + amount(rng))))
        shown = leaf(
            side=rng.choice((0, 0, 0, 1, 1, 1, 2, 255)),
            status=rng.choice((0, 0, 0, 0, 1, 1, 2, 3)),
            contracted_wh=contracted,
            contracted_before=before,
            contracted_total_wh=total,
            meter_wh=rng.choice((0, amount(rng), total, max(0, total - 1), before)),
        )
        number = rng.choice((PRO_RATA, FIFO))
        if total and rng.random() < 0.8:  # mostly what the rule gives, or one Wh beside it
            if number == FIFO:
                share = min(contracted, max(0, shown.meter_wh - before))
            else:
                share = contracted if shown.meter_wh >= total else contracted * shown.meter_wh // total
            shown = replace(shown, allocated_wh=min(MAX, max(0, share + rng.choice((0, 0, 0, 1, -1)))))
        else:
            shown = replace(shown, allocated_wh=rng.choice((0, contracted, amount(rng))))
        expected = fault_by_rule(shown, number)
        met.add(expected)
        assert probe.fault_by_rule(astuple(shown), number) == expected, (shown, number)
    assert met == {
        Fault.NONE,
        Fault.SIDE_UNKNOWN,
        Fault.STATUS_UNKNOWN,
        Fault.MISSING_NOT_ZERO,
        Fault.BEFORE_ABOVE_TOTAL,
        Fault.ABOVE_CONTRACTED,
        Fault.NOT_THE_RULES,
    }


@pytest.mark.parametrize("number", [PRO_RATA, FIFO])
def test_honest_groups_have_no_fault(probe: Any, number: int) -> None:
    """Whole groups, allocated by the rule itself: no leaf of any is at fault, and one Wh more or less is."""
    rng = random.Random(number)
    for _ in range(60):
        quantities = [rng.choice((0, rng.randint(1, 9), rng.randint(1, 2**40 - 1))) for _ in range(rng.randint(1, 6))]
        total = sum(quantities)
        reading = rng.choice((0, total, max(0, total - 1), total + 1, rng.randint(0, total + 1)))
        before = 0
        for quantity, share in zip(quantities, rule(number)(reading, quantities), strict=True):
            shown = leaf(
                contracted_wh=quantity,
                contracted_before=before,
                contracted_total_wh=total,
                meter_wh=reading,
                allocated_wh=share,
            )
            assert probe.fault_by_rule(astuple(shown), number) == Fault.NONE
            wrong = replace(shown, allocated_wh=share + rng.choice((1, -1)) if share else 1)
            assert probe.fault_by_rule(astuple(wrong), number) in (Fault.ABOVE_CONTRACTED, Fault.NOT_THE_RULES)
            before += quantity


OTHER = keccak256(b"other")


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("changes", "posted_by", "fault"),
    [
        ({}, None, Fault.NONE),
        ({}, OTHER, Fault.OTHER_UTILITY),
        ({"meter": OTHER}, OTHER, Fault.OTHER_UTILITY),
        ({"meter": OTHER}, None, Fault.OTHER_METER),
        ({"slot_start": SLOT + 3_600}, None, Fault.OTHER_SLOT),
        ({"contracted_wh": 1_999}, None, Fault.OTHER_CONTRACTED),
        ({"contracted_wh": 2_001}, None, Fault.OTHER_CONTRACTED),
        ({"salt": OTHER}, None, Fault.OTHER_SALT),
        ({"salt": preimages.allocation_salt(SALT, CYCLE + 1, 0)}, None, Fault.OTHER_SALT),
    ],
)
def test_fault_by_trade(probe: Any, side: int, changes: dict[str, Any], posted_by: bytes | None, fault: Fault) -> None:
    shown = leaf(
        side=side,
        meter=SELLER_METER if side else BUYER_METER,
        salt=preimages.allocation_salt(SALT, CYCLE, side),
    )
    shown = replace(shown, **changes)
    utility = posted_by or (SELLER_UTILITY if side else BUYER_UTILITY)
    placed = PlacedTrade(DIGEST, TRADE, 1, 0, TRADE.contracted_wh)
    assert probe.fault_by_trade(astuple(shown), utility, astuple(TRADE), 2_000, CYCLE) == fault
    assert fault_by_trade(shown, utility, placed, CYCLE) == fault


def test_the_other_sides_figures_do_not_pass(probe: Any) -> None:
    """A leaf with the side turned is another utility's, or another meter's where one utility has both."""
    turned = leaf(side=1)
    arguments = (2_000, CYCLE)
    assert probe.fault_by_trade(astuple(turned), BUYER_UTILITY, astuple(TRADE), *arguments) == Fault.OTHER_UTILITY
    one = replace(TRADE, seller_utility=BUYER_UTILITY)
    assert probe.fault_by_trade(astuple(turned), BUYER_UTILITY, astuple(one), *arguments) == Fault.OTHER_METER


def test_curtailed_quantity_is_the_measure(probe: Any) -> None:
    shown = leaf(contracted_wh=1_200)
    assert probe.fault_by_trade(astuple(shown), BUYER_UTILITY, astuple(TRADE), 1_200, CYCLE) == Fault.NONE
    assert probe.fault_by_trade(astuple(shown), BUYER_UTILITY, astuple(TRADE), 2_000, CYCLE) == Fault.OTHER_CONTRACTED


def near(rng: random.Random, value: int) -> int:
    """The value, or one that is almost it, or a bound."""
    return rng.choice((value, value, value, max(0, value - 1), min(MAX, value + 1), rng.choice(BOUNDS)))


@pytest.mark.parametrize("number", [PRO_RATA, FIFO])
def test_conflicts_are_those_of_the_rules(probe: Any, number: int) -> None:
    rng = random.Random(f"conflicts {number}")
    found = set()
    for _ in range(CASES):
        first = leaf(contracted_before=rng.choice((0, 5, 2_000)), contracted_wh=rng.choice((0, 1, 2_000, MAX)))
        second = replace(
            first,
            commitment=rng.choice((0, 1, 2, MAX)),
            index=rng.choice((0, 1, MAX)),
            contracted_before=near(rng, rng.choice((0, first.contracted_before + min(first.contracted_wh, MAX // 2)))),
            contracted_wh=near(rng, 2_000),
            meter_wh=rng.choice((first.meter_wh,) * 9 + (MAX,)),
            contracted_total_wh=rng.choice((first.contracted_total_wh,) * 9 + (0,)),
            status=rng.choice((0,) * 9 + (1,)),
        )
        expected = conflict_of(first, second, number)
        found.add(expected)
        assert probe.conflict(astuple(first), astuple(second), number) == expected
        assert probe.conflict(astuple(second), astuple(first), number) == expected
    against = set() if number == FIFO else {Conflict.AGAINST_PLACES}
    assert found == set(Conflict) - {Conflict.TWICE} - against


@pytest.mark.parametrize("number", [PRO_RATA, FIFO])
def test_honest_groups_have_no_conflict(probe: Any, number: int) -> None:
    """Any two leaves of a group, empty trades among them, stand one behind the other."""
    rng = random.Random(f"honest conflicts {number}")
    for _ in range(60):
        quantities = [rng.choice((0, rng.randint(1, 9), rng.randint(1, 2**40 - 1))) for _ in range(4)]
        befores = [sum(quantities[:place]) for place in range(4)]
        leaves = [
            leaf(index=place, contracted_wh=quantities[place], contracted_before=befores[place]) for place in range(4)
        ]
        one, other = rng.sample(leaves, 2)
        assert probe.conflict(astuple(one), astuple(other), number) == Conflict.NONE
