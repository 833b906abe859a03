"""What the doctor says of nodes and of signers: on the real local chain, and for chains that are not to be had here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rlp import encode as rlp_encode

from chain.account import Account, SigningKey
from chain.contract import Contract, await_receipt
from chain.doctor import Use, examine, used_by
from chain.errors import ChainReset, NodeBehind, RpcError, WrongChain
from chain.network import Capabilities, Fees, NetworkProfile, at_once, consensus_of, preflight
from chain.node import BLOCK_GAS_LIMIT, CHAIN_ID, Anvil
from chain.rpc import Rpc
from chain.sending import Sender
from store.database import Database
from store.outbox import StoredOutbox
from tests.chain.conftest import PARTNER

KEY = b"\x0d" * 32
BFT = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"


# --- nodes ---


def test_the_local_chain(chain: Anvil) -> None:
    found = preflight(chain.rpc)
    assert found.client.startswith("anvil/")
    assert found == Capabilities(
        client=found.client,
        chain_id=CHAIN_ID,
        genesis=chain.rpc.block(0)["hash"],
        head=chain.rpc.block_number(),
        consensus="proof of stake or CometBFT, as the tags say; or a development node",
        gas_limit=BLOCK_GAS_LIMIT,
        base_fee=0,
        gas_price=0,
        finalized=found.finalized,
        safe=found.safe,
        pool="txpool (geth's)",
        logs_by_hash=True,
        old_states=True,
        traces=True,
    )
    assert found.unfit(NetworkProfile(CHAIN_ID)) == ()


class PlainNode(Rpc):
    """A node that knows nothing but the oldest calls, and answers any block hash with no logs."""

    def __init__(self, header: dict[str, Any]) -> None:
        super().__init__("nowhere", 1)
        self._header = {"number": "0x10", "hash": "0x" + "10" * 32, "gasLimit": hex(10_000_000)} | header

    def call(self, method: str, *params: object) -> Any:
        match method, params:
            case "eth_chainId", _:
                return "0x7"
            case "eth_getLogs", _:
                return []
            case "eth_gasPrice", _:
                return "0x3e8"
            case "eth_getBlockByNumber", ("latest" | "0x0", _):
                return self._header
        raise RpcError(method, -32601, "the method does not exist")


def test_a_node_that_can_little() -> None:
    found = preflight(PlainNode({}))
    assert (found.client, found.base_fee, found.gas_price) == ("not told", None, 1_000)
    assert (found.finalized, found.safe, found.pool) == (None, None, "cannot be looked at")
    assert (found.logs_by_hash, found.old_states, found.traces) == (False, False, False)
    assert found.unfit(NetworkProfile(CHAIN_ID)) == (
        "the chain's id is 7, the profile's 8217",
        "a block holds 10000000 gas, less than the profile's cap of 15000000",
        "gas costs 1000 here, and the profile offers nothing",
        "the logs of a block cannot be asked for by its hash, as following needs",
    )
    paid = replace(found, logs_by_hash=True)
    assert paid.unfit(NetworkProfile(7, gas_cap=10_000_000, fees=Fees.ASKED)) == ()


def extra(*items: object) -> str:
    return "0x" + rlp_encode(list(items)).hex()


@pytest.mark.parametrize(
    ("header", "guess"),
    [
        ({"mixHash": BFT, "extraData": extra(b"\0" * 32, [b"\1" * 20], [], b"", [])}, "QBFT: each block is final"),
        ({"mixHash": BFT, "extraData": extra(b"\0" * 32, [b"\1" * 20], [], b"\2", [])}, "QBFT: each block is final"),
        (
            {"mixHash": BFT, "extraData": extra(b"\0" * 32, [b"\1" * 20], b"", b"\0" * 4, [])},
            "IBFT 2.0: each block is final",
        ),
        ({"mixHash": BFT, "extraData": "0x" + "00" * 32 + "f843"}, "IBFT: each block is final"),
        ({"mixHash": BFT, "extraData": extra(b"\0" * 32)}, "IBFT: each block is final"),
        (
            {"difficulty": "0x2", "extraData": "0x" + "00" * 97},
            "Clique: no block is final by itself, use depth",
        ),
        ({"difficulty": "0x2", "extraData": "0x" + "00" * 32}, "proof of work"),
        ({"difficulty": "0x4000", "extraData": "0x" + "00" * 97}, "proof of work"),
        (
            {"difficulty": "0x0", "extraData": "0x"},
            "proof of stake or CometBFT, as the tags say; or a development node",
        ),
    ],
)
def test_the_guess_how_a_chain_agrees(header: dict[str, str], guess: str) -> None:
    assert consensus_of(header) == guess


# --- who used a nonce ---


def test_who_used_a_nonce(chain: Anvil) -> None:
    account = Account(b"\x0e" * 32, chain.rpc)
    places = []
    for empty in (0, 1, 7, 30):
        receipt = await_receipt(chain.rpc, account.send(b"", 21_000, PARTNER))
        places.append(Use(receipt.transaction, receipt.block, chain.rpc.block(receipt.block)["hash"]))
        chain.rpc.mine(empty) if empty else None
    assert [used_by(chain.rpc, account.address, nonce) for nonce in range(4)] == places
    assert used_by(chain.rpc, account.address, 4) is None


def test_who_used_a_nonce_on_a_node_that_forgets_old_states(chain: Anvil) -> None:
    account = Account(b"\x1e" * 32, chain.rpc)
    sent = await_receipt(chain.rpc, account.send(b"", 21_000, PARTNER))
    chain.rpc.mine(5)
    oldest = chain.rpc.block_number() - 16

    class Forgetful(Rpc):
        def call(self, method: str, *params: object) -> Any:
            if method == "eth_getTransactionCount" and int(str(params[1]), 16) < oldest:
                raise RpcError(method, -32000, "missing trie node")
            return super().call(method, *params)

    use = used_by(Forgetful("127.0.0.1", chain.port), account.address, 0)
    assert use is not None
    assert (use.hash, use.block_number) == (sent.transaction, sent.block)


# --- signers ---


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[StoredOutbox]:
    with Database(f"sqlite:///{tmp_path}/outbox.db") as database:
        database.create()
        yield StoredOutbox(database)


@pytest.fixture
def held(chain: Anvil) -> Iterator[Anvil]:
    """The chain as one that mines only when told."""
    chain.rpc.call("evm_setAutomine", False)
    yield chain
    chain.rpc.call("evm_setAutomine", True)
    chain.rpc.mine()


def test_a_signer_from_its_first_transaction_to_a_conflict(held: Anvil, echo: Contract, outbox: StoredOutbox) -> None:
    sender = Sender(held.url, KEY, outbox, NetworkProfile(CHAIN_ID), {"Echo": echo}, is_final=at_once)
    with pytest.raises(KeyError, match=sender.address):
        examine(held.rpc, outbox, CHAIN_ID, sender.address)

    first, _ = (sender.submit(f"keep:{number}", "Echo", "keep", number) for number in range(2))
    fine = examine(held.rpc, outbox, CHAIN_ID, sender.address)
    assert (fine.latest, fine.pending, fine.next_nonce, fine.unfinished, fine.lowest) == (0, 2, 2, 2, 0)
    assert (fine.findings, fine.last_error) == ((), None)

    held.rpc.call("anvil_dropTransaction", first.hash)
    assert examine(held.rpc, outbox, CHAIN_ID, sender.address).findings == (
        "the node does not have nonce 0, which the others wait for: the next tick sends it again",
    )
    sender.suspend("maintenance")
    assert examine(held.rpc, outbox, CHAIN_ID, sender.address).findings[0] == "suspended: maintenance"
    sender.resume()

    theirs = SigningKey(KEY).sign(CHAIN_ID, 0, b"", 21_000, PARTNER)
    held.rpc.call("eth_sendRawTransaction", "0x" + theirs.hex())
    held.rpc.mine()
    sender.tick()
    drift = examine(held.rpc, outbox, CHAIN_ID, sender.address)
    assert drift.findings == ("nonce 0 was used by somebody else; `resume` once it is clear by whom",)
    assert str(drift.last_error).startswith("nonce 0 was used by 0x")
    sender.resume()
    sender.tick()
    held.rpc.mine()
    assert not sender.tick()
    assert examine(held.rpc, outbox, CHAIN_ID, sender.address).findings == ()

    Account(KEY, held.rpc).send(b"", 21_000, PARTNER)
    ahead = examine(held.rpc, outbox, CHAIN_ID, sender.address)
    assert (ahead.latest, ahead.pending, ahead.lowest) == (2, 3, None)
    assert ahead.findings == ("the node counts 3 transactions, 2 are ours: somebody else sends",)


def test_a_chain_that_is_not_the_one_of_before(held: Anvil, echo: Contract, outbox: StoredOutbox) -> None:
    sender = Sender(held.url, b"\x0f" * 32, outbox, NetworkProfile(CHAIN_ID), {"Echo": echo}, is_final=at_once)
    with pytest.raises(WrongChain, match="the node serves chain 8217, expected 1"):
        examine(held.rpc, outbox, 1, sender.address)
    sender.submit("keep:0", "Echo", "keep", 0)
    held.rpc.mine()
    assert not sender.tick()
    with Anvil(held.rpc.timestamp(0)) as anew:
        with pytest.raises(NodeBehind, match="the node has no block"):
            examine(anew.rpc, outbox, CHAIN_ID, sender.address)
        anew.rpc.mine(held.rpc.block_number())
        with pytest.raises(ChainReset, match="was final in block"):
            examine(anew.rpc, outbox, CHAIN_ID, sender.address)
    with Anvil(held.rpc.timestamp(0) + 1) as other, pytest.raises(ChainReset, match="the chain begins with 0x"):
        examine(other.rpc, outbox, CHAIN_ID, sender.address)


def test_a_node_that_is_behind(chain: Anvil, outbox: StoredOutbox) -> None:
    address = SigningKey(b"\x1f" * 32).address
    outbox.open(CHAIN_ID, address, chain.rpc.block(0)["hash"], 3)
    assert examine(chain.rpc, outbox, CHAIN_ID, address).findings == (
        "the node counts 0 transactions in the chain, 3 were final: it is behind",
    )
