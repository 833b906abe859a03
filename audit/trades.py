"""Trades: each is the one that its digest, its place and its signatures are of, and none of a commitment is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from audit.evidence import Context
from audit.findings import Check, Report, shown
from audit.run_records import RunRecords
from settlement import merkle, preimages
from settlement.config import Config
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade as CountingTrade
from settlement.placed import once_each
from settlement.trade import Commitment, Trade
from settlement.validity import place_fault
from store import tables
from store.records import PlacedTrade

SIGNATURE_FAULTS = frozenset({"bad signature", "wrong number of signatures"})


@dataclass
class KnownTrades:
    """What earlier folders of an audit have proven, so that it is neither checked nor lost again.

    `trades` by digest: the very trade behind it. `placed` by (row, commitment): why it does not count, or None.
    """

    trades: dict[Hash32, Trade] = field(default_factory=dict)
    placed: dict[PlacedTrade, str | None] = field(default_factory=dict)


def check_trades(
    report: Report, context: Context, records: RunRecords, config: Config, known: KnownTrades
) -> tuple[CountingTrade, ...]:
    """Checks every row; returns the trades that count, with what curtailment on chain has left of them."""
    commitments = {
        number: one.record for number, one in context.evidence.commitments.items() if one.record.cycle == records.cycle
    }
    file = records.file(tables.TRADES)
    counting = []
    for line, row in enumerate(records.trades, 1):
        proven = _proven(report, file, line, row, context, records, commitments, known)
        if proven is None:
            continue
        fault = _fault(context, proven, commitments[proven.number], config, known)
        if fault in SIGNATURE_FAULTS:
            report.find(
                Check.TRADE_SIGNATURES,
                file,
                line,
                "signatures",
                "every signer's, by a key it had at the commitment",
                fault,
            )
        elif fault is not None:
            report.note(file, line, f"this place does not count: {fault}")
            continue
        counting.append(proven)
    _check_complete(report, context, file, records, commitments)
    return once_each(_curtailed(context, records.cycle, counting))


def _proven(
    report: Report,
    file: str,
    line: int,
    row: PlacedTrade,
    context: Context,
    records: RunRecords,
    commitments: Mapping[int, Commitment],
    known: KnownTrades,
) -> PlacedTrade | None:
    """The row as it must have been: the place proves the digest, the digest the trade. None where nothing proves it."""
    digest = context.domain.digest(row.trade)
    by_digest, by_trade = replace(row, trade=row.trade), replace(row, digest=digest)
    if digest == row.digest and _stands(row, commitments):
        known.trades[digest] = row.trade
        return row
    if digest != row.digest and _stands(by_trade, commitments):
        report.find(Check.TRADE_DIGESTS, file, line, "digest", digest, row.digest)
        return by_trade
    if digest != row.digest and _stands(by_digest, commitments):
        trade = known.trades.get(row.digest)
        if trade is None:
            trade = next((one for one in _repairs(row, records) if context.domain.digest(one) == row.digest), None)
        if trade is None:
            report.find(
                Check.TRADE_DIGESTS, file, line, "digest", f"{shown(digest)}, by the trade's fields", row.digest
            )
            return row
        for name in _changed(trade, row.trade):
            report.find(Check.TRADE_DIGESTS, file, line, name, getattr(trade, name), getattr(row.trade, name))
        return replace(row, trade=trade)
    name, right = _other_place(row, commitments)
    report.find(Check.TRADE_PLACES, file, line, name, getattr(right, name) if right else "a proof", getattr(row, name))
    return right


def _stands(row: PlacedTrade, commitments: Mapping[int, Commitment]) -> bool:
    record = commitments.get(row.number)
    leaf = preimages.trade_leaf(row.digest)
    return record is not None and merkle.verify(record.root, record.count, row.index, leaf, row.path)


def _other_place(row: PlacedTrade, commitments: Mapping[int, Commitment]) -> tuple[str, PlacedTrade | None]:
    """Which column keeps the place from being proven, and the row with it put right."""
    for number in commitments:
        if _stands(replace(row, number=number), commitments):
            return "number", replace(row, number=number)
    record = commitments.get(row.number)
    for index in range(record.count if record else 0):
        if _stands(replace(row, index=index), commitments):
            return "index", replace(row, index=index)
    return "path", None


def _repairs(row: PlacedTrade, records: RunRecords) -> Iterator[Trade]:
    """The row's trade with one field as other records have it: candidates for what was changed."""
    trade = row.trade
    leaves = [one.leaf for one in records.leaves if one.leaf.trade_digest == row.digest]
    told: dict[str, set[Any]] = {
        "contracted_wh": {leaf.contracted_wh for leaf in leaves},
        "slot_start": {leaf.slot_start for leaf in leaves},
        "buyer_meter": {leaf.meter for leaf in leaves},
        "seller_meter": {leaf.meter for leaf in leaves},
    }
    # Prices, roles, templates and times repeat among the trades of a day.
    for name in Trade.__dataclass_fields__:
        values = {getattr(other.trade, name) for other in records.trades} | told.get(name, set())
        for value in sorted(values, key=repr):
            yield replace(trade, **{name: value})
    slot_length = {other.trade.slot_end - other.trade.slot_start for other in records.trades}
    yield from (replace(trade, slot_end=trade.slot_start + length) for length in slot_length)


def _changed(trade: Trade, other: Trade) -> list[str]:
    return [name for name in Trade.__dataclass_fields__ if getattr(trade, name) != getattr(other, name)]


def _fault(
    context: Context, row: PlacedTrade, commitment: Commitment, config: Config, known: KnownTrades
) -> str | None:
    """Why the place does not count, or None."""
    if row not in known.placed:
        if tuple(one.member for one in row.signatures) != row.trade.signers:
            known.placed[row] = "wrong number of signatures"
        else:
            signatures = [one.signature for one in row.signatures]
            known.placed[row] = place_fault(
                row.place(commitment), row.trade, signatures, context.evidence.registry, config, context.domain
            )
    return known.placed[row]


def _check_complete(
    report: Report, context: Context, file: str, records: RunRecords, commitments: Mapping[int, Commitment]
) -> None:
    """Every index of every commitment once, and registered trades as their events have them."""
    places: dict[tuple[int, int], int] = {}
    for line, row in enumerate(records.trades, 1):
        if (row.number, row.index) in places:
            report.find(Check.TRADES, file, line, "index", "each place once", f"{row.number}, {row.index} again")
        places.setdefault((row.number, row.index), line)
    for number, record in commitments.items():
        missing = [index for index in range(record.count) if (number, index) not in places]
        if missing:
            named = ", ".join(str(index) for index in missing[:10])
            report.find(Check.TRADES, file, 0, "", f"the trades of commitment {number} at {named}", "none")


def _curtailed(context: Context, cycle: int, rows: list[PlacedTrade]) -> Iterator[CountingTrade]:
    lowest: dict[Hash32, int] = {}
    for event in context.evidence.of_cycle(cycle, "Curtailed"):
        digest = event["trade_digest"]
        lowest[digest] = min(event["contracted_wh"], lowest.get(digest, event["contracted_wh"]))
    for row in rows:
        contracted = min(row.trade.contracted_wh, lowest.get(row.digest, row.trade.contracted_wh))
        yield CountingTrade(row.digest, row.trade, row.number, row.index, contracted)
