"""Batches: which trades, in which order, with what locked; and what the other platform refuses to sign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from member.cosigning import Fault
from settlement.config import HOUR
from settlement.formula.templates import SHIPPED_BY_ID
from settlement.hashing import keccak256
from settlement.trade import Lock
from tests.settlement.builders import CONFIG, CYCLE, CYCLE_START, PLATFORM_A, PLATFORM_B
from tests.trading.book import open_trade, order
from trading.batching import ProposedBatch, batch_fault, last_call, locks_of, make_batch, tree_of

GATED = replace(CONFIG, gate=4 * HOUR)
LATER = CYCLE_START + HOUR
FIRST = open_trade(order())
SECOND = open_trade(order(transaction_id="tx-2", slot_start=LATER, contracted_wh=2_001))
BACK = open_trade(
    order(transaction_id="tx-3", buyer_platform=PLATFORM_B, seller_platform=PLATFORM_A, contracted_wh=500)
)
TRADES = (SECOND, BACK, FIRST)
KNOWN = {one.digest: one for one in TRADES}
HALF = {(PLATFORM_A, PLATFORM_B): 50, (PLATFORM_B, PLATFORM_A): 50}
NOW = CYCLE_START - 6 * HOUR


def proposed() -> ProposedBatch:
    return make_batch(TRADES, 7, SHIPPED_BY_ID, HALF)


def fault(of: ProposedBatch, last_sequence: int = 6, now: int = NOW) -> Fault | None:
    return batch_fault(of, KNOWN, GATED, SHIPPED_BY_ID, HALF, last_sequence, now)


def test_a_batch_of_a_pair() -> None:
    made = proposed()
    early = sorted(one.digest for one in (FIRST, BACK))
    assert made.digests == (*early, SECOND.digest)
    batch = made.batch
    assert (batch.platform_a, batch.platform_b) == tuple(sorted((PLATFORM_A, PLATFORM_B)))
    assert (batch.cycle, batch.sequence, batch.earliest_slot, batch.count) == (CYCLE, 7, CYCLE_START, 3)
    assert batch.root == tree_of(made.digests).root


def test_what_is_locked_is_a_share_of_each_directions_worst_case() -> None:
    forth, back = (1_500 + 2_001) * 6_000_000 // 1_000, 500 * 6_000_000 // 1_000
    locks = [Lock(PLATFORM_A, PLATFORM_B, forth // 2), Lock(PLATFORM_B, PLATFORM_A, back // 2)]
    assert locks_of(TRADES, SHIPPED_BY_ID, HALF) == tuple(sorted(locks, key=lambda one: (one.payer, one.payee)))
    assert locks_of(TRADES, SHIPPED_BY_ID, {}) == ()


def test_the_last_call_is_the_gate_or_the_shortest_validity() -> None:
    assert last_call((SECOND,), GATED) == SECOND.trade.valid_until
    late = open_trade(order(valid_until=LATER, slot_start=LATER))
    assert last_call((late,), GATED) == LATER - 4 * HOUR


def test_an_honest_batch_is_signed() -> None:
    assert fault(proposed()) is None


def test_an_unknown_or_unsigned_trade() -> None:
    stranger = replace(proposed(), digests=(keccak256(b"?"), *proposed().digests[1:]))
    assert fault(stranger) == Fault("digests", f"0x{keccak256(b'?').hex()} is not known here")
    unsigned = open_trade(order(), is_signed=False)
    found = batch_fault(proposed(), KNOWN | {unsigned.digest: unsigned}, GATED, SHIPPED_BY_ID, HALF, 6, NOW)
    assert found is not None
    assert found.reason == f"0x{unsigned.digest.hex()} lacks a signature of 0x{PLATFORM_A.hex()}"


def test_a_trade_twice_or_none_or_of_another_cycle() -> None:
    twice = replace(proposed(), digests=(FIRST.digest, FIRST.digest))
    assert fault(twice) == Fault("digests", "empty, or a trade stands in it twice")
    assert fault(replace(proposed(), digests=())) == Fault("digests", "empty, or a trade stands in it twice")
    tomorrow = replace(SECOND, cycle=CYCLE + 1)
    found = batch_fault(proposed(), KNOWN | {SECOND.digest: tomorrow}, GATED, SHIPPED_BY_ID, HALF, 6, NOW)
    assert found == Fault("digests", "trades of several cycles or pairs of platforms")


def test_a_used_sequence_and_a_closed_gate() -> None:
    assert fault(proposed(), last_sequence=7) == Fault("sequence", "not above 7, the last one committed")
    closed = fault(proposed(), now=CYCLE_START - 4 * HOUR + 1)
    assert closed is not None
    assert closed.reason.startswith("one of them could be committed until")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda batch: replace(batch, cycle=CYCLE + 1), "cycle"),
        (lambda batch: replace(batch, earliest_slot=LATER), "earliest_slot"),
        (lambda batch: replace(batch, count=2), "count"),
        (lambda batch: replace(batch, locks=()), "locks"),
        (lambda batch: replace(batch, platform_a=batch.platform_b, platform_b=batch.platform_a), "platform_a"),
        (lambda batch: replace(batch, root=keccak256(b"another")), "root"),
    ],
)
def test_a_batch_that_this_platform_would_not_make(change: Callable[[object], object], field: str) -> None:
    made = proposed()
    found = fault(replace(made, batch=change(made.batch)))
    assert found is not None
    assert found.field == field


def test_another_order_of_the_same_trades() -> None:
    made = proposed()
    turned = tuple(reversed(made.digests))
    found = fault(ProposedBatch(replace(made.batch, root=tree_of(turned).root), turned))
    assert found == Fault("root", "is not over these trades in the order of slots and digests")


def test_a_trade_inside_one_platform_is_a_pair_with_itself() -> None:
    inside = open_trade(order(seller_platform=PLATFORM_A))
    made = make_batch((inside,), 1, SHIPPED_BY_ID, HALF)
    assert (made.batch.platform_a, made.batch.platform_b) == (PLATFORM_A, PLATFORM_A)
    assert made.batch.locks == ()
