"""What the escrow and the ledger should do, written plainly: the model that their state machine is compared with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.contracts.money import INTERVAL, MAX_AMOUNT, REST, SILENCE, UNIT


class Refused(Exception):
    """What the model does not do; the text is the contract's reason."""


@dataclass
class PairState:
    """A pair in a cycle, and where what was applied went."""

    lock: int = 0
    applied: int = 0
    state: int = 0
    paid: int = 0
    owed: int = 0
    owed_back: int = 0

    @property
    def word(self) -> int:
        return self.lock | self.applied << 96 | self.state << 192


@dataclass
class Debt:
    """An obligation."""

    debtor: str
    creditor: str
    amount: int
    due_at: int
    closed: int = 0

    @property
    def open(self) -> int:
        return self.amount - self.closed


@dataclass
class Reference:
    """A notice and what arrived of it, as its creditor, a bank or the arbiters said."""

    debts: tuple[int, ...]
    amount: int
    notified_at: int = 0
    arrived: int = 0
    denied: bool = False
    ruled: bool = False

    @property
    def live(self) -> bool:
        return not self.denied and not self.ruled and self.arrived < self.amount


@dataclass
class Model:
    """All money of a market; members by name, amounts in base units."""

    set_off: int
    due_time: int
    # How long after its close a cycle's locks wait, by the parameters of the cycle.
    rest: int = REST
    free: Counter[str] = field(default_factory=Counter)
    sequence: Counter[str] = field(default_factory=Counter)
    payments: Counter[str] = field(default_factory=Counter)
    paid_out: Counter[str] = field(default_factory=Counter)
    pairs: dict[tuple[int, str, str], PairState] = field(default_factory=dict)
    owed: Counter[tuple[str, str]] = field(default_factory=Counter)
    fell_due_at: dict[frozenset[str], int] = field(default_factory=dict)
    debts: list[Debt] = field(default_factory=list)
    references: dict[tuple[str, str, bytes], Reference] = field(default_factory=dict)
    # Numbers of open obligations that no live notice names, in the order in which they came to be such.
    queue: list[int] = field(default_factory=list)

    @property
    def held(self) -> int:
        return sum(self.free.values()) + sum(pair.lock for pair in self.pairs.values())

    def pair(self, cycle: int, payer: str, payee: str) -> PairState:
        return self.pairs.setdefault((cycle, payer, payee), PairState())

    def deposit(self, member: str, amount: int) -> None:
        if self.held + amount > MAX_AMOUNT:
            raise Refused("SettlementEscrow: too much held")
        self.free[member] += amount

    def withdraw(self, member: str, amount: int, sequence: int) -> None:
        if sequence != self.sequence[member]:
            raise Refused("SettlementEscrow: wrong sequence")
        if amount > self.free[member]:
            raise Refused("SettlementEscrow: more than is free")
        self.sequence[member] += 1
        self.free[member] -= amount
        self.paid_out[member] += amount

    def lock(self, cycle: int, locks: list[tuple[str, str, int]]) -> None:
        needed: Counter[str] = Counter()
        for payer, _, amount in locks:
            needed[payer] += amount
        if any(amount > self.free[payer] for payer, amount in needed.items()):
            raise Refused("SettlementEscrow: lock not covered")
        for payer, payee, amount in locks:
            self.free[payer] -= amount
            self.pair(cycle, payer, payee).lock += amount

    def release(self, cycle: int, payer: str, payee: str, closed_for: int, stage: int) -> None:
        pair = self.pair(cycle, payer, payee)
        if closed_for < self.rest:
            raise Refused("SettlementEscrow: cycle not closed for long")
        if stage in (1, 2):
            raise Refused("SettlementEscrow: a row is pending")
        if pair.lock == 0:
            raise Refused("SettlementEscrow: nothing locked")
        self.free[payer] += pair.lock
        pair.lock = 0

    def settle(self, cycle: int, payer: str, payee: str, amount: int, state: int, keep: int) -> tuple[int, int, int]:
        pair = self.pair(cycle, payer, payee)
        difference = amount - pair.applied
        paid = max(0, min(difference, pair.lock))
        owed = max(0, difference - paid)
        owed_back = max(0, -difference)
        released = max(0, pair.lock - paid - keep)
        self.free[payee] += paid
        self.free[payer] += released
        pair.lock -= paid + released
        pair.applied = amount
        pair.state = state
        pair.paid += paid
        pair.owed += owed
        pair.owed_back += owed_back
        self.owed[payer, payee] += owed
        self.owed[payee, payer] += owed_back
        return paid, owed, owed_back

    def fall_due(self, member: str, other: str, now: int, by_member: bool) -> int:
        last = self.fell_due_at.get(frozenset((member, other)))
        if not by_member and last is not None and now < last + INTERVAL:
            raise Refused("ObligationLedger: fell due lately")
        net = self.owed[member, other] - self.owed[other, member]
        debtor, creditor = (member, other) if net >= 0 else (other, member)
        falling = min(abs(net), MAX_AMOUNT) // UNIT * UNIT
        if falling == 0:
            raise Refused("ObligationLedger: less than a unit")
        self.owed[debtor, creditor] = abs(net) - falling
        self.owed[creditor, debtor] = 0
        self.fell_due_at[frozenset((member, other))] = now
        against = [n for n in self.queue if self.of(n) == (creditor, debtor)]
        for number in against[: self.set_off]:
            falling -= self.close(number, falling)
        if falling == 0:
            return 0
        self.debts.append(Debt(debtor, creditor, falling, now + self.due_time))
        self.queue.append(len(self.debts))
        return len(self.debts)

    def of(self, number: int) -> tuple[str, str]:
        """Debtor and creditor of an obligation."""
        return self.debts[number - 1].debtor, self.debts[number - 1].creditor

    def live(self, number: int) -> list[Reference]:
        """The live notices that name an obligation."""
        return [one for one in self.references.values() if one.live and number in one.debts]

    def is_overdue(self, number: int, now: int) -> bool:
        debt = self.debts[number - 1]
        silent = any(now >= one.notified_at + SILENCE for one in self.live(number))
        return debt.open > 0 and now > debt.due_at and not silent

    def close(self, number: int, at_most: int) -> int:
        debt = self.debts[number - 1]
        taken = min(debt.open, at_most)
        debt.closed += taken
        self.requeue((number,))
        return taken

    def requeue(self, numbers: tuple[int, ...]) -> None:
        """Who can be set off: leaves at once, or comes last."""
        for number in numbers:
            free = self.debts[number - 1].open > 0 and not self.live(number)
            if free and number not in self.queue:
                self.queue.append(number)
            if not free and number in self.queue:
                self.queue.remove(number)

    def open_sum(self, debtor: str, creditor: str, numbers: tuple[int, ...]) -> int:
        total = 0
        for number in numbers:
            if self.of(number) != (debtor, creditor):
                raise Refused("ObligationLedger: not of this pair")
            if not self.debts[number - 1].open:
                raise Refused("ObligationLedger: closed already")
            total += self.debts[number - 1].open
        return total

    def pay(self, debtor: str, creditor: str, numbers: tuple[int, ...], amount: int, sequence: int) -> None:
        if sequence != self.payments[debtor]:
            raise Refused("ObligationLedger: wrong sequence")
        if amount > self.open_sum(debtor, creditor, numbers):
            raise Refused("ObligationLedger: more than is open")
        if amount > self.free[debtor]:
            raise Refused("SettlementEscrow: payment not covered")
        self.payments[debtor] += 1
        self.free[debtor] -= amount
        self.free[creditor] += amount
        for number in numbers:
            amount -= self.close(number, amount)

    def notify(
        self, debtor: str, creditor: str, numbers: tuple[int, ...], amount: int, reference: bytes, now: int
    ) -> None:
        if (creditor, debtor, reference) in self.references:
            raise Refused("ObligationLedger: reference used")
        if amount > self.open_sum(debtor, creditor, numbers):
            raise Refused("ObligationLedger: more than is open")
        if any(len(self.live(number)) == 6 for number in numbers):
            raise Refused("ObligationLedger: too many notices")
        self.references[creditor, debtor, reference] = Reference(numbers, amount, now)
        self.requeue(numbers)

    def arrive(self, creditor: str, debtor: str, reference: bytes, arrived: int) -> None:
        """An acknowledgement, a bank's attestation, or a ruling of more than was known."""
        known = self.references.get((creditor, debtor, reference), Reference((), 0))
        if arrived > known.amount:
            raise Refused("ObligationLedger: more than notified")
        if arrived <= known.arrived:
            raise Refused("ObligationLedger: nothing new")
        left = arrived - known.arrived
        if left > sum(self.debts[number - 1].open for number in known.debts):
            raise Refused("ObligationLedger: not open any more")
        for number in known.debts:
            left -= self.close(number, left)
        known.arrived = arrived
        self.requeue(known.debts)

    def deny(self, creditor: str, debtor: str, reference: bytes) -> None:
        known = self.references.get((creditor, debtor, reference), Reference((), 0))
        if not known.live:
            raise Refused("ObligationLedger: no live notice")
        known.denied = True
        self.requeue(known.debts)

    def rule(self, creditor: str, debtor: str, reference: bytes, arrived: int, now: int) -> None:
        known = self.references.get((creditor, debtor, reference), Reference((), 0))
        if known.ruled:
            raise Refused("ObligationLedger: ruled already")
        if not known.denied and not (known.live and now >= known.notified_at + SILENCE):
            raise Refused("ObligationLedger: nothing to rule on")
        if arrived < known.arrived:
            raise Refused("ObligationLedger: less than arrived")
        if arrived > known.arrived:
            self.arrive(creditor, debtor, reference, arrived)
        known.ruled = True
        self.requeue(known.debts)
