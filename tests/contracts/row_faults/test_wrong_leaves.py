"""RowFaults: every corruption of a row's leaf is struck, honest leaves never are."""

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
from settlement.trade import FlowLeaf, Row, ShownLeaf, Trade
from tests.contracts.row_faults.case import PAIR, assert_struck, content_of, own_meters, trade_at
from tests.contracts.settling import Scene, content_with, later, mark
from tests.contracts.trading import CONFIG, CYCLE, DAY, HOUR, MORNING, SLOT, curtail, trade_of


def strike(
    scene: Scene,
    row: Row,
    content: RowContent,
    index: int,
    trade: Trade,
    buyer: Sequence[ShownLeaf] | None = None,
    seller: Sequence[ShownLeaf] | None = None,
    leaf: FlowLeaf | None = None,
) -> None:
    """Strikes by the leaf at an index, with the newest leaves of both sides unless others are given."""
    run = row.run
    sides = []
    for side, given in ((0, buyer), (1, seller)):
        listed = [scene.shown(trade, side, run)] if given is None else list(given)
        sides.append([astuple(one) for one in listed])
    path = list(content.tree.path(index))
    wrong = astuple(leaf or content.leaves[index])
    scene.market.row_faults.strike_wrong_leaf(astuple(row), wrong, index, path, astuple(trade), *sides)


def test_honest_leaves_are_never_struck(scene: Scene) -> None:
    for content in scene.contents().values():
        row = scene.pending(content)
        for index in range(content.count):
            with boa.reverts("RowFaults: the leaf is right"):
                strike(scene, row, content, index, trade_at(scene, content, index))


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 10_000_001},
        {"amount": 9_999_999},
        {"settled_wh": 1_999},
        {"salt": b"\1" * 32},
        {"flow": 1},
        {"flow": 2},
        {"flow": 255},
    ],
)
def test_every_corruption_of_a_leaf_is_struck(scene: Scene, wrong: dict[str, Any]) -> None:
    content = content_with(content_of(scene), 1, **wrong)
    row = scene.pending(content)
    trade = trade_at(scene, content, 1)
    strike(scene, row, content, 1, trade)
    assert_struck(scene, row)
    # The honest leaves beside it do not strike, even in a wrong row.
    again = scene.pending(content, version=2)
    for index in (0, 2):
        with boa.reverts("RowFaults: the leaf is right"):
            strike(scene, again, content, index, trade_at(scene, content, index))


def test_strike_while_publishing_and_in_the_window_only(scene: Scene) -> None:
    content = content_with(content_of(scene), 0, amount=1)
    row = scene.row(content)
    trade = trade_at(scene, content, 0)
    with boa.reverts("Settlement: row not pending"):
        strike(scene, row, content, 0, trade)
    scene.attest(row)
    with boa.env.anchor():
        strike(scene, row, content, 0, trade)
        assert_struck(scene, row)
    scene.publish(row, content)
    later(CONFIG.row_window - 1)
    with boa.env.anchor():
        strike(scene, row, content, 0, trade)
        assert_struck(scene, row)
    later(1)
    with boa.reverts("Settlement: row's window over"):
        strike(scene, row, content, 0, trade)


def test_leaf_must_stand_in_the_row_and_be_the_trades(scene: Scene) -> None:
    content = content_with(content_of(scene), 0, amount=1)
    row = scene.pending(content)
    trade = trade_at(scene, content, 0)
    with boa.reverts("RowFaults: leaf not in the row"):
        strike(scene, row, content, 0, trade, leaf=replace(content.leaves[0], amount=2))
    with boa.reverts("RowFaults: leaf not in the row"):
        strike(scene, replace(row, count=5), content, 0, trade)
    with boa.reverts("RowFaults: another trade"):
        strike(scene, row, content, 0, trade_at(scene, content, 1))


def test_leaf_of_another_pair(scene: Scene) -> None:
    """The flow is right, but between others; turned round too."""
    right = content_of(scene)
    for payer, payee in (("platform_b", "platform_a"), ("platform_a", "platform_c"), ("platform_c", "platform_b")):
        content = RowContent(scene.id(payer), scene.id(payee), right.leaves)
        row = scene.pending(content)
        strike(scene, row, content, 0, trade_at(scene, content, 0))
        assert_struck(scene, row)


def test_leaf_of_a_trade_that_waits(committed: Scene) -> None:
    """Its buyer's reading is missing: no amount in run 0."""
    scene = committed.copy()
    waiting = scene.trades[0]
    gone = {"read": 0, "status": 2}
    scene.settle_inputs({(scene.digest(waiting), 0): gone})
    content = content_of(scene)
    index = next(n for n, leaf in enumerate(content.leaves) if leaf.trade_digest == scene.digest(waiting))
    row = scene.pending(content)
    strike(scene, row, content, index, waiting)
    assert_struck(scene, row)


def test_leaf_of_a_trade_that_was_curtailed(committed: Scene) -> None:
    """To less: the amount differs; to nothing: no figure needs to be shown."""
    scene = committed.copy()
    less, nothing = scene.trades[:2]
    for trade, wh in ((less, 500), (nothing, 0)):
        curtail(scene.market, scene.place(trade), trade, wh, ["utility_a"])
    content = content_of(scene)
    for trade, wh in ((less, 500), (nothing, 0)):
        scene.contracted[scene.digest(trade)] = wh
    scene.settle_inputs()
    for trade, given in ((less, None), (nothing, [])):
        index = next(n for n, leaf in enumerate(content.leaves) if leaf.trade_digest == scene.digest(trade))
        version = 1 + scene.market.settlement.highest_version(CYCLE, content.payer, content.payee)
        row = scene.pending(content, version=version)
        strike(scene, row, content, index, trade, given, given)
        assert_struck(scene, row)
    assert content_of(scene).count == 2


def row_with(scene: Scene, trade: Trade, cycle: int = CYCLE, flow: int = 0, amount: int = 1) -> RowContent:
    """A row that holds just a leaf of this trade, salted as it should be."""
    salt = preimages.flow_salt(trade.salt, cycle, flow)
    leaf = FlowLeaf(scene.digest(trade), flow, 1, amount, salt)
    return RowContent(scene.id(PAIR[0]), scene.id(PAIR[1]), (leaf,))


@pytest.mark.parametrize(
    "changes",
    [
        {"slot_start": SLOT + DAY, "slot_end": SLOT + DAY + HOUR},
        {"slot_start": 0, "slot_end": HOUR},
        {"slot_start": CONFIG.anchor - 1},
        {"slot_end": SLOT + 2 * HOUR},
        {"template": b"\1" * 32},
        {"grid_operator": ZERO_HASH},
        {"rates": (1,)},
        {"rates": (1, 2**64)},
        {"contracted_wh": 2**40},
    ],
)
def test_leaf_of_a_trade_that_cannot_be(scene: Scene, changes: dict[str, Any]) -> None:
    """Nobody allocates to it, so it is struck without figures."""
    trade = trade_of(scene.market, **changes)
    content = row_with(scene, trade)
    row = scene.pending(content)
    strike(scene, row, content, 0, trade, [], [])
    assert_struck(scene, row)


def test_trade_whose_figure_cannot_be_shown(scene: Scene) -> None:
    """Both utilities posted, and nobody can show that their trees lack a leaf: that is demanded, not struck."""
    trade = trade_of(scene.market, 99)
    content = row_with(scene, trade)
    row = scene.pending(content)
    with boa.reverts("TradeResult: newer leaf unpassed"):
        strike(scene, row, content, 0, trade, [], [])


def test_leaf_of_no_amount(committed: Scene) -> None:
    """A flow that comes to nothing has no leaf."""
    scene = committed.copy()
    free_of_charge = trade_of(scene.market, 7, **own_meters(7), rates=(0, 400_000))
    scene.commit([free_of_charge])
    scene.settle_inputs()
    salt = preimages.flow_salt(free_of_charge.salt, CYCLE, 0)
    leaf = FlowLeaf(scene.digest(free_of_charge), 0, 2_000, 0, salt)
    content = RowContent(scene.id(PAIR[0]), scene.id(PAIR[1]), (leaf,))
    row = scene.pending(content)
    strike(scene, row, content, 0, free_of_charge)
    assert_struck(scene, row)


def test_rows_are_judged_by_their_own_runs_figures(scene: Scene) -> None:
    """A row of run 0 stays right when run 1 is sealed with other figures, and the other way round."""
    content = content_of(scene)
    row = scene.pending(content)
    changed = {(scene.digest(trade), 1): {"read": 1_000} for trade in scene.trades}
    scene.settle_inputs(changed)
    trade = trade_at(scene, content, 0)
    later_leaves = [scene.shown(trade, 1, 1)]
    # Its window is over by now; another row of the new run, made by the old figures, is wrong.
    scene.market.settlement.apply_attested(astuple(row))
    wrong = scene.pending(content, run=1, version=2)
    strike(scene, wrong, content, 0, trade, [scene.shown(trade, 0, 1)], later_leaves)
    assert_struck(scene, wrong)
    right = content_of(scene, {scene.digest(one): (2_000, 1_000) for one in scene.trades})
    good = scene.pending(right, run=1, version=3)
    for index in range(right.count):
        with boa.reverts("RowFaults: the leaf is right"):
            strike(scene, good, right, index, trade_at(scene, right, index))
    # An old leaf does not pass for the figure.
    with boa.reverts("TradeResult: newer leaf unpassed"):
        strike(scene, good, right, 0, trade, [scene.shown(trade, 0, 0)], [scene.shown(trade, 1, 0)])


def test_leaf_twice_in_its_tree_settles_nothing(scene: Scene) -> None:
    """The mark uncovers what the tree always was: the row's leaf is wrong from the start."""
    content = content_of(scene)
    row = scene.pending(content)
    trade = trade_at(scene, content, 0)
    mark(scene, trade, 1, twice=1)
    strike(scene, row, content, 0, trade, None, [])
    assert_struck(scene, row)


def test_a_flow_of_its_own_template(committed: Scene) -> None:
    """A template registered later settles as well, and its wrong leaf is struck."""
    scene = committed.copy()
    template = template_from_text("fee", 1, ("fee#FLAT",), ((Role.SELLER, Role.BUYER, "fee"),))
    with boa.env.prank(scene.market.council):
        described = [(flow.payer, flow.payee, flow.program) for flow in template.flows]
        scene.market.flows.register(template.name, template.version, list(template.rate_names), described)
    later(1)
    changes = {"template": template.template_id, "rates": (77,), "grid_operator": ZERO_HASH}
    trade = trade_of(scene.market, 5, **own_meters(5), **changes, valid_until=MORNING + 10)
    scene.commit([trade])
    scene.settle_inputs()
    payer, payee = scene.id("platform_b"), scene.id("platform_a")
    salt = preimages.flow_salt(trade.salt, CYCLE, 0)
    right = RowContent(payer, payee, (FlowLeaf(scene.digest(trade), 0, 2_000, 77, salt),))
    row = scene.pending(right)
    with boa.reverts("RowFaults: the leaf is right"):
        strike(scene, row, right, 0, trade)
