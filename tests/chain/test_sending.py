"""The sender on a real chain: what it sends, what it refuses, how it reads a node's answers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from chain.account import GAS_PRICE, Account, SigningKey, gas_price_of, hash_of
from chain.broadcast import Outcome, broadcast
from chain.contract import Contract, await_receipt
from chain.errors import (
    CannotEncode,
    ConnectionFailed,
    GasRefused,
    Reverted,
    RpcError,
    SenderHeld,
    WrongChain,
)
from chain.network import Fees, NetworkProfile
from chain.node import CHAIN_ID, Anvil
from chain.rpc import Rpc, integer
from chain.sending import Sender
from tests.chain.conftest import PARTNER
from tests.chain.senders import NOW, calls, database, finish, found, held, key, make

__all__ = ["database", "held", "key", "make"]  # fixtures


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


def test_gas_is_twice_the_estimate_and_no_more_than_the_cap(make: Callable[..., Sender], chain: Anvil) -> None:
    sender = make()
    first = sender.submit("keep:1", "Echo", "keep", 1)
    finish(sender)
    request = {"from": sender.address, "to": first.target, "data": "0x" + first.data.hex()}
    estimate = integer(chain.rpc.call("eth_estimateGas", request))
    assert sender.submit("again", "Echo", "keep", 1).gas == 2 * estimate
    assert make(NetworkProfile(CHAIN_ID, gas_cap=estimate)).submit("capped", "Echo", "keep", 1).gas == estimate


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
