"""ObligationLedger: notices of payments made outside, and their creditors' acknowledgements."""

from __future__ import annotations

from dataclasses import astuple, replace

import boa  # type: ignore[import-untyped]

from settlement.config import code
from settlement.trade import Acknowledgement, KeyCompromised
from tests.contracts import money
from tests.contracts.market import Market
from tests.contracts.money import DAY, UNIT, UNSIGNED
from tests.contracts.obligation_ledger.case import REFERENCE, now, stored

# --- notify ---


def test_a_notice_names_what_it_pays(market: Market) -> None:
    numbers = [money.debt(market, "platform_a", "platform_b", UNIT) for _ in range(6)]
    given = money.notice(market, "platform_a", "platform_b", reversed(numbers), 6 * UNIT, value_date=now() + DAY)
    money.notify(market, "platform_a", given)
    assert money.events(market.obligations, "Notified") == [
        {
            "debtor": given.debtor,
            "creditor": given.creditor,
            "reference_hash": REFERENCE,
            "obligations": [6, 5, 4, 3, 2, 1],
            "amount": 6 * UNIT,
            "rail": money.UPI,
            "value_date": now() + DAY,
        }
    ]
    assert all(stored(market, number)[3:6:2] == (0, True) for number in numbers)


def test_a_notice_may_name_sixteen(market: Market) -> None:
    numbers = [money.debt(market, "platform_a", "platform_b", UNIT) for _ in range(16)]
    money.notify(market, "platform_a", money.notice(market, "platform_a", "platform_b", numbers, 16 * UNIT))
    money.acknowledge(market, "platform_b", REFERENCE, 16 * UNIT)
    assert [event["number"] for event in money.events(market.obligations, "Closed")] == numbers
    assert all(stored(market, number)[3] == UNIT for number in numbers)


def test_a_notice_is_refused_for_its_reason(market: Market) -> None:
    first = money.debt(market, "platform_a", "platform_b", 2 * UNIT)
    second = money.debt(market, "platform_a", "platform_b", UNIT)
    backwards = money.debt(market, "platform_b", "utility_a", UNIT)
    elsewhere = money.debt(market, "platform_a", "utility_a", UNIT)
    good = money.notice(market, "platform_a", "platform_b", [first], 2 * UNIT)
    reasons = [
        (replace(good, amount=0), "ObligationLedger: nothing paid"),
        (replace(good, reference_hash=bytes(32)), "ObligationLedger: no reference"),
        (replace(good, rail=code("CASH")), "ObligationLedger: rail not allowed"),
        (replace(good, rail=bytes(32)), "ObligationLedger: rail not allowed"),
        (replace(good, value_date=now() + DAY + 1), "ObligationLedger: value date ahead"),
        (replace(good, obligations=(first, second, first)), "ObligationLedger: obligation twice"),
        (replace(good, obligations=(backwards,)), "ObligationLedger: not of this pair"),
        (replace(good, obligations=(elsewhere,)), "ObligationLedger: not of this pair"),
        (replace(good, obligations=(0,)), "ObligationLedger: not of this pair"),
        (replace(good, obligations=(99,)), "ObligationLedger: not of this pair"),
        (replace(good, amount=2 * UNIT + 1), "ObligationLedger: more than is open"),
        (replace(good, obligations=()), "ObligationLedger: more than is open"),
        (replace(good, obligations=(first, second), amount=3 * UNIT + 1), "ObligationLedger: more than is open"),
    ]
    for bad, reason in reasons:
        with boa.reverts(reason):
            money.notify(market, "platform_a", bad)
    assert not stored(market, first)[5]
    assert not stored(market, second)[5]
    money.notify(market, "platform_a", good)
    with boa.reverts("ObligationLedger: reference used"):
        money.notify(market, "platform_a", replace(good, obligations=(second,), amount=1))
    # The same reference with another creditor is another reference.
    money.notify(market, "platform_a", money.notice(market, "platform_a", "utility_a", [elsewhere], UNIT))
    money.acknowledge(market, "platform_b", REFERENCE, 2 * UNIT)
    with boa.reverts("ObligationLedger: closed already"):
        money.notify(market, "platform_a", replace(good, reference_hash=b"\x02" * 32))


def test_a_notice_is_the_debtors_word(market: Market) -> None:
    number = money.debt(market, "platform_a", "platform_b", UNIT)
    given = money.notice(market, "platform_a", "platform_b", [number], UNIT)
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
                {"rail": code("NEFT")},
                {"value_date": given.value_date - 1},
                {"reference_hash": b"\x03" * 32},
            )
        ),
    ]
    for signature in bad:
        with boa.reverts("ObligationLedger: not signed by debtor"):
            money.notify(market, "platform_a", given, signature)
    money.notify(market, "platform_a", given)


def test_a_notice_of_a_contract_and_of_a_stopped_key(market: Market) -> None:
    number = money.debt(market, "platform_a", "platform_b", UNIT)
    given = money.notice(market, "platform_a", "platform_b", [number], UNIT)
    who = market.members["platform_a"]
    with boa.env.anchor():
        call = KeyCompromised(who.id, who.address, 0)
        market.registry.mark_compromised(who.id, who.address, market.sign_cold("platform_a", call), b"")
        for signature in (market.sign("platform_a", given), UNSIGNED):
            with boa.reverts("ObligationLedger: not signed by debtor"):
                money.notify(market, "platform_a", given, signature)
    money.change_hot_key(market, "platform_a", money.mock("OwnerWallet", who.address).address)
    signed = money.wallet_signature(market, "platform_a", given)
    for signature, wallet in ((UNSIGNED, []), (UNSIGNED, [signed[:-1]]), ((27, bytes(32), bytes(32)), [signed])):
        with boa.reverts("ObligationLedger: not signed by debtor"):
            money.notify(market, "platform_a", given, signature, wallet)
    money.notify(market, "platform_a", given, UNSIGNED, [signed])
    assert stored(market, number)[5]


def test_more_can_be_notified_of_the_same_obligation(market: Market) -> None:
    """After a notice that the creditor does not acknowledge, the debtor notifies again with another reference."""
    number = money.debt(market, "platform_a", "platform_b", 3 * UNIT)
    money.notify(market, "platform_a", money.notice(market, "platform_a", "platform_b", [number], 3 * UNIT))
    again = money.notice(market, "platform_a", "platform_b", [number], UNIT, reference_hash=b"\x02" * 32)
    money.notify(market, "platform_a", again)
    money.acknowledge(market, "platform_b", again.reference_hash, UNIT)
    assert stored(market, number)[3] == UNIT


# --- acknowledge ---


def test_acknowledgements_add_up_and_close_in_the_notices_order(market: Market) -> None:
    numbers = [money.debt(market, "platform_a", "platform_b", units * UNIT) for units in (1, 2, 3)]
    order = [numbers[2], numbers[0], numbers[1]]
    money.notify(market, "platform_a", money.notice(market, "platform_a", "platform_b", order, 5 * UNIT))
    money.acknowledge(market, "platform_b", REFERENCE, UNIT)
    assert money.events(market.obligations, "Acknowledged") == [
        {
            "creditor": market.members["platform_b"].id,
            "debtor": market.members["platform_a"].id,
            "reference_hash": REFERENCE,
            "acknowledged": UNIT,
        }
    ]
    assert money.events(market.obligations, "Closed") == [{"number": 3, "amount": UNIT, "open_amount": 2 * UNIT}]
    money.acknowledge(market, "platform_b", REFERENCE, 4 * UNIT)
    assert money.events(market.obligations, "Closed") == [
        {"number": 3, "amount": 2 * UNIT, "open_amount": 0},
        {"number": 1, "amount": UNIT, "open_amount": 0},
    ]
    money.acknowledge(market, "platform_b", REFERENCE, 5 * UNIT)
    assert money.events(market.obligations, "Closed") == [{"number": 2, "amount": UNIT, "open_amount": UNIT}]
    assert [stored(market, number)[3] for number in numbers] == [UNIT, UNIT, 3 * UNIT]


def test_an_acknowledgement_is_refused_for_its_reason(market: Market) -> None:
    number = money.debt(market, "platform_a", "platform_b", 2 * UNIT)
    money.notify(market, "platform_a", money.notice(market, "platform_a", "platform_b", [number], UNIT))
    with boa.reverts("ObligationLedger: more than notified"):
        money.acknowledge(market, "platform_b", REFERENCE, UNIT + 1)
    with boa.reverts("ObligationLedger: more than notified"):
        money.acknowledge(market, "platform_b", b"\x05" * 32, 1)
    with boa.reverts("ObligationLedger: nothing new"):
        money.acknowledge(market, "platform_b", REFERENCE, 0)
    with boa.reverts("ObligationLedger: nothing new"):
        money.acknowledge(market, "platform_b", b"\x05" * 32, 0)
    money.acknowledge(market, "platform_b", REFERENCE, UNIT - 1)
    for amount in (UNIT - 1, 1):
        with boa.reverts("ObligationLedger: nothing new"):
            money.acknowledge(market, "platform_b", REFERENCE, amount)
    money.acknowledge(market, "platform_b", REFERENCE, UNIT)
    assert stored(market, number)[3] == UNIT


def test_what_another_reference_paid_is_not_paid_again(market: Market) -> None:
    number = money.debt(market, "platform_a", "platform_b", 3 * UNIT)
    other = money.debt(market, "platform_a", "platform_b", UNIT)
    money.notify(market, "platform_a", money.notice(market, "platform_a", "platform_b", [number], 3 * UNIT))
    again = money.notice(market, "platform_a", "platform_b", [number, other], 4 * UNIT, reference_hash=b"\x02" * 32)
    money.notify(market, "platform_a", again)
    money.acknowledge(market, "platform_b", REFERENCE, 2 * UNIT)
    with boa.reverts("ObligationLedger: not open any more"):
        money.acknowledge(market, "platform_b", again.reference_hash, 2 * UNIT + 1)
    money.acknowledge(market, "platform_b", again.reference_hash, 2 * UNIT)
    assert (stored(market, number)[3], stored(market, other)[3]) == (3 * UNIT, UNIT)
    with boa.reverts("ObligationLedger: not open any more"):
        money.acknowledge(market, "platform_b", REFERENCE, 3 * UNIT)


def test_nobody_uses_up_another_debtors_reference(market: Market) -> None:
    honest = money.debt(market, "platform_a", "platform_b", 2 * UNIT)
    other = money.debt(market, "platform_c", "platform_b", UNIT)
    money.notify(market, "platform_c", money.notice(market, "platform_c", "platform_b", [other], UNIT))
    money.notify(market, "platform_a", money.notice(market, "platform_a", "platform_b", [honest], 2 * UNIT))
    money.acknowledge(market, "platform_b", REFERENCE, 2 * UNIT, debtor="platform_a")
    assert (stored(market, honest)[3], stored(market, other)[3]) == (2 * UNIT, 0)


def test_an_acknowledgement_is_the_creditors_word(market: Market) -> None:
    number = money.debt(market, "platform_a", "platform_b", UNIT)
    money.notify(market, "platform_a", money.notice(market, "platform_a", "platform_b", [number], UNIT))
    value = Acknowledgement(market.members["platform_b"].id, market.members["platform_a"].id, REFERENCE, UNIT)
    bad = [
        market.sign("platform_a", value),
        market.sign("platform_b", replace(value, acknowledged=UNIT - 1)),
        market.sign("platform_b", replace(value, reference_hash=b"\x02" * 32)),
        market.sign("platform_b", replace(value, creditor=market.members["platform_a"].id)),
        market.sign("platform_b", replace(value, debtor=market.members["platform_c"].id)),
        UNSIGNED,
    ]
    for signature in bad:
        with boa.reverts("ObligationLedger: not signed by creditor"):
            market.obligations.acknowledge(astuple(value), signature, [])
    key = market.members["platform_b"].address
    money.change_hot_key(market, "platform_b", money.mock("OwnerWallet", key).address)
    with boa.reverts("ObligationLedger: not signed by creditor"):
        market.obligations.acknowledge(astuple(value), market.sign("platform_b", value), [])
    signed = money.wallet_signature(market, "platform_b", value)
    market.obligations.acknowledge(astuple(value), UNSIGNED, [signed])
    assert stored(market, number)[3] == UNIT
