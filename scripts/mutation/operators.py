"""Mechanical mistakes in Vyper sources: each changes one line of code, never a comment, docstring, import or type."""

from __future__ import annotations

import hashlib
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from tokenize import NAME, NUMBER, OP, TokenInfo

OPERATORS = ("assert", "compare", "sign", "constant", "party", "order")

# An order's bound moves by one; an equality becomes its opposite.
COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
SIGNS = {"+": "-", "-": "+", "+=": "-=", "-=": "+="}
PARTIES = (("payer", "payee"), ("buyer", "seller"), ("debtor", "creditor"), ("forth", "back"))
OTHER_PARTY = {one: other for pair in PARTIES for one, other in (pair, pair[::-1])}

# Statements that hold no code.
DECLARATIVE = {"import", "from", "implements", "uses", "initializes", "exports", "@"}
_TYPE = re.compile(r"DynArray|Bytes|String|HashMap|u?int\d+|bytes\d+|address|bool")


@dataclass(frozen=True)
class Mutant:
    """A source with one line changed.

    `line` counts from 1; `before` and `after` are that line's code. `nth` tells apart equal changes of equal lines, in
    the order in which they stand.
    """

    source: str
    operator: str
    line: int
    before: str
    after: str
    nth: int = 0

    @property
    def id(self) -> str:
        """The same as long as the line is, wherever it comes to stand."""
        text = "\0".join((self.source, self.before, self.operator, self.after, str(self.nth)))
        return f"{self.source}.{self.operator}.{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def applied_to(self, text: str) -> str:
        """The source with the change in it; raises ValueError if `text` is not the source that it was made from."""
        lines = text.split("\n")
        line = lines[self.line - 1] if self.line <= len(lines) else ""
        if line.strip() != self.before:
            raise ValueError(f"{self.id}: line {self.line} is `{line.strip()}`")
        lines[self.line - 1] = line.replace(self.before, self.after)
        return "\n".join(lines)


def mutants(source: str, text: str) -> list[Mutant]:
    """Every mutant that the operators make of a source, in its order; once where two make the same."""
    lines = text.split("\n")
    seen: Counter[tuple[str, str, str]] = Counter()
    there: set[tuple[int, str]] = set()
    found = []
    for operator, line, changed in _changes(text, lines):
        if (line, changed) in there:
            continue
        there.add((line, changed))
        key = operator, lines[line - 1].strip(), changed.strip()
        found.append(Mutant(source, operator, line, key[1], key[2], seen[key]))
        seen[key] += 1
    return found


def chosen(candidates: Iterable[Mutant], seed: int) -> Iterator[Mutant]:
    """The candidates as the seed orders them, the operators by turns.

    A mutant's place depends on its id, not on its neighbours, so that an edit elsewhere hardly changes the choice.
    """
    queues: dict[str, list[Mutant]] = {operator: [] for operator in OPERATORS}
    for candidate in candidates:
        queues[candidate.operator].append(candidate)
    for queue in queues.values():
        queue.sort(key=lambda mutant: hashlib.sha256(f"{seed} {mutant.id}".encode()).digest(), reverse=True)
    while any(queues.values()):
        for queue in queues.values():
            if queue:
                yield queue.pop()


def _changes(text: str, lines: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """Operator, line number and changed line of every change."""
    statements = [one for one in _statements(text) if one[0].string not in DECLARATIVE]
    for statement, is_placeholder in zip(statements, _placeholders(statements), strict=True):
        if is_placeholder:
            continue
        if statement[0].string == "assert":
            # What follows is still evaluated where it spans lines, but asks for nothing any more.
            yield "assert", statement[0].start[0], _with(lines, statement[0], "assert True or")
        for before, token in _valued(statement):
            if token.type == OP and token.string in COMPARISONS:
                yield "compare", token.start[0], _with(lines, token, COMPARISONS[token.string])
            elif token.type == OP and token.string in SIGNS and _ends_operand(before):
                yield "sign", token.start[0], _with(lines, token, SIGNS[token.string])
            elif token.type == NUMBER and token.string.startswith("0x"):
                yield "constant", token.start[0], _with(lines, token, _next_bytes(token.string))
            elif token.type == NUMBER:
                number = int(token.string)
                for shifted in (number + 1, number - 1)[: 1 if number == 0 else 2]:
                    yield "constant", token.start[0], _with(lines, token, str(shifted))
        yield from _party_changes(statement, lines)
        yield from _order_changes(statement, lines)


def _next_bytes(literal: str) -> str:
    """The bytes after these, as many."""
    digits = len(literal) - len("0x")
    return f"0x{(int(literal, 16) + 1) % 16**digits:0{digits}x}"


def _placeholders(statements: Sequence[list[TokenInfo]]) -> list[bool]:
    """Of each statement, whether it only declares what the next one sets: the value asked for there is lost."""
    found = [False] * len(statements)
    for place, statement in enumerate(statements):
        names = [token.string for token in takewhile(lambda token: token.string != "=", statement)]
        if len(names) > 1 and set(names[1::2]) == {","}:
            before = place - 1
            while before >= 0 and _declared(statements[before]) in names:
                found[before] = True
                before -= 1
    return found


def _declared(statement: Sequence[TokenInfo]) -> str:
    """The variable that a statement declares; empty if it declares none."""
    return statement[0].string if len(statement) > 1 and statement[1].string == ":" else ""


def _party_changes(statement: Sequence[TokenInfo], lines: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """One name taken for its counterpart; and all of a line exchanged, where it has both."""
    by_line: dict[int, list[tuple[TokenInfo, str]]] = {}
    for token, after in pairwise((*statement, None)):
        if token is not None and token.type == NAME and not (after and after.string == "=" and token != statement[0]):
            other = "_".join(_counterpart(word) for word in token.string.split("_"))
            if other != token.string:
                by_line.setdefault(token.start[0], []).append((token, other))
    for line, swaps in by_line.items():
        for token, other in swaps:
            yield "party", line, _with(lines, token, other)
        if len(swaps) > 1:
            exchanged = list(lines[line - 1 : line])
            for token, other in reversed(swaps):
                exchanged = [exchanged[0][: token.start[1]] + other + exchanged[0][token.end[1] :]]
            yield "party", line, exchanged[0]


def _order_changes(statement: Sequence[TokenInfo], lines: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """Neighbours in an encoding exchanged, where they share a line: no type tells them apart any more."""
    for place, token in enumerate(statement):
        if token.string == "abi_encode":
            for one, other in pairwise(_arguments(statement[place + 2 :])):
                start, end, back, stop = one[0].start, one[-1].end, other[0].start, other[-1].end
                if start[0] == stop[0]:
                    line = lines[start[0] - 1]
                    exchanged = line[back[1] : stop[1]] + line[end[1] : back[1]] + line[start[1] : end[1]]
                    yield "order", start[0], line[: start[1]] + exchanged + line[stop[1] :]


def _arguments(tokens: Sequence[TokenInfo]) -> list[list[TokenInfo]]:
    """The tokens of each argument of a call, from behind its opening bracket; without those that have a keyword."""
    found: list[list[TokenInfo]] = [[]]
    depth = 0
    for token in tokens:
        if token.string == "," and depth == 0:
            found.append([])
            continue
        depth += (token.string in ("(", "[")) - (token.string in (")", "]"))
        if depth < 0:
            break
        found[-1].append(token)
    return [one for one in found if one and not any(token.string == "=" for token in one)]


def _counterpart(word: str) -> str:
    other = OTHER_PARTY.get(word.lower(), word)
    return other.upper() if word.isupper() else other


def _valued(statement: Sequence[TokenInfo]) -> Iterator[tuple[TokenInfo, TokenInfo]]:
    """The tokens of a statement, each after its predecessor, without what sizes a type or bounds a loop's code."""
    brackets: list[bool] = []  # of each open bracket: does it belong to a type?
    for before, token in pairwise(statement):
        if token.string in ("[", "(", "{"):
            brackets.append(token.string == "[" and bool(_TYPE.fullmatch(before.string)))
        elif token.string in ("]", ")", "}"):
            brackets.pop()
        elif not any(brackets) and not (
            token.type == NUMBER and before.string == "=" and _names_bound(statement, before)
        ):
            yield before, token


def _names_bound(statement: Sequence[TokenInfo], equals: TokenInfo) -> bool:
    return statement[statement.index(equals) - 1].string == "bound"


def _ends_operand(token: TokenInfo) -> bool:
    """Whether a sign after this token joins two operands."""
    if token.type == NAME:
        return token.string not in ("return", "and", "or", "not", "in")
    return token.type == NUMBER or token.string in (")", "]")


def _statements(text: str) -> Iterator[list[TokenInfo]]:
    """The logical lines, without comments and without those that are only a string."""
    statement: list[TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if statement and not all(one.type == tokenize.STRING for one in statement):
                yield statement
            statement = []
        elif token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            statement.append(token)


def _with(lines: Sequence[str], token: TokenInfo, other: str) -> str:
    """The token's line with something else in its place."""
    line = lines[token.start[0] - 1]
    return line[: token.start[1]] + other + line[token.end[1] :]
