"""Looking at a utility's allocations from outside its daemon: no key of its own, nothing written, signed or sent.

The chain is followed into a database that is thrown away afterwards; what the utility was told is read from its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from chain.deployment import DeploymentRecord
from chain.finality import Finality
from chain.following import Follower
from chain.rpc import Rpc
from chain.sending import Sender
from chain.view import ChainView
from member.desk import Desk, Member, WatchedStore
from member.inbox import Inbox
from member.keys import load_key
from member.market import Market
from oracle.allocating import defects, draft, first_difference, outliers
from oracle.config import UtilityConfig
from oracle.daemon import readings_inbox
from oracle.metering import MeterBook, read_own_meters
from oracle.meters import MeterReading
from oracle.planning import Plan, Planner
from settlement.hashing import Hash32
from settlement.trade import AllocationLeaf
from store import migrate
from store.database import Database
from store.index import StoredChain


@dataclass(frozen=True)
class Survey:
    """A utility's view of its market at this moment."""

    market: Market
    desk: Desk
    book: MeterBook
    readings: Inbox[tuple[MeterReading, ...]]
    planner: Planner

    def plans(self) -> tuple[Plan, ...]:
        """What the utility would do about each cycle whose intake is open."""
        return tuple(self.planner.plans())

    def against(self, plan: Plan, outlier_percent: int) -> Iterator[str]:
        """What would keep a plan from being signed, an operator's word on outliers left aside."""
        yield from defects(plan.draft, plan.trades, plan.cycle, self.market.config(plan.cycle))
        yield from outliers(plan.draft, self.book.meters, outlier_percent)

    def recompute(self, cycle: int, run: int) -> Recomputed | None:
        """A posted allocation, computed again from what was kept of its readings; None where none was posted."""
        posted = self.market.posted(cycle, run, self.book.utility)
        if posted is None:
            return None
        kept = self.desk.store.allocation(cycle, run)
        readings = kept.readings if kept else self.planner.readings(cycle, run)
        made = draft(self.book.utility, self.desk.counting(cycle), readings, cycle, self.market.config(cycle))
        return Recomputed(
            cycle=cycle,
            run=run,
            attempt=posted.attempt,
            posted=posted.root,
            computed=made.root,
            difference=first_difference(made.allocation.leaves, kept.leaves) if kept else None,
        )


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A posted root beside the one that comes out now; the first leaf that differs from the signed ones (own, theirs).

    `difference` is None where none does, or where what was signed is not kept.
    """

    cycle: int
    run: int
    attempt: int
    posted: Hash32
    computed: Hash32
    difference: tuple[int, AllocationLeaf | None, AllocationLeaf | None] | None

    @property
    def is_same(self) -> bool:
        """Whether the same root comes out."""
        return self.posted == self.computed


@contextmanager
def survey(config: UtilityConfig) -> Iterator[Survey]:
    """A utility's view, as its configuration says, of the chain as it is now.

    Raises DeploymentMismatch, ConnectionFailed, DatabaseUnfit, LineError (the list of meters), KeyRefused (the secret
    of the salts), FileNotFoundError.
    """
    record = DeploymentRecord.load(config.deployment)
    with Database(config.database) as own, tempfile.TemporaryDirectory(prefix="clearwatt-survey-") as folder:
        migrate.check(own)
        with Database(f"sqlite:///{Path(folder) / 'chain.db'}") as thrown_away:
            migrate.upgrade(thrown_away)
            memory = StoredChain(thrown_away)
            url = config.chain.rpc_url
            record.check(Rpc.at(url))
            follower = Follower(url, record, memory, Finality.parse(config.chain.finality))
            follower.catch_up()
            # Nothing is sent from here, so there is nobody to send it.
            market = Market(url, record, ChainView(memory, record), cast(Sender, None))
            desk = Desk(market, WatchedStore(own), Member(config.subscriber, b""))
            book = MeterBook(
                desk.me.id,
                read_own_meters(config.utility.meters),
                load_key(config.utility.salt_secret),
                desk.store,
            )
            readings = readings_inbox(config, book, market.calendar)
            readings.peek()
            try:
                yield Survey(market, desk, book, readings, Planner(desk, book, readings, config.utility))
            finally:
                market.close()
                follower.close()
