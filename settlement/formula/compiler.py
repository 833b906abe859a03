"""Formula text to program: the grammar that energy contracts use, typed, anything else refused with its position.

    expression = product { ("+" | "-" | "−") product }
    product    = factor { ("×" | "*") factor }
    factor     = ("-" | "−") factor | number | path | function "(" arguments ")" | "(" expression ")"
    function   = "abs" (one argument) | "min" | "max" (two or more)

A path is dotted, its segments may contain hyphens, and it may be indexed (`clearedPower[PROSUMER.era]`). What a path
means is said by a `Binding`; a path that it does not know is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ParamSpec

from settlement.errors import FormulaError, ProgramError, SettlementError
from settlement.formula import terms
from settlement.formula.lexer import Kind, Token, tokens
from settlement.formula.program import MAX_RATES, MAX_SCALE, QUANTITIES, Op, check_program, encode
from settlement.formula.terms import Term, TermError, Type

FLAT_SUFFIX = "#FLAT"
# Above what any program needs: 31 operations on a path, each in parentheses, 15 of them negations within more.
MAX_NESTING = 64
FUNCTIONS = ("abs", "min", "max")

# The names that our own formulas give the quantities.
QUANTITY_NAMES: Mapping[str, Op] = MappingProxyType(
    {
        "contracted": Op.CONTRACTED,
        "settled": Op.SETTLED,
        "buyerAllocated": Op.BUYER_ALLOCATED,
        "sellerAllocated": Op.SELLER_ALLOCATED,
    }
)

# The paths of energy contracts (EnergyContractP2PTrade), where one path has one meaning whatever the template.
_CONTRACT_QUANTITIES = {
    "roles.BUYER.roleInputs.contractedQuantity": Op.CONTRACTED,
    "contractedQuantity": Op.CONTRACTED,
    "deliveredQuantity": Op.SETTLED,
}
_CONTRACT_RATES = {
    "roles.SELLER.roleInputs.pricePerKWh": "price",
    "roles.GRID_OPERATOR.roleInputs.wheelingCharges": "wheeling",
    "roles.MARKET_CLEARING_AGENT.roleInputs.clearingPrice": "clearingPrice",
    "roles.MARKET_CLEARING_AGENT.roleInputs.marketMakingFee": "fee",
}


def input_name(rate_name: str) -> str:
    """A rate input's name as formulas write it: `wheeling#FLAT` is written `wheeling`."""
    return rate_name.removesuffix(FLAT_SUFFIX)


@dataclass(frozen=True, slots=True)
class Binding:
    """What the names of a formula mean, and which name is preferred where several mean the same: the first.

    `rate_names` are the template's rate inputs in order, those ending in `#FLAT` amounts of money as they stand.
    `quantities` maps paths to quantities, `rates` paths to rate names. Raises SettlementError for paths bound to
    quantities or rates that do not exist.
    """

    rate_names: tuple[str, ...]
    quantities: Mapping[str, Op]
    rates: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.rate_names) > MAX_RATES:
            raise SettlementError("rate_names", self.rate_names, f"at most {MAX_RATES} rates")
        for path, op in self.quantities.items():
            if op not in QUANTITIES:
                raise SettlementError("quantities", path, "bound to no quantity")
        for path, name in self.rates.items():
            if name not in self.rate_names:
                raise SettlementError("rates", path, f"bound to unknown rate {name}")

    @classmethod
    def plain(cls, rate_names: Sequence[str]) -> Binding:
        """Our own short names: `settled × price`."""
        return cls(tuple(rate_names), QUANTITY_NAMES, {input_name(name): name for name in rate_names})

    @classmethod
    def energy_contract(cls, rate_names: Sequence[str]) -> Binding:
        """The dotted paths of energy contracts, as far as the template has such rates, and our own names."""
        by_input = {input_name(name): name for name in rate_names}
        known = {path: by_input[name] for path, name in _CONTRACT_RATES.items() if name in by_input}
        return cls(tuple(rate_names), {**_CONTRACT_QUANTITIES, **QUANTITY_NAMES}, {**known, **by_input})

    def resolve(self, path: str) -> Term | None:
        """The term that a path stands for, or None."""
        if path in self.quantities:
            return terms.quantity(self.quantities[path])
        if path not in self.rates:
            return None
        name = self.rates[path]
        number = self.rate_names.index(name)
        return terms.flat(number) if name.endswith(FLAT_SUFFIX) else terms.rate(number)

    def quantity_names(self) -> dict[Op, str]:
        """The preferred path of each quantity that has one."""
        return {op: path for path, op in reversed(tuple(self.quantities.items()))}

    def rate_inputs(self) -> dict[int, str]:
        """The preferred path of each rate, by its number, that has one."""
        means_rate = [(path, name) for path, name in self.rates.items() if path not in self.quantities]
        return {self.rate_names.index(name): path for path, name in reversed(means_rate)}


def compile_formula(text: str, binding: Binding) -> bytes:
    """The checked program of a flow's formula.

    Raises FormulaError, with the column, for text outside the grammar, unknown names, terms that do not fit, results
    that are no money, and programs that registration would refuse.
    """
    term = _Parser(tokens(text), binding).whole()
    if term.type is not Type.MONEY:
        raise FormulaError(1, f"a flow must be money, this is {term.type.value}")
    if term.scale > MAX_SCALE:
        raise FormulaError(1, f"more than {MAX_SCALE} decimals in all")
    program = encode(term.scale, term.emit(term.scale))
    try:
        check_program(program, len(binding.rate_names))
    except ProgramError as error:
        raise FormulaError(1, error.message) from error
    return program


_P = ParamSpec("_P")


class _Parser:
    """Recursive descent over the tokens; every method leaves the cursor behind what it read."""

    def __init__(self, found: list[Token], binding: Binding) -> None:
        self._tokens = found
        self._binding = binding
        self._cursor = 0
        self._depth = 0

    def whole(self) -> Term:
        term = self._expression()
        if self._next.kind is not Kind.END:
            raise FormulaError(self._next.position, f"unexpected {self._next.text!r}")
        return term

    @property
    def _next(self) -> Token:
        return self._tokens[self._cursor]

    def _taken(self, *symbols: str) -> Token | None:
        token = self._next
        if token.kind is not Kind.SYMBOL or token.text not in symbols:
            return None
        self._cursor += 1
        return token

    def _expect(self, symbol: str) -> None:
        if not self._taken(symbol):
            raise FormulaError(self._next.position, f"expected {symbol!r}")

    def _expression(self) -> Term:
        term = self._product()
        while operator := self._taken("+", "-"):
            right = self._product()
            op = Op.ADD if operator.text == "+" else Op.SUB
            term = _placed(operator, terms.combination, op, term, right)
        return term

    def _product(self) -> Term:
        term = self._factor()
        while operator := self._taken("×"):
            right = self._factor()
            term = _placed(operator, terms.product, term, right)
        return term

    def _factor(self) -> Term:
        token = self._next
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise FormulaError(token.position, "nested too deeply")
        term = self._atom(token)
        self._depth -= 1
        return term

    def _atom(self, token: Token) -> Term:
        if self._taken("-"):
            operand = self._factor()
            return _placed(token, terms.negation, operand)
        if self._taken("("):
            term = self._expression()
            self._expect(")")
            return term
        if token.kind is Kind.NUMBER:
            self._cursor += 1
            return self._number(token)
        if token.kind is Kind.PATH:
            self._cursor += 1
            return self._call(token) if self._taken("(") else self._path(token)
        raise FormulaError(token.position, f"unexpected {token.text!r}" if token.text else "unexpected end of text")

    def _number(self, token: Token) -> Term:
        whole, _, decimals = token.text.partition(".")
        if len(whole) + len(decimals) > 38:
            raise FormulaError(token.position, "number too long")
        return terms.constant(int(whole + decimals), len(decimals))

    def _path(self, token: Token) -> Term:
        term = self._binding.resolve(token.text)
        if term is None:
            raise FormulaError(token.position, f"unknown name {token.text}")
        return term

    def _call(self, token: Token) -> Term:
        if token.text not in FUNCTIONS:
            raise FormulaError(token.position, f"unknown function {token.text}")
        arguments = [self._expression()]
        while self._taken(","):
            arguments.append(self._expression())
        self._expect(")")
        if token.text == "abs":
            if len(arguments) != 1:
                raise FormulaError(token.position, "abs takes one argument")
            return _placed(token, terms.absolute, arguments[0])
        if len(arguments) < 2:
            raise FormulaError(token.position, f"{token.text} takes two or more arguments")
        op = Op.MIN if token.text == "min" else Op.MAX
        term = arguments[0]
        for right in arguments[1:]:
            term = _placed(token, terms.combination, op, term, right)
        return term


def _placed(token: Token, build: Callable[_P, Term], *args: _P.args, **kwargs: _P.kwargs) -> Term:
    """The term that `build` makes; what it refuses is refused at the token."""
    try:
        return build(*args, **kwargs)
    except TermError as error:
        raise FormulaError(token.position, str(error)) from error
