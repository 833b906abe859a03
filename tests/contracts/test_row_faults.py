"""RowFaults: every corruption of a row's leaf and every wrong figure of a claim is struck, nothing honest ever is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import preimages
from settlement.formula.templates import Role, template_from_text
from settlement.hashing import ZERO_HASH, keccak256
from settlement.rows import RowContent
from settlement.trade import AllocationLeaf, FlowLeaf, MissingLeaf, Row, ShownFlow, ShownLeaf, Trade
from tests.contracts.settling import Scene, content_with, deploy_settling, later, mark
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    HOUR,
    MORNING,
    SLOT,
    curtail,
    shown,
    trade_of,
    use_wallet,
    wallet_bytes,
)

PAIR = ("platform_a", "platform_b")


def own_meters(number: int) -> dict[str, bytes]:
    """Meters that no other trade uses."""
    return {
        "buyer_meter": keccak256(b"buyer", bytes([number])),
        "seller_meter": keccak256(b"seller", bytes([number])),
    }


@pytest.fixture(scope="module")
def committed() -> Scene:
    """Three trades of 2 kWh between platforms a and b, with flows to each other and to the grid operator."""
    scene = Scene(deploy_settling())
    scene.commit([trade_of(scene.market, number, **own_meters(number)) for number in range(3)])
    return scene


@pytest.fixture
def scene(committed: Scene) -> Scene:
    """Run 0 is sealed with all meters fully read."""
    scene = committed.copy()
    scene.settle_inputs()
    return scene


def content_of(scene: Scene, wh: dict[bytes, tuple[int, int]] | None = None) -> RowContent:
    """The right row's content between platforms a and b."""
    return scene.contents(wh)[scene.id(PAIR[0]), scene.id(PAIR[1])]


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


# --- rows ---


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


# --- missing leaves ---


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


# --- claims ---


def strike_newer(scene: Scene, claim: Any, trade: Trade, side: int, leaf: ShownLeaf) -> None:
    """Shows a newer leaf against a claim."""
    scene.market.row_faults.strike_newer_leaf(astuple(claim), astuple(trade), side, astuple(leaf))


@pytest.mark.parametrize("side", [0, 1])
def test_newer_leaf_ends_a_claim(scene: Scene, side: int) -> None:
    trade = scene.trades[0]
    scene.settle_inputs({(scene.digest(trade), side): {"read": 1_000}})
    claim = scene.claim(trade, leaf_run=0)
    assert (claim.run, claim.buyer_run, claim.seller_run) == (1, 0, 0)
    strike_newer(scene, claim, trade, side, scene.shown(trade, side, 1))
    assert scene.market.settlement.claim_hash(scene.digest(trade), 1) == ZERO_HASH
    # Made again with the newest leaves it stands.
    right = scene.claim(trade, leaf_run=1)
    for leaf_run in (0, 1):
        with boa.reverts("RowFaults: not newer"):
            strike_newer(scene, right, trade, side, scene.shown(trade, side, leaf_run))


def test_newer_leaf_must_count(scene: Scene) -> None:
    trade = scene.trades[0]
    scene.settle_inputs({(scene.digest(trade), 0): {"allocated_wh": 1_999}})
    claim = scene.claim(trade, leaf_run=0)
    with boa.reverts("TradeResult: leaf does not count"):
        strike_newer(scene, claim, trade, 0, scene.shown(trade, 0, 1))
    mark(scene, trade, 1, unanswered=0b10)
    with boa.reverts("TradeResult: leaf does not count"):
        strike_newer(scene, claim, trade, 1, scene.shown(trade, 1, 1))
    with boa.reverts("TradeResult: other trade's leaf"):
        strike_newer(scene, claim, trade, 1, scene.shown(scene.trades[1], 1, 1))
    with boa.reverts("RowFaults: not the claim's trade"):
        strike_newer(scene, claim, scene.trades[1], 1, scene.shown(scene.trades[1], 1, 1))
    with boa.reverts("RowFaults: no such side"):
        strike_newer(scene, claim, trade, 2, scene.shown(trade, 1, 1))


def test_claims_end_in_their_window(scene: Scene) -> None:
    trade = scene.trades[0]
    scene.settle_inputs()
    claim = scene.claim(trade, leaf_run=0)
    later(CONFIG.claim_window - 1)
    with boa.env.anchor():
        strike_newer(scene, claim, trade, 0, scene.shown(trade, 0, 1))
    later(1)
    with boa.reverts("Settlement: claim's window over"):
        strike_newer(scene, claim, trade, 0, scene.shown(trade, 0, 1))
    with boa.reverts("Settlement: claim not pending"):
        strike_newer(scene, replace(claim, settled_wh=5), trade, 0, scene.shown(trade, 0, 1))


def test_claim_without_a_figure_ends_by_any_leaf(committed: Scene) -> None:
    """In the last run a side may be claimed to have none."""
    scene = committed.copy()
    trade = scene.trades[0]
    for _ in range(4):
        scene.settle_inputs()
    signatures = scene.signatures(trade)
    last = scene.shown(trade, 1, 3)
    made = scene.market.settlement.claim(astuple(scene.place(trade)), astuple(trade), signatures, [], [astuple(last)])
    assert (made.run, made.buyer_origin, made.seller_origin, made.settled_wh) == (3, 0, 1, 2_000)
    with boa.env.anchor():
        scene.market.row_faults.strike_newer_leaf(made, astuple(trade), 0, astuple(scene.shown(trade, 0, 0)))
        assert scene.market.settlement.claim_hash(scene.digest(trade), 3) == ZERO_HASH
    with boa.reverts("RowFaults: not newer"):
        scene.market.row_faults.strike_newer_leaf(made, astuple(trade), 1, astuple(scene.shown(trade, 1, 2)))
    with boa.reverts("RowFaults: not marked twice"):
        scene.market.row_faults.strike_twice(made, astuple(trade), 0)


def test_recorded_figure_ends_only_as_it_should(committed: Scene) -> None:
    """A claim by an agreed or ruled figure is not ended by any leaf."""
    scene = committed.copy()
    trade = scene.trades[0]
    mark(scene, trade, 0, recorded=1_234, recorded_run=0)
    scene.settle_inputs()
    claim = scene.claim(trade)
    assert (claim.buyer_origin, claim.buyer_run, claim.settled_wh) == (2, 0, 1_234)
    with boa.reverts("RowFaults: not newer"):
        strike_newer(scene, claim, trade, 0, scene.shown(trade, 0, 0))
    mark(scene, trade, 0, recorded=1_234, recorded_run=0, twice=1)
    with boa.reverts("RowFaults: not marked twice"):
        scene.market.row_faults.strike_twice(astuple(claim), astuple(trade), 0)


@pytest.mark.parametrize("side", [0, 1])
def test_leaf_marked_twice_ends_a_claim(committed: Scene, side: int) -> None:
    """Through AllocationFaults: the utility posted the trade twice, once for each of two claims."""
    scene = committed.copy()
    trade = scene.trades[0]
    utility = ("utility_a", "utility_b")[side]
    scene.post(utilities=[("utility_b", "utility_a")[side]])
    twin: AllocationLeaf = scene.leaf(trade, side, read=1_000)
    leaves = [*scene.leaves(utility), twin]
    scene.post_leaves(utility, leaves)
    scene.seal()
    claim = scene.claim(trade)
    faults = scene.market.row_faults
    with boa.reverts("RowFaults: not marked twice"):
        faults.strike_twice(astuple(claim), astuple(trade), side)
    tree = scene.posted[utility, 0][0]
    first = scene.shown(trade, side)
    second = shown(tree, len(leaves) - 1, twin)
    scene.market.faults.mark_twice(CYCLE, scene.id(utility), astuple(first), astuple(second))
    with boa.reverts("RowFaults: not marked twice"):
        faults.strike_twice(astuple(claim), astuple(trade), 1 - side)
    with boa.reverts("RowFaults: no such side"):
        faults.strike_twice(astuple(claim), astuple(trade), 2)
    with boa.reverts("RowFaults: not the claim's trade"):
        faults.strike_twice(astuple(claim), astuple(scene.trades[1]), side)
    faults.strike_twice(astuple(claim), astuple(trade), side)
    assert scene.market.settlement.claim_hash(scene.digest(trade), 0) == ZERO_HASH


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
