"""What the ledger's events come to: accounts, obligations, and the notices that name them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from chain.evidence import Event, Evidence
from settlement.hashing import Hash32

Reference = tuple[Hash32, Hash32, Hash32]
"""What a notice is known by: creditor, debtor, reference hash."""


@dataclass
class Notice:
    """A debtor's word that it paid by bank; base units, block times.

    `arrived` is what the creditor acknowledged, a bank attested or the arbiters ruled, in all; `acknowledged` what the
    creditor itself has said of it.
    """

    event: Event
    arrived: int = 0
    acknowledged: int = 0
    is_denied: bool = False
    is_ruled: bool = False

    @property
    def amount(self) -> int:
        """What was paid, as the debtor says."""
        amount: int = self.event["amount"]
        return amount

    @property
    def is_live(self) -> bool:
        """Whether it is neither denied nor ruled on, and not all of it has arrived."""
        return not (self.is_denied or self.is_ruled) and self.arrived < self.amount


@dataclass
class Obligation:
    """What fell due; base units, block times. `block` is the one that changed it last."""

    number: int
    debtor: Hash32
    creditor: Hash32
    amount: int
    due_at: int
    fell_due_at: int
    block: int
    closed: int = 0
    notices: list[Notice] = field(default_factory=list)

    @property
    def open_amount(self) -> int:
        """What of it is not closed."""
        return self.amount - self.closed

    @property
    def is_notified(self) -> bool:
        """Whether a live notice names it: then it is not set off."""
        return any(one.is_live for one in self.notices)

    def is_overdue(self, now: int, notice_silence: int) -> bool:
        """Whether it is open past its due time, and no live notice that names it has been silent for so long."""
        is_silent = any(one.is_live and now >= one.event.time + notice_silence for one in self.notices)
        return self.open_amount > 0 and now > self.due_at and not is_silent


@dataclass
class Ledger:
    """Everything owed. `net` is kept once for two members, in the direction of the lower id."""

    net: dict[tuple[Hash32, Hash32], int] = field(default_factory=dict)
    obligations: dict[int, Obligation] = field(default_factory=dict)
    notices: dict[Reference, Notice] = field(default_factory=dict)

    def accounts(self) -> Iterator[tuple[Hash32, Hash32, int]]:
        """Debtor, creditor and what the one owes the other that has not fallen due, where it is anything."""
        for (lower, higher), amount in sorted(self.net.items()):
            if amount:
                yield (lower, higher, amount) if amount > 0 else (higher, lower, -amount)


def ledger_of(evidence: Evidence) -> Ledger:
    """The ledger after these events."""
    ledger = Ledger()
    for event in evidence.of(*_ACTS):
        _ACTS[event.name](ledger, event)
    return ledger


def _account_changed(ledger: Ledger, event: Event) -> None:
    _add(ledger, event["debtor"], event["creditor"], event["owed"])


def _fell_due(ledger: Ledger, event: Event) -> None:
    names = ("number", "debtor", "creditor", "amount", "due_at")
    fell = Obligation(**{name: event[name] for name in names}, fell_due_at=event.time, block=event.block)
    ledger.obligations[fell.number] = fell
    _add(ledger, fell.debtor, fell.creditor, -fell.amount)


def _set_off(ledger: Ledger, event: Event) -> None:
    # What fell due the other way was set off against this one, and left the account like what falls due.
    one = ledger.obligations[event["number"]]
    _add(ledger, one.creditor, one.debtor, -event["amount"])


def _closed(ledger: Ledger, event: Event) -> None:
    one = ledger.obligations[event["number"]]
    one.closed, one.block = one.amount - event["open_amount"], event.block


def _notified(ledger: Ledger, event: Event) -> None:
    notice = ledger.notices[_reference(event)] = Notice(event)
    for number in event["obligations"]:
        ledger.obligations[number].notices.append(notice)


def _acknowledged(ledger: Ledger, event: Event) -> None:
    notice = ledger.notices[_reference(event)]
    notice.arrived = notice.acknowledged = event["acknowledged"]


def _bank_attested(ledger: Ledger, event: Event) -> None:
    ledger.notices[_reference(event)].arrived = event["attested"]


def _denied(ledger: Ledger, event: Event) -> None:
    ledger.notices[_reference(event)].is_denied = True


def _ruled(ledger: Ledger, event: Event) -> None:
    notice = ledger.notices[_reference(event)]
    notice.arrived, notice.is_ruled = event["arrived"], True


_ACTS = {
    "AccountChanged": _account_changed,
    "FellDue": _fell_due,
    "SetOff": _set_off,
    "Closed": _closed,
    "Notified": _notified,
    "Acknowledged": _acknowledged,
    "BankAttested": _bank_attested,
    "Denied": _denied,
    "NoticeRuled": _ruled,
}


def _reference(event: Event) -> Reference:
    return event["creditor"], event["debtor"], event["reference_hash"]


def _add(ledger: Ledger, debtor: Hash32, creditor: Hash32, amount: int) -> None:
    pair, sign = ((debtor, creditor), 1) if debtor < creditor else ((creditor, debtor), -1)
    ledger.net[pair] = ledger.net.get(pair, 0) + sign * amount
