"""From a settled trade to its flows: who owes whom how much, and the leaves that rows are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from settlement import preimages
from settlement.errors import SettlementError
from settlement.formula.program import Quantities, evaluate
from settlement.formula.templates import Role, Template
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade
from settlement.trade import FlowLeaf, MemberFlow, Trade

Pair = tuple[Hash32, Hash32]
"""An ordered pair of members: (payer, payee)."""


@dataclass(frozen=True, slots=True)
class PairLeaf:
    """A flow leaf and the pair whose row it stands in."""

    payer: Hash32
    payee: Hash32
    leaf: FlowLeaf

    @property
    def pair(self) -> Pair:
        """The ordered pair (payer, payee)."""
        return self.payer, self.payee


def member_of(trade: Trade, role: Role) -> Hash32:
    """The member that fills a role of the trade; zero where nobody does."""
    return {
        Role.BUYER: trade.buyer_platform,
        Role.SELLER: trade.seller_platform,
        Role.GRID_OPERATOR: trade.grid_operator,
        Role.BUYER_UTILITY: trade.buyer_utility,
        Role.SELLER_UTILITY: trade.seller_utility,
        Role.MARKET_AGENT: trade.market_agent,
    }[role]


def member_flows(trade: Trade, template: Template, quantities: Quantities) -> tuple[MemberFlow, ...]:
    """All flows of a trade by flow number, in base units; amounts may be 0, payer and payee may be one member.

    Raises SettlementError where the template is not the trade's or the number of rates differs.
    """
    if template.template_id != trade.template:
        raise SettlementError("template", template.title, "is not the trade's")
    if len(trade.rates) != len(template.rate_names):
        raise SettlementError("rates", trade.rates, f"expected {len(template.rate_names)} rates")
    return tuple(
        MemberFlow(
            member_of(trade, flow.payer),
            member_of(trade, flow.payee),
            evaluate(flow.program, quantities, trade.rates),
        )
        for flow in template.flows
    )


def flow_leaves(placed: PlacedTrade, template: Template, quantities: Quantities, cycle: int) -> Iterator[PairLeaf]:
    """The leaves of a settled trade: of each flow between two members with an amount above 0."""
    for number, flow in enumerate(member_flows(placed.trade, template, quantities)):
        if flow.payer != flow.payee and flow.amount:
            salt = preimages.flow_salt(placed.trade.salt, cycle, number)
            leaf = FlowLeaf(placed.digest, number, quantities.settled, flow.amount, salt)
            yield PairLeaf(flow.payer, flow.payee, leaf)


def waiting_amounts(placed: PlacedTrade, template: Template) -> Iterator[tuple[Pair, int]]:
    """What each flow of a waiting trade may come to: the larger amount at 0 and at the contracted Wh."""
    contracted = placed.contracted_wh
    at_nothing = member_flows(placed.trade, template, Quantities(contracted, 0, 0, 0))
    at_all = member_flows(placed.trade, template, Quantities(contracted, contracted, contracted, contracted))
    for low, high in zip(at_nothing, at_all, strict=True):
        if low.payer != low.payee:
            yield (low.payer, low.payee), max(low.amount, high.amount)
