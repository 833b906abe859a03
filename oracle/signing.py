"""What a utility looks at before it signs a trade: its meters, its customers' limits, its tariff."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from member.cosigning import Fault, Terms
from member.desk import Desk
from oracle.metering import Meter
from settlement.flows import member_of
from settlement.formula.program import Op, operations
from settlement.formula.templates import Template
from settlement.hashing import Hash32
from settlement.placed import Side
from settlement.trade import Lock, Trade
from settlement.units import kwh_text
from store.records import OpenTrade


def side_utility(trade: Trade, side: Side) -> Hash32:
    """The utility that allocates a side of a trade."""
    return trade.buyer_utility if side is Side.BUYER else trade.seller_utility


def side_meter(trade: Trade, side: Side) -> Hash32:
    """The meter whose energy a side uses."""
    return trade.buyer_meter if side is Side.BUYER else trade.seller_meter


@dataclass(frozen=True)
class UtilityRules:
    """A utility's rules for signing; its signature is the cap on what its customer may sell and buy.

    `meters` are its own by id, `pseudonyms` gives by cycle what they are called there (pseudonym → id), `left` what is
    left of a trade that it signed (contracted, curtailed or never committed, Wh), `tariff` the least rates, by name
    and in base units, that it takes where it is the one who is paid by them.
    """

    utility: Hash32
    meters: Mapping[str, Meter]
    pseudonyms: Callable[[int], Mapping[Hash32, str]]
    left: Callable[[OpenTrade, int], int]
    tariff: Mapping[str, int]

    def fault(self, trade: Trade, signed: Sequence[OpenTrade], terms: Terms) -> Fault | None:
        """Why this utility does not sign, or None."""
        for side in Side:
            if side_utility(trade, side) == self.utility:
                fault = self._side_fault(trade, side, signed, terms)
                if fault is not None:
                    return fault
        return tariff_fault(trade, terms.templates[trade.template], self.utility, self.tariff)

    def _side_fault(self, trade: Trade, side: Side, signed: Sequence[OpenTrade], terms: Terms) -> Fault | None:
        pseudonym = side_meter(trade, side)
        meter_id = self.pseudonyms(terms.calendar.cycle_of(trade.slot_start)).get(pseudonym)
        if meter_id is None:
            return Fault(f"{side.name.lower()}_meter", "no meter of this utility is called so in this cycle")
        limit = self.meters[meter_id].limit(side)
        if limit is None:
            return None
        taken = sum(
            self.left(other, terms.now)
            for other in signed
            if side_utility(other.trade, side) == self.utility
            and (side_meter(other.trade, side), other.trade.slot_start) == (pseudonym, trade.slot_start)
        )
        if trade.contracted_wh <= limit - taken:
            return None
        free = kwh_text(max(0, limit - taken))
        return Fault("contracted_wh", f"{free} kWh are left of the meter's {kwh_text(limit)} kWh in this slot")


class Remaining:
    """What trades that a utility signed take of their meters' limits, as the chain has it now."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def of(self, trade: OpenTrade, now: int) -> int:
        """What a signed trade takes, Wh."""
        placed = {one.digest for one in self._desk.placed(trade.cycle)}
        curtailed = (
            one.contracted_wh for one in self._desk.market.curtailments(trade.cycle) if one.trade_digest == trade.digest
        )
        return left_of(trade, min(curtailed, default=None), trade.digest in placed, now)


class NoLocks:
    """A utility locks no money for trades."""

    def locks_fault(self, trade: Trade, locks: tuple[Lock, ...], terms: Terms) -> Fault | None:
        """It signs at most, where it is a platform too, that there are none."""
        return Fault("locks", "this utility locks nothing") if locks else None


def left_of(trade: OpenTrade, curtailed_wh: int | None, is_placed: bool, now: int) -> int:
    """What a signed trade takes of its meters' limits, Wh: nothing once it can no longer be committed."""
    if not is_placed and trade.trade.valid_until < now:
        return 0
    return trade.trade.contracted_wh if curtailed_wh is None else min(curtailed_wh, trade.trade.contracted_wh)


def tariff_fault(trade: Trade, template: Template, member: Hash32, tariff: Mapping[str, int]) -> Fault | None:
    """Whether a rate by which `member` is paid is below its tariff."""
    for flow in template.flows:
        if member_of(trade, flow.payee) != member:
            continue
        for step in operations(flow.program):
            if step.op is Op.RATE and trade.rates[step.value] < tariff.get(template.rate_names[step.value], 0):
                return Fault("rates", f"{template.rate_names[step.value]} is below the tariff")
    return None
