"""Rows and claims: what the chain applied, that those who had to sign did, and that the amounts follow.

An agreed row may say what its two members like: where it differs from what the inputs give, both signatures stand for
it and the difference is noted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import product

from audit.comparison import compare
from audit.evidence import Context
from audit.findings import Check, Report
from audit.run_records import RunRecords
from chain.evidence import Event, struct
from settlement import typed_data
from settlement.cycle import RunResult
from settlement.errors import SettlementError
from settlement.flows import Pair, member_flows
from settlement.formula.templates import Template
from settlement.hashing import ZERO_HASH, Hash32
from settlement.placed import PlacedTrade
from settlement.rows import RowContent, empty_row
from settlement.trade import MemberFlow, Row, RowAttestation
from store import tables
from store.records import RecordedFlow, SettledRow, Way

WAYS = {1: Way.AGREED, 2: Way.EARLY, 3: Way.ATTESTED}
ROW_FIELDS = tuple(one.name for one in fields(Row))


@dataclass(frozen=True, slots=True)
class ChainRow:
    """A row as its events tell it. `row` is known of an attested one only; `applied` says how it was applied."""

    digest: Hash32
    way: Way
    payer: Hash32
    payee: Hash32
    time: int  # when its signatures were judged
    applied_at: int
    row: Row | None
    mask: int
    attestors: tuple[Hash32, ...]  # of whom the mask tells; nobody of an agreed row
    applied: Event | None

    @property
    def pair(self) -> Pair:
        """(payer, payee)."""
        return self.payer, self.payee


def check_rows(report: Report, context: Context, records: RunRecords, result: RunResult) -> None:
    """The rows of the folder's run and their leaves."""
    _Rows(report, context, records, result).check()


def chain_rows(context: Context, cycle: int, run: int) -> dict[Hash32, ChainRow]:
    """The rows of a run that the chain knows of, by digest; agreed ones only where they were applied."""
    found: dict[Hash32, ChainRow] = {}
    for event in context.evidence.of_cycle(cycle, "RowAttested", "RowApplied", "RowStruck"):
        digest = event["row_digest"]
        if event.name == "RowAttested":
            row = struct(Row, event["row"])
            if row.run == run:
                found[digest] = ChainRow(
                    digest,
                    Way.ATTESTED,
                    row.payer,
                    row.payee,
                    event.time,
                    0,
                    row,
                    event["mask"],
                    context.evidence.attestors_of(event),
                    None,
                )
        elif event.name == "RowStruck":
            if digest in found:
                found[digest] = replace(found[digest], way=Way.STRUCK)
        elif digest in found and event["way"] == 3:
            found[digest] = replace(found[digest], applied_at=event.time, applied=event)
        elif event["run"] == run:
            way = WAYS[event["way"]]
            found[digest] = ChainRow(
                digest, way, event["payer"], event["payee"], event.time, event.time, None, 0, (), event
            )
    return found


@dataclass
class _Rows:
    report: Report
    context: Context
    records: RunRecords
    result: RunResult

    def __post_init__(self) -> None:
        self.file = self.records.file(tables.ROWS)
        self.chain = chain_rows(self.context, self.records.cycle, self.records.run)

    def check(self) -> None:
        """Every row of the file, every row of the chain, every leaf."""
        matched = dict(self._matched())
        newest: dict[Pair, tuple[int, SettledRow]] = {}
        for line, given in enumerate(self.records.rows, 1):
            if given.way == Way.CLAIMED:
                self._check_claimed(line, given)
                newest.setdefault(_pair(given.row), (line, given))
                continue
            known = matched.get(line)
            if known is None:
                self._find(Check.ROWS, line, "digest", "a row that the chain knows in this run", given.digest)
                continue
            row = self._check_against(line, given, known)
            self._check_signatures(line, given, known)
            settled = replace(given, row=row or given.row)
            if known.applied and (known.pair not in newest or newest[known.pair][1].row.version < settled.row.version):
                newest[known.pair] = line, settled
        for digest in self.chain.keys() - {one.digest for one in matched.values()}:
            self._find(Check.ROWS, 0, "", f"row 0x{digest.hex()}", "none")
        for line, given in newest.values():
            self._check_totals(line, given)
        self._check_leaves({pair: given.row for pair, (_, given) in newest.items()})

    def _matched(self) -> Iterator[tuple[int, ChainRow]]:
        """Which line is which row of the chain: by its digest, else by pair, version and amount."""
        free = dict(self.chain)
        rest = []
        for line, given in enumerate(self.records.rows, 1):
            if given.digest in free:
                yield line, free.pop(given.digest)
            elif given.way != Way.CLAIMED:
                rest.append((line, given))
        for line, given in rest:
            digest = self.context.domain.digest(given.row)
            likely = [one for one in free.values() if one.digest == digest or one.pair == _pair(given.row)]
            if likely:
                best = max(likely, key=lambda one: one.digest == digest)
                yield line, free.pop(best.digest)

    def _check_against(self, line: int, given: SettledRow, known: ChainRow) -> Row | None:
        """The row as it was signed, as far as it can be told; every column that differs is found."""
        row = self._signed_row(given, known)
        if row is None:
            expected = f"0x{known.digest.hex()}, by the row's fields"
            self._find(Check.ROWS, line, "digest", expected, self.context.domain.digest(given.row))
        else:
            for name in ROW_FIELDS:
                self._equal(line, name, getattr(row, name), getattr(given.row, name))
        self._equal(line, "digest", known.digest, given.digest)
        self._equal(line, "way", known.way.value, given.way)
        self._equal(line, "applied_at", known.applied_at, given.applied_at)
        self._equal(line, "attestation_mask", known.mask, given.attestation_mask)
        return row

    def _signed_row(self, given: SettledRow, known: ChainRow) -> Row | None:
        if known.row is not None:
            return known.row
        applied = known.applied
        if applied is None:
            return None
        content, keep = self._content(known.pair), self.result.keep.get(known.pair, 0)
        sealed = [event["inputs"] for event in self._seals() if event["run"] == self.records.run]
        inputs = ZERO_HASH if known.way is Way.EARLY else next(iter(sealed), ZERO_HASH)
        trees = ((given.row.count, given.row.root), (content.count, content.root))
        for (count, root), kept in product(trees, (given.row.keep, keep, 0)):
            row = Row(
                self.records.cycle,
                applied["run"],
                applied["version"],
                known.payer,
                known.payee,
                applied["amount"],
                count,
                root,
                kept,
                inputs,
            )
            if self.context.domain.digest(row) == known.digest:
                return row
        return None

    def _check_signatures(self, line: int, given: SettledRow, known: ChainRow) -> None:
        if known.mask:
            signers = tuple(member for bit, member in enumerate(known.attestors) if known.mask >> bit & 1)
            digest = self.context.domain.digest(RowAttestation(known.digest))
        else:
            signers, digest = known.pair, known.digest
        if tuple(one.member for one in given.signatures) != signers:
            found = tuple(one.member for one in given.signatures)
            self._find(Check.ROW_SIGNATURES, line, "signatures", signers, found)
            return
        for one in given.signatures:
            if one.v == 0 and self.context.evidence.is_contract(one.member, known.time):
                self.report.note(self.file, line, "signed by a contract, which the chain judged when it took it")
                continue
            key = typed_data.recover(digest, one.signature)
            if key is None or not self.context.evidence.had_key(one.member, key, known.time, 0):
                expected = f"a signature by 0x{one.member.hex()}"
                self._find(Check.ROW_SIGNATURES, line, "signatures", expected, key or "malformed")

    def _check_totals(self, line: int, given: SettledRow) -> None:
        """Amount, count and root as the inputs give them."""
        content = self._content(_pair(given.row))
        for name in ("amount", "count", "root"):
            expected, found = getattr(content, name), getattr(given.row, name)
            if expected == found:
                continue
            if given.way in (Way.AGREED, Way.EARLY):
                text = f"both members signed {name} {found}, the inputs give {expected}"
                self.report.note(self.file, line, text if name != "root" else "both members signed other leaves")
            else:
                self._find(Check.ROW_TOTALS, line, name, expected, found)

    def _check_claimed(self, line: int, given: SettledRow) -> None:
        """A row that nobody signed: claims settled its pair."""
        digest = self.context.domain.digest(given.row)
        if digest != given.digest:
            self._find(Check.ROWS, line, "digest", digest, given.digest)
        if given.signatures or given.attestation_mask:
            self._find(Check.ROWS, line, "signatures", "none on a claimed row", "some")

    def _check_leaves(self, rows: dict[Pair, Row]) -> None:
        """The leaves of the rows, and of pairs without a row where the file has them."""
        given: dict[Pair, list[RecordedFlow]] = {}
        for one in self.records.flows:
            given.setdefault((one.payer, one.payee), []).append(one)
        expected: list[RecordedFlow] = []
        for pair in sorted(given.keys() | rows.keys()):
            row, leaves = rows.get(pair), given.get(pair, [])
            if row is not None and self._is_over(row, leaves):
                expected += leaves
            else:
                content = self._content(pair)
                expected += (RecordedFlow(*pair, place, leaf) for place, leaf in enumerate(content.leaves))
        table = tables.FLOW_LEAVES
        compare(self.report, Check.FLOW_LEAVES, self.records.file(table), table, expected, self.records.flows)

    def _is_over(self, row: Row, leaves: list[RecordedFlow]) -> bool:
        ordered = sorted(leaves, key=lambda one: one.position)
        if [one.position for one in ordered] != list(range(row.count)):
            return False
        try:
            content = RowContent(row.payer, row.payee, tuple(one.leaf for one in ordered))
        except SettlementError:
            return False
        return content.root == row.root

    def _content(self, pair: Pair) -> RowContent:
        return self.result.rows.get(pair) or empty_row(*pair)

    def _seals(self) -> Iterator[Event]:
        return self.context.evidence.of_cycle(self.records.cycle, "RunSealed")

    def _equal(self, line: int, name: str, expected: object, found: object) -> None:
        if expected != found:
            self._find(Check.ROWS, line, name, expected, found)

    def _find(self, check: Check, line: int, name: str, expected: object, found: object) -> None:
        self.report.find(check, self.file, line, name, expected, found)


def check_claimed_figures(
    report: Report,
    records: RunRecords,
    result: RunResult,
    trades: tuple[PlacedTrade, ...],
    templates: dict[Hash32, Template],
) -> None:
    """Claims against what the inputs give; one that was struck for it, or ended by a right one, is noted."""
    by_digest = {placed.digest: placed for placed in trades}
    applied = {one.claim.trade_digest for one in records.claims if one.applied_at}
    file = records.file(tables.CLAIMS)
    for line, one in enumerate(records.claims, 1):
        placed = by_digest.get(one.claim.trade_digest)
        settled = result.settled.get(one.claim.trade_digest)
        wh: int | None = None
        flows: tuple[MemberFlow, ...] = ()
        if placed is not None and settled is not None and settled.quantities is not None:
            wh = settled.quantities.settled
            flows = member_flows(placed.trade, templates[placed.trade.template], settled.quantities)
        if one.claim.settled_wh == wh and one.claim.flows == flows:
            continue
        if one.struck_at:
            report.note(file, line, "a claim of another figure, struck on chain")
        elif not one.applied_at and one.claim.trade_digest in applied:
            report.note(file, line, "a claim of another figure, ended by the one that was applied")
        elif one.claim.settled_wh != wh:
            report.find(Check.CLAIMED_FIGURES, file, line, "settled_wh", wh, one.claim.settled_wh)
        else:
            report.find(Check.CLAIMED_FIGURES, file, line, "flows", flows, one.claim.flows)


def _pair(row: Row) -> Pair:
    return row.payer, row.payee
