"""Opening a member's way to its market: what is followed and sent, kept in the member's own database."""

from __future__ import annotations

from dataclasses import dataclass

from chain.deployment import DeploymentRecord
from chain.finality import Finality
from chain.following import Follower
from chain.network import NetworkProfile
from chain.rpc import Rpc
from chain.sending import Sender
from chain.view import ChainView
from member.config import MemberConfig
from member.keys import load_key
from member.market import Market
from store.database import Database
from store.index import StoredChain
from store.outbox import StoredOutbox


@dataclass(frozen=True, slots=True)
class Opened:
    """The market of a member, and what keeps it up to date."""

    market: Market
    follower: Follower


def open_market(config: MemberConfig, database: Database) -> Opened:
    """The market of a configuration. Asks the chain nothing.

    Raises FileNotFoundError or DeploymentMismatch without a good deployment record, KeyRefused without the relayer's
    key.
    """
    record = DeploymentRecord.load(config.deployment)
    url = config.chain.rpc_url
    memory = StoredChain(database)
    view = ChainView(memory, record)
    sender = Sender(
        url,
        load_key(config.keys.relayer, config.keys.relayer_password),
        StoredOutbox(database),
        NetworkProfile(record.chain_id),
        record.connect(Rpc.at(url)),
        is_final=view.is_final,
    )
    market = Market(url, record, view, sender)
    market.know((config.subscriber, *config.peers))
    return Opened(market, Follower(url, record, memory, Finality.parse(config.chain.finality)))
