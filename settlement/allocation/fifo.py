"""First in, first out: a reading serves the trades in the order in which they were committed."""

from __future__ import annotations

from collections.abc import Sequence


def allocate(meter_wh: int, quantities: Sequence[int]) -> list[int]:
    """`clamp(R − before, 0, q)`, where `before` is what the earlier places contracted."""
    allocated = []
    before = 0
    for quantity in quantities:
        allocated.append(min(max(meter_wh - before, 0), quantity))
        before += quantity
    return allocated
