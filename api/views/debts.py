"""What members owe each other outside the escrow: accounts, obligations that fell due, notices of payments."""

from __future__ import annotations

from dataclasses import dataclass

from api.views.finality import Finality, of_block
from chain.debts import Notice, Obligation, ledger_of
from chain.evidence import Evidence
from settlement.hashing import Hash32


@dataclass(frozen=True, slots=True)
class AccountView:
    """What `debtor` owes `creditor`, net of the other direction, that has not fallen due; base units."""

    debtor: Hash32
    creditor: Hash32
    amount: int


@dataclass(frozen=True, slots=True)
class ObligationView:
    """What fell due between two members; base units.

    `is_notified`: a live notice names it, so it is not set off; once that has been silent for the market's notice
    silence, it does not count as overdue either.
    """

    number: int
    debtor: Hash32
    creditor: Hash32
    amount: int
    closed: int
    due_at: int
    is_notified: bool
    is_overdue: bool
    finality: Finality


@dataclass(frozen=True, slots=True)
class NoticeView:
    """A debtor's word that it paid by bank; base units.

    `acknowledged` is what the creditor says of it; `arrived` counts a settlement bank's and the arbiters' word as well.
    Live until all has arrived, it is denied, or ruled on.
    """

    debtor: Hash32
    creditor: Hash32
    obligations: tuple[int, ...]
    amount: int
    acknowledged: int
    arrived: int
    is_live: bool
    rail: Hash32
    value_date: int
    reference_hash: Hash32 | None
    notified_at: int
    finality: Finality


@dataclass(frozen=True, slots=True)
class Debts:
    """All of a market's, or those of some members."""

    accounts: tuple[AccountView, ...]
    obligations: tuple[ObligationView, ...]
    notices: tuple[NoticeView, ...]


def debts_of(evidence: Evidence, now: int, notice_silence: int, final_block: int) -> Debts:
    """Everything owed, from the ledger's events until `now` (UTC epoch seconds)."""
    ledger = ledger_of(evidence)
    return Debts(
        tuple(AccountView(*one) for one in ledger.accounts()),
        tuple(_obligation(one, now, notice_silence, final_block) for _, one in sorted(ledger.obligations.items())),
        tuple(_notice(one, final_block) for one in ledger.notices.values()),
    )


def debts_between(debts: Debts, members: frozenset[Hash32]) -> Debts:
    """Those to which one of some members is a party."""

    def concerns(one: AccountView | ObligationView | NoticeView) -> bool:
        return one.debtor in members or one.creditor in members

    return Debts(
        tuple(filter(concerns, debts.accounts)),
        tuple(filter(concerns, debts.obligations)),
        tuple(filter(concerns, debts.notices)),
    )


def _obligation(one: Obligation, now: int, notice_silence: int, final_block: int) -> ObligationView:
    return ObligationView(
        number=one.number,
        debtor=one.debtor,
        creditor=one.creditor,
        amount=one.amount,
        closed=one.closed,
        due_at=one.due_at,
        is_notified=one.is_notified,
        is_overdue=one.is_overdue(now, notice_silence),
        finality=of_block(one.block, final_block),
    )


def _notice(one: Notice, final_block: int) -> NoticeView:
    event = one.event
    return NoticeView(
        debtor=event["debtor"],
        creditor=event["creditor"],
        obligations=tuple(event["obligations"]),
        amount=one.amount,
        acknowledged=one.acknowledged,
        arrived=one.arrived,
        is_live=one.is_live,
        rail=event["rail"],
        value_date=event["value_date"],
        reference_hash=event["reference_hash"],
        notified_at=event.time,
        finality=of_block(event.block, final_block),
    )
