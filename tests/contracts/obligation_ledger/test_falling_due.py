"""ObligationLedger: accounts, what falls due of them, set-off, what is overdue."""

from __future__ import annotations

from dataclasses import astuple, replace

import boa  # type: ignore[import-untyped]
import pytest

from tests.contracts import money
from tests.contracts.market import Market, at_time
from tests.contracts.money import DUE_TIME, INTERVAL, MAX_AMOUNT, SILENCE, UNIT
from tests.contracts.obligation_ledger.case import now, stored

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
