"""Whatever one thing a lying quorum falsifies in a row: the row falls or never stands, and the right one pays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement.config import PRO_RATA
from settlement.rows import RowContent
from settlement.trade import FlowLeaf
from tests.contracts.completeness.attested import RIGHT, AttestedRow
from tests.contracts.completeness.corruptions import FLOW_FIELDS, Corruption, of_field, of_row, of_tree
from tests.contracts.completeness.counting import tried, tried_lie
from tests.contracts.completeness.fields import ATTESTED_ROW, FATES, changed
from tests.contracts.completeness.honest import HonestCycle, Outcome
from tests.contracts.settling import later
from tests.contracts.trading import CONFIG, CYCLE

pytestmark = pytest.mark.usefixtures("counted")

PAIRS = (("platform_a", "platform_b"), ("platform_b", "utility_b"))
RUN = 1


@dataclass(frozen=True)
class Case:
    """A cycle with two honest runs sealed and nothing settled; a pair's right row, and where that leads."""

    cycle: HonestCycle
    truth: RowContent
    outcome: Outcome


@pytest.fixture(scope="module")
def sealed() -> HonestCycle:
    cycle = HonestCycle.committed(PRO_RATA)
    for run in range(RUN + 1):
        cycle.post(run)
        cycle.open_window(run)
        cycle.seal()
    return cycle


@pytest.fixture(params=PAIRS, ids="->".join)
def case(sealed: HonestCycle, request: pytest.FixtureRequest) -> Case:
    payer, payee = request.param
    truth = sealed.result(RUN).rows[sealed.scene.id(payer), sealed.scene.id(payee)]
    with boa.env.anchor():
        return Case(sealed, truth, settle_rightly(sealed, truth, 1))


def settle_rightly(cycle: HonestCycle, truth: RowContent, version: int) -> Outcome:
    """The right row is attested, published and applied."""
    right = AttestedRow.over(cycle, truth, truth.leaves, RUN, version)
    assert right.attest() == right.publish() == ""
    later(CONFIG.row_window)
    assert right.apply() == ""
    return cycle.outcome()


def fate_of(case: Case, wrong: AttestedRow) -> str:
    """What becomes of a wrong row; nothing where it stands."""
    before = case.cycle.outcome()
    refused = wrong.attest()
    if refused:
        return refused
    refused = wrong.publish()
    if refused:
        # It cannot be published, so it lapses.
        later(CONFIG.publish_time)
        fate = refused
    else:
        fate = wrong.strike() if wrong.is_pending else "leaves do not add up"
    if fate:
        assert not wrong.is_pending
        later(CONFIG.row_window)
        assert wrong.apply() in ("Settlement: row not pending", "Settlement: not published")
        assert case.cycle.outcome() == before, "somebody was paid"
    return fate


def assert_ends_well(case: Case, said: str) -> None:
    """The right row can still be attested, and pays as in the honest cycle."""
    version = case.cycle.market.settlement.highest_version(*pair_of(case)) + 1
    assert settle_rightly(case.cycle, case.truth, version) == case.outcome, said


def pair_of(case: Case) -> tuple[int, bytes, bytes]:
    return CYCLE, case.truth.payer, case.truth.payee


def judge(case: Case, lies: Iterable[Corruption[FlowLeaf]]) -> Counter[str]:
    """What became of each lie; none stands."""
    fates: Counter[str] = Counter()
    for lie in lies:
        with boa.env.anchor():
            fate = fate_of(case, AttestedRow.over(case.cycle, case.truth, lie.leaves, RUN, 1))
            assert fate, f"{lie.said}: the row stands"
            assert_ends_well(case, lie.said)
        fates[fate] += 1
        tried_lie(lie, "FlowLeaf", fate)
    assert fates
    return fates


@pytest.mark.parametrize("field", FLOW_FIELDS)
def test_each_field_of_each_leaf(case: Case, field: str) -> None:
    """Struck by the very proof that the table names, or never published."""
    fates = judge(case, of_field(case.truth.leaves, field))
    allowed = {"Settlement: leaves out of order": "never published: out of order"}
    allowed["leaves do not add up"] = "struck at publication: leaves do not add up"
    assert {allowed.get(fate, fate) for fate in fates} <= set(FATES[FlowLeaf][field].remedies), fates


def test_each_tree(case: Case) -> None:
    fates = judge(case, of_tree(case.truth.leaves))
    assert set(fates) <= {"missing leaf", "Settlement: leaves out of order"}
    assert fates["missing leaf"] == case.truth.count + 1  # each leaf left out, and all


def test_what_is_added_or_put_in_place_of_another(case: Case) -> None:
    """A leaf of a trade that nobody knows falls by a demand, one of another pair or flow by its own trade."""
    foreign = next(
        row.leaves[0]
        for pair, row in case.cycle.result(RUN).rows.items()
        if pair != (case.truth.payer, case.truth.payee)
    )
    fates = judge(case, of_row(case.truth.leaves, foreign))
    assert set(fates) == {"wrong leaf", "missing leaf", "unfounded leaf"}
    assert fates["unfounded leaf"] == 1


@pytest.mark.parametrize("field", list(ATTESTED_ROW))
def test_each_field_of_the_row(case: Case, field: str) -> None:
    right = AttestedRow.over(case.cycle, case.truth, case.truth.leaves, RUN, 1)
    for value in changed(getattr(right.row, field)):
        with boa.env.anchor():
            change: Any = {field: value}
            fate = fate_of(case, replace(right, row=replace(right.row, **change)))
            assert fate in ATTESTED_ROW[field].remedies
            assert_ends_well(case, field)
        tried("attested row field", f"Row.{field}", fate)


def test_nothing_right_is_ever_struck(case: Case) -> None:
    """Every strike against every leaf of the right row; demands of as many leaves as may be, all answered."""
    right = AttestedRow.over(case.cycle, case.truth, case.truth.leaves, RUN, 1)
    with boa.env.anchor():
        assert right.attest() == right.publish() == ""
        for place in range(len(right.leaves)):
            assert right.strike_wrong(place) == RIGHT
            assert right.strike_unfounded(place) == "RowDemands: no open demand"
        for leaf in right.leaves:
            assert right.strike_missing(leaf) in ("RowFaults: stands before", "RowFaults: stands after")
        for place in range(min(len(right.leaves), CONFIG.row_demands)):
            said = right.demand_of(place)
            assert right.demand(said, said) == ""
            assert right.strike_unfounded(place) == "RowDemands: may still be answered"
            assert right.answer(place) == ""
            assert right.strike_unfounded(place) == "RowDemands: no open demand"
        assert right.strike() == ""
        assert right.is_pending
        later(max(CONFIG.row_window, CONFIG.demand_time))
        assert right.apply() == ""
        assert case.cycle.outcome() == case.outcome
