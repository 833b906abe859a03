"""JSON-RPC to one Ethereum node over one kept connection, and the clock of a local chain."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from chain.errors import ConnectionFailed, RpcError

TIMEOUT_SECONDS: Final = 60

Block = int | str  # a number, or "latest", "safe", "finalized", "earliest", "pending"


class Rpc:
    """Calls to one node, one at a time: an instance belongs to one thread."""

    def __init__(self, host: str, port: int, path: str = "/", timeout: float = TIMEOUT_SECONDS) -> None:
        """Nothing is sent before the first call."""
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        self._path = path
        self._count = 0

    @classmethod
    def at(cls, url: str, timeout: float = TIMEOUT_SECONDS) -> Rpc:
        """The node at an http URL. ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"a node's address must be http://host:port, not {url!r}")
        return cls(parts.hostname, parts.port or 80, parts.path or "/", timeout)

    def call(self, method: str, *params: object) -> Any:
        """The result of one call. Raises RpcError for a node's refusal, ConnectionFailed where none answers."""
        self._count += 1
        request = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params}
        answer = self._post(json.dumps(request).encode())
        if not isinstance(answer, dict) or answer.get("id") != self._count:
            raise ConnectionFailed(f"{method}: the answer belongs to no call of ours")
        error = answer.get("error")
        if error is not None:
            raise RpcError(method, int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
        return answer.get("result")

    def close(self) -> None:
        """Closes the connection; the next call opens another."""
        self._connection.close()

    def chain_id(self) -> int:
        """The chain's id."""
        return integer(self.call("eth_chainId"))

    def block_number(self) -> int:
        """The newest block's number."""
        return integer(self.call("eth_blockNumber"))

    def block(self, number: Block = "latest") -> dict[str, Any]:
        """A block's header fields as the node gives them. Raises RpcError where there is none."""
        found = self.block_at(number)
        if found is None:
            raise RpcError("eth_getBlockByNumber", 0, f"no block {number}")
        return found

    def block_at(self, number: Block) -> dict[str, Any] | None:
        """The same; None where the node does not know it (yet)."""
        found: dict[str, Any] | None = self.call("eth_getBlockByNumber", block_tag(number), False)
        return found

    def block_of(self, block_hash: str) -> dict[str, Any] | None:
        """The header fields of the block with a hash; None where the node does not know it (any more)."""
        found: dict[str, Any] | None = self.call("eth_getBlockByHash", block_hash, False)
        return found

    def timestamp(self, number: Block = "latest") -> int:
        """A block's time, UTC epoch seconds."""
        return integer(self.block(number)["timestamp"])

    def code(self, address: str, block: Block = "latest") -> bytes:
        """The code at an address, empty where there is none."""
        return binary(self.call("eth_getCode", address, block_tag(block)))

    def logs(
        self, addresses: Sequence[str], from_block: Block = "earliest", to_block: Block = "latest"
    ) -> list[dict[str, Any]]:
        """Every log of these contracts in a range of blocks, both ends included, in chain order."""
        wanted = {"address": list(addresses), "fromBlock": block_tag(from_block), "toBlock": block_tag(to_block)}
        found: list[dict[str, Any]] = self.call("eth_getLogs", wanted)
        return found

    def logs_of(self, addresses: Sequence[str], block_hash: str) -> list[dict[str, Any]]:
        """Every log of these contracts in the block with a hash, in order; RpcError where the node does not know it."""
        found: list[dict[str, Any]] = self.call("eth_getLogs", {"address": list(addresses), "blockHash": block_hash})
        return found

    # --- a local chain's clock ---

    def set_next_timestamp(self, timestamp: int) -> None:
        """Fixes the next block's time (UTC epoch seconds), which must not be before the newest block's."""
        self.call("evm_setNextBlockTimestamp", timestamp)

    def stop_clock(self) -> None:
        """From now on a block's time is its parent's, unless it is fixed: what runs twice runs alike."""
        self.call("anvil_setBlockTimestampInterval", 0)

    def mine(self, blocks: int = 1, timestamp: int | None = None) -> None:
        """Mines empty blocks, all with the time `timestamp`, or the newest block's."""
        if timestamp is not None:
            self.set_next_timestamp(timestamp)
        self.call("anvil_mine", hex(blocks))

    def _post(self, body: bytes) -> Any:
        kept = self._connection.sock is not None
        try:
            try:
                raw = self._exchange(body)
            except (ConnectionError, http.client.HTTPException):
                # The node closes a connection that was idle. A call sent twice does no harm: it only reads, or it
                # is a signed transaction, which counts once.
                self._connection.close()
                if not kept:
                    raise
                raw = self._exchange(body)
            return json.loads(raw)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            where = f"{self._connection.host}:{self._connection.port}"
            raise ConnectionFailed(f"no answer from the node at {where}: {error}") from error

    def _exchange(self, body: bytes) -> bytes:
        self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        raw = response.read()
        if response.status != 200:
            raise ConnectionFailed(f"the node answers with HTTP {response.status}: {raw[:200]!r}")
        return raw


def integer(quantity: str) -> int:
    """A JSON-RPC quantity."""
    return int(quantity, 16)


def binary(data: str) -> bytes:
    """JSON-RPC bytes."""
    return bytes.fromhex(data.removeprefix("0x"))


def block_tag(block: Block) -> str:
    """A block as JSON-RPC names it."""
    return hex(block) if isinstance(block, int) else block
