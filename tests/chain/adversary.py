"""An adversarial node in this process, and processes that die: what the sender's tests put it up against.

The node has a chain, a pool and a limbo of messages under way; it loses, delays, repeats, lies about and forgets what
it is sent, answers from old states, takes blocks back. It keeps every byte that ever reached it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coincurve import PublicKey
from eth_hash.auto import keccak
from rlp import decode as rlp_decode
from rlp import encode as rlp_encode
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from chain.errors import ConnectionFailed, RpcError
from chain.rpc import Rpc
from store.database import Database

CHAIN_ID = 8217
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""Where to keep databases of thousands of commits, none of which has to outlive the power."""
FAILS_ON_CHAIN = 90
"""Calls with this number or a higher one are fine when tried and fail in their block."""
REFUSED = 100
"""Calls with this number or a higher one are refused when tried."""


@dataclass(frozen=True)
class Sent:
    """A signed transaction as the node reads it; `number` is the argument of the call."""

    raw: bytes
    hash: str
    sender: str
    nonce: int
    number: int

    @classmethod
    def read(cls, raw: bytes) -> Sent:
        nonce, price, gas, to, value, data, v, r, s = rlp_decode(raw)
        parity = int.from_bytes(v, "big") - 35 - 2 * CHAIN_ID
        unsigned = rlp_encode([nonce, price, gas, to, value, data, CHAIN_ID, 0, 0])
        signature = r.rjust(32, b"\0") + s.rjust(32, b"\0") + bytes([parity])
        public = PublicKey.from_signature_and_message(signature, unsigned, hasher=keccak)
        sender = "0x" + keccak(public.format(compressed=False)[1:])[12:].hex()
        return cls(
            raw, "0x" + keccak(raw).hex(), sender, int.from_bytes(nonce, "big"), int.from_bytes(data[4:36], "big")
        )


@dataclass(frozen=True)
class Block:
    number: int
    hash: str
    transactions: tuple[Sent, ...]


class AdversarialNode:
    """The node. Its faults are set from outside and used up one by one."""

    def __init__(self) -> None:
        self._salt = 0  # so that a block that comes twice has another hash
        self.blocks = [self._block(())]
        self.pool: dict[str, Sent] = {}
        self.limbo: list[bytes] = []
        self.received: list[Sent] = []
        self.on_send: deque[str] = deque()  # a fault for each of the next messages
        self.silent = 0  # so many calls get no answer
        self.behind: deque[int] = deque()  # so many blocks behind are the next answers
        self.at_next_trial: Callable[[], None] | None = None  # what happens while a call is tried
        self.at_arrival: Callable[[Sent], None] = lambda sent: None

    # --- what happens to the chain ---

    def mine(self, blocks: int = 1) -> None:
        """New blocks with all that the pool has in the right order of nonces."""
        for _ in range(blocks):
            self.blocks.append(self._block(tuple(self._executable())))
            for sent in self.blocks[-1].transactions:
                self.pool.pop(sent.hash)

    def reorganise(self, depth: int, *, forget: bool) -> None:
        """The last blocks give way to as many others; what was in them returns to the pool or is forgotten."""
        depth = min(depth, len(self.blocks) - 1)
        gone = [sent for block in self.blocks[len(self.blocks) - depth :] for sent in block.transactions]
        self.blocks = self.blocks[: len(self.blocks) - depth]
        for _ in range(depth):
            self.blocks.append(self._block(()))
        if not forget:
            for sent in gone:
                self._take(sent)

    def restart(self) -> None:
        """The pool is lost."""
        self.pool.clear()

    def deliver(self) -> None:
        """What was under way arrives; whoever sent it waits no longer for an answer."""
        arrived, self.limbo = self.limbo, []
        for raw in arrived:
            with suppress(RpcError):
                self._arrive(raw)

    def behave(self) -> None:
        """No more faults."""
        self.deliver()
        self.on_send.clear()
        self.behind.clear()
        self.silent = 0
        self.at_next_trial = None

    def accept(self, raw: bytes) -> str:
        """Puts bytes of somebody else's into the pool in the place of what has their nonce; their hash."""
        sent = Sent.read(raw)
        self.pool = {digest: one for digest, one in self.pool.items() if one.nonce != sent.nonce}
        self._take(sent)
        return sent.hash

    def used(self, sender: str) -> int:
        """How many transactions of a sender the chain has."""
        return self._count(self.blocks, sender)

    def canonical(self) -> Iterator[tuple[Block, Sent]]:
        """Every transaction in the chain."""
        for block in self.blocks:
            for sent in block.transactions:
                yield block, sent

    def is_final(self, number: int, block_hash: str) -> bool:
        """Blocks of depth 3 stay: the tests take back no more than 3."""
        return number + 3 <= self.blocks[-1].number and self.blocks[number].hash == block_hash

    # --- JSON-RPC ---

    def answer(self, method: str, *params: Any) -> Any:
        if self.silent > 0:
            self.silent -= 1
            raise ConnectionFailed("no answer from the node")
        if method == "eth_sendRawTransaction":
            return self._send(bytes.fromhex(params[0][2:]))
        view = self.blocks[: max(1, len(self.blocks) - (self.behind.popleft() if self.behind else 0))]
        match method:
            case "eth_chainId":
                return hex(CHAIN_ID)
            case "eth_blockNumber":
                return hex(view[-1].number)
            case "eth_getBlockByNumber":
                return self._header(view, params[0])
            case "eth_getTransactionCount":
                seen = view if params[1] in ("latest", "pending") else view[: int(params[1], 16) + 1]
                return hex(self._count(seen, params[0]))
            case "eth_call":
                if self.at_next_trial is not None:
                    happening, self.at_next_trial = self.at_next_trial, None
                    happening()
                return self._try(params[0], params[1])
            case "eth_estimateGas":
                return hex(60_000)
            case "eth_getTransactionReceipt":
                return self._receipt(view, params[0])
            case "eth_getTransactionByHash":
                mined = any(sent.hash == params[0] for block in view for sent in block.transactions)
                return {"hash": params[0]} if mined or params[0] in self.pool else None
        raise RpcError(method, -32601, "the method does not exist")

    def _send(self, raw: bytes) -> str:
        fault = self.on_send.popleft() if self.on_send else "none"
        match fault:
            case "no answer, not taken":
                raise ConnectionFailed("timed out")
            case "no answer, taken":
                with suppress(RpcError):
                    self._arrive(raw)
                raise ConnectionFailed("timed out")
            case "no answer, mined":
                with suppress(RpcError):
                    self._arrive(raw)
                self.mine()
                raise ConnectionFailed("timed out")
            case "no answer, late":
                self.limbo.append(raw)
                raise ConnectionFailed("timed out")
            case "answered, lost":
                return Sent.read(raw).hash
            case "arrives twice":
                with suppress(RpcError):
                    self._arrive(raw)
            case "arrives twice, mined between":
                with suppress(RpcError):
                    self._arrive(raw)
                self.mine()
            case "pool full":
                raise RpcError("eth_sendRawTransaction", -32000, "txpool is full")
            case "says used":
                raise RpcError("eth_sendRawTransaction", -32000, "nonce too low")
            case "says unknown":
                raise RpcError("eth_sendRawTransaction", -32000, "unknown transaction type")
        return self._arrive(raw)

    def _arrive(self, raw: bytes) -> str:
        sent = Sent.read(raw)
        self.received.append(sent)
        self.at_arrival(sent)
        self._take(sent)
        return sent.hash

    def _take(self, sent: Sent) -> None:
        if sent.hash in self.pool:
            raise RpcError("eth_sendRawTransaction", -32000, "already known")
        if sent.nonce < self._count(self.blocks, sent.sender):
            raise RpcError("eth_sendRawTransaction", -32000, "nonce too low")
        if any((other.sender, other.nonce) == (sent.sender, sent.nonce) for other in self.pool.values()):
            raise RpcError("eth_sendRawTransaction", -32000, "replacement transaction underpriced")
        self.pool[sent.hash] = sent

    def _executable(self) -> Iterator[Sent]:
        counts: dict[str, int] = {}
        for sent in sorted(self.pool.values(), key=lambda one: one.nonce):
            if sent.nonce == counts.setdefault(sent.sender, self._count(self.blocks, sent.sender)):
                counts[sent.sender] += 1
                yield sent

    def _block(self, transactions: tuple[Sent, ...]) -> Block:
        self._salt += 1
        return Block(len(self.blocks) if self._salt > 1 else 0, "0x" + keccak(b"%d" % self._salt).hex(), transactions)

    @staticmethod
    def _count(view: list[Block], sender: str) -> int:
        return sum(sent.sender == sender for block in view for sent in block.transactions)

    @staticmethod
    def _header(view: list[Block], tag: str) -> dict[str, Any] | None:
        number = view[-1].number if tag == "latest" else int(tag, 16)
        if number >= len(view):
            return None
        block = view[number]
        inside = [{"hash": one.hash, "from": one.sender, "nonce": hex(one.nonce)} for one in block.transactions]
        return {"number": hex(number), "hash": block.hash, "gasLimit": hex(30_000_000), "transactions": inside}

    @staticmethod
    def _try(request: dict[str, str], block: str) -> str:
        number = int(request["data"][10:74], 16)
        if number >= (REFUSED if block == "latest" else FAILS_ON_CHAIN):
            reason = b"Echo: too large"
            text = (32).to_bytes(32, "big") + len(reason).to_bytes(32, "big") + reason.ljust(32, b"\0")
            raise RpcError("eth_call", 3, "execution reverted", "0x08c379a0" + text.hex())
        return "0x" + "00" * 32

    @staticmethod
    def _receipt(view: list[Block], digest: str) -> dict[str, Any] | None:
        for block in view:
            for sent in block.transactions:
                if sent.hash == digest:
                    return {
                        "transactionHash": digest,
                        "blockNumber": hex(block.number),
                        "blockHash": block.hash,
                        "status": hex(sent.number < FAILS_ON_CHAIN),
                        "gasUsed": hex(50_000),
                        "logs": [],
                    }
        return None


class Killed(BaseException):
    """The process is gone: nothing that it would have done next happens."""


@dataclass
class Fuse:
    """Counts the boundaries that are passed, and breaks at one of them; `strike` is what happens there."""

    passed: int = 0
    breaks_at: int | None = None
    strike: Callable[[str], None] = lambda name: None
    names: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def boundary(self, name: str) -> None:
        self.passed += 1
        self.counts[name] += 1
        if self.passed == self.breaks_at:
            self.names.append(name)
            self.strike(name)


def dies(name: str) -> None:
    """The process ends at the boundary."""
    raise Killed(name)


def fails(name: str) -> None:
    """The database fails where the boundary is one of its own, and the process goes on."""
    if name.endswith("commit"):
        raise OperationalError(name, None, Exception("database is locked"))


class FusedDatabase(Database):
    """A database with a boundary on both sides of each commit."""

    def __init__(self, url: str, fuse: Fuse) -> None:
        super().__init__(url)
        self._fuse = fuse

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with super().transaction() as connection:
            yield connection
            self._fuse.boundary("before commit")
        self._fuse.boundary("after commit")


class FusedRpc(Rpc):
    """A connection with a boundary on both sides of each sending; `ask` answers, or the node at the address."""

    def __init__(self, host: str, port: int, fuse: Fuse, ask: Callable[..., Any] | None = None) -> None:
        super().__init__(host, port)
        self._ask = ask or super().call
        self._fuse = fuse

    def call(self, method: str, *params: object) -> Any:
        if method != "eth_sendRawTransaction":
            return self._ask(method, *params)
        self._fuse.boundary("before send")
        answer = self._ask(method, *params)
        self._fuse.boundary("after send")
        return answer
