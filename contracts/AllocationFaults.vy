# pragma version 0.4.3
# pragma nonreentrancy on
"""
@title AllocationFaults: proofs against posted allocations
@notice Anyone, without a bond, shows a leaf of a utility's posted tree that is wrong by itself or against its trade,
        or two of one group that contradict each other: the group that is written there is void in that run, its trades
        wait. Or two leaves of one trade and side in one tree: there neither counts. No proof succeeds against honest
        leaves.
@dev Owns nothing: what is proven here is marked in the AllocationOracle. The trees judged are those that can no longer
     be replaced; a mark stands for good.
@custom:kill Cannot be stopped, and holds nothing worth stopping: a wrong claim reverts, a repeated one does nothing.
"""

from .interfaces import IAllocationFaults
from .interfaces import IAllocationOracle
from .interfaces import IMemberRegistry
from .interfaces import ITradeBook
from .interfaces import Types

implements: IAllocationFaults

from .modules import allocation_check
from .modules import merkle
from .modules import preimages
from .modules import typed_data

# The phase of a cycle in which a run's leaves can be voided.
WINDOW: constant(uint256) = 3
INTAKE: constant(uint256) = 2
# The fault of a tree that holds a trade's side twice; the others are allocation_check's.
TWICE: constant(uint8) = 12

REGISTRY: immutable(IMemberRegistry)
TRADE_BOOK: immutable(ITradeBook)
ORACLE: immutable(IAllocationOracle)
# Fixed in the registry for good, so kept here.
DOMAIN_SEPARATOR: immutable(bytes32)


@deploy
def __init__(registry: address, trade_book: address, oracle: address):
    """
    @notice Wires the contract for good. The registry must be deployed already.
    @param registry The MemberRegistry.
    @param trade_book The TradeBook, which knows curtailments.
    @param oracle The AllocationOracle, which keeps trees and marks.
    """
    REGISTRY = IMemberRegistry(registry)
    TRADE_BOOK = ITradeBook(trade_book)
    ORACLE = IAllocationOracle(oracle)
    DOMAIN_SEPARATOR = staticcall REGISTRY.domain_separator()


# --- anyone ---


@external
@reentrant
def void_by_rule(cycle: uint64, utility: bytes32, shown: Types.ShownLeaf):
    """
    @notice Voids the group of a leaf that is wrong by itself (faults 1 to 5 and 11).
    @param cycle Cycle number.
    @param utility The utility that posted the tree.
    @param shown The leaf with its proof, of the run whose window is open.
    """
    self._check_window(cycle, utility, shown)
    self._void(cycle, utility, shown, allocation_check._fault_by_rule(shown.leaf, self._rule(cycle)))


@external
@reentrant
def void_by_trade(cycle: uint64, utility: bytes32, shown: Types.ShownLeaf, trade: Types.Trade):
    """
    @notice Voids the group of a leaf that does not fit its trade (faults 6 to 10).
    @param cycle Cycle number.
    @param utility The utility that posted the tree.
    @param shown The leaf with its proof, of the run whose window is open.
    @param trade The trade whose digest is the leaf's.
    """
    digest: bytes32 = typed_data._digest(DOMAIN_SEPARATOR, typed_data._trade(trade))
    assert digest == shown.leaf.trade_digest, "AllocationFaults: another trade"
    self._check_window(cycle, utility, shown)
    contracted: uint64 = staticcall TRADE_BOOK.contracted(digest, trade.contracted_wh)
    self._void(
        cycle, utility, shown, allocation_check._fault_by_trade(shown.leaf, utility, trade, contracted, cycle)
    )


@external
@reentrant
def void_by_pair(cycle: uint64, utility: bytes32, first: Types.ShownLeaf, second: Types.ShownLeaf):
    """
    @notice Voids a group of which two leaves contradict each other (faults 13 to 17).
    @param cycle Cycle number.
    @param utility The utility that posted the tree.
    @param first A leaf with its proof, of the run whose window is open.
    @param second Another leaf of the same group in the same tree.
    """
    assert first.index != second.index, "AllocationFaults: the same leaf"
    assert (
        first.leaf.meter == second.leaf.meter
        and first.leaf.slot_start == second.leaf.slot_start
        and first.leaf.side == second.leaf.side
    ), "AllocationFaults: two groups"
    self._check_window(cycle, utility, first)
    self._check_window(cycle, utility, second)
    self._void(cycle, utility, first, allocation_check._conflict(first.leaf, second.leaf, self._rule(cycle)))


@external
@reentrant
def mark_twice(cycle: uint64, utility: bytes32, first: Types.ShownLeaf, second: Types.ShownLeaf):
    """
    @notice Marks that one trade and side has two leaves in one tree, at any time once the tree is final.
    @param cycle Cycle number.
    @param utility The utility that posted the tree.
    @param first A leaf with its proof.
    @param second Another leaf of the same trade and side in the same tree.
    """
    assert first.run == second.run, "AllocationFaults: two runs"
    assert first.index != second.index, "AllocationFaults: one leaf"
    assert (
        first.leaf.trade_digest == second.leaf.trade_digest and first.leaf.side == second.leaf.side
    ), "AllocationFaults: two sides"
    sealed_runs: uint256 = staticcall ORACLE.sealed_runs(cycle)
    if convert(first.run, uint256) >= sealed_runs:
        phase: uint256 = staticcall ORACLE.phase(cycle)
        assert phase > INTAKE, "AllocationFaults: tree not final"
    self._check_proof(cycle, utility, first)
    self._check_proof(cycle, utility, second)
    is_new: bool = extcall ORACLE.mark_twice(cycle, first.run, utility, first.leaf.trade_digest, first.leaf.side)
    if is_new:
        self._log(cycle, utility, first, TWICE)


# --- internals ---


@view
@internal
def _rule(cycle: uint64) -> uint64:
    """
    @notice The allocation rule that governs a cycle.
    """
    version: uint256 = staticcall ORACLE.config_version(cycle)
    rule: uint64 = 0
    runs: uint64 = 0
    rule, runs = staticcall REGISTRY.rule_terms(version)
    return rule


@view
@internal
def _check_window(cycle: uint64, utility: bytes32, shown: Types.ShownLeaf):
    """
    @notice Refuses what is not a leaf of the run whose window is open.
    """
    phase: uint256 = staticcall ORACLE.phase(cycle)
    assert phase == WINDOW, "AllocationFaults: no open window"
    next_run: uint256 = staticcall ORACLE.sealed_runs(cycle)
    assert convert(shown.run, uint256) == next_run, "AllocationFaults: another run"
    self._check_proof(cycle, utility, shown)


@view
@internal
def _check_proof(cycle: uint64, utility: bytes32, shown: Types.ShownLeaf):
    """
    @notice Refuses what is not a leaf of the tree that the utility posted in the run it names.
    """
    tree: bytes32 = staticcall ORACLE.posted(cycle, convert(shown.run, uint256), utility)
    assert tree == preimages._tree(shown.root, shown.count), "AllocationFaults: not the posted tree"
    assert merkle._verify(
        shown.root,
        convert(shown.count, uint256),
        convert(shown.index, uint256),
        preimages._allocation_leaf(shown.leaf),
        shown.path,
    ), "AllocationFaults: leaf not in the tree"


@internal
def _void(cycle: uint64, utility: bytes32, shown: Types.ShownLeaf, fault: uint8):
    """
    @notice Marks the group that is written in a faulty leaf, under the utility that posted it.
    """
    assert fault != allocation_check.NO_FAULT, "AllocationFaults: no fault"
    is_new: bool = extcall ORACLE.mark_void(
        cycle, shown.run, utility, shown.leaf.meter, shown.leaf.slot_start, shown.leaf.side
    )
    if is_new:
        self._log(cycle, utility, shown, fault)


@internal
def _log(cycle: uint64, utility: bytes32, shown: Types.ShownLeaf, fault: uint8):
    """
    @notice Tells what was proven; the marks themselves have the oracle's events.
    """
    log IAllocationFaults.FaultProven(
        cycle=cycle, utility=utility, run=shown.run, fault=fault, trade_digest=shown.leaf.trade_digest
    )
