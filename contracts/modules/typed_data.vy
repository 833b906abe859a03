# pragma version 0.4.3
"""
@title EIP-712 struct hashes of everything that parties sign, and the digest over them
@notice The type strings are those of docs/protocol.md. The domain separator is the registry's: it binds chain,
        registry and market.
"""

from ..interfaces import Types

TRADE_TYPE: constant(bytes32) = keccak256("Trade(bytes32 tradeId,bytes32 template,bytes32 buyerPlatform,bytes32 sellerPlatform,bytes32 buyerUtility,bytes32 sellerUtility,bytes32 gridOperator,bytes32 marketAgent,bytes32 buyerMeter,bytes32 sellerMeter,uint64 slotStart,uint64 slotEnd,uint64 contractedWh,uint64 tradedAt,uint64 validUntil,uint256[] rates,bytes32 orderHash,bytes32 salt)")
LOCK_TYPE: constant(bytes32) = keccak256("Lock(bytes32 payer,bytes32 payee,uint96 amount)")
TRADE_LOCKS_TYPE: constant(bytes32) = keccak256("TradeLocks(bytes32 tradeDigest,Lock[] locks)Lock(bytes32 payer,bytes32 payee,uint96 amount)")
TRADE_BATCH_TYPE: constant(bytes32) = keccak256("TradeBatch(uint64 cycle,bytes32 platformA,bytes32 platformB,uint64 sequence,uint64 earliestSlot,uint64 count,bytes32 root,Lock[] locks)Lock(bytes32 payer,bytes32 payee,uint96 amount)")
CURTAILMENT_TYPE: constant(bytes32) = keccak256("Curtailment(uint64 commitment,uint64 index,uint64 contractedWh,uint8 reason)")
ALLOCATION_TYPE: constant(bytes32) = keccak256("Allocation(uint64 cycle,uint32 run,uint32 attempt,bytes32 utility,bytes32 root,uint64 count,bytes32 configDigest)")
ROW_TYPE: constant(bytes32) = keccak256("Row(uint64 cycle,uint32 run,uint32 version,bytes32 payer,bytes32 payee,uint96 amount,uint64 count,bytes32 root,uint96 keep,bytes32 inputs)")
ROW_ATTESTATION_TYPE: constant(bytes32) = keccak256("RowAttestation(bytes32 rowDigest)")
WITHDRAWAL_TYPE: constant(bytes32) = keccak256("Withdrawal(bytes32 member,uint96 amount,uint64 sequence)")
PAYMENT_NOTICE_TYPE: constant(bytes32) = keccak256("PaymentNotice(bytes32 debtor,bytes32 creditor,uint64[] obligations,uint96 amount,bytes32 rail,uint64 valueDate,bytes32 referenceHash)")
ACKNOWLEDGEMENT_TYPE: constant(bytes32) = keccak256("Acknowledgement(bytes32 creditor,bytes32 debtor,bytes32 referenceHash,uint96 acknowledged)")
BANK_ATTESTATION_TYPE: constant(bytes32) = keccak256("BankAttestation(bytes32 creditor,bytes32 debtor,bytes32 referenceHash,uint96 attested)")
DENIAL_TYPE: constant(bytes32) = keccak256("Denial(bytes32 creditor,bytes32 debtor,bytes32 referenceHash)")
NOTICE_RULING_TYPE: constant(bytes32) = keccak256("NoticeRuling(bytes32 creditor,bytes32 debtor,bytes32 referenceHash,uint96 arrived)")
ESCROW_PAYMENT_TYPE: constant(bytes32) = keccak256("EscrowPayment(bytes32 debtor,bytes32 creditor,uint64[] obligations,uint96 amount,uint64 sequence)")
HOT_KEY_CHANGE_TYPE: constant(bytes32) = keccak256("HotKeyChange(bytes32 member,address key,uint64 sequence)")
PAYOUT_CHANGE_TYPE: constant(bytes32) = keccak256("PayoutChange(bytes32 member,address payout,uint64 sequence)")
KEY_COMPROMISED_TYPE: constant(bytes32) = keccak256("KeyCompromised(bytes32 member,address key,uint64 sequence)")
DEMAND_TYPE: constant(bytes32) = keccak256("Demand(uint64 cycle,uint32 run,bytes32 member,bytes32 tradeDigest,uint8 side)")
CONTEST_TYPE: constant(bytes32) = keccak256("Contest(uint64 cycle,uint32 run,bytes32 member,bytes32 tradeDigest,uint8 side,bytes32 evidence)")
FIGURE_AGREEMENT_TYPE: constant(bytes32) = keccak256("FigureAgreement(uint64 cycle,bytes32 tradeDigest,uint8 side,uint64 wh)")
RULING_TYPE: constant(bytes32) = keccak256("Ruling(uint64 cycle,bytes32 tradeDigest,uint8 side,uint64 wh)")
ROW_DEMAND_TYPE: constant(bytes32) = keccak256("RowDemand(bytes32 rowDigest,uint64 index,bytes32 member)")
MISSING_LEAF_TYPE: constant(bytes32) = keccak256("MissingLeaf(bytes32 rowDigest,bytes32 tradeDigest,uint8 flow)")
STATEMENT_TYPE: constant(bytes32) = keccak256("Statement(bytes32 member,bytes32 counterparty,bytes32 subject,uint32 period,bytes32 digest)")
COUNCIL_ACT_TYPE: constant(bytes32) = keccak256("CouncilAct(address target,bytes data,uint64 sequence)")
COUNCIL_CANCEL_TYPE: constant(bytes32) = keccak256("CouncilCancel(bytes32 act)")


@pure
@internal
def _digest(separator: bytes32, struct_hash: bytes32) -> bytes32:
    """
    @notice What is signed.
    """
    return keccak256(concat(0x1901, separator, struct_hash))


@pure
@internal
def _locks(locks: DynArray[Types.Lock, 16]) -> bytes32:
    """
    @notice The hash of a list of locks.
    """
    hashes: DynArray[bytes32, 16] = []
    for lock: Types.Lock in locks:
        hashes.append(keccak256(abi_encode(LOCK_TYPE, lock.payer, lock.payee, lock.amount)))
    return keccak256(slice(abi_encode(hashes, ensure_tuple=False), 32, 32 * len(hashes)))


@pure
@internal
def _trade(trade: Types.Trade) -> bytes32:
    """
    @notice The struct hash of a Trade.
    """
    return keccak256(
        abi_encode(
            TRADE_TYPE,
            trade.trade_id,
            trade.template,
            trade.buyer_platform,
            trade.seller_platform,
            trade.buyer_utility,
            trade.seller_utility,
            trade.grid_operator,
            trade.market_agent,
            trade.buyer_meter,
            trade.seller_meter,
            trade.slot_start,
            trade.slot_end,
            trade.contracted_wh,
            trade.traded_at,
            trade.valid_until,
            keccak256(slice(abi_encode(trade.rates, ensure_tuple=False), 32, 32 * len(trade.rates))),
            trade.order_hash,
            trade.salt,
        )
    )


@pure
@internal
def _trade_locks(trade_digest: bytes32, locks: DynArray[Types.Lock, 16]) -> bytes32:
    """
    @notice The struct hash of a TradeLocks.
    """
    return keccak256(
        abi_encode(
            TRADE_LOCKS_TYPE,
            trade_digest,
            self._locks(locks),
        )
    )


@pure
@internal
def _trade_batch(batch: Types.TradeBatch) -> bytes32:
    """
    @notice The struct hash of a TradeBatch.
    """
    return keccak256(
        abi_encode(
            TRADE_BATCH_TYPE,
            batch.cycle,
            batch.platform_a,
            batch.platform_b,
            batch.sequence,
            batch.earliest_slot,
            batch.count,
            batch.root,
            self._locks(batch.locks),
        )
    )


@pure
@internal
def _curtailment(curtailment: Types.Curtailment) -> bytes32:
    """
    @notice The struct hash of a Curtailment.
    """
    return keccak256(
        abi_encode(
            CURTAILMENT_TYPE,
            curtailment.commitment,
            curtailment.index,
            curtailment.contracted_wh,
            curtailment.reason,
        )
    )


@pure
@internal
def _allocation(allocation: Types.Allocation) -> bytes32:
    """
    @notice The struct hash of an Allocation.
    """
    return keccak256(
        abi_encode(
            ALLOCATION_TYPE,
            allocation.cycle,
            allocation.run,
            allocation.attempt,
            allocation.utility,
            allocation.root,
            allocation.count,
            allocation.config_digest,
        )
    )


@pure
@internal
def _row(row: Types.Row) -> bytes32:
    """
    @notice The struct hash of a Row.
    """
    return keccak256(
        abi_encode(
            ROW_TYPE,
            row.cycle,
            row.run,
            row.version,
            row.payer,
            row.payee,
            row.amount,
            row.count,
            row.root,
            row.keep,
            row.inputs,
        )
    )


@pure
@internal
def _row_attestation(row_digest: bytes32) -> bytes32:
    """
    @notice The struct hash of a RowAttestation.
    """
    return keccak256(
        abi_encode(
            ROW_ATTESTATION_TYPE,
            row_digest,
        )
    )


@pure
@internal
def _withdrawal(withdrawal: Types.Withdrawal) -> bytes32:
    """
    @notice The struct hash of a Withdrawal.
    """
    return keccak256(
        abi_encode(
            WITHDRAWAL_TYPE,
            withdrawal.member,
            withdrawal.amount,
            withdrawal.sequence,
        )
    )


@pure
@internal
def _payment_notice(notice: Types.PaymentNotice) -> bytes32:
    """
    @notice The struct hash of a PaymentNotice.
    """
    return keccak256(
        abi_encode(
            PAYMENT_NOTICE_TYPE,
            notice.debtor,
            notice.creditor,
            keccak256(slice(abi_encode(notice.obligations, ensure_tuple=False), 32, 32 * len(notice.obligations))),
            notice.amount,
            notice.rail,
            notice.value_date,
            notice.reference_hash,
        )
    )


@pure
@internal
def _acknowledgement(acknowledgement: Types.Acknowledgement) -> bytes32:
    """
    @notice The struct hash of an Acknowledgement.
    """
    return keccak256(
        abi_encode(
            ACKNOWLEDGEMENT_TYPE,
            acknowledgement.creditor,
            acknowledgement.debtor,
            acknowledgement.reference_hash,
            acknowledgement.acknowledged,
        )
    )


@pure
@internal
def _bank_attestation(attestation: Types.BankAttestation) -> bytes32:
    """
    @notice The struct hash of a BankAttestation.
    """
    return keccak256(
        abi_encode(
            BANK_ATTESTATION_TYPE,
            attestation.creditor,
            attestation.debtor,
            attestation.reference_hash,
            attestation.attested,
        )
    )


@pure
@internal
def _denial(denial: Types.Denial) -> bytes32:
    """
    @notice The struct hash of a Denial.
    """
    return keccak256(
        abi_encode(
            DENIAL_TYPE,
            denial.creditor,
            denial.debtor,
            denial.reference_hash,
        )
    )


@pure
@internal
def _notice_ruling(ruling: Types.NoticeRuling) -> bytes32:
    """
    @notice The struct hash of a NoticeRuling.
    """
    return keccak256(
        abi_encode(
            NOTICE_RULING_TYPE,
            ruling.creditor,
            ruling.debtor,
            ruling.reference_hash,
            ruling.arrived,
        )
    )


@pure
@internal
def _escrow_payment(payment: Types.EscrowPayment) -> bytes32:
    """
    @notice The struct hash of an EscrowPayment.
    """
    return keccak256(
        abi_encode(
            ESCROW_PAYMENT_TYPE,
            payment.debtor,
            payment.creditor,
            keccak256(slice(abi_encode(payment.obligations, ensure_tuple=False), 32, 32 * len(payment.obligations))),
            payment.amount,
            payment.sequence,
        )
    )


@pure
@internal
def _hot_key_change(member: bytes32, key: address, sequence: uint64) -> bytes32:
    """
    @notice The struct hash of a HotKeyChange.
    """
    return keccak256(
        abi_encode(
            HOT_KEY_CHANGE_TYPE,
            member,
            key,
            sequence,
        )
    )


@pure
@internal
def _payout_change(member: bytes32, payout: address, sequence: uint64) -> bytes32:
    """
    @notice The struct hash of a PayoutChange.
    """
    return keccak256(
        abi_encode(
            PAYOUT_CHANGE_TYPE,
            member,
            payout,
            sequence,
        )
    )


@pure
@internal
def _key_compromised(member: bytes32, key: address, sequence: uint64) -> bytes32:
    """
    @notice The struct hash of a KeyCompromised.
    """
    return keccak256(
        abi_encode(
            KEY_COMPROMISED_TYPE,
            member,
            key,
            sequence,
        )
    )


@pure
@internal
def _demand(statement: Types.Demand) -> bytes32:
    """
    @notice The struct hash of a Demand.
    """
    return keccak256(
        abi_encode(
            DEMAND_TYPE,
            statement.cycle,
            statement.run,
            statement.member,
            statement.trade_digest,
            statement.side,
        )
    )


@pure
@internal
def _contest(statement: Types.Contest) -> bytes32:
    """
    @notice The struct hash of a Contest.
    """
    return keccak256(
        abi_encode(
            CONTEST_TYPE,
            statement.cycle,
            statement.run,
            statement.member,
            statement.trade_digest,
            statement.side,
            statement.evidence,
        )
    )


@pure
@internal
def _figure_agreement(statement: Types.FigureAgreement) -> bytes32:
    """
    @notice The struct hash of a FigureAgreement.
    """
    return keccak256(
        abi_encode(
            FIGURE_AGREEMENT_TYPE,
            statement.cycle,
            statement.trade_digest,
            statement.side,
            statement.wh,
        )
    )


@pure
@internal
def _ruling(statement: Types.Ruling) -> bytes32:
    """
    @notice The struct hash of a Ruling.
    """
    return keccak256(
        abi_encode(
            RULING_TYPE,
            statement.cycle,
            statement.trade_digest,
            statement.side,
            statement.wh,
        )
    )


@pure
@internal
def _row_demand(statement: Types.RowDemand) -> bytes32:
    """
    @notice The struct hash of a RowDemand.
    """
    return keccak256(
        abi_encode(
            ROW_DEMAND_TYPE,
            statement.row_digest,
            statement.index,
            statement.member,
        )
    )


@pure
@internal
def _missing_leaf(statement: Types.MissingLeaf) -> bytes32:
    """
    @notice The struct hash of a MissingLeaf.
    """
    return keccak256(
        abi_encode(
            MISSING_LEAF_TYPE,
            statement.row_digest,
            statement.trade_digest,
            statement.flow,
        )
    )


@pure
@internal
def _statement(statement: Types.Statement) -> bytes32:
    """
    @notice The struct hash of a Statement.
    """
    return keccak256(
        abi_encode(
            STATEMENT_TYPE,
            statement.member,
            statement.counterparty,
            statement.subject,
            statement.period,
            statement.digest,
        )
    )


@pure
@internal
def _council_act(target: address, data: Bytes[2048], sequence: uint64) -> bytes32:
    """
    @notice The struct hash of a CouncilAct.
    """
    return keccak256(
        abi_encode(
            COUNCIL_ACT_TYPE,
            target,
            keccak256(data),
            sequence,
        )
    )


@pure
@internal
def _council_cancel(act: bytes32) -> bytes32:
    """
    @notice The struct hash of a CouncilCancel.
    """
    return keccak256(
        abi_encode(
            COUNCIL_CANCEL_TYPE,
            act,
        )
    )
