"""Formula programs: the bytes that the chain keeps, their check at registration, their exact value.

A program is a scale exponent d (one byte, 0 to 18) and postfix operations on a stack of signed integers. Its result x
becomes money as `max(0, x) // (1000 × 10^d)`: the 1000 turns Wh × rate per kWh into base units, 10^d takes out the
decimals of the constants. There is no other division.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from settlement.errors import ProgramError
from settlement.units import AMOUNT_BOUND, RATE_BOUND, WH_BOUND

MAX_SCALE = 18
MAX_LENGTH = 256
MAX_OPERATIONS = 64
MAX_DEPTH = 16
MAX_RATES = 8
MAX_CONSTANT_BYTES = 16
INTERMEDIATE_BOUND = 1 << 120
WH_PER_KWH = 1000


class Op(IntEnum):
    """Opcodes; `RATE` and `CONSTANT` are the bases of a range (rate i is RATE + i, n bytes follow CONSTANT + n)."""

    CONTRACTED = 0x01
    SETTLED = 0x02
    BUYER_ALLOCATED = 0x03
    SELLER_ALLOCATED = 0x04
    RATE = 0x10
    ADD = 0x20
    SUB = 0x21
    MUL = 0x22
    MIN = 0x23
    MAX = 0x24
    CONSTANT = 0x40


QUANTITIES = frozenset({Op.CONTRACTED, Op.SETTLED, Op.BUYER_ALLOCATED, Op.SELLER_ALLOCATED})
OPERATORS = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.MIN, Op.MAX})


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a program; `value` is the rate's number or the constant, else 0."""

    op: Op
    value: int = 0


@dataclass(frozen=True, slots=True)
class Quantities:
    """What a trade's formulas read, in Wh, each in [0, 2^40); contracted is the quantity after curtailment."""

    contracted: int
    settled: int
    buyer_allocated: int
    seller_allocated: int


def scale_of(program: bytes) -> int:
    """The scale exponent d. Raises ProgramError for an empty program and a scale over 18."""
    if not program:
        raise ProgramError(program, "empty program")
    if len(program) > MAX_LENGTH:
        raise ProgramError(program, "program too long")
    if program[0] > MAX_SCALE:
        raise ProgramError(program, "bad scale")
    return program[0]


def operations(program: bytes) -> Iterator[Operation]:
    """The program's operations in order. Raises ProgramError at the first one that is none."""
    scale_of(program)
    cursor, done = 1, 0
    while cursor < len(program):
        if done == MAX_OPERATIONS:
            raise ProgramError(program, "too many operations")
        code = program[cursor]
        cursor += 1
        done += 1
        if code in QUANTITIES or code in OPERATORS:
            yield Operation(Op(code))
        elif Op.RATE <= code < Op.RATE + MAX_RATES:
            yield Operation(Op.RATE, code - Op.RATE)
        elif Op.CONSTANT < code <= Op.CONSTANT + MAX_CONSTANT_BYTES:
            size = code - Op.CONSTANT
            digits = program[cursor : cursor + size]
            if len(digits) < size or (size > 1 and digits[0] == 0):
                raise ProgramError(program, "bad constant")
            cursor += size
            yield Operation(Op.CONSTANT, int.from_bytes(digits, "big"))
        else:
            raise ProgramError(program, "bad opcode")


def encode(scale: int, steps: Sequence[Operation]) -> bytes:
    """The program of these operations; unchecked, see `check_program`."""
    program = bytearray([scale])
    for step in steps:
        if step.op is Op.RATE:
            program.append(Op.RATE + step.value)
        elif step.op is Op.CONSTANT:
            digits = step.value.to_bytes(max(1, (step.value.bit_length() + 7) >> 3), "big")
            program.append(Op.CONSTANT + len(digits))
            program += digits
        else:
            program.append(step.op)
    return bytes(program)


def check_program(program: bytes, rate_count: int) -> None:
    """Refuses what registration refuses, so that evaluation of an admissible trade never fails.

    Walks the program once with intervals: quantities in [0, 2^40), rates in [0, 2^64), of which the template has
    `rate_count`. Raises ProgramError with the contract's reason.
    """
    scale = scale_of(program)
    stack: list[tuple[int, int]] = []
    for step in operations(program):
        if step.op in OPERATORS:
            if len(stack) < 2:
                raise ProgramError(program, "stack underflow")
            right, left = stack.pop(), stack.pop()
            interval = _combined(step.op, left, right)
        elif step.op is Op.CONSTANT:
            interval = (step.value, step.value)
        elif step.op is Op.RATE:
            if step.value >= rate_count:
                raise ProgramError(program, "bad rate index")
            interval = (0, RATE_BOUND - 1)
        else:
            interval = (0, WH_BOUND - 1)
        if len(stack) == MAX_DEPTH:
            raise ProgramError(program, "stack too deep")
        if max(abs(interval[0]), abs(interval[1])) >= INTERMEDIATE_BOUND:
            raise ProgramError(program, "intermediate too large")
        stack.append(interval)
    if len(stack) != 1:
        raise ProgramError(program, "one value must remain")
    if _as_money(stack[0][1], scale) >= AMOUNT_BOUND:
        raise ProgramError(program, "amount too large")


def evaluate(program: bytes, quantities: Quantities, rates: Sequence[int]) -> int:
    """The amount in base units, exact and floored once.

    `rates` are the trade's, base units per kWh or base units, in the template's order. The program must have passed
    `check_program` for as many rates.
    """
    given = {
        Op.CONTRACTED: quantities.contracted,
        Op.SETTLED: quantities.settled,
        Op.BUYER_ALLOCATED: quantities.buyer_allocated,
        Op.SELLER_ALLOCATED: quantities.seller_allocated,
    }
    stack: list[int] = []
    for step in operations(program):
        if step.op in OPERATORS:
            right, left = stack.pop(), stack.pop()
            stack.append(_applied(step.op, left, right))
        elif step.op is Op.CONSTANT:
            stack.append(step.value)
        elif step.op is Op.RATE:
            stack.append(rates[step.value])
        else:
            stack.append(given[step.op])
    (result,) = stack
    return _as_money(result, scale_of(program))


def uses(program: bytes) -> frozenset[Op]:
    """The opcodes that occur in the program."""
    return frozenset(step.op for step in operations(program))


def _as_money(value: int, scale: int) -> int:
    # Clamped before it is divided: quotients of negative numbers differ between languages.
    return max(0, value) // int(WH_PER_KWH * 10**scale)


def _applied(op: Op, left: int, right: int) -> int:
    match op:
        case Op.ADD:
            return left + right
        case Op.SUB:
            return left - right
        case Op.MUL:
            return left * right
        case Op.MIN:
            return min(left, right)
        case _:
            return max(left, right)


def _combined(op: Op, left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """The interval of a result from the intervals of its operands."""
    match op:
        case Op.SUB:
            return left[0] - right[1], left[1] - right[0]
        case Op.MUL:
            corners = [a * b for a in left for b in right]
            return min(corners), max(corners)
        case _:  # sum, minimum and maximum rise with both operands
            return _applied(op, left[0], right[0]), _applied(op, left[1], right[1])
