"""What the member's operator says about money: it paid a debt by bank, it was paid, it takes out what is free.

Only the member itself may ask: the request is signed with its own hot key, the key that signs what comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from fastapi.responses import Response

from chain.errors import Reverted
from member.errors import PeerRefused, PeerSilent
from member.service import Body, Caller, answer
from settlement.config import code
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.hashing import Hash32, abi_encode, keccak256
from settlement.trade import Acknowledgement, PaymentNotice, Withdrawal
from wire.problems import Refused

if TYPE_CHECKING:
    from member.daemon import Daemon

SALT: Final = "reference-salt"
STATEMENT: Final = "money-statement"
"""The kind of facts under which what was signed is kept: one statement for each payment and each withdrawal."""


@dataclass(frozen=True, slots=True)
class PaymentMade:
    """A bank payment of the member's: which obligations it pays, how much, by which rail, when, under which reference.

    `amount` is in base units, `value_date` in UTC epoch seconds, `rail` a code of the market's list.
    """

    creditor: Hash32
    obligations: tuple[int, ...]
    amount: int
    rail: str
    value_date: int
    reference: str


@dataclass(frozen=True, slots=True)
class PaymentArrived:
    """What has arrived from a debtor under a reference, in all so far, base units."""

    debtor: Hash32
    rail: str
    reference: str
    acknowledged: int


@dataclass(frozen=True, slots=True)
class TakeOut:
    """A withdrawal to the member's payout address, base units; None for all that is free."""

    amount: int | None


@dataclass(frozen=True, slots=True)
class Salt:
    """The fixed salt of a creditor, by which references to payments stand on chain."""

    salt: Hash32


def reference_hash(salt: Hash32, debtor: Hash32, rail: Hash32, reference: str) -> Hash32:
    """How a bank reference stands on chain (`docs/protocol.md`, section 2)."""
    text = "".join(reference.split()).upper()
    return keccak256(abi_encode(("bytes32", "bytes32", "bytes32", "string"), (salt, debtor, rail, text)))


class Payments:
    """Signs and sends what the operator says. Any thread may use it."""

    def __init__(self, daemon: Daemon[Any]) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._me = daemon.me.id

    def salt(self) -> Hash32:
        """This member's salt: made from its key at first use, and the same from then on whatever its key is."""
        kept = self._daemon.store.fact(SALT, "own")
        if kept is not None:
            return value_of(Salt, kept).salt
        made = Salt(keccak256(b"clearwatt reference salt", self._daemon.me.key))
        self._daemon.store.keep_fact(SALT, "own", document(made))
        return made.salt

    def notify(self, made: PaymentMade) -> dict[str, Any]:
        """Gives notice of a payment. Raises Refused, `try-again` where the creditor does not tell its salt."""
        rail = _rail(made.rail)
        try:
            told = self._daemon.peers.get(made.creditor, "/v1/payments/salt")
        except (PeerSilent, PeerRefused) as error:
            raise Refused("try-again", f"the creditor's salt is not known: {error}") from error
        salt = value_of(Salt, told).salt
        notice = PaymentNotice(
            self._me,
            made.creditor,
            made.obligations,
            made.amount,
            rail,
            made.value_date,
            reference_hash(salt, self._me, rail, made.reference),
        )
        key = f"notice:0x{made.creditor.hex()}:0x{notice.reference_hash.hex()}"
        return self._say(key, notice, "ObligationLedger", "notify")

    def acknowledge(self, arrived: PaymentArrived) -> dict[str, Any]:
        """Acknowledges what arrived under a reference. Raises Refused."""
        reference = reference_hash(self.salt(), arrived.debtor, _rail(arrived.rail), arrived.reference)
        said = Acknowledgement(self._me, arrived.debtor, reference, arrived.acknowledged)
        key = f"acknowledgement:0x{arrived.debtor.hex()}:0x{reference.hex()}:{arrived.acknowledged}"
        return self._say(key, said, "ObligationLedger", "acknowledge")

    def withdraw(self, asked: TakeOut) -> dict[str, Any]:
        """Takes free balance out. Raises Refused, also while another withdrawal is on its way."""
        free: int = self._market.call("SettlementEscrow", "free", self._me)
        sequence: int = self._market.call("SettlementEscrow", "withdrawal_sequence", self._me)
        amount = free if asked.amount is None else asked.amount
        return self._say(
            f"withdrawal:{sequence}", Withdrawal(self._me, amount, sequence), "SettlementEscrow", "withdraw"
        )

    def _say(
        self, key: str, statement: PaymentNotice | Acknowledgement | Withdrawal, contract: str, function: str
    ) -> dict[str, Any]:
        """Signs one statement for a key and sends it; the same statement again is answered with what became of it."""
        kept = self._daemon.store.fact(STATEMENT, key)
        said = document(statement)
        if kept is not None and kept != said and self._market.sender.find(key) is not None:
            raise Refused("value-refused", "something else was signed for this already", facts={"signed": kept})
        self._daemon.store.keep_fact(STATEMENT, key, said)
        try:
            sent = self._market.submit(key, contract, function, statement, self._daemon.desk.sign(statement), [])
        except Reverted as error:
            raise Refused("contract-refused", error.reason) from error
        self._daemon.wake()
        return {"intent": key, "state": sent.state, "transaction": sent.hash, "said": said}


def routes(daemon: Daemon[Any]) -> APIRouter:
    """The operator's acts, and the salt that debtors need to give notice."""
    router = APIRouter(prefix="/v1")
    payments = Payments(daemon)

    def own(caller: Hash32) -> None:
        if caller != daemon.me.id:
            raise Refused("not-yours", "only the member itself speaks about its money")

    @router.get("/payments/salt")
    def salt(_: Caller) -> Response:
        return answer(document(Salt(payments.salt())))

    @router.post("/payments/notices")
    def notice(caller: Caller, body: Body) -> Response:
        own(caller)
        return answer(payments.notify(value_of(PaymentMade, body)), 202)

    @router.post("/payments/acknowledgements")
    def acknowledgement(caller: Caller, body: Body) -> Response:
        own(caller)
        return answer(payments.acknowledge(value_of(PaymentArrived, body)), 202)

    @router.post("/withdrawals")
    def withdrawal(caller: Caller, body: Body) -> Response:
        own(caller)
        return answer(payments.withdraw(value_of(TakeOut, body)), 202)

    return router


def _rail(text: str) -> Hash32:
    try:
        return code(text)
    except ValueError as error:
        raise SettlementError("$.rail", text, str(error)) from error
