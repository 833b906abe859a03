"""The sender on a real chain: what it sends, what it refuses, and what it does when node or database fail."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from chain.account import GAS_PRICE, Account, SigningKey, gas_price_of, hash_of
from chain.broadcast import Outcome, broadcast
from chain.contract import Contract, await_receipt
from chain.errors import (
    CannotEncode,
    ChainReset,
    ConnectionFailed,
    GasRefused,
    NodeBehind,
    NotReplaceable,
    Reverted,
    RpcError,
    SenderHeld,
    WrongChain,
)
from chain.network import Fees, NetworkProfile, at_once
from chain.node import CHAIN_ID, Anvil
from chain.outbox import Transaction
from chain.rpc import Rpc, integer
from chain.sending import Sender
from store import database as database_module
from store.database import Database
from store.outbox import StoredOutbox
from tests.chain.adversary import Fuse, FusedRpc
from tests.chain.conftest import GENESIS_TIME, PARTNER

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


# --- what it sends ---


def test_a_call_is_sent_and_ends_final(make: Callable[..., Sender], chain: Anvil, echo: Contract, key: bytes) -> None:
    sender = make()
    sent = sender.submit("keep:11", "Echo", "keep", 11)
    assert (sent.intent, sent.contract, sent.function, sent.target) == ("keep:11", "Echo", "keep", echo.address)
    assert (sent.nonce, sent.state, sent.block_number, sent.reason) == (0, "broadcast", None, None)
    finish(sender)
    ended = found(sender, "keep:11")
    receipt = chain.rpc.call("eth_getTransactionReceipt", ended.hash)
    assert (ended.state, ended.reason) == ("final", None)
    assert (ended.block_number, ended.block_hash) == (integer(receipt["blockNumber"]), receipt["blockHash"])
    assert echo.call("kept") == 11
    assert [(one.name, one.times, one.first, one.last, one.error) for one in ended.history] == [
        (name, 1, NOW, NOW, None) for name in ("queued", "signed", "broadcast", "final")
    ]
    (attempt,) = ended.attempts
    price = GAS_PRICE
    assert attempt.raw == SigningKey(key).sign(CHAIN_ID, 0, sent.data, sent.gas, sent.target, price)
    assert attempt.hash == hash_of(attempt.raw) == ended.hash
    assert gas_price_of(attempt.raw) == 0


def test_it_begins_with_the_nonce_that_the_chain_has(make: Callable[..., Sender], chain: Anvil, key: bytes) -> None:
    account = Account(key, chain.rpc)
    sent = [account.send(b"", 21_000, account.address) for _ in range(3)]
    await_receipt(chain.rpc, sent[-1])
    sender = make()
    assert sender.submit("keep:1", "Echo", "keep", 1).nonce == 3
    finish(sender)
    assert found(sender, "keep:1").state == "final"


def test_it_does_not_begin_behind_transactions_that_it_does_not_know(
    make: Callable[..., Sender], held: Anvil, key: bytes
) -> None:
    Account(key, held.rpc).send(b"", 21_000, PARTNER)
    sender = make()
    with pytest.raises(SenderHeld, match=f"^1 transactions of {sender.address} wait that nobody here knows of$"):
        sender.submit("keep:1", "Echo", "keep", 1)
    held.rpc.mine()
    assert sender.submit("keep:1", "Echo", "keep", 1).nonce == 1


def test_an_intent_is_sent_once_whatever_its_arguments_are_the_second_time(
    make: Callable[..., Sender], chain: Anvil
) -> None:
    sender = make()
    first = sender.submit("keep", "Echo", "keep", 1)
    assert sender.submit("keep", "Echo", "keep", 2).hash == first.hash
    finish(sender)
    assert make().submit("keep", "Echo", "keep", 3).state == "final"
    assert sender.find("something else") is None
    assert calls(chain, sender.address) == [(0, 1)]


def test_threads_and_processes_with_the_same_intents(make: Callable[..., Sender], chain: Anvil) -> None:
    senders = [make(), make()]
    senders[0].submit("keep:0", "Echo", "keep", 0)  # so that both know the signer
    start = threading.Barrier(12)

    def submit(place: int) -> None:
        start.wait()
        for number in range(4):
            senders[place % 2].submit(f"keep:{number}", "Echo", "keep", number)

    threads = [threading.Thread(target=submit, args=(place,)) for place in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    finish(senders[0])
    assert Counter(number for _, number in calls(chain, senders[0].address)) == Counter(range(4))


def test_no_more_than_the_window_waits_for_a_block(make: Callable[..., Sender], held: Anvil) -> None:
    sender = make(NetworkProfile(CHAIN_ID, in_flight=2))
    for number in range(5):
        sender.submit(f"keep:{number}", "Echo", "keep", number)
    sender.tick()
    states = [found(sender, f"keep:{number}").state for number in range(5)]
    assert states == ["broadcast", "broadcast", "signed", "signed", "signed"]
    finish(sender, held.rpc.mine)
    assert calls(held, sender.address) == [(number, number) for number in range(5)]


def test_a_price_where_the_network_has_one(make: Callable[..., Sender], held: Anvil) -> None:
    sender = make(NetworkProfile(CHAIN_ID, fees=Fees.ASKED))
    held.rpc.call("anvil_setBalance", sender.address, hex(10**18))
    held.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(7))
    held.rpc.mine()
    asked = integer(held.rpc.call("eth_gasPrice"))
    one = sender.submit("keep:1", "Echo", "keep", 1)
    held.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(0))
    finish(sender, held.rpc.mine)
    assert gas_price_of(one.attempts[0].raw) == asked > 0


# --- what it refuses, with nothing consumed ---


def test_what_the_contract_refuses_consumes_nothing(make: Callable[..., Sender], chain: Anvil) -> None:
    sender = make()
    with pytest.raises(Reverted, match=r"^Echo\.keep: Echo: too large$") as caught:
        sender.submit("keep", "Echo", "keep", 100)
    assert caught.value.reason == "Echo: too large"
    assert sender.find("keep") is None
    assert sender.submit("keep", "Echo", "keep", 99).nonce == 0


@pytest.mark.parametrize(
    ("network", "arguments", "error", "message"),
    [
        (NetworkProfile(CHAIN_ID, gas_cap=25_000), (1,), GasRefused, r"Echo.keep needs \d+ gas, 25000 is allowed"),
        (NetworkProfile(CHAIN_ID), (-1,), CannotEncode, "number: "),
        (NetworkProfile(1), (1,), WrongChain, "the node serves chain 8217, expected 1"),
    ],
)
def test_what_cannot_be_sent_consumes_nothing(
    make: Callable[..., Sender], network: NetworkProfile, arguments: tuple[int, ...], error: type, message: str
) -> None:
    sender = make(network)
    with pytest.raises(error, match=message):
        sender.submit("keep", "Echo", "keep", *arguments)
    assert sender.find("keep") is None
    assert make().submit("keep", "Echo", "keep", 1).nonce == 0


def test_gas_above_a_blocks_limit_is_refused(make: Callable[..., Sender], chain: Anvil) -> None:
    limit = chain.rpc.block()["gasLimit"]
    sender = make()
    chain.rpc.call("evm_setBlockGasLimit", hex(30_000))
    chain.rpc.mine()
    try:
        # The node itself may find the call too dear for any block when it tries it.
        with pytest.raises((GasRefused, RpcError)):
            sender.submit("keep", "Echo", "keep", 77)
    finally:
        chain.rpc.call("evm_setBlockGasLimit", limit)
        chain.rpc.mine()
    assert sender.submit("keep", "Echo", "keep", 77).nonce == 0


def test_what_fails_in_its_block_ends_reverted_with_the_reason(
    make: Callable[..., Sender], held: Anvil, echo: Contract
) -> None:
    sender = make()
    sender.submit("keep:5", "Echo", "keep", 5)
    code = held.rpc.code(echo.address)
    # Reverts with Error("late"), whatever it is asked.
    text = (32).to_bytes(32, "big") + (4).to_bytes(32, "big") + b"late".ljust(32, b"\0")
    answer = bytes.fromhex("08c379a0") + text
    program = b"\x60" + bytes([len(answer)]) + bytes.fromhex("600c60003960") + bytes([len(answer)]) + b"\x60\x00\xfd"
    held.rpc.call("anvil_setCode", echo.address, "0x" + (program + answer).hex())
    try:
        held.rpc.mine()
        finish(sender)
    finally:
        held.rpc.call("anvil_setCode", echo.address, "0x" + code.hex())
    ended = found(sender, "keep:5")
    assert (ended.state, ended.reason) == ("reverted", "late")
    assert sender.submit("keep:5", "Echo", "keep", 5).state == "reverted"
    again = sender.submit("keep:5#2", "Echo", "keep", 5)
    finish(sender, held.rpc.mine)
    assert (again.nonce, found(sender, "keep:5#2").state) == (1, "final")


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


# --- how nodes word it ---


class Wording(Rpc):
    """A node with one answer."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__("nowhere", 1)
        self._error = error

    def call(self, method: str, *params: object) -> Any:
        if self._error is not None:
            raise self._error
        return "0x"


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("already known", Outcome.TAKEN),
        ("Known transaction", Outcome.TAKEN),
        ("AlreadyKnown", Outcome.TAKEN),
        ("known transaction: 0x12", Outcome.TAKEN),
        ("transaction already imported", Outcome.TAKEN),
        ("tx already exists in cache", Outcome.TAKEN),
        ("tx already in mempool", Outcome.TAKEN),
        ("unknown transaction", Outcome.REFUSED),
        ("unknown transaction type", Outcome.REFUSED),
        ("nonce too low", Outcome.REFUSED),
        ("replacement transaction underpriced", Outcome.REFUSED),
        ("txpool is full", Outcome.REFUSED),
    ],
)
def test_answers_to_a_sending(message: str, outcome: Outcome) -> None:
    error = RpcError("eth_sendRawTransaction", -32000, message)
    assert broadcast(Wording(error), b"\x01") == (outcome, None if outcome is Outcome.TAKEN else message)


def test_an_answer_that_does_not_come_and_one_that_does() -> None:
    assert broadcast(Wording(ConnectionFailed("timed out")), b"\x01") == (Outcome.UNKNOWN, "timed out")
    assert broadcast(Wording(None), b"\x01") == (Outcome.TAKEN, None)
