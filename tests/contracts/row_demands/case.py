"""What tests of RowDemands share: rows between two platforms, and demands, answers and strikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

from settlement.hashing import ZERO_HASH, keccak256
from settlement.rows import RowContent
from settlement.trade import Claim, Row, RowDemand, ShownFlow, ShownLeaf, Trade
from tests.contracts.settling import Scene, Signature, claim_from, events, nested
from tests.contracts.trading import CONFIG, CYCLE

PAYER, PAYEE = PAIR = ("platform_a", "platform_b")
ROW_WINDOW, DEMAND_TIME = CONFIG.row_window, CONFIG.demand_time


def own_meters(number: int) -> dict[str, bytes]:
    """Meters that no other trade uses."""
    return {
        "buyer_meter": keccak256(b"buyer", bytes([number])),
        "seller_meter": keccak256(b"seller", bytes([number])),
    }


def content_of(scene: Scene, wh: dict[bytes, tuple[int, int]] | None = None) -> RowContent:
    """The right row's content between platforms a and b."""
    return scene.contents(wh)[scene.id(PAYER), scene.id(PAYEE)]


def trade_at(scene: Scene, content: RowContent, index: int) -> Trade:
    """The trade of the leaf at an index."""
    return next(one for one in scene.trades if scene.digest(one) == content.leaves[index].trade_digest)


def demand(
    scene: Scene,
    row: Row,
    index: int,
    by: str = PAYER,
    signature: Signature | None = None,
    wallet: Sequence[bytes] = (),
    **changes: Any,
) -> RowDemand:
    """A member demands the leaf at an index, with its signature unless another is given."""
    said = replace(RowDemand(scene.market.domain.digest(row), index, scene.id(by)), **changes)
    scene.market.row_demands.demand(astuple(row), astuple(said), signature or scene.market.sign(by, said), list(wallet))
    return said


def answer(
    scene: Scene,
    row: Row,
    content: RowContent,
    index: int,
    leaf_run: int | None = None,
    trade: Trade | None = None,
    buyer: Sequence[ShownLeaf] | None = None,
    seller: Sequence[ShownLeaf] | None = None,
    signatures: Sequence[Signature] | None = None,
    **changes: Any,
) -> Claim:
    """Somebody shows the trade of the leaf at an index; by both sides' leaves of the row's run, unless given."""
    trade = trade or trade_at(scene, content, index)
    run = row.run if leaf_run is None else leaf_run
    sides = [
        [nested(one) for one in (given if given is not None else [scene.shown(trade, side, run)])]
        for side, given in ((0, buyer), (1, seller))
    ]
    leaf = replace(ShownFlow(content.leaves[index], index, tuple(content.tree.path(index))), **changes)
    scene.market.row_demands.answer(
        astuple(row),
        astuple(leaf),
        nested(scene.place(trade)),
        nested(trade),
        scene.signatures(trade) if signatures is None else list(signatures),
        *sides,
    )
    (found,) = events(scene.market.row_demands, "LeafFounded")
    assert (found["row_digest"], found["index"]) == (scene.market.domain.digest(row), index)
    return claim_from(found["claim"])


def strike_unfounded(scene: Scene, row: Row, index: int) -> None:
    """The demand was not answered."""
    scene.market.row_demands.strike_unfounded(astuple(row), index)


def apply(scene: Scene, row: Row) -> None:
    """Anyone applies the row."""
    scene.market.settlement.apply_attested(astuple(row))


def assert_struck(scene: Scene, row: Row, reason: str) -> None:
    """The last call struck the row, and the pair is free for a right one."""
    settlement = scene.market.settlement
    logged = settlement.get_logs(computation=scene.market.row_demands._computation, strict=False)
    struck = [event for event in logged if type(event).__name__ == "RowStruck"]
    assert [(event.cycle, event.payer, event.payee, event.row_digest, event.reason) for event in struck] == [
        (CYCLE, row.payer, row.payee, scene.market.domain.digest(row), reason)
    ]
    assert tuple(settlement.pending(CYCLE, row.payer, row.payee)) == (0, ZERO_HASH)


def holds(scene: Scene, row: Row) -> bool:
    """Whether demands hold the row up."""
    return bool(scene.market.row_demands.holds(CYCLE, scene.market.domain.digest(row)))
