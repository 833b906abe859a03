"""SettlementEscrow: deposits, withdrawals, locks, applying; hostile tokens and wallets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace

import boa  # type: ignore[import-untyped]
import pytest
from boa.util.abi import Address  # type: ignore[import-untyped]

from settlement import typed_data
from settlement.trade import KeyCompromised, Withdrawal
from tests.contracts import money
from tests.contracts.market import Market
from tests.contracts.money import MAX_AMOUNT, UNSIGNED

CYCLE = 20_000
# Half the order's twin of a signature: the other s that recovers the same key.
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture(scope="module")
def deployed() -> Market:
    return money.deploy_money()


@pytest.fixture
def market(deployed: Market) -> Iterator[Market]:
    with boa.env.anchor():
        yield deployed


def tokens(market: Market) -> int:
    """Tokens that the escrow has."""
    return market.token.balanceOf(market.escrow.address)


# --- deposit ---


def test_deposit_credits_the_member_named_whoever_pays(market: Market) -> None:
    stranger = boa.env.generate_address()
    money.deposit(market, "platform_a", 500, sender=stranger)
    assert money.events(market.escrow, "Deposited") == [
        {"member": market.members["platform_a"].id, "amount": 500, "sender": stranger}
    ]
    assert money.free(market, "platform_a") == 500
    assert market.escrow.held() == tokens(market) == 500
    money.deposit(market, "platform_a", 11)
    assert money.free(market, "platform_a") == 511
    assert market.escrow.held() == 511
    assert market.escrow.withdrawal_sequence(market.members["platform_a"].id) == 0


def test_deposit_of_nothing_is_refused(market: Market) -> None:
    with boa.reverts("SettlementEscrow: nothing to deposit"):
        market.escrow.deposit(market.members["platform_a"].id, 0)


def test_deposit_for_a_stranger_is_refused(market: Market) -> None:
    with boa.reverts("SettlementEscrow: member unknown"):
        market.escrow.deposit(b"\x07" * 32, 1)


def test_deposit_for_a_removed_member_is_refused_but_its_money_stays_its_own(market: Market) -> None:
    who = market.members["platform_b"]
    money.deposit(market, "platform_b", 90)
    with boa.env.prank(market.council):
        market.registry.remove(who.id)
    with boa.reverts("SettlementEscrow: member unknown"):
        market.escrow.deposit(who.id, 1)
    money.withdraw(market, "platform_b", 90, 0)
    assert market.token.balanceOf(who.payout) == 90


@pytest.mark.parametrize("amount", [2**96, 2**256 - 1])
def test_deposit_of_more_than_an_amount_is_refused(market: Market, amount: int) -> None:
    with boa.reverts("SettlementEscrow: too much held"):
        market.escrow.deposit(market.members["platform_a"].id, amount)


def test_held_never_exceeds_an_amount_so_that_no_word_overflows(market: Market) -> None:
    money.deposit(market, "platform_a", MAX_AMOUNT - 5)
    with boa.reverts("SettlementEscrow: too much held"):
        market.escrow.deposit(market.members["platform_b"].id, 6)
    money.deposit(market, "platform_b", 5)
    assert market.escrow.held() == MAX_AMOUNT
    money.lock(market, CYCLE, [("platform_a", "utility_a", MAX_AMOUNT - 5)])
    money.lock(market, CYCLE, [("platform_b", "utility_a", 5)])
    assert money.settle(market, CYCLE, "platform_a", "utility_a", MAX_AMOUNT) == (MAX_AMOUNT - 5, 5, 0)
    assert money.settle(market, CYCLE, "platform_b", "utility_a", MAX_AMOUNT) == (5, MAX_AMOUNT - 5, 0)
    assert money.free(market, "utility_a") == MAX_AMOUNT
    assert market.escrow.withdrawal_sequence(market.members["utility_a"].id) == 0


def test_tokens_sent_without_deposit_belong_to_nobody(market: Market) -> None:
    market.token.mint(market.escrow.address, 1_000)
    assert market.escrow.held() == 0
    assert money.free(market, "platform_a") == 0


# --- withdraw ---


def test_withdrawal_pays_the_registered_payout_address(market: Market) -> None:
    who = market.members["platform_a"]
    money.deposit(market, "platform_a", 500)
    money.withdraw(market, "platform_a", 200, 0)
    assert money.events(market.escrow, "Withdrawn") == [
        {"member": who.id, "amount": 200, "payout": Address(who.payout)}
    ]
    assert market.token.balanceOf(who.payout) == 200
    assert money.free(market, "platform_a") == 300
    assert market.escrow.held() == tokens(market) == 300
    assert market.escrow.withdrawal_sequence(who.id) == 1
    money.withdraw(market, "platform_a", 300, 1)
    assert (money.free(market, "platform_a"), market.escrow.held()) == (0, 0)
    assert market.escrow.withdrawal_sequence(who.id) == 2


def test_credits_leave_the_withdrawal_sequence_alone(market: Market) -> None:
    who = market.members["platform_a"]
    money.deposit(market, "platform_a", 9)
    for sequence in range(3):
        money.withdraw(market, "platform_a", 3, sequence)
        money.deposit(market, "platform_a", 3)
    money.deposit(market, "platform_b", 7)
    money.lock(market, CYCLE, [("platform_a", "platform_b", 2), ("platform_b", "platform_a", 7)])
    money.settle(market, CYCLE, "platform_b", "platform_a", 7)
    assert market.escrow.withdrawal_sequence(who.id) == 3
    assert money.free(market, "platform_a") == 14


def test_withdrawal_is_taken_once_and_in_order(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    with boa.reverts("SettlementEscrow: wrong sequence"):
        money.withdraw(market, "platform_a", 1, 1)
    money.withdraw(market, "platform_a", 1, 0)
    with boa.reverts("SettlementEscrow: wrong sequence"):
        money.withdraw(market, "platform_a", 1, 0)


def test_withdrawal_of_nothing_spends_its_sequence(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    money.withdraw(market, "platform_a", 0, 0)
    assert market.escrow.withdrawal_sequence(market.members["platform_a"].id) == 1
    with boa.reverts("SettlementEscrow: wrong sequence"):
        money.withdraw(market, "platform_a", 500, 0)


def test_withdrawal_takes_free_money_only(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    money.lock(market, CYCLE, [("platform_a", "platform_b", 100)])
    with boa.reverts("SettlementEscrow: more than is free"):
        money.withdraw(market, "platform_a", 401, 0)
    money.withdraw(market, "platform_a", 400, 0)
    assert market.escrow.held() == tokens(market) == 100


def test_withdrawal_is_signed_by_the_members_own_hot_key(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    withdrawal = Withdrawal(market.members["platform_a"].id, 10, 0)
    good = market.sign("platform_a", withdrawal)
    high_s = (55 - good[0], good[1], (ORDER - int.from_bytes(good[2], "big")).to_bytes(32, "big"))
    other_market = replace(market.domain, market_id=b"\x09" * 32)
    foreign = astuple(typed_data.sign(market.members["platform_a"].hot, other_market.digest(withdrawal)))
    bad = [
        market.sign("platform_b", withdrawal),
        market.sign_cold("platform_a", withdrawal),
        market.sign("platform_a", replace(withdrawal, amount=11)),
        market.sign("platform_a", replace(withdrawal, sequence=1)),
        market.sign("platform_a", replace(withdrawal, member=market.members["platform_b"].id)),
        foreign,
        high_s,
        (good[0] ^ 1, good[1], good[2]),
        (0, good[1], good[2]),
        UNSIGNED,
    ]
    for signature in bad:
        with boa.reverts("SettlementEscrow: not signed by member"):
            market.escrow.withdraw(astuple(withdrawal), signature, [])
    market.escrow.withdraw(astuple(withdrawal), good, [])
    assert money.free(market, "platform_a") == 490


def test_a_stranger_has_no_key_that_nobody_could_sign_with(market: Market) -> None:
    withdrawal = Withdrawal(b"\x07" * 32, 0, 0)
    with boa.reverts("SettlementEscrow: not signed by member"):
        market.escrow.withdraw(astuple(withdrawal), UNSIGNED, [])


def test_a_compromised_key_withdraws_nothing(market: Market) -> None:
    who = market.members["platform_a"]
    money.deposit(market, "platform_a", 500)
    call = KeyCompromised(who.id, who.address, 0)
    market.registry.mark_compromised(who.id, who.address, market.sign_cold("platform_a", call), b"")
    with boa.reverts("SettlementEscrow: not signed by member"):
        money.withdraw(market, "platform_a", 1, 0)


def test_withdrawals_go_on_while_paused_and_suspended(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    with boa.env.prank(market.guardian):
        market.registry.pause()
    with boa.env.prank(market.council):
        market.registry.suspend(market.members["platform_a"].id, True)
    money.withdraw(market, "platform_a", 500, 0)
    assert market.token.balanceOf(market.members["platform_a"].payout) == 500


def test_without_payout_address_nothing_leaves() -> None:
    """The registry never lets it be zero; the escrow does not rely on that."""
    with boa.env.anchor():
        market = money.deploy_money()
        money.deposit(market, "platform_a", 500)
        key = int(market.members["platform_a"].address, 16)
        registry = """
standing: public(HashMap[bytes32, uint256])
payout: public(HashMap[bytes32, address])
@deploy
def __init__(member: bytes32, word: uint256):
    self.standing[member] = word
"""
        boa.loads(registry, market.members["platform_a"].id, key, override_address=market.registry.address)
        with boa.reverts("SettlementEscrow: no payout address"):
            money.withdraw(market, "platform_a", 1, 0)


# --- members that are contracts ---


def test_a_contract_withdraws_by_its_own_signature(market: Market) -> None:
    who = market.members["platform_a"]
    money.deposit(market, "platform_a", 500)
    money.change_hot_key(market, "platform_a", money.mock("OwnerWallet", who.address).address)
    withdrawal = Withdrawal(who.id, 10, 0)
    signed = money.wallet_signature(market, "platform_a", withdrawal)
    with boa.reverts("SettlementEscrow: not signed by member"):  # the owner's key is not the member's any more
        market.escrow.withdraw(astuple(withdrawal), market.sign("platform_a", withdrawal), [])
    with boa.reverts("SettlementEscrow: not signed by member"):
        market.escrow.withdraw(astuple(withdrawal), UNSIGNED, [signed[:-1]])
    with boa.reverts("SettlementEscrow: not signed by member"):
        market.escrow.withdraw(astuple(replace(withdrawal, amount=11)), UNSIGNED, [signed])
    with boa.reverts("SettlementEscrow: not signed by member"):
        market.escrow.withdraw(astuple(withdrawal), UNSIGNED, [])
    with boa.reverts("SettlementEscrow: not signed by member"):  # v is 0 where a contract signs
        market.escrow.withdraw(astuple(withdrawal), (27, bytes(32), bytes(32)), [signed])
    market.escrow.withdraw(astuple(withdrawal), UNSIGNED, [signed])
    assert market.token.balanceOf(who.payout) == 10


def test_a_wallet_that_burns_gas_only_refuses_its_own_withdrawal(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    money.change_hot_key(market, "platform_a", money.mock("GasBurningWallet").address)
    withdrawal = Withdrawal(market.members["platform_a"].id, 10, 0)
    with boa.reverts("SettlementEscrow: not signed by member"):
        market.escrow.withdraw(astuple(withdrawal), UNSIGNED, [b"x"], gas=1_000_000)
    money.deposit(market, "platform_b", 5)
    money.withdraw(market, "platform_b", 5, 0)


# --- lock ---


def test_only_trade_book_locks(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    listed = [(market.members["platform_a"].id, market.members["platform_b"].id, 1)]
    for sender in (market.council, market.addresses["Settlement"], market.members["platform_a"].address):
        with boa.env.prank(sender), boa.reverts("SettlementEscrow: only TradeBook locks"):
            market.escrow.lock(CYCLE, listed)


def test_locks_move_free_money_into_pairs_with_one_event(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    money.deposit(market, "platform_b", 300)
    money.lock(
        market,
        CYCLE,
        [
            ("platform_a", "platform_b", 100),
            ("platform_a", "utility_a", 50),
            ("platform_b", "platform_a", 300),
        ],
    )
    assert money.events(market.escrow, "Locked") == [{"cycle": CYCLE, "total": 450}]
    assert (money.free(market, "platform_a"), money.free(market, "platform_b")) == (350, 0)
    assert money.word(market, CYCLE, "platform_a", "platform_b") == 100
    assert money.word(market, CYCLE, "platform_a", "utility_a") == 50
    assert money.word(market, CYCLE, "platform_b", "platform_a") == 300
    assert money.word(market, CYCLE + 1, "platform_a", "platform_b") == 0
    assert market.escrow.held() == 800
    money.lock(market, CYCLE, [("platform_a", "platform_b", 7)])
    assert money.word(market, CYCLE, "platform_a", "platform_b") == 107


def test_payers_need_not_be_sorted_for_locks_to_be_right(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    money.deposit(market, "platform_b", 500)
    money.lock(
        market,
        CYCLE,
        [("platform_a", "utility_a", 1), ("platform_b", "utility_a", 2), ("platform_a", "utility_b", 4)],
    )
    assert (money.free(market, "platform_a"), money.free(market, "platform_b")) == (495, 498)


def test_an_uncovered_lock_reverts_them_all(market: Market) -> None:
    money.deposit(market, "platform_a", 500)
    money.deposit(market, "platform_b", 10)
    short_at_the_end = [("platform_a", "platform_b", 100), ("platform_b", "platform_a", 11)]
    short_in_sum = [("platform_a", "platform_b", 300), ("platform_a", "utility_a", 201)]
    short_before_another = [("platform_a", "platform_b", 501), ("platform_b", "platform_a", 1)]
    enormous = [("platform_a", "platform_b", MAX_AMOUNT), ("platform_a", "utility_a", MAX_AMOUNT)]
    for locks in (short_at_the_end, short_in_sum, short_before_another, enormous):
        with boa.reverts("SettlementEscrow: lock not covered"):
            money.lock(market, CYCLE, locks)
    assert (money.free(market, "platform_a"), money.free(market, "platform_b")) == (500, 10)
    assert money.word(market, CYCLE, "platform_a", "platform_b") == 0


def test_no_locks_lock_nothing(market: Market) -> None:
    money.lock(market, CYCLE, [])
    assert money.events(market.escrow, "Locked") == [{"cycle": CYCLE, "total": 0}]


# --- pay ---


def test_only_the_ledger_pays(market: Market) -> None:
    money.deposit(market, "platform_a", 5)
    ids = market.members["platform_a"].id, market.members["platform_b"].id
    for sender in (market.council, market.addresses["Settlement"], market.members["platform_a"].address):
        with boa.env.prank(sender), boa.reverts("SettlementEscrow: only ObligationLedger pays"):
            market.escrow.pay(*ids, 1)
    with boa.env.prank(market.addresses["ObligationLedger"]):
        with boa.reverts("SettlementEscrow: payment not covered"):
            market.escrow.pay(*ids, 6)
        market.escrow.pay(*ids, 5)
    assert money.events(market.escrow, "Paid") == [{"debtor": ids[0], "creditor": ids[1], "amount": 5}]
    assert (money.free(market, "platform_a"), money.free(market, "platform_b")) == (0, 5)
    assert market.escrow.held() == tokens(market) == 5


def test_a_payment_keeps_the_withdrawal_sequences(market: Market) -> None:
    for name in ("platform_a", "platform_b"):
        money.deposit(market, name, 5)
        money.withdraw(market, name, 1, 0)
    who = market.members["platform_a"].id, market.members["platform_b"].id
    with boa.env.prank(market.addresses["ObligationLedger"]):
        market.escrow.pay(*who, 4)
        market.escrow.pay(who[1], who[1], 8)
    assert (money.free(market, "platform_a"), money.free(market, "platform_b")) == (0, 8)
    assert [market.escrow.withdrawal_sequence(one) for one in who] == [1, 1]


# --- release ---


def test_release_returns_the_whole_lock_and_nothing_else(market: Market) -> None:
    money.deposit(market, "platform_a", 50)
    money.lock(market, CYCLE, [("platform_a", "platform_b", 30), ("platform_a", "utility_a", 9)])
    money.lock(market, CYCLE, [("platform_a", "platform_c", 1)])
    money.settle(market, CYCLE, "platform_a", "platform_b", 12, state=2**64 - 1, keep=30)
    for closed_for, stage, reason in (
        (0, 0, "SettlementEscrow: cycle not closed for long"),
        (money.REST - 1, 0, "SettlementEscrow: cycle not closed for long"),
        (money.REST, 1, "SettlementEscrow: a row is pending"),
        (money.REST, 2, "SettlementEscrow: a row is pending"),
    ):
        with boa.reverts(reason):
            money.release(market, CYCLE, "platform_a", "platform_b", closed_for, stage)
    money.release(market, CYCLE, "platform_a", "platform_b", money.REST, 3)
    assert money.word(market, CYCLE, "platform_a", "platform_b") == (12 << 96) | (2**64 - 1 << 192)
    assert (money.free(market, "platform_a"), money.free(market, "platform_b")) == (28, 12)
    assert money.word(market, CYCLE, "platform_a", "utility_a") == 9
    money.release(market, CYCLE, "platform_a", "platform_c", money.REST)  # the least that there can be
    assert money.free(market, "platform_a") == 29
    assert market.escrow.held() == tokens(market) == 50
    with boa.reverts("SettlementEscrow: nothing locked"):
        money.release(market, CYCLE, "platform_a", "platform_b", money.REST)


# --- settle ---


def test_only_settlement_settles(market: Market) -> None:
    ids = market.members["platform_a"].id, market.members["platform_b"].id
    for sender in (market.council, market.addresses["TradeBook"], market.members["platform_a"].address):
        with boa.env.prank(sender), boa.reverts("SettlementEscrow: only Settlement settles"):
            market.escrow.settle(CYCLE, *ids, 1, 0, 0)


def test_an_amount_beyond_96_bits_is_refused(market: Market) -> None:
    with boa.reverts("SettlementEscrow: amount too large"):
        money.settle(market, CYCLE, "platform_a", "platform_b", 2**96)


@pytest.mark.parametrize(
    ("locked", "amount", "keep", "paid", "owed", "released", "kept"),
    [
        (100, 60, 0, 60, 0, 40, 0),
        (100, 60, 40, 60, 0, 0, 40),
        (100, 60, 39, 60, 0, 1, 39),
        (100, 60, 2**256 - 1, 60, 0, 0, 40),
        (100, 100, 5, 100, 0, 0, 0),
        (100, 101, 5, 100, 1, 0, 0),
        (0, 60, 0, 0, 60, 0, 0),
        (0, 0, 0, 0, 0, 0, 0),
        (100, 0, 30, 0, 0, 70, 30),
        (1, MAX_AMOUNT, 0, 1, MAX_AMOUNT - 1, 0, 0),
    ],
)
def test_settling_upwards_pays_from_the_lock_and_owes_the_rest(
    market: Market, locked: int, amount: int, keep: int, paid: int, owed: int, released: int, kept: int
) -> None:
    money.deposit(market, "platform_a", 500)
    money.lock(market, CYCLE, [("platform_a", "platform_b", locked)])
    state = 2**64 - 1
    assert money.settle(market, CYCLE, "platform_a", "platform_b", amount, state, keep) == (paid, owed, 0)
    word = kept | amount << 96 | state << 192
    assert money.events(market.escrow, "Applied") == [
        {
            "cycle": CYCLE,
            "payer": market.members["platform_a"].id,
            "payee": market.members["platform_b"].id,
            "paid": paid,
            "released": released,
            "word": word,
        }
    ]
    assert money.word(market, CYCLE, "platform_a", "platform_b") == word
    assert money.free(market, "platform_a") == 500 - locked + released
    assert money.free(market, "platform_b") == paid
    assert market.escrow.held() == 500


def test_settling_downwards_owes_back_and_pulls_nothing(market: Market) -> None:
    money.deposit(market, "platform_a", 100)
    money.lock(market, CYCLE, [("platform_a", "platform_b", 100)])
    money.settle(market, CYCLE, "platform_a", "platform_b", 70, 1, 30)
    assert money.settle(market, CYCLE, "platform_a", "platform_b", 50, 2, 10) == (0, 0, 20)
    assert money.events(market.escrow, "Applied")[0]["released"] == 20
    assert money.word(market, CYCLE, "platform_a", "platform_b") == 10 | 50 << 96 | 2 << 192
    assert (money.free(market, "platform_a"), money.free(market, "platform_b")) == (20, 70)
    assert money.settle(market, CYCLE, "platform_a", "platform_b", 65, 3, 0) == (10, 5, 0)
    assert money.word(market, CYCLE, "platform_a", "platform_b") == 65 << 96 | 3 << 192


def test_only_the_difference_is_paid_again(market: Market) -> None:
    money.deposit(market, "platform_a", 100)
    money.lock(market, CYCLE, [("platform_a", "platform_b", 100)])
    assert money.settle(market, CYCLE, "platform_a", "platform_b", 30, 1, 70) == (30, 0, 0)
    assert money.settle(market, CYCLE, "platform_a", "platform_b", 50, 2, 50) == (20, 0, 0)
    assert money.settle(market, CYCLE, "platform_a", "platform_b", 50, 3, 50) == (0, 0, 0)
    assert money.word(market, CYCLE, "platform_a", "platform_b") == 50 | 50 << 96 | 3 << 192
    assert money.free(market, "platform_b") == 50


def test_the_two_directions_of_a_pair_are_apart(market: Market) -> None:
    money.deposit(market, "platform_a", 100)
    money.lock(market, CYCLE, [("platform_a", "platform_b", 100)])
    assert money.settle(market, CYCLE, "platform_b", "platform_a", 40) == (0, 40, 0)
    assert money.word(market, CYCLE, "platform_a", "platform_b") == 100


# --- hostile tokens ---


def test_a_token_that_answers_false_moves_no_balance() -> None:
    with boa.env.anchor():
        market = money.deploy_money("FalseToken")
        money.deposit(market, "platform_a", 500)
        market.token.refuse(True)
        with boa.reverts("SettlementEscrow: deposit refused by token"):
            money.deposit(market, "platform_a", 1)
        with boa.reverts("SettlementEscrow: payout refused by token"):
            money.withdraw(market, "platform_a", 100, 0)
        assert money.free(market, "platform_a") == market.escrow.held() == tokens(market) == 500
        assert market.escrow.withdrawal_sequence(market.members["platform_a"].id) == 0
        market.token.refuse(False)
        money.withdraw(market, "platform_a", 100, 0)


def test_a_token_that_answers_nothing_is_believed() -> None:
    with boa.env.anchor():
        market = money.deploy_money("SilentToken")
        money.deposit(market, "platform_a", 500)
        money.withdraw(market, "platform_a", 200, 0)
        assert money.free(market, "platform_a") == market.escrow.held() == tokens(market) == 300


def test_a_token_that_reverts_for_one_receiver_stops_nobody_else() -> None:
    with boa.env.anchor():
        market = money.deploy_money("BlockingToken")
        for name in ("platform_a", "platform_b"):
            money.deposit(market, name, 500)
        money.lock(market, CYCLE, [("platform_b", "platform_a", 100)])
        market.token.block_receiver(market.members["platform_a"].payout)
        assert money.settle(market, CYCLE, "platform_b", "platform_a", 100) == (100, 0, 0)
        with boa.reverts("BlockingToken: receiver blocked"):
            money.withdraw(market, "platform_a", 600, 0)
        money.withdraw(market, "platform_b", 400, 0)
        assert money.free(market, "platform_a") == market.escrow.held() == 600


def test_a_token_that_calls_back_gets_nothing_twice(market: Market) -> None:
    escrow, token = market.escrow, market.token
    who = market.members["platform_a"]
    withdrawal, again = Withdrawal(who.id, 100, 0), Withdrawal(who.id, 100, 1)
    listed = [(who.id, market.members["platform_b"].id, 5)]
    # What each gets for calling back: no answer where the reentrancy lock holds, else the reason.
    calls = [
        (escrow.deposit.prepare_calldata(who.id, 5), ""),
        (escrow.withdraw.prepare_calldata(astuple(again), market.sign("platform_a", again), []), ""),
        (escrow.lock.prepare_calldata(CYCLE, listed), "SettlementEscrow: only TradeBook locks"),
        (
            escrow.settle.prepare_calldata(CYCLE, who.id, listed[0][1], 5, 0, 0),
            "SettlementEscrow: only Settlement settles",
        ),
    ]
    token.mint(token.address, 5)  # so that it could pay for a deposit
    money.deposit(market, "platform_a", 500)
    for data, reason in calls:
        with boa.env.anchor():
            token.arm(escrow.address, data)
            money.deposit(market, "platform_a", 50)
            assert (token.called(), token.succeeded()) == (True, False)
            assert token.answer()[68:].rstrip(b"\0") == reason.encode()
            assert money.free(market, "platform_a") == escrow.held() == tokens(market) == 550
        with boa.env.anchor():
            token.arm(escrow.address, data)
            escrow.withdraw(astuple(withdrawal), market.sign("platform_a", withdrawal), [])
            assert (token.called(), token.succeeded()) == (True, False)
            assert token.answer()[68:].rstrip(b"\0") == reason.encode()
            assert money.free(market, "platform_a") == escrow.held() == tokens(market) == 400


def test_locking_while_a_token_moves_is_harmless(market: Market) -> None:
    """`lock` takes no reentrancy lock: here TradeBook locks from within a deposit and a withdrawal."""
    escrow, token = market.escrow, market.token
    book = boa.load_partial(str(money.MOCKS / "OwnerWallet.vy")).deploy(
        boa.env.eoa, override_address=market.addresses["TradeBook"]
    )
    ids = market.members["platform_a"].id, market.members["platform_b"].id
    money.deposit(market, "platform_a", 100)
    inner = escrow.lock.prepare_calldata(CYCLE, [(*ids, 60)])
    token.arm(book.address, book.execute.prepare_calldata(escrow.address, inner))
    money.deposit(market, "platform_a", 50)
    assert token.succeeded()
    assert money.free(market, "platform_a") == 90
    assert money.word(market, CYCLE, "platform_a", "platform_b") == 60
    inner = escrow.lock.prepare_calldata(CYCLE, [(*ids, 40)])
    token.arm(book.address, book.execute.prepare_calldata(escrow.address, inner))
    money.withdraw(market, "platform_a", 50, 0)
    assert token.succeeded()
    assert money.free(market, "platform_a") == 0
    assert money.word(market, CYCLE, "platform_a", "platform_b") == escrow.held() == tokens(market) == 100


def test_what_a_token_sees_while_it_moves_is_never_more_than_the_tokens_here(market: Market) -> None:
    escrow, token = market.escrow, market.token
    money.deposit(market, "platform_a", 500)
    token.arm(escrow.address, escrow.held.prepare_calldata())
    money.deposit(market, "platform_a", 50)
    assert token.succeeded()
    assert int.from_bytes(token.answer(), "big") == 500  # not credited yet
    token.arm(escrow.address, escrow.held.prepare_calldata())
    money.withdraw(market, "platform_a", 100, 0)
    assert int.from_bytes(token.answer(), "big") == 450  # debited already
