"""The gas table: what each kind of operation cost in the demo, beside its target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from statistics import median_low
from typing import Any

from demo.calls import Call

Operation = tuple[str, int]
"""How the table calls a call, and by how many units (rows, leaves) its gas is divided."""

# Of a call, row or leaf; only of operations that the targets are set for.
TARGETS: Mapping[str, int] = {
    "commit a batch, 2 signatures, 0 locks": 105_000,
    "post an allocation": 80_000,
    "attest a row, 3 of 4": 130_000,
    "publish leaves, a leaf": 3_900,
    "strike a wrong leaf": 260_000,
    "void a group": 150_000,
}

_PLAIN: Mapping[str, str] = {
    "acknowledge": "acknowledge a payment",
    "apply_attested": "apply an attested row",
    "apply_claim": "apply a claim",
    "approve": "approve",
    "claim": "claim a trade",
    "curtail": "curtail a trade",
    "deposit": "deposit",
    "fall_due": "fall due",
    "mint": "mint",
    "notify": "give notice of a payment",
    "open_window": "open a window",
    "post": "post an allocation",
    "publish_empty": "publish a row without leaves",
    "seal": "seal a run",
    "strike_wrong_leaf": "strike a wrong leaf",
    "void_by_rule": "void a group",
    "void_by_trade": "void a group",
    "withdraw": "withdraw",
}


def gas_table(calls: Iterable[Call], attestors: int) -> list[dict[str, Any]]:
    """Count, median, maximum and target of each operation, by name; `attestors` is their number.

    What the council does is no part of it.
    """
    used: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        operation = _operation(call, attestors)
        if operation is not None:
            name, units = operation
            used[name].append(call.gas_used // units)
    return [
        {
            "operation": name,
            "count": len(each),
            "median": median_low(each),
            "max": max(each),
            "target": TARGETS.get(name),
        }
        for name, each in sorted(used.items())
    ]


def _operation(call: Call, attestors: int) -> Operation | None:
    made = _COUNTED.get(call.function)
    if made is not None:
        return made(call, attestors)
    name = _PLAIN.get(call.function)
    return None if name is None else (name, 1)


def _batch(call: Call, _: int) -> Operation:
    return f"commit a batch, {len(call['signatures'])} signatures, {len(call['batch']['locks'])} locks", 1


def _registration(call: Call, _: int) -> Operation:
    return f"register a trade, {len(call['signatures'])} signatures, {len(call['locks'])} lock", 1


def _attestation(call: Call, attestors: int) -> Operation:
    return f"attest a row, {call['mask'].bit_count()} of {attestors}", 1


def _publication(call: Call, _: int) -> Operation:
    return "publish leaves, a leaf", len(call["leaves"])


def _settlement(call: Call, _: int) -> Operation:
    return "settle agreed rows, a row", len(call["rows"])


_COUNTED: Mapping[str, Callable[[Call, int], Operation]] = {
    "attest": _attestation,
    "commit_batch": _batch,
    "publish": _publication,
    "register_trade": _registration,
    "settle": _settlement,
}
