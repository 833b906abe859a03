"""Trades: each row is the one that its digest, its place and its signatures are of, and no trade is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from audit.evidence import Context
from audit.findings import Check, Report, shown
from audit.run_records import RunRecords
from settlement import merkle, preimages, typed_data
from settlement.config import Config
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade as CountingTrade
from settlement.placed import once_each
from settlement.trade import Commitment, Trade, TradeLocks
from settlement.validity import place_fault
from store import tables
from store.records import PlacedTrade

NOT_ITS_KEY = "not the signer's key"
OTHER_SIGNERS = "not its signers' signatures"
SIGNATURE_FAULTS = frozenset(
    {"signature missing", "too many signatures", "malformed signature", NOT_ITS_KEY, OTHER_SIGNERS}
)
TRADE_FIELDS = tuple(Trade.__dataclass_fields__)


@dataclass
class KnownTrades:
    """What folders seen before have proven, so that it is checked once: trades by digest, and why a row counts not."""

    trades: dict[Hash32, Trade] = field(default_factory=dict)
    faults: dict[PlacedTrade, str | None] = field(default_factory=dict)


def check_trades(
    report: Report, context: Context, records: RunRecords, config: Config, known: KnownTrades
) -> tuple[CountingTrade, ...]:
    """Checks every row; returns the trades that count, with what curtailment on chain has left of them."""
    return _Trades(report, context, records, config, known).checked()


@dataclass
class _Trades:
    report: Report
    context: Context
    records: RunRecords
    config: Config
    known: KnownTrades

    def __post_init__(self) -> None:
        self.file = self.records.file(tables.TRADES)
        self.commitments: Mapping[int, Commitment] = {
            number: one.record
            for number, one in self.context.evidence.commitments.items()
            if one.record.cycle == self.records.cycle
        }

    def checked(self) -> tuple[CountingTrade, ...]:
        """The trades that count."""
        counting, places = [], set()
        for line, row in enumerate(self.records.trades, 1):
            proven = self._proven(line, row)
            place = (proven or row).number, (proven or row).index
            if place in places:
                self._find(Check.TRADES, line, "index", "each place once", f"{place[0]}, {place[1]} again")
            places.add(place)
            if proven is not None and self._counts(line, proven):
                counting.append(proven)
        self._check_complete(places)
        return once_each(self._curtailed(counting))

    def _proven(self, line: int, row: PlacedTrade) -> PlacedTrade | None:
        """The row as it must have been: the place proves the digest, the digest the trade. None where nothing does."""
        digest = self.context.domain.digest(row.trade)
        if digest == row.digest:
            self.known.trades.setdefault(digest, row.trade)
            return row if self._stands(row) else self._put_right(line, row)
        by_trade = replace(row, digest=digest)
        if self._stands(by_trade):
            self._find(Check.TRADE_DIGESTS, line, "digest", digest, row.digest)
            return by_trade
        trade = self._repaired(row)
        if trade is None:
            expected = f"{shown(digest)}, the digest of the trade's fields"
            self._find(Check.TRADE_DIGESTS, line, "digest", expected, row.digest)
            return row if self._stands(row) else None
        for name in TRADE_FIELDS:
            if getattr(trade, name) != getattr(row.trade, name):
                self._find(Check.TRADE_DIGESTS, line, name, getattr(trade, name), getattr(row.trade, name))
        repaired = replace(row, trade=trade)
        return repaired if self._stands(repaired) else self._put_right(line, repaired)

    def _stands(self, row: PlacedTrade) -> bool:
        """Whether the row's digest is proven to stand at its place."""
        record = self.commitments.get(row.number)
        leaf = preimages.trade_leaf(row.digest)
        return record is not None and merkle.verify(record.root, record.count, row.index, leaf, row.path)

    def _put_right(self, line: int, row: PlacedTrade) -> PlacedTrade | None:
        """The row at the place that its path proves; None where none is found."""
        record = self.commitments.get(row.number)
        others = [replace(row, number=number) for number in self.commitments]
        others += [replace(row, index=index) for index in range(record.count if record else 0)]
        right = next((other for other in others if self._stands(other)), None)
        if right is None:
            self._find(Check.TRADE_PLACES, line, "path", "a proof to the commitment's root", row.path)
        elif right.number != row.number:
            self._find(Check.TRADE_PLACES, line, "number", right.number, row.number)
        else:
            self._find(Check.TRADE_PLACES, line, "index", right.index, row.index)
        return right

    def _repaired(self, row: PlacedTrade) -> Trade | None:
        """The trade that the digest is of, if one field as another record has it makes the difference."""
        known = self.known.trades.get(row.digest)
        if known is not None:
            return known
        return next((one for one in self._candidates(row) if self.context.domain.digest(one) == row.digest), None)

    def _candidates(self, row: PlacedTrade) -> Iterator[Trade]:
        leaves = [one.leaf for one in self.records.leaves if one.leaf.trade_digest == row.digest]
        told: dict[str, set[Any]] = {
            "contracted_wh": {leaf.contracted_wh for leaf in leaves},
            "slot_start": {leaf.slot_start for leaf in leaves},
            "slot_end": {row.trade.slot_start + self.config.slot_length},
            "buyer_meter": {leaf.meter for leaf in leaves},
            "seller_meter": {leaf.meter for leaf in leaves},
        }
        # Prices, roles, templates and times repeat among the trades of a cycle.
        for name in TRADE_FIELDS:
            for value in told.get(name, set()) | {getattr(other.trade, name) for other in self.records.trades}:
                yield replace(row.trade, **{name: value})

    def _counts(self, line: int, row: PlacedTrade) -> bool:
        """Whether the place is valid. One whose signatures alone fail is found, and goes on counting."""
        if row not in self.known.faults:
            self.known.faults[row] = self._fault(row)
        fault = self.known.faults[row]
        if fault in SIGNATURE_FAULTS:
            expected = "every signer's in role order, by a key it had at the commitment"
            self._find(Check.TRADE_SIGNATURES, line, "signatures", expected, fault)
            return True
        if fault is not None:
            self.report.note(self.file, line, f"this place does not count: {fault}")
        return fault is None

    def _fault(self, row: PlacedTrade) -> str | None:
        record, evidence = self.commitments[row.number], self.context.evidence
        is_registered = record.sequence == 0
        given = [] if is_registered else [one.signature for one in row.signatures]
        fault = place_fault(row.place(record), row.trade, given, evidence.registry, self.config, self.context.domain)
        if fault is not None or (is_registered and not row.signatures):
            return fault
        if tuple(one.member for one in row.signatures) != row.trade.signers:
            return OTHER_SIGNERS
        if not is_registered:
            return None
        # The chain judged a registered trade's signatures; the file's may be others.
        locks_digest = self.context.domain.digest(TradeLocks(row.digest, evidence.commitments[row.number].locks))
        for one in row.signatures:
            signed = locks_digest if one.member in row.trade.platforms else row.digest
            key = typed_data.recover(signed, one.signature)
            if key is None or not evidence.had_key(one.member, key, record.committed_at, self.config.key_grace):
                return NOT_ITS_KEY
        return None

    def _check_complete(self, places: set[tuple[int, int]]) -> None:
        for number, record in self.commitments.items():
            missing = [index for index in range(record.count) if (number, index) not in places]
            if missing:
                named = ", ".join(str(index) for index in missing[:10])
                self._find(Check.TRADES, 0, "", f"the trades of commitment {number} at {named}", "none")

    def _curtailed(self, rows: list[PlacedTrade]) -> Iterator[CountingTrade]:
        lowest: dict[Hash32, int] = {}
        for event in self.context.evidence.of_cycle(self.records.cycle, "Curtailed"):
            digest = event["trade_digest"]
            lowest[digest] = min(event["contracted_wh"], lowest.get(digest, event["contracted_wh"]))
        for row in rows:
            contracted = min(row.trade.contracted_wh, lowest.get(row.digest, row.trade.contracted_wh))
            yield CountingTrade(row.digest, row.trade, row.number, row.index, contracted)

    def _find(self, check: Check, line: int, field_name: str, expected: object, found: object) -> None:
        self.report.find(check, self.file, line, field_name, expected, found)
