"""Allocation rules: the vectors, and what holds for every reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement import allocation
from settlement.allocation import Rule
from settlement.config import FIFO, PRO_RATA
from settlement.errors import SettlementError
from settlement.units import WH_BOUND

RULES = [allocation.rule(PRO_RATA), allocation.rule(FIFO)]
WH = st.integers(0, WH_BOUND - 1)


@pytest.mark.parametrize(
    ("number", "meter_wh", "quantities", "allocated"),
    [
        (PRO_RATA, 15_000, [10_000, 10_000], [7_500, 7_500]),  # V2, V3
        (FIFO, 8_000, [5_000, 4_000], [5_000, 3_000]),  # V4a
        (FIFO, 7_000, [5_000, 4_000], [5_000, 2_000]),  # V4b
        (PRO_RATA, 8_000, [5_000, 4_000], [4_444, 3_555]),  # V4c, floored: 1 Wh stays with the utility
        (PRO_RATA, 7_000, [5_000, 4_000], [3_888, 3_111]),
        (PRO_RATA, 15_000, [10_000], [10_000]),  # V1, never above the contract
        (FIFO, 15_000, [10_000], [10_000]),
        (PRO_RATA, 0, [5, 4], [0, 0]),
        (FIFO, 0, [5, 4], [0, 0]),
        (PRO_RATA, 0, [0, 0], [0, 0]),
        (PRO_RATA, 5, [], []),
        (FIFO, 5, [], []),
        (FIFO, 3, [0, 2, 0, 5, 1], [0, 2, 0, 1, 0]),
    ],
)
def test_vectors(number: int, meter_wh: int, quantities: list[int], allocated: list[int]) -> None:
    assert allocation.rule(number)(meter_wh, quantities) == allocated


@pytest.mark.parametrize("rule", RULES)
@given(meter_wh=WH, quantities=st.lists(WH, max_size=12))
def test_nothing_is_invented(rule: Rule, meter_wh: int, quantities: list[int]) -> None:
    allocated = rule(meter_wh, quantities)
    assert len(allocated) == len(quantities)
    assert all(0 <= a <= q for a, q in zip(allocated, quantities, strict=True))
    assert sum(allocated) <= meter_wh
    if meter_wh >= sum(quantities):
        assert allocated == quantities


@given(meter_wh=WH, quantities=st.lists(WH, max_size=12))
def test_dust_is_less_than_one_wh_a_trade_and_fifo_leaves_none(meter_wh: int, quantities: list[int]) -> None:
    owed = min(meter_wh, sum(quantities))
    shares = allocation.rule(PRO_RATA)(meter_wh, quantities)
    assert owed - sum(shares) < max(1, len(quantities))
    assert sum(allocation.rule(FIFO)(meter_wh, quantities)) == owed


@given(meter_wh=WH, quantities=st.permutations(list(range(0, 90_000, 7_919))))
def test_pro_rata_does_not_depend_on_order(meter_wh: int, quantities: list[int]) -> None:
    shares = dict(zip(quantities, allocation.rule(PRO_RATA)(meter_wh, quantities), strict=True))
    ordered = sorted(quantities)
    assert [shares[q] for q in ordered] == allocation.rule(PRO_RATA)(meter_wh, ordered)


def test_unknown_rule() -> None:
    with pytest.raises(SettlementError, match="names no allocation rule"):
        allocation.rule(2)
