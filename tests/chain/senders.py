"""Senders on the real local chain, each test with a key and a database of its own."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.contract import Contract
from chain.network import NetworkProfile, at_once
from chain.node import CHAIN_ID, Anvil
from chain.outbox import Transaction
from chain.rpc import Rpc, integer
from chain.sending import Sender
from store.database import Database
from store.outbox import StoredOutbox
from tests.chain.adversary import Fuse, FusedRpc

NOW = 1_767_225_700
SECONDS = 20

_keys = itertools.count(0x5E4D)


@pytest.fixture
def key() -> bytes:
    """A key that no other test uses."""
    return next(_keys).to_bytes(32, "big")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/outbox.db") as opened:
        opened.create()
        yield opened


@pytest.fixture
def make(chain: Anvil, echo: Contract, key: bytes, database: Database) -> Callable[..., Sender]:
    """Makes senders for the test's key and database, as processes that start one after the other."""

    def made(network: NetworkProfile | None = None, **others: Any) -> Sender:
        others = {"is_final": at_once, "clock": lambda: NOW} | others
        profile = network or NetworkProfile(CHAIN_ID)
        return Sender(chain.url, others.pop("key", key), StoredOutbox(database), profile, {"Echo": echo}, **others)

    return made


@pytest.fixture
def held(chain: Anvil) -> Iterator[Anvil]:
    """The chain as one that mines only when told."""
    chain.rpc.call("evm_setAutomine", False)
    yield chain
    chain.rpc.call("evm_setAutomine", True)
    chain.rpc.mine()


def finish(sender: Sender, mine: Callable[[], object] = lambda: None) -> None:
    """Ticks until nothing is unfinished."""
    deadline = time.monotonic() + SECONDS
    while sender.tick():
        assert time.monotonic() < deadline, "not finished in time"
        mine()


def found(sender: Sender, intent: str) -> Transaction:
    one = sender.find(intent)
    assert one is not None
    return one


def calls(chain: Anvil, sender: str) -> list[tuple[int, int]]:
    """The nonce and the number of each call of a sender in the chain, in its order."""
    blocks = (chain.rpc.call("eth_getBlockByNumber", hex(n), True) for n in range(chain.rpc.block_number() + 1))
    mine = [one for block in blocks for one in block["transactions"] if one["from"] == sender]
    return [(integer(one["nonce"]), int(one["input"][10:74] or "0", 16)) for one in mine]


def refusing(fails: Callable[[str], Exception | None], chain: Anvil, *, after: bool) -> Callable[[str], Rpc]:
    """A way to the node on which `fails(method)` is raised, before the node was asked or after it answered."""
    node = Rpc.at(chain.url)

    def ask(method: str, *params: object) -> Any:
        error = fails(method)
        answer = node.call(method, *params) if error is None or after else None
        if error is not None:
            raise error
        return answer

    return lambda _: FusedRpc("127.0.0.1", chain.port, Fuse(), ask)
