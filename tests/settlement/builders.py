"""A small market for tests: members by role, trades with defaults, whole cycles drawn at random."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from settlement import units
from settlement.config import FIFO, PRO_RATA, Config
from settlement.cycle import CycleInputs, Group, SlotReading
from settlement.faults import Status
from settlement.figures import Marks, SideMarks, Terms
from settlement.formula import templates
from settlement.formula.templates import Role, Template
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.identity import market_id, member_id
from settlement.placed import PlacedTrade, Side
from settlement.preimages import group_key, side_key
from settlement.trade import Trade
from settlement.typed_data import Domain

CONFIG = Config()
DOMAIN = Domain(31_337, "0x" + "11" * 20, market_id(keccak256(b"genesis"), "test market"))
CYCLE = 20_000
CYCLE_START = CONFIG.anchor + CYCLE * CONFIG.cycle_length
TERMS = Terms.of(CYCLE, CONFIG)

PLATFORM_A, PLATFORM_B = member_id("platform-a.example"), member_id("platform-b.example")
UTILITY_A, UTILITY_B = member_id("utility-a.example"), member_id("utility-b.example")
MARKET_AGENT = member_id("market-agent.example")


def meter(name: str) -> Hash32:
    """A meter's pseudonym."""
    return keccak256(b"meter", name.encode())


def trade(kwh: str = "10", template: Template = templates.DEFAULT, **changes: Any) -> Trade:
    """A trade from platform A's buyer at utility A to platform B's seller at utility B, with fields changed."""
    base = Trade(
        trade_id=keccak256(b"trade"),
        template=template.template_id,
        buyer_platform=PLATFORM_A,
        seller_platform=PLATFORM_B,
        buyer_utility=UTILITY_A,
        seller_utility=UTILITY_B,
        grid_operator=UTILITY_A if Role.GRID_OPERATOR in template.roles else ZERO_HASH,
        market_agent=MARKET_AGENT if Role.MARKET_AGENT in template.roles else ZERO_HASH,
        buyer_meter=meter("buyer"),
        seller_meter=meter("seller"),
        slot_start=CYCLE_START,
        slot_end=CYCLE_START + CONFIG.slot_length,
        contracted_wh=units.traded_wh(kwh),
        traded_at=CYCLE_START - 9 * 3_600,
        valid_until=CYCLE_START - 5 * 3_600,
        rates=tuple(units.rate_per_kwh(6 if n == 0 else 1) for n, _ in enumerate(template.rate_names)),
        order_hash=keccak256(b"order"),
        salt=keccak256(b"salt"),
    )
    return replace(base, **changes)


def placed(of: Trade, number: int = 1, index: int = 0, contracted_wh: int | None = None) -> PlacedTrade:
    """The trade at a place, by default not curtailed."""
    return PlacedTrade(
        DOMAIN.digest(of), of, number, index, of.contracted_wh if contracted_wh is None else contracted_wh
    )


def group(of: PlacedTrade, side: Side) -> Group:
    """The group of a trade's side within its utility."""
    return of.meter(side), of.trade.slot_start, side


def side_marks(of: PlacedTrade, side: Side, **marks: int) -> dict[Hash32, SideMarks]:
    """Marks of one side by side key."""
    return {side_key(of.digest, side): SideMarks(**marks)}


def void(of: PlacedTrade, side: Side, *runs: int) -> dict[Hash32, int]:
    """A group void in these runs, by group key."""
    key = group_key(of.utility(side), of.meter(side), of.trade.slot_start, side)
    return {key: sum(1 << run for run in runs)}


@st.composite
def cycles(draw: st.DrawFn, last_run: int = 3) -> CycleInputs:
    """Cycles of up to nine trades between two platforms over few meters, with readings, curtailments and marks."""
    rule = draw(st.sampled_from([PRO_RATA, FIFO]))
    run = draw(st.integers(0, last_run))
    small = st.integers(0, 40)
    trades = []
    for number in range(draw(st.integers(0, 9))):
        template = draw(st.sampled_from(templates.SHIPPED))
        platforms = draw(
            st.sampled_from([(PLATFORM_A, PLATFORM_B), (PLATFORM_B, PLATFORM_A), (PLATFORM_A, PLATFORM_A)])
        )
        utilities = draw(st.sampled_from([(UTILITY_A, UTILITY_B), (UTILITY_A, UTILITY_A)]))
        slot = CYCLE_START + draw(st.integers(0, 1)) * CONFIG.slot_length
        one = trade(
            template=template,
            buyer_platform=platforms[0],
            seller_platform=platforms[1],
            buyer_utility=utilities[0],
            seller_utility=utilities[1],
            buyer_meter=meter(draw(st.sampled_from("xy"))),
            seller_meter=meter(draw(st.sampled_from("yz"))),
            slot_start=slot,
            slot_end=slot + CONFIG.slot_length,
            contracted_wh=draw(small),
            rates=tuple(draw(st.lists(st.integers(0, 9_999), min_size=(n := len(template.rate_names)), max_size=n))),
            salt=keccak256(b"salt", bytes([number])),
        )
        left = draw(st.integers(0, one.contracted_wh))
        trades.append(placed(one, number // 3 + 1, number % 3, draw(st.sampled_from([one.contracted_wh, left]))))

    groups = sorted({(one.utility(side), group(one, side)) for one in trades for side in Side})
    readings: dict[int, dict[Hash32, dict[Group, SlotReading]]] = {}
    for posted in range(run + 1):
        for utility, key in groups:
            if draw(st.booleans()):
                reading = draw(st.builds(SlotReading, small, st.sampled_from([Status.READ, Status.ESTIMATED])))
                readings.setdefault(posted, {}).setdefault(utility, {})[key] = reading

    mask = st.integers(0, (1 << run + 1) - 1)
    sides: dict[Hash32, SideMarks] = {}
    for known in trades:
        for side in Side:
            if draw(st.integers(0, 3)) == 0:
                recorded = draw(st.none() | st.integers(0, known.contracted_wh))
                marks = SideMarks(draw(mask), draw(mask), draw(mask), recorded, draw(st.integers(0, run)))
                sides[side_key(known.digest, side)] = marks
    voids = {group_key(utility, *key): draw(mask) for utility, key in groups if draw(st.integers(0, 3)) == 0}
    config = replace(CONFIG, allocation_rule=rule, run_deadlines=CONFIG.run_deadlines[: last_run + 1])
    return CycleInputs(CYCLE, run, config, templates.SHIPPED_BY_ID, tuple(trades), readings, Marks(voids, sides))
