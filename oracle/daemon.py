"""A utility's daemon: its own stages, and those that every member has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from member import settling
from member.cosigning import Cosigner
from member.daemon import Daemon, Stage
from member.gateway_signing import GatewaySigningStage
from member.gathering import Gathering
from member.inbox import Inbox
from member.keys import load_key
from member.trade_service import routes as trade_routes
from oracle.config import UtilityConfig
from oracle.curtailing import CurtailingStage
from oracle.metering import MeterBook, read_own_meters
from oracle.meters import MeterReading, read_readings
from oracle.planning import Planner
from oracle.posting import PostingStage, ReadingStage
from oracle.serving import routes as utility_routes
from oracle.signing import NoLocks, Remaining, UtilityRules
from settlement.units import Calendar

MakeStage = Callable[[Daemon[Any]], Stage]
MakeRouter = Callable[[Daemon[Any]], APIRouter]


def readings_inbox(config: UtilityConfig, book: MeterBook, calendar: Calendar) -> Inbox[tuple[MeterReading, ...]]:
    """The readings files of a utility: a meter that is not its own refuses a file."""

    def read(file: Path) -> tuple[MeterReading, ...]:
        return read_readings(file, calendar, book.meters, config.zone)

    return Inbox(config.readings, read)


class UtilityParts:
    """What the stages and routes of one utility share."""

    def __init__(self, daemon: Daemon[UtilityConfig]) -> None:
        """Raises LineError for the list of meters, KeyRefused where the secret of the salts cannot be read."""
        config, market = daemon.config, daemon.market
        meters = read_own_meters(config.utility.meters)
        self.book = MeterBook(daemon.me.id, meters, load_key(config.utility.salt_secret), daemon.store)
        self.readings = readings_inbox(config, self.book, market.calendar)
        self.planner = Planner(daemon.desk, self.book, self.readings, config.utility)
        left = Remaining(daemon.desk)
        rules = UtilityRules(daemon.me.id, meters, self.book.ids, left.of, config.utility.tariff)
        self.cosigner = Cosigner(market.domain, market.terms, daemon.store, daemon.me.id, daemon.desk.sign, rules)

    def posting(self, daemon: Daemon[UtilityConfig]) -> PostingStage:
        """The stage that allocates."""
        return PostingStage(daemon, self.planner, self.book)


def parts_of_utility(
    make: Callable[[Daemon[UtilityConfig]], UtilityParts] = UtilityParts,
) -> tuple[Sequence[MakeStage], Sequence[MakeRouter]]:
    """The stages, in order, and the routes of a utility; for one daemon."""
    parts = cache(make)
    stages: tuple[MakeStage, ...] = (
        lambda daemon: ReadingStage(daemon, parts(daemon).readings),
        lambda daemon: GatewaySigningStage(daemon, parts(daemon).cosigner, NoLocks()),
        CurtailingStage,
        lambda daemon: parts(daemon).posting(daemon),
        Gathering,
        *settling.STAGES,
    )
    routers: tuple[MakeRouter, ...] = (
        lambda daemon: trade_routes(daemon, parts(daemon).cosigner),
        lambda daemon: utility_routes(daemon, parts(daemon).book),
        *settling.ROUTERS,
    )
    return stages, routers


def open_utility(config: UtilityConfig) -> Daemon[UtilityConfig]:
    """A utility's daemon. Raises like `Daemon`, and LineError for the list of its meters."""
    return Daemon(config, *parts_of_utility())
