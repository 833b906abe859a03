"""Program to formula text: what stands on chain, as people read it; compiling the text gives the program again.

A program does not say which of its factors carried decimals, nor where the compiler multiplied by a power of ten to
lift a term to the scale of its neighbour. So every node is read at the scale at which its value stands, once for each
scale that the term itself may have had. What surrounds a term sees nothing of it but this own scale, so one text for
each is enough, the shortest: the search is complete, and small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from settlement.errors import SettlementError
from settlement.formula.compiler import FLAT_SUFFIX, Binding, compile_formula
from settlement.formula.program import OPERATORS, WH_PER_KWH, Op, Operation, check_program, operations, scale_of

# How tightly a text binds: what stands around it needs parentheses below its own level.
_SUM, _PRODUCT, _ATOM = 1, 2, 3


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    level: int

    def within(self, least: int) -> str:
        """The text, in parentheses if what stands around it binds more tightly."""
        return self.text if self.level >= least else f"({self.text})"

    def argument(self, function: str) -> str:
        """The text as first argument of a function: min(min(a, b), c) is min(a, b, c)."""
        begin = f"{function}("
        return self.text[len(begin) : -1] if self.level == _ATOM and self.text.startswith(begin) else self.text


@dataclass(frozen=True, slots=True)
class _Node:
    step: Operation
    left: _Node | None = None
    right: _Node | None = None


_Readings = Mapping[int, _Text]
"""By a term's own scale: its text."""

_ZERO = _Node(Operation(Op.CONSTANT, 0))


def decompile(program: bytes, binding: Binding) -> str:
    """The formula text of a program, with the names that the binding prefers; `compile_formula` undoes it.

    Raises ProgramError for a program that registration refuses, and SettlementError for one that no text of the
    grammar compiles to; then the chain's bytes are its only form.
    """
    check_program(program, len(binding.rate_names))
    scale = scale_of(program)
    found = _Reader(binding).readings(_tree(program), scale).get(scale)
    if found is not None:
        try:
            if compile_formula(found.text, binding) == program:
                return found.text
        except SettlementError:
            pass  # terms that do not fit each other, or a name that is taken twice
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


class _Reader:
    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._quantities = binding.quantity_names()
        self._rates = binding.rate_inputs()
        self._known: dict[tuple[int, int], _Readings] = {}

    def readings(self, node: _Node, scale: int) -> _Readings:
        """The readings of a node whose value stands at `scale`; none where the compiler never puts it there."""
        key = (id(node), scale)
        if key not in self._known:
            self._known[key] = self._read(node, scale)
        return self._known[key]

    def _read(self, node: _Node, scale: int) -> _Readings:
        step, left, right = node.step, node.left, node.right
        if left is None or right is None:
            return self._leaf(step, scale)
        if step.op is Op.MUL:
            return {**self._lifted(left, right, scale), **_shortest(self._products(left, right, scale))}
        if step.op is Op.MAX and right == _Node(Operation(Op.SUB), _ZERO, left):
            return {own: _Text(f"abs({one.text})", _ATOM) for own, one in self.readings(left, scale).items()}
        if step.op is Op.SUB and left == _ZERO:
            return {own: _Text(f"−{one.within(_ATOM)}", _SUM) for own, one in self.readings(right, scale).items()}
        # The larger scale of two terms is that of both.
        return _shortest(
            (max(own, other), _combined(step.op, one, two))
            for own, one in self.readings(left, scale).items()
            for other, two in self.readings(right, scale).items()
        )

    def _leaf(self, step: Operation, scale: int) -> _Readings:
        if step.op is Op.CONSTANT:
            own, text = _decimal(step.value, scale)
            return {own: _Text(text, _ATOM)}
        if scale or self._is_flat(step):
            return {}
        return self._named(self._rates.get(step.value) if step.op is Op.RATE else self._quantities.get(step.op))

    def _lifted(self, left: _Node, right: _Node, scale: int) -> _Readings:
        """What the compiler multiplied itself: a term by a power of ten, a flat amount by its thousandths."""
        if right.step.op is not Op.CONSTANT:
            return {}
        factor = right.step.value
        if self._is_flat(left.step):
            return self._named(self._rates.get(left.step.value)) if factor == WH_PER_KWH * 10**scale else {}
        if not self._is_lifted_whole(left):
            return {}
        return {
            own: self.readings(left, own)[own]
            for own in range(scale)
            if factor == 10 ** (scale - own) and own in self.readings(left, own)
        }

    def _products(self, left: _Node, right: _Node, scale: int) -> Iterator[tuple[int, _Text]]:
        """Two factors, each at a scale of its own, whose sum is the product's."""
        for own in range(scale + 1):
            one, two = self.readings(left, own).get(own), self.readings(right, scale - own).get(scale - own)
            if one is not None and two is not None:
                yield scale, _Text(f"{one.within(_PRODUCT)} × {two.within(_ATOM)}", _PRODUCT)

    @staticmethod
    def _named(name: str | None) -> _Readings:
        return {} if name is None else {0: _Text(name, _ATOM)}

    def _is_lifted_whole(self, node: _Node) -> bool:
        """Whether a larger scale multiplies the term, rather than the constants in it."""
        if node.step.op is Op.MUL:
            return node.left is not None and not self._is_flat(node.left.step)
        return node.step.op not in OPERATORS and node.step.op is not Op.CONSTANT

    def _is_flat(self, step: Operation) -> bool:
        return step.op is Op.RATE and self._binding.rate_names[step.value].endswith(FLAT_SUFFIX)


def _combined(op: Op, left: _Text, right: _Text) -> _Text:
    if op in (Op.MIN, Op.MAX):
        name = "min" if op is Op.MIN else "max"
        return _Text(f"{name}({left.argument(name)}, {right.text})", _ATOM)
    sign = "+" if op is Op.ADD else "−"
    return _Text(f"{left.within(_SUM)} {sign} {right.within(_PRODUCT)}", _SUM)


def _shortest(found: Iterable[tuple[int, _Text]]) -> _Readings:
    readings: dict[int, _Text] = {}
    for own, one in found:
        if own not in readings or len(one.text) < len(readings[own].text):
            readings[own] = one
    return readings


def _decimal(value: int, scale: int) -> tuple[int, str]:
    """A constant that stands at `scale`: the scale of its shortest text, and that text."""
    while scale and value % 10 == 0:
        value, scale = value // 10, scale - 1
    whole, fraction = divmod(value, 10**scale)
    return scale, f"{whole}.{fraction:0{scale}d}" if scale else str(whole)
