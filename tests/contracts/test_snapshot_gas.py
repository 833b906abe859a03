"""Gas against the targets and against the snapshot, which `make bench-gas ARGS=--snapshot` renews."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts import gas, gas_members, gas_settling, gas_trading
from tests.contracts.gas import Measured, Operation

# Each operation has an environment of its own, whose transactions are final.
pytestmark = pytest.mark.ignore_isolation
OPERATIONS = (*gas_trading.OPERATIONS, *gas_settling.OPERATIONS, *gas_members.OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_no_operation_costs_more_than_it_did(operation: Operation) -> None:
    measured = list(operation(False))
    assert measured
    for one in measured:
        print(f"{one.name}: {one.gas}")
    found = gas.faults(measured, gas.snapshot())
    assert not found, "\n".join((*found, "if it is meant: make bench-gas ARGS=--snapshot"))


def test_what_is_found_at_fault() -> None:
    one = Measured("do", "twice", 1_050, 1_100)
    known = {"do: twice": 1_000}
    assert gas.faults([one], known) == []
    assert gas.faults([replace(one, gas=1_051)], known) == ["do: twice: 1051 gas, 1000 in the snapshot"]
    assert gas.faults([one], {}) == ["do: twice: not in the snapshot"]
    assert gas.faults([replace(one, target=1_049)], known) == ["do: twice: 1050 gas, the target is 1049"]
