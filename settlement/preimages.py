"""What is hashed into leaves, salts, keys and records: the counterpart of `contracts/modules/preimages.vy`.

Times are UTC epoch seconds, numbers unsigned; layouts are those of `docs/protocol.md`.
"""

from __future__ import annotations

from dataclasses import astuple
from enum import IntEnum

from settlement import merkle
from settlement.hashing import ZERO_HASH, Hash32, abi_encode, keccak256
from settlement.trade import AllocationLeaf, Claim, Commitment, FlowLeaf, Lock, Trade, TradeBatch

_ALLOCATION_LEAF = "(bytes32,uint64,uint64,uint8,bytes32,uint64,uint64,uint64,uint64,uint64,uint8,uint64,bytes32)"
_FLOW_LEAF = "(bytes32,uint8,uint64,uint96,bytes32)"
_COMMITMENT = "(uint64,bytes32,bytes32,uint64,uint64,uint64,bytes32,uint64)"
_CLAIM = "(uint64,uint32,bytes32,uint64,uint8,uint32,uint8,uint32,uint64,(bytes32,bytes32,uint256)[])"


class Act(IntEnum):
    """What a cycle's accumulator takes, by kind."""

    COMMITMENT = 1
    CURTAILMENT = 2
    ALLOCATION = 3
    VOID = 4
    CONTEST = 5
    DEMAND = 6
    ANSWER = 7
    FIGURE = 8


def trade_leaf(trade_digest: Hash32) -> Hash32:
    """The leaf of a trade in its commitment's tree."""
    return merkle.hash_leaf(trade_digest)


def allocation_leaf(leaf: AllocationLeaf) -> Hash32:
    """The leaf of one trade and side in a utility's allocation."""
    return merkle.hash_leaf(abi_encode((_ALLOCATION_LEAF,), (astuple(leaf),)))


def allocation_salt(trade_salt: Hash32, cycle: int, side: int) -> Hash32:
    """The salt of an allocation leaf: whoever knows the trade knows it, nobody else can guess the leaf."""
    return keccak256(abi_encode(("bytes32", "uint64", "uint8"), (trade_salt, cycle, side)))


def flow_leaf(leaf: FlowLeaf) -> Hash32:
    """The leaf of one flow in a row."""
    return merkle.hash_leaf(abi_encode((_FLOW_LEAF,), (astuple(leaf),)))


def flow_salt(trade_salt: Hash32, cycle: int, flow: int) -> Hash32:
    """The salt of a flow leaf."""
    return keccak256(abi_encode(("bytes32", "uint64", "uint8"), (trade_salt, cycle, flow)))


def commitment_record(record: Commitment) -> Hash32:
    """The hash under which the chain keeps a commitment."""
    return keccak256(abi_encode((_COMMITMENT,), (astuple(record),)))


def batch_commitment(batch: TradeBatch, committed_at: int) -> Commitment:
    """The record of a batch that was committed at this block time."""
    return Commitment(
        batch.cycle,
        batch.platform_a,
        batch.platform_b,
        batch.sequence,
        batch.earliest_slot,
        batch.count,
        batch.root,
        committed_at,
    )


def registered_commitment(trade: Trade, trade_digest: Hash32, cycle: int, committed_at: int) -> Commitment:
    """The record of a registered trade: the shape of a batch, with sequence 0, which batches never use."""
    lower, higher = sorted((trade.buyer_platform, trade.seller_platform))
    return Commitment(cycle, lower, higher, 0, trade.slot_start, 1, trade_leaf(trade_digest), committed_at)


def registered_record(number: int, record: Commitment) -> Hash32:
    """The hash under which the chain keeps a registered trade's commitment, by the trade's leaf."""
    return keccak256(abi_encode(("uint64", "bytes32"), (number, commitment_record(record))))


def posted_tree(root: Hash32, count: int) -> Hash32:
    """The hash under which the chain keeps a posted allocation."""
    return keccak256(abi_encode(("bytes32", "uint64"), (root, count)))


def group_key(utility: Hash32, meter: Hash32, slot_start: int, side: int) -> Hash32:
    """The key of a group: the trades that one reading is allocated to."""
    return keccak256(abi_encode(("bytes32", "bytes32", "uint64", "uint8"), (utility, meter, slot_start, side)))


def side_key(trade_digest: Hash32, side: int) -> Hash32:
    """The key of one side of one trade."""
    return keccak256(abi_encode(("bytes32", "uint8"), (trade_digest, side)))


def figure_key(trade_digest: Hash32, side: int, wh: int) -> Hash32:
    """What the accumulator takes of an agreed or ruled figure."""
    return keccak256(abi_encode(("bytes32", "uint8", "uint64"), (trade_digest, side, wh)))


def claim_record(claim: Claim) -> Hash32:
    """The hash under which the chain keeps a pending claim."""
    return keccak256(abi_encode((_CLAIM,), (astuple(claim),)))


def accumulate(accumulator: Hash32, act: Act, number: int, block_time: int, what: Hash32) -> Hash32:
    """A cycle's accumulator after one more act; it begins at zero, and again after each seal."""
    return keccak256(
        abi_encode(
            ("bytes32", "uint8", "uint64", "uint64", "bytes32"), (accumulator, int(act), number, block_time, what)
        )
    )


def sealed_inputs(previous: Hash32, accumulator: Hash32) -> Hash32:
    """The inputs of a run from those of the run before (of run 0: the config digest) and the accumulator."""
    return keccak256(abi_encode(("bytes32", "bytes32"), (previous, accumulator)))


def sorted_locks(locks: dict[tuple[Hash32, Hash32], int]) -> tuple[Lock, ...]:
    """Locks by (payer, payee) as a batch carries them: strictly sorted, without zero amounts."""
    return tuple(Lock(payer, payee, amount) for (payer, payee), amount in sorted(locks.items()) if amount)


EMPTY_ACCUMULATOR: Hash32 = ZERO_HASH
