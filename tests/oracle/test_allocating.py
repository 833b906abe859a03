"""What a utility would sign: its draft, whether a posted one is spoiled, and the gate before the signature."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oracle.allocating import Draft, defects, draft, first_difference, outliers, spoiled
from oracle.metering import Meter
from settlement.cycle import UtilityAllocation
from settlement.figures import Marks, SideMarks
from settlement.hashing import keccak256
from settlement.placed import Side
from settlement.preimages import side_key
from settlement.trade import AllocationLeaf
from store.records import RecordedReading
from tests.settlement import builders
from tests.settlement.builders import CONFIG, CYCLE, CYCLE_START, UTILITY_A, UTILITY_B, placed, trade

FIRST = placed(trade("6"), 1, 0)
SECOND = placed(trade("4", salt=keccak256(b"second")), 1, 1)
TRADES = (FIRST, SECOND)


def reading(wh: int, quality: str = "READ", direction: str = "export", meter: str = "seller") -> RecordedReading:
    end = CYCLE_START + CONFIG.slot_length
    salt = keccak256(meter.encode())
    name = builders.meter(meter)
    return RecordedReading(0, UTILITY_B, name, meter, salt, CYCLE_START, end, direction, wh, str(wh), quality)


def made(*readings: RecordedReading) -> Draft:
    return draft(UTILITY_B, TRADES, readings, CYCLE, CONFIG)


def with_leaf(of: Draft, **changes: int) -> Draft:
    first, *others = of.allocation.leaves
    return replace(of, allocation=UtilityAllocation(UTILITY_B, (replace(first, **changes), *others)))


def test_a_draft_uses_its_own_meters_and_sides_only() -> None:
    found = made(reading(5_000), reading(9_000, direction="import"), reading(1, meter="buyer"))
    assert [leaf.allocated_wh for leaf in found.allocation.leaves] == [3_000, 2_000]
    assert [one.wh for one in found.readings] == [5_000]
    assert found.lacking == ()


@pytest.mark.parametrize("readings", [(), (reading(0, "MISSING"),)])
def test_what_has_no_figure_is_lacking(readings: tuple[RecordedReading, ...]) -> None:
    found = made(*readings)
    assert found.lacking == ((builders.meter("seller"), CYCLE_START, Side.SELLER),)
    assert [leaf.status for leaf in found.allocation.leaves] == [2, 2]


def test_an_honest_draft_has_no_defect() -> None:
    assert list(defects(made(reading(5_000)), TRADES, CYCLE, CONFIG)) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"allocated_wh": 3_001}, "NOT_THE_RULES"),
        ({"allocated_wh": 6_001}, "ABOVE_CONTRACTED"),
        ({"contracted_wh": 5_000, "allocated_wh": 2_500}, "OTHER_CONTRACTED"),
        ({"meter_wh": 4_000, "allocated_wh": 2_400}, "READINGS_DIFFER"),
        ({"contracted_before": 1_000}, "OVERLAP"),
    ],
)
def test_whatever_somebody_could_prove_is_a_defect(changes: dict[str, int], what: str) -> None:
    wrong = with_leaf(made(reading(5_000)), **changes)
    assert any(text.endswith(what) for text in defects(wrong, TRADES, CYCLE, CONFIG))


def test_more_allocated_than_metered_is_a_defect() -> None:
    wrong = with_leaf(made(reading(5_000)), allocated_wh=3_001)
    assert f"meter 0x{FIRST.meter(Side.SELLER).hex()}: 5001 Wh allocated of 5000 Wh metered" in list(
        defects(wrong, TRADES, CYCLE, CONFIG)
    )


@pytest.mark.parametrize(("wh", "found"), [(6_000, 0), (6_001, 1)])
def test_a_reading_over_its_limit_is_an_outlier(wh: int, found: int) -> None:
    texts = list(outliers(made(reading(wh)), {"seller": Meter("seller", export_wh=5_000)}, 120))
    assert len(texts) == found
    assert all("6.001 kWh, over 120 % of its limit of 5 kWh" in text for text in texts)
    assert list(outliers(made(reading(wh)), {"seller": Meter("seller", import_wh=1)}, 120)) == []


def test_what_is_spoiled_has_to_be_posted_again() -> None:
    void = Marks(builders.void(FIRST, Side.SELLER, 0), {})
    assert spoiled(UTILITY_B, TRADES, 0, void)
    assert not spoiled(UTILITY_B, TRADES, 1, void)
    assert not spoiled(UTILITY_A, TRADES, 0, void)
    twice = Marks({}, {side_key(SECOND.digest, Side.SELLER): SideMarks(twice=1)})
    assert spoiled(UTILITY_B, TRADES, 0, twice)
    contested = Marks({}, {side_key(SECOND.digest, Side.SELLER): SideMarks(contested=1)})
    assert not spoiled(UTILITY_B, TRADES, 0, contested)


def test_the_first_leaf_that_differs() -> None:
    own, other = made(reading(5_000)).allocation.leaves, made(reading(4_000)).allocation.leaves
    second: tuple[AllocationLeaf, ...] = (own[0], other[1])
    assert first_difference(own, own) is None
    assert first_difference(own, second) == (1, own[1], other[1])
    assert first_difference(own, own[:1]) == (1, own[1], None)
    assert first_difference(own[:1], own) == (1, None, own[1])
