"""A market of one contract that says what it is told: the smallest thing on a real chain that can be followed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chain.account import Account
from chain.artifacts import load
from chain.contract import Contract
from chain.deployment import DeploymentRecord, Step, deploy
from chain.errors import ChainError
from chain.finality import Finality
from chain.following import Follower
from chain.node import Anvil
from chain.rpc import Rpc, binary
from store.database import Database
from store.index import StoredChain

SENDER = b"\x01" * 32
FIRST_OF_LOAD = 1_000
NOTHING = {"owner": "0x" + "00" * 20, "inner": {"tag": bytes(32), "amounts": []}, "list": [], "note": ""}


def founded(node: Anvil) -> DeploymentRecord:
    """Deploys the contract and records it."""
    made = deploy(node.rpc, Account(SENDER, node.rpc), [Step("Echo", lambda _: ["0x" + "ab" * 20, 5])])
    return DeploymentRecord(
        market="echoes",
        market_id=bytes(31) + b"\x07",
        chain_id=node.chain_id,
        genesis_hash=binary(node.rpc.block(0)["hash"]),
        block=node.rpc.block_number(),
        evm="london",
        vyper="0",
        contracts=made,
        config={},
        config_digest=bytes(32),
        members={},
        templates={},
    )


def say(node: Anvil, record: DeploymentRecord, *numbers: int) -> None:
    """A block for each number, with one log."""
    account = Account(SENDER, node.rpc)
    echo = Contract("Echo", record.contracts["Echo"].address, load("Echo").abi, node.rpc)
    for number in numbers:
        echo.transact(account, "say", NOTHING, number)


@contextmanager
def under_load(node: Anvil, record: DeploymentRecord) -> Iterator[None]:
    """Meanwhile a thread sends transactions, a block each; what a reorganisation drops is not sent again."""
    ended = threading.Event()

    def send() -> None:
        rpc = Rpc.at(node.url)
        echo = Contract("Echo", record.contracts["Echo"].address, load("Echo").abi, rpc)
        number = FIRST_OF_LOAD
        while not ended.is_set():
            try:
                data = echo.call_data("say", NOTHING, number)
                Account(SENDER, rpc).send(data, 300_000, echo.address)
            except ChainError:
                pass  # its nonce was another's by then
            number += 1
            time.sleep(0.02)
        rpc.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def indexed(node_url: str, record: DeploymentRecord, folder: Path, name: str, finality: Finality) -> Database:
    """What a follower that begins now finds, in a database of its own."""
    database = Database(f"sqlite:///{folder}/{name}.sqlite")
    database.create()
    follower = Follower(node_url, record, StoredChain(database), finality)
    follower.catch_up()
    follower.close()
    return database
