"""Bugs seeded in the fault contracts: each is noticed by the same cases that pass without it.

A contract is compiled from its source with one text replaced, and its code put in the place of the true one.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import boa  # type: ignore[import-untyped]
import pytest

from settlement.config import PRO_RATA
from tests.contracts.completeness import test_allocations as allocations
from tests.contracts.completeness import test_claims as claims
from tests.contracts.completeness import test_rows as rows
from tests.contracts.completeness.corruptions import of_field
from tests.contracts.completeness.honest import HonestCycle
from tests.contracts.market import CONTRACTS, at_time, constructor_arguments
from tests.contracts.trading import CYCLE, END

CHECK, FAULTS = "modules/allocation_check.vy", "AllocationFaults.vy"
ROW_FAULTS, CLAIMED = "RowFaults.vy", "modules/claimed_figures.vy"


@dataclass(frozen=True)
class Seed:
    """A bug: the text of a source, what stands there instead, and which case must notice."""

    name: str
    file: str
    text: str
    instead: str
    noticed_by: str


SEEDS = (
    Seed("no status is unknown", CHECK, "if leaf.status > MISSING:", "if False:", "status"),
    Seed(
        "nothing is beyond the total",
        CHECK,
        "> convert(leaf.contracted_total_wh, uint256):",
        "> max_value(uint256):",
        "contracted_before",
    ),
    Seed(
        "the rule is not asked",
        CHECK,
        "if leaf.status != MISSING and convert(leaf.allocated_wh",
        "if False and convert(leaf.allocated_wh",
        "allocated_wh",
    ),
    Seed("any meter will do", CHECK, "if leaf.meter != (", "if False and leaf.meter != (", "meter"),
    Seed("any slot will do", CHECK, "if leaf.slot_start != trade.slot_start:", "if False:", "slot_start"),
    Seed(
        "curtailment is forgotten",
        CHECK,
        "if leaf.contracted_wh != contracted_wh:",
        "if leaf.contracted_wh != trade.contracted_wh:",
        "honest",
    ),
    Seed("any salt will do", CHECK, "if leaf.salt != ", "if False and leaf.salt != ", "salt"),
    Seed("readings may differ", CHECK, "if first.meter_wh != second.meter_wh:", "if False:", "meter_wh"),
    Seed("neighbours overlap", CHECK, "< min(first_end, second_end):", "<= min(first_end, second_end):", "honest"),
    Seed(
        "both sides are one",
        FAULTS,
        'and first.leaf.side == second.leaf.side\n    ), "AllocationFaults: two sides"',
        'and first.leaf.side <= 1\n    ), "AllocationFaults: two sides"',
        "honest",
    ),
    Seed(
        "one leaf is two", FAULTS, 'assert first.index != second.index, "AllocationFaults: one leaf"', "pass", "honest"
    ),
    Seed("settled Wh are not compared", ROW_FAULTS, "or result.settled_wh != leaf.settled_wh", "", "row settled_wh"),
    Seed(
        "salts are not compared",
        ROW_FAULTS,
        "or leaf.salt != preimages._flow_salt(trade.salt, row.cycle, leaf.flow)",
        "",
        "row salt",
    ),
    Seed(
        "a right leaf is wrong",
        ROW_FAULTS,
        "flow.amount != convert(leaf.amount, uint256)",
        "flow.amount == convert(leaf.amount, uint256)",
        "row honest",
    ),
    Seed("what is there is missing", ROW_FAULTS, 'assert is_after, "RowFaults: stands after"', "pass", "row honest"),
    Seed("no leaf is newer", CLAIMED, "figure.run > run", "False", "claim older"),
    Seed("every other leaf is newer", CLAIMED, "figure.run > run", "figure.run != run", "claim honest"),
    Seed("every leaf stands twice", CLAIMED, "& 1 == 1", "& 1 <= 1", "claim honest"),
)


@pytest.fixture(scope="module")
def case() -> allocations.Case:
    return allocations.case_of(PRO_RATA)


@pytest.fixture(scope="module")
def row_case() -> rows.Case:
    cycle = HonestCycle.committed(PRO_RATA)
    for run in range(rows.RUN + 1):
        cycle.post(run)
        cycle.open_window(run)
        cycle.seal()
    truth = cycle.result(rows.RUN).rows[cycle.scene.id("platform_a"), cycle.scene.id("platform_b")]
    with boa.env.anchor():
        return rows.Case(cycle, truth, rows.settle_rightly(cycle, truth, 1))


def plant(seed: Seed, cycle: HonestCycle, folder: Path) -> None:
    """The contract with the bug stands in the place of the true one."""
    sources = folder / "contracts"
    shutil.copytree(CONTRACTS, sources)
    file = sources / seed.file
    assert file.read_text().count(seed.text) == 1
    file.write_text(file.read_text().replace(seed.text, seed.instead))
    name = "RowFaults" if seed.file in (ROW_FAULTS, CLAIMED) else "AllocationFaults"
    market = cycle.market
    arguments = constructor_arguments(name, market.addresses, market.council, market.guardian, market.config)
    planted = boa.load_partial(str(sources / f"{name}.vy")).deploy(*arguments)
    boa.env.set_code(market.addresses[name], boa.env.get_code(planted.address))


def of_allocation(case: allocations.Case, noticed_by: str) -> None:
    """The cases of one field, or of honest leaves."""
    if noticed_by == "honest":
        allocations.prove_honest(case)
    else:
        allocations.tell(case, 0, lambda leaves: of_field(leaves, noticed_by))


def of_row(case: rows.Case, noticed_by: str) -> None:
    """The same of an attested row, or of claims."""
    if noticed_by == "claim honest":
        claims.test_nothing_right_is_ever_struck(case.cycle.copy())
    elif noticed_by == "claim older":
        claims.test_an_older_figure_is_claimed_for_nothing(case.cycle.copy(), 0, (0, rows.RUN))
    elif noticed_by == "row honest":
        rows.test_nothing_right_is_ever_struck(case)
    else:
        rows.judge(case, of_field(case.truth.leaves, noticed_by.removeprefix("row ")))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.name)
def test_each_seeded_bug_is_noticed(
    seed: Seed, case: allocations.Case, row_case: rows.Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allocations, "SOME", 40)
    with boa.env.anchor():
        if seed.file in (ROW_FAULTS, CLAIMED):
            at_time(row_case.cycle.market.oracle.sealed_at(CYCLE, rows.RUN) + 1)
            plant(seed, row_case.cycle, tmp_path)
            with pytest.raises(AssertionError):
                of_row(row_case, seed.noticed_by)
        else:
            # The other market of this file has lived on; this one stands at its cycle's end.
            at_time(END)
            plant(seed, case.cycle, tmp_path)
            with pytest.raises(AssertionError):
                of_allocation(case, seed.noticed_by)
