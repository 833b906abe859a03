"""Tables that say what the chain took: each is made again from events and compared row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Final

from audit.comparison import compare
from audit.evidence import Context
from audit.findings import Check, Report
from audit.run_records import RunRecords
from chain.claims import MadeClaim, claims_of
from chain.evidence import Event
from settlement import preimages, typed_data
from settlement.config import Config
from settlement.figures import MarkKind
from settlement.hashing import ZERO_HASH, Hash32
from settlement.placed import Side
from settlement.preimages import Act
from settlement.trade import Allocation, Curtailment, Signature, Trade
from settlement.units import Calendar
from store import tables
from store.records import (
    PostedAllocation,
    RecordedClaim,
    RecordedCommitment,
    RecordedCurtailment,
    RecordedLock,
    RecordedMark,
)

SIGNATURE_COLUMNS = ("v", "r", "s")
NO_SIGNATURE = Signature(0, ZERO_HASH, ZERO_HASH)
_CLAIM_APPLIED: Final = 2  # how far Settlement says a claim is, or another of its trade and run


def check_cycle_record(report: Report, context: Context, records: RunRecords, market: str, config: Config) -> None:
    """`cycle.json` against the folder's name, the deployment, and the config version that governs the cycle."""
    record, file = records.record, records.cycle_file
    calendar = Calendar(config.anchor, config.slot_length, config.cycle_length)
    sealed = {event["run"]: event["inputs"] for event in context.evidence.of_cycle(records.cycle, "RunSealed")}
    expected = {
        "market": market,
        "market_id": context.domain.market_id,
        "chain_id": context.domain.chain_id,
        "cycle": records.cycle,
        "run": records.run,
        "config_digest": config.digest(),
        "inputs": tuple(sealed[run] for run in sorted(sealed) if run <= records.run),
        "end": calendar.cycle_end(records.cycle),
    }
    for name, value in expected.items():
        found = getattr(record, name)
        if found != value:
            report.find(Check.CYCLE_RECORD, file, 0, name, value, found)
    for field in fields(Config):
        value, found = getattr(config, field.name), getattr(record.config, field.name)
        if found != value:
            report.find(Check.CYCLE_RECORD, file, 0, f"config.{field.name}", value, found)
    if records.run not in sealed:
        report.note(file, 0, "its inputs are not sealed yet: only early rows can have been settled")


def check_sealed_inputs(report: Report, context: Context, records: RunRecords, config: Config) -> None:
    """Every act of the cycle, accumulated again, gives the inputs that each seal fixed."""
    accumulator, inputs = preimages.EMPTY_ACCUMULATOR, config.digest()
    events = context.evidence.of_cycle(
        records.cycle,
        "BatchCommitted",
        "TradeRegistered",
        "Curtailed",
        "AllocationPosted",
        "GroupVoided",
        "SideMarked",
        "RunSealed",
    )
    for event in events:
        if event.name != "RunSealed":
            for act, number, what in _acts(context, event, config):
                accumulator = preimages.accumulate(accumulator, act, number, event.time, what)
            continue
        inputs = preimages.sealed_inputs(inputs, accumulator)
        kept = context.chain.view("AllocationOracle", "inputs", records.cycle, event["run"])
        if event["run"] <= records.run and not inputs == event["inputs"] == kept:
            report.find(Check.SEALED_INPUTS, records.cycle_file, 0, "inputs", inputs, event["inputs"])
        accumulator = preimages.EMPTY_ACCUMULATOR


def check_commitments(report: Report, context: Context, records: RunRecords) -> None:
    """Commitments and locks of the cycle, all of them, as their events and the hashes on chain say."""
    commitments = [one for one in context.evidence.commitments.values() if one.record.cycle == records.cycle]
    compare(
        report,
        Check.COMMITMENTS,
        records.file(tables.COMMITMENTS),
        tables.COMMITMENTS,
        [RecordedCommitment(one.number, one.record) for one in commitments],
        records.commitments,
    )
    compare(
        report,
        Check.LOCKS,
        records.file(tables.LOCKS),
        tables.LOCKS,
        [RecordedLock(one.number, lock) for one in commitments for lock in one.locks],
        records.locks,
    )
    for one in commitments:
        if one.trade is None:
            kept = context.chain.view("TradeBook", "commitment", one.number)
            expected = preimages.commitment_record(one.record)
        else:
            kept = context.chain.view("TradeBook", "registered", one.record.root)
            expected = preimages.registered_record(one.number, one.record)
        if kept != expected:
            line = _line(records.commitments, one.number)
            report.find(Check.COMMITMENTS, records.file(tables.COMMITMENTS), line, "", kept, expected)


def check_curtailments(report: Report, context: Context, records: RunRecords) -> None:
    """The curtailments that the chain took."""
    expected = [
        RecordedCurtailment(
            event["number"],
            event["index"],
            event["trade_digest"],
            event["contracted_wh"],
            event["reason"],
            event.time,
        )
        for event in context.evidence.of_cycle(records.cycle, "Curtailed")
    ]
    table = tables.CURTAILMENTS
    compare(report, Check.CURTAILMENTS, records.file(table), table, expected, records.curtailments)


def check_allocations(report: Report, context: Context, records: RunRecords, config: Config) -> None:
    """Every attempt that was posted up to the folder's run, and that its utility signed it."""
    expected = [
        PostedAllocation(
            event["run"],
            event["attempt"],
            event["utility"],
            event["root"],
            event["count"],
            config.digest(),
            NO_SIGNATURE,
            event.time,
        )
        for event in context.evidence.of_cycle(records.cycle, "AllocationPosted")
        if event["run"] <= records.run
    ]
    file = records.file(tables.ALLOCATIONS)
    compare(
        report,
        Check.ALLOCATIONS,
        file,
        tables.ALLOCATIONS,
        expected,
        records.allocations,
        ignored=SIGNATURE_COLUMNS,
    )
    posted = {(one.run, one.attempt, one.utility): one for one in expected}
    for line, one in enumerate(records.allocations, 1):
        taken = posted.get((one.run, one.attempt, one.utility))
        if taken is None:
            continue  # found above
        if context.evidence.is_contract(one.utility, taken.posted_at):
            report.note(file, line, "signed by a contract, which the chain judged when it took it")
            continue
        key = typed_data.recover(context.domain.digest(taken.statement(records.cycle)), one.signature)
        if key is None or not context.evidence.had_key(one.utility, key, taken.posted_at, 0):
            report.find(
                Check.ALLOCATION_SIGNATURES, file, line, "v, r, s", "the utility's signature", key or "malformed"
            )


def check_marks(report: Report, context: Context, records: RunRecords, trades: dict[Hash32, Trade]) -> None:
    """The marks that the chain holds up to the folder's run; `trades` by digest."""
    found = set(records.marks)
    expected = []
    for event in context.evidence.of_cycle(records.cycle, "GroupVoided", "SideMarked"):
        mark = _mark(event, trades)
        # A mark *twice* may come at any time, so also after the folder was written.
        if event["run"] <= records.run and (mark.kind != MarkKind.TWICE or mark in found or _is_early(context, event)):
            expected.append(mark)
    compare(report, Check.MARKS, records.file(tables.MARKS), tables.MARKS, expected, records.marks)


def check_claims(report: Report, context: Context, records: RunRecords) -> None:
    """The claims of the folder's run, and what became of them."""
    made = [one for one in claims_of(context.evidence, records.cycle) if one.claim.run == records.run]
    ended = {one.of for one in made if one.applied_at}
    silent = _silent_ends(context, records, [one for one in made if not one.struck_at and one.of not in ended])
    expected = [RecordedClaim(one.claim, silent.get(one.digest, one.applied_at), one.struck_at) for one in made]
    compare(report, Check.CLAIMS, records.file(tables.CLAIMS), tables.CLAIMS, expected, records.claims)


def _silent_ends(context: Context, records: RunRecords, pending: Iterable[MadeClaim]) -> dict[Hash32, int]:
    """A claim whose flows stood in rows by then applies without an event: which it was of several of its trade, and
    when, only the file says."""
    filed = {one.claim: one.applied_at for one in records.claims if one.applied_at}
    found: dict[tuple[Hash32, int], tuple[Hash32, int]] = {}
    for one in pending:
        if one.claim in filed and one.of not in found:
            stage = context.chain.view("Settlement", "claim_stage", *one.of, one.digest)
            if stage == _CLAIM_APPLIED:
                found[one.of] = one.digest, filed[one.claim]
    return dict(found.values())


def _acts(context: Context, event: Event, config: Config) -> Iterator[tuple[Act, int, Hash32]]:
    """What the accumulator took with an event; nothing with a mark *twice*."""
    match event.name:
        case "BatchCommitted" | "TradeRegistered":
            record = context.evidence.commitments[event["number"]].record
            yield Act.COMMITMENT, event["number"], preimages.commitment_record(record)
        case "Curtailed":
            said = Curtailment(event["number"], event["index"], event["contracted_wh"], event["reason"])
            yield Act.CURTAILMENT, event["number"], typed_data.struct_hash(said)
        case "AllocationPosted":
            statement = Allocation(
                event["cycle"],
                event["run"],
                event["attempt"],
                event["utility"],
                event["root"],
                event["count"],
                config.digest(),
            )
            yield Act.ALLOCATION, event["run"], typed_data.struct_hash(statement)
        case "GroupVoided":
            group = preimages.group_key(event["utility"], event["meter"], event["slot_start"], event["side"])
            yield Act.VOID, event["run"], group
        case "SideMarked" if event["kind"] == Act.FIGURE:
            figure = preimages.figure_key(event["trade_digest"], event["side"], event["wh"])
            yield Act.FIGURE, event["run"], figure
        case "SideMarked" if event["kind"] != MarkKind.TWICE:
            yield Act(event["kind"]), event["run"], preimages.side_key(event["trade_digest"], event["side"])


def _mark(event: Event, trades: dict[Hash32, Trade]) -> RecordedMark:
    if event.name == "GroupVoided":
        return RecordedMark(
            MarkKind.VOID,
            event["run"],
            event["utility"],
            event["meter"],
            event["slot_start"],
            event["side"],
            ZERO_HASH,
            0,
            event.time,
        )
    trade = trades.get(event["trade_digest"])
    meter, slot_start = ZERO_HASH, 0
    if trade is not None:
        meter = trade.buyer_meter if event["side"] == Side.BUYER else trade.seller_meter
        slot_start = trade.slot_start
    return RecordedMark(
        event["kind"],
        event["run"],
        event["utility"],
        meter,
        slot_start,
        event["side"],
        event["trade_digest"],
        event["wh"],
        event.time,
    )


def _is_early(context: Context, event: Event) -> bool:
    """Whether a mark came before the seal of the run whose tree it is about."""
    seals = (one.time for one in context.evidence.of_cycle(event["cycle"], "RunSealed") if one["run"] == event["run"])
    return event.time <= next(seals, event.time)


def _line(commitments: tuple[RecordedCommitment, ...], number: int) -> int:
    return next((line for line, one in enumerate(commitments, 1) if one.number == number), 0)
