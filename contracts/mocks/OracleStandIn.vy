# pragma version 0.4.3
"""
@title An oracle that says what a test tells it
"""

from ..interfaces import IAllocationOracle

posted: HashMap[bytes32, DynArray[bytes32, 4]]
void_runs: HashMap[bytes32, uint256]
marks: HashMap[bytes32, HashMap[uint8, uint256]]
version: uint256


@external
def set_posted(utility: bytes32, trees: DynArray[bytes32, 4]):
    self.posted[utility] = trees


@external
def set_void_runs(group: bytes32, runs: uint256):
    self.void_runs[group] = runs


@external
def set_marks(trade_digest: bytes32, side: uint8, marks: uint256):
    self.marks[trade_digest][side] = marks


@external
def set_version(version: uint256):
    self.version = version


@view
@external
def config_version(cycle: uint64) -> uint256:
    return self.version


@view
@external
def side_view(cycle: uint64, run: uint32, utility: bytes32, group: bytes32, trade_digest: bytes32, side: uint8) -> (
    IAllocationOracle.SideView
):
    return IAllocationOracle.SideView(
        posted=self.posted[utility], void_runs=self.void_runs[group], marks=self.marks[trade_digest][side]
    )
