"""Which template governs a trade: the one whose flows are those that the order's message states as `revenueFlows`.

Two flows are equal where roles are and formulas compile to the same program, whatever spaces, parentheses and
multiplication signs they are written with; their order does not matter. Nothing is guessed: formulas of equal value but
another form (`price × settled` for `settled × price`) are another template's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from settlement.errors import FormulaError, SettlementError
from settlement.formula.compiler import Binding, compile_formula
from settlement.formula.templates import DEFAULT, MAX_FLOWS, Role, Template

FIELD = "revenueFlows"

# As energy contracts name the roles. A PROSUMER is buyer or seller as it turns out, which no template expresses.
ROLES: Mapping[str, Role] = MappingProxyType(
    {**{role.name: role for role in Role}, "MARKET_CLEARING_AGENT": Role.MARKET_AGENT}
)


@dataclass(frozen=True, slots=True)
class StatedFlow:
    """A flow as a message states it; `formula` is text that nobody has judged yet."""

    payer: Role
    payee: Role
    formula: str


def stated_flows(found: Any) -> tuple[StatedFlow, ...]:
    """The flows in a message's `revenueFlows` object: `{"flows": [{"from", "to", "formula", …}], "netZero": true}`.

    Raises SettlementError with the path of what does not fit.
    """
    flows = found.get("flows") if isinstance(found, Mapping) else None
    if not isinstance(flows, list) or not 1 <= len(flows) <= MAX_FLOWS:
        raise SettlementError(f"{FIELD}.flows", flows, f"must be a list of 1 to {MAX_FLOWS} flows")
    if found.get("netZero", True) is not True:
        raise SettlementError(f"{FIELD}.netZero", found["netZero"], "flows between roles always net to zero")
    return tuple(_stated(flow, f"{FIELD}.flows[{place}]") for place, flow in enumerate(flows))


def governing_template(
    stated: Sequence[StatedFlow] | None, templates: Iterable[Template], default: Template = DEFAULT
) -> Template:
    """The template with these flows; the market's default for a message that states none.

    Raises SettlementError where no template has them; for a formula that none can read (of those between the same
    roles, if there are any), with the place at which the best attempt stopped.
    """
    if stated is None:
        return default
    known = tuple(templates)
    pairs = sorted((flow.payer, flow.payee) for flow in stated)
    between = [one for one in known if sorted((flow.payer, flow.payee) for flow in one.flows) == pairs]
    stops: list[tuple[int, FormulaError]] = []
    is_readable = False
    for template in between or known:
        try:
            programs = _programs(stated, Binding.energy_contract(template.rate_names))
        except _Stopped as stopped:
            stops.append((stopped.place, stopped.error))
            continue
        if programs == sorted((flow.payer, flow.payee, flow.program) for flow in template.flows):
            return template
        is_readable = True
    if is_readable or not stops:
        shown = [f"{flow.payer.name}→{flow.payee.name}: {flow.formula}" for flow in stated]
        raise SettlementError(FIELD, shown, "no template of the market has these flows")
    place, error = max(stops, key=lambda stop: (stop[0], stop[1].position))
    where = f"{FIELD}.flows[{place}].formula"
    raise SettlementError(where, stated[place].formula, f"column {error.position}: {error.message}")


class _Stopped(Exception):
    def __init__(self, place: int, error: FormulaError) -> None:
        self.place = place
        self.error = error


def _programs(stated: Sequence[StatedFlow], binding: Binding) -> list[tuple[Role, Role, bytes]]:
    """The flows compiled, in an order of their own. Raises _Stopped at the first that the binding cannot read."""
    found = []
    for place, flow in enumerate(stated):
        try:
            found.append((flow.payer, flow.payee, compile_formula(flow.formula, binding)))
        except FormulaError as error:
            raise _Stopped(place, error) from error
    return sorted(found)


def _stated(flow: Any, where: str) -> StatedFlow:
    if not isinstance(flow, Mapping):
        raise SettlementError(where, flow, "must be an object")
    formula = flow.get("formula")
    if not isinstance(formula, str):
        raise SettlementError(f"{where}.formula", formula, "must be text")
    return StatedFlow(_role(flow, "from", where), _role(flow, "to", where), formula)


def _role(flow: Mapping[str, Any], key: str, where: str) -> Role:
    name = flow.get(key)
    role = ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise SettlementError(f"{where}.{key}", name, f"must be one of {', '.join(ROLES)}")
    return role
