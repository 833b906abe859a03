"""What following the chain must remember. `store.index` keeps it; nothing here knows how.

The blocks that were followed are the root of everything else: what a block brought goes with it when it leaves the
chain, and the newest remembered block is where following goes on. So there is no cursor that could be wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class Block(Protocol):
    """A block of the chain; `time` is UTC epoch seconds."""

    @property
    def number(self) -> int: ...
    @property
    def hash(self) -> bytes: ...
    @property
    def parent(self) -> bytes: ...
    @property
    def time(self) -> int: ...


class Log(Protocol):
    """A log as the chain has it, with what it is found by: contract, event name, and the cycle it is about, if any.

    `row_digest` is that of the row it is about, if it names one.
    """

    @property
    def block(self) -> Block: ...
    @property
    def index(self) -> int: ...
    @property
    def transaction(self) -> bytes: ...
    @property
    def contract(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def cycle(self) -> int | None: ...
    @property
    def row_digest(self) -> bytes | None: ...
    @property
    def topics(self) -> tuple[bytes, ...]: ...
    @property
    def data(self) -> bytes: ...


class Mark(Protocol):
    """How far the chain is remembered. Two equal marks of one memory mean that nothing changed in between.

    `final` is the number up to which blocks are final; `rewinds` how often blocks have been taken back.
    """

    @property
    def head(self) -> Block: ...
    @property
    def final(self) -> int: ...
    @property
    def rewinds(self) -> int: ...


class Page(Protocol):
    """What one change adds, block after block upwards, each log after its block."""

    def add_block(self, number: int, block_hash: bytes, parent: bytes, time: int) -> None:
        """The next block; the numbers between it and the one before are blocks without logs."""

    def add_log(
        self,
        index: int,
        transaction: bytes,
        contract: str,
        name: str,
        cycle: int | None,
        row_digest: bytes | None,
        topics: Sequence[bytes],
        data: bytes,
    ) -> None:
        """A log of the newest added block. One without cycle gets that of the row that it names."""


class ChainMemory(Protocol):
    """Blocks and logs of one market's chain. Safe for many threads; one at a time follows."""

    def open(self, market: bytes, chain_id: int, genesis: bytes) -> None:
        """Dedicates an empty memory to a market. Raises where it is another market's, or of another chain."""

    def mark(self) -> Mark | None:
        """How far the chain is remembered; None before the first block."""

    def newest_block(self, at_most: int) -> Block | None:
        """The remembered block with the highest number up to `at_most`."""

    def change(self, head: Block | None, ancestor: Block | None, final: int) -> AbstractContextManager[Page]:
        """Takes back every block above `ancestor` and adds those of the page, in one database transaction.

        `head` is the newest block as the caller knows it; raises, and changes nothing, where that is no longer so.
        `final`: blocks up to this number are final from now on; it never sinks.
        """

    def of_cycle(self, cycle: int, above: int) -> tuple[Mark, Sequence[Log]]:
        """The logs of a cycle in blocks above a number, in chain order, with the mark that they are complete up to."""

    def of_contracts(self, contracts: Collection[str], above: int) -> tuple[Mark, Sequence[Log]]:
        """The same for all logs of some contracts."""

    def above(self, block: int) -> tuple[Mark, Sequence[Log]]:
        """The same for all logs."""

    def since(self, block: int, index: int, limit: int) -> Sequence[Log]:
        """At most `limit` logs after a place in the chain, in chain order."""

    def cycles(self, names: Collection[str]) -> tuple[int, ...]:
        """The cycles that any of these events is about, ascending."""
