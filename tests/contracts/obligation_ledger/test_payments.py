"""ObligationLedger: obligations are paid from the escrow."""

from __future__ import annotations

from dataclasses import replace

import boa  # type: ignore[import-untyped]

from settlement.trade import EscrowPayment
from tests.contracts import money
from tests.contracts.market import Market
from tests.contracts.money import UNIT, UNSIGNED
from tests.contracts.obligation_ledger.case import references, stored


def test_a_payment_moves_free_money_and_closes_in_order(market: Market) -> None:
    numbers = [money.debt(market, "platform_a", "platform_b", units * UNIT) for units in (1, 2, 3)]
    money.deposit(market, "platform_a", 10 * UNIT)
    given = money.payment(market, "platform_a", "platform_b", [3, 1, 2], 5 * UNIT)
    money.pay(market, "platform_a", given)
    ids = {"debtor": given.debtor, "creditor": given.creditor}
    assert money.events(market.obligations, "PaidFromEscrow") == [
        {**ids, "sequence": 0, "obligations": [3, 1, 2], "amount": 5 * UNIT}
    ]
    assert money.events(market.obligations, "Closed") == [
        {"number": 3, "amount": 3 * UNIT, "open_amount": 0},
        {"number": 1, "amount": UNIT, "open_amount": 0},
        {"number": 2, "amount": UNIT, "open_amount": UNIT},
    ]
    logged = market.escrow.get_logs(computation=market.obligations._computation, strict=False)
    paid = [event for event in logged if type(event).__name__ == "Paid"]
    assert [(event.debtor, event.creditor, event.amount) for event in paid] == [
        (given.debtor, given.creditor, 5 * UNIT)
    ]
    assert (money.free(market, "platform_a"), money.free(market, "platform_b")) == (5 * UNIT, 5 * UNIT)
    assert market.escrow.held() == 10 * UNIT
    assert market.escrow.withdrawal_sequence(given.debtor) == 0
    assert [stored(market, number)[3] for number in numbers] == [UNIT, UNIT, 3 * UNIT]
    assert market.obligations.payment_sequence(given.debtor) == 1
    # What is closed is not set off any more, what is left open is.
    money.record(market, "platform_b", "platform_a", UNIT)
    assert money.fall_due(market, "platform_b", "platform_a") == 0
    assert money.events(market.obligations, "SetOff") == [{"number": 2, "amount": UNIT}]


def test_a_payment_is_taken_once_and_in_order(market: Market) -> None:
    money.debt(market, "platform_a", "platform_b", 5 * UNIT)
    money.deposit(market, "platform_a", 10 * UNIT)
    for sequence in (1, 2**64 - 1):
        with boa.reverts("ObligationLedger: wrong sequence"):
            money.pay(market, "platform_a", money.payment(market, "platform_a", "platform_b", [1], UNIT, sequence))
    first = money.payment(market, "platform_a", "platform_b", [1], UNIT)
    money.pay(market, "platform_a", first)
    with boa.reverts("ObligationLedger: wrong sequence"):
        money.pay(market, "platform_a", first)
    # One of nothing spends its number.
    money.pay(market, "platform_a", money.payment(market, "platform_a", "platform_b", [], 0, 1))
    with boa.reverts("ObligationLedger: wrong sequence"):
        money.pay(market, "platform_a", money.payment(market, "platform_a", "platform_b", [1], UNIT, 1))
    money.pay(market, "platform_a", money.payment(market, "platform_a", "platform_b", [1], UNIT, 2))
    assert stored(market, 1)[3] == 2 * UNIT


def test_a_payment_is_refused_for_its_reason(market: Market) -> None:
    first = money.debt(market, "platform_a", "platform_b", 2 * UNIT)
    second = money.debt(market, "platform_a", "platform_b", UNIT)
    backwards = money.debt(market, "platform_b", "utility_a", UNIT)
    elsewhere = money.debt(market, "platform_a", "utility_a", UNIT)
    money.deposit(market, "platform_a", 3 * UNIT - 1)
    for numbers, amount, reason in (
        ([first, second, first], UNIT, "ObligationLedger: obligation twice"),
        ([backwards], UNIT, "ObligationLedger: not of this pair"),
        ([elsewhere], UNIT, "ObligationLedger: not of this pair"),
        ([0], UNIT, "ObligationLedger: not of this pair"),
        ([first], 2 * UNIT + 1, "ObligationLedger: more than is open"),
        ([], 1, "ObligationLedger: more than is open"),
        ([first, second], 3 * UNIT, "SettlementEscrow: payment not covered"),
    ):
        with boa.reverts(reason):
            money.pay(market, "platform_a", money.payment(market, "platform_a", "platform_b", numbers, amount))
    money.pay(market, "platform_a", money.payment(market, "platform_a", "platform_b", [first], 2 * UNIT))
    with boa.reverts("ObligationLedger: closed already"):
        money.pay(market, "platform_a", money.payment(market, "platform_a", "platform_b", [first], 1, 1))


def test_a_payment_is_the_debtors_word(market: Market) -> None:
    money.debt(market, "platform_a", "platform_b", UNIT)
    money.deposit(market, "platform_a", UNIT)
    given: EscrowPayment = money.payment(market, "platform_a", "platform_b", [1], UNIT)
    bad = [
        market.sign("platform_b", given),
        market.sign_cold("platform_a", given),
        UNSIGNED,
        *(
            market.sign("platform_a", replace(given, **change))
            for change in (
                {"debtor": given.creditor},
                {"creditor": given.debtor},
                {"obligations": ()},
                {"amount": UNIT - 1},
                {"sequence": 1},
            )
        ),
    ]
    for signature in bad:
        with boa.reverts("ObligationLedger: not signed by debtor"):
            money.pay(market, "platform_a", given, signature)
    key = market.members["platform_a"].address
    money.change_hot_key(market, "platform_a", money.mock("OwnerWallet", key).address)
    with boa.reverts("ObligationLedger: not signed by debtor"):
        money.pay(market, "platform_a", given)
    money.pay(market, "platform_a", given, UNSIGNED, [money.wallet_signature(market, "platform_a", given)])
    assert money.free(market, "platform_b") == UNIT


def test_payments_go_on_while_paused_and_suspended(market: Market) -> None:
    money.debt(market, "platform_a", "platform_b", UNIT)
    money.deposit(market, "platform_a", UNIT)
    with boa.env.prank(market.guardian):
        market.registry.pause()
    with boa.env.prank(market.council):
        market.registry.suspend(market.members["platform_a"].id, True)
    money.pay(market, "platform_a", money.payment(market, "platform_a", "platform_b", [1], UNIT))
    assert money.free(market, "platform_b") == UNIT


def test_what_is_notified_can_be_paid_from_the_escrow(market: Market) -> None:
    """The debtor's own choice. What then arrives by bank is returned between the two."""
    (reference,) = references(market, UNIT)
    money.deposit(market, "platform_a", UNIT)
    money.pay(market, "platform_a", money.payment(market, "platform_a", "platform_b", [1], UNIT))
    assert stored(market, 1)[3:6:2] == (UNIT, True)
    with boa.reverts("ObligationLedger: not open any more"):
        money.acknowledge(market, "platform_b", reference, UNIT)
    money.deny(market, "platform_b", reference)
    money.record(market, "platform_b", "platform_a", UNIT)
    assert money.fall_due(market, "platform_b", "platform_a") == 2
    assert money.events(market.obligations, "SetOff") == []
