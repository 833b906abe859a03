"""What is owed: it falls due by the creditor's call, and every obligation of the member's can be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import Response

from chain.evidence import Evidence
from member.market import Market
from member.sending import send_once
from member.service import Caller, answer
from settlement.documents import document
from settlement.flows import Pair
from settlement.hashing import Hash32
from store.records import RecordedObligation

if TYPE_CHECKING:
    from member.daemon import Daemon


@dataclass(frozen=True, slots=True)
class Obligation:
    """An obligation and whether a notice of payment names it: then it is neither overdue nor set off."""

    obligation: RecordedObligation
    is_notified: bool

    @property
    def open_amount(self) -> int:
        """What of it is not closed, base units."""
        return self.obligation.amount - self.obligation.closed

    def is_overdue(self, now: int) -> bool:
        """Whether it is open past its due time, and no notice names it."""
        return self.open_amount > 0 and not self.is_notified and now > self.obligation.due_at


def obligations_of(ledger: Evidence, member: Hash32) -> tuple[Obligation, ...]:
    """The obligations that a member owes or is owed, by number."""
    found: dict[int, Obligation] = {}
    for event in ledger.of("FellDue", "Closed", "Notified"):
        if event.name == "FellDue":
            if member in (event["debtor"], event["creditor"]):
                fields = {name: event[name] for name in ("number", "debtor", "creditor", "amount", "due_at")}
                fell = RecordedObligation(**fields, closed=0, fell_due_at=event.time)
                found[event["number"]] = Obligation(fell, False)
        elif event.name == "Notified":
            for number in event["obligations"]:
                if number in found:
                    found[number] = replace(found[number], is_notified=True)
        elif event["number"] in found:
            known = found[event["number"]]
            closed = known.obligation.closed + event["amount"]
            found[event["number"]] = replace(known, obligation=replace(known.obligation, closed=closed))
    return tuple(found[number] for number in sorted(found))


@dataclass(frozen=True, slots=True)
class Account:
    """Two members' account: how often something was added to it, and when it last fell due (0: never)."""

    changes: int = 0
    fell_due_at: int = 0


def accounts_of(ledger: Evidence, member: Hash32) -> Mapping[Hash32, Account]:
    """A member's accounts, by the other member."""
    found: dict[Hash32, Account] = {}
    for event in ledger.of("AccountChanged", "FellDue"):
        pair = event["debtor"], event["creditor"]
        if member not in pair:
            continue
        other = _other(pair, member)
        known = found.get(other, Account())
        if event.name == "FellDue":
            found[other] = replace(known, fell_due_at=event.time)
        else:
            found[other] = replace(known, changes=known.changes + 1)
    return found


class Debts:
    """The stage that lets what others owe to this member fall due.

    The creditor calls, since it gains; at most once in the market's interval, so that the rows of a day fall due
    together. Its sender is its relaying account, for which the contract holds to the same interval.
    """

    name = "debts"

    def __init__(self, daemon: Daemon[Any]) -> None:
        self._market: Market = daemon.market
        self._me = daemon.me.id
        # Accounts whose net was looked at and is below a unit: it stays so until something is added.
        self._below: dict[Hash32, Account] = {}

    def run(self) -> bool:
        """Calls for every account whose net has come to a payable unit."""
        did = False
        now = self._market.now()
        config = self._market.config(self._market.calendar.cycle_of(now))
        for other, account in accounts_of(self._market.ledger(), self._me).items():
            if account.fell_due_at and now < account.fell_due_at + config.fall_due_interval:
                continue
            if self._below.get(other) == account:
                continue
            if self._net(other) < config.payable_unit:
                self._below[other] = account
                continue
            # The account's net is above a unit only after something was added since it last fell due.
            intent = f"fall_due:0x{other.hex()}:{account.changes}"
            did |= send_once(self._market, intent, "ObligationLedger", "fall_due", self._me, other)
        return did

    def _net(self, other: Hash32) -> int:
        """What the other owes this member in all that has not fallen due, base units; below 0 the other way."""
        forth: int = self._market.call("ObligationLedger", "owed", other, self._me)
        back: int = self._market.call("ObligationLedger", "owed", self._me, other)
        return forth - back


def routes(daemon: Daemon[Any]) -> APIRouter:
    """The member's obligations: all of them to itself, to others those with them."""
    router = APIRouter(prefix="/v1")

    @router.get("/obligations")
    def obligations(caller: Caller) -> Response:
        now = daemon.market.now()
        mine = obligations_of(daemon.market.ledger(), daemon.me.id)
        shown = [one for one in mine if caller in (daemon.me.id, one.obligation.debtor, one.obligation.creditor)]
        return answer(
            {
                "obligations": [
                    document(one.obligation)
                    | {
                        "open": str(one.open_amount),
                        "is_notified": one.is_notified,
                        "is_overdue": one.is_overdue(now),
                    }
                    for one in shown
                ]
            }
        )

    return router


def _other(pair: Pair, member: Hash32) -> Hash32:
    return pair[1] if pair[0] == member else pair[0]
