"""One contract as Python sees it: typed calls, transactions with their receipts, events by name."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chain.abi import EventAbi, FunctionAbi, decode
from chain.account import Account
from chain.artifacts import Abi
from chain.errors import ChainError, NodeFailed, Reverted, RpcError
from chain.rpc import Block, Rpc, binary, block_tag, integer

# Far above what any call needs (the dearest takes about 3 million), below every block limit in use.
GAS_LIMIT: Final = 15_000_000
RECEIPT_SECONDS: Final = 30

_ERROR_STRING: Final = bytes.fromhex("08c379a0")  # Error(string)


@dataclass(frozen=True, slots=True)
class Event:
    """A log that a contract wrote: its fields by name, and where it stands in the chain."""

    contract: str
    name: str
    fields: Mapping[str, Any]
    block: int
    log_index: int
    transaction: str

    def __getitem__(self, field: str) -> Any:
        return self.fields[field]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction. `created` is the new contract's address where it made one."""

    transaction: str
    block: int
    succeeded: bool
    gas_used: int
    created: str | None
    logs: tuple[Mapping[str, Any], ...]


class Contract:
    """A contract at an address. It keeps nothing but its ABI."""

    def __init__(self, name: str, address: str, abi: Abi, rpc: Rpc) -> None:
        self.name = name
        self.address = address.lower()
        self._rpc = rpc
        # A Vyper function with defaults stands in the ABI once for each number of arguments.
        self._functions: dict[tuple[str, int], FunctionAbi] = {}
        self._events: dict[bytes, EventAbi] = {}
        for entry in abi:
            if entry["type"] == "function":
                function = FunctionAbi(entry["name"], entry["inputs"], entry["outputs"])
                self._functions[function.name, len(function.inputs)] = function
            elif entry["type"] == "event":
                event = EventAbi(entry["name"], entry["inputs"])
                self._events[event.topic] = event

    def call(self, function: str, *arguments: object, block: Block = "latest") -> Any:
        """What a function answers as of a block, changing nothing. Raises Reverted, CannotEncode."""
        found = self._function(function, arguments)
        request = {"to": self.address, "data": "0x" + found.call_data(arguments).hex()}
        return found.answer(self._ask(found, request, block_tag(block)))

    def call_data(self, function: str, *arguments: object) -> bytes:
        """What a transaction to the contract carries to call a function. Raises CannotEncode."""
        return self._function(function, arguments).call_data(arguments)

    def read_call(self, data: bytes) -> tuple[str, list[Any]]:
        """Which of the contract's functions some call data calls, and its arguments. Raises ChainError for no such."""
        for function in self._functions.values():
            if data.startswith(function.selector):
                return function.name, decode(function.inputs, data[4:])
        raise ChainError(f"no call of a function of {self.name}")

    def transact(
        self, account: Account, function: str, *arguments: object, timestamp: int | None = None, gas: int = GAS_LIMIT
    ) -> Receipt:
        """Sends a transaction and waits for its receipt.

        `timestamp` (UTC epoch seconds) fixes the block's time, on a local chain only. Raises Reverted with the
        contract's reason, CannotEncode, and RpcError where the node does not take the transaction.
        """
        found = self._function(function, arguments)
        data = found.call_data(arguments)
        if timestamp is not None:
            self._rpc.set_next_timestamp(timestamp)
        receipt = await_receipt(self._rpc, account.send(data, gas, self.address))
        if not receipt.succeeded:
            request = {"from": account.address, "to": self.address, "data": "0x" + data.hex(), "gas": hex(gas)}
            raise Reverted(self.name, function, failure_reason(self._rpc, request, receipt))
        return receipt

    def events(
        self, from_block: Block = "earliest", to_block: Block = "latest", name: str | None = None
    ) -> list[Event]:
        """The contract's events in a range of blocks, both ends included, in chain order; all, or those of one name."""
        found = self._read(self._rpc.logs([self.address], from_block, to_block))
        return [event for event in found if name is None or event.name == name]

    def events_in(self, receipt: Receipt, name: str | None = None) -> list[Event]:
        """This contract's events in one transaction; all, or those of one name."""
        return [event for event in self._read(receipt.logs) if name is None or event.name == name]

    def _function(self, name: str, arguments: tuple[object, ...]) -> FunctionAbi:
        try:
            return self._functions[name, len(arguments)]
        except KeyError:
            raise ChainError(f"{self.name} has no function {name} with {len(arguments)} arguments") from None

    def _ask(self, function: FunctionAbi, request: Mapping[str, str], block: str) -> bytes:
        try:
            return binary(self._rpc.call("eth_call", request, block))
        except RpcError as error:
            reason = revert_reason(error)
            if reason is None:
                raise
            raise Reverted(self.name, function.name, reason) from error

    def _read(self, logs: Iterable[Mapping[str, Any]]) -> list[Event]:
        events = []
        for log in logs:
            topics = [binary(topic) for topic in log["topics"]]
            event = self._events.get(topics[0]) if topics else None
            if event is None or log["address"].lower() != self.address:
                continue
            fields = event.fields(topics, binary(log["data"]))
            place = integer(log["blockNumber"]), integer(log["logIndex"])
            events.append(Event(self.name, event.name, fields, *place, log["transactionHash"]))
        return events


def await_receipt(rpc: Rpc, transaction: str) -> Receipt:
    """The receipt of a transaction, once it is in a block. Raises NodeFailed when that takes too long."""
    deadline = time.monotonic() + RECEIPT_SECONDS
    pause = 0.0005
    while (found := rpc.call("eth_getTransactionReceipt", transaction)) is None:
        if time.monotonic() > deadline:
            raise NodeFailed(f"transaction {transaction} is in no block after {RECEIPT_SECONDS} s")
        time.sleep(pause)
        pause = min(pause * 2, 0.5)
    return read_receipt(found)


def read_receipt(found: Mapping[str, Any]) -> Receipt:
    """A receipt as the node gives it."""
    return Receipt(
        transaction=found["transactionHash"],
        block=integer(found["blockNumber"]),
        succeeded=integer(found["status"]) == 1,
        gas_used=integer(found["gasUsed"]),
        created=found.get("contractAddress"),
        logs=tuple(found["logs"]),
    )


def failure_reason(rpc: Rpc, request: Mapping[str, str], receipt: Receipt) -> str:
    """Why a mined transaction failed: as traced by the node, else by asking again (`request`, as of eth_call) what it
    asked."""
    try:
        trace = rpc.call("debug_traceTransaction", receipt.transaction, {"tracer": "callTracer"})
        return reason_in(binary(trace.get("output") or "0x")) or str(trace.get("revertReason") or "")
    except RpcError:
        pass  # few nodes trace; on the parent's state the answer is the same unless the block had another's call
    try:
        rpc.call("eth_call", request, block_tag(receipt.block - 1))
    except RpcError as error:
        reason = revert_reason(error)
        if reason is not None:
            return reason
    return "out of gas" if receipt.gas_used >= integer(request["gas"]) else ""


def revert_reason(error: RpcError) -> str | None:
    """The contract's own text in a node's refusal ("" where it gave none); None where no contract refused."""
    if isinstance(error.data, str) and error.data.startswith("0x"):
        return reason_in(binary(error.data))
    return "" if "revert" in error.message else None


def reason_in(data: bytes) -> str:
    """The text in what a reverting call returned; data of another form as hex."""
    if data.startswith(_ERROR_STRING):
        try:
            text: str = decode([{"name": "reason", "type": "string"}], data[4:])[0]
            return text
        except ChainError:
            pass
    return "0x" + data.hex() if data else ""
