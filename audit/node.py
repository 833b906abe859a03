"""The chain of an audit: a node behind JSON-RPC and the contracts of a deployment record."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

from chain.contract import Contract
from chain.deployment import DeploymentRecord
from chain.evidence import Event
from chain.rpc import Rpc, binary
from settlement.hashing import Hash32


class NodeChain:
    """Answers from a node, about the contracts of `record`."""

    def __init__(self, record: DeploymentRecord, rpc: Rpc) -> None:
        self._rpc = rpc
        self._contracts: dict[str, Contract] = record.connect(rpc)
        self._time = cache(rpc.timestamp)

    @cached_property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._rpc.chain_id()

    @cached_property
    def genesis_hash(self) -> Hash32:
        """The hash of block 0."""
        return binary(self._rpc.block(0)["hash"])

    def events(self) -> Sequence[Event]:
        """All events of all contracts, in chain order."""
        found = [event for contract in self._contracts.values() for event in contract.events()]
        found.sort(key=lambda event: (event.block, event.log_index))
        return [
            Event(event.contract, event.name, event.fields, event.transaction, self._time(event.block))
            for event in found
        ]

    def view(self, contract: str, function: str, *arguments: Any) -> Any:
        """What a view answers at the newest block."""
        return self._contracts[contract].call(function, *arguments)

    def code(self, address: str, block: int | None = None) -> bytes:
        """The code at an address, at the newest block or an older one."""
        return self._rpc.code(address, "latest" if block is None else block)
