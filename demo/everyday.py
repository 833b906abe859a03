"""What every delivery day has: orders come in, meters are read, blocks pass. All else the members' programs do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, sleep
from typing import Final

from demo import calendar
from demo.conductor import Conductor
from demo.homes import Home
from demo.market import PlannedTrade
from demo.members import Member, Members
from demo.orders import Line, order_line, parties, utility_of, write_orders
from demo.processes import Children, NotIdle
from demo.readings import write_readings
from demo.setting import Setting
from demo.world import World
from settlement.config import HOUR
from trading.orders import Lane

MINUTE: Final = 60
NOON: Final = 12 * HOUR
PATIENCE_SECONDS: Final = 60
PAUSE_SECONDS: Final = 0.1

# When in a day somebody may have something to do. A batch is proposed three hours before its last call, so until noon
# no gap is longer. Deadlines end and runs are sealed at noon; what members do in turns or after a wait, they do in the
# afternoon.
TICKS: Final = tuple(
    (hour * HOUR + minute * MINUTE, 1)
    for hour, minute in (
        (0, 30),
        (3, 30),
        (6, 30),
        (9, 30),
        (11, 30),
        (12, 10),
        (13, 30),
        (15, 30),
        (17, 30),
        (19, 30),
        (23, 30),
    )
)
QUIET_TICKS: Final = ((NOON + 10 * MINUTE, 6), (23 * HOUR + 30 * MINUTE, 6))
BUSY_DAYS: Final = 4
"""So many days after the last one trades are settled; what comes later are later runs, debts and payments."""

ORDERS_BEFORE: Final = 3 * HOUR
RUN_0_SEALED: Final = 36 * HOUR + 10 * MINUTE


@dataclass
class Market:
    """A market whose programs run, and the homes that trade in it. `data` is where everything lies."""

    world: World
    members: Members
    homes: Sequence[Home]
    setting: Setting
    children: Children
    conductor: Conductor = field(init=False)

    def __post_init__(self) -> None:
        self.conductor = Conductor(self.world.mine, self.settle)

    @property
    def url(self) -> str:
        """Where the chain answers."""
        return self.world.url

    def member(self, name: str) -> Member:
        """A member that runs a program."""
        return next(one for one in self.members.programs if one.name == name)

    def resume(self, names: Collection[str]) -> None:
        """Lets programs go on."""
        for name in names:
            self.children[name].resume()

    def settle(self) -> None:
        """Waits until nobody has anything left to do, and nobody counts a program as silent that runs.

        Whoever gave no answer is asked again some seconds of wall clock later; the market's time must not run on then.
        """
        self.children.await_idle(lambda: self.world.head)
        running = {one.subscriber for one in self.members.programs if self.children[one.name].is_running}
        while self.children.await_heard(running):
            self.children.await_idle(lambda: self.world.head)


@dataclass
class Everyday:
    """The delivery days of a market. `plans` are the matches of each day."""

    market: Market
    plans: Mapping[int, Sequence[PlannedTrade]]

    def fund(self) -> None:
        """Each platform deposits what its locks of all days may come to, in whole thousands of rupees."""
        market, thousand = self.market, 1_000 * 10**calendar.CONFIG.money_decimals
        for platform in market.members.platforms:
            need = 0
            for plan in (plan for plans in self.plans.values() for plan in plans):
                buyer, seller = parties(market.members, market.homes, plan)
                if buyer is platform and seller is not platform:
                    percent = market.setting.lock_percent.get(frozenset({buyer.name, seller.name}), 0)
                    need += plan.wh * plan.price // 1000 * percent // 100
            market.world.fund(platform, -(-need // thousand) * thousand)

    def put(self, days_after: int) -> None:
        """Puts all days into the schedule, and ticks until so many days after the last."""
        conductor = self.market.conductor
        for day in range(min(self.plans), max(self.plans) + days_after + 1):
            ticks = TICKS if day <= max(self.plans) + BUSY_DAYS else QUIET_TICKS
            for after, blocks in ticks:
                conductor.tick(calendar.day_start(day) + after, blocks)
        for day in self.plans:
            start, end = calendar.day_start(day), calendar.day_end(day)
            self.at(day, start - ORDERS_BEFORE, "orders come in", partial(self.order, day))
            committed = start - HOUR // 2
            self.at(day, committed, "batches are committed", partial(self.until_nobody_waits, day, committed))
            self.at(day, end + HOUR, "meters are read", partial(self.read, day, 0))

    def at(self, day: int, time: int, label: str, action: Callable[[], None]) -> None:
        """Puts something into the schedule that is about a day."""
        self.market.conductor.at(time, f"day {day}: {label}", action)

    def order(self, day: int) -> None:
        """Both platforms of a match export it."""
        market = self.market
        lines: dict[tuple[str, Lane], list[Line]] = {}
        for number, plan in enumerate(self.plans[day]):
            buyer, seller = parties(market.members, market.homes, plan)
            lane = self.lane(day, buyer, seller)
            for platform in {buyer.name, seller.name}:
                line = order_line(market.members, market.homes, plan, number)
                lines.setdefault((platform, lane), []).append(line)
        for (name, lane), several in lines.items():
            folder = market.member(name).folder / "inbox" / "orders" / lane.value
            write_orders(folder / f"day-{day}.csv", several)
        self.until_nobody_waits(day, calendar.day_start(day) - ORDERS_BEFORE)

    def until_nobody_waits(self, day: int, time: int) -> None:
        """Moves on block by block, all at a time, until nobody waits for anybody about a day's trades.

        Whoever asks for something before the other one can give it asks again with the next block, or some seconds of
        wall clock later; the gate does not wait for that, and hours pass in a blink here. Raises NotIdle.
        """
        deadline = monotonic() + PATIENCE_SECONDS
        while True:
            self.market.conductor.move(time)
            waiting = self.market.children.waiting(calendar.cycle(day))
            if not waiting:
                return
            if monotonic() > deadline:
                raise NotIdle(f"day {day}: after {PATIENCE_SECONDS} s still {'; '.join(sorted(waiting)[:5])}")
            sleep(PAUSE_SECONDS)

    def lane(self, day: int, buyer: Member, seller: Member) -> Lane:
        """How the trades between two platforms are put on the chain."""
        return Lane.BATCHED

    def read(self, day: int, run: int, missing: Collection[tuple[int, int]] = ()) -> None:
        """The serving utilities' meters are read; `missing` are (home index, hour) that give no figure yet."""
        market = self.market
        for utility in market.members.serving:
            mine = [home for home in market.homes if utility_of(market.members, home) is utility]
            file = f"{calendar.delivery_date(day)}-run-{run}.csv"
            write_readings(utility.folder / "inbox" / "readings" / file, mine, day, missing=missing)
