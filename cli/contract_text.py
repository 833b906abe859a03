"""What `clearwatt contract` prints: templates and trades as lines for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chain.agreements import TradeContract
from chain.deployment import FILE, DeploymentRecord
from chain.evidence import ChainCommitment
from cli.exits import BadInput
from settlement.config import Config
from settlement.documents import document
from settlement.errors import SettlementError
from settlement.flows import member_flows, member_of
from settlement.formula.compiler import FLAT_SUFFIX, Binding, input_name
from settlement.formula.decompiler import decompile
from settlement.formula.program import Quantities
from settlement.formula.templates import Role, Template
from settlement.hashing import Hash32
from settlement.trade import Trade
from settlement.units import kwh_text, money_text, time_text
from settlement.validity import KnownTemplate
from store.errors import FolderError
from store.folders import config_from_document

Known = tuple[Hash32, KnownTemplate]
"""A template and the id that it is registered under."""


@dataclass(frozen=True)
class Vocabulary:
    """What a market calls its money and its members, and the words for its contracts."""

    names: Mapping[Hash32, str]
    config: Config

    @classmethod
    def of(cls, record: DeploymentRecord) -> Vocabulary:
        """As the market's record has it."""
        try:
            config = config_from_document(FILE, record.config)
        except FolderError as error:
            raise BadInput(str(error)) from error
        return cls({member["id"]: name for name, member in record.members.items()}, config)

    def document(self, found: list[Known] | TradeContract) -> dict[str, Any]:
        """The JSON form."""
        if isinstance(found, list):
            return {
                "templates": [
                    _template_document(known.template) | {"registered_at": time_text(known.registered_at)}
                    for _, known in found
                ]
            }
        amounts = _amounts(found)
        made: dict[str, Any] = {
            "digest": "0x" + found.digest.hex(),
            "trade": document(found.trade),
            "contracted_wh": found.contracted_wh,
            "place": None,
            "template": None if found.template is None else _template_document(found.template),
            "roles": {
                role.name: {"member": "0x" + member.hex(), "subscriber": self.names.get(member)}
                for role, member in _roles(found.trade)
            },
        }
        if amounts is not None:
            for flow, amount in zip(made["template"]["revenueFlows"]["flows"], amounts, strict=True):
                flow["all_delivered"] = str(amount)
        if found.commitment is not None:
            made["place"] = {
                "number": found.commitment.number,
                "index": found.index,
                "lane": _lane(found.commitment),
                "cycle": found.commitment.record.cycle,
                "committed_at": time_text(found.commitment.record.committed_at),
                "valid": found.fault is None,
                "fault": found.fault,
                "locks": document(found.commitment.locks),
            }
        return made

    def lines(self, found: list[Known] | TradeContract) -> Iterator[str]:
        """The form for people."""
        if isinstance(found, list):
            for place, (template_id, known) in enumerate(found):
                if place:
                    yield ""
                yield f"template  {known.template.title}"
                yield f"  id          0x{template_id.hex()}"
                yield f"  registered  {time_text(known.registered_at)}"
                yield from _rate_lines(known.template, None, self._currency)
                yield from self._flow_lines(known.template, None)
            if not found:
                yield "no template is registered"
            return
        yield from self._trade_lines(found)
        if found.template is None:
            yield f"template  0x{found.trade.template.hex()}"
            yield "  is not registered here: without it nobody can say what this trade pays"
            return
        yield f"template  {found.template.title}"
        yield from _rate_lines(found.template, found.trade.rates, self._currency)
        yield from self._flow_lines(found.template, _amounts(found))

    def _trade_lines(self, found: TradeContract) -> Iterator[str]:
        trade = found.trade
        yield f"trade     0x{found.digest.hex()}"
        if found.commitment is None:
            yield "  place       not known: it is not registered, and the file has no place in a batch"
        else:
            record = found.commitment.record
            at = f"{_lane(found.commitment)} {time_text(record.committed_at)}, cycle {record.cycle}"
            yield f"  place       {found.commitment.number}/{found.index}, {at}"
            yield f"  valid       {'yes' if found.fault is None else f'no: {found.fault}'}"
        yield f"  slot        {time_text(trade.slot_start)} to {time_text(trade.slot_end)}"
        was = (
            f", curtailed from {kwh_text(trade.contracted_wh)} kWh" if found.contracted_wh < trade.contracted_wh else ""
        )
        yield f"  contracted  {kwh_text(found.contracted_wh)} kWh{was}"
        for lock in () if found.commitment is None else found.commitment.locks:
            pair = f"{self._name(lock.payer)} → {self._name(lock.payee)}"
            whose = "locked    " if found.commitment and found.commitment.trade else "batch lock"
            yield f"  {whose}  {money_text(lock.amount)} {self._currency}, {pair}"
        yield "roles"
        for role, member in _roles(trade):
            yield f"  {role.name:<14}  {self._name(member)}"

    def _flow_lines(self, template: Template, amounts: tuple[int, ...] | None) -> Iterator[str]:
        yield "flows"
        for number, flow in enumerate(_flows(template)):
            yield f"  {flow['from']} → {flow['to']}"
            yield f"    {flow['formula'] or 'no formula text: ' + flow['program']}"
            if amounts is not None:
                yield f"    {money_text(amounts[number])} {self._currency} if all of it is delivered"

    def _name(self, member: Hash32) -> str:
        return self.names.get(member) or "0x" + member.hex()

    @property
    def _currency(self) -> str:
        return self.config.currency.rstrip(b"\0").decode("ascii", "replace")


def _lane(commitment: ChainCommitment) -> str:
    return "batched" if commitment.trade is None else "registered"


def _roles(trade: Trade) -> Iterator[tuple[Role, Hash32]]:
    return ((role, member_of(trade, role)) for role in Role if any(member_of(trade, role)))


def _rate_lines(template: Template, rates: tuple[int, ...] | None, currency: str) -> Iterator[str]:
    yield "rates"
    for place, name in enumerate(template.rate_names):
        figure = money_text(rates[place]) + " " if rates is not None and place < len(rates) else ""
        per = "" if name.endswith(FLAT_SUFFIX) else " per kWh"
        yield f"  {input_name(name):<14}  {figure}{currency}{per}"
    if rates is not None and len(rates) != len(template.rate_names):
        yield f"  but the trade has {len(rates)}, not {len(template.rate_names)}"


def _amounts(found: TradeContract) -> tuple[int, ...] | None:
    """What each flow comes to if both sides' meters cover all that is contracted; None where that has no answer."""
    if found.template is None:
        return None
    wh = found.contracted_wh
    try:
        return tuple(flow.amount for flow in member_flows(found.trade, found.template, Quantities(wh, wh, wh, wh)))
    except SettlementError:
        return None


def _template_document(template: Template) -> dict[str, Any]:
    return {
        "name": template.name,
        "version": template.version,
        "id": "0x" + template.template_id.hex(),
        "rates": list(template.rate_names),
        # As energy contracts in messages carry it.
        "revenueFlows": {"flows": _flows(template), "netZero": True},
    }


def _flows(template: Template) -> list[dict[str, Any]]:
    binding = Binding.energy_contract(template.rate_names)
    return [
        {
            "from": flow.payer.name,
            "to": flow.payee.name,
            "formula": _text(flow.program, binding),
            "program": "0x" + flow.program.hex(),
        }
        for flow in template.flows
    ]


def _text(program: bytes, binding: Binding) -> str | None:
    """The formula; None for the rare program that no text compiles to."""
    try:
        return decompile(program, binding)
    except SettlementError:
        return None
