"""TradeBook: the batch lane, its gate, signatures and locks."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import preimages, typed_data
from settlement.hashing import ZERO_HASH, keccak256
from settlement.trade import HotKeyChange, KeyCompromised, Lock
from tests.contracts.market import NO_SIGNATURE, Market, at_time
from tests.contracts.trade_book.case import sorted_locks, suspend
from tests.contracts.trading import (
    BEGIN,
    CONFIG,
    CYCLE,
    DAY,
    END,
    GATE,
    HOUR,
    MORNING,
    SLOT,
    batch_of,
    commit,
    deploy_trading,
    events,
    member_id,
    pause,
    resume,
    trade_of,
    use_wallet,
    wallet_bytes,
)

# --- the batch lane ---


def test_commit_batch(market: Market) -> None:
    trades = [trade_of(market, number) for number in range(5)]
    batch = batch_of(market, trades)
    assert market.book.commitment_count() == 0
    assert commit(market, batch) == 1
    record = preimages.batch_commitment(batch, MORNING)
    [event] = events(market.book, "BatchCommitted")
    assert (event["number"], event["cycle"], event["locks"]) == (1, CYCLE, [])
    assert tuple(event["record"]) == astuple(record)
    assert market.book.commitment_count() == 1
    assert market.book.commitment(1) == preimages.commitment_record(record)
    assert market.book.commitment(2) == ZERO_HASH
    assert market.book.is_commitment(1, astuple(record))
    assert not market.book.is_commitment(2, astuple(record))
    assert not market.book.is_commitment(1, astuple(replace(record, count=record.count + 1)))
    assert not market.book.is_commitment(1, astuple(replace(record, sequence=0)))
    assert market.book.last_sequence(batch.platform_a, batch.platform_b) == 1
    assert market.oracle.config_version(CYCLE) == 1
    acts = preimages.accumulate(
        preimages.EMPTY_ACCUMULATOR, preimages.Act.COMMITMENT, 1, MORNING, preimages.commitment_record(record)
    )
    assert market.oracle.accumulator(CYCLE) == acts


def test_sequences_rise_per_pair(market: Market) -> None:
    batch = batch_of(market, [trade_of(market)])
    commit(market, replace(batch, sequence=5))
    for sequence in (0, 4, 5):
        with boa.reverts("TradeBook: sequence not higher"):
            commit(market, replace(batch, sequence=sequence))
    assert commit(market, replace(batch, sequence=9)) == 2
    inside = replace(batch, platform_a=batch.platform_b, sequence=1)
    assert commit(market, inside) == 3


def test_sequence_0_is_never_used_by_a_batch(market: Market) -> None:
    with boa.reverts("TradeBook: sequence not higher"):
        commit(market, batch_of(market, [trade_of(market)], sequence=0))


def test_the_slot_grid_begins_at_the_anchor() -> None:
    """In a market whose days begin a quarter of an hour later its slots do so too."""
    late = 900
    with boa.env.anchor():
        market = deploy_trading(replace(CONFIG, anchor=CONFIG.anchor + late))
        trade = trade_of(market, slot_start=SLOT + late, slot_end=SLOT + late + HOUR)
        with boa.reverts("TradeBook: not on the slot grid"):
            commit(market, batch_of(market, [trade], earliest_slot=BEGIN + HOUR))
        assert commit(market, batch_of(market, [trade], earliest_slot=BEGIN + HOUR + late)) == 1


def test_trades_inside_one_platform_need_its_signature_once(market: Market) -> None:
    own = member_id(market, "platform_a")
    batch = batch_of(market, [trade_of(market)], platform_a=own, platform_b=own)
    with boa.reverts("TradeBook: wrong number of signatures"):
        commit(market, batch, (own, own))
    assert commit(market, batch) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"count": 0}, "TradeBook: count out of bounds"),
        ({"count": 2**24 + 1}, "TradeBook: count out of bounds"),
        ({"root": ZERO_HASH}, "TradeBook: zero root"),
        ({"cycle": CYCLE + 1}, "TradeBook: not in the cycle"),
        ({"cycle": CYCLE - 1}, "TradeBook: not in the cycle"),
        ({"cycle": 2**64 - 1}, "TradeBook: not in the cycle"),
        ({"earliest_slot": END}, "TradeBook: not in the cycle"),
        ({"earliest_slot": BEGIN - HOUR}, "TradeBook: not in the cycle"),
        ({"earliest_slot": CONFIG.anchor - 1}, "TradeBook: before the anchor"),
        ({"earliest_slot": BEGIN + 1}, "TradeBook: not on the slot grid"),
        ({"earliest_slot": BEGIN + HOUR - 1}, "TradeBook: not on the slot grid"),
    ],
)
def test_refused_batches(market: Market, changes: dict[str, Any], reason: str) -> None:
    with boa.reverts(reason):
        commit(market, batch_of(market, [trade_of(market)], **changes))


def test_largest_count_and_last_slot(market: Market) -> None:
    assert commit(market, batch_of(market, [], count=2**24, earliest_slot=END - HOUR)) == 1


def test_platforms_are_sorted(market: Market) -> None:
    batch = batch_of(market, [trade_of(market)])
    with boa.reverts("TradeBook: platforms not sorted"):
        commit(market, replace(batch, platform_a=batch.platform_b, platform_b=batch.platform_a))


# --- the gate, pauses, how far ahead ---


def test_gate(market: Market) -> None:
    batch = batch_of(market, [trade_of(market)], earliest_slot=SLOT)
    at_time(SLOT - GATE + 1)
    with boa.reverts("TradeBook: gate closed"):
        commit(market, batch)
    at_time(SLOT - GATE)
    assert commit(market, batch) == 1


def test_paused_time_shortens_the_gate(market: Market) -> None:
    """Three of the four hours before were paused, so one hour of gate is left."""
    batch = batch_of(market, [trade_of(market)], earliest_slot=SLOT)
    at_time(SLOT - 5 * HOUR)
    pause(market)
    with boa.reverts("TradeBook: paused"):
        commit(market, batch)
    at_time(SLOT - 2 * HOUR)
    resume(market)
    at_time(SLOT - HOUR)
    with boa.env.anchor():
        assert commit(market, batch) == 1
    at_time(SLOT - HOUR + 1)
    with boa.reverts("TradeBook: gate closed"):
        commit(market, batch)


def test_no_pause_reaches_past_the_slot(market: Market) -> None:
    batch = batch_of(market, [trade_of(market)], earliest_slot=SLOT)
    at_time(SLOT - 10 * HOUR)
    pause(market)
    at_time(SLOT)
    resume(market)
    with boa.env.anchor():
        assert commit(market, batch) == 1
    at_time(SLOT + 1)
    with boa.reverts("TradeBook: gate closed"):
        commit(market, batch)


def test_at_most_so_far_ahead(market: Market) -> None:
    later = CYCLE + 10
    begin = BEGIN + 10 * DAY
    batch = batch_of(market, [trade_of(market)], cycle=later, earliest_slot=begin)
    at_time(begin - CONFIG.commit_ahead - 1)
    with boa.reverts("TradeBook: too far ahead"):
        commit(market, batch)
    at_time(begin - CONFIG.commit_ahead)
    assert commit(market, batch) == 1


def test_the_cycle_keeps_its_first_version(market: Market) -> None:
    """A shorter gate, set after the cycle's first commitment, does not govern it; it governs the next cycle."""
    commit(market, batch_of(market, [trade_of(market)]))
    with boa.env.prank(market.council):
        market.registry.set_config(astuple(replace(CONFIG, gate=0)))
    at_time(SLOT - GATE + 1)
    with boa.reverts("TradeBook: gate closed"):
        commit(market, batch_of(market, [trade_of(market)], sequence=2, earliest_slot=SLOT))
    at_time(SLOT + DAY)
    assert commit(market, batch_of(market, [], sequence=2, cycle=CYCLE + 1, earliest_slot=SLOT + DAY)) == 2
    assert (market.oracle.config_version(CYCLE), market.oracle.config_version(CYCLE + 1)) == (1, 2)


# --- signatures ---


def test_both_platforms_sign_in_order(market: Market) -> None:
    batch = batch_of(market, [trade_of(market)])
    a, b = batch.signers
    for signers in ((b, a), (a, a), (a, member_id(market, "platform_c"))):
        with boa.reverts("TradeBook: wrong signature"):
            commit(market, batch, signers)
    for number in (0, 1, 3):
        with boa.reverts("TradeBook: wrong number of signatures"):
            commit(market, batch, (a, b, a)[:number])


@pytest.mark.parametrize(
    "change",
    [
        {"count": 2},
        {"root": b"\7" * 32},
        {"sequence": 2},
        {"earliest_slot": BEGIN + HOUR},
        {"locks": (Lock(b"\1" * 32, b"\2" * 32, 1),)},
    ],
)
def test_every_field_is_signed(market: Market, change: dict[str, Any]) -> None:
    batch = batch_of(market, [trade_of(market)])
    signatures = market.sign_all(batch.signers, batch)
    tampered = replace(batch, **change)
    reason = "TradeBook: wrong number of signatures" if tampered.locks else "TradeBook: wrong signature"
    with boa.reverts(reason):
        market.book.commit_batch(astuple(tampered), signatures, [])


def test_malformed_signatures(market: Market) -> None:
    batch = batch_of(market, [trade_of(market)])
    good, other = market.sign_all(batch.signers, batch)
    v, r, s = other
    order = 2 * typed_data.HALF_ORDER + 1
    high = (55 - v, r, (order - int.from_bytes(s, "big")).to_bytes(32, "big"))
    for bad in (high, (0, r, s), (29, r, s), (v, b"\0" * 32, s), astuple(NO_SIGNATURE)):
        with boa.reverts("TradeBook: wrong signature"):
            market.book.commit_batch(astuple(batch), [good, bad], [])


def test_strangers_suspended_and_former_keys_commit_nothing(market: Market) -> None:
    batch = batch_of(market, [trade_of(market)])
    stranger = replace(batch, platform_b=b"\xff" * 32)
    with boa.reverts("TradeBook: signer not active"):
        commit(market, stranger, (batch.platform_a, batch.platform_a))
    with boa.env.anchor():
        suspend(market, "platform_b")
        with boa.reverts("TradeBook: signer not active"):
            commit(market, batch)
    who = market.members["platform_b"]
    new_key = keccak256(b"new hot key")
    change = HotKeyChange(who.id, "0x" + typed_data.address_of(new_key).hex(), 0)
    market.registry.change_hot_key(who.id, change.key, market.sign_cold("platform_b", change), b"")
    with boa.reverts("TradeBook: wrong signature"):
        commit(market, batch)


def test_a_stopped_key_is_nobodys(market: Market) -> None:
    """A word without key does not match what a malformed signature recovers to."""
    who = market.members["platform_b"]
    stop = KeyCompromised(who.id, who.address, 0)
    market.registry.mark_compromised(who.id, who.address, market.sign_cold("platform_b", stop), b"")
    batch = batch_of(market, [trade_of(market)])
    signatures = [
        market.sign("platform_a", batch) if one == member_id(market, "platform_a") else astuple(NO_SIGNATURE)
        for one in batch.signers
    ]
    with boa.reverts("TradeBook: wrong signature"):
        market.book.commit_batch(astuple(batch), signatures, [])


def test_contract_members_sign_batches(market: Market) -> None:
    batch = batch_of(market, [trade_of(market)])
    use_wallet(market, "platform_a")
    empty = astuple(NO_SIGNATURE)
    names = {member_id(market, name): name for name in ("platform_a", "platform_b")}

    def signed(by_wallet: tuple[int, bytes, bytes]) -> list[tuple[int, bytes, bytes]]:
        return [by_wallet if names[one] == "platform_a" else market.sign(names[one], batch) for one in batch.signers]

    answer = wallet_bytes(market, "platform_a", batch)
    for wallets in ([], [b"\0" * 65]):
        with boa.reverts("TradeBook: wrong signature"):
            market.book.commit_batch(astuple(batch), signed(empty), wallets)
    with boa.reverts("TradeBook: wrong signature"):  # v must say that a contract signs
        market.book.commit_batch(astuple(batch), signed(market.sign("platform_a", batch)), [answer])
    assert market.book.commit_batch(astuple(batch), signed(empty), [answer]) == 1


def test_two_contract_members_sign_in_the_order_met(market: Market) -> None:
    batch = batch_of(market, [trade_of(market)])
    names = {member_id(market, name): name for name in ("platform_a", "platform_b")}
    for name in names.values():
        use_wallet(market, name)
    answers = [wallet_bytes(market, names[one], batch) for one in batch.signers]
    empty = [astuple(NO_SIGNATURE)] * 2
    with boa.reverts("TradeBook: wrong signature"):
        market.book.commit_batch(astuple(batch), empty, answers[::-1])
    assert market.book.commit_batch(astuple(batch), empty, answers) == 1


# --- locks ---


def test_locks_are_taken_from_their_payers(market: Market) -> None:
    locks = sorted_locks(
        market,
        ("platform_a", "platform_b", 3_000_000),
        ("platform_a", "utility_b", 500_000),
        ("platform_b", "platform_a", 1),
        ("platform_c", "utility_a", 7_000),
    )
    batch = batch_of(market, [trade_of(market)], locks=locks)
    before = {name: market.escrow.free(member_id(market, name)) for name in ("platform_a", "platform_b", "platform_c")}
    assert len(batch.signers) == 3
    commit(market, batch)
    [event] = events(market.book, "BatchCommitted")
    assert [tuple(lock) for lock in event["locks"]] == [astuple(lock) for lock in locks]
    spent = {"platform_a": 3_500_000, "platform_b": 1, "platform_c": 7_000}
    for name, amount in spent.items():
        assert market.escrow.free(member_id(market, name)) == before[name] - amount
    for lock in locks:
        assert market.escrow.pair(CYCLE, lock.payer, lock.payee) == lock.amount
    with boa.reverts("TradeBook: wrong number of signatures"):  # the third payer's is needed too
        commit(market, replace(batch, sequence=2), batch.signers[:2])


def test_free_balance_must_cover(market: Market) -> None:
    locks = sorted_locks(market, ("platform_a", "platform_b", 10**9 + 1))
    with boa.reverts():
        commit(market, batch_of(market, [trade_of(market)], locks=locks))
    assert market.book.commitment_count() == 0


def test_a_suspended_payer_locks_nothing(market: Market) -> None:
    suspend(market, "platform_c")
    locks = sorted_locks(market, ("platform_c", "utility_a", 7_000))
    with boa.reverts("TradeBook: signer not active"):
        commit(market, batch_of(market, [trade_of(market)], locks=locks))


def test_locks_are_strictly_sorted(market: Market) -> None:
    one, two, three = sorted_locks(
        market, ("platform_a", "platform_b", 1), ("platform_a", "utility_b", 2), ("platform_b", "platform_a", 3)
    )
    for locks in ((two, one), (one, one), (three, one), (one, three, two), (three, two), (one, two, one)):
        if [astuple(lock)[:2] for lock in locks] == sorted({astuple(lock)[:2] for lock in locks}):
            continue
        with boa.reverts("TradeBook: locks not sorted"):
            commit(market, batch_of(market, [trade_of(market)], locks=locks))


def test_empty_locks_and_locks_with_oneself(market: Market) -> None:
    own = member_id(market, "platform_a")
    with boa.reverts("TradeBook: lock with oneself"):
        commit(market, batch_of(market, [trade_of(market)], locks=(Lock(own, own, 1),)))
    with boa.reverts("TradeBook: empty lock"):
        commit(market, batch_of(market, [trade_of(market)], locks=(Lock(own, member_id(market, "utility_a"), 0),)))
