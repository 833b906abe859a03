"""ObligationLedger: accounts, what falls due, set-off, notices and what becomes of them, payment from the escrow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace

import boa  # type: ignore[import-untyped]
import pytest

from settlement.config import Config, code
from settlement.trade import (
    Acknowledgement,
    BankAttestation,
    Denial,
    EscrowPayment,
    KeyCompromised,
    NoticeRuling,
)
from tests.contracts import money
from tests.contracts.market import Market, at_time
from tests.contracts.money import DAY, DUE_TIME, INTERVAL, MAX_AMOUNT, SILENCE, UNIT, UNSIGNED

REFERENCE = b"\x01" * 32


@pytest.fixture(scope="module")
def deployed() -> Market:
    return money.deploy_money(config=Config(set_off=3))


@pytest.fixture
def market(deployed: Market) -> Iterator[Market]:
    with boa.env.anchor():
        yield deployed


def now() -> int:
    return boa.env.evm.patch.timestamp


def stored(market: Market, number: int) -> tuple[str, str, int, int, int, bool]:
    """An obligation with its members' names, or empty names."""
    names = {who.id: name for name, who in market.members.items()}
    found = market.obligations.obligation(number)
    return (
        names.get(found.debtor, ""),
        names.get(found.creditor, ""),
        found.amount,
        found.closed,
        found.due_at,
        found.notified,
    )


# --- record ---


def test_only_settlement_records(market: Market) -> None:
    ids = market.members["platform_a"].id, market.members["platform_b"].id
    for sender in (market.council, market.addresses["SettlementEscrow"], market.members["platform_a"].address):
        with boa.env.prank(sender), boa.reverts("ObligationLedger: only Settlement records"):
            market.obligations.record(*ids, 1, 0)


def test_both_directions_are_kept(market: Market) -> None:
    a, b = market.members["platform_a"].id, market.members["platform_b"].id
    money.record(market, "platform_a", "platform_b", 70)
    assert money.events(market.obligations, "AccountChanged") == [{"debtor": a, "creditor": b, "owed": 70}]
    money.record(market, "platform_a", "platform_b", 0, 30)
    assert money.events(market.obligations, "AccountChanged") == [{"debtor": b, "creditor": a, "owed": 30}]
    money.record(market, "platform_b", "platform_a", 5, 1)
    assert money.events(market.obligations, "AccountChanged") == [
        {"debtor": b, "creditor": a, "owed": 5},
        {"debtor": a, "creditor": b, "owed": 1},
    ]
    assert money.owed(market, "platform_a", "platform_b") == 71
    assert money.owed(market, "platform_b", "platform_a") == 35
    money.record(market, "platform_a", "platform_b", 0)
    assert money.events(market.obligations, "AccountChanged") == []
    assert money.owed(market, "platform_a", "utility_a") == 0


def test_sums_beyond_an_amount_are_kept_whole_and_fall_due_in_parts(market: Market) -> None:
    """Two members may sign any number of largest rows: recording must not fail, and nothing is lost."""
    for _ in range(3):
        money.record(market, "platform_a", "platform_b", MAX_AMOUNT)
    assert money.owed(market, "platform_a", "platform_b") == 3 * MAX_AMOUNT
    rest = 3 * MAX_AMOUNT
    part = MAX_AMOUNT - MAX_AMOUNT % UNIT
    for number in (1, 2, 3):
        assert money.fall_due(market, "platform_a", "platform_b") == number
        rest -= part
        assert stored(market, number)[2] == part
        assert money.owed(market, "platform_a", "platform_b") == rest
    assert rest == 3 * (MAX_AMOUNT % UNIT)
    with boa.reverts("ObligationLedger: less than a unit"):
        money.fall_due(market, "platform_a", "platform_b")


# --- fall_due ---


def test_the_net_falls_due_in_whole_units_and_the_rest_stays(market: Market) -> None:
    money.record(market, "platform_a", "platform_b", 5 * UNIT + 77, 2 * UNIT + 50)
    assert money.fall_due(market, "platform_b", "platform_a") == 1
    assert money.events(market.obligations, "FellDue") == [
        {
            "number": 1,
            "debtor": market.members["platform_a"].id,
            "creditor": market.members["platform_b"].id,
            "amount": 3 * UNIT,
            "due_at": now() + DUE_TIME,
        }
    ]
    assert stored(market, 1) == ("platform_a", "platform_b", 3 * UNIT, 0, now() + DUE_TIME, False)
    assert market.obligations.obligation_count() == 1
    assert money.owed(market, "platform_a", "platform_b") == 27
    assert money.owed(market, "platform_b", "platform_a") == 0
    # The remainder counts in the next net.
    money.record(market, "platform_a", "platform_b", UNIT - 27)
    assert money.fall_due(market, "platform_a", "platform_b") == 2
    assert stored(market, 2)[2] == UNIT
    assert money.owed(market, "platform_a", "platform_b") == 0


def test_the_order_of_the_members_does_not_matter(market: Market) -> None:
    for first, second in (("platform_a", "platform_b"), ("platform_b", "platform_a")):
        with boa.env.anchor():
            money.record(market, "platform_a", "platform_b", UNIT)
            assert money.fall_due(market, first, second) == 1
            assert stored(market, 1)[:3] == ("platform_a", "platform_b", UNIT)


@pytest.mark.parametrize(("forth", "back"), [(0, 0), (UNIT - 1, 0), (3 * UNIT, 2 * UNIT + 1), (UNIT, UNIT)])
def test_less_than_a_unit_does_not_fall_due(market: Market, forth: int, back: int) -> None:
    money.record(market, "platform_a", "platform_b", forth, back)
    for members in (("platform_a", "platform_b"), ("platform_b", "platform_a")):
        with boa.reverts("ObligationLedger: less than a unit"):
            money.fall_due(market, *members)
    assert money.owed(market, "platform_a", "platform_b") == forth
    assert money.owed(market, "platform_b", "platform_a") == back


def test_a_member_owes_itself_nothing(market: Market) -> None:
    money.record(market, "platform_a", "platform_a", 5 * UNIT)
    with boa.reverts("ObligationLedger: less than a unit"):
        money.fall_due(market, "platform_a", "platform_a")


def test_members_call_at_any_time_others_once_in_the_interval(market: Market) -> None:
    stranger = str(boa.env.generate_address())
    third = market.members["utility_a"].address
    money.record(market, "platform_a", "platform_b", UNIT)
    assert money.fall_due(market, "platform_a", "platform_b", stranger) == 1  # never fell due before
    fell = now()
    money.record(market, "platform_a", "platform_b", UNIT)
    for sender in (stranger, third, market.members["platform_a"].cold_address):
        with boa.reverts("ObligationLedger: fell due lately"):
            money.fall_due(market, "platform_a", "platform_b", sender)
    assert money.fall_due(market, "platform_a", "platform_b") == 2
    money.record(market, "platform_a", "platform_b", UNIT)
    assert money.fall_due(market, "platform_b", "platform_a") == 3
    # In the other direction the same interval counts: it is the pair's.
    money.record(market, "platform_b", "platform_a", UNIT)
    at_time(fell + INTERVAL - 1)
    with boa.reverts("ObligationLedger: fell due lately"):
        money.fall_due(market, "platform_b", "platform_a", stranger)
    at_time(fell + INTERVAL)
    # Set off against the first of the three.
    assert money.fall_due(market, "platform_b", "platform_a", stranger) == 0
    # Set-off alone counts as a time, too.
    money.record(market, "platform_b", "platform_a", UNIT)
    with boa.reverts("ObligationLedger: fell due lately"):
        money.fall_due(market, "platform_a", "platform_b", stranger)
    money.record(market, "platform_a", "utility_a", UNIT)
    assert money.fall_due(market, "platform_a", "utility_a", stranger) == 4


def test_a_contract_calls_as_the_member_that_it_is(market: Market) -> None:
    wallet = money.mock("OwnerWallet", market.members["platform_a"].address)
    money.debt(market, "platform_a", "platform_b", UNIT)
    money.change_hot_key(market, "platform_a", wallet.address)
    money.record(market, "platform_a", "platform_b", UNIT)
    with boa.reverts("ObligationLedger: fell due lately"):
        money.fall_due(market, "platform_a", "platform_b")  # by the former key
    assert money.fall_due(market, "platform_a", "platform_b", wallet.address) == 2


def test_terms_are_those_of_the_newest_config(market: Market) -> None:
    money.record(market, "platform_a", "platform_b", 5 * UNIT)
    with boa.env.prank(market.council):
        market.registry.set_config(astuple(replace(market.config, payable_unit=3 * UNIT, due_time=7_200)))
    money.fall_due(market, "platform_a", "platform_b")
    assert stored(market, 1) == ("platform_a", "platform_b", 3 * UNIT, 0, now() + 7_200, False)
    assert money.owed(market, "platform_a", "platform_b") == 2 * UNIT


# --- set-off ---


def test_set_off_takes_the_oldest_first_and_what_is_left_falls_due(market: Market) -> None:
    for units in (2, 3, 4):
        money.debt(market, "platform_a", "platform_b", units * UNIT)
    money.record(market, "platform_b", "platform_a", 6 * UNIT + 1)
    assert money.fall_due(market, "platform_b", "platform_a") == 0
    assert money.events(market.obligations, "SetOff") == [
        {"number": 1, "amount": 2 * UNIT},
        {"number": 2, "amount": 3 * UNIT},
        {"number": 3, "amount": 1 * UNIT},
    ]
    assert money.events(market.obligations, "Closed") == [
        {"number": 1, "amount": 2 * UNIT, "open_amount": 0},
        {"number": 2, "amount": 3 * UNIT, "open_amount": 0},
        {"number": 3, "amount": 1 * UNIT, "open_amount": 3 * UNIT},
    ]
    assert money.events(market.obligations, "FellDue") == []
    assert [stored(market, number)[3] for number in (1, 2, 3)] == [2 * UNIT, 3 * UNIT, UNIT]
    assert money.owed(market, "platform_b", "platform_a") == 1
    assert market.obligations.obligation_count() == 3
    money.record(market, "platform_b", "platform_a", 5 * UNIT)
    assert money.fall_due(market, "platform_b", "platform_a") == 4
    assert money.events(market.obligations, "SetOff") == [{"number": 3, "amount": 3 * UNIT}]
    assert stored(market, 4)[:3] == ("platform_b", "platform_a", 2 * UNIT)


def test_set_off_is_limited_in_number(market: Market) -> None:
    for _ in range(5):
        money.debt(market, "platform_a", "platform_b", UNIT)
    money.record(market, "platform_b", "platform_a", 10 * UNIT)
    assert money.fall_due(market, "platform_b", "platform_a") == 6
    assert [event["number"] for event in money.events(market.obligations, "SetOff")] == [1, 2, 3]
    assert stored(market, 6)[2] == 7 * UNIT
    assert stored(market, 4)[3] == 0
    # The next call goes on where this one ended; its own new obligation is not a party to it.
    money.record(market, "platform_b", "platform_a", 10 * UNIT)
    assert money.fall_due(market, "platform_b", "platform_a") == 7
    assert [event["number"] for event in money.events(market.obligations, "SetOff")] == [4, 5]
    # And the other way the queue is the creditor's own.
    money.record(market, "platform_a", "platform_b", 8 * UNIT)
    assert money.fall_due(market, "platform_a", "platform_b") == 0
    assert money.events(market.obligations, "SetOff") == [
        {"number": 6, "amount": 7 * UNIT},
        {"number": 7, "amount": UNIT},
    ]


def test_set_off_passes_over_what_is_notified_wherever_it_stands(market: Market) -> None:
    for notified in ([1], [2], [3], [1, 2], [2, 3], [1, 3], [3, 1], [1, 2, 3], [2, 1, 3]):
        with boa.env.anchor():
            for _ in range(3):
                money.debt(market, "platform_a", "platform_b", UNIT)
            money.notify(market, "platform_a", money.notice(market, "platform_a", "platform_b", notified, UNIT))
            later = money.debt(market, "platform_a", "platform_b", UNIT)
            money.record(market, "platform_b", "platform_a", 3 * UNIT)
            number = money.fall_due(market, "platform_b", "platform_a")
            left = [*sorted({1, 2, 3} - set(notified)), later][:3]
            assert [event["number"] for event in money.events(market.obligations, "SetOff")] == left
            assert number == (0 if len(left) == 3 else 5)
            assert all(stored(market, entry)[3] == 0 for entry in notified)


def test_no_other_pair_is_touched(market: Market) -> None:
    money.debt(market, "platform_a", "utility_a", UNIT)
    money.debt(market, "utility_b", "platform_b", UNIT)
    money.record(market, "platform_b", "platform_a", UNIT)
    assert money.fall_due(market, "platform_a", "platform_b") == 3
    assert [stored(market, number)[3] for number in (1, 2, 3)] == [0, 0, 0]


# --- overdue ---


def test_overdue_is_open_past_due_and_not_silent(market: Market) -> None:
    number = money.debt(market, "platform_a", "platform_b", UNIT)
    other = money.debt(market, "platform_a", "platform_b", UNIT)
    due_at = now() + DUE_TIME
    at_time(due_at)
    assert not market.obligations.is_overdue(number)
    at_time(due_at + 1)
    assert market.obligations.is_overdue(number)
    assert not market.obligations.is_overdue(99)
    money.notify(market, "platform_a", money.notice(market, "platform_a", "platform_b", [number], UNIT))
    # A notice alone stops nothing: its creditor must have been silent for a while.
    at_time(now() + SILENCE - 1)
    assert market.obligations.is_overdue(number)
    at_time(now() + 1)
    assert not market.obligations.is_overdue(number)
    assert market.obligations.is_overdue(other)
    money.record(market, "platform_b", "platform_a", UNIT)
    money.fall_due(market, "platform_b", "platform_a")
    assert stored(market, other)[3] == UNIT
    assert not market.obligations.is_overdue(other)


def test_there_is_no_obligation_until_there_is_one(market: Market) -> None:
    assert stored(market, 1) == ("", "", 0, 0, 0, False)
    assert market.obligations.obligation_count() == 0


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


# --- what becomes of a notice ---


def references(market: Market, *amounts: int, debts: int = 1) -> list[bytes]:
    """Obligations of a unit each, past due, and notices that name them all, an hour between them; their references."""
    numbers = [money.debt(market, "platform_a", "platform_b", UNIT) for _ in range(debts)]
    at_time(now() + DUE_TIME + 1)
    made = []
    for place, amount in enumerate(amounts):
        at_time(now() + 3_600)
        reference = bytes([place + 1]) * 32
        given = money.notice(market, "platform_a", "platform_b", numbers, amount, reference_hash=reference)
        money.notify(market, "platform_a", given)
        made.append(reference)
    return made


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


# --- payment from the escrow ---


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
