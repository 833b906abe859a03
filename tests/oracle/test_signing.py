"""What a utility signs: its own meters under this cycle's pseudonyms, within their limits, at its tariff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from member.cosigning import Fault, Terms
from oracle.metering import Meter
from oracle.signing import UtilityRules, left_of
from settlement.formula.templates import INTER_UTILITY, SHIPPED_BY_ID
from settlement.hashing import Hash32, keccak256
from settlement.trade import Trade
from settlement.validity import Registry
from store.records import OpenTrade
from tests.settlement import builders
from tests.settlement.builders import CONFIG, CYCLE, CYCLE_START, DOMAIN, UTILITY_A, UTILITY_B, trade

TERMS = Terms(CONFIG, SHIPPED_BY_ID, Registry({}, {}), CYCLE_START - 9 * 3_600)
NAMES = {builders.meter("seller"): "S", builders.meter("buyer"): "B"}


def rules(utility: Hash32 = UTILITY_B, **tariff: int) -> UtilityRules:
    meters = {"S": Meter("S", export_wh=10_000), "B": Meter("B", import_wh=8_000)}
    return UtilityRules(
        utility,
        meters,
        lambda cycle: NAMES if cycle == CYCLE else {},
        lambda one, now: left_of(one, None, False, now),
        tariff,
    )


def signed(*trades: Trade) -> Sequence[OpenTrade]:
    return [OpenTrade(DOMAIN.digest(one), one, CYCLE, "signed", ()) for one in trades]


def another(kwh: str, **changes: Any) -> Trade:
    return trade(kwh, salt=keccak256(b"another"), **changes)


def test_within_the_limit_over_all_that_was_signed() -> None:
    assert rules().fault(trade("10"), (), TERMS) is None
    assert rules().fault(trade("4"), signed(another("6")), TERMS) is None
    assert rules().fault(trade("4.001"), signed(another("6")), TERMS) == Fault(
        "contracted_wh", "4 kWh are left of the meter's 10 kWh in this slot"
    )


def test_another_slot_and_another_side_take_nothing_of_it() -> None:
    later = CYCLE_START + 3_600
    assert rules().fault(trade("10"), signed(another("6", slot_start=later, slot_end=later + 3_600)), TERMS) is None
    bought = another("6", buyer_utility=UTILITY_B, buyer_meter=builders.meter("seller"), seller_utility=UTILITY_A)
    assert rules().fault(trade("10"), signed(bought), TERMS) is None


def test_the_buyers_limit_is_the_meters_import() -> None:
    assert rules(UTILITY_A).fault(trade("8.001"), (), TERMS) == Fault(
        "contracted_wh", "8 kWh are left of the meter's 8 kWh in this slot"
    )


def test_a_pseudonym_of_nobody_or_of_another_cycle() -> None:
    unknown = Fault("seller_meter", "no meter of this utility is called so in this cycle")
    assert rules().fault(trade(seller_meter=keccak256(b"?")), (), TERMS) == unknown
    tomorrow = CYCLE_START + CONFIG.cycle_length
    assert rules().fault(trade(slot_start=tomorrow, slot_end=tomorrow + 3_600), (), TERMS) == unknown


def test_a_rate_is_judged_by_whoever_is_paid_by_it() -> None:
    one = trade("1", template=INTER_UTILITY, rates=(6, 25, 30, 0))
    assert rules(UTILITY_A, buyerWheeling=25).fault(one, (), TERMS) is None
    assert rules(UTILITY_A, buyerWheeling=26).fault(one, (), TERMS) == Fault(
        "rates", "buyerWheeling is below the tariff"
    )
    assert rules(UTILITY_B, buyerWheeling=26).fault(one, (), TERMS) is None
    assert rules(UTILITY_B, penalty=1).fault(one, (), TERMS) == Fault("rates", "penalty is below the tariff")


def test_a_mere_grid_operator_looks_at_its_tariff_only() -> None:
    operator = keccak256(b"operator")
    one = trade(grid_operator=operator, rates=(6, 2))
    assert rules(operator, wheeling=2).fault(one, (), TERMS) is None
    assert rules(operator, wheeling=3).fault(one, (), TERMS) == Fault("rates", "wheeling is below the tariff")


def test_what_a_signed_trade_takes() -> None:
    (one,) = signed(trade("6"))
    until = one.trade.valid_until
    assert left_of(one, None, False, until) == 6_000
    assert left_of(one, None, False, until + 1) == 0
    assert left_of(one, None, True, until + 1) == 6_000
    assert left_of(one, 500, True, until + 1) == 500
