"""Allocation rules: how a meter's reading is divided among its trades in a slot. The market chooses one by number.

Every rule has one signature, `allocate(meter_wh, quantities) -> allocated`: Wh in, Wh out, in the order of places
(commitment, index). No rule gives a trade more than its quantity, nor all trades more than the reading. A rule's
`share(meter_wh, quantity, before, total)` is what one trade gets, from what its leaf says: a leaf is judged alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from settlement.allocation import fifo, pro_rata
from settlement.config import FIFO, PRO_RATA
from settlement.errors import SettlementError

Rule = Callable[[int, Sequence[int]], list[int]]
Share = Callable[[int, int, int, int], int]

RULES: Mapping[int, Rule] = MappingProxyType({PRO_RATA: pro_rata.allocate, FIFO: fifo.allocate})
SHARES: Mapping[int, Share] = MappingProxyType({PRO_RATA: pro_rata.share, FIFO: fifo.share})


def rule(number: int) -> Rule:
    """The rule of a market by its number. Raises SettlementError for a number that names none."""
    return RULES[_known(number)]


def share_rule(number: int) -> Share:
    """The rule of a market for a single leaf. Raises SettlementError for a number that names none."""
    return SHARES[_known(number)]


def _known(number: int) -> int:
    if number not in RULES:
        raise SettlementError("allocation_rule", number, "names no allocation rule")
    return number
