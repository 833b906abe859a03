"""Flows and rows: who is in a leaf, how leaves are ordered, what a row says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from settlement import merkle, preimages, units
from settlement.errors import SettlementError
from settlement.flows import PairLeaf, flow_leaves, member_flows
from settlement.formula import templates
from settlement.formula.program import Quantities
from settlement.rows import RowContent, empty_row, keep_of, rows_of
from settlement.trade import FlowLeaf, Row
from tests.settlement.builders import CYCLE, PLATFORM_A, PLATFORM_B, UTILITY_A, placed, trade

QUANTITIES = Quantities(10_000, 8_000, 10_000, 8_000)


def leaf(digest: int, flow: int, amount: int = 1) -> FlowLeaf:
    return FlowLeaf(digest.to_bytes(32, "big"), flow, 5, amount, bytes(32))


def test_leaves_of_a_trade() -> None:
    one = placed(trade("10"))
    energy, wheeling = flow_leaves(one, templates.DEFAULT, QUANTITIES, CYCLE)
    assert energy.pair == (PLATFORM_A, PLATFORM_B)
    assert energy.leaf == FlowLeaf(
        one.digest, 0, 8_000, units.money("48"), preimages.flow_salt(one.trade.salt, CYCLE, 0)
    )
    assert wheeling.pair == (PLATFORM_A, UTILITY_A)
    assert (wheeling.leaf.flow, wheeling.leaf.amount) == (1, units.money("8"))


def test_no_leaf_where_nothing_moves() -> None:
    same = placed(trade("10", seller_platform=PLATFORM_A))
    assert [one.leaf.flow for one in flow_leaves(same, templates.DEFAULT, QUANTITIES, CYCLE)] == [1]
    free = placed(trade("10", rates=(1, 0)))
    assert [one.leaf.flow for one in flow_leaves(free, templates.DEFAULT, QUANTITIES, CYCLE)] == [0]
    assert member_flows(free.trade, templates.DEFAULT, QUANTITIES)[1].amount == 0


def test_a_trade_only_flows_by_its_own_template() -> None:
    with pytest.raises(SettlementError, match="is not the trade's"):
        member_flows(trade("10"), templates.MARKET, QUANTITIES)
    with pytest.raises(SettlementError, match="expected 2 rates"):
        member_flows(trade("10", rates=(1,)), templates.DEFAULT, QUANTITIES)


def test_rows_are_ordered_and_summed() -> None:
    a, b = PLATFORM_A, PLATFORM_B
    rows = rows_of(
        [
            PairLeaf(a, b, leaf(2, 0, 5)),
            PairLeaf(b, a, leaf(9, 0)),
            PairLeaf(a, b, leaf(1, 1)),
            PairLeaf(a, b, leaf(1, 0)),
        ]
    )
    assert list(rows) == sorted([(a, b), (b, a)])
    assert [(one.trade_digest[-1], one.flow) for one in rows[a, b].leaves] == [(1, 0), (1, 1), (2, 0)]
    assert (rows[a, b].amount, rows[a, b].count) == (7, 3)
    assert rows[a, b].root == merkle.root([preimages.flow_leaf(one) for one in rows[a, b].leaves])
    assert rows[a, b].row(CYCLE, 1, 4, b"\x07" * 32, keep=9) == Row(
        CYCLE, 1, 4, a, b, 7, 3, rows[a, b].root, 9, b"\x07" * 32
    )


def test_digests_are_ordered_as_integers() -> None:
    high, low = leaf(1 << 255, 0), leaf(255, 0)
    row = rows_of([PairLeaf(PLATFORM_A, PLATFORM_B, high), PairLeaf(PLATFORM_A, PLATFORM_B, low)])
    assert row[PLATFORM_A, PLATFORM_B].leaves == (low, high)


def test_an_empty_row_releases() -> None:
    row = empty_row(PLATFORM_A, PLATFORM_B)
    assert (row.amount, row.count, row.root) == (0, 0, merkle.EMPTY_ROOT)
    assert row.gap(bytes(32), 0) == 0


def test_malformed_rows_are_refused() -> None:
    for leaves in ((leaf(2, 0), leaf(1, 0)), (leaf(1, 0), leaf(1, 0))):
        with pytest.raises(SettlementError, match="not strictly ordered"):
            RowContent(PLATFORM_A, PLATFORM_B, leaves)
    half = units.AMOUNT_BOUND >> 1
    with pytest.raises(SettlementError, match=r"2\^96"):
        RowContent(PLATFORM_A, PLATFORM_B, (leaf(1, 0, half), leaf(2, 0, half)))
    assert RowContent(PLATFORM_A, PLATFORM_B, (leaf(1, 0, half), leaf(2, 0, half - 1))).amount == 2 * half - 1


def test_where_a_missing_leaf_would_stand() -> None:
    row = RowContent(PLATFORM_A, PLATFORM_B, (leaf(1, 0), leaf(1, 2), leaf(3, 0)))
    assert row.gap(leaf(1, 0).trade_digest, 0) is None
    assert row.gap(leaf(0, 0).trade_digest, 5) == 0
    assert row.gap(leaf(1, 0).trade_digest, 1) == 1
    assert row.gap(leaf(2, 0).trade_digest, 0) == 2
    assert row.gap(leaf(4, 0).trade_digest, 0) == 3


def test_keep_adds_up_and_stays_in_bounds() -> None:
    a, b = PLATFORM_A, PLATFORM_B
    assert keep_of([((a, b), 5), ((b, a), 0), ((a, b), 2)]) == {(a, b): 7}
    assert keep_of([((a, b), units.AMOUNT_BOUND - 1)] * 2) == {(a, b): units.AMOUNT_BOUND - 1}


def test_a_leaf_hash_covers_every_field() -> None:
    base = leaf(1, 0)
    others = [
        replace(base, trade_digest=b"\x01" * 32),
        replace(base, flow=1),
        replace(base, settled_wh=6),
        replace(base, amount=2),
        replace(base, salt=b"\x01" * 32),
    ]
    assert len({preimages.flow_leaf(one) for one in [base, *others]}) == 6
