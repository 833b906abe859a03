"""The sender on a real chain when node or database fail, and when operators or other people act."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from chain.account import Account, SigningKey, hash_of
from chain.contract import Contract, await_receipt
from chain.errors import (
    ChainReset,
    ConnectionFailed,
    NodeBehind,
    NotReplaceable,
    SenderHeld,
)
from chain.network import NetworkProfile, at_once
from chain.node import CHAIN_ID, Anvil
from chain.outbox import Transaction
from chain.rpc import Rpc
from chain.sending import Sender
from store import database as database_module
from store.database import Database
from store.outbox import StoredOutbox
from tests.chain.conftest import GENESIS_TIME, PARTNER
from tests.chain.senders import calls, database, finish, found, held, key, make, refusing

__all__ = ["database", "held", "key", "make"]  # fixtures


# --- when the node fails ---


def test_a_node_that_does_not_answer_consumes_nothing(make: Callable[..., Sender], chain: Anvil) -> None:
    sender = make(connect=lambda url: Rpc.at(url, 0.2))
    os.kill(chain.pid, signal.SIGSTOP)
    try:
        with pytest.raises(ConnectionFailed, match="timed out"):
            sender.submit("keep", "Echo", "keep", 1)
    finally:
        os.kill(chain.pid, signal.SIGCONT)
    assert sender.find("keep") is None
    assert sender.submit("keep", "Echo", "keep", 1).nonce == 0


@pytest.mark.parametrize("arrived", [True, False])
def test_a_sending_without_an_answer_is_repeated_with_the_same_bytes(
    make: Callable[..., Sender], chain: Anvil, *, arrived: bool
) -> None:
    failures = iter([ConnectionFailed("cut off")])
    sender = make(
        connect=refusing(
            lambda method: next(failures, None) if method == "eth_sendRawTransaction" else None, chain, after=arrived
        )
    )
    sent = sender.submit("keep:1", "Echo", "keep", 1)
    assert (sent.state, sent.history[-1].name, sent.history[-1].error) == ("broadcast", "unanswered", "cut off")
    finish(sender)
    ended = found(sender, "keep:1")
    assert (ended.state, ended.hash, ended.attempts) == ("final", sent.hash, sent.attempts)
    assert calls(chain, sender.address) == [(0, 1)]


def test_a_lost_transaction_is_sent_again_and_those_behind_it_with_it(make: Callable[..., Sender], held: Anvil) -> None:
    sender = make()
    for number in range(3):
        sender.submit(f"keep:{number}", "Echo", "keep", number)
    before = [found(sender, f"keep:{number}") for number in range(3)]
    held.rpc.call("anvil_dropTransaction", before[0].hash)
    held.rpc.mine()
    assert calls(held, sender.address) == []
    finish(sender, held.rpc.mine)
    after = [found(sender, f"keep:{number}") for number in range(3)]
    assert [one.attempts for one in after] == [one.attempts for one in before]
    assert calls(held, sender.address) == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_a_reorganisation_with_transactions_in_flight(make: Callable[..., Sender], held: Anvil, depth: int) -> None:
    sender = make(is_final=lambda number, _: number + 10 <= held.rpc.block_number(), network=NetworkProfile(CHAIN_ID))
    for number in range(10):
        sender.submit(f"keep:{number}", "Echo", "keep", number)
        if number >= 2:  # two in the first block, one in each of the others, and two that wait
            if number < 9:
                held.rpc.mine()
            sender.tick()
    states = Counter(found(sender, f"keep:{number}").state for number in range(10))
    assert states["included"] >= 7
    assert states["broadcast"] >= 1
    held.rpc.call("anvil_reorg", depth, [])
    sender.tick()
    orphans = [one for n in range(10) if "orphaned" in names(one := found(sender, f"keep:{n}"))]
    assert len(orphans) >= depth - 1
    assert all(one.block_number is None for one in orphans if one.state == "broadcast")
    finish(sender, held.rpc.mine)
    ended = [found(sender, f"keep:{number}") for number in range(10)]
    assert {one.state for one in ended} == {"final"}
    assert calls(held, sender.address) == [(number, number) for number in range(10)]
    for one in ended:
        assert held.rpc.block(one.block_number or 0)["hash"] == one.block_hash


def names(one: Transaction) -> list[str]:
    return [action.name for action in one.history]


def test_a_node_that_restarts_without_its_pool(echo: Contract, key: bytes, database: Database) -> None:
    def sender_at(url: str, rpc: Rpc) -> Sender:
        contract = Contract("Echo", echo.address, [function("keep")], rpc)
        return Sender(url, key, StoredOutbox(database), NetworkProfile(CHAIN_ID), {"Echo": contract}, is_final=at_once)

    with Anvil(GENESIS_TIME) as first:
        first.rpc.call("anvil_setCode", echo.address, "0x" + echo._rpc.code(echo.address).hex())
        sender = sender_at(first.url, first.rpc)
        sender.submit("keep:0", "Echo", "keep", 0)
        finish(sender)
        first.rpc.call("evm_setAutomine", False)
        waiting = sender.submit("keep:1", "Echo", "keep", 1)
        state, port = first.rpc.call("anvil_dumpState"), first.port
    with pytest.raises(ConnectionFailed):
        sender.tick()
    with Anvil(GENESIS_TIME, port=port) as second:
        with pytest.raises(NodeBehind, match=r"the node has no block 1, in which 0x[0-9a-f]{64} was final"):
            sender.tick()
        second.rpc.call("anvil_loadState", state)
        assert second.rpc.call("eth_getTransactionByHash", waiting.hash) is None
        finish(sender)
        ended = found(sender, "keep:1")
        assert (ended.state, ended.attempts) == ("final", waiting.attempts)
        assert calls(second, sender.address) == [(0, 0), (1, 1)]
    with Anvil(GENESIS_TIME, port=port) as third:
        third.rpc.mine(5)
        with pytest.raises(ChainReset, match="was final in block 2"):
            sender.submit("keep:2", "Echo", "keep", 2)
    with Anvil(GENESIS_TIME + 1, port=port) as fourth, pytest.raises(ChainReset, match="the chain begins with 0x"):
        sender_at(fourth.url, fourth.rpc).tick()
    assert sender.find("keep:2") is None


def function(name: str) -> dict[str, Any]:
    """The ABI of a function of one number."""
    number = {"name": "number", "type": "uint256"}
    return {"type": "function", "name": name, "inputs": [number], "outputs": [number]}


# --- when the database fails ---


def test_a_database_that_another_holds_for_a_while(make: Callable[..., Sender], database: Database) -> None:
    sender = make()
    sender.submit("keep:0", "Echo", "keep", 0)
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with Database(str(database.engine.url)) as other, other.transaction():
            holding.set()
            done.wait(0.5)

    holder = threading.Thread(target=hold)
    holder.start()
    holding.wait()
    began = time.monotonic()
    assert sender.submit("keep:1", "Echo", "keep", 1).nonce == 1
    assert time.monotonic() - began > 0.3
    holder.join()
    finish(sender)
    assert {found(sender, f"keep:{number}").state for number in range(2)} == {"final"}


def test_a_database_that_stays_locked(
    chain: Anvil, echo: Contract, key: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.05)
    with Database(f"sqlite:///{tmp_path}/outbox.db") as impatient:
        impatient.create()
        outbox = StoredOutbox(impatient)
        sender = Sender(chain.url, key, outbox, NetworkProfile(CHAIN_ID), {"Echo": echo}, is_final=at_once)
        sender.submit("keep:0", "Echo", "keep", 0)
        with Database(f"sqlite:///{tmp_path}/outbox.db") as other, other.transaction():
            with pytest.raises(OperationalError, match="database is locked"):
                sender.submit("keep:1", "Echo", "keep", 1)
            with pytest.raises(OperationalError, match="database is locked"):
                finish(sender)
        assert sender.find("keep:1") is None
        assert sender.submit("keep:1", "Echo", "keep", 1).nonce == 1
        finish(sender)
        assert calls(chain, sender.address) == [(0, 0), (1, 1)]


# --- operators, and other people ---


def test_a_suspended_signer_sends_nothing_and_follows(make: Callable[..., Sender], held: Anvil) -> None:
    sender = make()
    sender.submit("keep:0", "Echo", "keep", 0)
    sender.suspend("the key is being moved")
    assert sender.held() == "suspended: the key is being moved"
    with pytest.raises(SenderHeld, match=r"^suspended: the key is being moved$"):
        make().submit("keep:1", "Echo", "keep", 1)
    held.rpc.call("anvil_dropTransaction", found(sender, "keep:0").hash)
    assert sender.tick()
    held.rpc.mine()
    assert calls(held, sender.address) == []
    sender.resume()
    assert sender.held() is None
    finish(sender, held.rpc.mine)
    assert sender.submit("keep:1", "Echo", "keep", 1).nonce == 1


def test_a_nonce_that_somebody_else_used_raises_an_alarm(make: Callable[..., Sender], held: Anvil, key: bytes) -> None:
    sender = make(is_final=lambda number, _: number + 3 <= held.rpc.block_number())
    mine, behind = (sender.submit(f"keep:{number}", "Echo", "keep", number) for number in range(2))
    held.rpc.call("anvil_dropTransaction", mine.hash)
    theirs = SigningKey(key).sign(CHAIN_ID, 0, b"", 21_000, PARTNER)
    held.rpc.call("eth_sendRawTransaction", "0x" + theirs.hex())
    held.rpc.mine()
    assert sender.tick()
    (alarm,) = [action for action in found(sender, "keep:0").history if action.name == "conflict"]
    assert alarm.error == f"nonce 0 was used by {hash_of(theirs)}, which is not ours"
    with pytest.raises(SenderHeld, match="nonce 0 was used by somebody else"):
        make().submit("keep:2", "Echo", "keep", 2)
    with pytest.raises(SenderHeld, match="the other transaction with nonce 0 is not final yet"):
        sender.resume()
    held.rpc.mine(5)
    assert sender.tick()
    assert found(sender, "keep:0").state == "broadcast"
    sender.resume()
    finish(sender, held.rpc.mine)
    assert (found(sender, "keep:0").state, found(sender, "keep:1").state) == ("superseded", "final")
    assert found(sender, "keep:1").hash == behind.hash
    assert sender.submit("keep:0#2", "Echo", "keep", 0).nonce == 2


def test_a_key_in_use_elsewhere_is_noticed_before_a_nonce_is_taken(
    make: Callable[..., Sender], chain: Anvil, key: bytes
) -> None:
    sender = make()
    sender.submit("keep:0", "Echo", "keep", 0)
    finish(sender)
    await_receipt(chain.rpc, Account(key, chain.rpc).send(b"", 21_000, PARTNER))
    with pytest.raises(SenderHeld, match="nonce 1 was used by somebody else"):
        sender.submit("keep:1", "Echo", "keep", 1)
    assert sender.find("keep:1") is None
    sender.resume()
    assert sender.submit("keep:1", "Echo", "keep", 1).nonce == 2
    finish(sender)


def test_nothing_is_cancelled_where_the_network_replaces_nothing(make: Callable[..., Sender], held: Anvil) -> None:
    sender = make()
    sender.submit("keep:0", "Echo", "keep", 0)
    with pytest.raises(NotReplaceable, match=r"^keep:0: nothing that waits, or a network without replacement$"):
        sender.cancel("keep:0")
    assert len(found(sender, "keep:0").attempts) == 1


@pytest.mark.parametrize("too_late", [False, True])
def test_cancelling(make: Callable[..., Sender], held: Anvil, *, too_late: bool) -> None:
    sender = make(NetworkProfile(CHAIN_ID, replacement=True))
    held.rpc.call("anvil_setBalance", sender.address, hex(10**18))
    sent = sender.submit("keep:8", "Echo", "keep", 8)
    if too_late:
        held.rpc.mine()
    cancelled = sender.cancel("keep:8")
    assert [one.cancels for one in cancelled.attempts] == [False, True]
    assert cancelled.attempts[0] == sent.attempts[0]
    finish(sender, held.rpc.mine)
    ended = found(sender, "keep:8")
    assert (ended.state, ended.hash) == (
        ("final", sent.hash) if too_late else ("superseded", cancelled.attempts[1].hash)
    )
    assert calls(held, sender.address) == [(0, 8 if too_late else 0)]
    with pytest.raises(NotReplaceable):
        sender.cancel("keep:8")
    with pytest.raises(NotReplaceable):
        sender.cancel("never submitted")
