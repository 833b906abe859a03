"""ObligationLedger: what becomes of a notice, by silence, denial, the bank's word or the arbiters'."""

from __future__ import annotations

from dataclasses import astuple, replace

import boa  # type: ignore[import-untyped]

from settlement.trade import BankAttestation, Denial, NoticeRuling
from tests.contracts import money
from tests.contracts.market import Market, at_time
from tests.contracts.money import DUE_TIME, SILENCE, UNIT, UNSIGNED
from tests.contracts.obligation_ledger.case import REFERENCE, now, references, stored

# --- what becomes of a notice ---


def notice_of(market: Market, reference: bytes) -> tuple[int, int, bool, bool, bool]:
    """Amount, arrived, denied, ruled, live."""
    found = market.obligations.notice(market.members["platform_b"].id, market.members["platform_a"].id, reference)
    return found.amount, found.arrived, found.denied, found.ruled, found.live


def test_the_oldest_silent_notice_stops_the_clock(market: Market) -> None:
    first, second = references(market, UNIT, UNIT)
    found = market.obligations.notice(market.members["platform_b"].id, market.members["platform_a"].id, second)
    assert found.notified_at == now()
    at_time(now() + SILENCE - 3_601)
    assert market.obligations.is_overdue(1)
    at_time(now() + 1)
    assert not market.obligations.is_overdue(1)
    # Denied it counts no more; the second has not been silent for so long yet.
    money.deny(market, "platform_b", first)
    assert market.obligations.is_overdue(1)
    at_time(now() + 3_600)
    assert not market.obligations.is_overdue(1)
    money.deny(market, "platform_b", second)
    assert market.obligations.is_overdue(1)


def test_a_denial_ends_a_notice(market: Market) -> None:
    (reference,) = references(market, 2 * UNIT, debts=2)
    at_time(now() + SILENCE)
    money.acknowledge(market, "platform_b", reference, UNIT // 2)
    assert not market.obligations.is_overdue(1)
    money.deny(market, "platform_b", reference)
    assert money.events(market.obligations, "Denied") == [
        {
            "creditor": market.members["platform_b"].id,
            "debtor": market.members["platform_a"].id,
            "reference_hash": reference,
        }
    ]
    assert notice_of(market, reference) == (2 * UNIT, UNIT // 2, True, False, False)
    assert [market.obligations.is_overdue(number) for number in (1, 2)] == [True, True]
    assert [stored(market, number)[5] for number in (1, 2)] == [False, False]
    with boa.reverts("ObligationLedger: no live notice"):
        money.deny(market, "platform_b", reference)
    # The money turned up after all.
    money.acknowledge(market, "platform_b", reference, 2 * UNIT)
    assert [stored(market, number)[3] for number in (1, 2)] == [UNIT, UNIT]
    with boa.reverts("ObligationLedger: reference used"):
        given = money.notice(market, "platform_a", "platform_b", [1], 1, reference_hash=reference)
        money.notify(market, "platform_a", given)


def test_what_is_denied_is_set_off_again_after_what_waits_already(market: Market) -> None:
    (reference,) = references(market, 2 * UNIT, debts=2)
    third = money.debt(market, "platform_a", "platform_b", UNIT)
    money.deny(market, "platform_b", reference)
    money.record(market, "platform_b", "platform_a", 3 * UNIT)
    assert money.fall_due(market, "platform_b", "platform_a") == 0
    assert [event["number"] for event in money.events(market.obligations, "SetOff")] == [third, 1, 2]


def test_what_another_live_notice_names_is_not_set_off(market: Market) -> None:
    first, second = references(market, UNIT, UNIT)
    for ended, other in ((first, second), (second, first)):
        with boa.env.anchor():
            money.deny(market, "platform_b", ended)
            assert stored(market, 1)[5]
            money.record(market, "platform_b", "platform_a", UNIT)
            assert money.fall_due(market, "platform_b", "platform_a") == 2
            assert money.events(market.obligations, "SetOff") == []
            money.deny(market, "platform_b", other)
            assert not stored(market, 1)[5]
            money.record(market, "platform_b", "platform_a", UNIT)
            assert money.fall_due(market, "platform_b", "platform_a") == 0
            assert [event["number"] for event in money.events(market.obligations, "SetOff")] == [1]


def test_an_acknowledgement_in_full_ends_a_notice(market: Market) -> None:
    """What it did not pay of its obligations is overdue and set off as ever."""
    (reference,) = references(market, UNIT + 1, debts=2)
    at_time(now() + SILENCE)
    money.acknowledge(market, "platform_b", reference, UNIT)
    assert (stored(market, 2)[5], market.obligations.is_overdue(2)) == (True, False)
    money.acknowledge(market, "platform_b", reference, UNIT + 1)
    assert notice_of(market, reference) == (UNIT + 1, UNIT + 1, False, False, False)
    assert (stored(market, 2)[3:6:2], market.obligations.is_overdue(2)) == ((1, False), True)
    money.record(market, "platform_b", "platform_a", UNIT)
    money.fall_due(market, "platform_b", "platform_a")
    assert money.events(market.obligations, "SetOff") == [{"number": 2, "amount": UNIT - 1}]
    with boa.reverts("ObligationLedger: no live notice"):
        money.deny(market, "platform_b", reference)


def test_an_obligation_is_named_by_six_live_notices_at_most(market: Market) -> None:
    made = references(market, *[1] * 6)
    seventh = money.notice(market, "platform_a", "platform_b", [1], 1, reference_hash=b"\x77" * 32)
    with boa.reverts("ObligationLedger: too many notices"):
        money.notify(market, "platform_a", seventh)
    for ended in (made[2], made[0], made[5]):
        money.deny(market, "platform_b", ended)
    money.notify(market, "platform_a", seventh)
    # Those that are left, in any order: the clock goes by the oldest of them.
    at_time(now() + SILENCE)
    for ended in (made[1], b"\x77" * 32, made[4]):
        assert not market.obligations.is_overdue(1)
        money.deny(market, "platform_b", ended)
    assert not market.obligations.is_overdue(1)
    money.acknowledge(market, "platform_b", made[3], 1)
    assert market.obligations.is_overdue(1)
    assert not stored(market, 1)[5]


def test_notices_of_one_time_are_alike(market: Market) -> None:
    number = money.debt(market, "platform_a", "platform_b", UNIT)
    at_time(now() + DUE_TIME + 1)
    for place in (1, 2, 3):
        given = money.notice(market, "platform_a", "platform_b", [number], 1, reference_hash=bytes([place]) * 32)
        money.notify(market, "platform_a", given)
    at_time(now() + SILENCE)
    for place in (2, 1, 3):
        assert not market.obligations.is_overdue(number)
        assert stored(market, number)[5]
        money.deny(market, "platform_b", bytes([place]) * 32)
    assert market.obligations.is_overdue(number)
    assert not stored(market, number)[5]


def test_a_denial_is_the_creditors_word(market: Market) -> None:
    (reference,) = references(market, UNIT)
    value = Denial(market.members["platform_b"].id, market.members["platform_a"].id, reference)
    bad = [
        market.sign("platform_a", value),
        market.sign("platform_b", replace(value, reference_hash=b"\x02" * 32)),
        market.sign("platform_b", replace(value, debtor=value.creditor)),
        market.sign_cold("platform_b", value),
        UNSIGNED,
    ]
    for signature in bad:
        with boa.reverts("ObligationLedger: not signed by creditor"):
            market.obligations.deny(astuple(value), signature, [])
    with boa.reverts("ObligationLedger: no live notice"):
        money.deny(market, "platform_b", b"\x09" * 32)
    with boa.reverts("ObligationLedger: no live notice"):
        money.deny(market, "platform_b", reference, debtor="platform_c")
    key = market.members["platform_b"].address
    money.change_hot_key(market, "platform_b", money.mock("OwnerWallet", key).address)
    market.obligations.deny(astuple(value), UNSIGNED, [money.wallet_signature(market, "platform_b", value)])
    assert notice_of(market, reference)[2]


# --- the bank's word ---


def test_a_bank_attests_what_arrived(market: Market) -> None:
    """As an acknowledgement: of both the larger counts, once."""
    (reference,) = references(market, 3 * UNIT, debts=3)
    money.attest(market, "platform_b", reference, UNIT)
    assert money.events(market.obligations, "BankAttested") == [
        {
            "creditor": market.members["platform_b"].id,
            "debtor": market.members["platform_a"].id,
            "reference_hash": reference,
            "bank": market.members["bank"].id,
            "attested": UNIT,
        }
    ]
    assert money.events(market.obligations, "Closed") == [{"number": 1, "amount": UNIT, "open_amount": 0}]
    for said in (money.acknowledge, money.attest):
        with boa.reverts("ObligationLedger: nothing new"):
            said(market, "platform_b", reference, UNIT)
        with boa.reverts("ObligationLedger: more than notified"):
            said(market, "platform_b", reference, 3 * UNIT + 1)
    money.acknowledge(market, "platform_b", reference, 2 * UNIT)
    assert money.events(market.obligations, "Closed") == [{"number": 2, "amount": UNIT, "open_amount": 0}]
    money.deny(market, "platform_b", reference)
    # The creditor denies the rest, the bank has it.
    money.attest(market, "platform_b", reference, 3 * UNIT)
    assert notice_of(market, reference) == (3 * UNIT, 3 * UNIT, True, False, False)
    assert all(stored(market, number)[3] == UNIT for number in (1, 2, 3))


def test_an_attestation_in_full_ends_a_notice(market: Market) -> None:
    (reference,) = references(market, 1)
    money.attest(market, "platform_b", reference, 1)
    assert (stored(market, 1)[5], notice_of(market, reference)[4]) == (False, False)


def test_only_a_settlement_bank_in_good_standing_attests(market: Market) -> None:
    (reference,) = references(market, UNIT)
    value = BankAttestation(market.members["platform_b"].id, market.members["platform_a"].id, reference, UNIT)
    bank = market.members["bank"].id
    for name in ("platform_a", "platform_b", "utility_a"):
        with boa.reverts("ObligationLedger: not a settlement bank"):
            money.attest(market, "platform_b", reference, UNIT, bank=name)
    with boa.reverts("ObligationLedger: not a settlement bank"):
        market.obligations.attest(astuple(value), bytes(32), UNSIGNED, [])
    for signature in (
        market.sign("platform_b", value),
        market.sign_cold("bank", value),
        market.sign("bank", replace(value, attested=UNIT - 1)),
        market.sign("bank", replace(value, debtor=bank)),
        UNSIGNED,
    ):
        with boa.reverts("ObligationLedger: not signed by bank"):
            market.obligations.attest(astuple(value), bank, signature, [])
    with boa.env.anchor():
        with boa.env.prank(market.council):
            market.registry.suspend(bank, True)
        with boa.reverts("ObligationLedger: not a settlement bank"):
            money.attest(market, "platform_b", reference, UNIT)
    with boa.env.anchor():
        with boa.env.prank(market.council):
            market.registry.remove(bank)
        with boa.reverts("ObligationLedger: not a settlement bank"):
            money.attest(market, "platform_b", reference, UNIT)
    money.change_hot_key(market, "bank", money.mock("OwnerWallet", market.members["bank"].address).address)
    market.obligations.attest(astuple(value), bank, UNSIGNED, [money.wallet_signature(market, "bank", value)])
    assert stored(market, 1)[3] == UNIT


def test_a_bank_does_not_attest_what_it_owes_itself(market: Market) -> None:
    number = money.debt(market, "bank", "platform_b", UNIT)
    money.notify(market, "bank", money.notice(market, "bank", "platform_b", [number], UNIT))
    with boa.reverts("ObligationLedger: not a settlement bank"):
        money.attest(market, "platform_b", REFERENCE, UNIT, debtor="bank")


# --- the arbiters' word ---


def test_arbiters_rule_on_silence(market: Market) -> None:
    (reference,) = references(market, 2 * UNIT, debts=2)
    at_time(now() + SILENCE - 1)
    with boa.reverts("ObligationLedger: nothing to rule on"):
        money.rule(market, "platform_b", reference, UNIT)
    at_time(now() + 1)
    with boa.env.anchor():
        money.rule(market, "platform_b", reference, 2 * UNIT)
        assert notice_of(market, reference) == (2 * UNIT, 2 * UNIT, False, True, False)
        assert all(stored(market, number)[3:6:2] == (UNIT, False) for number in (1, 2))
    money.rule(market, "platform_b", reference, UNIT)
    assert money.events(market.obligations, "NoticeRuled") == [
        {
            "creditor": market.members["platform_b"].id,
            "debtor": market.members["platform_a"].id,
            "reference_hash": reference,
            "arrived": UNIT,
            "mask": 0b101,
        }
    ]
    assert money.events(market.obligations, "Closed") == [{"number": 1, "amount": UNIT, "open_amount": 0}]
    assert notice_of(market, reference) == (2 * UNIT, UNIT, False, True, False)
    # The clock of what did not arrive goes on; nobody denies, nobody rules again, and late money is still booked.
    assert (market.obligations.is_overdue(2), stored(market, 2)[5]) == (True, False)
    with boa.reverts("ObligationLedger: no live notice"):
        money.deny(market, "platform_b", reference)
    with boa.reverts("ObligationLedger: ruled already"):
        money.rule(market, "platform_b", reference, 2 * UNIT)
    money.acknowledge(market, "platform_b", reference, 2 * UNIT)
    assert stored(market, 2)[3] == UNIT


def test_arbiters_rule_that_nothing_arrived(market: Market) -> None:
    (reference,) = references(market, UNIT)
    at_time(now() + SILENCE)
    assert not market.obligations.is_overdue(1)
    money.rule(market, "platform_b", reference, 0)
    assert money.events(market.obligations, "Closed") == []
    assert notice_of(market, reference) == (UNIT, 0, False, True, False)
    assert market.obligations.is_overdue(1)
    money.record(market, "platform_b", "platform_a", UNIT)
    assert money.fall_due(market, "platform_b", "platform_a") == 0


def test_arbiters_rule_on_a_denial_at_once(market: Market) -> None:
    (reference,) = references(market, 2 * UNIT, debts=2)
    money.acknowledge(market, "platform_b", reference, UNIT)
    money.deny(market, "platform_b", reference)
    with boa.reverts("ObligationLedger: less than arrived"):
        money.rule(market, "platform_b", reference, UNIT - 1)
    with boa.reverts("ObligationLedger: more than notified"):
        money.rule(market, "platform_b", reference, 2 * UNIT + 1)
    with boa.env.anchor():
        money.rule(market, "platform_b", reference, UNIT)
        assert notice_of(market, reference) == (2 * UNIT, UNIT, True, True, False)
    money.rule(market, "platform_b", reference, 2 * UNIT)
    assert notice_of(market, reference) == (2 * UNIT, 2 * UNIT, True, True, False)
    assert [stored(market, number)[3] for number in (1, 2)] == [UNIT, UNIT]


def test_there_is_nothing_to_rule_on_without_a_notice_or_after_all_arrived(market: Market) -> None:
    (reference,) = references(market, UNIT)
    money.acknowledge(market, "platform_b", reference, UNIT)
    at_time(now() + SILENCE)
    for given in (reference, b"\x09" * 32):
        with boa.reverts("ObligationLedger: nothing to rule on"):
            money.rule(market, "platform_b", given, UNIT)


def test_a_ruling_is_of_the_arbiters(market: Market) -> None:
    (reference,) = references(market, UNIT)
    money.deny(market, "platform_b", reference)
    for by in ((0,), ()):
        with boa.reverts("ObligationLedger: not ruled"):
            money.rule(market, "platform_b", reference, UNIT, by=by)
    value = NoticeRuling(market.members["platform_b"].id, market.members["platform_a"].id, reference, UNIT)
    signed = [market.sign(name, value) for name in ("platform_a", "platform_b")]
    with boa.reverts("ObligationLedger: not ruled"):
        market.obligations.rule(astuple(value), 0b11, signed)
    money.rule(market, "platform_b", reference, UNIT, by=(0, 1, 2))


def test_a_ruling_closes_no_more_than_is_open(market: Market) -> None:
    first, second = references(market, UNIT, UNIT)
    money.deny(market, "platform_b", first)
    money.acknowledge(market, "platform_b", second, 1)
    with boa.reverts("ObligationLedger: not open any more"):
        money.rule(market, "platform_b", first, UNIT)
    money.rule(market, "platform_b", first, UNIT - 1)
    assert stored(market, 1)[3] == UNIT
