"""RowDemands: leaves of attested rows are demanded and shown; a forged row falls, an honest one is never struck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import preimages
from settlement.figures import SideMarks
from settlement.hashing import ZERO_HASH, keccak256
from settlement.rows import RowContent
from settlement.trade import Claim, FlowLeaf, MemberFlow, Place, Row, RowDemand, ShownFlow, ShownLeaf, Trade
from tests.contracts.settling import (
    Scene,
    Signature,
    claim_from,
    content_with,
    deploy_settling,
    events,
    later,
    mark,
    nested,
)
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    HOUR,
    SLOT,
    pause,
    register,
    resume,
    shown,
    trade_of,
    use_wallet,
    wallet_bytes,
)

PAYER, PAYEE = PAIR = ("platform_a", "platform_b")
SMALL = replace(CONFIG, row_demands=2)
ROW_WINDOW, DEMAND_TIME = CONFIG.row_window, CONFIG.demand_time
NOBODY: Signature = (0, bytes(32), bytes(32))


def own_meters(number: int) -> dict[str, bytes]:
    """Meters that no other trade uses."""
    return {
        "buyer_meter": keccak256(b"buyer", bytes([number])),
        "seller_meter": keccak256(b"seller", bytes([number])),
    }


@pytest.fixture(scope="module")
def committed() -> Scene:
    """Three batched trades of 2 kWh between platforms a and b, and a registered one."""
    scene = Scene(deploy_settling(SMALL))
    scene.commit([trade_of(scene.market, number, **own_meters(number)) for number in range(3)])
    scene.register(trade_of(scene.market, 3, **own_meters(3)))
    return scene


@pytest.fixture
def scene(committed: Scene) -> Scene:
    """Run 0 is sealed with all meters fully read."""
    scene = committed.copy()
    scene.settle_inputs()
    return scene


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


def refute(
    scene: Scene, row: Row, index: int, claim: Claim, trade: Trade, side: int, leaf: ShownLeaf | None = None
) -> None:
    """A newer leaf against an answer, or the mark on its own."""
    given = [] if leaf is None else [nested(leaf)]
    scene.market.row_demands.refute(astuple(row), index, nested(claim), nested(trade), side, given)


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


def forged(scene: Scene, number: int = 99) -> RowContent:
    """A row of a trade that was never committed."""
    trade = trade_of(scene.market, number)
    leaf = FlowLeaf(scene.digest(trade), 0, 2_000, 10_000_000, preimages.flow_salt(trade.salt, CYCLE, 0))
    return RowContent(scene.id(PAYER), scene.id(PAYEE), (leaf,))


# --- demands ---


@pytest.mark.parametrize("by", PAIR)
def test_a_demanded_leaf_holds_the_row_until_a_while_after_it_was_shown(scene: Scene, by: str) -> None:
    market, content = scene.market, content_of(scene)
    row = scene.pending(content)
    digest = market.domain.digest(row)
    later(ROW_WINDOW - 1)
    assert not holds(scene, row)
    demand(scene, row, 2, by)
    assert events(market.row_demands, "LeafDemanded") == [{"row_digest": digest, "index": 2, "member": scene.id(by)}]
    assert (market.row_demands.demand_count(digest, scene.id(by)), market.row_demands.open_count(digest)) == (1, 1)
    later(DEMAND_TIME - 1)
    with boa.reverts("Settlement: row's window open"):
        apply(scene, row)
    assert holds(scene, row)
    trade = trade_at(scene, content, 2)
    claim = answer(scene, row, content, 2)
    operator = scene.contents()[scene.id(PAYER), scene.id("utility_b")].leaves
    wheeling = next(leaf.amount for leaf in operator if leaf.trade_digest == scene.digest(trade))
    assert claim == Claim(
        CYCLE,
        0,
        scene.digest(trade),
        2_000,
        1,
        0,
        1,
        0,
        0,
        (
            MemberFlow(scene.id(PAYER), scene.id(PAYEE), content.leaves[2].amount),
            MemberFlow(scene.id(PAYER), scene.id("utility_b"), wheeling),
        ),
    )
    assert (market.row_demands.demand_count(digest, scene.id(by)), market.row_demands.open_count(digest)) == (1, 0)
    later(DEMAND_TIME - 1)
    assert holds(scene, row)
    with boa.reverts("Settlement: row's window open"):
        apply(scene, row)
    later(1)
    assert not holds(scene, row)
    apply(scene, row)
    assert scene.word(*PAIR).applied == content.amount


def test_an_answer_within_the_window_holds_no_longer_than_the_window(scene: Scene) -> None:
    content = content_of(scene)
    row = scene.pending(content)
    demand(scene, row, 0)
    answer(scene, row, content, 0)
    later(ROW_WINDOW - 1)
    assert not holds(scene, row)
    with boa.reverts("Settlement: row's window open"):
        apply(scene, row)
    later(1)
    apply(scene, row)


def test_all_leaves_of_an_honest_row_are_demanded_and_shown(scene: Scene) -> None:
    """By both members, batched and registered trades alike; the row is applied after the last wait."""
    content = content_of(scene)
    row = scene.pending(content)
    sequences = set()
    for index, by in ((0, PAYER), (1, PAYEE), (2, PAYER), (3, PAYEE)):
        demand(scene, row, index, by)
    later(ROW_WINDOW)
    for index in (3, 1, 0, 2):
        trade = trade_at(scene, content, index)
        sequences.add(scene.place(trade).commitment.sequence)
        with boa.reverts("Settlement: row's window open"):
            apply(scene, row)
        answer(scene, row, content, index)
        later(1)
    assert sequences == {0, 1}
    later(DEMAND_TIME - 2)
    with boa.reverts("Settlement: row's window open"):
        apply(scene, row)
    later(1)
    apply(scene, row)
    assert scene.word(*PAIR).applied == content.amount


def test_a_demand_is_refused_for_its_reason(scene: Scene) -> None:
    content = content_of(scene)
    row = scene.row(content)
    with boa.reverts("RowDemands: row not pending"):
        demand(scene, row, 0)
    scene.attest(row)
    with boa.reverts("RowDemands: row not pending"):
        demand(scene, row, 0)
    scene.publish(row, content)
    with boa.reverts("RowDemands: row not pending"):
        demand(scene, replace(row, version=2), 0)
    with boa.reverts("RowDemands: another row"):
        demand(scene, row, 0, row_digest=scene.market.domain.digest(replace(row, version=2)))
    for name in ("platform_c", "utility_b", "bank"):
        with boa.reverts("RowDemands: not of the pair"):
            demand(scene, row, 0, name)
    with boa.reverts("RowDemands: no such leaf"):
        demand(scene, row, 4)
    with boa.env.anchor():
        later(ROW_WINDOW)
        with boa.reverts("RowDemands: row's window over"):
            demand(scene, row, 0)
    demand(scene, row, 0)
    for by in PAIR:
        with boa.reverts("RowDemands: demanded already"):
            demand(scene, row, 0, by)
    answer(scene, row, content, 0)
    with boa.reverts("RowDemands: demanded already"):
        demand(scene, row, 0)


def test_a_demand_is_its_members_word(scene: Scene) -> None:
    content, market = content_of(scene), scene.market
    row = scene.pending(content)
    said = RowDemand(market.domain.digest(row), 0, scene.id(PAYER))
    bad = [
        market.sign(PAYEE, said),
        market.sign_cold(PAYER, said),
        NOBODY,
        market.sign(PAYER, replace(said, index=1)),
        market.sign(PAYER, replace(said, member=scene.id(PAYEE))),
        market.sign(PAYER, replace(said, row_digest=ZERO_HASH)),
    ]
    for signature in bad:
        with boa.reverts("RowDemands: not signed by member"):
            demand(scene, row, 0, PAYER, signature)
    with boa.reverts("RowDemands: not signed by member"):
        demand(scene, row, 0, PAYER, None, [bytes(65)], member=scene.id(PAYEE))


def test_a_contract_demands_by_erc_1271(scene: Scene) -> None:
    market, content = scene.market, content_of(scene)
    row = scene.pending(content)
    use_wallet(market, PAYER)
    said = RowDemand(market.domain.digest(row), 1, scene.id(PAYER))
    with boa.reverts("RowDemands: not signed by member"):
        demand(scene, row, 1)
    with boa.reverts("RowDemands: not signed by member"):
        demand(scene, row, 1, PAYER, NOBODY, [wallet_bytes(market, PAYER, replace(said, index=2))])
    demand(scene, row, 1, PAYER, NOBODY, [wallet_bytes(market, PAYER, said)])
    assert market.row_demands.demand_count(said.row_digest, said.member) == 1


def test_each_member_demands_few_leaves_of_a_row(scene: Scene) -> None:
    """Answered or not: so nobody makes others show a whole row by demanding leaf after leaf."""
    content = content_of(scene)
    row = scene.pending(content)
    demand(scene, row, 0)
    demand(scene, row, 1)
    answer(scene, row, content, 0)
    with boa.reverts("RowDemands: too many demands"):
        demand(scene, row, 2)
    demand(scene, row, 2, PAYEE)
    demand(scene, row, 3, PAYEE)
    # The next row is another matter.
    scene.settle(scene.plain(*PAIR, 1))
    scene.settle_inputs()
    again = scene.pending(content, run=1, version=2)
    demand(scene, again, 2)


def test_an_agreed_row_needs_no_answers(scene: Scene) -> None:
    content = content_of(scene)
    row = scene.pending(content)
    demand(scene, row, 0)
    scene.settle(scene.row(content, version=2))
    assert scene.word(*PAIR).applied == content.amount
    with boa.reverts("RowDemands: row not pending"):
        answer(scene, row, content, 0)
    later(ROW_WINDOW)
    with boa.reverts("RowDemands: row not pending"):
        strike_unfounded(scene, row, 0)


def test_a_row_that_was_overtaken_is_demanded_from_no_more(scene: Scene) -> None:
    row = scene.pending(content_of(scene))
    scene.settle_inputs()
    claim = scene.claim(scene.trades[0], leaf_run=1)
    later(CONFIG.claim_window)
    scene.market.settlement.apply_claim(astuple(claim))
    with boa.reverts("RowDemands: row not pending"):
        demand(scene, row, 0)


# --- what is not shown ---


def test_a_forged_row_falls_by_demand(scene: Scene) -> None:
    """Nobody can show a trade that does not exist, whoever signed for it."""
    content = forged(scene)
    row = scene.pending(content)
    demand(scene, row, 0)
    later(DEMAND_TIME)
    strike_unfounded(scene, row, 0)
    assert_struck(scene, row, "unfounded leaf")
    right = content_of(scene)
    again = scene.pending(right, version=2)
    later(ROW_WINDOW)
    apply(scene, again)


def test_strikes_wait_for_the_demand_time(scene: Scene) -> None:
    content = content_of(scene)
    row = scene.pending(content)
    with boa.reverts("RowDemands: no open demand"):
        strike_unfounded(scene, row, 0)
    later(ROW_WINDOW - 1)
    demand(scene, row, 0)
    with boa.reverts("RowDemands: no open demand"):
        strike_unfounded(scene, row, 1)
    later(DEMAND_TIME - 1)
    with boa.reverts("RowDemands: may still be answered"):
        strike_unfounded(scene, row, 0)
    later(1)
    with boa.env.anchor():
        # After its window too, as long as the demand is open.
        strike_unfounded(scene, row, 0)
        assert_struck(scene, row, "unfounded leaf")
    # Late, but before anybody struck.
    later(DEMAND_TIME)
    with boa.reverts("Settlement: row's window open"):
        apply(scene, row)
    answer(scene, row, content, 0)
    with boa.reverts("RowDemands: no open demand"):
        strike_unfounded(scene, row, 0)
    later(DEMAND_TIME)
    apply(scene, row)


def test_paused_time_does_not_count(scene: Scene) -> None:
    content = content_of(scene)
    row = scene.pending(content)
    later(ROW_WINDOW - 1)
    pause(scene.market)
    later(DEMAND_TIME)
    resume(scene.market)
    demand(scene, row, 0)
    demand(scene, row, 1)
    later(8 * 86_400)
    with boa.env.anchor():
        strike_unfounded(scene, row, 0)
    answer(scene, row, content, 0)
    answer(scene, row, content, 1)
    pause(scene.market)
    later(DEMAND_TIME)
    assert holds(scene, row)
    resume(scene.market)
    later(DEMAND_TIME - 1)
    assert holds(scene, row)
    later(1)
    apply(scene, row)


def test_demand_time_stands_still_in_a_pause(scene: Scene) -> None:
    row = scene.pending(content_of(scene))
    demand(scene, row, 0)
    pause(scene.market)
    later(DEMAND_TIME)
    with boa.reverts("RowDemands: may still be answered"):
        strike_unfounded(scene, row, 0)


def test_a_held_row_is_struck_for_what_else_is_wrong(scene: Scene) -> None:
    """RowFaults strikes while a demand holds the row, beyond its window."""
    content = content_with(content_of(scene), 1, amount=9_999_999)
    row = scene.pending(content)
    later(ROW_WINDOW - 1)
    demand(scene, row, 0)
    later(DEMAND_TIME)
    answer(scene, row, content, 0)
    later(DEMAND_TIME - 1)
    trade = trade_at(scene, content, 1)
    sides = [[nested(scene.shown(trade, side))] for side in (0, 1)]
    wrong = astuple(row), astuple(content.leaves[1]), 1, list(content.tree.path(1)), nested(trade), *sides
    with boa.env.anchor():
        scene.market.row_faults.strike_wrong_leaf(*wrong)
        assert scene.market.settlement.pending(CYCLE, row.payer, row.payee)[0] == 0
    later(1)
    with boa.reverts("Settlement: row's window over"):
        scene.market.row_faults.strike_wrong_leaf(*wrong)


# --- answers ---


def test_an_answer_shows_the_leaf_itself(scene: Scene) -> None:
    content = content_of(scene)
    row = scene.pending(content)
    with boa.reverts("RowDemands: nothing to answer"):
        answer(scene, row, content, 0)
    demand(scene, row, 0)
    with boa.reverts("RowDemands: row not pending"):
        answer(scene, replace(row, version=7), content, 0)
    with boa.reverts("RowDemands: nothing to answer"):
        answer(scene, row, content, 1)
    with boa.reverts("RowDemands: leaf not in the row"):
        answer(scene, row, content, 0, leaf=content.leaves[1], trade=trade_at(scene, content, 1))
    with boa.reverts("RowDemands: leaf not in the row"):
        answer(scene, row, content, 0, path=())
    with boa.reverts("RowDemands: another trade"):
        answer(scene, row, content, 0, trade=trade_at(scene, content, 1))
    answer(scene, row, content, 0)
    with boa.reverts("RowDemands: nothing to answer"):
        answer(scene, row, content, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 10_000_001},
        {"settled_wh": 1_999},
        {"salt": b"\1" * 32},
        {"flow": 1},
    ],
)
def test_an_answer_must_result_in_the_leaf(scene: Scene, wrong: dict[str, Any]) -> None:
    content = content_with(content_of(scene), 1, **wrong)
    row = scene.pending(content)
    demand(scene, row, 1)
    with boa.reverts("RowDemands: another leaf results"):
        answer(scene, row, content, 1)


def test_a_flow_that_the_trade_does_not_have_is_not_shown(scene: Scene) -> None:
    content = content_with(content_of(scene), 1, flow=2)
    row = scene.pending(content)
    demand(scene, row, 1)
    with boa.reverts("RowDemands: another trade"):
        answer(scene, row, content, 1)


@pytest.mark.parametrize(("payer", "payee"), [("platform_b", "platform_a"), ("platform_a", "platform_c")])
def test_a_leaf_between_others_is_not_shown(scene: Scene, payer: str, payee: str) -> None:
    content = RowContent(scene.id(payer), scene.id(payee), content_of(scene).leaves)
    row = scene.pending(content)
    demand(scene, row, 0, payer)
    with boa.reverts("RowDemands: another leaf results"):
        answer(scene, row, content, 0)
    later(DEMAND_TIME)
    strike_unfounded(scene, row, 0)
    assert_struck(scene, row, "unfounded leaf")


def test_places_and_signatures_are_judged_where_they_are_shown(scene: Scene) -> None:
    content = content_of(scene)
    row = scene.pending(content)
    batched = next(n for n in range(4) if scene.place(trade_at(scene, content, n)).commitment.sequence)
    registered = next(n for n in range(4) if not scene.place(trade_at(scene, content, n)).commitment.sequence)
    demand(scene, row, batched)
    demand(scene, row, registered)
    trade = trade_at(scene, content, batched)
    good = scene.signatures(trade)
    with boa.reverts("TradeResult: signature missing"):
        answer(scene, row, content, batched, signatures=good[:-1])
    with boa.reverts("TradeResult: not signer's key"):
        answer(scene, row, content, batched, signatures=[*good[:-1], good[0]])
    with boa.reverts("TradeResult: signature too many"):
        answer(scene, row, content, registered, signatures=good)
    right = scene.places[scene.digest(trade)]
    scene.places[scene.digest(trade)] = replace(right, index=right.index + 1)
    with boa.reverts("TradeResult: not committed"):
        answer(scene, row, content, batched, signatures=good)
    scene.places[scene.digest(trade)] = right
    with boa.reverts("TradeResult: no figure shown"):
        answer(scene, row, content, batched, buyer=[])
    answer(scene, row, content, batched)
    answer(scene, row, content, registered)


def test_a_trade_of_another_cycle_is_not_shown(committed: Scene) -> None:
    """It may be real, committed and have its figures: in its own cycle."""
    scene, market = committed.copy(), committed.market
    other = trade_of(market, 7, **own_meters(7), slot_start=SLOT + DAY, slot_end=SLOT + DAY + HOUR)
    number = register(market, other)
    record = preimages.registered_commitment(other, scene.digest(other), CYCLE + 1, boa.env.evm.patch.timestamp)
    for side, utility in ((0, other.buyer_utility), (1, other.seller_utility)):
        key = f"{CYCLE + 1}][{'0x' + utility.hex()}][{'0x' + scene.digest(other).hex()}][{side}"
        market.oracle.eval(f"self.side_marks[{key}] = {SideMarks(recorded=2_000, recorded_run=0).to_word()}")
    scene.settle_inputs()
    leaf = FlowLeaf(scene.digest(other), 0, 2_000, 10_000_000, preimages.flow_salt(other.salt, CYCLE, 0))
    content = RowContent(scene.id(PAYER), scene.id(PAYEE), (leaf,))
    row = scene.pending(content)
    demand(scene, row, 0)
    scene.add(other, Place(number, record, 0, ()))
    with boa.reverts("RowDemands: another trade"):
        answer(scene, row, content, 0, trade=other, buyer=[], seller=[])


def test_a_recorded_figure_is_shown_without_a_leaf(committed: Scene) -> None:
    scene = committed.copy()
    trade = scene.trades[0]
    mark(scene, trade, 0, recorded=1_234, recorded_run=0)
    scene.settle_inputs()
    content = content_of(scene, {scene.digest(trade): (1_234, 2_000)})
    index = next(n for n, leaf in enumerate(content.leaves) if leaf.trade_digest == scene.digest(trade))
    row = scene.pending(content)
    demand(scene, row, index)
    claim = answer(scene, row, content, index, buyer=[])
    assert (claim.settled_wh, claim.buyer_origin, claim.buyer_run, claim.seller_origin) == (1_234, 2, 0, 1)
    with boa.reverts("RowDemands: not newer"):
        refute(scene, row, index, claim, trade, 0, scene.shown(trade, 0))
    with boa.reverts("RowDemands: not marked twice"):
        refute(scene, row, index, claim, trade, 0)


def test_in_the_last_run_a_side_may_have_none(committed: Scene) -> None:
    """The buyer's utility never posted: the seller's figure counts for both. Any leaf of the buyer's would refute."""
    scene = committed.copy()
    for run in range(4):
        scene.post(run, utilities=["utility_b"])
        scene.seal()
    content = content_of(scene)
    row = scene.pending(content, run=3)
    demand(scene, row, 0)
    claim = answer(scene, row, content, 0, buyer=[])
    assert (claim.run, claim.buyer_origin, claim.seller_origin, claim.settled_wh) == (3, 0, 1, 2_000)
    later(ROW_WINDOW)
    apply(scene, row)


# --- refuting ---


@pytest.mark.parametrize("side", [0, 1])
def test_an_answer_by_an_old_figure_is_refuted_and_the_row_falls(scene: Scene, side: int) -> None:
    """The row was made by the figures of run 0, though run 1 has newer ones."""
    trade = scene.trades[0]
    scene.settle_inputs({(scene.digest(trade), side): {"read": 1_000}})
    content = content_of(scene)
    index = next(n for n, leaf in enumerate(content.leaves) if leaf.trade_digest == scene.digest(trade))
    row = scene.pending(content, run=1)
    demand(scene, row, index)
    with boa.reverts("RowDemands: another leaf results"):
        answer(scene, row, content, index)
    claim = answer(scene, row, content, index, leaf_run=0)
    assert (claim.run, claim.buyer_run, claim.seller_run) == (1, 0, 0)
    later(ROW_WINDOW - 1)
    refute(scene, row, index, claim, trade, side, scene.shown(trade, side, 1))
    assert events(scene.market.row_demands, "AnswerRefuted") == [
        {"row_digest": scene.market.domain.digest(row), "index": index, "side": side}
    ]
    assert scene.market.row_demands.open_count(scene.market.domain.digest(row)) == 1
    with boa.reverts("RowDemands: not the answer"):
        refute(scene, row, index, claim, trade, side, scene.shown(trade, side, 1))
    with boa.reverts("RowDemands: refuted before"):
        answer(scene, row, content, index, leaf_run=0)
    later(DEMAND_TIME - 1)
    with boa.reverts("RowDemands: may still be answered"):
        strike_unfounded(scene, row, index)
    later(1)
    strike_unfounded(scene, row, index)
    assert_struck(scene, row, "unfounded leaf")


def test_an_honest_row_does_not_fall_by_a_bad_answer(scene: Scene) -> None:
    """Whoever wants to be rid of the row demands, answers by an old leaf of the same figure, and refutes that itself:
    the right answer still stands in the end, and that one cannot be refuted."""
    scene.settle_inputs()
    content = content_of(scene)
    row = scene.pending(content, run=1)
    trade = trade_at(scene, content, 0)
    later(ROW_WINDOW - 1)
    demand(scene, row, 0)
    bad = answer(scene, row, content, 0, leaf_run=0)
    refute(scene, row, 0, bad, trade, 0, scene.shown(trade, 0, 1))
    # One side is new now, the other still old: so it goes once more, and not again.
    with boa.reverts("RowDemands: refuted before"):
        answer(scene, row, content, 0, leaf_run=0)
    half = answer(scene, row, content, 0, buyer=[scene.shown(trade, 0, 1)], seller=[scene.shown(trade, 1, 0)])
    with boa.reverts("RowDemands: not newer"):
        refute(scene, row, 0, half, trade, 0, scene.shown(trade, 0, 1))
    later(DEMAND_TIME - 1)
    refute(scene, row, 0, half, trade, 1, scene.shown(trade, 1, 1))
    later(DEMAND_TIME - 1)
    good = answer(scene, row, content, 0)
    assert (good.buyer_run, good.seller_run) == (1, 1)
    for side in (0, 1):
        for leaf_run in (0, 1):
            with boa.reverts("RowDemands: not newer"):
                refute(scene, row, 0, good, trade, side, scene.shown(trade, side, leaf_run))
    later(DEMAND_TIME)
    apply(scene, row)
    assert scene.word(*PAIR).applied == content.amount


def test_answers_are_refuted_while_the_row_may_be_struck(scene: Scene) -> None:
    scene.settle_inputs()
    content = content_of(scene)
    row = scene.pending(content, run=1)
    trade = trade_at(scene, content, 0)
    later(ROW_WINDOW - 1)
    demand(scene, row, 0)
    later(1)
    bad = answer(scene, row, content, 0, leaf_run=0)
    later(DEMAND_TIME - 1)
    with boa.env.anchor():
        refute(scene, row, 0, bad, trade, 0, scene.shown(trade, 0, 1))
        assert holds(scene, row)
    later(1)
    with boa.reverts("RowDemands: row stands"):
        refute(scene, row, 0, bad, trade, 0, scene.shown(trade, 0, 1))
    apply(scene, row)
    with boa.reverts("RowDemands: row not pending"):
        refute(scene, row, 0, bad, trade, 0, scene.shown(trade, 0, 1))


def test_a_refutation_is_of_the_answer_its_trade_and_a_side(scene: Scene) -> None:
    scene.settle_inputs()
    content = content_of(scene)
    row = scene.pending(content, run=1)
    trade, other = trade_at(scene, content, 0), trade_at(scene, content, 1)
    demand(scene, row, 0)
    claim = answer(scene, row, content, 0, leaf_run=0)
    newer = scene.shown(trade, 0, 1)
    for index, wrong in ((1, claim), (0, replace(claim, buyer_origin=0)), (0, replace(claim, settled_wh=1))):
        with boa.reverts("RowDemands: not the answer"):
            refute(scene, row, index, wrong, trade, 0, newer)
    with boa.reverts("RowDemands: no such side"):
        refute(scene, row, 0, claim, trade, 2, newer)
    with boa.reverts("RowDemands: not the answer's trade"):
        refute(scene, row, 0, claim, other, 0, scene.shown(other, 0, 1))
    with boa.reverts("TradeResult: other trade's leaf"):
        refute(scene, row, 0, claim, trade, 0, scene.shown(other, 0, 1))
    with boa.reverts("RowDemands: not newer"):
        refute(scene, row, 0, claim, trade, 0, scene.shown(trade, 0, 0))
    with boa.reverts("RowDemands: not marked twice"):
        refute(scene, row, 0, claim, trade, 0)
    refute(scene, row, 0, claim, trade, 0, newer)


@pytest.mark.parametrize("side", [0, 1])
def test_a_leaf_that_stands_twice_refutes_the_answer_that_shows_it(committed: Scene, side: int) -> None:
    """Through AllocationFaults; nothing can be shown any more, so the row falls."""
    scene = committed.copy()
    trade = scene.trades[0]
    utility = ("utility_a", "utility_b")[side]
    scene.post(utilities=[("utility_b", "utility_a")[side]])
    twin = scene.leaf(trade, side, read=1_000)
    leaves = [*scene.leaves(utility), twin]
    scene.post_leaves(utility, leaves)
    scene.seal()
    content = content_of(scene)
    index = next(n for n, leaf in enumerate(content.leaves) if leaf.trade_digest == scene.digest(trade))
    row = scene.pending(content)
    demand(scene, row, index)
    claim = answer(scene, row, content, index)
    with boa.reverts("RowDemands: not marked twice"):
        refute(scene, row, index, claim, trade, side)
    second = shown(scene.posted[utility, 0][0], len(leaves) - 1, twin)
    scene.market.faults.mark_twice(CYCLE, scene.id(utility), astuple(scene.shown(trade, side)), astuple(second))
    with boa.reverts("RowDemands: not marked twice"):
        refute(scene, row, index, claim, trade, 1 - side)
    refute(scene, row, index, claim, trade, side)
    with boa.reverts("TradeResult: leaf does not count"):
        answer(scene, row, content, index)
    later(DEMAND_TIME)
    strike_unfounded(scene, row, index)
    assert_struck(scene, row, "unfounded leaf")


def test_in_the_last_run_any_leaf_refutes_none(committed: Scene) -> None:
    scene = committed.copy()
    scene.settle_inputs()
    for run in range(1, 4):
        scene.post(run, utilities=["utility_b"])
        scene.seal()
    content = content_of(scene)
    row = scene.pending(content, run=3)
    trade = trade_at(scene, content, 0)
    demand(scene, row, 0)
    newest = [scene.shown(trade, 1, 3)]
    claim = answer(scene, row, content, 0, buyer=[], seller=newest)
    refute(scene, row, 0, claim, trade, 0, scene.shown(trade, 0, 0))
    with boa.reverts("RowDemands: refuted before"):
        answer(scene, row, content, 0, buyer=[], seller=newest)
    good = answer(scene, row, content, 0, buyer=[scene.shown(trade, 0, 0)], seller=newest)
    assert (good.buyer_origin, good.buyer_run, good.seller_run) == (1, 0, 3)
    later(ROW_WINDOW)
    apply(scene, row)
