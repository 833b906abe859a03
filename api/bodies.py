"""What callers send: each body is one value, read strictly by `settlement.documents`."""

from __future__ import annotations

from dataclasses import dataclass

from api.calls import SignedRow
from api.trades import Lane
from settlement.trade import Acknowledgement, Lock, PaymentNotice, Signature, Trade, TradeBatch, Withdrawal
from store.records import MemberSignature


@dataclass(frozen=True, slots=True)
class NewTrade:
    """A trade, the signatures that are there, the lane it is to take, and the locks it is to be committed with."""

    trade: Trade
    signatures: tuple[MemberSignature, ...]
    lane: Lane
    locks: tuple[Lock, ...]
    lock_signatures: tuple[MemberSignature, ...]


@dataclass(frozen=True, slots=True)
class MoreSignatures:
    """Signatures on a trade that is known here, and on its locks."""

    signatures: tuple[MemberSignature, ...]
    lock_signatures: tuple[MemberSignature, ...]


@dataclass(frozen=True, slots=True)
class BatchedTrade:
    """A trade of a batch with the signatures on it that are there."""

    trade: Trade
    signatures: tuple[MemberSignature, ...]


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch, its trades in their order, and the signatures on the batch that are there."""

    batch: TradeBatch
    trades: tuple[BatchedTrade, ...]
    signatures: tuple[MemberSignature, ...]


@dataclass(frozen=True, slots=True)
class NewRows:
    """Rows that both their members signed."""

    rows: tuple[SignedRow, ...]


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A debtor's notice of a bank payment, signed."""

    notice: PaymentNotice
    signature: Signature


@dataclass(frozen=True, slots=True)
class NewAcknowledgement:
    """A creditor's word how much arrived, signed."""

    acknowledgement: Acknowledgement
    signature: Signature


@dataclass(frozen=True, slots=True)
class NewWithdrawal:
    """A withdrawal to the member's own payout address, signed."""

    withdrawal: Withdrawal
    signature: Signature
