"""Typed terms of a formula and the operations that compute them.

Every term is energy (Wh), a rate (base units per kWh), money or a number. Energy × rate is money in thousandths, so
all money is: a flat amount is multiplied by 1000 when it is emitted. Decimal constants carry a scale, a count of
decimals; terms that are added or compared are brought to the larger scale by a power of ten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from settlement.formula.program import MAX_OPERATIONS, WH_PER_KWH, Op, Operation


class Type(Enum):
    """What a term measures."""

    ENERGY = "energy"
    RATE = "rate"
    MONEY = "money"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Term:
    """A typed term. `emit(scale)` gives its operations at a scale not below its own, `size` their largest count."""

    type: Type
    scale: int
    size: int
    emit: Callable[[int], list[Operation]]
    is_zero: bool = False


class TermError(ValueError):
    """Terms that do not fit an operation, or grow too large; the compiler adds the position."""


PRODUCTS = {
    frozenset({Type.NUMBER}): Type.NUMBER,
    frozenset({Type.NUMBER, Type.ENERGY}): Type.ENERGY,
    frozenset({Type.NUMBER, Type.RATE}): Type.RATE,
    frozenset({Type.NUMBER, Type.MONEY}): Type.MONEY,
    frozenset({Type.ENERGY, Type.RATE}): Type.MONEY,
}


def quantity(op: Op) -> Term:
    """A quantity of the trade, in Wh."""
    return _lifted_term(Type.ENERGY, 0, 1, [Operation(op)])


def rate(number: int) -> Term:
    """Rate input `number`, money per kWh."""
    return _lifted_term(Type.RATE, 0, 1, [Operation(Op.RATE, number)])


def flat(number: int) -> Term:
    """Rate input `number` that is an amount of money as it stands."""

    def emit(scale: int) -> list[Operation]:
        thousandths = WH_PER_KWH * 10**scale
        return [Operation(Op.RATE, number), Operation(Op.CONSTANT, thousandths), Operation(Op.MUL)]

    return Term(Type.MONEY, 0, 3, emit)


def constant(digits: int, scale: int) -> Term:
    """The number digits × 10^−scale, without trailing zeros."""
    while scale and digits % 10 == 0:
        digits, scale = digits // 10, scale - 1

    def emit(target: int) -> list[Operation]:
        return [Operation(Op.CONSTANT, digits * 10 ** (target - scale))]

    return Term(Type.NUMBER, scale, 1, emit, is_zero=digits == 0)


def product(left: Term, right: Term) -> Term:
    """left × right. Raises TermError where the product measures nothing we know."""
    kinds = frozenset({left.type, right.type})
    if kinds not in PRODUCTS:
        raise TermError(f"{left.type.value} × {right.type.value} has no meaning here")
    steps = [*left.emit(left.scale), *right.emit(right.scale), Operation(Op.MUL)]
    return _lifted_term(PRODUCTS[kinds], left.scale + right.scale, left.size + right.size + 1, steps)


def combination(op: Op, left: Term, right: Term) -> Term:
    """left + right, left − right, their minimum or maximum. Raises TermError where their types differ."""
    # Zero has every unit: max(0, contracted − settled) compares energies.
    if left.type is not right.type and not (left.is_zero or right.is_zero):
        raise TermError(f"{left.type.value} and {right.type.value} do not combine")
    kind = right.type if left.is_zero else left.type

    def emit(scale: int) -> list[Operation]:
        return [*left.emit(scale), *right.emit(scale), Operation(op)]

    return Term(kind, max(left.scale, right.scale), _bounded(left.size + right.size + 1), emit)


def negation(term: Term) -> Term:
    """0 − term."""
    return combination(Op.SUB, constant(0, 0), term)


def absolute(term: Term) -> Term:
    """max(term, 0 − term)."""
    return combination(Op.MAX, term, negation(term))


def _lifted_term(kind: Type, scale: int, size: int, steps: list[Operation]) -> Term:
    """A term whose operations stand; a larger scale multiplies them by a power of ten."""

    def emit(target: int) -> list[Operation]:
        if target == scale:
            return list(steps)
        return [*steps, Operation(Op.CONSTANT, 10 ** (target - scale)), Operation(Op.MUL)]

    return Term(kind, scale, _bounded(size), emit)


def _bounded(size: int) -> int:
    # abs() writes its operand twice: without a bound, nesting it doubles the work at each level.
    if size > MAX_OPERATIONS:
        raise TermError("too many operations")
    return size
