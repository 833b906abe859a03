"""Figures over runs: the newest leaf that counts, marks, and what is recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.config import PRO_RATA
from settlement.cycle import NO_READING, SlotReading, allocate_utility
from settlement.figures import (
    UNMARKED,
    Figure,
    LeafIndex,
    Origin,
    Outcome,
    SeenLeaf,
    SideMarks,
    counts,
    figure_of,
    settle,
)
from settlement.placed import Side
from tests.settlement.builders import CYCLE, TERMS, UTILITY_A, UTILITY_B, group, placed, trade

TRADE = placed(trade("10"))


def seen(run: int, wh: int | None) -> SeenLeaf:
    """The seller's leaf of a run, from a reading or none."""
    reading = NO_READING if wh is None else SlotReading(wh)
    (leaf,) = allocate_utility(UTILITY_B, [TRADE], {group(TRADE, Side.SELLER): reading}, CYCLE, PRO_RATA).leaves
    return SeenLeaf(run, UTILITY_B, leaf)


def seller(run: int, leaves: list[SeenLeaf], marks: SideMarks = UNMARKED, void_runs: int = 0) -> Figure | None:
    return figure_of(TRADE, Side.SELLER, run, leaves, marks, void_runs, TERMS)


def leaf_figure(wh: int, run: int) -> Figure:
    return Figure(wh, Origin.LEAF, run)


FIRST, SECOND, THIRD = seen(0, 4_000), seen(1, 5_000), seen(2, 6_000)
ALL = [FIRST, SECOND, THIRD]


def test_the_newest_leaf_that_counts() -> None:
    assert seller(0, ALL) == leaf_figure(4_000, 0)
    assert seller(1, ALL) == leaf_figure(5_000, 1)
    assert seller(3, ALL) == leaf_figure(6_000, 2)
    assert seller(3, []) is None


@pytest.mark.parametrize(
    ("marks", "void_runs", "figure"),
    [
        (UNMARKED, 0b100, leaf_figure(5_000, 1)),
        (SideMarks(unanswered=0b100), 0, leaf_figure(5_000, 1)),
        (SideMarks(twice=0b100), 0, leaf_figure(5_000, 1)),
        (SideMarks(twice=0b100), 0b010, leaf_figure(4_000, 0)),
        (UNMARKED, 0b111, None),
        # Contested in run 2: the leaf of run 1 was not contested in run 1, so it stands.
        (SideMarks(contested=0b100), 0, leaf_figure(5_000, 1)),
        (SideMarks(contested=0b110), 0, leaf_figure(4_000, 0)),
        (SideMarks(contested=0b111), 0, None),
        (SideMarks(recorded=1_234, recorded_run=2), 0b111, Figure(1_234, Origin.RECORDED, 2)),
        (SideMarks(recorded=0, recorded_run=1), 0, Figure(0, Origin.RECORDED, 1)),
        (SideMarks(recorded=1_234, recorded_run=3), 0, leaf_figure(6_000, 2)),
    ],
)
def test_marks_in_run_2(marks: SideMarks, void_runs: int, figure: Figure | None) -> None:
    assert seller(2, ALL, marks, void_runs) == figure


def test_silence_lets_a_contested_leaf_stand_from_the_next_run_on() -> None:
    contested = SideMarks(contested=0b001)
    assert seller(0, [FIRST], contested) is None
    assert seller(1, [FIRST], contested) == leaf_figure(4_000, 0)


def test_what_gives_no_figure_is_passed() -> None:
    assert seller(1, [FIRST, seen(1, None)]) == leaf_figure(4_000, 0)
    unusable = SeenLeaf(1, UTILITY_B, replace(SECOND.leaf, allocated_wh=1))
    assert seller(1, [FIRST, unusable]) == leaf_figure(4_000, 0)
    elsewhere = SeenLeaf(1, UTILITY_A, SECOND.leaf)
    assert seller(1, [FIRST, elsewhere]) == leaf_figure(4_000, 0)
    assert seller(1, [FIRST, SECOND, SECOND]) == leaf_figure(4_000, 0)


def test_a_leaf_elsewhere_does_not_make_it_twice() -> None:
    elsewhere = SeenLeaf(0, UTILITY_A, FIRST.leaf)
    assert seller(0, [FIRST, elsewhere]) == leaf_figure(4_000, 0)


@given(*(st.integers(0, 3) for _ in range(3)), *(st.integers(0, 15) for _ in range(4)))
def test_counting_is_the_definition(
    s: int, r: int, last_run: int, void_runs: int, contested: int, unanswered: int, twice: int
) -> None:
    marks = SideMarks(contested, unanswered, twice)
    expected = (
        r >= s
        and not (void_runs >> s & 1 or unanswered >> s & 1 or twice >> s & 1)
        and (r == last_run or any(not contested >> t & 1 for t in range(s, r + 1)))
    )
    assert counts(s, r, void_runs, marks, last_run) == expected


@given(
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.none() | st.integers(0, 2**64 - 1),
    st.integers(0, 3),
)
def test_marks_are_a_word(contested: int, unanswered: int, twice: int, recorded: int | None, run: int) -> None:
    marks = SideMarks(contested, unanswered, twice, recorded, 0 if recorded is None else run)
    assert SideMarks.from_word(marks.to_word()) == marks


def test_the_words_bits() -> None:
    word = 0x05 | 0x02 << 8 | 0x01 << 16 | 1 << 24 | 2 << 32 | 7_000 << 64
    assert SideMarks.from_word(word) == SideMarks(5, 2, 1, 7_000, 2)
    assert SideMarks.from_word(0) == UNMARKED


def test_the_index_finds_leaves_by_side() -> None:
    index = LeafIndex(ALL)
    assert index.of_side(TRADE.digest, Side.SELLER) == ALL
    assert index.of_side(TRADE.digest, Side.BUYER) == ()


def test_settling() -> None:
    ten, eight = Figure(10_000, Origin.LEAF, 0), Figure(8_000, Origin.LEAF, 0)
    settled = settle(10_000, 0, ten, eight, TERMS)
    assert settled.outcome is Outcome.SETTLES
    assert settled.quantities is not None
    assert (settled.quantities.settled, settled.quantities.buyer_allocated) == (8_000, 10_000)
    assert settle(10_000, 2, ten, None, TERMS).outcome is Outcome.WAITS
    assert settle(10_000, 2, None, ten, TERMS).outcome is Outcome.WAITS
    assert settle(0, 0, ten, eight, TERMS).outcome is Outcome.NOTHING
    assert settle(0, 0, None, None, TERMS).outcome is Outcome.NOTHING
    assert settle(10_000, 3, None, None, TERMS).outcome is Outcome.NOTHING
