"""A gateway put together: one market, one database, one node; started, served, ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI

from api.access import Door
from api.app import Adapter, build_admin, build_app
from api.authority import Authority
from api.bell import Bell
from api.feeding import FeedWriter
from api.health import Pulse
from api.idempotency import Once
from api.limits import Buckets
from api.market import Market
from api.proposing import Proposals
from api.relaying import Relayer
from api.routes.parts import Parts
from api.serving import Reception
from api.settings import GatewaySettings
from api.telemetry import Metrics
from api.working import Work
from chain import artifacts
from chain.artifacts import Artifact
from chain.decoding import Decoder
from chain.deployment import DeploymentRecord
from chain.finality import Finality
from chain.following import Follower
from chain.network import NetworkProfile
from chain.rpc import Rpc
from chain.sending import Sender
from chain.view import ChainView
from settlement.typed_data import Domain
from store.database import Database
from store.index import StoredChain
from store.outbox import StoredOutbox
from wire.problems import Refused

NODE_SECONDS = 15
"""How long a request waits for the node."""


@dataclass(frozen=True)
class Gateway:
    """What there is to serve: the application, what operators see, and the work behind both."""

    app: FastAPI
    admin: FastAPI
    work: Work
    parts: Parts


def assemble(
    settings: GatewaySettings,
    record: DeploymentRecord,
    database: Database,
    relayer_key: bytes,
    signing_key: bytes,
    version: str,
    adapters: Sequence[Adapter] = (),
) -> Gateway:
    """A gateway over a database whose tables are there. Nothing runs until its `work` is started.

    `relayer_key` pays for transactions and decides nothing; `signing_key` signs the feed's head. ValueError for an URL
    or a finality that is none.
    """
    # Read once: every connection to the node is given the same.
    loaded: dict[str, Artifact] = {name: artifacts.load(name) for name in record.contracts}
    domain = Domain(record.chain_id, record.contracts["MemberRegistry"].address, record.market_id)
    memory = StoredChain(database, [FeedWriter(Decoder(record, loaded.__getitem__), domain)])
    view = ChainView(memory, record)
    asking = record.connect(Rpc.at(settings.rpc_url, NODE_SECONDS), loaded.__getitem__)
    market = Market(record, memory, view, asking)
    sender = Sender(
        settings.rpc_url,
        relayer_key,
        StoredOutbox(database),
        NetworkProfile(record.chain_id, gas_cap=settings.gas_cap),
        record.connect(Rpc.at(settings.rpc_url), loaded.__getitem__),
        is_final=view.is_final,
    )
    follower = Follower(settings.rpc_url, record, memory, Finality.parse(settings.finality))
    pulse, bell, metrics = Pulse(settings.stale_lag, settings.head_age), Bell(), Metrics(version)
    once = Once(database, _wall, settings.answers_kept)
    relayer = Relayer(database, sender)
    node = Rpc.at(settings.rpc_url, NODE_SECONDS)
    work = Work(database, follower, node, sender, relayer, market, once, bell, pulse, metrics, settings.poll_seconds)
    door = Door(partial(_authority, market, pulse), settings.auditors, _wall)
    reception = Reception(door, Buckets(settings.rates), once, settings.public_url, work.wake)
    proposals = Proposals(market, database, relayer)
    parts = Parts(market, database, reception, proposals, relayer, bell, pulse, signing_key)
    app = build_app(parts, work.status, metrics, settings.max_body, adapters)
    return Gateway(app, build_admin(pulse, metrics), work, parts)


def _authority(market: Market, pulse: Pulse) -> Authority:
    """Whose keys count now. Raises Refused as long as this process has not come to the chain's newest block once."""
    if not pulse.has_started:
        raise Refused("try-again", "the chain is being followed up to its newest block")
    return market.authority()


def _wall() -> int:
    return int(time.time())
