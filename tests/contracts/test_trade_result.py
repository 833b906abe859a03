"""TradeResult: valid places, figures as shown, what a claim asserts, results; against `settlement` case by case.

Trade book and oracle are stand-ins, so that every record, tree and mark can be had; registry and templates are real.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import boa
import pytest

from settlement import faults, figures, flows, merkle, preimages, typed_data
from settlement.allocation import share_rule
from settlement.config import FIFO
from settlement.figures import Figure, Origin, SeenLeaf, SideMarks, Terms
from settlement.formula.templates import DEVIATION, INTER_UTILITY, MARKET, SHIPPED, SHIPPED_BY_ID
from settlement.hashing import ZERO_HASH, keccak256
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf, Commitment, HotKeyChange, Place, ShownLeaf, Signature, Trade
from settlement.units import RATE_BOUND, WH_BOUND
from tests.contracts.market import CONTRACTS, MARKET_AGENT, PLATFORM, Market, at_time, deploy
from tests.contracts.settling import register_templates
from tests.contracts.trading import (
    BEGIN,
    CONFIG,
    CYCLE,
    DAY,
    HOUR,
    MORNING,
    SLOT,
    allocation_tree,
    leaf_of,
    member_id,
    shown,
    trade_of,
)

MOCKS = CONTRACTS / "mocks"
STAND_INS = {"TradeBook": str(MOCKS / "BookStandIn.vy"), "AllocationOracle": str(MOCKS / "OracleStandIn.vy")}
LAST = CONFIG.last_run
NONE = (False, 0, 0, 0)
UNSETTLED: tuple[bool, int, list[Any]] = (False, 0, [])


def deploy_results(**config: Any) -> Market:
    """Registry, templates and TradeResult, with stand-ins for book and oracle, at `MORNING`."""
    at_time(MORNING - 30 * DAY)
    market = deploy(replace(CONFIG, **config), stand_ins=STAND_INS, only=("RevenueFlows", "TradeResult"))
    register_templates(market)
    market.oracle.set_version(1)
    at_time(MORNING)
    return market


@pytest.fixture(scope="module")
def market() -> Market:
    return deploy_results()


# --- places ---


def place_of(market: Market, trade: Trade, others: int = 4, **changes: Any) -> Place:
    """A place that the book knows: the last of some trades in a batch; `changes` are of the record."""
    leaves = [preimages.trade_leaf(keccak256(bytes([number]))) for number in range(others)]
    tree = merkle.Tree([*leaves, preimages.trade_leaf(market.domain.digest(trade))])
    a, b = sorted((trade.buyer_platform, trade.seller_platform))
    record = replace(Commitment(CYCLE, a, b, 1, BEGIN, tree.count, tree.root, MORNING), **changes)
    market.book.set_commitment(7, preimages.commitment_record(record))
    return Place(7, record, others, tree.path(others))


def check(market: Market, place: Place, trade: Trade, signatures: Sequence[Any] | None = None) -> bytes:
    """The place's digest, with all signatures unless others are given."""
    if signatures is None:
        signatures = market.sign_all(trade.signers, trade)
    return bytes(market.result.check_place(astuple(place), astuple(trade), list(signatures)))


def market_trade(market: Market, **changes: Any) -> Trade:
    """A market-based trade: platform c buys and is the market agent."""
    fields = {
        "template": MARKET.template_id,
        "rates": (5_000_000, 100_000, 400_000),
        "buyer_platform": member_id(market, "platform_c"),
        "market_agent": member_id(market, "platform_c"),
    }
    return trade_of(market, **(fields | changes))


def inter_trade(market: Market, **changes: Any) -> Trade:
    """A trade without grid operator or market agent."""
    fields = {"template": INTER_UTILITY.template_id, "rates": (5_000_000, 100, 200, 300), "grid_operator": ZERO_HASH}
    return trade_of(market, **(fields | changes))


def test_the_slot_grid_begins_at_the_anchor() -> None:
    """In a market whose days begin a quarter of an hour later its slots do so too."""
    late = 900
    with boa.env.anchor():
        market = deploy_results(anchor=CONFIG.anchor + late)
        trade = trade_of(market, slot_start=SLOT + late, slot_end=SLOT + late + HOUR)
        place = place_of(market, trade, earliest_slot=BEGIN + late)
        assert check(market, place, trade) == market.domain.digest(trade)
        other = trade_of(market)
        with boa.reverts("TradeResult: not a slot"):
            check(market, place_of(market, other, earliest_slot=BEGIN + late), other)


@pytest.mark.parametrize("make", [trade_of, market_trade, inter_trade], ids=["four", "agent", "inter-utility"])
def test_valid_place(market: Market, make: Callable[..., Trade]) -> None:
    trade = make(market)
    digest = market.domain.digest(trade)
    assert check(market, place_of(market, trade), trade) == digest
    assert market.result.trade_digest(astuple(trade)) == digest
    # The lone leaf of a registered trade; the same member on both sides; platforms in the other order.
    assert check(market, place_of(market, trade, others=0), trade) == digest
    inside = replace(trade, seller_platform=trade.buyer_platform, seller_utility=trade.buyer_utility)
    assert check(market, place_of(market, inside), inside) == market.domain.digest(inside)
    turned = replace(trade, buyer_platform=trade.seller_platform, seller_platform=trade.buyer_platform)
    assert check(market, place_of(market, turned), turned) == market.domain.digest(turned)


def test_bounds_of_a_valid_place(market: Market) -> None:
    for changes in (
        {"contracted_wh": 1},
        {"contracted_wh": WH_BOUND - 1},
        {"rates": (RATE_BOUND - 1, 0)},
        {"slot_start": BEGIN, "slot_end": BEGIN + HOUR},
        {"slot_start": BEGIN + 23 * HOUR, "slot_end": BEGIN + 24 * HOUR},
        {"valid_until": MORNING},
    ):
        trade = trade_of(market, **changes)
        assert check(market, place_of(market, trade), trade) == market.domain.digest(trade)


def test_registered_trade_needs_no_signatures(market: Market) -> None:
    trade = trade_of(market)
    place = place_of(market, trade, others=0, sequence=0)
    assert check(market, place, trade, []) == market.domain.digest(trade)
    with boa.reverts("TradeResult: signature too many"):
        check(market, place, trade, market.sign_all(trade.signers[:1], trade))
    # Its roles are judged all the same.
    stranger = trade_of(market, seller_utility=member_id(market, "platform_b"))
    with boa.reverts("TradeResult: role not held"):
        check(market, place_of(market, stranger, sequence=0), stranger, [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"slot_start": SLOT + 1, "slot_end": SLOT + 1 + HOUR}, "TradeResult: not a slot"),
        ({"slot_end": SLOT + 2 * HOUR}, "TradeResult: not a slot"),
        ({"slot_end": SLOT - HOUR}, "TradeResult: not a slot"),
        ({"slot_start": CONFIG.anchor - HOUR, "slot_end": CONFIG.anchor}, "TradeResult: not a slot"),
        ({"template": keccak256(b"unknown")}, "TradeResult: unknown template"),
        ({"buyer_utility": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"seller_utility": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"buyer_platform": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"seller_platform": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"grid_operator": ZERO_HASH}, "TradeResult: roles do not fit"),
        ({"market_agent": b"\1" * 32}, "TradeResult: roles do not fit"),
        ({"contracted_wh": 0}, "TradeResult: out of bounds"),
        ({"contracted_wh": WH_BOUND}, "TradeResult: out of bounds"),
        ({"rates": (1,)}, "TradeResult: out of bounds"),
        ({"rates": (1, 2, 3)}, "TradeResult: out of bounds"),
        ({"rates": (1, RATE_BOUND)}, "TradeResult: out of bounds"),
        ({"slot_start": SLOT + DAY, "slot_end": SLOT + DAY + HOUR}, "TradeResult: another cycle"),
        ({"valid_until": MORNING - 1}, "TradeResult: committed too late"),
        ({"buyer_utility": b"\1" * 32}, "TradeResult: role not held"),
    ],
)
def test_trade_that_no_place_holds(market: Market, changes: dict[str, Any], reason: str) -> None:
    trade = trade_of(market, **changes)
    signed = market.sign_all(trade_of(market).signers, trade)
    with boa.reverts(reason):
        check(market, place_of(market, trade), trade, signed)


def test_optional_roles_are_filled_exactly_when_named(market: Market) -> None:
    for make, changes in (
        (market_trade, {"market_agent": ZERO_HASH}),
        (market_trade, {"grid_operator": ZERO_HASH}),
        (inter_trade, {"grid_operator": member_id(market, "utility_b")}),
    ):
        trade = make(market, **changes)
        with boa.reverts("TradeResult: roles do not fit"):
            check(market, place_of(market, trade), trade)


@pytest.mark.parametrize(
    ("role", "member"),
    [
        ("buyer_platform", "utility_a"),
        ("seller_platform", "utility_a"),
        ("buyer_utility", "platform_b"),
        ("seller_utility", "platform_b"),
        ("grid_operator", "platform_b"),
        ("market_agent", "platform_b"),
    ],
)
def test_each_role_must_be_held(market: Market, role: str, member: str) -> None:
    trade = market_trade(market, **{role: member_id(market, member)})
    with boa.reverts("TradeResult: role not held"):
        check(market, place_of(market, trade), trade)


def test_all_roles_of_one_member_must_be_held(market: Market) -> None:
    """Platform a is no market agent, and signs only once, as buyer."""
    trade = market_trade(
        market, buyer_platform=member_id(market, "platform_a"), market_agent=member_id(market, "platform_a")
    )
    with boa.reverts("TradeResult: role not held"):
        check(market, place_of(market, trade), trade)
    with boa.env.prank(market.council):
        market.registry.set_roles(trade.market_agent, PLATFORM | MARKET_AGENT)
    now = MORNING + HOUR
    at_time(now)
    assert check(market, place_of(market, trade, committed_at=now), trade) == market.domain.digest(trade)
    # Judged as of the commitment: before that it held no such role.
    with boa.reverts("TradeResult: role not held"):
        check(market, place_of(market, trade, committed_at=MORNING - 1), trade)


def test_template_must_not_come_later(market: Market) -> None:
    trade = trade_of(market)
    registered_at = market.flows.shape(trade.template) >> 64 & (1 << 48) - 1
    with boa.reverts("TradeResult: unknown template"):
        check(market, place_of(market, trade, committed_at=registered_at - 1), trade)
    assert check(market, place_of(market, trade, committed_at=registered_at), trade)


def test_place_must_be_the_books(market: Market) -> None:
    trade = trade_of(market)
    place = place_of(market, trade)
    for wrong in (replace(place, number=8), replace(place, commitment=replace(place.commitment, committed_at=1))):
        with boa.reverts("TradeResult: other commitment"):
            check(market, wrong, trade)
    for wrong in (
        replace(place, index=3),
        replace(place, index=5),
        replace(place, path=()),
        replace(place, path=(b"\1" * 32,)),
    ):
        with boa.reverts("TradeResult: not committed"):
            check(market, wrong, trade)
    with boa.reverts("TradeResult: not committed"):
        check(market, place, trade_of(market, 1))


def test_record_must_fit_the_trade(market: Market) -> None:
    trade = trade_of(market)
    with boa.reverts("TradeResult: another cycle"):
        check(market, place_of(market, trade, cycle=CYCLE - 1), trade)
    with boa.reverts("TradeResult: slot too early"):
        check(market, place_of(market, trade, earliest_slot=SLOT + HOUR), trade)
    assert check(market, place_of(market, trade, earliest_slot=SLOT), trade)
    other = member_id(market, "platform_c")
    for platform in ("platform_a", "platform_b"):
        changes: dict[str, Any] = {platform: other}
        with boa.reverts("TradeResult: other platforms"):
            check(market, place_of(market, trade, **changes), trade)
    a = trade.buyer_platform
    with boa.reverts("TradeResult: other platforms"):
        check(market, place_of(market, trade, platform_a=a, platform_b=a), trade)
    b = trade.seller_platform
    with boa.reverts("TradeResult: other platforms"):
        check(market, place_of(market, trade, platform_a=b, platform_b=b), trade)


def test_signatures(market: Market) -> None:
    trade = trade_of(market)
    place = place_of(market, trade)
    right = market.sign_all(trade.signers, trade)
    with boa.reverts("TradeResult: signature missing"):
        check(market, place, trade, right[:-1])
    with boa.reverts("TradeResult: signature too many"):
        check(market, place, trade, [*right, right[0]])
    with boa.reverts("TradeResult: not signer's key"):
        check(market, place, trade, [right[1], right[0], *right[2:]])
    with boa.reverts("TradeResult: not signer's key"):
        check(market, place, trade, [market.sign("platform_a", trade_of(market, 1)), *right[1:]])
    v, r, s = right[0]
    order = 2 * typed_data.HALF_ORDER + 1
    high = (order - int.from_bytes(s, "big")).to_bytes(32, "big")
    for bad in ((55 - v, r, high), (0, r, s), (v, bytes(32), s), astuple(Signature(0, bytes(32), bytes(32)))):
        with boa.reverts("TradeResult: bad signature"):
            check(market, place, trade, [bad, *right[1:]])


def test_keys_are_judged_as_of_the_commitment(market: Market) -> None:
    trade = trade_of(market, valid_until=MORNING + 30 * DAY)
    place = place_of(market, trade)
    signatures = market.sign_all(trade.signers, trade)
    who = market.members["platform_a"]
    new = "0x" + "ab" * 20
    at_time(MORNING + HOUR)
    change = HotKeyChange(who.id, new, market.registry.cold_sequence(who.id))
    market.registry.change_hot_key(who.id, new, market.sign_cold("platform_a", change), b"")
    assert check(market, place, trade, signatures)
    # Within the grace the old key still counts for later commitments.
    grace = MORNING + HOUR + CONFIG.key_grace
    assert check(market, place_of(market, trade, committed_at=grace), trade, signatures)
    with boa.reverts("TradeResult: not signer's key"):
        check(market, place_of(market, trade, committed_at=grace + 1), trade, signatures)


# --- figures ---


@dataclass
class OneSide:
    """One side of a trade, and what the oracle is told of it."""

    market: Market
    trade: Trade
    side: int = 1

    @property
    def utility(self) -> bytes:
        return self.trade.seller_utility if self.side else self.trade.buyer_utility

    @property
    def digest(self) -> bytes:
        return self.market.domain.digest(self.trade)

    def leaf(self, **changes: Any) -> AllocationLeaf:
        """An honest leaf of this side, changed."""
        return leaf_of(self.market, self.trade, self.side, **changes)

    def post(self, *leaves: AllocationLeaf | str | None) -> list[ShownLeaf | None]:
        """By run: a leaf in a tree of three, a tree without it ("without"), or nothing posted (None)."""
        trees: list[bytes] = []
        found: list[ShownLeaf | None] = []
        for run, one in enumerate(leaves):
            fillers = [self.leaf(trade_digest=keccak256(bytes([run, number]))) for number in range(2)]
            if one is None:
                trees.append(ZERO_HASH)
                found.append(None)
                continue
            listed = fillers if isinstance(one, str) else [fillers[0], one, fillers[1]]
            tree = allocation_tree(listed)
            trees.append(preimages.posted_tree(tree.root, tree.count))
            found.append(None if isinstance(one, str) else shown(tree, 1, one, run))
        self.market.oracle.set_posted(self.utility, trees)
        return found

    def mark(self, void: int = 0, **marks: Any) -> None:
        """Marks of this side, and void runs of its group."""
        meter = self.trade.seller_meter if self.side else self.trade.buyer_meter
        group = preimages.group_key(self.utility, meter, self.trade.slot_start, self.side)
        self.market.oracle.set_void_runs(group, void)
        self.market.oracle.set_marks(self.digest, self.side, SideMarks(**marks).to_word())

    def figure(self, run: int, *leaves: ShownLeaf | None) -> tuple[Any, ...]:
        """What `figure` says."""
        listed = [astuple(one) for one in leaves if one]
        return tuple(self.market.result.figure(astuple(self.trade), self.side, run, listed))

    def claimed(self, run: int, *leaves: ShownLeaf | None) -> tuple[Any, ...]:
        """What `claimed_figure` says."""
        listed = [astuple(one) for one in leaves if one]
        return tuple(self.market.result.claimed_figure(astuple(self.trade), self.side, run, listed))


@pytest.fixture(params=[0, 1], ids=["buyer", "seller"])
def one(market: Market, request: pytest.FixtureRequest) -> OneSide:
    return OneSide(market, trade_of(market), request.param)


def test_figure_of_the_newest_leaf(one: OneSide) -> None:
    first, _, third = one.post(one.leaf(), None, one.leaf(meter_wh=900, allocated_wh=900))
    assert one.figure(0, first) == (True, 2_000, 1, 0)
    # A run in which nothing was posted passes by itself.
    assert one.figure(1, first) == (True, 2_000, 1, 0)
    assert one.figure(2, third) == (True, 900, 1, 2)
    with boa.reverts("TradeResult: newer leaf unpassed"):
        one.figure(2, first)
    with boa.reverts("TradeResult: leaf not needed"):
        one.figure(2, third, first)
    with boa.reverts("TradeResult: leaf of another run"):
        one.post(None)
        one.figure(0, first)


def test_no_figure(one: OneSide) -> None:
    one.post(None, None)
    assert one.figure(0) == NONE
    missing, _ = one.post(one.leaf(status=2, meter_wh=0, allocated_wh=0), None)
    assert one.figure(1, missing) == NONE
    # A tree that lacks the leaf does not pass.
    one.post("without", None)
    with boa.reverts("TradeResult: newer leaf unpassed"):
        one.figure(1)


@pytest.mark.parametrize(
    "mark",
    [{"void": 0b10}, {"unanswered": 0b10}, {"twice": 0b10}, {"contested": 0b10}],
    ids=["void", "unanswered", "twice", "contested"],
)
def test_mark_lets_a_run_pass(one: OneSide, mark: dict[str, int]) -> None:
    first, second = one.post(one.leaf(), one.leaf(meter_wh=900, allocated_wh=900))
    one.mark(**mark)
    assert one.figure(1, first) == (True, 2_000, 1, 0)
    # Showing the leaf that does not count changes nothing.
    assert one.figure(1, second, first) == (True, 2_000, 1, 0)
    assert one.figure(0, first) == (True, 2_000, 1, 0)
    one.mark(**dict.fromkeys(mark, 3))
    assert one.figure(1) == NONE


def test_contest_ends_with_the_next_run(one: OneSide) -> None:
    first, _ = one.post(one.leaf(), None)
    one.mark(contested=0b01)
    assert one.figure(0) == NONE
    with boa.reverts("TradeResult: newer leaf unpassed"):
        one.figure(1)
    # In run 1 nobody contested: the leaf stands.
    assert one.figure(1, first) == (True, 2_000, 1, 0)
    # Contested by lack in run 1 too: it does not.
    one.mark(contested=0b11)
    assert one.figure(1) == NONE


@pytest.mark.parametrize(
    "wrong",
    [
        {"allocated_wh": 1_999},
        {"status": 3},
        {"status": 2},
        {"status": 2, "meter_wh": 0, "allocated_wh": 0},
        {"contracted_before": 1},
        {"meter": b"\1" * 32},
        {"slot_start": SLOT + HOUR},
        {"contracted_wh": 1_000, "allocated_wh": 1_000},
        {"salt": b"\1" * 32},
    ],
)
def test_own_unusable_leaf_lets_a_run_pass(one: OneSide, wrong: dict[str, Any]) -> None:
    first, second = one.post(one.leaf(), one.leaf(**wrong))
    assert one.figure(1, second, first) == (True, 2_000, 1, 0)
    with boa.reverts("TradeResult: newer leaf unpassed"):
        one.figure(1, first)
    with boa.reverts("TradeResult: leaf does not count"):
        one.claimed(1, second)


def test_recorded_figure(one: OneSide) -> None:
    first, second = one.post(one.leaf(), one.leaf())
    one.mark(void=3, recorded=777, recorded_run=1)
    assert one.figure(1) == (True, 777, 2, 1)
    assert one.claimed(1) == (True, 777, 2, 1)
    # Not before the run before whose seal it was recorded.
    assert one.figure(0) == NONE
    one.mark(recorded=0, recorded_run=0)
    assert one.figure(0, first) == (True, 0, 2, 0)
    assert one.claimed(1, second) == (True, 0, 2, 0)


def test_shown_leaf_must_be_the_trades_own_and_posted(one: OneSide, market: Market) -> None:
    (first,) = one.post(one.leaf())
    assert first is not None
    for wrong in (
        replace(first, root=b"\1" * 32),
        replace(first, count=4),
    ):
        with boa.reverts("TradeResult: not the posted tree"):
            one.figure(0, wrong)
    for wrong in (
        replace(first, index=0),
        replace(first, path=first.path[:-1]),
        replace(first, leaf=replace(first.leaf, allocated_wh=1_999)),
    ):
        with boa.reverts("TradeResult: leaf not in tree"):
            one.figure(0, wrong)
    (other,) = one.post(one.leaf(trade_digest=market.domain.digest(trade_of(market, 1))))
    with boa.reverts("TradeResult: other trade's leaf"):
        one.figure(0, other)
    (turned,) = one.post(replace(one.leaf(), side=1 - one.side))
    with boa.reverts("TradeResult: other trade's leaf"):
        one.figure(0, turned)


def test_arguments_of_figures(one: OneSide, market: Market) -> None:
    one.post(*[None] * 4)
    assert one.figure(LAST) == NONE
    with boa.reverts("TradeResult: no such run"):
        one.figure(LAST + 1)
    one.post(None, None)
    with boa.reverts("TradeResult: no such run"):
        one.figure(2)
    with boa.reverts("TradeResult: no such side"):
        replace(one, side=2).figure(0)
    with boa.reverts("TradeResult: before the calendar"):
        replace(one, trade=trade_of(market, slot_start=CONFIG.anchor - 1)).figure(0)
    market.oracle.set_version(0)
    with boa.reverts("TradeResult: no such run"):
        one.figure(0)


def test_claimed_figure(one: OneSide) -> None:
    first, second = one.post(one.leaf(), one.leaf(meter_wh=900, allocated_wh=900))
    # Newer leaves are for others to show.
    assert one.claimed(1, first) == (True, 2_000, 1, 0)
    assert one.claimed(1, second) == (True, 900, 1, 1)
    with boa.reverts("TradeResult: leaf of another run"):
        one.claimed(0, second)
    with boa.reverts("TradeResult: no figure shown"):
        one.claimed(1)
    one.mark(twice=0b10)
    with boa.reverts("TradeResult: leaf does not count"):
        one.claimed(1, second)
    one.mark(contested=0b11)
    with boa.reverts("TradeResult: leaf does not count"):
        one.claimed(1, first)


def test_claim_of_no_figure_in_the_last_run(one: OneSide) -> None:
    first, *_ = one.post(one.leaf(), None, None, None)
    assert one.claimed(LAST) == NONE
    assert one.claimed(LAST, first) == (True, 2_000, 1, 0)
    with boa.reverts("TradeResult: no figure shown"):
        one.claimed(LAST - 1)


# --- results ---


def result_of(market: Market, trade: Trade, run: int, buyer: Sequence[Any], seller: Sequence[Any]) -> Any:
    """What `result_of` says."""
    lists = [[astuple(one) for one in side if one] for side in (buyer, seller)]
    return market.result.result_of(astuple(trade), run, *lists)


def test_result(market: Market) -> None:
    trade = trade_of(market)
    buyer = OneSide(market, trade, 0).post(OneSide(market, trade, 0).leaf(meter_wh=1_500, allocated_wh=1_500))
    seller = OneSide(market, trade, 1).post(OneSide(market, trade, 1).leaf(meter_wh=1_700, allocated_wh=1_700))
    settles, settled_wh, listed = result_of(market, trade, 0, buyer, seller)
    assert (settles, settled_wh) == (True, 1_500)
    assert [tuple(flow) for flow in listed] == [
        (trade.buyer_platform, trade.seller_platform, 7_500_000),
        (trade.buyer_platform, trade.grid_operator, 600_000),
    ]


def test_trade_that_no_place_holds_settles_at_nothing(market: Market) -> None:
    """Without figures: nobody allocates to it."""
    for changes in (
        {"slot_start": SLOT + 1, "slot_end": SLOT + 1 + HOUR},
        {"template": b"\1" * 32},
        {"grid_operator": ZERO_HASH},
        {"rates": (1, RATE_BOUND)},
        {"contracted_wh": WH_BOUND},
    ):
        assert tuple(result_of(market, trade_of(market, **changes), 0, [], [])) == UNSETTLED


def test_curtailed_to_nothing(market: Market) -> None:
    trade = trade_of(market)
    market.book.set_curtailed(market.domain.digest(trade), 0)
    assert tuple(result_of(market, trade, 0, [], [])) == UNSETTLED
    place = place_of(market, trade)
    with boa.reverts("TradeResult: settles at nothing"):
        claim_of(market, place, trade, 0)


def claim_of(market: Market, place: Place, trade: Trade, run: int, buyer: Any = (), seller: Any = ()) -> Any:
    """What `claim_of` says."""
    lists = [[astuple(one) for one in side if one] for side in (buyer, seller)]
    signatures = market.sign_all(trade.signers, trade)
    return market.result.claim_of(astuple(place), astuple(trade), signatures, run, *lists)


def test_waiting_and_the_last_run(market: Market) -> None:
    """A missing seller sold nothing, a missing buyer took what was sold, in every quantity."""
    trade = trade_of(
        market, template=DEVIATION.template_id, rates=(5_000_000, 1_000_000, 2_000_000), grid_operator=ZERO_HASH
    )
    buyer, seller = OneSide(market, trade, 0), OneSide(market, trade, 1)
    place = place_of(market, trade)
    nothing = [None] * 4
    for buyer_wh, seller_wh, expected in (
        (1_500, None, (0, [10_000_000, 500_000, 4_000_000])),
        (None, 1_200, (1_200, [10_000_000, 800_000, 1_600_000])),
        (1_500, 1_200, (1_200, [10_000_000, 500_000, 1_600_000])),
    ):
        leaves = []
        for side, wh in ((buyer, buyer_wh), (seller, seller_wh)):
            given = nothing if wh is None else [side.leaf(meter_wh=wh, allocated_wh=wh), None, None, None]
            leaves.append(side.post(*given))
        settles, settled_wh, listed = result_of(market, trade, LAST, *leaves)
        assert (settles, settled_wh, [flow.amount for flow in listed]) == (True, *expected)
        claim = claim_of(market, place, trade, LAST, *leaves)
        assert (claim.settled_wh, [flow.amount for flow in claim.flows]) == expected
        assert (claim.buyer_origin, claim.seller_origin) == (int(buyer_wh is not None), int(seller_wh is not None))
        if None in (buyer_wh, seller_wh):
            assert tuple(result_of(market, trade, LAST - 1, *leaves)) == UNSETTLED
    for side in (buyer, seller):
        side.post(*nothing)
    assert tuple(result_of(market, trade, LAST, [], [])) == UNSETTLED
    with boa.reverts("TradeResult: settles at nothing"):
        claim_of(market, place, trade, LAST)


# --- against settlement ---

SIZES = (1, 2, 3, 1_000, 2**16, 2**16 + 1, 2**32 - 1, WH_BOUND - 1)
RATES = (0, 1, 999, 1_000, 5_250_000, 2**32, RATE_BOUND - 1)


@dataclass
class Case:
    """A random trade with random leaves and marks on one side."""

    leaves: list[ShownLeaf | None]
    posted: list[bytes]
    marks: SideMarks
    void: int


def random_leaf(rng: random.Random, one: OneSide, contracted: int, rule: int) -> AllocationLeaf:
    """An honest leaf of a shared meter, or one with a fault."""
    before = rng.choice((0, 0, rng.randrange(contracted + 1)))
    total = before + contracted + rng.choice((0, rng.randrange(contracted + 1)))
    read = rng.choice((0, rng.randrange(total + 1), total, total + 1))
    leaf = one.leaf(
        contracted_wh=contracted,
        contracted_before=before,
        contracted_total_wh=total,
        meter_wh=read,
        allocated_wh=share_rule(rule)(read, contracted, before, total),
        status=rng.choice((0, 1)),
    )
    wrong: dict[str, Any] = rng.choice(
        (
            {"allocated_wh": leaf.allocated_wh + 1},
            {"status": rng.choice((2, 3, 255))},
            {"status": 2, "meter_wh": 0, "allocated_wh": 0},
            {"contracted_total_wh": before + contracted - 1},
            {"meter": b"\1" * 32},
            {"slot_start": leaf.slot_start + 1},
            {"contracted_wh": contracted + 1},
            {"salt": b"\2" * 32},
        )
    )
    return replace(leaf, **wrong) if rng.random() < 0.3 else leaf


def random_case(rng: random.Random, one: OneSide, contracted: int, rule: int) -> Case:
    """What was posted in all runs, and marks."""
    given: list[AllocationLeaf | str | None] = []
    for _ in range(LAST + 1):
        kind = rng.random()
        given.append(random_leaf(rng, one, contracted, rule) if kind < 0.6 else None if kind < 0.9 else "without")
    leaves = one.post(*given)

    def mask() -> int:
        return rng.choice((0, 0, 0, rng.randrange(16)))

    recorded = rng.randrange(contracted + 1) if rng.random() < 0.15 else None
    run = 0 if recorded is None else rng.randrange(LAST + 1)
    marks = SideMarks(mask(), mask(), mask(), recorded, run)
    void = mask()
    one.mark(void, **{name: getattr(marks, name) for name in SideMarks.__slots__})
    posted = [b"" if entry is None else b"\1" for entry in given]
    return Case(leaves, posted, marks, void)


def proof_of(case: Case, run: int, usable: Callable[[ShownLeaf], bool]) -> list[ShownLeaf] | None:
    """What shows the figure, or None where it cannot be shown."""
    if case.marks.recorded is not None and case.marks.recorded_run <= run:
        return []
    listed = []
    for leaf_run in range(run, -1, -1):
        leaf = case.leaves[leaf_run]
        if not case.posted[leaf_run] or not figures.counts(leaf_run, run, case.void, case.marks, LAST):
            continue
        if leaf is None:
            return None
        listed.append(leaf)
        if usable(leaf):
            break
    return listed


@pytest.mark.parametrize("rule", [0, FIFO], ids=["pro-rata", "fifo"])
def test_against_settlement(rule: int) -> None:
    """600 random trades a rule: figures of both sides, settled Wh and every amount, as `settlement` gives them."""
    market = deploy_results(allocation_rule=rule)
    rng = random.Random(20_261_121 + rule)
    terms = Terms(CYCLE, rule, LAST)
    outcomes: dict[str, int] = {}
    for number in range(600):
        template = rng.choice(SHIPPED)
        contracted = rng.choice((*SIZES, rng.randrange(1, WH_BOUND)))
        trade = trade_of(
            market,
            number,
            template=template.template_id,
            rates=tuple(rng.choice(RATES) for _ in template.rate_names),
            contracted_wh=contracted,
            grid_operator=member_id(market, "utility_b") if 3 in template.roles else ZERO_HASH,
            market_agent=member_id(market, "platform_c") if 6 in template.roles else ZERO_HASH,
        )
        digest = market.domain.digest(trade)
        if rng.random() < 0.2:
            contracted = rng.choice((0, rng.randrange(contracted + 1)))
            market.book.set_curtailed(digest, contracted)
        placed = PlacedTrade(digest, trade, 1, 0, contracted)
        run = rng.randrange(LAST + 1)
        expected: list[Figure | None] = []
        proofs: list[list[ShownLeaf] | None] = []
        for side in Side:
            one = OneSide(market, trade, side)
            case = random_case(rng, one, max(contracted, 1), rule)
            seen = [SeenLeaf(leaf.run, one.utility, leaf.leaf) for leaf in case.leaves if leaf]

            def usable(leaf: ShownLeaf, placed: PlacedTrade = placed, utility: bytes = one.utility) -> bool:
                return faults.is_usable(leaf.leaf, utility, placed, CYCLE, rule)

            figure = figures.figure_of(placed, side, run, seen, case.marks, case.void, terms)
            proof = proof_of(case, run, usable)
            expected.append(figure)
            proofs.append(proof)
            if proof is None:
                outcomes["not shown"] = outcomes.get("not shown", 0) + 1
                with boa.reverts("TradeResult: newer leaf unpassed"):
                    one.figure(run)
            else:
                origin = Origin.NONE if figure is None else figure.origin
                given = (True, figure.wh, origin, figure.run) if figure else NONE
                assert one.figure(run, *proof) == given
        if None in proofs and contracted:
            continue
        settled = figures.settle(contracted, run, expected[0], expected[1], terms)
        outcomes[settled.outcome.value] = outcomes.get(settled.outcome.value, 0) + 1
        result = result_of(market, trade, run, proofs[0] or [], proofs[1] or [])
        if settled.quantities is None:
            assert tuple(result) == UNSETTLED
        else:
            listed = flows.member_flows(trade, SHIPPED_BY_ID[trade.template], settled.quantities)
            assert tuple(result[:2]) == (True, settled.quantities.settled)
            assert [tuple(flow) for flow in result[2]] == [astuple(flow) for flow in listed]
    assert all(outcomes.get(one, 0) > 20 for one in ("settles", "waits", "nothing", "not shown")), outcomes
