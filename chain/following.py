"""Following the chain: what its blocks brought is remembered, and taken back when they leave the chain.

Near the head a block's logs are asked for by its hash: a node that lags behind answers a range that it does not know
with no logs at all, but a hash that it does not know with an error. Far from it ranges are asked for, as wide as the
node takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from chain.decoding import Decoder
from chain.deployment import DeploymentRecord
from chain.errors import ChainError, ConnectionFailed, DeploymentMismatch, FinalityBroken, NothingFollowed, RpcError
from chain.finality import Finality
from chain.memory import Block, ChainMemory, Mark
from chain.rpc import Rpc, binary, integer

NEAR: Final = 32
"""So many of a node's newest blocks are fetched one by one even where they count as final."""

BLOCKS_AT_ONCE: Final = 32
"""So many blocks fetched one by one are remembered in one change."""

FIRST_RANGE: Final = 1_000
WIDEST_RANGE: Final = 100_000
LOGS_AT_ONCE: Final = 5_000
"""A range that brings more logs is followed by a narrower one."""


@dataclass(frozen=True, slots=True)
class Header:
    """What following needs of a block. `time` is UTC epoch seconds."""

    number: int
    hash: bytes
    parent: bytes
    time: int


@dataclass(frozen=True, slots=True)
class RawLog:
    """A log as the node gives it."""

    index: int
    transaction: bytes
    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """A fetched block with its logs."""

    header: Header
    logs: tuple[RawLog, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a call of `catch_up` did: `head` is the newest block that is remembered now.

    `moved` says whether it changed. Where blocks were taken back, the first of them has the number `rewound_from`.
    """

    head: Block
    moved: bool
    rewound_from: int | None


class Follower:
    """Follows one market's contracts through one node into a memory. An instance belongs to one thread."""

    def __init__(self, rpc_url: str, record: DeploymentRecord, memory: ChainMemory, finality: Finality) -> None:
        """Nothing is asked before the first `catch_up`. ValueError where `rpc_url` is no http URL."""
        self._rpc = Rpc.at(rpc_url)
        self._record = record
        self._memory = memory
        self._finality = finality
        self._decoder = Decoder(record)
        self._range = FIRST_RANGE
        self._trusted = False

    def catch_up(self) -> Progress:
        """Follows to the block that is the node's newest now, or as far as the node lets it.

        What was reached before an error stays. Raises DeploymentMismatch where the node is of another chain,
        FinalityBroken where it lacks a block that was final, RpcError and ConnectionFailed for what the node refuses,
        and what the memory raises.
        """
        try:
            return self._catch_up()
        except ConnectionFailed:
            self._trusted = False  # who answers next may be another node
            raise

    def close(self) -> None:
        """Closes the connection to the node."""
        self._rpc.close()

    def _catch_up(self) -> Progress:
        self._recognise()
        mark = self._mark()
        tip = _header(self._rpc.block())
        final = self._finality.newest_final(tip.number, self._tagged)
        kept = self._kept(mark, tip)
        if kept is None:
            return Progress(mark.head, False, None)
        head, last = mark.head, kept
        while last.number < tip.number or last.hash != head.hash:
            found = self._fetch(last, tip, final)
            if not found and last.number < tip.number:
                break  # the chain changed while it was asked: the next call sees how
            self._remember(head, last, found, final)
            head = last = found[-1].header if found else last
        if head is mark.head and mark.final < min(final, head.number):
            self._remember(head, head, (), final)
        rewound = kept is not mark.head and head is not mark.head
        return Progress(head, head is not mark.head, kept.number + 1 if rewound else None)

    def _recognise(self) -> None:
        """Whether the node is of the market's chain, and the memory of the market: once, and after each silence."""
        if self._trusted:
            return
        genesis = _header(self._rpc.block(0))
        if (chain_id := self._rpc.chain_id()) != self._record.chain_id:
            raise DeploymentMismatch(f"the node's chain id is {chain_id}, the record says {self._record.chain_id}")
        if genesis.hash != self._record.genesis_hash:
            wanted = self._record.genesis_hash.hex()
            raise DeploymentMismatch(f"the node's genesis is 0x{genesis.hash.hex()}, the record says 0x{wanted}")
        self._memory.open(self._record.market_id, chain_id, genesis.hash)
        if self._memory.mark() is None:
            self._remember(None, None, (Found(genesis, ()),), 0)
        self._trusted = True

    def _mark(self) -> Mark:
        mark = self._memory.mark()
        if mark is None:
            raise NothingFollowed("the memory has lost its genesis block")
        return mark

    def _kept(self, mark: Mark, tip: Header) -> Block | None:
        """The newest remembered block that is still in the chain: the newest of all, unless the chain was reorganised.

        A node that lags behind what is remembered, on the same chain, is no reason to take anything back. None where
        the node, which may be several, contradicts itself.
        """
        known = self._newest_block(min(mark.head.number, tip.number), mark)
        if (there := self._hash_at(known.number, tip)) == known.hash:
            return mark.head
        while there is not None and there != known.hash:
            if known.number <= mark.final:
                self._trusted = False
                self._recognise()
                raise FinalityBroken(
                    f"block {known.number} was final as {_hex(known.hash)}, the node has {_hex(there)} in its place; "
                    f"blocks up to {mark.final} are final, so nothing is taken back"
                )
            known = self._newest_block(known.number - 1, mark)
            there = self._hash_at(known.number, tip)
        return known if there is not None else None

    def _newest_block(self, at_most: int, mark: Mark) -> Block:
        """The remembered block with the highest number up to `at_most`: at least the genesis block, which is final."""
        known = mark.head if at_most == mark.head.number else self._memory.newest_block(at_most)
        if known is None:
            raise NothingFollowed("the memory has lost its genesis block")
        return known

    def _hash_at(self, number: int, tip: Header) -> bytes | None:
        """The hash of the node's block of this number, up to its newest."""
        near = {tip.number: tip.hash, tip.number - 1: tip.parent}
        header = None if number in near else self._header_at(number)
        return header.hash if header else near.get(number)

    def _header_at(self, number: int) -> Header | None:
        found = self._rpc.block_at(number)
        return None if found is None else _header(found)

    def _tagged(self) -> int:
        try:
            return integer(self._rpc.block("finalized")["number"])
        except RpcError as error:
            raise ChainError(f"the node knows no finalized block: choose finality by depth ({error})") from error

    # --- fetching ---

    def _fetch(self, after: Block, tip: Header, final: int) -> Sequence[Found]:
        """The next blocks after one, as many as are remembered at once.

        None where there are no more, and where the node has by now other blocks than a moment ago.
        """
        far = min(final, tip.number - NEAR)
        return self._fetch_range(after, far) if after.number < far else self._fetch_each(after, tip)

    def _fetch_each(self, after: Block, tip: Header) -> Sequence[Found]:
        """Every block, with its logs by its hash, up to the first that the node does not know or does not give."""
        found: list[Found] = []
        last = after
        for number in range(after.number + 1, min(tip.number, after.number + BLOCKS_AT_ONCE) + 1):
            header = tip if number == tip.number else self._header_at(number)
            if header is None or header.parent != last.hash:
                break
            try:
                logs = self._logs_of(header)
            except RpcError:
                if not found:
                    raise
                break  # first what came before it is remembered
            if logs is None:
                break
            found.append(Found(header, logs))
            last = header
        return found

    def _logs_of(self, header: Header) -> tuple[RawLog, ...] | None:
        """The logs of a block; None where the node does not know the block (any more)."""
        block = _hex(header.hash)
        try:
            found = self._rpc.logs_of(self._decoder.addresses, block)
        except RpcError:
            if self._rpc.block_of(block) is None:
                return None
            raise
        return tuple(_raw_log(log, header) for log in found)

    def _fetch_range(self, after: Block, far: int) -> Sequence[Found]:
        """The blocks up to `far` that brought logs, and the last of the range, which stands for those that did not."""
        end = min(far, after.number + self._range)
        first, last = self._header_at(after.number + 1), self._header_at(end)
        if first is None or last is None or first.parent != after.hash:
            return ()
        try:
            logs = self._rpc.logs(self._decoder.addresses, first.number, end)
        except (RpcError, ConnectionFailed) as error:
            width = end - after.number
            self._range = max(1, width // 2)
            if isinstance(error, ConnectionFailed) or width == 1:
                raise
            return self._fetch_range(after, far)
        self._adapt(len(logs))
        return self._blocks_of(logs, last)

    def _adapt(self, brought: int) -> None:
        if brought > LOGS_AT_ONCE:
            self._range = max(1, self._range // 2)
        elif brought <= LOGS_AT_ONCE // 4:
            self._range = min(WIDEST_RANGE, self._range * 2)

    def _blocks_of(self, logs: Sequence[Mapping[str, Any]], last: Header) -> Sequence[Found]:
        """The logs of a range under their blocks, and the range's last block; nothing where the node lost one."""
        found: list[Found] = []
        for block, group in groupby(logs, key=lambda log: str(log["blockHash"])):
            there = self._rpc.block_of(block)
            if there is None:
                return ()
            header = _header(there)
            found.append(Found(header, tuple(_raw_log(log, header) for log in group)))
        return found if found and found[-1].header == last else [*found, Found(last, ())]

    # --- remembering ---

    def _remember(self, head: Block | None, kept: Block | None, found: Sequence[Found], final: int) -> None:
        """One change: what is above `kept` goes, what was found comes."""
        with self._memory.change(head, kept, final) as page:
            for one in found:
                page.add_block(one.header.number, one.header.hash, one.header.parent, one.header.time)
                for log in one.logs:
                    about = self._decoder.subject(log.address, log.topics, log.data)
                    page.add_log(
                        log.index,
                        log.transaction,
                        about.contract,
                        about.name,
                        about.cycle,
                        about.row_digest,
                        log.topics,
                        log.data,
                    )


def _header(found: Mapping[str, Any]) -> Header:
    return Header(
        integer(found["number"]), binary(found["hash"]), binary(found["parentHash"]), integer(found["timestamp"])
    )


def _raw_log(found: Mapping[str, Any], header: Header) -> RawLog:
    if binary(found["blockHash"]) != header.hash:
        raise ConnectionFailed(f"the node gives logs of another block than {header.number}, which it was asked for")
    return RawLog(
        integer(found["logIndex"]),
        binary(found["transactionHash"]),
        found["address"].lower(),
        tuple(binary(topic) for topic in found["topics"]),
        binary(found["data"]),
    )


def _hex(word: bytes) -> str:
    return "0x" + word.hex()
