"""Allocation rules: how a meter's reading is divided among its trades in a slot. The market chooses one by number.

Every rule has one signature, `allocate(meter_wh, quantities) -> allocated`: Wh in, Wh out, in the order of places
(commitment, index). No rule gives a trade more than its quantity, nor all trades more than the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from settlement.allocation import fifo, pro_rata
from settlement.config import FIFO, PRO_RATA
from settlement.errors import SettlementError

Rule = Callable[[int, Sequence[int]], list[int]]

RULES: Mapping[int, Rule] = MappingProxyType({PRO_RATA: pro_rata.allocate, FIFO: fifo.allocate})


def rule(number: int) -> Rule:
    """The rule of a market by its number. Raises SettlementError for a number that names none."""
    try:
        return RULES[number]
    except KeyError:
        raise SettlementError("allocation_rule", number, "names no allocation rule") from None
