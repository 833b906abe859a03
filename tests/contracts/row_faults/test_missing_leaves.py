"""RowFaults: a row is struck that lacks a leaf, if the payee says so; nothing else is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import preimages
from settlement.formula.templates import Role, template_from_text
from settlement.hashing import ZERO_HASH
from settlement.rows import RowContent
from settlement.trade import FlowLeaf, MissingLeaf, Row, ShownFlow, Trade
from tests.contracts.row_faults.case import PAIR, assert_struck, content_of, own_meters, trade_at
from tests.contracts.settling import Scene, later
from tests.contracts.trading import CONFIG, CYCLE, MORNING, trade_of, use_wallet, wallet_bytes


def without(content: RowContent, *gone: int) -> RowContent:
    """The row without these leaves."""
    leaves = tuple(leaf for index, leaf in enumerate(content.leaves) if index not in gone)
    return RowContent(content.payer, content.payee, leaves)


def at(content: RowContent, index: int | None) -> list[Any]:
    """The leaf at an index with its proof, as an argument; none for None."""
    if index is None:
        return []
    return [astuple(ShownFlow(content.leaves[index], index, tuple(content.tree.path(index))))]


def strike_missing(
    scene: Scene,
    row: Row,
    content: RowContent,
    missing: FlowLeaf,
    before: int | None,
    after: int | None,
    signature: Any = None,
    wallet: Sequence[bytes] = (),
    trade: Trade | None = None,
    signatures: Sequence[Any] | None = None,
    **changes: Any,
) -> MissingLeaf:
    """The payee says that the row lacks this leaf; its neighbours are given by their indices."""
    trade = trade or next(one for one in scene.trades if scene.digest(one) == missing.trade_digest)
    said = replace(MissingLeaf(scene.market.domain.digest(row), missing.trade_digest, missing.flow), **changes)
    scene.market.row_faults.strike_missing_leaf(
        astuple(row),
        astuple(said),
        signature or scene.market.sign(scene.name(row.payee), said),
        list(wallet),
        astuple(scene.place(trade)),
        astuple(trade),
        scene.signatures(trade) if signatures is None else list(signatures),
        [astuple(scene.shown(trade, 0, row.run))],
        [astuple(scene.shown(trade, 1, row.run))],
        at(content, before),
        at(content, after),
    )
    return said


@pytest.mark.parametrize(
    ("gone", "before", "after"),
    [(0, None, 0), (1, 0, 1), (2, 1, None)],
    ids=["beginning", "middle", "end"],
)
def test_a_row_that_lacks_a_leaf_is_struck(scene: Scene, gone: int, before: int | None, after: int | None) -> None:
    right = content_of(scene)
    content = without(right, gone)
    row = scene.pending(content)
    later(CONFIG.row_window - 1)
    with boa.env.anchor():
        later(1)
        with boa.reverts("Settlement: row's window over"):
            strike_missing(scene, row, content, right.leaves[gone], before, after)
    strike_missing(scene, row, content, right.leaves[gone], before, after)
    assert_struck(scene, row, "missing leaf")


def test_an_empty_row_lacks_any_leaf(scene: Scene) -> None:
    right = content_of(scene)
    content = scene.empty(*PAIR)
    row = scene.pending(content)
    with boa.reverts("RowFaults: neighbour not in the row"):
        strike_missing(scene, row, right, right.leaves[0], None, 1)
    strike_missing(scene, row, content, right.leaves[0], None, None)
    assert_struck(scene, row, "missing leaf")


def test_the_only_leaf_of_a_row_is_both_its_ends(scene: Scene) -> None:
    right = content_of(scene)
    content = without(right, 0, 2)
    row = scene.pending(content)
    with boa.env.anchor():
        strike_missing(scene, row, content, right.leaves[0], None, 0)
        assert_struck(scene, row, "missing leaf")
    strike_missing(scene, row, content, right.leaves[2], 0, None)
    assert_struck(scene, row, "missing leaf")


def test_a_leaf_that_stands_there_is_not_missing(scene: Scene) -> None:
    """Whatever neighbours are shown: it has its place in the order."""
    content = content_of(scene)
    row = scene.pending(content)
    ends = [None, *range(content.count)]
    for index, leaf in enumerate(content.leaves):
        for before in ends:
            for after in ends:
                if before is not None and before >= index:
                    reason = "RowFaults: stands before"
                elif after is not None and after <= index:
                    reason = "RowFaults: stands after"
                elif after is not None:
                    reason = "RowFaults: not neighbours"
                else:
                    reason = "RowFaults: not the row's end"
                with boa.reverts(reason):
                    strike_missing(scene, row, content, leaf, before, after)


def test_neighbours_are_next_to_each_other_and_of_the_row(scene: Scene) -> None:
    right = content_of(scene)
    content = without(right, 1)
    row = scene.pending(content)
    missing = right.leaves[1]
    for before, after, reason in (
        (None, 1, "RowFaults: not neighbours"),
        (0, None, "RowFaults: not the row's end"),
        (None, None, "RowFaults: not the row's end"),
        (1, None, "RowFaults: stands before"),
        (None, 0, "RowFaults: stands after"),
    ):
        with boa.reverts(reason):
            strike_missing(scene, row, content, missing, before, after)
    # Of the right row's tree.
    for before, after in ((0, None), (None, 2)):
        with boa.reverts("RowFaults: neighbour not in the row"):
            strike_missing(scene, row, right, missing, before, after)
    strike_missing(scene, row, content, missing, 0, 1)


def test_flows_of_one_trade_stand_in_their_order(committed: Scene) -> None:
    """Two flows of one trade between the same members: the second is missing, or the first."""
    scene = committed.copy()
    template = template_from_text(
        "fees", 1, ("a#FLAT", "b#FLAT"), ((Role.SELLER, Role.BUYER, "a"), (Role.SELLER, Role.BUYER, "b"))
    )
    with boa.env.prank(scene.market.council):
        described = [(flow.payer, flow.payee, flow.program) for flow in template.flows]
        scene.market.flows.register(template.name, template.version, list(template.rate_names), described)
    later(1)
    changes = {"template": template.template_id, "rates": (77, 78), "grid_operator": ZERO_HASH}
    trade = trade_of(scene.market, 5, **own_meters(5), **changes, valid_until=MORNING + 10)
    scene.commit([trade])
    scene.settle_inputs()
    leaves = [
        FlowLeaf(scene.digest(trade), flow, 2_000, 77 + flow, preimages.flow_salt(trade.salt, CYCLE, flow))
        for flow in (0, 1)
    ]
    payer, payee = scene.id("platform_b"), scene.id("platform_a")
    for number, (missing, before, after) in enumerate(((0, None, 0), (1, 0, None))):
        content = RowContent(payer, payee, (leaves[1 - missing],))
        row = scene.pending(content, version=number + 1)
        with boa.reverts("RowFaults: stands before" if missing == 0 else "RowFaults: stands after"):
            strike_missing(scene, row, content, leaves[missing], after, before)
        strike_missing(scene, row, content, leaves[missing], before, after)
        assert_struck(scene, row, "missing leaf")


def test_only_the_payee_says_that_something_is_missing(scene: Scene) -> None:
    market, right = scene.market, content_of(scene)
    content = without(right, 1)
    row = scene.pending(content)
    said = MissingLeaf(market.domain.digest(row), right.leaves[1].trade_digest, 0)
    bad = [
        market.sign("platform_a", said),
        market.sign("utility_b", said),
        market.sign_cold("platform_b", said),
        (0, bytes(32), bytes(32)),
        market.sign("platform_b", replace(said, flow=1)),
        market.sign("platform_b", replace(said, row_digest=ZERO_HASH)),
        market.sign("platform_b", replace(said, trade_digest=ZERO_HASH)),
    ]
    for signature in bad:
        with boa.reverts("RowFaults: not the payee's word"):
            strike_missing(scene, row, content, right.leaves[1], 0, 1, signature)
    with boa.reverts("RowFaults: another row"):
        strike_missing(scene, row, content, right.leaves[1], 0, 1, row_digest=ZERO_HASH)
    with boa.reverts("RowFaults: another trade is missing"):
        strike_missing(scene, row, content, right.leaves[1], 0, 1, trade_digest=right.leaves[0].trade_digest)
    use_wallet(market, "platform_b")
    with boa.reverts("RowFaults: not the payee's word"):
        strike_missing(scene, row, content, right.leaves[1], 0, 1)
    nobody = (0, bytes(32), bytes(32))
    wallet = [wallet_bytes(market, "platform_b", said)]
    strike_missing(scene, row, content, right.leaves[1], 0, 1, nobody, wallet)
    assert_struck(scene, row, "missing leaf")


def test_what_is_no_flow_of_the_pair_is_not_missing(scene: Scene) -> None:
    right = content_of(scene)
    content = without(right, 0)
    row = scene.pending(content)
    missing = right.leaves[0]
    with boa.reverts("RowFaults: nothing is missing"):  # the wheeling, which is between others
        strike_missing(scene, row, content, replace(missing, flow=1), None, 0)
    for flow in (2, 255):
        with boa.reverts("RowFaults: no such flow"):
            strike_missing(scene, row, content, replace(missing, flow=flow), None, 0)
    for payer, payee in (("platform_b", "platform_a"), ("platform_a", "platform_c"), ("platform_c", "platform_b")):
        empty = scene.empty(payer, payee)
        other = scene.pending(empty)
        with boa.reverts("RowFaults: nothing is missing"):
            strike_missing(scene, other, empty, missing, None, None)


def test_a_flow_of_no_amount_is_not_missing(committed: Scene) -> None:
    scene = committed.copy()
    free_of_charge = trade_of(scene.market, 7, **own_meters(7), rates=(0, 400_000))
    scene.commit([free_of_charge])
    scene.settle_inputs()
    content = scene.empty(*PAIR)
    row = scene.pending(content)
    nothing = FlowLeaf(scene.digest(free_of_charge), 0, 2_000, 0, ZERO_HASH)
    with boa.reverts("RowFaults: nothing is missing"):
        strike_missing(scene, row, content, nothing, None, None)


def test_a_trade_that_waits_is_not_missing(committed: Scene) -> None:
    scene = committed.copy()
    waiting = scene.trades[0]
    scene.settle_inputs({(scene.digest(waiting), 0): {"read": 0, "status": 2}})
    row = scene.pending(scene.empty(*PAIR))
    with boa.reverts("RowFaults: no such flow"):
        strike_missing(scene, row, scene.empty(*PAIR), content_for(scene, waiting), None, None)


def content_for(scene: Scene, trade: Trade) -> FlowLeaf:
    """The trade's leaf as if all had been delivered."""
    return next(leaf for leaf in content_of(scene).leaves if leaf.trade_digest == scene.digest(trade))


def test_what_is_missing_has_a_valid_place_in_the_cycle(scene: Scene) -> None:
    market, right = scene.market, content_of(scene)
    content = without(right, 1)
    row = scene.pending(content)
    trade = trade_at(scene, right, 1)
    good = scene.signatures(trade)
    with boa.reverts("TradeResult: signature missing"):
        strike_missing(scene, row, content, right.leaves[1], 0, 1, signatures=good[:-1])
    with boa.reverts("TradeResult: not signer's key"):
        strike_missing(scene, row, content, right.leaves[1], 0, 1, signatures=[*good[:-1], good[0]])
    # A row of another cycle: its inputs are that one's, so it can be pending, and lacks nothing of this one.
    other = replace(scene.row(content), cycle=CYCLE + 1)
    with boa.reverts("RowFaults: another trade is missing"):
        strike_missing(scene, other, content, right.leaves[1], 0, 1)
    with boa.reverts("Settlement: row not pending"):
        strike_missing(scene, replace(row, version=2), content, right.leaves[1], 0, 1)
    assert market.settlement.pending(CYCLE, row.payer, row.payee)[0] == 2


def test_missing_is_judged_by_the_rows_own_run(scene: Scene) -> None:
    """Figures are walked: an old leaf does not make up an amount that a newer one took away."""
    scene.settle_inputs({(scene.digest(scene.trades[0]), 1): {"read": 0}})
    trade = scene.trades[0]
    content = scene.empty(*PAIR)
    row = scene.pending(content, run=1)
    missing = content_for(scene, trade)
    with boa.reverts("RowFaults: nothing is missing"):
        strike_missing(scene, row, content, missing, None, None)
    said = MissingLeaf(scene.market.domain.digest(row), missing.trade_digest, 0)
    with boa.reverts("TradeResult: newer leaf unpassed"):
        scene.market.row_faults.strike_missing_leaf(
            astuple(row),
            astuple(said),
            scene.market.sign("platform_b", said),
            [],
            astuple(scene.place(trade)),
            astuple(trade),
            scene.signatures(trade),
            [astuple(scene.shown(trade, 0, 0))],
            [astuple(scene.shown(trade, 1, 0))],
            [],
            [],
        )
