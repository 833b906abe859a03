"""Curtailments that a utility puts on the chain by itself, from files: `trade_id,contracted_wh,reason`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chain.errors import Reverted
from member.daemon import Daemon
from member.inbox import Inbox
from member.lines import Cells, FieldError, read_lines
from oracle.config import UtilityConfig
from settlement.hashing import Hash32
from settlement.trade import Curtailment
from settlement.units import WH_BOUND, time_text
from store.records import PlacedTrade

COLUMNS: Final = ("trade_id", "contracted_wh", "reason")
_LARGEST_REASON: Final = 255

_TRADE_ID: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Lowered:
    """What of a trade is to be left, Wh, and the number that says why."""

    trade_id: Hash32
    contracted_wh: int
    reason: int


def read_curtailments(path: Path) -> tuple[Lowered, ...]:
    """The curtailments of a file, in its order. Raises LineError and OSError like `member.lines.read_lines`."""
    return read_lines(path, COLUMNS, _lowered, lambda one: one.trade_id, "trade")


class CurtailingStage:
    """Curtails what the files say, as long as the utility may do so alone: until the slot begins."""

    name = "curtailment"

    def __init__(self, daemon: Daemon[UtilityConfig]) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._files = Inbox(daemon.config.curtailments, read_curtailments)

    def run(self) -> bool:
        """Signs and sends what is not on the chain yet."""
        self._files.scan()
        complaints = list(self._files.refused.values())
        did = False
        placed = dict(self._placed())
        for file, lines in self._files.contents.items():
            for lowered in lines:
                found = placed.get(lowered.trade_id)
                if found is None:
                    continue  # over, or not placed yet
                try:
                    did |= self._curtail(found, lowered)
                except Reverted as error:
                    complaints.append(f"{file}: trade 0x{lowered.trade_id.hex()} cannot be curtailed: {error.reason}")
        self._daemon.complains(self.name, complaints)
        return did

    def _placed(self) -> Iterator[tuple[Hash32, PlacedTrade]]:
        """The trades of cycles that are not over, by trade id."""
        for cycle in self._market.cycles():
            if self._market.now() < self._market.calendar.cycle_end(cycle):
                for placed in self._daemon.desk.placed(cycle):
                    yield placed.trade.trade_id, placed

    def _curtail(self, placed: PlacedTrade, lowered: Lowered) -> bool:
        cycle = self._market.calendar.cycle_of(placed.trade.slot_start)
        lowest = min(
            (one.contracted_wh for one in self._market.curtailments(cycle) if one.trade_digest == placed.digest),
            default=placed.trade.contracted_wh,
        )
        intent = f"curtail:{placed.digest.hex()}:{lowered.contracted_wh}"
        if lowest <= lowered.contracted_wh or self._market.sender.find(intent) is not None:
            return False
        curtailment = Curtailment(placed.number, placed.index, lowered.contracted_wh, lowered.reason)
        place = placed.place(self._daemon.desk.commitment(placed.number).commitment)
        signature = self._daemon.desk.sign(curtailment)
        self._market.submit(intent, "TradeBook", "curtail", curtailment, place, placed.trade, [signature], [])
        self._daemon.log.info(
            "trade curtailed",
            trade=f"0x{placed.digest.hex()}",
            contracted_wh=lowered.contracted_wh,
            slot=time_text(placed.trade.slot_start),
        )
        return True


def _lowered(cells: Cells) -> Lowered:
    if not _TRADE_ID.fullmatch(cells["trade_id"]):
        raise FieldError("trade_id", "must be 0x and 64 lower-case hex digits", cells["trade_id"])
    return Lowered(
        bytes.fromhex(cells["trade_id"][2:]),
        _number("contracted_wh", cells, WH_BOUND - 1),
        _number("reason", cells, _LARGEST_REASON),
    )


def _number(field: str, cells: Cells, largest: int) -> int:
    text = cells[field]
    if not _NUMBER.fullmatch(text) or int(text) > largest:
        raise FieldError(field, f"must be a whole number from 0 to {largest}", text)
    return int(text)
