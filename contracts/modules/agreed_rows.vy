# pragma version 0.4.3
"""
@title Whether a row that two members bring applies, and if not, why
@notice Reasons are given, not raised: one row that does not apply must not hold up the others of its call.
"""

from ..interfaces import IAllocationOracle
from ..interfaces import Types
from . import pair_state
from . import roles
from . import signatures

MAX_VERSION_STEP: constant(uint256) = 1_000


struct Inputs:                  # of the run of the row at hand
    cycle: uint64
    run: uint32
    sealed_runs: uint256        # of the cycle
    sealed: bytes32             # the run's sealed inputs


@view
@internal
def _inputs(oracle: IAllocationOracle, cycle: uint64, run: uint32) -> Inputs:
    """
    @notice How many runs of the cycle are sealed, and the sealed inputs of one (zero if it is not).
    """
    sealed_runs: uint256 = staticcall oracle.sealed_runs(cycle)
    sealed: bytes32 = staticcall oracle.inputs(cycle, convert(run, uint256))
    return Inputs(cycle=cycle, run=run, sealed_runs=sealed_runs, sealed=sealed)


@pure
@internal
def _refusal(row: Types.Row, inputs: Inputs, state: uint256, attested_version: uint256) -> String[32]:
    """
    @notice Why an agreed row does not apply, its signatures apart; empty if it does.
    @param inputs Those of the row's run, as they stand on chain.
    @param state The pair's state.
    @param attested_version The highest version ever attested for the pair.
    """
    if row.payer == row.payee:
        return "payer is payee"
    version: uint256 = convert(row.version, uint256)
    applied_version: uint256 = pair_state._version(state)
    if version <= applied_version:
        return "version not above the last"
    if version > max(applied_version, attested_version) + MAX_VERSION_STEP:
        return "version too far ahead"
    if row.inputs == empty(bytes32):
        if inputs.sealed_runs != 0 or row.run != 0:
            return "early row after the seal"
    else:
        if row.inputs != inputs.sealed:
            return "not the sealed inputs"
        if convert(row.run, uint256) + 1 < pair_state._settled_runs(state):
            return "a later run is settled"
    return ""


@view
@internal
def _is_signed(
    standing: uint256,
    digest: bytes32,
    signature: Types.Signature,
    wallet_signatures: DynArray[Bytes[1024], 4],
    wallet: uint256,
) -> bool:
    """
    @notice Whether a member's key of today signed a row.
    @param wallet Where in the list its bytes stand, if the key is a contract (v = 0).
    """
    if signature.v != 0:
        key: address = signatures._recover(digest, signature)
        return key != empty(address) and key == roles._key(standing)
    if not roles._is_contract(standing) or wallet >= len(wallet_signatures):
        return False
    return signatures._wallet_accepts(roles._key(standing), digest, wallet_signatures[wallet])
