"""Pro rata: a short reading is divided in proportion to what was contracted."""

from __future__ import annotations

from collections.abc import Sequence


def allocate(meter_wh: int, quantities: Sequence[int]) -> list[int]:
    """`q` where the reading R covers the sum Q, else `floor(q·R/Q)`.

    The dust, fewer Wh than trades, stays with the utility: so each share is a function of q, R and Q alone, and
    anyone can check one leaf without its neighbours.
    """
    total = sum(quantities)
    if meter_wh >= total:
        return list(quantities)
    return [quantity * meter_wh // total for quantity in quantities]
