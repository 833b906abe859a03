"""What the gateway relays: each call with the signatures that give it its authority, kept as a document until sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from settlement.documents import document, value_of
from settlement.hashing import Hash32
from settlement.trade import Acknowledgement, Lock, PaymentNotice, Row, Signature, Trade, TradeBatch, Withdrawal

NO_WALLETS: Final[list[bytes]] = []
"""Signatures of contracts are not taken here: only the chain can judge them."""

MAX_ROWS_A_CALL: Final = 64


class Call(Protocol):
    """A call: which function of which contract, with what."""

    @property
    def contract(self) -> str: ...
    @property
    def function(self) -> str: ...
    @property
    def arguments(self) -> tuple[object, ...]: ...


@dataclass(frozen=True, slots=True)
class RegisterTrade:
    """A trade with its signatures in role order, the platforms' of its TradeLocks; its locks with further payers'."""

    trade: Trade
    signatures: tuple[Signature, ...]
    locks: tuple[Lock, ...]
    lock_signatures: tuple[Signature, ...]

    contract = "TradeBook"
    function = "register_trade"

    @property
    def arguments(self) -> tuple[object, ...]:
        """As the contract takes them."""
        return self.trade, self.signatures, self.locks, self.lock_signatures, NO_WALLETS


@dataclass(frozen=True, slots=True)
class CommitBatch:
    """A batch with the signatures of its platforms and of every other payer in its locks."""

    batch: TradeBatch
    signatures: tuple[Signature, ...]

    contract = "TradeBook"
    function = "commit_batch"

    @property
    def arguments(self) -> tuple[object, ...]:
        """As the contract takes them."""
        return self.batch, self.signatures, NO_WALLETS


@dataclass(frozen=True, slots=True)
class SignedRow:
    """A row that both its members signed."""

    row: Row
    payer_signature: Signature
    payee_signature: Signature


@dataclass(frozen=True, slots=True)
class SettleRows:
    """Agreed rows, at most 64."""

    rows: tuple[SignedRow, ...]

    contract = "Settlement"
    function = "settle"

    @property
    def arguments(self) -> tuple[object, ...]:
        """As the contract takes them."""
        return self.rows, NO_WALLETS


@dataclass(frozen=True, slots=True)
class Notify:
    """A debtor's notice of a bank payment."""

    notice: PaymentNotice
    signature: Signature

    contract = "ObligationLedger"
    function = "notify"

    @property
    def arguments(self) -> tuple[object, ...]:
        """As the contract takes them."""
        return self.notice, self.signature, NO_WALLETS


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A creditor's word how much arrived."""

    acknowledgement: Acknowledgement
    signature: Signature

    contract = "ObligationLedger"
    function = "acknowledge"

    @property
    def arguments(self) -> tuple[object, ...]:
        """As the contract takes them."""
        return self.acknowledgement, self.signature, NO_WALLETS


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A member's withdrawal to its own payout address."""

    withdrawal: Withdrawal
    signature: Signature

    contract = "SettlementEscrow"
    function = "withdraw"

    @property
    def arguments(self) -> tuple[object, ...]:
        """As the contract takes them."""
        return self.withdrawal, self.signature, NO_WALLETS


KINDS: Final[Mapping[str, type[Any]]] = {
    "register": RegisterTrade,
    "commit": CommitBatch,
    "settle": SettleRows,
    "notify": Notify,
    "acknowledge": Acknowledge,
    "withdraw": Withdraw,
}
"""Calls by the kind under which they are kept: the first part of a transaction's id."""

REGISTER: Final = "register"


@dataclass(frozen=True, slots=True)
class Signed:
    """A call and the digest that makes it one thing: relayed once, however often it is asked for."""

    kind: str
    subject: Hash32
    call: Call

    @property
    def document(self) -> Any:
        """The call's JSON form."""
        return document(self.call)


def call_of(kind: str, found: Any) -> Call:
    """The call behind its document. Raises SettlementError, KeyError for what is none."""
    made: Call = value_of(KINDS[kind], found)
    return made
