"""Curtailments as a utility's operator puts them into its inbox: `trade_id,contracted_wh,reason`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from demo.calendar import slot
from demo.files import write_lines
from demo.homes import Home
from demo.market import PlannedTrade
from demo.members import Member, Members
from demo.orders import item_id, parties, transaction_id
from oracle.curtailing import COLUMNS
from settlement.identity import trade_id

REASON: Final = 1


def write_curtailment(
    members: Members, homes: Sequence[Home], utility: Member, plan: PlannedTrade, number: int, wh: int
) -> None:
    """Tells a utility to leave `wh` of a match, which is number `number` of its day."""
    buyer, seller = parties(members, homes, plan)
    starts = slot(plan.day, plan.hour)
    trade = trade_id(buyer.id, seller.id, transaction_id(plan.day, number), item_id(plan), starts)
    file = utility.folder / "inbox" / "curtailments" / f"day-{plan.day}-{number}.csv"
    write_lines(file, COLUMNS, [(f"0x{trade.hex()}", str(wh), str(REASON))])
