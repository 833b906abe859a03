# pragma version 0.4.3
"""
@title Hashes of leaves and records (docs/protocol.md)
@notice Leaves begin with 0x00, nodes with 0x01; records are the hash of their ABI encoding.
"""

from ..interfaces import Types


@pure
@internal
def _trade_leaf(trade_digest: bytes32) -> bytes32:
    """
    @notice The leaf of a trade in its commitment's tree.
    """
    return keccak256(concat(0x00, trade_digest))


@pure
@internal
def _allocation_leaf(leaf: Types.AllocationLeaf) -> bytes32:
    """
    @notice The leaf of one trade and side in a utility's allocation.
    """
    return keccak256(concat(0x00, abi_encode(leaf)))


@pure
@internal
def _allocation_salt(trade_salt: bytes32, cycle: uint64, side: uint8) -> bytes32:
    """
    @notice The salt that blinds an allocation leaf: known to whoever knows the trade.
    """
    return keccak256(abi_encode(trade_salt, cycle, side))


@pure
@internal
def _flow_leaf(leaf: Types.FlowLeaf) -> bytes32:
    """
    @notice The leaf of one flow in a row.
    """
    return keccak256(concat(0x00, abi_encode(leaf)))


@pure
@internal
def _flow_salt(trade_salt: bytes32, cycle: uint64, flow: uint8) -> bytes32:
    """
    @notice The salt that blinds a flow leaf.
    """
    return keccak256(abi_encode(trade_salt, cycle, flow))


@pure
@internal
def _commitment(record: Types.Commitment) -> bytes32:
    """
    @notice The hash under which a commitment's record is kept.
    """
    return keccak256(abi_encode(record))


@pure
@internal
def _registered(number: uint64, record_hash: bytes32) -> bytes32:
    """
    @notice The hash under which a registered trade's commitment is kept.
    """
    return keccak256(abi_encode(number, record_hash))


@pure
@internal
def _tree(root: bytes32, count: uint64) -> bytes32:
    """
    @notice The hash under which a posted allocation is kept.
    """
    return keccak256(abi_encode(root, count))


@pure
@internal
def _group(utility: bytes32, meter: bytes32, slot_start: uint64, side: uint8) -> bytes32:
    """
    @notice The key of a group: the trades that one reading is allocated to.
    """
    return keccak256(abi_encode(utility, meter, slot_start, side))


@pure
@internal
def _side(trade_digest: bytes32, side: uint8) -> bytes32:
    """
    @notice The key of one side of one trade.
    """
    return keccak256(abi_encode(trade_digest, side))


@pure
@internal
def _claim(record: Types.Claim) -> bytes32:
    """
    @notice The hash under which a claim's record is kept.
    """
    return keccak256(abi_encode(record))
