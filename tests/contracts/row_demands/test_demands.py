"""RowDemands: leaves of attested rows are demanded; what is not shown strikes a forged row."""

from __future__ import annotations

from dataclasses import astuple, replace

import boa
import pytest

from settlement import preimages
from settlement.hashing import ZERO_HASH
from settlement.rows import RowContent
from settlement.trade import Claim, FlowLeaf, MemberFlow, RowDemand
from tests.contracts.row_demands.case import (
    DEMAND_TIME,
    PAIR,
    PAYEE,
    PAYER,
    ROW_WINDOW,
    answer,
    apply,
    assert_struck,
    content_of,
    demand,
    holds,
    strike_unfounded,
    trade_at,
)
from tests.contracts.settling import Scene, Signature, content_with, events, later, nested
from tests.contracts.trading import CONFIG, CYCLE, pause, resume, trade_of, use_wallet, wallet_bytes

NOBODY: Signature = (0, bytes(32), bytes(32))


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


def forged(scene: Scene, number: int = 99) -> RowContent:
    """A row of a trade that was never committed."""
    trade = trade_of(scene.market, number)
    leaf = FlowLeaf(scene.digest(trade), 0, 2_000, 10_000_000, preimages.flow_salt(trade.salt, CYCLE, 0))
    return RowContent(scene.id(PAYER), scene.id(PAYEE), (leaf,))


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
