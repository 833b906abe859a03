"""What tests of Settlement share: five trades of one pair with a lock that does not cover them, and the right row."""

from __future__ import annotations

from settlement.hashing import keccak256
from settlement.rows import RowContent
from tests.contracts.settling import Scene

LOCK = 30_000_000
OWED = 20_000_000  # what five trades come to, 50 000 000, beyond the lock
BUYER, SELLER = "platform_a", "platform_b"
PAIR = (BUYER, SELLER)


def own_meters(number: int) -> dict[str, bytes]:
    """Meters that no other trade uses."""
    return {
        "buyer_meter": keccak256(b"buyer", bytes([number])),
        "seller_meter": keccak256(b"seller", bytes([number])),
    }


def content_of(scene: Scene) -> RowContent:
    """The right row's content between platforms a and b."""
    return scene.contents()[scene.id(BUYER), scene.id(SELLER)]
