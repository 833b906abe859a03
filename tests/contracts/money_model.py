"""What the escrow and the ledger should do, written plainly: the model that their state machine is compared with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.contracts.money import INTERVAL, MAX_AMOUNT, UNIT


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
    notified: bool = False

    @property
    def open(self) -> int:
        return self.amount - self.closed


@dataclass
class Reference:
    """A notice and what was acknowledged of it."""

    debts: tuple[int, ...]
    amount: int
    acknowledged: int = 0


@dataclass
class Model:
    """All money of a market; members by name, amounts in base units."""

    set_off: int
    due_time: int
    free: Counter[str] = field(default_factory=Counter)
    sequence: Counter[str] = field(default_factory=Counter)
    paid_out: Counter[str] = field(default_factory=Counter)
    pairs: dict[tuple[int, str, str], PairState] = field(default_factory=dict)
    owed: Counter[tuple[str, str]] = field(default_factory=Counter)
    fell_due_at: dict[frozenset[str], int] = field(default_factory=dict)
    debts: list[Debt] = field(default_factory=list)
    references: dict[tuple[str, str, bytes], Reference] = field(default_factory=dict)

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
        against = [
            debt
            for debt in self.debts
            if (debt.debtor, debt.creditor) == (creditor, debtor) and debt.open and not debt.notified
        ]
        for debt in against[: self.set_off]:
            taken = min(debt.open, falling)
            debt.closed += taken
            falling -= taken
        if falling == 0:
            return 0
        self.debts.append(Debt(debtor, creditor, falling, now + self.due_time))
        return len(self.debts)

    def notify(self, debtor: str, creditor: str, numbers: tuple[int, ...], amount: int, reference: bytes) -> None:
        if (creditor, debtor, reference) in self.references:
            raise Refused("ObligationLedger: reference used")
        total = 0
        for number in numbers:
            debt = self.debts[number - 1]
            if (debt.debtor, debt.creditor) != (debtor, creditor):
                raise Refused("ObligationLedger: not of this pair")
            if not debt.open:
                raise Refused("ObligationLedger: closed already")
            total += debt.open
        if amount > total:
            raise Refused("ObligationLedger: more than is open")
        for number in numbers:
            self.debts[number - 1].notified = True
        self.references[creditor, debtor, reference] = Reference(numbers, amount)

    def acknowledge(self, creditor: str, debtor: str, reference: bytes, acknowledged: int) -> None:
        known = self.references.get((creditor, debtor, reference), Reference((), 0))
        if acknowledged > known.amount:
            raise Refused("ObligationLedger: more than notified")
        if acknowledged <= known.acknowledged:
            raise Refused("ObligationLedger: nothing new")
        left = acknowledged - known.acknowledged
        debts = [self.debts[number - 1] for number in known.debts]
        if left > sum(debt.open for debt in debts):
            raise Refused("ObligationLedger: not open any more")
        for debt in debts:
            taken = min(debt.open, left)
            debt.closed += taken
            left -= taken
        known.acknowledged = acknowledged
