"""Disputes: leaves are demanded and shown, readings contested, agreed and ruled; one side of one trade waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest
from eth_utils import to_checksum_address

from settlement import preimages, typed_data
from settlement.figures import SeenLeaf, SideMarks, Terms, figure_of
from settlement.hashing import ZERO_HASH, keccak256
from settlement.placed import PlacedTrade, Side
from settlement.preimages import Act
from settlement.trade import (
    Contest,
    Demand,
    FigureAgreement,
    Ruling,
    ShownLeaf,
    SilentDemand,
    Trade,
)
from tests.contracts.market import Market, at_time
from tests.contracts.money import change_hot_key
from tests.contracts.trading import (
    CONFIG,
    CONTRACTS_OF_TRADING,
    CYCLE,
    DAY,
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

SIGNERS = ("platform_a", "platform_b", "utility_a", "utility_b")
EVIDENCE = keccak256(b"evidence")
ARBITERS = tuple(keccak256(b"arbiter", bytes([number])) for number in range(5))
SMALL = replace(CONFIG, open_demands=2, contests_per_cycle=2, run_deadlines=(12 * HOUR, 14 * DAY))
WITH_DISPUTES = (*CONTRACTS_OF_TRADING, "Arbiters", "Disputes", "TradeResult")
UNSIGNED = (0, bytes(32), bytes(32))
DEMAND_TIME, WINDOW, CONTEST_TIME = CONFIG.demand_time, CONFIG.window, CONFIG.contest_time


class Case:
    """Four batched trades over utilities a and b, both of which have posted their leaves of run 0."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.trades = [
            trade_of(market, number, seller_meter=keccak256(b"meter", bytes([number]))) for number in range(4)
        ]
        batch = batch_of(market, self.trades)
        number, time = commit(market, batch), boa.env.evm.patch.timestamp
        self.places = [batch_place(market, number, batch, self.trades, index, time) for index in range(4)]
        at_time(END)
        self.leaves = [leaf_of(market, trade, 1, index=index) for index, trade in enumerate(self.trades)]
        self.tree = post_leaves(market, "utility_b", self.leaves)
        at_time(deadline())

    def digest(self, number: int = 0) -> bytes:
        return self.market.domain.digest(self.trades[number])

    def signature(self, number: int = 0, side: int = 1) -> tuple[int, bytes, bytes]:
        """That of the side's utility on the trade."""
        return self.market.sign("utility_b" if side else "utility_a", self.trades[number])

    def shown(self, number: int = 0) -> ShownLeaf:
        return shown(self.tree, number, self.leaves[number])

    def marks(self, number: int = 0, side: int = 1) -> SideMarks:
        utility = member_id(self.market, "utility_b" if side else "utility_a")
        return SideMarks.from_word(self.market.oracle.side_marks(CYCLE, utility, self.digest(number), side))

    def demand(
        self, number: int = 0, by: str = "platform_a", silent: Sequence[SilentDemand] = (), **changes: Any
    ) -> Demand:
        said = replace(Demand(CYCLE, 0, member_id(self.market, by), self.digest(number), 1), **changes)
        self.market.disputes.demand(
            astuple(said),
            self.market.sign(by, said),
            [],
            astuple(self.places[number]),
            astuple(self.trades[number]),
            self.signature(number, said.side),
            [astuple(one) for one in silent],
        )
        return said

    def contest(
        self, number: int = 0, by: str = "platform_a", evidence: Sequence[ShownLeaf] | None = None, **changes: Any
    ) -> Contest:
        said = replace(Contest(CYCLE, 0, member_id(self.market, by), self.digest(number), 1, EVIDENCE), **changes)
        evidence = [self.shown(number)] if evidence is None else evidence
        self.market.disputes.contest(
            astuple(said),
            self.market.sign(by, said),
            [],
            astuple(self.places[number]),
            astuple(self.trades[number]),
            self.signature(number, said.side),
            [astuple(one) for one in evidence],
        )
        return said

    def answer(self, number: int = 0, evidence: ShownLeaf | None = None) -> None:
        leaf = evidence or self.shown(number)
        self.market.disputes.answer(CYCLE, astuple(self.trades[number]), 1, astuple(leaf))

    def agree(self, wh: int, number: int = 0, signers: Sequence[str] = SIGNERS, **changes: Any) -> None:
        said = replace(FigureAgreement(CYCLE, self.digest(number), 1, wh), **changes)
        signatures = [self.market.sign(name, said) for name in signers]
        self.market.disputes.agree(astuple(said), astuple(self.trades[number]), signatures, [])

    def rule(self, wh: int, number: int = 0, by: Sequence[int] = (1, 3), **changes: Any) -> None:
        said = replace(Ruling(CYCLE, self.digest(number), 1, wh), **changes)
        digest = self.market.domain.digest(said)
        signatures = [astuple(typed_data.sign(ARBITERS[place], digest)) for place in by]
        mask = sum(1 << place for place in by)
        self.market.disputes.rule(astuple(said), astuple(self.trades[number]), mask, signatures)

    def figure(self, run: int, number: int = 0, run_shown: Sequence[ShownLeaf] | None = None) -> Any:
        """The seller side's figure on chain, and that the Python rules say the same."""
        evidence = [self.shown(number)] if run_shown is None else run_shown
        found = self.market.result.figure(astuple(self.trades[number]), 1, run, [astuple(one) for one in evidence])
        trade = self.trades[number]
        contracted = self.market.book.contracted(self.digest(number), trade.contracted_wh)
        placed = PlacedTrade(self.digest(number), trade, self.places[number].number, number, contracted)
        utility = member_id(self.market, "utility_b")
        seen = [SeenLeaf(one.run, utility, one.leaf) for one in (evidence or [self.shown(number)])]
        terms = Terms(CYCLE, self.market.config.allocation_rule, self.market.config.last_run)
        python = figure_of(placed, Side.SELLER, run, seen, self.marks(number), 0, terms)
        assert (python is not None) == found.known
        if python is not None:
            assert (python.wh, int(python.origin), python.run) == (found.wh, found.origin, found.run)
        return found


@pytest.fixture(scope="module")
def deployed() -> Case:
    market = deploy_trading(SMALL, only=WITH_DISPUTES)
    with boa.env.prank(market.council):
        market.arbiters.set_arbiters(["0x" + typed_data.address_of(key).hex() for key in ARBITERS])
    return Case(market)


@pytest.fixture
def case(deployed: Case) -> Iterator[Case]:
    with boa.env.anchor():
        yield deployed


def later(seconds: int) -> None:
    at_time(boa.env.evm.patch.timestamp + seconds)


# --- demands ---


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


# --- contests ---


def test_a_contested_side_waits_and_its_leaf_stands_from_the_next_run_on(case: Case) -> None:
    market, acc = case.market, case.market.oracle.accumulator(CYCLE)
    said = case.contest()
    leaf = preimages.allocation_leaf(case.leaves[0])
    fields = {"cycle": CYCLE, "trade_digest": case.digest(), "member": said.member, "run": 0, "side": 1}
    assert events(market.disputes, "Contested") == [{**fields, "leaf": leaf, "evidence": EVIDENCE}]
    key, now = preimages.side_key(case.digest(), 1), boa.env.evm.patch.timestamp
    assert market.oracle.accumulator(CYCLE) == preimages.accumulate(acc, Act.CONTEST, 0, now, key)
    assert case.marks() == SideMarks(contested=1)
    word = market.oracle.side_marks(CYCLE, member_id(market, "utility_b"), case.digest(), 1)
    assert word == 1 | now << 40 | int.from_bytes(leaf) >> 80 << 80
    assert market.disputes.contest_count(said.member, CYCLE) == 1
    assert not case.figure(0, run_shown=[]).known
    assert case.figure(0, 1).wh == 2_000  # nobody else's side waits
    with boa.reverts("Disputes: contested before"):
        case.contest(by="platform_b")
    pass_window(market)
    market.oracle.seal(CYCLE)
    assert case.figure(1).wh == 2_000
    at_time(deadline(1))
    with boa.reverts("Disputes: contested before"):  # the same leaf still stands
        case.contest(run=1)


def test_contests_are_limited_for_a_member_in_a_cycle(case: Case) -> None:
    case.contest(0)
    case.contest(1)
    with boa.reverts("Disputes: too many contests"):
        case.contest(2)
    case.contest(2, by="utility_a")


def test_the_lack_of_a_leaf_is_contested_once_a_run(case: Case) -> None:
    """Utility a posted nothing: a buyer's side has no leaf that could be shown."""
    case.contest(side=0, evidence=[])
    assert events(case.market.disputes, "Contested")[0]["leaf"] == ZERO_HASH
    with boa.reverts("Disputes: contested before"):
        case.contest(by="platform_b", side=0, evidence=[])
    with boa.reverts("Disputes: leaf not shown"):
        case.contest(1, evidence=[])
    with boa.reverts("Disputes: not the newest tree"):
        case.contest(1, side=0)
    case.demand(1)
    case.contest(1, by="platform_b", evidence=[])  # unanswered: it cannot be shown
    pass_window(case.market)
    later(DEMAND_TIME)
    case.market.oracle.seal(CYCLE)
    at_time(deadline(1))
    case.contest(by="platform_b", side=0, evidence=[], run=1)


def test_a_side_contested_for_its_lack_may_be_contested_for_the_leaf_that_answers(case: Case) -> None:
    case.demand(0)
    case.contest(0, evidence=[])
    case.answer(0)
    case.contest(0, by="platform_b")
    leaf = preimages.allocation_leaf(case.leaves[0])
    assert [one["leaf"] for one in events(case.market.disputes, "Contested")] == [leaf]
    with boa.reverts("Disputes: contested before"):
        case.contest(0, by="utility_a")


def test_a_leaf_is_contested_again_only_after_another(case: Case) -> None:
    """What was contested last is remembered: a utility that goes back to a former leaf may be asked again."""
    market = case.market
    case.contest()
    pass_window(market)
    market.oracle.seal(CYCLE)
    for attempt, leaves, contested in (
        (1, case.leaves, False),
        (2, [replace(leaf, meter_wh=leaf.meter_wh + 1) for leaf in case.leaves], True),
    ):
        tree = post_leaves(market, "utility_b", leaves, run=1, attempt=attempt)
        with boa.env.anchor():
            at_time(deadline(1))
            evidence = [shown(tree, 0, leaves[0], run=1)]
            if contested:
                case.contest(run=1, evidence=evidence)
            with boa.reverts("Disputes: contested before"):
                case.contest(run=1, by="platform_b", evidence=evidence)


def test_other_marks_leave_a_contest_as_it_is(case: Case) -> None:
    case.contest()
    made, subject = boa.env.evm.patch.timestamp, int.from_bytes(preimages.allocation_leaf(case.leaves[0])) >> 80
    utility = member_id(case.market, "utility_b")

    def word() -> int:
        return int(case.market.oracle.side_marks(CYCLE, utility, case.digest(), 1))

    later(HOUR)
    case.demand()
    assert word() == 1 | 1 << 8 | made << 40 | subject << 80
    with boa.env.prank(case.market.addresses["AllocationFaults"]):
        case.market.oracle.mark_twice(CYCLE, 0, utility, case.digest(), 1)
    case.answer()
    assert word() == 1 | 1 << 16 | made << 40 | subject << 80
    at_time(made + CONTEST_TIME - 1)
    with boa.env.anchor():
        case.rule(9)
        assert word() == 1 | 1 << 16 | 1 << 24 | 9 << 64  # the figure takes the contest's place
    later(1)
    with boa.reverts("Disputes: too late to rule"):
        case.rule(9)


def test_a_missing_reading_is_contested_in_each_run(case: Case) -> None:
    with boa.env.anchor():
        market = deploy_trading(SMALL, only=WITH_DISPUTES)
        fresh = Case.__new__(Case)
        Case.__init__(fresh, market)
        missing = replace(fresh.leaves[0], status=2, meter_wh=0, allocated_wh=0)
        boa.env.evm.patch.timestamp = END + HOUR
        fresh.leaves[0] = missing
        fresh.tree = post_leaves(market, "utility_b", fresh.leaves, attempt=2)
        at_time(deadline())
        fresh.contest()
        with boa.reverts("Disputes: contested before"):
            fresh.contest(by="platform_b")
        pass_window(market)
        market.oracle.seal(CYCLE)
        post_leaves(market, "utility_b", fresh.leaves, run=1)
        at_time(deadline(1))
        fresh.contest(run=1, evidence=[shown(fresh.tree, 0, missing, run=1)])


def test_the_newest_tree_is_what_can_be_contested(case: Case) -> None:
    pass_window(case.market)
    case.market.oracle.seal(CYCLE)
    corrected = [replace(leaf, meter_wh=leaf.meter_wh + 1) for leaf in case.leaves]
    tree = post_leaves(case.market, "utility_b", corrected, run=1)
    at_time(deadline(1))
    with boa.reverts("Disputes: not the newest tree"):
        case.contest(run=1)
    newest = shown(tree, 0, corrected[0], run=1)
    with boa.reverts("Disputes: leaf not in the tree"):
        case.contest(run=1, evidence=[replace(newest, leaf=case.leaves[0])])
    case.contest(run=1, evidence=[newest])


def test_contests_end_with_the_window_except_of_what_answers_showed(case: Case) -> None:
    at_time(deadline() + DEMAND_TIME - 1)
    case.demand(0)
    case.answer(0)
    at_time(deadline() + WINDOW - 1)
    with boa.env.anchor():
        case.contest(1)
    later(1)
    with boa.reverts("Disputes: too late to contest"):
        case.contest(1)
    later(DEMAND_TIME - 2)
    case.contest(0)


# --- figures ---


def test_all_signers_agree_on_a_figure(case: Case) -> None:
    market = case.market
    case.contest()
    acc, now = market.oracle.accumulator(CYCLE), boa.env.evm.patch.timestamp
    case.agree(1_234)
    assert events(market.disputes, "FigureRecorded") == [
        {"cycle": CYCLE, "trade_digest": case.digest(), "side": 1, "wh": 1_234, "mask": 0}
    ]
    assert case.marks() == SideMarks(contested=1, recorded=1_234, recorded_run=0)
    figure = preimages.figure_key(case.digest(), 1, 1_234)
    assert market.oracle.accumulator(CYCLE) == preimages.accumulate(acc, Act.FIGURE, 0, now, figure)
    found = case.figure(0, run_shown=[])
    assert (found.known, found.wh, found.origin) == (True, 1_234, 2)
    with boa.reverts("Disputes: a figure already"):
        case.agree(1_000)
    with boa.reverts("Disputes: a figure already"):
        case.rule(1_000)
    with boa.reverts("Disputes: figure recorded"):
        case.contest(by="platform_b", evidence=[case.shown()])


def test_an_agreement_needs_every_signer(case: Case) -> None:
    case.contest()
    for signers, reason in (
        (SIGNERS[:3], "Disputes: signatures missing"),
        ((*SIGNERS, "platform_a"), "Disputes: signatures left over"),
        ((*SIGNERS[:3], "utility_c"), "Disputes: not agreed by all"),
        (("platform_b", "platform_a", "utility_a", "utility_b"), "Disputes: not agreed by all"),
    ):
        with boa.reverts(reason):
            case.agree(1_000, signers=signers)
    case.agree(1_000)


def test_a_contract_agrees_by_erc_1271(case: Case) -> None:
    market = case.market
    case.contest()
    use_wallet(market, "platform_b")
    said = FigureAgreement(CYCLE, case.digest(), 1, 900)
    signatures = [UNSIGNED if name == "platform_b" else market.sign(name, said) for name in SIGNERS]
    arguments = (astuple(said), astuple(case.trades[0]), signatures)
    with boa.reverts("Disputes: wallet signature missing"):
        market.disputes.agree(*arguments, [])
    own = wallet_bytes(market, "platform_b", said)
    with boa.reverts("Disputes: signatures left over"):
        market.disputes.agree(*arguments, [own, own])
    market.disputes.agree(*arguments, [own])


def test_a_figure_is_at_most_what_is_contracted(case: Case) -> None:
    case.contest()
    with boa.reverts("Disputes: more than contracted"):
        case.agree(2_001)
    with boa.env.anchor():
        case.agree(2_000)
    case.agree(0)
    assert case.marks().recorded == 0


def test_a_figure_ends_a_contest_and_nothing_else(case: Case) -> None:
    for act in (case.agree, case.rule):
        with boa.reverts("Disputes: not contested"):
            act(1_000)
    case.contest()
    for act in (case.agree, case.rule):
        with boa.reverts("Disputes: another trade"):
            act(1_000, trade_digest=case.digest(1))
        with boa.reverts("Disputes: another cycle"):
            act(1_000, cycle=CYCLE - 1)
        with boa.reverts("Disputes: no such side"):
            act(1_000, side=2)


def test_the_arbiters_rule_within_their_time(case: Case) -> None:
    case.contest()
    made = boa.env.evm.patch.timestamp
    at_time(made + CONTEST_TIME - 1)
    with boa.env.anchor():
        case.rule(700)
        assert events(case.market.disputes, "FigureRecorded")[0]["mask"] == 0b01010
        assert case.marks().recorded == 700
    later(1)
    with boa.reverts("Disputes: too late to rule"):
        case.rule(700)
    case.agree(700)  # the signers may still agree


def test_a_ruling_needs_the_quorum_of_the_panel(case: Case) -> None:
    case.contest()
    said = Ruling(CYCLE, case.digest(), 1, 700)
    digest, trade = case.market.domain.digest(said), astuple(case.trades[0])

    def signed(*places: int) -> list[tuple[int, bytes, bytes]]:
        return [astuple(typed_data.sign(ARBITERS[place], digest)) for place in places]  # type: ignore[misc]

    stranger = astuple(typed_data.sign(keccak256(b"nobody"), digest))
    for mask, signatures in (
        (0b00001, signed(0)),
        (0, []),
        (0b00011, signed(1, 0)),
        (0b00011, signed(0)),
        (0b00001, signed(0, 1)),
        (0b00011, [*signed(0), stranger]),
        (0b100001, [*signed(0), stranger]),
        (1 << 255 | 3, signed(0, 1)),
        (0b00011, [*signed(0), UNSIGNED]),
    ):
        with boa.reverts("Disputes: not ruled"):
            case.market.disputes.rule(astuple(said), trade, mask, signatures)
    case.market.disputes.rule(astuple(said), trade, 0b00011, signed(0, 1))


def test_the_council_names_the_panel(case: Case) -> None:
    arbiters, council = case.market.arbiters, case.market.council
    keys = [str(boa.env.generate_address()) for _ in range(3)]
    with boa.reverts("Arbiters: not the council"):
        arbiters.set_arbiters(keys)
    with boa.env.prank(council):
        with boa.reverts("Arbiters: arbiter twice"):
            arbiters.set_arbiters([keys[0], keys[1], keys[0]])
        with boa.reverts("Arbiters: no key"):
            arbiters.set_arbiters([keys[0], "0x" + "00" * 20])
        arbiters.set_arbiters(keys)
    assert events(arbiters, "ArbitersSet") == [{"keys": keys}]
    assert arbiters.arbiters() == keys
    case.contest()
    with boa.reverts("Disputes: not ruled"):  # the former panel
        case.rule(700)


# --- the last run ---


def last_run(case: Case) -> None:
    """Run 0 is sealed, and the window of run 1, the market's last, is open."""
    pass_window(case.market)
    case.market.oracle.seal(CYCLE)
    at_time(deadline(1))
    case.market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)


def test_the_last_seal_waits_for_its_contests(case: Case) -> None:
    market = case.market
    last_run(case)
    case.contest(0, run=1)
    later(HOUR)
    case.contest(1, by="platform_b", run=1)
    newest = boa.env.evm.patch.timestamp
    at_time(deadline(1) + WINDOW)
    assert market.oracle.phase(CYCLE) == 6
    for act in (case.demand, case.contest):
        with boa.reverts("AllocationOracle: no open window"):
            act(2, run=1)  # type: ignore[operator]
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    with boa.env.anchor():  # both end by figures: no more waiting
        case.rule(600)
        with boa.reverts("AllocationOracle: window not over"):
            market.oracle.seal(CYCLE)
        case.agree(500, 1)
        market.oracle.seal(CYCLE)
        assert (case.figure(1, run_shown=[]).wh, case.figure(1, 1, run_shown=[]).wh) == (600, 500)
    at_time(newest + CONTEST_TIME - 1)
    with boa.reverts("AllocationOracle: window not over"):
        market.oracle.seal(CYCLE)
    later(1)
    market.oracle.seal(CYCLE)
    # Silence: as if it had not been made.
    assert case.marks().contested == 0b10
    assert case.figure(1).wh == 2_000
    with boa.reverts("AllocationOracle: no run to come"):
        case.agree(1)


def test_a_contest_of_both_runs_that_silence_ends(case: Case) -> None:
    """Contested in run 0 and, by another leaf, in the last: silence lets the leaf stand."""
    case.contest(0)
    pass_window(case.market)
    case.market.oracle.seal(CYCLE)
    corrected = [replace(leaf, meter_wh=leaf.meter_wh + 7) for leaf in case.leaves]
    tree = post_leaves(case.market, "utility_b", corrected, run=1)
    at_time(deadline(1))
    newest = shown(tree, 0, corrected[0], run=1)
    case.contest(0, run=1, evidence=[newest])
    case.market.oracle.open_window(CYCLE)
    mine(CONFIG.window_blocks)
    later(CONTEST_TIME)
    case.market.oracle.seal(CYCLE)
    assert case.marks().contested == 0b11
    assert case.figure(1, run_shown=[newest]).wh == 2_000


def test_a_figure_before_the_last_run_holds_nothing_up(case: Case) -> None:
    case.contest(0)
    last_run(case)
    case.agree(800)
    at_time(deadline(1) + WINDOW)
    case.market.oracle.seal(CYCLE)
    assert case.marks() == SideMarks(contested=1, recorded=800, recorded_run=1)
    assert case.figure(1, run_shown=[]).wh == 800


def test_only_disputes_marks_sides(case: Case) -> None:
    for sender in (case.market.council, case.market.addresses["AllocationFaults"], case.market.addresses["TradeBook"]):
        with boa.env.prank(sender), boa.reverts("AllocationOracle: only Disputes"):
            case.market.oracle.mark_side(CYCLE, bytes(32), bytes(32), 0, 5, 0)
    with boa.env.prank(case.market.addresses["Disputes"]), boa.reverts("AllocationOracle: no run to come"):
        case.market.oracle.mark_side(CYCLE + 5, bytes(32), bytes(32), 0, 5, 0)


def test_paused_time_does_not_count(case: Case) -> None:
    market = case.market
    case.contest()
    made = boa.env.evm.patch.timestamp
    with boa.env.prank(market.guardian):
        market.registry.pause()
    at_time(made + 72 * HOUR)
    case.demand(1)  # the window has stood still
    at_time(made + 72 * HOUR + CONTEST_TIME - 1)
    case.rule(5)
