"""Escrow and ledger together against a plain model, after every step and every revert; and the pair's word alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import permutations
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from settlement.config import Config
from tests.contracts import money
from tests.contracts.market import Market, at_time
from tests.contracts.money import DUE_TIME, INTERVAL, MAX_AMOUNT, REST, SILENCE, UNIT
from tests.contracts.money_model import Model, PairState, Refused

NAMES = ("platform_a", "platform_b", "utility_a")
PAIRS = tuple(permutations(NAMES, 2))
CYCLES = (20_000, 20_001)
SET_OFF = 2

names = st.sampled_from(NAMES)
pairs = st.sampled_from(PAIRS)
cycles = st.sampled_from(CYCLES)
amounts = st.integers(1, 12).map(lambda halves: halves * UNIT // 2) | st.integers(0, 9 * UNIT)
# Amounts at the edges of a word's fields, too.
any_amounts = amounts | st.sampled_from((0, 1, MAX_AMOUNT - 1, MAX_AMOUNT)) | st.integers(0, MAX_AMOUNT)
states = st.integers(0, 2**64 - 1)


@cache
def deployed() -> Market:
    return money.deploy_money(config=Config(set_off=SET_OFF))


@pytest.fixture(scope="module", autouse=True)
def _before_any_anchor() -> None:
    """Each example runs between anchors, which would take a market deployed there away again."""
    deployed()


class Compared(RuleBasedStateMachine):
    """Acts on obligations, and the comparison of everything with the model."""

    def __init__(self) -> None:
        super().__init__()
        self.market = deployed()
        self.anchor = boa.env.anchor()
        self.anchor.__enter__()
        self.model = Model(SET_OFF, DUE_TIME)
        self.references = 0

    def teardown(self) -> None:
        self.anchor.__exit__(None, None, None)

    def both(self, in_model: Callable[[], Any], on_chain: Callable[[], Any], loser: str = "") -> None:
        """The same act in both; what one refuses the other refuses for the same reason. No member's free money falls
        but the loser's."""
        before = dict(self.model.free)
        try:
            expected = in_model()
        except Refused as refused:
            with boa.reverts(str(refused)):
                on_chain()
            return
        assert on_chain() == expected
        for name, amount in before.items():
            assert name in loser.split() or money.free(self.market, name) >= amount

    @rule(pair=pairs, by_member=st.booleans())
    def fall_due(self, pair: tuple[str, str], by_member: bool) -> None:
        sender = self.market.members[pair[1]].address if by_member else self.market.council
        self.both(
            lambda: self.model.fall_due(*pair, boa.env.evm.patch.timestamp, by_member),
            lambda: money.fall_due(self.market, *pair, sender),
        )

    @rule(
        chosen=st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True),
        amount=amounts,
        exactly=st.booleans(),
        reuse=st.sampled_from((False, False, False, True)),
    )
    def notify(self, chosen: list[int], amount: int, exactly: bool, reuse: bool) -> None:
        if not self.model.debts:
            return
        numbers = tuple(dict.fromkeys(index % len(self.model.debts) + 1 for index in chosen))
        first = self.model.debts[numbers[0] - 1]
        if exactly:  # else mostly refused: obligations of several pairs, closed ones
            numbers = tuple(
                number
                for number in numbers
                if (debt := self.model.debts[number - 1]).open
                and (debt.debtor, debt.creditor) == (first.debtor, first.creditor)
            )
            amount = min(amount, sum(self.model.debts[number - 1].open for number in numbers))
            if not amount:
                return
        self.references += not reuse
        reference = max(1, self.references).to_bytes(32, "big")
        notice = money.notice(
            self.market, first.debtor, first.creditor, numbers, max(1, amount), reference_hash=reference
        )
        self.both(
            lambda: self.model.notify(
                first.debtor, first.creditor, numbers, max(1, amount), reference, boa.env.evm.patch.timestamp
            ),
            lambda: money.notify(self.market, first.debtor, notice),
        )

    def chosen_reference(self, which: int, creditor: str, debtor: str, known: bool) -> tuple[str, str, bytes]:
        """A notice that was made, or perhaps none."""
        if known and self.model.references:
            return list(self.model.references)[which % len(self.model.references)]
        return creditor, debtor, (which + 1).to_bytes(32, "big")

    @rule(
        which=st.integers(0, 30),
        creditor=names,
        debtor=names,
        amount=amounts,
        quarters=st.integers(0, 4),
        by_bank=st.booleans(),
    )
    def acknowledge(self, which: int, creditor: str, debtor: str, amount: int, quarters: int, by_bank: bool) -> None:
        creditor, debtor, reference = self.chosen_reference(which, creditor, debtor, quarters > 0)
        if given := self.model.references.get((creditor, debtor, reference)):  # so much of what is left of a notice
            amount = given.arrived + (given.amount - given.arrived) * quarters // 4 if quarters else amount
        said = money.attest if by_bank else money.acknowledge
        self.both(
            lambda: self.model.arrive(creditor, debtor, reference, amount),
            lambda: said(self.market, creditor, reference, amount, debtor),
        )

    @rule(which=st.integers(0, 30), creditor=names, debtor=names, known=st.sampled_from((True, True, True, False)))
    def deny(self, which: int, creditor: str, debtor: str, known: bool) -> None:
        chosen = self.chosen_reference(which, creditor, debtor, known)
        self.both(lambda: self.model.deny(*chosen), lambda: money.deny(self.market, chosen[0], chosen[2], chosen[1]))

    @rule(which=st.integers(0, 30), creditor=names, debtor=names, amount=amounts, quarters=st.integers(0, 5))
    def rule_on(self, which: int, creditor: str, debtor: str, amount: int, quarters: int) -> None:
        creditor, debtor, reference = self.chosen_reference(which, creditor, debtor, quarters > 0)
        if given := self.model.references.get((creditor, debtor, reference)):
            amount = given.arrived + (given.amount - given.arrived) * (quarters - 1) // 4 if quarters else amount
        self.both(
            lambda: self.model.rule(creditor, debtor, reference, max(0, amount), boa.env.evm.patch.timestamp),
            lambda: money.rule(self.market, creditor, reference, max(0, amount), debtor),
        )

    @rule(
        chosen=st.lists(st.integers(0, 30), max_size=4, unique=True),
        amount=amounts,
        exactly=st.booleans(),
        skipped=st.sampled_from((0, 0, 0, 0, 1)),
    )
    def pay(self, chosen: list[int], amount: int, exactly: bool, skipped: int) -> None:
        if not self.model.debts:
            return
        numbers = tuple(dict.fromkeys(index % len(self.model.debts) + 1 for index in chosen))
        debtor, creditor = self.model.of(numbers[0] if numbers else 1)
        if exactly:  # else mostly refused
            numbers = tuple(
                n for n in numbers if self.model.of(n) == (debtor, creditor) and self.model.debts[n - 1].open
            )
            amount = min(amount, sum(self.model.debts[n - 1].open for n in numbers), self.model.free[debtor])
        given = money.payment(self.market, debtor, creditor, numbers, amount, self.model.payments[debtor] + skipped)
        self.both(
            lambda: self.model.pay(debtor, creditor, numbers, amount, given.sequence),
            lambda: money.pay(self.market, debtor, given),
            loser=debtor,
        )

    @rule(seconds=st.sampled_from((1, INTERVAL - 1, INTERVAL, SILENCE - 1, SILENCE, DUE_TIME)))
    def wait(self, seconds: int) -> None:
        at_time(boa.env.evm.patch.timestamp + seconds)

    @invariant()
    def escrow_is_the_models(self) -> None:
        escrow = self.market.escrow
        locks = 0
        for cycle in CYCLES:
            for pair in PAIRS:
                expected = self.model.pairs.get((cycle, *pair), PairState())
                assert money.word(self.market, cycle, *pair) == expected.word
                assert expected.paid + expected.owed - expected.owed_back == expected.applied
                locks += expected.lock
        free = {name: money.free(self.market, name) for name in NAMES}
        assert free == {name: self.model.free[name] for name in NAMES}
        for name in NAMES:
            who = self.market.members[name]
            assert escrow.withdrawal_sequence(who.id) == self.model.sequence[name]
            assert self.market.token.balanceOf(who.payout) == self.model.paid_out[name]
        assert escrow.held() == sum(free.values()) + locks == self.model.held
        assert self.market.token.balanceOf(escrow.address) == escrow.held()

    @invariant()
    def ledger_is_the_models(self) -> None:
        for pair in PAIRS:
            assert money.owed(self.market, *pair) == self.model.owed[pair]
        assert self.market.obligations.obligation_count() == len(self.model.debts)
        for number, debt in enumerate(self.model.debts, 1):
            found = self.market.obligations.obligation(number)
            assert found.debtor == self.market.members[debt.debtor].id
            assert found.creditor == self.market.members[debt.creditor].id
            assert (found.amount, found.closed, found.due_at, found.notified) == (
                debt.amount,
                debt.closed,
                debt.due_at,
                bool(self.model.live(number)),
            )
            assert 0 <= found.closed <= found.amount
            expected = self.model.is_overdue(number, boa.env.evm.patch.timestamp)
            assert self.market.obligations.is_overdue(number) == expected

    @invariant()
    def references_close_no_more_than_they_carry(self) -> None:
        arrived = 0
        for (creditor, debtor, reference), one in self.model.references.items():
            found = self.market.obligations.notice(
                self.market.members[creditor].id, self.market.members[debtor].id, reference
            )
            assert (found.amount, found.arrived, found.notified_at) == (one.amount, one.arrived, one.notified_at)
            assert (found.denied, found.ruled, found.live) == (one.denied, one.ruled, one.live)
            assert found.arrived <= found.amount
            arrived += found.arrived
        assert arrived <= sum(debt.closed for debt in self.model.debts)
        for name in NAMES:
            sequence = self.market.obligations.payment_sequence(self.market.members[name].id)
            assert sequence == self.model.payments[name]


class Money(Compared):
    """Random acts of members, TradeBook and Settlement."""

    @initialize()
    def fund(self) -> None:
        for name in NAMES:
            self.deposit(name, 20 * UNIT)

    @rule(name=names, amount=st.integers(1, 10 * UNIT) | st.sampled_from((MAX_AMOUNT - 30 * UNIT, MAX_AMOUNT)))
    def deposit(self, name: str, amount: int) -> None:
        # Not from a payout address, whose balance shall show withdrawals only.
        self.both(
            lambda: self.model.deposit(name, amount),
            lambda: money.deposit(self.market, name, amount, sender=self.market.council),
        )

    @rule(name=names, amount=any_amounts, skipped=st.sampled_from((0, 0, 0, 1)))
    def withdraw(self, name: str, amount: int, skipped: int) -> None:
        sequence = self.model.sequence[name] + skipped
        self.both(
            lambda: self.model.withdraw(name, amount, sequence),
            lambda: money.withdraw(self.market, name, amount, sequence),
            loser=name,
        )

    @rule(cycle=cycles, locks=st.lists(st.tuples(pairs, amounts), max_size=4, unique_by=lambda lock: lock[0]))
    def lock(self, cycle: int, locks: list[tuple[tuple[str, str], int]]) -> None:
        listed = [(*pair, amount) for pair, amount in locks]
        self.both(
            lambda: self.model.lock(cycle, listed),
            lambda: money.lock(self.market, cycle, listed),
            loser=" ".join(payer for payer, _, _ in listed),
        )

    @rule(cycle=cycles, pair=pairs, amount=amounts, state=states, keep=amounts)
    def settle(self, cycle: int, pair: tuple[str, str], amount: int, state: int, keep: int) -> None:
        def on_chain() -> tuple[int, int, int]:
            paid, owed, owed_back = money.settle(self.market, cycle, *pair, amount, state, keep)
            money.record(self.market, *pair, owed, owed_back)
            return paid, owed, owed_back

        self.both(lambda: self.model.settle(cycle, *pair, amount, state, keep), on_chain)

    @rule(
        cycle=cycles,
        pair=pairs,
        closed_for=st.sampled_from((0, 1, REST - 1, REST, REST, REST, 2**64 - 1)),
        stage=st.sampled_from((0, 0, 0, 1, 2, 3)),
    )
    def release(self, cycle: int, pair: tuple[str, str], closed_for: int, stage: int) -> None:
        self.both(
            lambda: self.model.release(cycle, *pair, closed_for, stage),
            lambda: money.release(self.market, cycle, *pair, closed_for, stage),
        )


class Debts(Compared):
    """Two members with many obligations both ways, so that queues and notices become long."""

    @rule(
        forth=st.booleans(),
        units=st.integers(1, 4),
        back=st.sampled_from((0, 0, UNIT // 3, UNIT)),
        times=st.integers(1, 3),
        by_member=st.sampled_from((True, True, True, False)),
    )
    def owe(self, forth: bool, units: int, back: int, times: int, by_member: bool) -> None:
        debtor, creditor = NAMES[:2] if forth else NAMES[1::-1]
        sender = None if by_member else self.market.council
        for _ in range(times):
            self.model.owed[debtor, creditor] += units * UNIT
            self.model.owed[creditor, debtor] += back
            money.record(self.market, debtor, creditor, units * UNIT, back)
            self.both(
                lambda: self.model.fall_due(debtor, creditor, boa.env.evm.patch.timestamp, by_member),
                lambda: money.fall_due(self.market, debtor, creditor, sender),
            )


# Enough of each to find the bugs seeded in escrow, ledger and queues.
Money.TestCase.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
Debts.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMoney = Money.TestCase
TestDebts = Debts.TestCase


@settings(max_examples=1_000, deadline=None)
@given(
    steps=st.lists(
        st.tuples(any_amounts, any_amounts, states, any_amounts | st.just(2**256 - 1)), min_size=1, max_size=3
    )
)
@example(steps=[(MAX_AMOUNT, MAX_AMOUNT, 2**64 - 1, 0), (0, 0, 0, 0)])
def test_a_pairs_word_is_what_the_model_says(steps: list[tuple[int, int, int, int]]) -> None:
    """At least a thousand histories of one pair: each step locks, then settles."""
    market = deployed()
    model = Model(SET_OFF, DUE_TIME)
    payer, payee = "platform_a", "utility_a"
    with boa.env.anchor():
        model.deposit(payer, MAX_AMOUNT)
        money.deposit(market, payer, MAX_AMOUNT)
        for locked, amount, state, keep in steps:
            covered = min(locked, model.free[payer])
            model.lock(CYCLES[0], [(payer, payee, covered)])
            money.lock(market, CYCLES[0], [(payer, payee, covered)])
            expected = model.settle(CYCLES[0], payer, payee, amount, state, keep)
            assert money.settle(market, CYCLES[0], payer, payee, amount, state, keep) == expected
            assert money.word(market, CYCLES[0], payer, payee) == model.pair(CYCLES[0], payer, payee).word
            assert (money.free(market, payer), money.free(market, payee)) == (model.free[payer], model.free[payee])
            assert market.escrow.held() == MAX_AMOUNT
