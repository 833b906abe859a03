"""Rules of members' money and debts: deposits, withdrawals, a hostile token, notices, payments, release; statements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from itertools import combinations
from random import Random
from typing import Any

import boa  # type: ignore[import-untyped]
from hypothesis.stateful import precondition, rule

from settlement.hashing import keccak256
from settlement.trade import Statement, Withdrawal
from tests.contracts import money
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import FORGER, Base, pick, seeds, some
from tests.contracts.law.model_members import Members
from tests.contracts.law.world import CYCLE, TRADERS
from tests.contracts.money_model import Reference, Refused

HONEST, FALSE, BLOCKING, REENTERING = range(4)


class MoneyRules(Base):
    """What is free, locked, owed."""

    def __init__(self) -> None:
        super().__init__()
        self.mood = HONEST
        # The address that the token does not serve.
        self.victim = ""
        self.references = 0

    # --- the token ---

    @rule(seed=seeds)
    def bank(self, seed: int) -> None:
        """Money comes in or goes out, the token changes its mood, or a month is final."""
        rng = Random(seed)
        acts = {"deposit": 2.0, "withdraw": 4.0, "token": 6.0 if self.mood == HONEST else 4.0, "finalise": 1.2}
        {"deposit": self.deposit, "withdraw": self.withdraw, "token": self.turn_token, "finalise": self.finalise}[
            pick(rng, acts)
        ](rng)

    def turn_token(self, rng: Random) -> None:
        """The token turns hostile, mostly for a while only."""
        self.mood = rng.choice((HONEST, HONEST, FALSE, BLOCKING, REENTERING)) if self.mood == HONEST else HONEST
        name = rng.choice(TRADERS)
        self.victim = self.payout(name)
        self.world.token.turn(self.mood, self.victim, self.world.escrow.address)
        tally(f"token mood {self.mood}")
        if self.mood != HONEST:
            self.deposit(rng)
            self.withdraw(rng, name if rng.random() < 0.7 else None)

    def payout(self, name: str) -> str:
        """Where a member's money goes now."""
        return self.law.members[name].payout.at(self.law.clock.now)

    def token_refusal(self, receiver: str, otherwise: str) -> str | None:
        """What a hostile token does to a transfer; an empty text for a revert without reason."""
        if self.mood == FALSE:
            return otherwise
        if self.mood == BLOCKING and self.victim == receiver:
            return "HostileToken: blocked"
        return "" if self.mood == REENTERING else None

    def hostile(self, name: str, otherwise: str, receiver: str, on_chain: Callable[[], Any]) -> bool:
        """Whether the token's mood made the act fail, which then changed nothing."""
        refusal = self.token_refusal(receiver, otherwise)
        if refusal is None:
            return False
        with boa.reverts(refusal) if refusal else boa.reverts():
            on_chain()
        tally(f"{name}: hostile token {self.mood}")
        return True

    def deposit(self, rng: Random) -> None:
        """A stranger pays in for a member."""
        name, amount = rng.choice(TRADERS), rng.choice((1, 10_000, 3_000_000))

        def on_chain() -> None:
            with boa.env.prank(self.world.stranger):
                self.world.escrow.deposit(self.id(name), amount)

        def in_model() -> None:
            if not self.law.members[name].is_member:
                raise Refused("SettlementEscrow: member unknown")
            self.law.money.deposit(name, amount)

        self.world.token.mint(self.world.stranger, amount)
        if self.law.members[name].is_member and self.hostile(
            "deposit", "SettlementEscrow: deposit refused by token", "", on_chain
        ):
            return
        if self.act("deposit", in_model, on_chain):
            self.law.tokens_in += amount

    def withdraw(self, rng: Random, name: str | None = None) -> None:
        """Some, all, or more than is free."""
        name = name or rng.choice(TRADERS)
        free = self.law.money.free[name]
        amount = pick(rng, {"some": 4, "all": 1, "more": 1, "none": 0.5})
        figure = {"some": min(free, rng.choice((1, 500_000))), "all": free, "more": free + 1, "none": 0}[amount]
        if figure == free and free > 10**7 and rng.random() < 0.8:
            figure = 10**6
        sequence = self.law.money.sequence[name] + (1 if rng.random() < 0.05 else 0)
        self.withdraw_as(name, figure, sequence, self.key_or_not(name, rng))

    def withdraw_all(self, name: str) -> None:
        """What is free, by the member's own key."""
        self.withdraw_as(name, self.law.money.free[name], self.law.money.sequence[name], self.key(name))

    def withdraw_as(self, name: str, figure: int, sequence: int, key: bytes | None) -> None:
        """By a request of this figure and sequence, under this key."""
        said = Withdrawal(self.id(name), figure, sequence)

        def in_model() -> None:
            self.signed_by(name, key, "SettlementEscrow: not signed by member")
            self.law.money.withdraw(name, figure, sequence)

        def on_chain() -> None:
            self.world.escrow.withdraw(astuple(said), self.sign(key, said), [])

        payout = self.payout(name)
        willing = (
            self.law.members.signs(name, key)
            and figure <= self.law.money.free[name]
            and sequence == self.law.money.sequence[name]
        )
        if willing and self.hostile("withdraw", "SettlementEscrow: payout refused by token", payout, on_chain):
            return
        if self.act("withdraw", in_model, on_chain, losers=[name]):
            self.law.tokens_out += figure
            self.law.received[payout] += figure
            if payout != self.world.members[name].payout:
                tally("withdrawal to another payout address")
            if not self.law.members[name].is_member:
                tally("withdrawal of a removed member")
            if self.law.members[name].suspended:
                tally("withdrawal of a suspended member")
            if self.law.clock.paused:
                tally("withdrawal during a pause")

    def signed_by(self, name: str, key: bytes | None, reason: str) -> None:
        """Refuses what a member's key of now did not sign."""
        members: Members = self.law.members
        if not members.signs(name, key):
            raise Refused(reason)

    # --- debts ---

    @precondition(lambda self: any(self.law.money.owed.values()))
    @rule(seed=seeds)
    def fall_due(self, seed: int) -> None:
        self.fall_one(Random(seed))

    def fall_one(self, rng: Random) -> None:
        """A pair's net, mostly one that can be set off."""
        owed = [pair for pair, amount in self.law.money.owed.items() if amount]
        account = self.law.money.owed
        due = [pair for pair in owed if account[pair] - account[pair[::-1]] >= money.UNIT]
        queued = [self.law.money.of(number) for number in self.law.money.queue]
        against = [pair for pair in due if pair[::-1] in queued]
        due = against or due
        if not due and rng.random() < 0.7:
            return
        pair = rng.choice(due or owed) if rng.random() < 0.9 else tuple(rng.sample(TRADERS, 2))
        by_member = rng.random() < 0.7 and self.key(pair[0]) is not None
        sender = self.law.members.hot_address(pair[0]) if by_member else self.world.stranger
        open_before = sum(debt.open for debt in self.law.money.debts)
        before = len(self.law.money.debts)
        done = self.act(
            "fall due",
            lambda: self.law.money.fall_due(*pair, self.law.clock.now, by_member),
            lambda: money.fall_due(self.world, pair[0], pair[1], sender),
        )
        if done:
            assert done[0] == done[1]
            if len(self.law.money.debts) > before:
                tally("obligation ->open")
            if sum(debt.open for debt in self.law.money.debts[:before]) < open_before:
                tally("obligation open->set off")
            if rng.random() < 0.5:
                self.notify_some(rng)

    def open_debts(self, rng: Random) -> tuple[tuple[str, str], list[int]] | None:
        """A pair, and some of its open obligations."""
        numbers = [number for number, debt in enumerate(self.law.money.debts, 1) if debt.open]
        number = some(rng, numbers)
        if number is None:
            return None
        pair = self.law.money.of(number)
        same = [one for one in numbers if self.law.money.of(one) == pair]
        return pair, rng.sample(same, rng.randint(1, min(3, len(same))))

    @precondition(lambda self: self.law.money.debts)
    @rule(seed=seeds)
    def notify(self, seed: int) -> None:
        self.notify_some(Random(seed))

    def notify_some(self, rng: Random) -> None:
        """The debtor says that it paid by bank."""
        drawn = self.open_debts(rng)
        if drawn is None:
            return
        (debtor, creditor), numbers = drawn
        total = sum(self.law.money.debts[number - 1].open for number in numbers)
        amount = rng.choice((total, total, max(1, total // 2), max(1, total // 2), total + 1))
        self.references += 0 if rng.random() < 0.1 else 1
        reference = max(1, self.references).to_bytes(32, "big")
        said = money.notice(self.world, debtor, creditor, numbers, amount, reference_hash=reference)
        key = self.key_or_not(debtor, rng)

        def in_model() -> None:
            self.signed_by(debtor, key, "ObligationLedger: not signed by debtor")
            self.law.money.notify(debtor, creditor, tuple(numbers), amount, reference, self.law.clock.now)

        if self.act("notify", in_model, lambda: money.notify(self.world, debtor, said, signature=self.sign(key, said))):
            tally("obligation open->notified")
            if rng.random() < 0.5:
                self.say(rng)

    def some_notice(self, rng: Random) -> tuple[tuple[str, str, bytes], Reference]:
        known = self.law.money.references
        key = rng.choice([key for key, one in known.items() if one.live or rng.random() < 0.2] or list(known))
        return key, known[key]

    def with_key(self, name: str, reason: str, in_model: Callable[[], Any]) -> Callable[[], Any]:
        """An act of a member, who may have no key."""

        def guarded() -> Any:
            self.signed_by(name, self.world.members[name].hot, reason)
            return in_model()

        return guarded

    @precondition(lambda self: self.law.money.references)
    @rule(seed=seeds)
    def say_what_arrived(self, seed: int) -> None:
        self.say(Random(seed))

    def say(self, rng: Random) -> None:
        """The creditor acknowledges or denies, a bank attests, the arbiters rule."""
        (creditor, debtor, reference), notice = self.some_notice(rng)
        left = notice.amount - notice.arrived
        amount = notice.arrived + rng.choice((left, left, (left + 1) // 2, left + 1, 0))
        law = self.law.money
        ripe = notice.denied or self.law.clock.now >= notice.notified_at + money.SILENCE
        way = pick(rng, {"acknowledge": 3, "attest": 2.5, "deny": 2, "rule": 6 if ripe else 0.3})
        signer = {"acknowledge": creditor, "deny": creditor, "attest": "bank", "rule": ""}[way]
        reason = "ObligationLedger: not signed by " + ("bank" if way == "attest" else "creditor")
        arrive = lambda: law.arrive(creditor, debtor, reference, amount)  # noqa: E731
        models: dict[str, Callable[[], Any]] = {
            "acknowledge": self.with_key(creditor, reason, arrive),
            "attest": arrive,
            "deny": self.with_key(creditor, reason, lambda: law.deny(creditor, debtor, reference)),
            "rule": lambda: law.rule(creditor, debtor, reference, amount, self.law.clock.now),
        }
        chains: dict[str, Callable[[], Any]] = {
            "acknowledge": lambda: money.acknowledge(self.world, creditor, reference, amount, debtor),
            "attest": lambda: money.attest(self.world, creditor, reference, amount, debtor),
            "deny": lambda: money.deny(self.world, creditor, reference, debtor),
            "rule": lambda: money.rule(self.world, creditor, reference, amount, debtor),
        }
        assert signer in ("", "bank", creditor)
        done = self.act(f"{way} notice", models[way], chains[way])
        if done:
            word = {"acknowledge": "acknowledged", "attest": "attested", "deny": "denied", "rule": "ruled"}[way]
            tally(f"obligation notified->{word}")
            if way == "deny" and rng.random() < 0.85:
                self.say(rng)
            if any(not law.debts[number - 1].open for number in notice.debts):
                tally("obligation ->closed")

    @precondition(lambda self: self.law.money.debts)
    @rule(seed=seeds)
    def pay(self, seed: int) -> None:
        """From the escrow."""
        rng = Random(seed)
        drawn = self.open_debts(rng)
        if drawn is None:
            return
        (debtor, creditor), numbers = drawn
        total = sum(self.law.money.debts[number - 1].open for number in numbers)
        amount = rng.choice((total, total // 2, total + 1, 0))
        sequence = self.law.money.payments[debtor] + (1 if rng.random() < 0.05 else 0)
        said = money.payment(self.world, debtor, creditor, numbers, amount, sequence)
        key = self.key_or_not(debtor, rng)

        def in_model() -> None:
            self.signed_by(debtor, key, "ObligationLedger: not signed by debtor")
            self.law.money.pay(debtor, creditor, tuple(numbers), amount, sequence)

        if self.act(
            "pay from escrow",
            in_model,
            lambda: money.pay(self.world, debtor, said, signature=self.sign(key, said)),
            losers=[debtor],
        ):
            self.law.paid_from_escrow[debtor, creditor] += amount
            tally("obligation open->paid")

    @precondition(
        lambda self: (
            self.law.inputs.closed_for()
            or (self.law.inputs.run and any(pair.lock for pair in self.law.money.pairs.values()))
        )
    )
    @rule(seed=seeds)
    def release(self, seed: int) -> None:
        rng = Random(seed)
        closed_for = self.law.inputs.closed_for()
        if not closed_for and rng.random() < 0.9:
            return
        locked = [pair for (_, *pair), state in self.law.money.pairs.items() if state.lock]
        self.release_one(*(rng.choice(locked) if locked and rng.random() < 0.9 else rng.sample(TRADERS, 2)))

    def release_one(self, payer: str, payee: str) -> bool:
        """Anybody gives a lock back that nothing can use any more; whether there was one."""
        closed_for = self.law.inputs.closed_for()
        done = self.act(
            "release",
            lambda: self.law.money.release(CYCLE, payer, payee, closed_for, self.law.rows.stage((payer, payee))),
            lambda: self.world.escrow.release(CYCLE, self.id(payer), self.id(payee)),
        )
        if done:
            tally("lock closed->released")
        return done is not None

    # --- statements ---

    def finalise(self, rng: Random) -> None:
        """A month is final: a member's by itself, a pair's by both; once."""
        names = [rng.choice(TRADERS)]
        if rng.random() < 0.5:
            names = sorted(rng.choice(list(combinations(TRADERS, 2))), key=self.id)
        period = rng.choice((202_608, 202_609))
        counterparty = self.id(names[1]) if len(names) == 2 else bytes(32)
        said = Statement(self.id(names[0]), counterparty, bytes(32), period, keccak256(rng.randbytes(4)))
        keys = [self.key_or_not(name, rng) for name in names]
        slot = (names[0], names[1] if len(names) == 2 else "", period)

        def in_model() -> None:
            if slot in self.law.statements:
                raise Refused("StatementRegistry: already final")
            for name, key in zip(names, keys, strict=True):
                self.signed_by(name, key, "StatementRegistry: wrong signature")
            self.law.statements[slot] = said.digest

        self.act(
            "finalise statement",
            in_model,
            lambda: self.world.statements.finalise(astuple(said), [self.sign(key, said) for key in keys], []),
        )


__all__ = ["FORGER", "MoneyRules"]
