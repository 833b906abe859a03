"""Program to formula text: what stands on chain, as people read it; compiling the text gives the program again.

The printer undoes what the compiler adds: the thousandths of flat amounts and the powers of ten that lift a term to a
larger scale. A program does not say which factor of a product carried the decimals, so readings of it are tried in
turn, and the one that compiles to the same bytes is the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.errors import SettlementError
from settlement.formula.compiler import FLAT_SUFFIX, QUANTITY_NAMES, Binding, compile_formula, input_name
from settlement.formula.program import OPERATORS, WH_PER_KWH, Op, Operation, check_program, operations, scale_of

_NAMES = {op: name for name, op in QUANTITY_NAMES.items()}
_MAX_READINGS = 32

# How tightly a text binds: what stands around it needs parentheses below its own level.
_SUM, _PRODUCT, _ATOM = 1, 2, 3
_Text = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Node:
    step: Operation
    left: _Node | None = None
    right: _Node | None = None


_ZERO = _Node(Operation(Op.CONSTANT, 0))


def decompile(program: bytes, rate_names: Sequence[str]) -> str:
    """The formula text of a program, in our own names (`Binding.plain`).

    Raises ProgramError for a program that registration refuses, and SettlementError for one that no text of the
    grammar compiles to; then the chain's bytes are its only form.
    """
    check_program(program, len(rate_names))
    binding = Binding.plain(rate_names)
    for text, _ in _Printer(rate_names).readings(_tree(program), scale_of(program)):
        try:
            if compile_formula(text, binding) == program:
                return text
        except SettlementError:
            continue
    raise SettlementError("program", program, "has no formula text")


def _tree(program: bytes) -> _Node:
    stack: list[_Node] = []
    for step in operations(program):
        if step.op in OPERATORS:
            right, left = stack.pop(), stack.pop()
            stack.append(_Node(step, left, right))
        else:
            stack.append(_Node(step))
    return stack[0]


class _Printer:
    def __init__(self, rate_names: Sequence[str]) -> None:
        self._rate_names = rate_names
        self._known: dict[tuple[int, int], list[_Text]] = {}

    def readings(self, node: _Node, scale: int) -> list[_Text]:
        """Texts of a node whose value stands at `scale`; none where it cannot stand there."""
        key = (id(node), scale)
        if key not in self._known:
            self._known[key] = self._read(node, scale)[:_MAX_READINGS]
        return self._known[key]

    def _read(self, node: _Node, scale: int) -> list[_Text]:
        step, left, right = node.step, node.left, node.right
        if left is None or right is None:
            return self._leaf(step, scale)
        if step.op is Op.MUL:
            return self._products(left, right, scale)
        if step.op is Op.MAX and right == _Node(Operation(Op.SUB), _ZERO, left):
            return [(f"abs({text})", _ATOM) for text, _ in self.readings(left, scale)]
        if step.op is Op.SUB and left == _ZERO:
            return [(f"−{_wrapped(operand, _ATOM)}", _PRODUCT) for operand in self.readings(right, scale)]
        pairs = [(a, b) for a in self.readings(left, scale) for b in self.readings(right, scale)]
        if step.op in (Op.MIN, Op.MAX):
            name = "min" if step.op is Op.MIN else "max"
            return [(f"{name}({a[0]}, {b[0]})", _ATOM) for a, b in pairs]
        sign = "+" if step.op is Op.ADD else "−"
        return [(f"{_wrapped(a, _SUM)} {sign} {_wrapped(b, _PRODUCT)}", _SUM) for a, b in pairs]

    def _leaf(self, step: Operation, scale: int) -> list[_Text]:
        if step.op is Op.CONSTANT:
            return [(_decimal(step.value, scale), _ATOM)]
        if scale:
            return []  # the compiler would have lifted it
        if step.op is not Op.RATE:
            return [(_NAMES[step.op], _ATOM)]
        name = self._rate_names[step.value]
        return [] if name.endswith(FLAT_SUFFIX) else [(name, _ATOM)]

    def _products(self, left: _Node, right: _Node, scale: int) -> list[_Text]:
        found: list[_Text] = []
        if right.step.op is Op.CONSTANT:
            factor = right.step.value
            name = self._rate_names[left.step.value] if left.step.op is Op.RATE else ""
            if name.endswith(FLAT_SUFFIX) and factor == WH_PER_KWH * 10**scale:
                return [(input_name(name), _ATOM)]
            for lifted in range(1, scale + 1):
                if factor == 10**lifted:
                    found += self.readings(left, scale - lifted)
        for carried in range(scale + 1):
            found += [
                (f"{_wrapped(a, _PRODUCT)} × {_wrapped(b, _ATOM)}", _PRODUCT)
                for a in self.readings(left, carried)
                for b in self.readings(right, scale - carried)
            ]
        return found


def _wrapped(text: _Text, least: int) -> str:
    return text[0] if text[1] >= least else f"({text[0]})"


def _decimal(value: int, scale: int) -> str:
    if not scale:
        return str(value)
    whole, fraction = divmod(value, 10**scale)
    return f"{whole}.{fraction:0{scale}d}".rstrip("0").rstrip(".")
