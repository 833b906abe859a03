# pragma version 0.4.3
"""
@title Who governs a market, and who may pause it
"""

from ..interfaces import IMemberRegistry

# The contract (or account) that governs.
council: public(address)
# May pause intake; zero where the market has none.
guardian: public(address)


@deploy
def __init__(council: address, guardian: address):
    """
    @notice Sets both.
    """
    self._set_council(council)
    self._set_guardian(guardian)


# --- council ---


@external
def set_council(council: address):
    """
    @notice Hands governance over.
    @param council Who governs from now on.
    """
    self._only_council()
    self._set_council(council)


@external
def set_guardian(guardian: address):
    """
    @notice Names who may pause intake.
    @param guardian The account; zero for nobody.
    """
    self._only_council()
    self._set_guardian(guardian)


# --- internals ---


@view
@internal
def _only_council():
    assert msg.sender == self.council, "MemberRegistry: not the council"


@internal
def _set_council(council: address):
    assert council != empty(address), "MemberRegistry: no council"
    self.council = council
    log IMemberRegistry.CouncilSet(council=council)


@internal
def _set_guardian(guardian: address):
    self.guardian = guardian
    log IMemberRegistry.GuardianSet(guardian=guardian)
