"""A platform's daemon: its own stages, and those that every member has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from fastapi import APIRouter

from member import settling
from member.cosigning import Cosigner
from member.daemon import Daemon, Stage
from member.gateway_signing import GatewaySigningStage
from member.gathering import Gathering
from member.keys import load_key
from member.trade_service import routes as trade_routes
from trading.batchbook import BatchBook
from trading.booking import OrderBook, OrderStage, PseudonymStage
from trading.collecting import CollectingStage, HandingStage, TradeMaker
from trading.config import PlatformConfig
from trading.fetching import FetchingStage
from trading.placing import PlacingStage
from trading.proposing import BatchRoom, ProposingStage
from trading.proposing import routes as batch_routes
from trading.registering import OwnLocks, RegisteringStage
from trading.signing import PlatformRules

MakeStage = Callable[[Daemon[Any]], Stage]
MakeRouter = Callable[[Daemon[Any]], APIRouter]


class PlatformParts:
    """What the stages and routes of one platform share."""

    def __init__(self, daemon: Daemon[PlatformConfig]) -> None:
        """Raises KeyRefused where the secret of the salts cannot be read."""
        secret = load_key(daemon.config.platform.salt_secret)
        self.orders = OrderBook(daemon.store)
        rules = PlatformRules(daemon.me.id, self.orders.find, self.orders.pseudonyms)
        market = daemon.market
        self.cosigner = Cosigner(market.domain, market.terms, daemon.store, daemon.me.id, daemon.desk.sign, rules)
        self.maker = TradeMaker(daemon, self.orders, self.cosigner, secret)
        self.room = BatchRoom(daemon, self.orders, BatchBook(daemon.store))
        self.locks = OwnLocks(self.room)


def parts_of_platform() -> tuple[Sequence[MakeStage], Sequence[MakeRouter]]:
    """The stages, in order, and the routes of a platform; for one daemon."""
    parts = cache(PlatformParts)
    stages: tuple[MakeStage, ...] = (
        lambda daemon: OrderStage(daemon, parts(daemon).orders),
        lambda daemon: FetchingStage(daemon, parts(daemon).orders),
        lambda daemon: PseudonymStage(daemon, parts(daemon).orders),
        lambda daemon: CollectingStage(daemon, parts(daemon).maker),
        lambda daemon: HandingStage(daemon, parts(daemon).maker),
        lambda daemon: RegisteringStage(daemon, parts(daemon).maker, parts(daemon).locks),
        lambda daemon: GatewaySigningStage(daemon, parts(daemon).cosigner, parts(daemon).locks),
        lambda daemon: ProposingStage(parts(daemon).room),
        lambda daemon: PlacingStage(parts(daemon).room),
        Gathering,
        *settling.STAGES,
    )
    routers: tuple[MakeRouter, ...] = (
        lambda daemon: trade_routes(daemon, parts(daemon).cosigner),
        lambda daemon: batch_routes(parts(daemon).room),
        *settling.ROUTERS,
    )
    return stages, routers


def open_platform(config: PlatformConfig) -> Daemon[PlatformConfig]:
    """A platform's daemon. Raises like `Daemon`."""
    return Daemon(config, *parts_of_platform())
