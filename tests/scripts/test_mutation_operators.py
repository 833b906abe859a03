"""The mutation check: which mistakes are made in a source, and which of them are drawn."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from scripts.mutation.campaign import candidates
from scripts.mutation.operators import OPERATORS, chosen, mutants

SOURCE = '''# pragma version 0.4.3
"""
@notice Pays 1 + 1, never payer < payee.
"""

from .interfaces import Types2

BITS: constant(uint256) = 96  # payer == 3
MASK: constant(bytes4) = 0x010203ff
held: HashMap[uint256, DynArray[uint256, 4]]


@external
def act(count: uint256[2]) -> int256:
    """
    @param count 7 > 6
    """
    assert count[0] < 10, "X: payer - 1"
    for i: uint256 in range(count[1], bound=8):
        self.held[i] += 1
    return -1
'''


def made(text: str, operator: str = "") -> list[tuple[str, str]]:
    """Lines before and after, by all operators or one."""
    return [(one.before, one.after) for one in mutants("X", text) if operator in ("", one.operator)]


def test_code_is_changed_and_nothing_else() -> None:
    assert [(one.operator, one.line, one.after) for one in mutants("X", SOURCE)] == [
        ("constant", 8, "BITS: constant(uint256) = 97  # payer == 3"),
        ("constant", 8, "BITS: constant(uint256) = 95  # payer == 3"),
        ("constant", 9, "MASK: constant(bytes4) = 0x01020400"),
        ("assert", 18, 'assert True or count[0] < 10, "X: payer - 1"'),
        ("constant", 18, 'assert count[1] < 10, "X: payer - 1"'),
        ("compare", 18, 'assert count[0] <= 10, "X: payer - 1"'),
        ("constant", 18, 'assert count[0] < 11, "X: payer - 1"'),
        ("constant", 18, 'assert count[0] < 9, "X: payer - 1"'),
        ("constant", 19, "for i: uint256 in range(count[2], bound=8):"),
        ("constant", 19, "for i: uint256 in range(count[0], bound=8):"),
        ("sign", 20, "self.held[i] -= 1"),
        ("constant", 20, "self.held[i] += 2"),
        ("constant", 20, "self.held[i] += 0"),
        ("constant", 21, "return -2"),
        ("constant", 21, "return -0"),
    ]


@pytest.mark.parametrize(
    ("before", "after"), [("<", "<="), ("<=", "<"), (">", ">="), (">=", ">"), ("==", "!="), ("!=", "==")]
)
def test_comparisons(before: str, after: str) -> None:
    assert made(f"x = a {before} b", "compare") == [(f"x = a {before} b", f"x = a {after} b")]


def test_signs_join_two_operands() -> None:
    assert [after for _, after in made("x = a + b(c) - d[e] - -f", "sign")] == [
        "x = a - b(c) - d[e] - -f",
        "x = a + b(c) + d[e] - -f",
        "x = a + b(c) - d[e] + -f",
    ]


def test_an_assert_asks_for_nothing_any_more_even_over_several_lines() -> None:
    assert made('assert (\n    a\n    and b\n), "X: no"') == [("assert (", "assert True or (")]


def test_parties_are_taken_for_each_other() -> None:
    assert [after for _, after in made("self.owed[debtor_of][CREDITOR] = payback(payer)", "party")] == [
        "self.owed[creditor_of][CREDITOR] = payback(payer)",
        "self.owed[debtor_of][DEBTOR] = payback(payer)",
        "self.owed[debtor_of][CREDITOR] = payback(payee)",
        "self.owed[creditor_of][DEBTOR] = payback(payee)",
    ]


def test_a_keyword_keeps_its_name() -> None:
    assert made("log Paid(payer=payer, to=payee)", "party") == [
        ("log Paid(payer=payer, to=payee)", "log Paid(payer=payee, to=payee)"),
        ("log Paid(payer=payer, to=payee)", "log Paid(payer=payer, to=payer)"),
        ("log Paid(payer=payer, to=payee)", "log Paid(payer=payee, to=payer)"),
    ]


def test_neighbours_in_an_encoding_change_places() -> None:
    assert made("x = h(abi_encode(a, f(b, c), d[1],\n    e, g, method_id=M), z)", "order") == [
        ("x = h(abi_encode(a, f(b, c), d[1],", "x = h(abi_encode(f(b, c), a, d[1],"),
        ("x = h(abi_encode(a, f(b, c), d[1],", "x = h(abi_encode(a, d[1], f(b, c),"),
        ("e, g, method_id=M), z)", "g, e, method_id=M), z)"),
    ]
    assert made("x = abi_encode(a)\ny = f(a, b)", "order") == []
    # What another operator has made is not made twice.
    assert made("x = abi_encode(payer, payee)", "order") == []
    assert made("x = abi_encode(payer, payee)", "party")[-1][1] == "x = abi_encode(payee, payer)"


def test_bytes_stay_as_many() -> None:
    assert [after for _, after in made("x = 0x00 if y else 0xFF")] == [
        "x = 0x01 if y else 0xFF",
        "x = 0x00 if y else 0x00",
    ]


def test_a_value_that_nobody_reads_is_left_alone() -> None:
    text = "y: uint256 = 5\na: uint256 = 0\nb: uint256 = 0\na, b = f()\nc: uint256 = 7\nc = 8"
    assert {before for before, _ in made(text)} == {"y: uint256 = 5", "c: uint256 = 7", "c = 8"}


def test_equal_changes_of_equal_lines_are_told_apart() -> None:
    first, second = mutants("X", "x = a == b\ny = 7 if c else d\nx = a == b")[0::3]
    assert (first.line, first.nth, second.line, second.nth) == (1, 0, 3, 1)
    assert first.id != second.id
    moved = mutants("X", "z = e\nx = a == b\n")
    assert [one.id for one in moved] == [first.id]


def test_a_mutant_is_one_line_of_its_source() -> None:
    for mutant in mutants("X", SOURCE):
        pairs = zip(SOURCE.split("\n"), mutant.applied_to(SOURCE).split("\n"), strict=True)
        differing = [number for number, (before, after) in enumerate(pairs, 1) if before != after]
        assert differing == [mutant.line]
    with pytest.raises(ValueError, match="line 18 is `import os`"):
        mutants("X", SOURCE)[3].applied_to("\n" * 17 + "import os")


def test_all_operators_are_drawn_by_turns_and_the_seed_decides() -> None:
    there = candidates("SettlementEscrow")
    drawn = list(islice(chosen(there, 1), 20))
    there_are = {one.operator for one in there}
    assert there_are == set(OPERATORS) - {"order"}  # it encodes nothing itself
    assert Counter(one.operator for one in drawn) == dict.fromkeys(there_are, 4)
    assert list(islice(chosen(reversed(there), 1), 20)) == drawn
    assert list(islice(chosen(there, 2), 20)) != drawn
    assert sorted(one.id for one in chosen(there, 1)) == sorted(one.id for one in there)
