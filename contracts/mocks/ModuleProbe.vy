# pragma version 0.4.3
"""
@title Test access to the modules' internal functions
"""

from ..interfaces import Types
from ..modules import live_notices
from ..modules import merkle
from ..modules import preimages
from ..modules import run_terms
from ..modules import signatures
from ..modules import typed_data


@pure
@external
def verify(root: bytes32, count: uint256, index: uint256, leaf: bytes32, path: DynArray[bytes32, 24]) -> bool:
    return merkle._verify(root, count, index, leaf, path)


@pure
@external
def chunk_root(leaves: DynArray[bytes32, 128]) -> bytes32:
    return merkle._chunk_root(leaves)


@pure
@external
def verify_chunk(
    root: bytes32, count: uint256, first: uint256, leaves: DynArray[bytes32, 128], path: DynArray[bytes32, 24]
) -> bool:
    return merkle._verify_chunk(root, count, first, leaves, path)


@pure
@external
def recover(digest: bytes32, signature: Types.Signature) -> address:
    return signatures._recover(digest, signature)


@view
@external
def wallet_accepts(wallet: address, digest: bytes32, signature: Bytes[1024]) -> bool:
    return signatures._wallet_accepts(wallet, digest, signature)


@pure
@external
def digest(separator: bytes32, struct_hash: bytes32) -> bytes32:
    return typed_data._digest(separator, struct_hash)


@pure
@external
def hash_trade(trade: Types.Trade) -> bytes32:
    return typed_data._trade(trade)


@pure
@external
def hash_trade_locks(trade_digest: bytes32, locks: DynArray[Types.Lock, 16]) -> bytes32:
    return typed_data._trade_locks(trade_digest, locks)


@pure
@external
def hash_trade_batch(batch: Types.TradeBatch) -> bytes32:
    return typed_data._trade_batch(batch)


@pure
@external
def hash_curtailment(curtailment: Types.Curtailment) -> bytes32:
    return typed_data._curtailment(curtailment)


@pure
@external
def hash_allocation(allocation: Types.Allocation) -> bytes32:
    return typed_data._allocation(allocation)


@pure
@external
def hash_row(row: Types.Row) -> bytes32:
    return typed_data._row(row)


@pure
@external
def hash_row_attestation(row_digest: bytes32) -> bytes32:
    return typed_data._row_attestation(row_digest)


@pure
@external
def hash_withdrawal(withdrawal: Types.Withdrawal) -> bytes32:
    return typed_data._withdrawal(withdrawal)


@pure
@external
def hash_payment_notice(notice: Types.PaymentNotice) -> bytes32:
    return typed_data._payment_notice(notice)


@pure
@external
def hash_acknowledgement(acknowledgement: Types.Acknowledgement) -> bytes32:
    return typed_data._acknowledgement(acknowledgement)


@pure
@external
def hash_bank_attestation(attestation: Types.BankAttestation) -> bytes32:
    return typed_data._bank_attestation(attestation)


@pure
@external
def hash_denial(denial: Types.Denial) -> bytes32:
    return typed_data._denial(denial)


@pure
@external
def hash_notice_ruling(ruling: Types.NoticeRuling) -> bytes32:
    return typed_data._notice_ruling(ruling)


@pure
@external
def hash_escrow_payment(payment: Types.EscrowPayment) -> bytes32:
    return typed_data._escrow_payment(payment)


@pure
@external
def hash_hot_key_change(member: bytes32, key: address, sequence: uint64) -> bytes32:
    return typed_data._hot_key_change(member, key, sequence)


@pure
@external
def hash_payout_change(member: bytes32, payout: address, sequence: uint64) -> bytes32:
    return typed_data._payout_change(member, payout, sequence)


@pure
@external
def hash_key_compromised(member: bytes32, key: address, sequence: uint64) -> bytes32:
    return typed_data._key_compromised(member, key, sequence)


@pure
@external
def trade_leaf(trade_digest: bytes32) -> bytes32:
    return preimages._trade_leaf(trade_digest)


@pure
@external
def allocation_leaf(leaf: Types.AllocationLeaf) -> bytes32:
    return preimages._allocation_leaf(leaf)


@pure
@external
def allocation_salt(trade_salt: bytes32, cycle: uint64, side: uint8) -> bytes32:
    return preimages._allocation_salt(trade_salt, cycle, side)


@pure
@external
def flow_leaf(leaf: Types.FlowLeaf) -> bytes32:
    return preimages._flow_leaf(leaf)


@pure
@external
def flow_salt(trade_salt: bytes32, cycle: uint64, flow: uint8) -> bytes32:
    return preimages._flow_salt(trade_salt, cycle, flow)


@pure
@external
def commitment(record: Types.Commitment) -> bytes32:
    return preimages._commitment(record)


@pure
@external
def registered(number: uint64, record_hash: bytes32) -> bytes32:
    return preimages._registered(number, record_hash)


@pure
@external
def tree(root: bytes32, count: uint64) -> bytes32:
    return preimages._tree(root, count)


@pure
@external
def group(utility: bytes32, meter: bytes32, slot_start: uint64, side: uint8) -> bytes32:
    return preimages._group(utility, meter, slot_start, side)


@pure
@external
def side(trade_digest: bytes32, side_: uint8) -> bytes32:
    return preimages._side(trade_digest, side_)


@pure
@external
def claim(record: Types.Claim) -> bytes32:
    return preimages._claim(record)


@pure
@external
def hash_demand(statement: Types.Demand) -> bytes32:
    return typed_data._demand(statement)


@pure
@external
def hash_contest(statement: Types.Contest) -> bytes32:
    return typed_data._contest(statement)


@pure
@external
def hash_figure_agreement(statement: Types.FigureAgreement) -> bytes32:
    return typed_data._figure_agreement(statement)


@pure
@external
def hash_ruling(statement: Types.Ruling) -> bytes32:
    return typed_data._ruling(statement)


@pure
@external
def hash_row_demand(statement: Types.RowDemand) -> bytes32:
    return typed_data._row_demand(statement)


@pure
@external
def hash_missing_leaf(statement: Types.MissingLeaf) -> bytes32:
    return typed_data._missing_leaf(statement)


@pure
@external
def hash_statement(statement: Types.Statement) -> bytes32:
    return typed_data._statement(statement)


@pure
@external
def hash_council_act(target: address, data: Bytes[2048], sequence: uint64) -> bytes32:
    return typed_data._council_act(target, data, sequence)


@pure
@external
def hash_council_cancel(act: bytes32) -> bytes32:
    return typed_data._council_cancel(act)


@pure
@external
def with_deadlines(rest: uint256, deadlines: DynArray[uint64, 4]) -> uint256:
    return run_terms._with_deadlines(rest, deadlines)


@pure
@external
def deadline(word: uint256, run: uint256) -> uint64:
    return run_terms._deadline(word, run)


@pure
@external
def terms(word: uint256) -> (uint64, uint64, uint64, uint64, uint256, uint256, uint256, uint256):
    return (
        run_terms._least_intake(word),
        run_terms._window(word),
        run_terms._demand_time(word),
        run_terms._contest_time(word),
        run_terms._window_blocks(word),
        run_terms._open_demands(word),
        run_terms._contests_per_cycle(word),
        run_terms._run_count(word),
    )


@pure
@external
def with_notice(word: uint256, time: uint256) -> uint256:
    return live_notices._with(word, time)


@pure
@external
def without_notice(word: uint256, time: uint256) -> uint256:
    return live_notices._without(word, time)


@pure
@external
def notices(word: uint256) -> (uint256, bool):
    return live_notices._oldest(word), live_notices._is_full(word)
