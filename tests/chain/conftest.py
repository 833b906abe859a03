"""A real local chain, one for each test file, with an echo contract on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chain import artifacts
from chain.account import Account
from chain.contract import Contract
from chain.deployment import Step, deploy
from chain.node import Anvil

GENESIS_TIME = 1_767_225_600
PARTNER = "0x" + "ab" * 20


@pytest.fixture(scope="module")
def chain() -> Iterator[Anvil]:
    with Anvil(GENESIS_TIME) as node:
        yield node


@pytest.fixture(scope="module")
def sender(chain: Anvil) -> Account:
    return Account(b"\x01" * 32, chain.rpc)


@pytest.fixture(scope="module")
def echo(chain: Anvil, sender: Account) -> Contract:
    made = deploy(chain.rpc, sender, [Step("Echo", lambda _: [PARTNER, 5])])
    return Contract("Echo", made["Echo"].address, artifacts.load("Echo").abi, chain.rpc)
