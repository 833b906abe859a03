"""What was owed falls due, is paid by bank under a reference, and is acknowledged; what is free is withdrawn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations

from demo.calendar import CONFIG
from demo.day import Market
from demo.members import Member, demo_key
from settlement.config import code
from settlement.hashing import Hash32, abi_encode, keccak256
from settlement.trade import Acknowledgement, PaymentNotice, Withdrawal
from store.records import RecordedNotice, RecordedObligation

RAIL = code("NEFT")


def reference_hash(creditor: Member, debtor: Hash32, rail: Hash32, reference: str) -> Hash32:
    """How a bank reference stands on chain: salted with a secret of the creditor's, who knows it from the bank too."""
    salt = keccak256(demo_key("reference salt", creditor.name))
    text = "".join(reference.split()).upper()
    return keccak256(abi_encode(("bytes32", "bytes32", "bytes32", "string"), (salt, debtor, rail, text)))


@dataclass
class Debts:
    """Obligations and their payments."""

    market: Market
    obligations: list[RecordedObligation] = field(default_factory=list)
    notices: list[RecordedNotice] = field(default_factory=list)

    def fall_due(self) -> int:
        """Every pair whose net is at least a payable unit falls due; returns how many did."""
        world = self.market.world
        before = len(self.obligations)
        for one, other in combinations(sorted(self.market.members.by_id), 2):
            forth, back = (world.call("ObligationLedger", "owed", *pair) for pair in ((one, other), (other, one)))
            if abs(forth - back) < CONFIG.payable_unit:
                continue
            sent = world.send("fall due", "ObligationLedger", "fall_due", one, other)
            for event in sent.named("FellDue"):
                self.obligations.append(
                    RecordedObligation(
                        event["number"],
                        event["debtor"],
                        event["creditor"],
                        event["amount"],
                        0,
                        event["due_at"],
                        world.last_time,
                    )
                )
        return len(self.obligations) - before

    def notify(self) -> None:
        """Each debtor pays each creditor what is open in one bank transfer, and gives notice of its reference."""
        world, members = self.market.world, self.market.members
        open_ones: dict[tuple[Hash32, Hash32], list[RecordedObligation]] = {}
        noticed = {number for one in self.notices for number in one.notice.obligations}
        for one in self.obligations:
            if one.number not in noticed:
                open_ones.setdefault((one.debtor, one.creditor), []).append(one)
        for (debtor, creditor), owed in sorted(open_ones.items()):
            utr = f"CLWT {world.now} {len(self.notices) + 1:04d}"
            notice = PaymentNotice(
                debtor,
                creditor,
                tuple(one.number for one in owed),
                sum(one.amount for one in owed),
                RAIL,
                world.now,
                reference_hash(members.by_id[creditor], debtor, RAIL, utr),
            )
            signature = members.by_id[debtor].sign(world.domain, notice)
            world.send("give notice of a payment", "ObligationLedger", "notify", notice, signature, [])
            self.notices.append(RecordedNotice(notice, signature, 0, 0))

    def acknowledge(self) -> None:
        """Each creditor sees the money on its account and acknowledges what arrived."""
        world, members = self.market.world, self.market.members
        for place, one in enumerate(self.notices):
            if one.acknowledged:
                continue
            notice = one.notice
            said = Acknowledgement(notice.creditor, notice.debtor, notice.reference_hash, notice.amount)
            signature = members.by_id[notice.creditor].sign(world.domain, said)
            world.send("acknowledge a payment", "ObligationLedger", "acknowledge", said, signature, [])
            self.notices[place] = replace(one, acknowledged=notice.amount, acknowledged_at=world.last_time)
            for at, obligation in enumerate(self.obligations):
                if obligation.number in notice.obligations:
                    self.obligations[at] = replace(obligation, closed=obligation.amount)

    def withdraw_all(self) -> dict[Hash32, int]:
        """Everybody takes out what is free; returns how much each took."""
        world = self.market.world
        taken: dict[Hash32, int] = {}
        for member in self.market.members.everyone:
            free = world.call("SettlementEscrow", "free", member.id)
            if free:
                sequence = world.call("SettlementEscrow", "withdrawal_sequence", member.id)
                withdrawal = Withdrawal(member.id, free, sequence)
                signature = member.sign(world.domain, withdrawal)
                world.send("withdraw", "SettlementEscrow", "withdraw", withdrawal, signature, [])
            taken[member.id] = free
        return taken
