"""Calls, transactions and events against a real chain."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from chain.account import Account
from chain.contract import Contract, Event
from chain.errors import CannotEncode, ChainError, Reverted, RpcError
from chain.node import Anvil
from tests.chain.conftest import PARTNER

TAG = bytes(range(32))


@dataclass(frozen=True)
class Inner:
    tag: bytes
    amounts: tuple[int, ...]


@dataclass(frozen=True)
class Outer:
    owner: str
    inner: Inner
    list: tuple[Inner, ...]
    note: str


AS_DATACLASS = Outer(PARTNER, Inner(TAG, (1, 2)), (Inner(TAG, ()),), "hello")
AS_DICT = {
    "note": "hello",
    "list": [{"amounts": [], "tag": TAG}],
    "inner": {"tag": TAG, "amounts": [1, 2]},
    "owner": PARTNER,
}
AS_TUPLE = (PARTNER, (TAG, [1, 2]), [(TAG, [])], "hello")
MIXED = (PARTNER, Inner(TAG, (1, 2)), [{"tag": TAG, "amounts": []}], "hello")


@pytest.mark.parametrize("value", [AS_DATACLASS, AS_DICT, AS_TUPLE, MIXED])
def test_structs_go_in_by_name_or_place_and_come_out_by_name(echo: Contract, value: object) -> None:
    assert echo.call("echo", value) == AS_DICT


def test_several_answers_come_as_a_tuple(echo: Contract) -> None:
    assert echo.call("partner") == (PARTNER, 5)


def test_transaction_receipt_and_nonce(echo: Contract, sender: Account) -> None:
    before = sender.nonce
    receipt = echo.transact(sender, "keep", 11)
    assert receipt.succeeded
    assert 21_000 < receipt.gas_used < 70_000
    assert receipt.created is None
    assert sender.nonce == before + 1
    assert echo.call("kept") == 11


def test_a_call_sees_the_block_that_it_asks_for(echo: Contract, sender: Account) -> None:
    first = echo.transact(sender, "keep", 21)
    second = echo.transact(sender, "keep", 22)
    assert echo.call("kept", block=first.block) == 21
    assert echo.call("kept", block=second.block) == echo.call("kept") == 22


def test_time_of_a_transaction(echo: Contract, sender: Account, chain: Anvil) -> None:
    wanted = chain.rpc.timestamp() + 86_400
    receipt = echo.transact(sender, "keep", 1, timestamp=wanted)
    assert chain.rpc.timestamp(receipt.block) == wanted


def test_revert_has_the_contracts_reason(echo: Contract, sender: Account) -> None:
    before = sender.nonce
    for refused in (lambda: echo.transact(sender, "keep", 100), lambda: echo.call("keep", 100)):
        with pytest.raises(Reverted, match=r"^Echo\.keep: Echo: too large$") as caught:
            refused()
        assert (caught.value.contract, caught.value.function, caught.value.reason) == (
            "Echo",
            "keep",
            "Echo: too large",
        )
    assert sender.nonce == before + 1  # a transaction that reverts is in a block all the same
    assert echo.transact(sender, "keep", 3).succeeded


def test_reason_from_a_node_that_does_not_trace(
    echo: Contract, sender: Account, chain: Anvil, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = chain.rpc.call

    def without_trace(method: str, *params: object) -> object:
        if method.startswith("debug_"):
            raise RpcError(method, -32601, "method not found")
        return ask(method, *params)

    monkeypatch.setattr(chain.rpc, "call", without_trace)
    with pytest.raises(Reverted, match="Echo: too large"):
        echo.transact(sender, "keep", 100)
    with pytest.raises(Reverted, match="reverted without a reason"):
        echo.transact(sender, "fail_silently")


def test_revert_without_a_reason(echo: Contract, sender: Account) -> None:
    for refused in (lambda: echo.transact(sender, "fail_silently"), lambda: echo.call("fail_silently")):
        with pytest.raises(Reverted, match="reverted without a reason") as caught:
            refused()
        assert caught.value.reason == ""


def test_a_transaction_that_the_node_refuses_uses_no_nonce(echo: Contract, sender: Account) -> None:
    before = sender.nonce
    with pytest.raises(RpcError, match="eth_sendRawTransaction"):
        echo.transact(sender, "keep", 1, gas=20_000)
    assert sender.nonce == before
    assert echo.transact(sender, "keep", 1).succeeded


def test_two_senders_do_not_meet(echo: Contract, chain: Anvil, sender: Account) -> None:
    other = Account(b"\x02" * 32, chain.rpc)
    assert other.nonce == 0
    assert other.address != sender.address
    assert echo.transact(other, "keep", 9).succeeded
    assert Account(b"\x02" * 32, chain.rpc).nonce == 1  # another object for the same key asks the chain


def test_events(echo: Contract, sender: Account, chain: Anvil) -> None:
    first = echo.transact(sender, "say", AS_DATACLASS)
    echo.transact(sender, "keep", 1)
    second = echo.transact(sender, "say", AS_DICT, 2**200)
    (event,) = echo.events_in(second)
    assert isinstance(event, Event)
    assert (event.contract, event.name, event.block, event.log_index) == ("Echo", "Said", second.block, 0)
    assert event.transaction == second.transaction
    assert list(event.fields) == ["speaker", "topic", "told", "big"]
    assert (event["speaker"], event["told"], event["big"]) == (sender.address, AS_DICT, 2**200)
    assert [found["big"] for found in echo.events(first.block, second.block)] == [7, 2**200]
    assert echo.events(second.block) == [event]
    assert echo.events(first.block, first.block, "Said") == echo.events_in(first, "Said")
    assert echo.events(first.block, name="Other") == []


def test_events_of_other_contracts_are_left_out(echo: Contract, sender: Account) -> None:
    receipt = echo.transact(sender, "say", AS_DICT)
    elsewhere = Contract("Echo", PARTNER, [], echo._rpc)
    assert elsewhere.events_in(receipt) == []


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("keep", (-1,), "number: "),
        ("keep", ("1",), "number: "),
        ("keep", (2**256,), "number: "),
        ("echo", ((PARTNER, (TAG, []), []),), "told: 4 fields are wanted: owner, inner, list, note"),
        ("echo", ((PARTNER, (TAG, 5), [], ""),), "amounts: a list is wanted, not int"),
        ("echo", ((PARTNER, (TAG, []), [Outer], ""),), "list: 2 fields are wanted: tag, amounts"),
        ("echo", (Inner(TAG, ()),), "told: Inner lacks a field"),
        ("echo", ({"owner": 1, "inner": 2, "list": 3, "other": 4},), "told: dict lacks a field: 'note'"),
        ("echo", (AS_DICT | {"more": 1},), "told: fields"),
        ("echo", ((PARTNER, (TAG + b"x", []), [], ""),), "told: "),
        ("echo", (("0x12", (TAG, []), [], ""),), "told: "),
    ],
)
def test_values_that_do_not_fit_are_named(
    echo: Contract, function: str, arguments: tuple[object, ...], message: str
) -> None:
    with pytest.raises(CannotEncode) as caught:
        echo.call(function, *arguments)
    assert str(caught.value).startswith(message)


def test_unknown_function(echo: Contract) -> None:
    with pytest.raises(ChainError, match="Echo has no function keep with 2 arguments"):
        echo.call("keep", 1, 2)
