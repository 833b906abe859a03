"""TradeBook: both lanes of commitment, their times and signatures, and curtailments."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import merkle, preimages, typed_data
from settlement.formula.templates import DEVIATION, FIXED_PRICE_SETTLED, INTER_UTILITY
from settlement.formula.templates import MARKET as MARKET_TEMPLATE
from settlement.hashing import ZERO_HASH, keccak256
from settlement.trade import Curtailment, HotKeyChange, KeyCompromised, Lock, Trade, TradeLocks
from tests.contracts.market import NO_SIGNATURE, Market, at_time
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
    batch_place,
    commit,
    commit_one,
    commitment_tree,
    curtail,
    deploy_trading,
    events,
    member_id,
    pause,
    register,
    registered_place,
    resume,
    trade_of,
    use_wallet,
    wallet_bytes,
)


@pytest.fixture(scope="module")
def deployed() -> Market:
    return deploy_trading()


@pytest.fixture
def market(deployed: Market) -> Any:
    with boa.env.anchor():
        yield deployed


def sorted_locks(market: Market, *locks: tuple[str, str, int]) -> tuple[Lock, ...]:
    """Locks by members' names, in the order that a batch wants."""
    listed = [Lock(member_id(market, payer), member_id(market, payee), amount) for payer, payee, amount in locks]
    return tuple(sorted(listed, key=lambda lock: (lock.payer, lock.payee)))


def suspend(market: Market, name: str) -> None:
    with boa.env.prank(market.council):
        market.registry.suspend(member_id(market, name), True)


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


# --- the registered lane ---


def test_register_trade(market: Market) -> None:
    trade = trade_of(market)
    digest = market.domain.digest(trade)
    assert len(trade.signers) == 4
    assert not market.book.is_place_registered(digest)
    assert register(market, trade) == 1
    record = preimages.registered_commitment(trade, digest, CYCLE, MORNING)
    [event] = events(market.book, "TradeRegistered")
    assert (event["number"], event["cycle"], event["locks"]) == (1, CYCLE, [])
    assert event["trade_digest"] == digest
    assert tuple(event["trade"])[:15] == astuple(trade)[:15]
    assert tuple(event["trade"].rates) == trade.rates
    assert market.book.commitment(1) == ZERO_HASH
    assert market.book.registered(preimages.trade_leaf(digest)) == preimages.registered_record(1, record)
    assert market.book.is_commitment(1, astuple(record))
    assert not market.book.is_commitment(2, astuple(record))
    assert not market.book.is_commitment(1, astuple(replace(record, committed_at=MORNING + 1)))
    assert not market.book.is_commitment(1, astuple(replace(record, sequence=1)))
    assert market.book.is_place_registered(digest)
    assert market.book.contracted(digest, 2_000) == 2_000
    with boa.reverts("TradeBook: registered already"):
        register(market, trade)


@pytest.mark.parametrize("buyer", ["platform_a", "platform_b"])
def test_registered_platforms_are_sorted(market: Market, buyer: str) -> None:
    seller = "platform_b" if buyer == "platform_a" else "platform_a"
    changes: dict[str, Any] = {"buyer_platform": member_id(market, buyer), "seller_platform": member_id(market, seller)}
    trade = trade_of(market, **changes)
    register(market, trade)
    record = preimages.registered_commitment(trade, market.domain.digest(trade), CYCLE, MORNING)
    assert record.platform_a < record.platform_b
    assert market.book.is_commitment(1, astuple(record))


def test_register_with_locks(market: Market) -> None:
    trade = trade_of(market)
    locks = sorted_locks(
        market,
        ("platform_a", "platform_b", 10_000_000),
        ("platform_a", "utility_b", 800_000),
        ("platform_c", "platform_b", 5),
    )
    register(market, trade, locks)
    [event] = events(market.book, "TradeRegistered")
    assert [tuple(lock) for lock in event["locks"]] == [astuple(lock) for lock in locks]
    for lock in locks:
        assert market.escrow.pair(CYCLE, lock.payer, lock.payee) == lock.amount


def register_locks(
    market: Market, trade: Trade, locks: tuple[Lock, ...], signed: TradeLocks, payers: tuple[bytes, ...]
) -> None:
    market.book.register_trade(
        astuple(trade),
        market.sign_all(trade.signers, trade),
        [astuple(lock) for lock in locks],
        market.sign_all(payers, signed),
        [],
    )


def test_every_payer_signs_the_locks_of_a_registered_trade(market: Market) -> None:
    trade = trade_of(market)
    locks = sorted_locks(market, ("platform_a", "platform_b", 100), ("platform_c", "platform_b", 5))
    signed = TradeLocks(market.domain.digest(trade), locks)
    payers = tuple(lock.payer for lock in locks)
    with boa.reverts("TradeBook: wrong number of signatures"):
        register_locks(market, trade, locks, signed, payers[:1])
    with boa.reverts("TradeBook: wrong signature"):
        register_locks(market, trade, locks, signed, payers[::-1])
    for other in (replace(signed, trade_digest=keccak256(b"another")), replace(signed, locks=locks[:1])):
        with boa.reverts("TradeBook: wrong signature"):
            register_locks(market, trade, locks, other, payers)
    with boa.reverts("TradeBook: locks not sorted"):
        register_locks(market, trade, locks[::-1], signed, payers)
    suspend(market, "platform_c")
    with boa.reverts("TradeBook: signer not active"):
        register_locks(market, trade, locks, signed, payers)


def test_a_contract_signs_locks_but_no_trade(market: Market) -> None:
    trade = trade_of(market)
    locks = sorted_locks(market, ("platform_c", "platform_b", 5))
    use_wallet(market, "platform_c")
    answer = wallet_bytes(market, "platform_c", TradeLocks(market.domain.digest(trade), locks))
    signatures = market.sign_all(trade.signers, trade)
    arguments = (astuple(trade), signatures, [astuple(lock) for lock in locks], [astuple(NO_SIGNATURE)], [answer])
    assert market.book.register_trade(*arguments) == 1

    use_wallet(market, "utility_b")
    other = trade_of(market, 1)
    answer = wallet_bytes(market, "utility_b", other)
    signatures = [*market.sign_all(other.signers[:3], other), astuple(NO_SIGNATURE)]
    with boa.reverts("TradeBook: malformed signature"):
        market.book.register_trade(astuple(other), signatures, [], [], [answer])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"slot_end": SLOT + 2 * HOUR}, "TradeBook: not one slot"),
        ({"slot_end": SLOT}, "TradeBook: not one slot"),
        ({"slot_start": SLOT + 1, "slot_end": SLOT + 1 + HOUR}, "TradeBook: not on the slot grid"),
        ({"slot_start": HOUR, "slot_end": 2 * HOUR}, "TradeBook: before the anchor"),
        ({"slot_start": MORNING, "slot_end": MORNING + HOUR}, "TradeBook: gate closed"),
        ({"slot_start": SLOT + 30 * DAY, "slot_end": SLOT + 30 * DAY + HOUR}, "TradeBook: too far ahead"),
        ({"valid_until": MORNING - 1}, "TradeBook: no longer valid"),
        ({"buyer_platform": keccak256(b"stranger")}, "TradeBook: signer not active"),
    ],
)
def test_refused_registrations(market: Market, changes: dict[str, Any], reason: str) -> None:
    trade = trade_of(market, **changes)
    signatures = [market.sign("platform_a", trade)] * len(trade.signers)
    with boa.reverts(reason):
        market.book.register_trade(astuple(trade), signatures, [], [], [])


def test_valid_until_the_second(market: Market) -> None:
    assert register(market, trade_of(market, valid_until=MORNING)) == 1


def test_all_signers_sign(market: Market) -> None:
    trade = trade_of(market)
    signatures = market.sign_all(trade.signers, trade)
    for given in (signatures[:3], []):
        with boa.reverts("TradeBook: not its signers' signatures"):
            market.book.register_trade(astuple(trade), given, [], [], [])
    with boa.reverts("TradeBook: signature too many"):
        market.book.register_trade(astuple(trade), [*signatures, signatures[0]], [], [], [])
    with boa.reverts("TradeBook: not a party's key"):
        market.book.register_trade(astuple(trade), [*signatures[:3], signatures[0]], [], [], [])
    for bad in ((29, *signatures[3][1:]), astuple(NO_SIGNATURE)):
        with boa.reverts("TradeBook: malformed signature"):
            market.book.register_trade(astuple(trade), [*signatures[:3], bad], [], [], [])


@pytest.mark.parametrize(
    "changes",
    [
        {"buyer_platform": "utility_c"},
        {"seller_utility": "platform_c"},
        {"grid_operator": "platform_c"},
        {"market_agent": "utility_a"},
    ],
)
def test_parties_hold_their_roles(market: Market, changes: dict[str, str]) -> None:
    filled: dict[str, Any] = {role: member_id(market, name) for role, name in changes.items()}
    trade = trade_of(market, **filled)
    with boa.reverts("TradeBook: party without its role"):
        register(market, trade)


def test_a_market_agent_signs_too(market: Market) -> None:
    trade = trade_of(
        market,
        template=MARKET_TEMPLATE.template_id,
        market_agent=member_id(market, "platform_c"),
        grid_operator=member_id(market, "utility_c"),
        rates=(1, 2, 3),
    )
    assert len(trade.signers) == 6
    assert register(market, trade) == 1


def test_a_suspended_signer_registers_nothing(market: Market) -> None:
    suspend(market, "utility_b")
    with boa.reverts("TradeBook: signer not active"):
        register(market, trade_of(market))


def test_a_former_key_counts_within_the_grace(market: Market) -> None:
    trade = trade_of(market, slot_start=SLOT + 7 * DAY, slot_end=SLOT + 7 * DAY + HOUR, valid_until=SLOT + 8 * DAY)
    who = market.members["utility_a"]
    key = "0x" + typed_data.address_of(keccak256(b"new hot key")).hex()
    change = HotKeyChange(who.id, key, 0)
    market.registry.change_hot_key(who.id, key, market.sign_cold("utility_a", change), b"")
    at_time(MORNING + CONFIG.key_grace - HOUR)
    with boa.env.anchor():
        assert register(market, trade) == 1
    at_time(MORNING + CONFIG.key_grace + HOUR)
    with boa.reverts("TradeBook: not a party's key"):
        register(market, trade)


def test_no_registration_while_paused(market: Market) -> None:
    pause(market)
    with boa.reverts("TradeBook: paused registration"):
        register(market, trade_of(market))
    resume(market)
    assert register(market, trade_of(market)) == 1


# --- curtailment ---


def test_one_neutral_utility_curtails_before_the_slot(market: Market) -> None:
    trade, place = commit_one(market)
    digest = market.domain.digest(trade)
    before = market.oracle.accumulator(CYCLE)
    at_time(SLOT - 1)
    curtail(market, place, trade, 1_500, ["utility_a"])
    [event] = events(market.book, "Curtailed")
    assert event == {
        "trade_digest": digest,
        "cycle": CYCLE,
        "number": 1,
        "index": 0,
        "contracted_wh": 1_500,
        "reason": 7,
    }
    assert market.book.contracted(digest, 2_000) == 1_500
    assert market.book.contracted(digest, 1_000) == 1_000
    struct_hash = typed_data.struct_hash(Curtailment(1, 0, 1_500, 7))
    act = preimages.accumulate(before, preimages.Act.CURTAILMENT, 1, SLOT - 1, struct_hash)
    assert market.oracle.accumulator(CYCLE) == act
    with boa.env.anchor():
        curtail(market, place, trade, 0, ["utility_b"])
        assert market.book.contracted(digest, 2_000) == 0
    at_time(SLOT)
    with boa.reverts("TradeBook: too late to curtail"):
        curtail(market, place, trade, 0, ["utility_b"])


def test_a_curtailment_only_lowers(market: Market) -> None:
    trade, place = commit_one(market)
    for wh in (2_000, 2_001):
        with boa.reverts("TradeBook: does not lower"):
            curtail(market, place, trade, wh, ["utility_a"])
    curtail(market, place, trade, 1_999, ["utility_a"])
    for wh in (2_000, 1_999):
        with boa.reverts("TradeBook: does not lower"):
            curtail(market, place, trade, wh, ["utility_b"])
    curtail(market, place, trade, 0, ["utility_b"])
    with boa.reverts("TradeBook: does not lower"):
        curtail(market, place, trade, 0, ["utility_a"])


def test_both_utilities_curtail_before_the_slot_ends(market: Market) -> None:
    trade, place = commit_one(market)
    at_time(SLOT + HOUR - 1)
    with boa.reverts("TradeBook: wrong signature"):
        curtail(market, place, trade, 100, ["utility_b", "utility_a"])
    curtail(market, place, trade, 100, ["utility_a", "utility_b"])
    at_time(SLOT + HOUR)
    with boa.reverts("TradeBook: too late to curtail"):
        curtail(market, place, trade, 0, ["utility_a", "utility_b"])


def test_one_member_that_is_both_utilities_signs_once(market: Market) -> None:
    both = member_id(market, "utility_a")
    trade, place = commit_one(market, trade_of(market, seller_utility=both, grid_operator=both))
    at_time(SLOT + HOUR - 1)
    curtail(market, place, trade, 100, ["utility_a"])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 100


def test_all_signers_curtail_before_the_cycle_ends(market: Market) -> None:
    trade, place = commit_one(market)
    with boa.env.anchor():
        curtail(market, place, trade, 100, trade.signers)
    at_time(END - 1)
    with boa.reverts("TradeBook: wrong signature"):
        curtail(market, place, trade, 100, trade.signers[::-1])
    curtail(market, place, trade, 100, trade.signers)
    at_time(END)
    with boa.reverts("TradeBook: too late to curtail"):
        curtail(market, place, trade, 0, trade.signers)


def test_a_registered_trade_is_curtailed_likewise(market: Market) -> None:
    trade = trade_of(market)
    place = registered_place(market, register(market, trade), trade)
    curtail(market, place, trade, 100, ["utility_a"])
    digest = market.domain.digest(trade)
    assert market.book.is_place_registered(digest)
    assert market.book.contracted(digest, 2_000) == 100


def test_curtailed_before_it_is_registered(market: Market) -> None:
    """The word of a trade keeps both: a batched trade may be registered after it was curtailed."""
    trade, place = commit_one(market)
    curtail(market, place, trade, 100, ["utility_a"])
    register(market, trade)
    digest = market.domain.digest(trade)
    assert market.book.is_place_registered(digest)
    assert market.book.contracted(digest, 2_000) == 100


@pytest.mark.parametrize("signer", ["platform_a", "platform_b", "utility_c", "bank"])
def test_nobody_else_curtails_alone(market: Market, signer: str) -> None:
    trade, place = commit_one(market)
    with boa.reverts("TradeBook: no neutral utility signed"):
        curtail(market, place, trade, 0, [signer])


def test_other_numbers_of_signatures(market: Market) -> None:
    trade, place = commit_one(market)
    for signers in ([], ["utility_a", "utility_b", "platform_a"], ["utility_a"] * 5):
        with boa.reverts("TradeBook: signers do not fit"):
            curtail(market, place, trade, 0, signers)


@pytest.mark.parametrize(
    ("template", "rates", "changes", "neutral", "interested"),
    [
        # A flow's payer: the buyer's utility in `deviation`.
        (DEVIATION, 3, {"grid_operator": None}, ["utility_b"], ["utility_a"]),
        # It receives, which is no reason.
        (INTER_UTILITY, 4, {"grid_operator": None}, ["utility_a", "utility_b"], []),
        # A platform of the trade that is its utility too.
        (FIXED_PRICE_SETTLED, 2, {"seller_platform": "utility_b"}, ["utility_a"], ["utility_b"]),
        (FIXED_PRICE_SETTLED, 2, {"buyer_platform": "utility_b"}, ["utility_a"], ["utility_b"]),
        # Its market agent.
        (MARKET_TEMPLATE, 3, {"market_agent": "utility_a"}, ["utility_b"], ["utility_a"]),
    ],
)
def test_who_is_neutral(
    market: Market,
    template: Any,
    rates: int,
    changes: dict[str, str | None],
    neutral: list[str],
    interested: list[str],
) -> None:
    filled: dict[str, Any] = {role: member_id(market, name) if name else ZERO_HASH for role, name in changes.items()}
    trade, place = commit_one(market, trade_of(market, template=template.template_id, rates=(1,) * rates, **filled))
    for name in interested:
        with boa.reverts("TradeBook: no neutral utility signed"):
            curtail(market, place, trade, 0, [name])
    if interested:
        with boa.reverts("TradeBook: signers do not fit"):
            curtail(market, place, trade, 0, ["utility_a", "utility_b"])
    for name in neutral:
        with boa.env.anchor():
            curtail(market, place, trade, 0, [name])
            assert market.book.contracted(market.domain.digest(trade), 2_000) == 0


@pytest.mark.parametrize("payer", [3, 4, 5])
def test_a_member_in_a_paying_role_has_a_stake(market: Market, payer: int) -> None:
    """Grid operator, buyer's utility, seller's utility: whoever fills a role that pays does not curtail alone."""
    program = FIXED_PRICE_SETTLED.flows[0].program
    flow = FIXED_PRICE_SETTLED.flows[0]
    with boa.env.prank(market.council):
        template = market.flows.register(
            "test.payer", payer, ["price", "wheeling"], [(payer, 1, program), (1, 3, flow.program)]
        )
    trade, place = commit_one(market, trade_of(market, template=template))
    stake, other = ("utility_a", "utility_b") if payer == 4 else ("utility_b", "utility_a")
    with boa.reverts("TradeBook: no neutral utility signed"):
        curtail(market, place, trade, 0, [stake])
    curtail(market, place, trade, 0, [other])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 0


def test_no_neutral_utility_at_all(market: Market) -> None:
    own = member_id(market, "utility_a")
    roles: dict[str, Any] = dict.fromkeys(("buyer_platform", "buyer_utility", "seller_utility", "grid_operator"), own)
    trade, place = commit_one(market, trade_of(market, **roles))
    with boa.reverts("TradeBook: no neutral utility signed"):
        curtail(market, place, trade, 0, ["utility_a"])
    curtail(market, place, trade, 0, trade.signers)


def test_what_was_signed_must_be_shown(market: Market) -> None:
    trades = [trade_of(market, number) for number in range(3)]
    batch = batch_of(market, trades)
    place = batch_place(market, commit(market, batch), batch, trades, 1, MORNING)
    trade = trades[1]
    for other in (Curtailment(2, 1, 0, 7), Curtailment(1, 0, 0, 7)):
        with boa.reverts("TradeBook: another place was signed"):
            curtail(market, place, trade, 0, ["utility_a"], other)
    later = replace(place, commitment=replace(place.commitment, committed_at=MORNING + 1))
    for unknown in (later, replace(place, number=2)):
        with boa.reverts("TradeBook: unknown commitment"):
            curtail(market, unknown, trade, 0, ["utility_a"])
    for wrong in (replace(place, index=0), replace(place, path=place.path[:1])):
        with boa.reverts("TradeBook: trade not in it"):
            curtail(market, wrong, trade, 0, ["utility_a"])
    with boa.reverts("TradeBook: trade not in it"):
        curtail(market, place, replace(trade, contracted_wh=3_000), 0, ["utility_a"])
    curtail(market, place, trade, 0, ["utility_a"])


def test_a_trade_of_another_cycle_is_not_curtailed_here(market: Market) -> None:
    stray = trade_of(market, slot_start=SLOT + DAY, slot_end=SLOT + DAY + HOUR)
    trade, place = commit_one(market, stray)
    with boa.reverts("TradeBook: slot of another cycle"):
        curtail(market, place, trade, 0, ["utility_a"])
    early = trade_of(market, slot_start=CONFIG.anchor - HOUR, slot_end=CONFIG.anchor)
    trade, place = commit_one(market, early)
    with boa.reverts("TradeBook: before the anchor"):
        curtail(market, place, trade, 0, ["utility_a"])


def test_an_unknown_template_is_not_curtailed(market: Market) -> None:
    trade, place = commit_one(market, trade_of(market, template=keccak256(b"unknown")))
    with boa.reverts("TradeBook: unknown template"):
        curtail(market, place, trade, 0, ["utility_a"])


def test_suspension_and_pause_do_not_stop_curtailments(market: Market) -> None:
    trade, place = commit_one(market)
    suspend(market, "utility_a")
    pause(market)
    curtail(market, place, trade, 0, ["utility_a"])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 0


def test_a_contract_utility_curtails(market: Market) -> None:
    trade, place = commit_one(market)
    use_wallet(market, "utility_b")
    value = Curtailment(1, 0, 0, 7)
    answer = wallet_bytes(market, "utility_b", value)
    arguments = (astuple(value), astuple(place), astuple(trade), [astuple(NO_SIGNATURE)])
    with boa.reverts("TradeBook: no neutral utility signed"):
        market.book.curtail(*arguments, [])
    market.book.curtail(*arguments, [answer])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 0


def test_the_lowest_counts_wherever_the_trade_stands(market: Market) -> None:
    """A trade at two places is curtailed once: by its digest."""
    trade, first = commit_one(market)
    _, second = commit_one(market, trade)
    curtail(market, second, trade, 1_000, ["utility_a"])
    with boa.reverts("TradeBook: does not lower"):
        curtail(market, first, trade, 1_200, ["utility_a"])
    curtail(market, first, trade, 800, ["utility_b"])
    assert market.book.contracted(market.domain.digest(trade), 2_000) == 800


def test_trees_of_all_shapes(market: Market) -> None:
    for sequence, size in enumerate((1, 2, 3, 4, 5, 8, 9), start=1):
        trades = [trade_of(market, number) for number in range(size)]
        batch = batch_of(market, trades, sequence=sequence)
        number = commit(market, batch)
        assert merkle.verify(
            batch.root,
            size,
            size - 1,
            preimages.trade_leaf(market.domain.digest(trades[-1])),
            commitment_tree(market, trades).path(size - 1),
        )
        place = batch_place(market, number, batch, trades, size - 1, MORNING)
        with boa.env.anchor():
            curtail(market, place, trades[-1], 1, ["utility_a"])
