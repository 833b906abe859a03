"""What operations cost: the one place that measures gas, for `make bench-gas` and for the tests.

A measurement is a transaction of its own on contracts compiled for London with `-O gas`: base and calldata are in, what
is refunded is out. `gas_trading`, `gas_settling` and `gas_members` hold the operations; each yields what it measured.
The snapshot `gas.json` beside this file is what the tests compare with.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boa  # type: ignore[import-untyped]
from boa.environment import Env  # type: ignore[import-untyped]

from tests.contracts import market as markets
from tests.contracts.market import CONTRACTS

EVM = "london"
SNAPSHOT = Path(__file__).with_name("gas.json")
# How much more than in the snapshot an operation may cost, in percent.
TOLERANCE = 5
BASE = 21_000
# Sizes at which an operation is measured, where it has them: siblings of a proof, and how many of how many sign.
LEVELS = (10, 16, 20, 24)
USUAL_LEVELS = 20
QUORUMS = {4: 3, 7: 5, 10: 7, 21: 14}
ECRECOVER = (1).to_bytes(20, "big")
# What is told apart within a transaction, in the order of the table.
PARTS = ("base", "calldata", "signatures", "calls", "storage", "events", "hashing", "refund")
_PART_OF = {0x20: "hashing", 0x54: "storage", 0x55: "storage", 0xF1: "calls", 0xFA: "calls"} | {
    0xA0 + topics: "events" for topics in range(5)
}


@dataclass(frozen=True)
class Measured:
    """One line of the table: gas a unit of an operation, and what it consists of."""

    operation: str
    parameters: str
    gas: int
    target: int | None = None
    parts: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The key in the snapshot."""
        return f"{self.operation}: {self.parameters}" if self.parameters else self.operation


def levels_of(everything: bool) -> tuple[int, ...]:
    """At which depths of proofs an operation is measured."""
    return LEVELS if everything else (USUAL_LEVELS,)


Operation = Callable[[bool], Iterator[Measured]]
"""Measures; told whether everything is wanted, or only what the tests compare."""


@cache
def compiled(name: str) -> Any:
    """The contract, compiled as it is measured."""
    return boa.load_partial(str(CONTRACTS / f"{name}.vy"), compiler_args={"evm_version": EVM})


@contextmanager
def chain() -> Iterator[None]:
    """A chain of its own, whose transactions are final."""
    with boa.swap_env(Env()), patch.object(markets, "source", compiled):
        yield


def transaction(contract: Any, call: Callable[[], Any]) -> tuple[int, dict[str, int]]:
    """The gas of a call to a contract as a transaction, and of what it consists; all else is computation."""
    next_transaction()
    with _metered() as parts:
        call()
    computation = contract._computation
    parts["base"] = BASE
    parts["calldata"] = sum(16 if byte else 4 for byte in computation.msg.data)
    spent = BASE + parts["calldata"] + int(computation.get_gas_used())
    refund = min(int(computation.get_gas_refund()), spent // 5)
    parts["refund"] = -refund
    return spent - refund, {part: parts[part] for part in PARTS}


def measure(
    operation: str, parameters: str, contract: Any, call: Callable[[], Any], target: int | None = None, units: int = 1
) -> Measured:
    """A line from one transaction, which did so many units of the operation."""
    gas, parts = transaction(contract, call)
    return Measured(operation, parameters, round(gas / units), target, {name: n // units for name, n in parts.items()})


def next_transaction() -> None:
    """Ends a transaction: storage becomes original, addresses and slots cold."""
    state = boa.env.evm.vm.state
    state.lock_changes()
    boa.env.reset_gas_used()
    for precompile in range(1, 10):
        state.mark_address_warm(precompile.to_bytes(20, "big"))


def snapshot() -> dict[str, int]:
    """Gas by name, as committed."""
    return dict(json.loads(SNAPSHOT.read_text()))


def faults(measured: list[Measured], known: dict[str, int]) -> list[str]:
    """What costs more than its target, or more than the snapshot and its tolerance, or is not in it."""
    found = []
    for one in measured:
        if one.target is not None and one.gas > one.target:
            found.append(f"{one.name}: {one.gas} gas, the target is {one.target}")
        before = known.get(one.name)
        if before is None:
            found.append(f"{one.name}: not in the snapshot")
        elif one.gas * 100 > before * (100 + TOLERANCE):
            found.append(f"{one.name}: {one.gas} gas, {before} in the snapshot")
    return found


@contextmanager
def _metered() -> Iterator[Counter[str]]:
    """Counts what the operations of a transaction spend, by part; calls without what the called code spends."""
    parts: Counter[str] = Counter()
    kind = boa.env.evm.vm.state.computation_class
    begin = kind.__init__

    def wrapped(part: str, run: Callable[[Any], None]) -> Callable[[Any], None]:
        def metered(computation: Any) -> None:
            before, children = computation._gas_meter.gas_remaining, len(computation.children)
            run(computation)
            spent = before - computation._gas_meter.gas_remaining
            for child in computation.children[children:]:
                spent -= child.get_gas_used()
                if child.msg.code_address == ECRECOVER:
                    parts["signatures"] += child.get_gas_used()
            parts[part] += spent

        return metered

    def counting(self: Any, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        for code, part in _PART_OF.items():
            self.opcodes[code] = wrapped(part, self.opcodes[code])

    with patch.object(kind, "__init__", counting):
        yield parts
