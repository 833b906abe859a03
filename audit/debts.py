"""Obligations and notices of bank payments, made again from the chain's events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit.comparison import compare
from audit.evidence import Context
from audit.findings import Check, Report
from audit.recorded import NO_SIGNATURE, SIGNATURE_COLUMNS
from chain.evidence import struct
from settlement import typed_data
from settlement.hashing import Hash32
from settlement.trade import PaymentNotice
from store import tables
from store.errors import FolderError
from store.folders import read_table
from store.records import RecordedNotice, RecordedObligation
from store.tables import Table


def check_debts(report: Report, context: Context, data: Path) -> None:
    """`obligations.parquet` and `notices.parquet`."""
    obligations = _read(report, data, tables.OBLIGATIONS)
    notices = _read(report, data, tables.NOTICES)
    if obligations is not None:
        _check_obligations(report, context, obligations)
    if notices is not None:
        _check_notices(report, context, notices)


def _read(report: Report, data: Path, table: Table[Any]) -> Any:
    try:
        rows = read_table(data, table)
    except FolderError as error:
        report.find(Check.FORMAT, error.file, error.line, error.field, "a readable record", error.message)
        return None
    except FileNotFoundError:
        report.find(Check.FORMAT, table.file, 0, "", "a file", "none")
        return None
    report.count(table.name, len(rows))
    return rows


def _check_obligations(report: Report, context: Context, given: tuple[RecordedObligation, ...]) -> None:
    closed: dict[int, int] = {}
    for event in context.evidence.of("Closed"):
        closed[event["number"]] = closed.get(event["number"], 0) + event["amount"]
    expected = []
    for event in context.evidence.of("FellDue"):
        one = RecordedObligation(
            event["number"],
            event["debtor"],
            event["creditor"],
            event["amount"],
            closed.get(event["number"], 0),
            event["due_at"],
            event.time,
        )
        expected.append(one)
        kept = context.chain.view("ObligationLedger", "obligation", one.number)
        for name in ("debtor", "creditor", "amount", "closed", "due_at"):
            if kept[name] != getattr(one, name):
                where = f"ObligationLedger.obligation({one.number}).{name}"
                report.find(Check.CONSERVATION, "chain", 0, where, getattr(one, name), kept[name])
    compare(report, Check.OBLIGATIONS, tables.OBLIGATIONS.file, tables.OBLIGATIONS, expected, given)


def _check_notices(report: Report, context: Context, given: tuple[RecordedNotice, ...]) -> None:
    acknowledged: dict[tuple[Hash32, Hash32, Hash32], tuple[int, int]] = {}
    for event in context.evidence.of("Acknowledged"):
        key = event["creditor"], event["debtor"], event["reference_hash"]
        acknowledged[key] = event["acknowledged"], event.time
    expected, notified_at = [], {}
    for event in context.evidence.of("Notified"):
        notice = struct(PaymentNotice, event.fields)
        key = notice.creditor, notice.debtor, notice.reference_hash
        notified_at[notice] = event.time
        expected.append(RecordedNotice(notice, NO_SIGNATURE, *acknowledged.get(key, (0, 0))))
    file, table = tables.NOTICES.file, tables.NOTICES
    compare(report, Check.NOTICES, file, table, expected, given, ignored=SIGNATURE_COLUMNS)
    for line, one in enumerate(given, 1):
        time = notified_at.get(one.notice)
        if time is None or context.evidence.is_contract(one.notice.debtor, time):
            continue
        signer = typed_data.recover(context.domain.digest(one.notice), one.signature)
        if signer is None or not context.evidence.had_key(one.notice.debtor, signer, time, 0):
            report.find(Check.NOTICE_SIGNATURES, file, line, "v, r, s", "the debtor's signature", signer or "malformed")
