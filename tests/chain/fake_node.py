"""A chain that the tests write by hand: a tree of blocks with logs of real events, and nodes that show parts of it.

`FakeNode.call` answers what following asks. Behind it stand several backends, as behind a load balancer: each call is
answered by the next of `views`, the newest block that this backend knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from eth_hash.auto import keccak

from chain import abi, artifacts
from chain.deployment import Deployed, DeploymentRecord
from chain.errors import RpcError
from chain.rpc import Rpc
from settlement.hashing import Hash32

CHAIN_ID = 8217
CONTRACTS = (
    "MemberRegistry",
    "RevenueFlows",
    "TradeBook",
    "AllocationOracle",
    "Settlement",
    "SettlementEscrow",
    "ObligationLedger",
    "DepositToken",
)
ADDRESSES = {name: f"0x{place:040x}" for place, name in enumerate(CONTRACTS, 0xC0)}
ERA = 1_767_225_600

_EVENTS = {
    (name, entry["name"]): entry for name in CONTRACTS for entry in artifacts.load(name).abi if entry["type"] == "event"
}


def word(number: int) -> Hash32:
    return number.to_bytes(32, "big")


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


@dataclass(frozen=True, slots=True)
class FakeLog:
    """A log of a contract of the market."""

    contract: str
    name: str
    topics: tuple[bytes, ...] = field(repr=False)
    data: bytes = field(repr=False)


def log_of(contract: str, name: str, **fields: object) -> FakeLog:
    """A log with these fields; those not given are 0."""
    inputs = _EVENTS[contract, name]["inputs"]
    values = {entry["name"]: fields.pop(entry["name"], _zero(entry)) for entry in inputs}
    assert not fields, f"{name} has no {', '.join(fields)}"
    signature = abi.EventAbi(name, inputs).topic
    indexed = [abi.encode([entry], [values[entry["name"]]]) for entry in inputs if entry["indexed"]]
    plain = [entry for entry in inputs if not entry["indexed"]]
    return FakeLog(contract, name, (signature, *indexed), abi.encode(plain, [values[entry["name"]] for entry in plain]))


def _zero(parameter: Mapping[str, Any]) -> object:
    kind: str = parameter["type"]
    if kind.endswith("]"):
        return []
    if kind == "tuple":
        return [_zero(component) for component in parameter["components"]]
    if kind == "string":
        return ""
    if kind == "address":
        return "0x" + "00" * 20
    if kind == "bool":
        return False
    return bytes(32 if kind == "bytes32" else 0) if kind.startswith("bytes") else 0


@dataclass(frozen=True, slots=True)
class FakeBlock:
    """A block; `parent` is None for the genesis block."""

    number: int
    hash: bytes
    parent: FakeBlock | None = field(repr=False)
    time: int
    logs: tuple[FakeLog, ...] = ()

    def path(self) -> Iterator[FakeBlock]:
        """This block and those below it, downwards."""
        block: FakeBlock | None = self
        while block is not None:
            yield block
            block = block.parent

    def at(self, number: int) -> FakeBlock | None:
        """The block of this number in the chain that ends here."""
        return next((block for block in self.path() if block.number == number), None)


class FakeChain:
    """Every block that there ever was, and `head`, the newest of the chain that counts."""

    def __init__(self, genesis_text: str = "genesis") -> None:
        self._salts = count(1)
        genesis = FakeBlock(0, keccak(genesis_text.encode()), None, ERA)
        self.blocks = {genesis.hash: genesis}
        self.head = genesis

    def extend(self, *logs: Sequence[FakeLog]) -> FakeBlock:
        """A block with each of these lists of logs; returns the last."""
        for each in logs:
            self.head = self._child(self.head, tuple(each))
        return self.head

    def fork(self, depth: int, *logs: Sequence[FakeLog]) -> FakeBlock:
        """The newest `depth` blocks no longer count; others with these logs do, as many as there are lists."""
        kept = self.head.at(self.head.number - depth)
        assert kept is not None
        self.head = kept
        return self.extend(*logs)

    def _child(self, parent: FakeBlock, logs: tuple[FakeLog, ...]) -> FakeBlock:
        made = FakeBlock(
            parent.number + 1, keccak(parent.hash + word(next(self._salts))), parent, parent.time + 5, logs
        )
        self.blocks[made.hash] = made
        return made

    def record(self) -> DeploymentRecord:
        """The deployment that the logs' contracts are of."""
        genesis = self.head.at(0)
        assert genesis is not None
        return DeploymentRecord(
            market="fake",
            market_id=word(77),
            chain_id=CHAIN_ID,
            genesis_hash=genesis.hash,
            block=0,
            evm="london",
            vyper="0",
            contracts={name: Deployed(address, "00" * 32) for name, address in ADDRESSES.items()},
            config={},
            config_digest=bytes(32),
            members={},
            templates={},
        )


class FakeNode(Rpc):
    """Answers about a chain. `views` are the heads of the backends that answer the next calls; then it is the head."""

    def __init__(self, chain: FakeChain) -> None:
        super().__init__("127.0.0.1", 1)
        self.chain = chain
        self.views: list[FakeBlock] = []
        self.finalized: int | None = None
        self.most_logs = 10_000
        self.asked: list[tuple[str, Any]] = []

    def call(self, method: str, *params: object) -> Any:
        self.asked.append((method, params))
        view = self.views.pop(0) if self.views else self.chain.head
        answer = getattr(self, "_" + method)
        return answer(view, *params)

    def _eth_chainId(self, view: FakeBlock) -> str:  # noqa: N802
        return hex(CHAIN_ID)

    def _eth_getBlockByNumber(self, view: FakeBlock, tag: str, _: bool) -> Any:  # noqa: N802
        if tag == "finalized":
            if self.finalized is None:
                raise RpcError("eth_getBlockByNumber", -39001, "unknown block")
            return _header(view.at(self.finalized))
        return _header(view if tag == "latest" else view.at(int(tag, 16)))

    def _eth_getBlockByHash(self, view: FakeBlock, block_hash: str, _: bool) -> Any:  # noqa: N802
        return _header(self._known(view, block_hash))

    def _eth_getLogs(self, view: FakeBlock, wanted: dict[str, Any]) -> Any:  # noqa: N802
        if "blockHash" in wanted:
            block = self._known(view, wanted["blockHash"])
            if block is None:
                raise RpcError("eth_getLogs", -32000, "unknown block")
            return _logs(block)
        # What it does not know of a range it passes over in silence.
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        found = [block for block in reversed(list(view.path())) if first <= block.number <= last]
        logs = [log for block in found for log in _logs(block)]
        if len(logs) > self.most_logs:
            raise RpcError("eth_getLogs", -32005, "query returned more than the allowed number of results")
        return logs

    def _known(self, view: FakeBlock, block_hash: str) -> FakeBlock | None:
        return next((block for block in view.path() if hexed(block.hash) == block_hash), None)


def _header(block: FakeBlock | None) -> Any:
    if block is None:
        return None
    return {
        "number": hex(block.number),
        "hash": hexed(block.hash),
        "parentHash": hexed(block.parent.hash if block.parent else bytes(32)),
        "timestamp": hex(block.time),
    }


def _logs(block: FakeBlock) -> list[dict[str, Any]]:
    return [
        {
            "address": ADDRESSES[log.contract],
            "topics": [hexed(topic) for topic in log.topics],
            "data": hexed(log.data),
            "blockNumber": hex(block.number),
            "blockHash": hexed(block.hash),
            "transactionHash": hexed(keccak(block.hash + word(index))),
            "logIndex": hex(index),
        }
        for index, log in enumerate(block.logs)
    ]
