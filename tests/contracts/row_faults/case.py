"""What tests of RowFaults share: the right row between two platforms, and how it falls."""

from __future__ import annotations

from settlement.hashing import ZERO_HASH, keccak256
from settlement.rows import RowContent
from settlement.trade import Row, Trade
from tests.contracts.settling import Scene
from tests.contracts.trading import CYCLE

PAIR = ("platform_a", "platform_b")


def own_meters(number: int) -> dict[str, bytes]:
    """Meters that no other trade uses."""
    return {
        "buyer_meter": keccak256(b"buyer", bytes([number])),
        "seller_meter": keccak256(b"seller", bytes([number])),
    }


def content_of(scene: Scene, wh: dict[bytes, tuple[int, int]] | None = None) -> RowContent:
    """The right row's content between platforms a and b."""
    return scene.contents(wh)[scene.id(PAIR[0]), scene.id(PAIR[1])]


def trade_at(scene: Scene, content: RowContent, index: int) -> Trade:
    """The trade of the leaf at an index."""
    return next(one for one in scene.trades if scene.digest(one) == content.leaves[index].trade_digest)


def assert_struck(scene: Scene, row: Row, reason: str = "wrong leaf") -> None:
    """The last call struck the row, by a wrong leaf unless said otherwise, and the pair is free for a right one."""
    settlement = scene.market.settlement
    logged = settlement.get_logs(computation=scene.market.row_faults._computation, strict=False)
    struck = [event for event in logged if type(event).__name__ == "RowStruck"]
    assert [(event.cycle, event.payer, event.payee, event.row_digest, event.reason) for event in struck] == [
        (CYCLE, row.payer, row.payee, scene.market.domain.digest(row), reason)
    ]
    assert tuple(settlement.pending(CYCLE, row.payer, row.payee)) == (0, ZERO_HASH)
