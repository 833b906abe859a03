"""What every delivery day has: orders come in, meters are read, blocks pass. All else the members' programs do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from demo import calendar
from demo.conductor import Conductor
from demo.homes import Home
from demo.market import PlannedTrade
from demo.members import Member, Members
from demo.orders import Line, order_line, parties, utility_of, write_orders
from demo.processes import Children
from demo.readings import write_readings
from demo.setting import Setting
from demo.world import World
from settlement.config import DAY, HOUR
from trading.orders import Lane

MINUTE: Final = 60
BLOCKS_EVERY: Final = 2 * HOUR
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
    conductor: Conductor

    @property
    def url(self) -> str:
        """Where the chain answers."""
        return self.world.url

    def member(self, name: str) -> Member:
        """A member that runs a program."""
        return next(one for one in self.members.programs if one.name == name)

    def resume(self, names: Collection[str]) -> None:
        """Lets programs go on, and waits until nobody counts them as silent: before that, time must not run on."""
        for name in names:
            self.children[name].resume()
        self.await_heard(names)

    def await_heard(self, names: Iterable[str]) -> None:
        """Waits until nobody waits for an answer of members that are there again."""
        self.children.await_heard({self.member(name).subscriber for name in names})


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
        """Puts all days into the schedule, and blocks until so many days after the last."""
        first, last = min(self.plans), max(self.plans)
        begin, end = calendar.day_start(first) - ORDERS_BEFORE, calendar.day_end(last) + days_after * DAY
        for time in range(begin, end, BLOCKS_EVERY):
            self.market.conductor.tick(time + BLOCKS_EVERY // 4)
        for day in self.plans:
            self.at(day, calendar.day_start(day) - ORDERS_BEFORE, "orders come in", partial(self.order, day))
            self.at(day, calendar.day_end(day) + HOUR, "meters are read", partial(self.read, day, 0))
            self.market.conductor.tick(calendar.day_end(day) + RUN_0_SEALED)

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
