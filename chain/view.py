"""What was followed, as its readers want it: the events of a cycle, of the market's standing rules, of its ledger."""

from __future__ import annotations

from bisect import bisect_right
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

NEWS_KEPT: Final = 10_000
"""So many of the newest logs are kept decoded for whatever evidence they belong to."""

_START: Final = -1

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


@dataclass(frozen=True, slots=True)
class _News:
    """All logs in blocks above a number, decoded, complete up to a mark."""

    above: int
    mark: Mark
    logs: tuple[tuple[Log, Event], ...]


class ChainView:
    """Typed reading of a followed chain, for any number of threads.

    As long as nothing new concerns it, the same Evidence is given again, so what it has worked out stays worked out.
    New logs are read and decoded once and added; once blocks were taken back, everything is read again. Who asks for
    several things at one moment passes the moment's mark, and nothing is read that was complete by then.
    """

    def __init__(self, memory: ChainMemory, record: DeploymentRecord) -> None:
        self._memory = memory
        self._decoder = Decoder(record)
        self._kept: OrderedDict[Selection, _Kept] = OrderedDict()
        self._lock = Lock()
        self._news: _News | None = None

    def mark(self) -> Mark:
        """How far the chain is followed now. Raises NothingFollowed before there is a block."""
        mark = self._memory.mark()
        if mark is None:
            raise NothingFollowed("nothing of the chain has been followed yet")
        return mark

    def head(self, mark: Mark | None = None) -> BlockRow:
        """The newest followed block. Raises NothingFollowed before there is one."""
        mark = mark or self.mark()
        block = mark.head
        return BlockRow(block.number, block.hash, block.parent, block.time, block.number <= mark.final)

    def is_final(self, number: int, block_hash: str) -> bool:
        """Whether this block is in the followed chain for good.

        The hash of a final block that brought no logs is remembered for a while only; after that its number decides.
        """
        if number > self.mark().final:
            return False
        known = self._memory.newest_block(number)
        return known is None or known.number != number or "0x" + known.hash.hex() == block_hash

    def cycle(self, cycle: int, mark: Mark | None = None) -> Evidence:
        """The events about a cycle, and no others; those that tell only a row's digest count to the row's cycle."""
        return self._evidence(cycle, mark)

    def standing(self, mark: Mark | None = None) -> Evidence:
        """The events of members, attestors, parameters and templates."""
        return self._evidence(STANDING, mark)

    def ledger(self, mark: Mark | None = None) -> Evidence:
        """The events of obligations and accounts, of the escrow, and of deposit tokens."""
        return self._evidence(LEDGER, mark)

    def cycles(self) -> tuple[int, ...]:
        """The cycles in which something was committed, ascending."""
        return self._memory.cycles(COMMITTING)

    def since(self, block: int, log_index: int, limit: int) -> Sequence[Event]:
        """At most `limit` events after a place in the chain, in chain order; (-1, 0) is before all of them."""
        return [self._decoder.event(log) for log in self._memory.since(block, log_index, limit)]

    def _evidence(self, selection: Selection, mark: Mark | None) -> Evidence:
        """What is complete up to `mark`, or up to now; it may be newer where blocks were followed in the meantime."""
        mark = mark or self.mark()
        with self._lock:
            kept = self._kept.get(selection)
            if kept is None or kept.mark != mark:
                kept = self._kept[selection] = self._brought_up(selection, kept, mark)
            self._kept.move_to_end(selection)
            while len(self._kept) > CYCLES_KEPT:
                self._kept.popitem(last=False)
            return kept.evidence

    def _brought_up(self, selection: Selection, kept: _Kept | None, mark: Mark) -> _Kept:
        """What was kept with what is new; read from the start where there was nothing, or blocks were taken back."""
        if kept is not None:
            news = self._news_after(kept.mark, mark)
            if news is not None:
                first = bisect_right(news.logs, kept.mark.head.number, key=lambda one: one[0].block.number)
                new = tuple(event for log, event in news.logs[first:] if _is_in(log, selection))
                return _Kept(news.mark, Evidence((*kept.evidence.events, *new)) if new else kept.evidence)
        mark, logs = self._read(selection, _START)
        return _Kept(mark, Evidence(tuple(self._decoder.event(log) for log in logs)))

    def _news_after(self, before: Mark, now: Mark) -> _News | None:
        """News that hold every log after one mark and up to another; None where blocks were taken back."""
        news = self._news
        if news is None or news.mark.rewinds != before.rewinds or news.above > before.head.number:
            news = _News(before.head.number, before, ())
        if news.mark != now:
            mark, logs = self._memory.above(news.mark.head.number)
            if mark.rewinds != before.rewinds:
                return None
            known = (*news.logs, *((log, self._decoder.event(log)) for log in logs))
            news = _News(news.above, mark, known)
        self._news = news if len(news.logs) <= NEWS_KEPT else None
        return news

    def _read(self, selection: Selection, above: int) -> tuple[Mark, Sequence[Log]]:
        if isinstance(selection, int):
            return self._memory.of_cycle(selection, above)
        return self._memory.of_contracts(selection, above)


def _is_in(log: Log, selection: Selection) -> bool:
    return log.cycle == selection if isinstance(selection, int) else log.contract in selection
