"""The false row of day 4: one leaf promises more, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

from demo.false_row import longest_row, with_one_leaf_changed
from demo.members import make_members
from settlement.rows import RowContent
from settlement.trade import FlowLeaf


def _row(payer: bytes, payee: bytes, count: int) -> RowContent:
    leaves = tuple(FlowLeaf(bytes([number + 1]) * 32, 0, 500, 1_000_000 + number, bytes(32)) for number in range(count))
    return RowContent(payer, payee, leaves)


def test_one_leaf_promises_more(tmp_path: Path) -> None:
    one, other, _ = make_members(tmp_path).platforms
    right = _row(one.id, other.id, 3)
    false = with_one_leaf_changed(right, 1_000_000)
    assert false.amount == right.amount + 1_000_000
    assert false.leaves[1:] == right.leaves[1:]
    assert (false.payer, false.payee, false.count) == (right.payer, right.payee, right.count)
    assert false.root != right.root


def test_the_row_with_more_leaves_is_taken_whichever_way_it_runs(tmp_path: Path) -> None:
    one, other, third = make_members(tmp_path).platforms
    rows = {
        (one.id, other.id): _row(one.id, other.id, 2),
        (other.id, one.id): _row(other.id, one.id, 5),
        (one.id, third.id): _row(one.id, third.id, 9),
    }
    assert longest_row(rows, (one, other)) == rows[other.id, one.id]
    assert longest_row(rows, (other, third)).count == 0
