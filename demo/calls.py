"""What was sent to the market's contracts: every transaction that left an event, decoded, with the gas that it used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chain import artifacts
from chain.abi import FunctionAbi, decode
from chain.deployment import DeploymentRecord
from chain.evidence import Event
from chain.rpc import Rpc, binary, integer

SELECTOR = 4


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to one contract: its arguments by name, who sent it (0x address), what gas it used."""

    contract: str
    function: str
    arguments: Mapping[str, Any]
    sender: str
    gas_used: int

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]


def read_calls(rpc: Rpc, record: DeploymentRecord, events: Iterable[Event]) -> dict[str, Call]:
    """The calls behind events, by transaction hash, in the order of the chain; deployments are none."""
    names = {made.address: name for name, made in record.contracts.items()}
    functions: dict[tuple[str, bytes], FunctionAbi] = {}
    for name in record.contracts:
        for entry in artifacts.load(name).abi:
            if entry["type"] == "function":
                function = FunctionAbi(entry["name"], entry["inputs"], entry["outputs"])
                functions[name, function.selector] = function
    calls = {}
    for transaction in dict.fromkeys(event.transaction for event in events):
        sent = rpc.call("eth_getTransactionByHash", transaction)
        contract = names.get((sent["to"] or "").lower())
        if contract is None:
            continue
        data = binary(sent["input"])
        function = functions[contract, data[:SELECTOR]]
        values = decode(function.inputs, data[SELECTOR:])
        arguments = {parameter["name"]: value for parameter, value in zip(function.inputs, values, strict=True)}
        gas_used = integer(rpc.call("eth_getTransactionReceipt", transaction)["gasUsed"])
        calls[transaction] = Call(contract, function.name, arguments, sent["from"].lower(), gas_used)
    return calls
