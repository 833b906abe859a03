"""Everybody's treasury: pays by bank what has fallen due, sees money arrive, takes out what is free.

What it does it says to the member's own program over HTTP, signed with the member's key, as an operator would.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from demo.members import Member, Members
from demo.setting import Setting
from demo.world import World
from member.desk import Member as Signer
from member.payments import PaymentArrived, PaymentMade, TakeOut
from member.peers import Peer, Peers
from settlement.documents import document
from settlement.hashing import Hash32

RAIL: Final = "NEFT"
MOST_OBLIGATIONS: Final = 16
"""So many obligations a notice names at most."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A bank transfer that the creditor has not yet acknowledged."""

    debtor: Member
    creditor: Member
    reference: str
    amount: int


@dataclass
class Treasury:
    """The treasuries of all members that run a program."""

    members: Members
    setting: Setting
    world: World
    _peers: dict[str, Peers] = field(default_factory=dict)
    _transfers: list[Transfer] = field(default_factory=list)
    _references: count[int] = field(default_factory=lambda: count(1))

    def notify(self) -> None:
        """Each debtor pays each creditor what is open in one bank transfer, and gives notice of its reference."""
        for debtor in self.members.programs:
            for creditor, owed in sorted(self._open(debtor).items()):
                for first in range(0, len(owed), MOST_OBLIGATIONS):
                    self._pay(debtor, self.members.by_id[creditor], owed[first : first + MOST_OBLIGATIONS])

    def acknowledge(self) -> None:
        """Each creditor sees the money on its account and acknowledges what arrived."""
        for one in self._transfers:
            arrived = PaymentArrived(one.debtor.id, RAIL, one.reference, one.amount)
            self._say(one.creditor, "/v1/payments/acknowledgements", arrived)
        self._transfers.clear()

    def withdraw(self) -> None:
        """Everybody takes out what is free."""
        for member in self.members.programs:
            if self.world.call("SettlementEscrow", "free", member.id):
                self._say(member, "/v1/withdrawals", TakeOut(None))

    def _open(self, debtor: Member) -> dict[Hash32, list[dict[str, Any]]]:
        """What a member owes and has not given notice of, by creditor."""
        found: dict[Hash32, list[dict[str, Any]]] = defaultdict(list)
        for one in self._program(debtor).get("/v1/obligations")["obligations"]:
            is_open = int(one["open"]) > 0 and not one["is_notified"]
            if is_open and one["debtor"] == "0x" + debtor.id.hex():
                found[bytes.fromhex(one["creditor"][2:])].append(one)
        return found

    def _pay(self, debtor: Member, creditor: Member, owed: list[dict[str, Any]]) -> None:
        now = self.world.rpc.timestamp()
        one = Transfer(
            debtor, creditor, f"CLWT {now} {next(self._references):04d}", sum(int(each["open"]) for each in owed)
        )
        numbers = tuple(each["number"] for each in owed)
        made = PaymentMade(creditor.id, numbers, one.amount, RAIL, now, one.reference)
        self._say(debtor, "/v1/payments/notices", made)
        self._transfers.append(one)

    def _say(self, member: Member, path: str, value: object) -> None:
        self._program(member).post(path, document(value))

    def _program(self, member: Member) -> Peer:
        """The member's own program, as its own treasury reaches it."""
        if member.name not in self._peers:
            signer = Signer(member.subscriber, member.hot_key)
            self._peers[member.name] = Peers(signer, {member.subscriber: self.setting.addresses[member.name].url})
        return self._peers[member.name].peer(member.subscriber)
