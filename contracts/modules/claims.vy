# pragma version 0.4.3
"""
@title Which claims are pending, and of which trades one has applied
@notice Several claims of a trade may be pending in a run, each with its own window; the first that is applied ends the
        others. The one that was made first stands in the trade's word, which later says that one has applied: a claim
        alone takes a single word. Those made beside it have each a word of their own.
"""

# How far a claim is: APPLIED is one of its trade and run, be it itself or another.
NO_CLAIM: constant(uint256) = 0
PENDING: constant(uint256) = 1
APPLIED: constant(uint256) = 2

# In place of the first claim's hash: one has applied; the first was struck. Empty is the word only before any was made.
ONE_APPLIED: constant(bytes32) = 0x0000000000000000000000000000000000000000000000000000000000000001
FIRST_STRUCK: constant(bytes32) = 0x0000000000000000000000000000000000000000000000000000000000000002


# Trade digest -> run -> hash of the claim that was made first, or what became of it.
first: HashMap[bytes32, HashMap[uint32, bytes32]]
# Hash of a claim that was made after the first, whether it is pending.
beside: HashMap[bytes32, bool]


@view
@internal
def _stage(trade_digest: bytes32, run: uint32, claim_hash: bytes32) -> uint256:
    """
    @notice How far a claim of a trade in a run is.
    """
    first: bytes32 = self.first[trade_digest][run]
    if first == empty(bytes32):
        return NO_CLAIM
    if first == ONE_APPLIED:
        return APPLIED
    return PENDING if first == claim_hash or self.beside[claim_hash] else NO_CLAIM


@view
@internal
def _check_pending(trade_digest: bytes32, run: uint32, claim_hash: bytes32):
    """
    @notice Reverts unless such a claim is pending.
    """
    assert self._stage(trade_digest, run, claim_hash) == PENDING, "Settlement: claim not pending"


@internal
def _add(trade_digest: bytes32, run: uint32, claim_hash: bytes32):
    """
    @notice Keeps a claim, unless one has applied or the very same was made in this block.
    """
    assert self._stage(trade_digest, run, claim_hash) == NO_CLAIM, "Settlement: claimed already"
    if self.first[trade_digest][run] == empty(bytes32):
        self.first[trade_digest][run] = claim_hash
    else:
        self.beside[claim_hash] = True


@internal
def _strike(trade_digest: bytes32, run: uint32, claim_hash: bytes32):
    """
    @notice Ends a pending claim alone.
    """
    if self.first[trade_digest][run] == claim_hash:
        self.first[trade_digest][run] = FIRST_STRUCK
    else:
        self.beside[claim_hash] = False


@internal
def _apply(trade_digest: bytes32, run: uint32):
    """
    @notice Ends all claims of a trade in a run.
    """
    self.first[trade_digest][run] = ONE_APPLIED
