"""A process killed at every commit and every sending: another one finishes, and each intent has one effect."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.account import SigningKey
from chain.contract import Contract
from chain.node import Anvil
from chain.rpc import integer
from store.database import Database
from store.outbox import StoredOutbox
from tests.chain.adversary import CHAIN_ID, MEMORY
from tests.chain.dying_sender import INTENTS, database_of, key_of
from tests.chain.test_node import ROOT


@pytest.fixture
def slow_chain(chain: Anvil, echo: Contract) -> Iterator[Anvil]:
    """The chain as one that mines only when told."""
    chain.rpc.call("evm_setAutomine", False)
    yield chain
    chain.rpc.call("evm_setAutomine", True)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="clearwatt-killed-", dir=MEMORY) as made:
        yield Path(made)


def calls_by_sender(chain: Anvil) -> dict[str, Counter[int]]:
    """Whose calls the whole chain has, by the number that they keep."""
    found: dict[str, Counter[int]] = {}
    for number in range(chain.rpc.block_number() + 1):
        for one in chain.rpc.call("eth_getBlockByNumber", hex(number), True)["transactions"]:
            if one["to"] is not None:
                found.setdefault(one["from"], Counter())[int(one["input"][10:74], 16)] += 1
    return found


def test_one_effect_wherever_the_process_was_killed(slow_chain: Anvil, echo: Contract, folder: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.chain.dying_sender", slow_chain.url, echo.address, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    first, *runs = [json.loads(line) for line in told.splitlines()]
    kinds = Counter(first["boundaries"])
    print(f"killed at {len(runs)} boundaries: {dict(kinds)}")
    assert len(runs) == len(first["boundaries"]) > 50
    assert [run["killed"] for run in runs] == first["boundaries"]
    assert kinds["before commit"] == kinds["after commit"]
    assert kinds["before send"] == kinds["after send"] > 2 * INTENTS - 1  # each was sent, and again after it was lost

    calls = calls_by_sender(slow_chain)
    for run in range(len(runs) + 1):
        address = SigningKey(key_of(run)).address
        assert calls[address] == Counter(range(INTENTS)), f"killed at boundary {run}"
        with Database(f"sqlite:///{database_of(folder, run)}") as database:
            outbox = StoredOutbox(database)
            signer = outbox.known(CHAIN_ID, address)
            assert signer is not None
            assert signer.next_nonce == INTENTS
            for number in range(INTENTS):
                one = outbox.find(signer.id, f"keep:{number}")
                assert one is not None
                assert (one.state, one.nonce, len(one.attempts)) == ("final", number, 1), f"killed at boundary {run}"
                receipt = slow_chain.rpc.call("eth_getTransactionReceipt", one.hash)
                assert (integer(receipt["blockNumber"]), receipt["blockHash"]) == (one.block_number, one.block_hash)
