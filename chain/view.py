"""What was followed, as its readers want it: the events of a cycle, of the market's standing rules, of its ledger."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from chain.decoding import Decoder
from chain.deployment import DeploymentRecord
from chain.errors import NothingFollowed
from chain.evidence import Event, Evidence
from chain.memory import ChainMemory, Log, Mark

STANDING: Final = ("MemberRegistry", "RevenueFlows")
LEDGER: Final = ("ObligationLedger", "SettlementEscrow", "DepositToken")
COMMITTING: Final = ("BatchCommitted", "TradeRegistered")

CYCLES_KEPT: Final = 32
"""The evidence of so many cycles, those asked for last, is kept decoded."""

_START: Final = -1
_LAST: Final = (1 << 31) - 1
"""Above the index of every log in a block."""

Selection = int | tuple[str, ...]
"""The logs of a cycle, or those of some contracts."""


@dataclass(frozen=True, slots=True)
class BlockRow:
    """A followed block; `time` is UTC epoch seconds. `final`: it can no longer leave the chain."""

    number: int
    hash: bytes
    parent: bytes
    time: int
    final: bool


@dataclass(frozen=True, slots=True)
class _Kept:
    """Evidence that was complete up to a mark."""

    mark: Mark
    evidence: Evidence


class ChainView:
    """Typed reading of a followed chain, for any number of threads.

    As long as nothing new concerns it, the same Evidence is given again, so what it has worked out stays worked out.
    New logs are decoded once and added; once blocks were taken back, everything is read again.
    """

    def __init__(self, memory: ChainMemory, record: DeploymentRecord) -> None:
        self._memory = memory
        self._decoder = Decoder(record)
        self._kept: OrderedDict[Selection, _Kept] = OrderedDict()
        self._lock = Lock()
        self._quiet: tuple[Mark, Mark] | None = None

    def head(self) -> BlockRow:
        """The newest followed block. Raises NothingFollowed before there is one."""
        mark = self._mark()
        block = mark.head
        return BlockRow(block.number, block.hash, block.parent, block.time, block.number <= mark.final)

    def is_final(self, number: int, block_hash: str) -> bool:
        """Whether this block is in the followed chain for good.

        The hash of a final block that brought no logs is remembered for a while only; after that its number decides.
        """
        if number > self._mark().final:
            return False
        known = self._memory.newest_block(number)
        return known is None or known.number != number or "0x" + known.hash.hex() == block_hash

    def cycle(self, cycle: int) -> Evidence:
        """The events about a cycle, and no others; those that tell only a row's digest count to the row's cycle."""
        return self._evidence(cycle)

    def standing(self) -> Evidence:
        """The events of members, attestors, parameters and templates."""
        return self._evidence(STANDING)

    def ledger(self) -> Evidence:
        """The events of obligations and accounts, of the escrow, and of deposit tokens."""
        return self._evidence(LEDGER)

    def cycles(self) -> tuple[int, ...]:
        """The cycles in which something was committed, ascending."""
        return self._memory.cycles(COMMITTING)

    def since(self, block: int, log_index: int, limit: int) -> Sequence[Event]:
        """At most `limit` events after a place in the chain, in chain order; (-1, 0) is before all of them."""
        return [self._decoder.event(log) for log in self._memory.since(block, log_index, limit)]

    def _mark(self) -> Mark:
        mark = self._memory.mark()
        if mark is None:
            raise NothingFollowed("nothing of the chain has been followed yet")
        return mark

    def _evidence(self, selection: Selection) -> Evidence:
        mark = self._mark()
        with self._lock:
            kept = self._kept.get(selection)
            if kept is not None and kept.mark != mark and self._is_quiet(kept.mark, mark):
                kept = self._kept[selection] = _Kept(mark, kept.evidence)
            elif kept is None or kept.mark != mark:
                kept = self._kept[selection] = self._brought_up(selection, kept)
            self._kept.move_to_end(selection)
            while len(self._kept) > CYCLES_KEPT:
                self._kept.popitem(last=False)
            return kept.evidence

    def _is_quiet(self, before: Mark, now: Mark) -> bool:
        """Whether the blocks between two marks brought no logs at all: asked once for all selections."""
        if before.rewinds != now.rewinds or now.head.number < before.head.number:
            return False  # taken back; or this thread's mark is older than what another has read meanwhile
        if self._quiet != (before, now):
            if self._memory.since(before.head.number, _LAST, 1):
                return False
            self._quiet = before, now
        return True

    def _brought_up(self, selection: Selection, kept: _Kept | None) -> _Kept:
        """What was kept with what is new; read from the start where there was nothing, or blocks were taken back."""
        if kept is not None:
            mark, logs = self._read(selection, kept.mark.head.number)
            if mark.rewinds == kept.mark.rewinds:
                new = tuple(self._decoder.event(log) for log in logs)
                return _Kept(mark, Evidence((*kept.evidence.events, *new)) if new else kept.evidence)
        mark, logs = self._read(selection, _START)
        return _Kept(mark, Evidence(tuple(self._decoder.event(log) for log in logs)))

    def _read(self, selection: Selection, above: int) -> tuple[Mark, Sequence[Log]]:
        if isinstance(selection, int):
            return self._memory.of_cycle(selection, above)
        return self._memory.of_contracts(selection, above)
