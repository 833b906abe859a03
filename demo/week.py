"""The week: what the demo does in seven days beyond letting the market's programs work, and when.

It is the homes (orders, readings), the operators who put files into inboxes and stop or start a program, the
adversaries, and everybody's treasury. All that follows from it the programs do by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from demo import calendar, stories
from demo.curtailments import write_curtailment
from demo.everyday import MINUTE, RUN_0_SEALED, Everyday
from demo.false_row import attest_falsely, longest_row, rows_known
from demo.members import Member
from demo.orders import utility_of
from demo.stories import StoryDoesNotFit
from demo.treasury import Treasury
from settlement.config import DAY, HOUR
from store.database import Database
from store.desk import DeskStore
from trading.orders import Lane

STEP: Final = 10 * MINUTE
MOST_STEPS: Final = 12
BEFORE_SEAL: Final = 35 * HOUR + 40 * MINUTE
RUN_1_READINGS: Final = 13 * DAY
DAYS_AFTER: Final = 18


@dataclass
class Week(Everyday):
    """All days, and what happens in each beyond what happens in every one."""

    treasury: Treasury

    def __post_init__(self) -> None:
        self.first, self.second, self.silent = self.market.members.platforms
        self._missing = stories.missing_reading(self.plans[6])
        self._curtailed = stories.curtailable(self.plans[6], self.market.homes, self._missing)
        # The payer of the registered trades, and so many attestors that no quorum is left.
        self._silent_on_7 = [self.second.name, *(one.name for one in self.market.members.utilities[2:])]

    def put(self, days_after: int = DAYS_AFTER) -> None:
        """Puts everything into the schedule."""
        super().put(days_after)
        self._put_stories()
        last, at = calendar.day_end(max(self.plans)), self.market.conductor.at
        for after in (5 * DAY, 16 * DAY + 12 * HOUR):
            at(last + after, "debtors pay by bank and give notice", self.treasury.notify)
            at(last + after + DAY, "creditors acknowledge", self.treasury.acknowledge)
        at(last + days_after * DAY, "everybody withdraws", self.treasury.withdraw)

    def _put_stories(self) -> None:
        end = calendar.day_end
        self.at(2, end(2) + HOUR // 2, "the guaranteed pair agrees not to wait", partial(self._sign_early, True))
        self.at(2, end(2) + 3 * HOUR, "the guaranteed pair waits again", partial(self._sign_early, False))
        self.at(3, end(3) + BEFORE_SEAL, "a platform stops answering", self._stop_answering)
        self.at(
            3, end(3) + 44 * HOUR + 30 * MINUTE, "it answers again", partial(self.market.resume, [self.silent.name])
        )
        self.at(4, end(4) + BEFORE_SEAL, "three attestors collude", self._collude)
        self.at(6, calendar.slot(6, self._curtailed.hour) - HOUR, "a trade is curtailed", self._curtail)
        self.at(6, end(6) + RUN_1_READINGS, "the missing reading comes", partial(self.read, 6, 1))
        self.at(7, end(7) + BEFORE_SEAL, "a payer and two attestors stop answering", self._fall_silent)
        self.at(7, end(7) + 66 * HOUR, "they answer again", partial(self.market.resume, self._silent_on_7))

    def lane(self, day: int, buyer: Member, seller: Member) -> Lane:
        """On day 7 what one of the guaranteed pair buys from the other is registered, trade by trade."""
        return Lane.REGISTERED if day == 7 and (buyer, seller) == (self.second, self.first) else Lane.BATCHED

    def read(self, day: int, run: int, missing: Collection[tuple[int, int]] = ()) -> None:
        """On day 6 one meter has no figure in one hour; it comes before run 1."""
        super().read(day, run, [self._missing] if (day, run) == (6, 0) else missing)

    # --- day 2 ---

    def _sign_early(self, early: bool) -> None:
        """The guaranteed pair is configured anew and started again."""
        pair = self.first, self.second
        for member, other in (pair, pair[::-1]):
            self.market.setting.write_config(member, {other.name} if early else ())
        self.market.children.restart([member.name for member in pair])

    # --- day 3 ---

    def _stop_answering(self) -> None:
        """The run is sealed without the platform, by whoever's turn comes next."""
        self.market.children[self.silent.name].stop()
        self._await_seal(3)

    # --- day 4 ---

    def _collude(self) -> None:
        """While one of two platforms does not answer, a false row between them is attested; the others look on."""
        market, cycle = self.market, calendar.cycle(4)
        with market.children.stopped(self.silent.name):
            self._await_seal(4)
            rows = rows_known(market.world, _desk(self.second), cycle)
            right = longest_row(rows, (self.second, self.silent))
            if right.count < 2:
                raise StoryDoesNotFit("day 4: no row with several leaves")
            attest_falsely(market.world, market.members, cycle, right)
            self._step_until(
                lambda: market.world.call("Settlement", "pending", cycle, right.payer, right.payee)[0] == 0,
                "day 4: nobody strikes the false row",
            )

    # --- day 6 ---

    def _curtail(self) -> None:
        """The seller's utility has less than was sold: its operator puts it into its inbox."""
        plan, market = self._curtailed, self.market
        utility = utility_of(market.members, market.homes[plan.seller_home])
        number = self.plans[plan.day].index(plan)
        write_curtailment(market.members, market.homes, utility, plan, number, plan.wh // 2)

    # --- day 7 ---

    def _fall_silent(self) -> None:
        """The payee is out while the run is sealed: the others agree. When it is back, its payer is gone, and two."""
        children = self.market.children
        with children.stopped(self.first.name):
            self._await_seal(7)
            for name in self._silent_on_7:
                children[name].stop()

    # --- internals ---

    def _await_seal(self, day: int) -> None:
        """Moves on until run 0 of the day is sealed by whoever's turn it is."""
        conductor, world = self.market.conductor, self.market.world
        conductor.move(calendar.day_end(day) + RUN_0_SEALED)
        self._step_until(
            lambda: world.call("AllocationOracle", "sealed_runs", calendar.cycle(day)) > 0,
            f"day {day}: nobody seals run 0",
        )

    def _step_until(self, happened: Callable[[], bool], otherwise: str) -> None:
        """Moves on, ten minutes at a time, as members take turns. Raises StoryDoesNotFit where it does not happen."""
        for _ in range(MOST_STEPS):
            if happened():
                return
            self.market.conductor.move(self.market.conductor.now + STEP)
        raise StoryDoesNotFit(otherwise)


def _desk(member: Member) -> DeskStore:
    return DeskStore(Database(f"sqlite:///{member.folder / 'desk.db'}"))
