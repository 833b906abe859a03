"""Disputes: leaves are demanded and shown; of which trades, by whom, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest
from eth_utils import to_checksum_address

from settlement import preimages, typed_data
from settlement.figures import SideMarks
from settlement.hashing import keccak256
from settlement.preimages import Act
from settlement.trade import Demand, SilentDemand, Trade
from tests.contracts.disputes.case import DEMAND_TIME, SIGNERS, SMALL, UNSIGNED, WINDOW, WITH_DISPUTES, Case, later
from tests.contracts.market import at_time
from tests.contracts.money import change_hot_key
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    END,
    HOUR,
    batch_of,
    batch_place,
    commit,
    deadline,
    deploy_trading,
    events,
    leaf_of,
    member_id,
    mine,
    pass_window,
    post_leaves,
    register,
    registered_place,
    shown,
    trade_of,
    use_wallet,
    wallet_bytes,
)


def test_a_demanded_side_is_unanswered_until_its_leaf_is_shown(case: Case) -> None:
    market, acc = case.market, case.market.oracle.accumulator(CYCLE)
    later(HOUR)
    demanded = boa.env.evm.patch.timestamp
    said = case.demand()
    fields = {"cycle": CYCLE, "trade_digest": case.digest(), "member": said.member, "run": 0, "side": 1}
    assert events(market.disputes, "Demanded") == [fields]
    assert case.marks() == SideMarks(unanswered=1)
    key = preimages.side_key(case.digest(), 1)
    acc = preimages.accumulate(acc, Act.DEMAND, 0, demanded, key)
    assert market.oracle.accumulator(CYCLE) == acc
    assert market.disputes.demanded_at(key, 0) == demanded
    assert market.disputes.open_demands(said.member, CYCLE, 0) == 1
    assert not case.figure(0, run_shown=[]).known
    later(HOUR)
    case.answer()
    assert events(market.disputes, "Answered") == [
        {"cycle": CYCLE, "trade_digest": case.digest(), "run": 0, "side": 1, "index": 0}
    ]
    assert case.marks() == SideMarks()
    assert market.oracle.accumulator(CYCLE) == preimages.accumulate(
        acc, Act.ANSWER, 0, boa.env.evm.patch.timestamp, key
    )
    assert market.disputes.open_demands(said.member, CYCLE, 0) == 0
    assert case.figure(0).wh == 2_000
    with boa.reverts("Disputes: nothing to answer"):
        case.answer()
    with boa.reverts("Disputes: demanded already"):
        case.demand(by="platform_b")


def test_a_demand_is_of_its_run_alone(case: Case) -> None:
    """In run 1 a side is unanswered; its leaf of run 0 stands until the newer one is shown."""
    pass_window(case.market)
    case.market.oracle.seal(CYCLE)
    tree = post_leaves(case.market, "utility_b", case.leaves, run=1)
    at_time(deadline(1))
    case.demand(run=1)
    assert case.marks() == SideMarks(unanswered=0b10)
    assert case.figure(1).run == 0
    newest = shown(tree, 0, case.leaves[0], run=1)
    case.answer(evidence=newest)
    assert case.marks() == SideMarks()
    assert case.figure(1, run_shown=[newest]).run == 1


def test_demands_come_in_the_first_hours_and_answers_within_as_many(case: Case) -> None:
    at_time(deadline() + DEMAND_TIME - 1)
    case.demand()
    with boa.env.anchor():
        later(DEMAND_TIME - 1)
        case.answer()
    later(1)
    with boa.reverts("Disputes: too late to demand"):
        case.demand(1)
    later(DEMAND_TIME - 1)
    with boa.reverts("Disputes: too late to answer"):
        case.answer()


def test_after_a_demand_the_seal_waits(case: Case) -> None:
    market = case.market
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    with boa.env.anchor():
        at_time(deadline() + WINDOW)
        market.oracle.seal(CYCLE)
    case.demand()
    at_time(deadline() + WINDOW + DEMAND_TIME - 1)
    assert market.oracle.phase(CYCLE) == 3
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    later(1)
    market.oracle.seal(CYCLE)
    # The next run begins without the wait.
    at_time(deadline(1))
    market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    later(WINDOW)
    market.oracle.seal(CYCLE)


def test_a_member_s_open_demands_are_limited(case: Case) -> None:
    case.demand(0)
    case.demand(1)
    with boa.reverts("Disputes: too many demands"):
        case.demand(2)
    case.demand(2, by="platform_b")
    case.answer(0)
    case.demand(3)


def test_a_silent_utility_is_demanded_from_without_limit(case: Case) -> None:
    case.demand(0)
    case.demand(1)
    first = SilentDemand(case.digest(0), 1)
    later(2 * HOUR - 1)
    with boa.reverts("Disputes: utility not silent"):
        case.demand(2, silent=[first])
    later(1)
    for other in (SilentDemand(case.digest(0), 0), SilentDemand(case.digest(3), 1)):
        with boa.reverts("Disputes: no such demand"):
            case.demand(2, silent=[other])
    case.demand(2, silent=[first])
    case.answer(0)
    with boa.reverts("Disputes: no such demand"):
        case.demand(3, silent=[first])


def test_only_a_signer_of_the_trade_demands_and_contests(case: Case) -> None:
    for act in (case.demand, case.contest):
        for name in ("platform_c", "utility_c", "bank"):
            with boa.reverts("Disputes: no signer of the trade"):
                act(by=name)  # type: ignore[operator]
        with boa.reverts("Disputes: not signed by member"):
            act(by="platform_b", member=member_id(case.market, "platform_a"))  # type: ignore[operator]
        for name in SIGNERS:
            with boa.env.anchor():
                act(by=name)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["demand", "contest"])
def test_what_is_disputed_is_the_trade_at_its_place(case: Case, kind: str) -> None:
    act: Callable[..., Any] = getattr(case, kind)
    with boa.reverts("Disputes: another trade"):
        act(trade_digest=case.digest(1))
    with boa.reverts("Disputes: another cycle"):
        act(cycle=CYCLE + 1)
    with boa.reverts("Disputes: no such side"):
        act(side=2)
    with boa.reverts("Disputes: another run"):
        act(run=1)
    right = case.places[0]
    for wrong, reason in (
        (replace(right, index=1), "Disputes: not committed"),
        (replace(right, path=()), "Disputes: not committed"),
        (replace(right, number=right.number + 1), "Disputes: no such commitment"),
        (replace(right, commitment=replace(right.commitment, count=5)), "Disputes: no such commitment"),
    ):
        case.places[0] = wrong
        with boa.reverts(reason):
            act()
    case.places[0] = right
    act()


@pytest.mark.parametrize("kind", ["demand", "contest"])
def test_a_trade_that_its_utility_never_signed_is_not_disputed(case: Case, kind: str) -> None:
    """Members may be named in trades they never signed; then nothing of theirs waits."""
    act: Callable[..., Any] = getattr(case, kind)
    for signature, reason in (
        (case.market.sign("platform_a", case.trades[0]), "Disputes: not signed by utility"),
        (case.market.sign("utility_a", case.trades[0]), "Disputes: not signed by utility"),
        (case.market.sign("utility_b", case.trades[1]), "Disputes: not signed by utility"),
        (UNSIGNED, "Disputes: bad signature of utility"),
    ):
        case.signature = lambda number=0, side=1, given=signature: given  # type: ignore[misc]
        with boa.reverts(reason):
            act()
    del case.signature  # type: ignore[attr-defined]
    act()


def test_a_registered_trade_needs_no_signatures_again(case: Case) -> None:
    with boa.env.anchor():
        market = deploy_trading(SMALL, only=WITH_DISPUTES)
        trade = trade_of(market, 9)
        number = register(market, trade)
        place, digest = registered_place(market, number, trade), market.domain.digest(trade)
        at_time(END)
        tree = post_leaves(market, "utility_b", [leaf_of(market, trade, 1, commitment=number)])
        at_time(deadline())
        said = Demand(CYCLE, 0, member_id(market, "platform_a"), digest, 1)
        arguments = (astuple(said), market.sign("platform_a", said), [], astuple(place), astuple(trade))
        market.disputes.demand(*arguments, UNSIGNED, [])
        market.disputes.answer(
            CYCLE, astuple(trade), 1, astuple(shown(tree, 0, leaf_of(market, trade, 1, commitment=number)))
        )


def placed_alone(case: Case, trade: Trade, **changes: Any) -> None:
    """The case's first trade is now this one, in a batch of its own. It is made before the cycle's gate closes."""
    batch = batch_of(case.market, [trade], sequence=case.market.book.commitment_count() + 1, **changes)
    number, time = commit(case.market, batch), boa.env.evm.patch.timestamp
    case.trades[0], case.places[0] = trade, batch_place(case.market, number, batch, [trade], 0, time)


@pytest.fixture
def early() -> Iterator[Case]:
    """A case before its cycle: nothing is posted, and more can be committed."""
    with boa.env.anchor():
        case = Case.__new__(Case)
        case.market = deploy_trading(SMALL, only=WITH_DISPUTES)
        case.trades, case.places = [trade_of(case.market)], []
        case.places = [None]  # type: ignore[list-item]
        yield case


@pytest.mark.parametrize("kind", ["demand", "contest"])
def test_a_trade_that_never_counts_is_disputed_at_no_other_s_expense(early: Case, kind: str) -> None:
    """Its utility signed it, and nobody else did; it names a template and a partner that nobody knows."""
    market = early.market
    right = trade_of(market, 1)
    wrong = trade_of(market, 2, template=b"\7" * 32, seller_platform=b"\7" * 32)
    batch = batch_of(market, [right, wrong])
    number, time = commit(market, batch), boa.env.evm.patch.timestamp
    early.trades = [wrong, right]
    early.places = [batch_place(market, number, batch, [right, wrong], index, time) for index in (1, 0)]
    at_time(END)
    early.leaves = [leaf_of(market, wrong, 1, index=1), leaf_of(market, right, 1)]
    early.tree = post_leaves(market, "utility_b", early.leaves)
    at_time(deadline())
    with boa.reverts("Disputes: no signer of the trade"):
        getattr(early, kind)(by="platform_b")
    getattr(early, kind)()
    assert early.marks() == (SideMarks(unanswered=1) if kind == "demand" else SideMarks(contested=1))
    assert early.marks(1) == SideMarks()
    pass_window(market)
    later(DEMAND_TIME)
    market.oracle.seal(CYCLE)
    assert early.figure(0, 1).wh == 2_000  # the trade beside it in batch, tree and group
    with boa.reverts("TradeResult: unknown template"):
        market.result.check_place(astuple(early.places[0]), astuple(wrong), [])


def test_the_utility_s_signature_counts_as_of_the_commitment(early: Case) -> None:
    market = early.market
    placed_alone(early, trade_of(market))
    signature = early.signature()
    early.signature = lambda number=0, side=1: signature  # type: ignore[method-assign]
    secret = keccak256(b"utility b's next key")
    later(1)
    change_hot_key(market, "utility_b", to_checksum_address(typed_data.address_of(secret)))
    at_time(deadline())
    early.contest(evidence=[])  # with the key of then
    fresh = astuple(typed_data.sign(secret, early.digest()))
    early.signature = lambda number=0, side=1: fresh  # type: ignore[method-assign]
    with boa.reverts("Disputes: not signed by utility"):
        early.contest(evidence=[])


def test_a_side_s_utility_was_one_at_the_commitment(early: Case) -> None:
    """A platform named as utility may sign what it likes."""
    market = early.market
    placed_alone(early, trade_of(market, seller_utility=member_id(market, "platform_c")))
    early.signature = lambda number=0, side=1: market.sign("platform_c", early.trades[0])  # type: ignore[method-assign]
    at_time(deadline())
    for act in (early.demand, lambda: early.contest(evidence=[])):
        with boa.reverts("Disputes: not signed by utility"):
            act()


def test_a_commitment_of_another_cycle_is_none_of_this_one(early: Case) -> None:
    market = early.market
    placed_alone(early, trade_of(market), cycle=CYCLE + 1, earliest_slot=END)
    commit(market, batch_of(market, [trade_of(market, 5)], sequence=9))
    at_time(deadline())
    with boa.reverts("Disputes: no such commitment"):
        early.contest(evidence=[])


def test_a_contract_demands_by_erc_1271(case: Case) -> None:
    market = case.market
    use_wallet(market, "platform_a")
    said = Demand(CYCLE, 0, member_id(market, "platform_a"), case.digest(), 1)
    rest = (astuple(case.places[0]), astuple(case.trades[0]), case.signature(), [])
    with boa.reverts("Disputes: not signed by member"):
        market.disputes.demand(astuple(said), UNSIGNED, [bytes(65)], *rest)
    market.disputes.demand(astuple(said), UNSIGNED, [wallet_bytes(market, "platform_a", said)], *rest)


def test_where_nothing_is_posted_nothing_is_demanded(case: Case) -> None:
    with boa.reverts("Disputes: nothing posted"):
        case.demand(side=0)


def test_an_answer_is_the_leaf_of_that_side_in_the_posted_tree(case: Case) -> None:
    case.demand()
    leaf = case.shown()
    for wrong, reason in (
        (case.shown(1), "Disputes: another side's leaf"),
        (replace(leaf, leaf=replace(leaf.leaf, side=0)), "Disputes: another side's leaf"),
        (replace(leaf, count=5), "Disputes: not the posted tree"),
        (replace(leaf, leaf=replace(leaf.leaf, allocated_wh=1)), "Disputes: leaf not in the tree"),
        (replace(leaf, index=1), "Disputes: leaf not in the tree"),
    ):
        with boa.reverts(reason):
            case.answer(0, wrong)
    with boa.reverts("Disputes: nothing to answer"):
        case.answer(1)
    case.answer()


def test_outside_a_window_nothing_is_disputed(case: Case) -> None:
    market = case.market
    case.demand(3)
    for moment in (deadline() - 1, None):
        with boa.env.anchor():
            if moment is None:
                pass_window(market)
                later(DEMAND_TIME)
                market.oracle.seal(CYCLE)
            else:
                boa.env.evm.patch.timestamp = moment
            for act in (case.demand, case.contest, lambda: case.answer(3)):
                with boa.reverts("AllocationOracle: no open window"):
                    act()
