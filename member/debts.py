"""What is owed: it falls due by the creditor's call, and every obligation of the member's can be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import Response

from chain.debts import Obligation, ledger_of
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
        config = self._market.newest_config()
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
        market = daemon.market
        now, silence = market.now(), market.newest_config().notice_silence
        found = (one for _, one in sorted(ledger_of(market.ledger()).obligations.items()))
        shown = [one for one in found if {daemon.me.id, caller} <= {one.debtor, one.creditor}]
        return answer(
            {
                "obligations": [
                    document(_recorded(one))
                    | {
                        "open": str(one.open_amount),
                        "is_notified": one.is_notified,
                        "is_overdue": one.is_overdue(now, silence),
                    }
                    for one in shown
                ]
            }
        )

    return router


def _recorded(one: Obligation) -> RecordedObligation:
    return RecordedObligation(one.number, one.debtor, one.creditor, one.amount, one.closed, one.due_at, one.fell_due_at)


def _other(pair: Pair, member: Hash32) -> Hash32:
    return pair[1] if pair[0] == member else pair[0]
