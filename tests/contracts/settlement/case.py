"""What tests of Settlement share: five trades of one pair with a lock that does not cover them, and the right row."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from settlement import preimages
from settlement.hashing import keccak256
from settlement.rows import RowContent
from settlement.trade import Claim, Trade
from tests.contracts.settling import Scene, later
from tests.contracts.trading import CONFIG

LOCK = 30_000_000
OWED = 20_000_000  # what five trades come to, 50 000 000, beyond the lock
BUYER, SELLER = "platform_a", "platform_b"
PAIR = (BUYER, SELLER)

# How far a claim is; applied is one of its trade and run.
NO_CLAIM, PENDING, APPLIED = range(3)


def own_meters(number: int) -> dict[str, bytes]:
    """Meters that no other trade uses."""
    return {
        "buyer_meter": keccak256(b"buyer", bytes([number])),
        "seller_meter": keccak256(b"seller", bytes([number])),
    }


def content_of(scene: Scene) -> RowContent:
    """The right row's content between platforms a and b."""
    return scene.contents()[scene.id(BUYER), scene.id(SELLER)]


def stage_of(scene: Scene, claim: Claim) -> int:
    """How far a claim is."""
    kept = preimages.claim_record(claim)
    return int(scene.market.settlement.claim_stage(claim.trade_digest, claim.run, kept))


def struck(claim: Claim) -> tuple[Any, ...]:
    """What RowFaults says of a claim that it strikes."""
    return claim.trade_digest, claim.cycle, claim.run, claim.claimed_at, preimages.claim_record(claim)


def apply_claims(scene: Scene, *trades: Trade, leaf_run: int = 0) -> None:
    """Claims, and applies after the window."""
    claims = [scene.claim(trade, leaf_run) for trade in trades]
    later(CONFIG.claim_window)
    for claim in claims:
        scene.market.settlement.apply_claim(astuple(claim))
