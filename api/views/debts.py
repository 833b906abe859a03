"""What members owe each other outside the escrow: accounts, obligations that fell due, notices of payments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from api.views.finality import Finality, of_block
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
    """What fell due between two members; base units. A notified one is not overdue: the creditor's word is awaited."""

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
    """A debtor's word that it paid by bank, and how much the creditor has acknowledged of it; base units."""

    debtor: Hash32
    creditor: Hash32
    obligations: tuple[int, ...]
    amount: int
    acknowledged: int
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


@dataclass
class _Obligation:
    debtor: Hash32
    creditor: Hash32
    amount: int
    due_at: int
    block: int
    closed: int = 0
    notified: bool = False


def debts_of(ledger: Evidence, now: int, final_block: int) -> Debts:
    """Everything owed, from the ledger's events until `now` (UTC epoch seconds)."""
    net: dict[tuple[Hash32, Hash32], int] = {}
    obligations: dict[int, _Obligation] = {}
    acknowledged: dict[tuple[Hash32, Hash32, Hash32], int] = {}
    for event in ledger.of("AccountChanged", "FellDue", "SetOff", "Closed", "Notified", "Acknowledged"):
        match event.name:
            case "AccountChanged":
                _add(net, event["debtor"], event["creditor"], event["owed"])
            case "FellDue":
                _add(net, event["debtor"], event["creditor"], -event["amount"])
                obligations[event["number"]] = _Obligation(
                    event["debtor"], event["creditor"], event["amount"], event["due_at"], event.block
                )
            case "SetOff":
                # What fell due the other way was set off against this one, and left the account like what falls due.
                one = obligations[event["number"]]
                _add(net, one.creditor, one.debtor, -event["amount"])
            case "Closed":
                one = obligations[event["number"]]
                one.closed, one.block = one.amount - event["open_amount"], event.block
            case "Notified":
                for number in event["obligations"]:
                    obligations[number].notified = True
            case _:
                acknowledged[_reference(event.fields)] = event["acknowledged"]
    return Debts(
        tuple(AccountView(*pair, amount) for pair, amount in sorted(_positive(net))),
        tuple(_obligation(number, one, now, final_block) for number, one in sorted(obligations.items())),
        tuple(
            NoticeView(
                event["debtor"],
                event["creditor"],
                tuple(event["obligations"]),
                event["amount"],
                acknowledged.get(_reference(event.fields), 0),
                event["rail"],
                event["value_date"],
                event["reference_hash"],
                event.time,
                of_block(event.block, final_block),
            )
            for event in ledger.of("Notified")
        ),
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


def _add(net: dict[tuple[Hash32, Hash32], int], debtor: Hash32, creditor: Hash32, amount: int) -> None:
    """Adds to a pair's net, which is kept once, in the direction of the lower id."""
    pair, sign = ((debtor, creditor), 1) if debtor < creditor else ((creditor, debtor), -1)
    net[pair] = net.get(pair, 0) + sign * amount


def _positive(net: dict[tuple[Hash32, Hash32], int]) -> Iterable[tuple[tuple[Hash32, Hash32], int]]:
    for (lower, higher), amount in net.items():
        if amount:
            yield ((lower, higher), amount) if amount > 0 else ((higher, lower), -amount)


def _obligation(number: int, one: _Obligation, now: int, final_block: int) -> ObligationView:
    is_open = one.closed < one.amount
    return ObligationView(
        number=number,
        debtor=one.debtor,
        creditor=one.creditor,
        amount=one.amount,
        closed=one.closed,
        due_at=one.due_at,
        is_notified=one.notified,
        is_overdue=is_open and not one.notified and now > one.due_at,
        finality=of_block(one.block, final_block),
    )


def _reference(fields: object) -> tuple[Hash32, Hash32, Hash32]:
    return fields["creditor"], fields["debtor"], fields["reference_hash"]  # type: ignore[index]
