"""Revenue-flow templates: who pays whom by which formula. Data on chain, named, versioned, addressed by its hash.

Every flow is a transfer between two roles, so a template nets to zero by construction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from types import MappingProxyType

from settlement.errors import SettlementError
from settlement.formula.compiler import Binding, compile_formula
from settlement.formula.decompiler import decompile
from settlement.formula.program import MAX_RATES, check_program
from settlement.hashing import Hash32, abi_encode, keccak256

MAX_FLOWS = 6
MAX_NAME = 64
MAX_RATE_NAME = 32

_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)


class Role(IntEnum):
    """What a member does in a trade; 0 is none and stands in no template."""

    BUYER = 1
    SELLER = 2
    GRID_OPERATOR = 3
    BUYER_UTILITY = 4
    SELLER_UTILITY = 5
    MARKET_AGENT = 6


@dataclass(frozen=True, slots=True)
class Flow:
    """`payer` pays `payee` what `program` gives; `text` is the formula it was compiled from, for people."""

    payer: Role
    payee: Role
    program: bytes
    text: str = field(default="", compare=False)


@dataclass(frozen=True)
class Template:
    """A named, versioned list of flows over named rate inputs.

    Raises SettlementError (ProgramError for a program) for what registration refuses.
    """

    name: str
    version: int
    rate_names: tuple[str, ...]
    flows: tuple[Flow, ...]

    def __post_init__(self) -> None:
        _check_name("name", self.name, MAX_NAME)
        if not 1 <= self.version < 1 << 32:
            raise SettlementError("version", self.version, "must be from 1 and fit uint32")
        if len(self.rate_names) > MAX_RATES:
            raise SettlementError("rate_names", self.rate_names, f"at most {MAX_RATES} rates")
        for rate_name in self.rate_names:
            _check_name("rate_names", rate_name, MAX_RATE_NAME)
        if len(set(self.rate_names)) < len(self.rate_names):
            raise SettlementError("rate_names", self.rate_names, "names must differ")
        if not 1 <= len(self.flows) <= MAX_FLOWS:
            raise SettlementError("flows", len(self.flows), f"from 1 to {MAX_FLOWS} flows")
        for flow in self.flows:
            if flow.payer == flow.payee:
                raise SettlementError("flows", flow.payer, "payer and payee are one role")
            check_program(flow.program, len(self.rate_names))

    @property
    def title(self) -> str:
        """Name and version as displayed: `p2p.fixed-price.settled.v1`."""
        return f"{self.name}.v{self.version}"

    @cached_property
    def template_id(self) -> Hash32:
        """The keccak256 of `abi.encode(name, version, rate_names, (payer, payee, program)[])`."""
        return keccak256(
            abi_encode(
                ("string", "uint32", "string[]", "(uint8,uint8,bytes)[]"),
                (
                    self.name,
                    self.version,
                    self.rate_names,
                    tuple((flow.payer, flow.payee, flow.program) for flow in self.flows),
                ),
            )
        )

    @cached_property
    def roles(self) -> frozenset[Role]:
        """The roles that a flow names as payer or payee."""
        return frozenset(role for flow in self.flows for role in (flow.payer, flow.payee))

    def texts(self) -> tuple[str, ...]:
        """The formulas as text, printed from the programs. Raises SettlementError where one has no text."""
        binding = Binding.plain(self.rate_names)
        return tuple(decompile(flow.program, binding) for flow in self.flows)


def template_from_text(
    name: str, version: int, rate_names: Sequence[str], flows: Sequence[tuple[Role, Role, str]]
) -> Template:
    """A template compiled from formulas in our own names (`Binding.plain`). Raises FormulaError, SettlementError."""
    binding = Binding.plain(rate_names)
    compiled = tuple(Flow(payer, payee, compile_formula(text, binding), text) for payer, payee, text in flows)
    return Template(name, version, tuple(rate_names), compiled)


def _check_name(field_name: str, name: str, longest: int) -> None:
    if not _PRINTABLE.fullmatch(name):
        raise SettlementError(field_name, name, "must be printable ASCII without spaces")
    if len(name) > longest:
        raise SettlementError(field_name, name, f"longer than {longest} characters")


FIXED_PRICE_CONTRACTED = template_from_text(
    "p2p.fixed-price.contracted",
    1,
    ("price", "wheeling"),
    (
        (Role.BUYER, Role.SELLER, "contracted × price"),
        (Role.BUYER, Role.GRID_OPERATOR, "contracted × wheeling"),
    ),
)

FIXED_PRICE_SETTLED = template_from_text(
    "p2p.fixed-price.settled",
    1,
    ("price", "wheeling"),
    (
        (Role.BUYER, Role.SELLER, "settled × price"),
        (Role.BUYER, Role.GRID_OPERATOR, "settled × wheeling"),
    ),
)

INTER_UTILITY = template_from_text(
    "p2p.inter-utility",
    1,
    ("price", "buyerWheeling", "sellerWheeling", "penalty"),
    (
        (Role.BUYER, Role.SELLER, "settled × price"),
        (Role.BUYER, Role.BUYER_UTILITY, "settled × buyerWheeling"),
        (
            Role.SELLER,
            Role.SELLER_UTILITY,
            "settled × sellerWheeling + max(0, contracted − settled) × penalty",
        ),
    ),
)

DEVIATION = template_from_text(
    "p2p.deviation",
    1,
    ("price", "exportRate", "importRate"),
    (
        (Role.BUYER, Role.SELLER, "contracted × price"),
        (Role.BUYER_UTILITY, Role.BUYER, "max(0, contracted − buyerAllocated) × exportRate"),
        (Role.SELLER, Role.SELLER_UTILITY, "max(0, contracted − sellerAllocated) × importRate"),
    ),
)

MARKET = template_from_text(
    "p2p.market",
    1,
    ("clearingPrice", "fee", "wheeling"),
    (
        (Role.BUYER, Role.MARKET_AGENT, "settled × (clearingPrice + fee)"),
        (Role.MARKET_AGENT, Role.SELLER, "settled × clearingPrice"),
        (Role.MARKET_AGENT, Role.GRID_OPERATOR, "settled × wheeling"),
    ),
)

SHIPPED = (FIXED_PRICE_CONTRACTED, FIXED_PRICE_SETTLED, INTER_UTILITY, DEVIATION, MARKET)
SHIPPED_BY_ID: Mapping[Hash32, Template] = MappingProxyType({one.template_id: one for one in SHIPPED})
DEFAULT = FIXED_PRICE_SETTLED
