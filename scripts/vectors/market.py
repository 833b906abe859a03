"""Cycles for vectors: two platforms, two utilities, a market agent, few meters, whatever may be doubted doubted."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from settlement.config import FIFO, PRO_RATA, Config
from settlement.cycle import CycleInputs, Group, SlotReading
from settlement.faults import Status
from settlement.figures import Marks, SideMarks
from settlement.formula import templates
from settlement.formula.templates import Role, Template
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.identity import market_id, member_id
from settlement.placed import PlacedTrade, Side
from settlement.preimages import group_key, side_key
from settlement.trade import Trade
from settlement.typed_data import Domain

CONFIG = Config()
CYCLE = 20_440
CYCLE_START = CONFIG.anchor + CYCLE * CONFIG.cycle_length
DOMAIN = Domain(31_337, "0x" + "22" * 20, market_id(keccak256(b"genesis block"), "conformance"))

PLATFORMS = (member_id("platform-a.example"), member_id("platform-b.example"))
UTILITIES = (member_id("utility-a.example"), member_id("utility-b.example"))
MARKET_AGENT = member_id("market-agent.example")


def draw_bytes(random: Random, size: int = 32) -> bytes:
    """Random bytes of a seeded source."""
    return random.getrandbits(8 * size).to_bytes(size, "big")


def draw_trade(random: Random, template: Template, largest_wh: int = 40, largest_rate: int = 9_999_999) -> Trade:
    """A trade of this template in one of two slots, between any of the platforms and utilities."""
    slot = CYCLE_START + random.randrange(2) * CONFIG.slot_length
    buyer_utility = random.choice(UTILITIES)
    return Trade(
        trade_id=draw_bytes(random),
        template=template.template_id,
        buyer_platform=random.choice(PLATFORMS),
        seller_platform=random.choice(PLATFORMS),
        buyer_utility=buyer_utility,
        seller_utility=random.choice(UTILITIES),
        grid_operator=buyer_utility if Role.GRID_OPERATOR in template.roles else ZERO_HASH,
        market_agent=MARKET_AGENT if Role.MARKET_AGENT in template.roles else ZERO_HASH,
        buyer_meter=keccak256(b"meter", bytes([random.randrange(2)])),
        seller_meter=keccak256(b"meter", bytes([random.randrange(1, 3)])),
        slot_start=slot,
        slot_end=slot + CONFIG.slot_length,
        contracted_wh=random.randint(0, largest_wh),
        traded_at=slot - 30_000,
        valid_until=slot - 20_000,
        rates=tuple(random.randint(0, largest_rate) for _ in template.rate_names),
        order_hash=draw_bytes(random),
        salt=draw_bytes(random),
    )


def draw_cycle(random: Random, trade_count: int, run: int, last_run: int = 3) -> CycleInputs:
    """A cycle up to `run`: about one in four sides marked, groups void, one in three trades curtailed."""
    trades = []
    for place in range(trade_count):
        one = draw_trade(random, random.choice(templates.SHIPPED))
        left = random.randint(0, one.contracted_wh) if random.randrange(3) == 0 else one.contracted_wh
        trades.append(PlacedTrade(DOMAIN.digest(one), one, place // 3 + 1, place % 3, left))
    groups = sorted(
        {(one.utility(side), (one.meter(side), one.trade.slot_start, side)) for one in trades for side in Side}
    )
    readings: dict[int, dict[Hash32, dict[Group, SlotReading]]] = {}
    for posted in range(run + 1):
        for utility, group in groups:
            if random.randrange(3):
                reading = SlotReading(random.randint(0, 60), random.choice((Status.READ, Status.ESTIMATED)))
                readings.setdefault(posted, {}).setdefault(utility, {})[group] = reading
    sides = {}
    for placed in trades:
        for side in Side:
            if random.randrange(4) == 0:
                sides[side_key(placed.digest, side)] = draw_marks(random, run, placed.contracted_wh)
    void = {
        group_key(utility, *group): random.getrandbits(run + 1) for utility, group in groups if random.randrange(4) == 0
    }
    config = replace(
        CONFIG, allocation_rule=random.choice((PRO_RATA, FIFO)), run_deadlines=CONFIG.run_deadlines[: last_run + 1]
    )
    return CycleInputs(CYCLE, run, config, templates.SHIPPED_BY_ID, tuple(trades), readings, Marks(void, sides))


def draw_marks(random: Random, run: int, contracted_wh: int) -> SideMarks:
    """Any marks of one side in the runs up to `run`."""
    runs = run + 1
    marks = SideMarks(random.getrandbits(runs), random.getrandbits(runs), random.getrandbits(runs))
    if random.randrange(3) == 0:
        marks = replace(marks, recorded=random.randint(0, contracted_wh), recorded_run=random.randint(0, run))
    return marks
