"""First in, first out: a reading serves the trades in the order in which they were committed."""

from __future__ import annotations

from collections.abc import Sequence


def share(meter_wh: int, quantity: int, before: int, total: int) -> int:  # noqa: ARG001 - one signature for all rules
    """`clamp(R − before, 0, q)`, where `before` is what the earlier places contracted; the sum does not matter."""
    return min(max(meter_wh - before, 0), quantity)


def allocate(meter_wh: int, quantities: Sequence[int]) -> list[int]:
    """The shares of all trades of a reading, Wh, in the order of places."""
    allocated = []
    before = 0
    for quantity in quantities:
        allocated.append(share(meter_wh, quantity, before, 0))
        before += quantity
    return allocated
