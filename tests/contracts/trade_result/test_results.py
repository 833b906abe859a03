"""TradeResult: what a trade results in; against `settlement`, case by case."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

import boa
import pytest

from settlement import faults, figures, flows
from settlement.allocation import share_rule
from settlement.config import FIFO
from settlement.figures import Figure, Origin, SeenLeaf, SideMarks, Terms
from settlement.formula.templates import DEVIATION, SHIPPED, SHIPPED_BY_ID
from settlement.hashing import ZERO_HASH
from settlement.placed import PlacedTrade, Side
from settlement.trade import AllocationLeaf, Place, ShownLeaf, Trade
from settlement.units import RATE_BOUND, WH_BOUND
from tests.contracts.market import Market
from tests.contracts.trade_result.case import LAST, NONE, OneSide, deploy_results, place_of
from tests.contracts.trading import CYCLE, HOUR, SLOT, member_id, trade_of

UNSETTLED: tuple[bool, int, list[Any]] = (False, 0, [])


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
