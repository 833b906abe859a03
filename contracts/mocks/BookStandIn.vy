# pragma version 0.4.3
"""
@title A trade book that says what a test tells it
"""

from ..interfaces import Types
from ..modules import preimages

commitments: HashMap[uint64, bytes32]
lowest: HashMap[bytes32, uint64]
is_curtailed: HashMap[bytes32, bool]


@external
def set_commitment(number: uint64, record_hash: bytes32):
    self.commitments[number] = record_hash


@external
def set_curtailed(trade_digest: bytes32, contracted_wh: uint64):
    self.lowest[trade_digest] = contracted_wh
    self.is_curtailed[trade_digest] = True


@view
@external
def is_commitment(number: uint64, record: Types.Commitment) -> bool:
    return self.commitments[number] == preimages._commitment(record)


@view
@external
def contracted(trade_digest: bytes32, contracted_wh: uint64) -> uint64:
    if self.is_curtailed[trade_digest]:
        return min(contracted_wh, self.lowest[trade_digest])
    return contracted_wh
