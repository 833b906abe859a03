"""Pro rata: a short reading is divided in proportion to what was contracted."""

from __future__ import annotations

from collections.abc import Sequence


def share(meter_wh: int, quantity: int, before: int, total: int) -> int:  # noqa: ARG001 - one signature for all rules
    """`q` where the reading R covers the sum Q, else `floor(q·R/Q)`; the place in line does not matter.

    The dust, fewer Wh than trades, stays with the utility: so a share is a function of q, R and Q alone, and anyone
    can check one leaf without its neighbours.
    """
    return quantity if meter_wh >= total else quantity * meter_wh // total


def allocate(meter_wh: int, quantities: Sequence[int]) -> list[int]:
    """The shares of all trades of a reading, Wh, in the order of places."""
    total = sum(quantities)
    return [share(meter_wh, quantity, 0, total) for quantity in quantities]
