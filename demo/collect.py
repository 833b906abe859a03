"""What auditors get, collected after the week: the members' own records, and what the chain says in its events.

What is public is taken from the chain: commitments, locks, curtailments, marks, what was posted, settled, claimed and
owed, with the signatures as they were sent. What only members know is taken from their desks: trades with their
proofs, readings and allocation leaves from the utilities, the leaves behind rows from whoever signed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from audit.node import NodeChain
from chain.claims import claims_of
from chain.deployment import DeploymentRecord
from chain.evidence import Event, Evidence, struct
from chain.marks import marks_of
from chain.rpc import Rpc
from demo.calls import Call, read_calls
from member.desk import counting
from settlement import cycle as rules
from settlement.config import Config
from settlement.figures import MarkKind, SeenLeaf, Terms
from settlement.flows import Pair
from settlement.hashing import ZERO_HASH, Hash32
from settlement.placed import PlacedTrade as CountingTrade
from settlement.placed import Side
from settlement.trade import FlowLeaf, PaymentNotice, Row, Signature
from settlement.typed_data import Domain
from settlement.units import Calendar
from store.desk import DeskStore
from store.records import (
    MemberSignature,
    PlacedTrade,
    PostedAllocation,
    RecordedClaim,
    RecordedCommitment,
    RecordedCurtailment,
    RecordedFlow,
    RecordedLeaf,
    RecordedLock,
    RecordedMark,
    RecordedNotice,
    RecordedObligation,
    RecordedReading,
    RowState,
    SettledRow,
    StoredAllocation,
    Way,
)

WAYS: Mapping[int, Way] = {1: Way.AGREED, 2: Way.EARLY, 3: Way.ATTESTED}
REPLACED = "replaced"
"""Why an attested row ended that an agreed one took the place of."""


class RecordMissing(Exception):
    """No member's desk has something that the chain says was said."""


@dataclass(frozen=True)
class Moved:
    """What a row or claim moved, base units."""

    paid: int
    owed: int
    owed_back: int = 0


@dataclass(frozen=True)
class RunRecords:
    """A run of a cycle: rows and claims of this run alone, with the leaves behind the newest rows."""

    number: int
    inputs: Hash32
    rows: tuple[SettledRow, ...]
    flows: tuple[RecordedFlow, ...]
    claims: tuple[RecordedClaim, ...]


@dataclass(frozen=True)
class CycleRecords:
    """Everything that was said about a cycle: what is of runs is of all runs, each value says which."""

    cycle: int
    config: Config
    end: int
    commitments: tuple[RecordedCommitment, ...]
    locks: tuple[RecordedLock, ...]
    placed: tuple[PlacedTrade, ...]
    curtailments: tuple[RecordedCurtailment, ...]
    readings: tuple[RecordedReading, ...]
    posted: tuple[PostedAllocation, ...]
    leaves: tuple[RecordedLeaf, ...]
    marks: tuple[RecordedMark, ...]
    runs: tuple[RunRecords, ...]
    results: tuple[rules.RunResult, ...]
    """What the trades come to by run, from all members' records together."""

    counting: tuple[CountingTrade, ...]


class Records:
    """The market's records. Reads the chain once; the desks when a cycle is asked for."""

    def __init__(self, rpc: Rpc, record: DeploymentRecord, desks: Mapping[Hash32, DeskStore]) -> None:
        """`desks` by member."""
        self.record = record
        self.evidence = Evidence(tuple(NodeChain(record, rpc).events()))
        self.calls: dict[str, Call] = read_calls(rpc, record, self.evidence.events)
        self._desks = desks
        self._domain = Domain(record.chain_id, record.contracts["MemberRegistry"].address, record.market_id)
        self._templates = {one: known.template for one, known in self.evidence.registry.templates.items()}

    @cached_property
    def moved(self) -> dict[Hash32, Moved]:
        """What each applied row moved, by digest."""
        return {
            event["row_digest"]: Moved(event["paid"], event["owed"], event["owed_back"])
            for event in self.evidence.of("RowApplied")
        }

    # --- a cycle ---

    def cycle(self, cycle: int) -> CycleRecords:
        """The records of a cycle. Raises RecordMissing where a desk lacks what its member said."""
        config = self.evidence.config_of(cycle)
        if config is None:
            raise RecordMissing(f"nothing was committed in cycle {cycle}")
        commitments = [one for one in self.evidence.commitments.values() if one.record.cycle == cycle]
        placed = self._placed(cycle)
        curtailments = tuple(self._curtailments(cycle))
        sealed = {event["run"]: event["inputs"] for event in self.evidence.of_cycle(cycle, "RunSealed")}
        allocations = {
            (run, utility): made
            for run in sorted(sealed)
            for utility, desk in sorted(self._desks.items())
            if (made := desk.allocation(cycle, run)) is not None and self._is_posted(cycle, run, utility)
        }
        trades = counting(placed, curtailments)
        return CycleRecords(
            cycle=cycle,
            config=config,
            end=Calendar(config.anchor, config.slot_length, config.cycle_length).cycle_end(cycle),
            commitments=tuple(RecordedCommitment(one.number, one.record) for one in commitments),
            locks=tuple(RecordedLock(one.number, lock) for one in commitments for lock in one.locks),
            placed=placed,
            curtailments=curtailments,
            readings=tuple(reading for made in allocations.values() for reading in made.readings),
            posted=tuple(self._posted(cycle, config.digest())),
            leaves=tuple(_leaves(allocations)),
            marks=tuple(self._marks(cycle, placed)),
            runs=tuple(self._run(cycle, run, inputs) for run, inputs in sorted(sealed.items())),
            results=tuple(self._result(cycle, run, trades, allocations, config) for run in sorted(sealed)),
            counting=trades,
        )

    def _placed(self, cycle: int) -> tuple[PlacedTrade, ...]:
        """Every trade at its place, from whoever has it with its signatures; registered ones from the chain."""
        found = {(one.number, one.index): one for desk in self._desks.values() for one in desk.placed(cycle)}
        for event in self.evidence.of_cycle(cycle, "TradeRegistered"):
            trade = self.evidence.commitments[event["number"]].trade
            assert trade is not None  # noqa: S101
            sent = self.calls[event.transaction]["signatures"]
            signatures = _signed(trade.signers, sent)
            one = PlacedTrade(self._domain.digest(trade), trade, event["number"], 0, (), signatures)
            found[event["number"], 0] = one
        return tuple(found[place] for place in sorted(found))

    def _curtailments(self, cycle: int) -> Iterator[RecordedCurtailment]:
        for event in self.evidence.of_cycle(cycle, "Curtailed"):
            said = {name: event[name] for name in ("number", "index", "trade_digest", "contracted_wh", "reason")}
            yield RecordedCurtailment(**said, recorded_at=event.time)

    def _is_posted(self, cycle: int, run: int, utility: Hash32) -> bool:
        posted = self.evidence.of_cycle(cycle, "AllocationPosted")
        return any((event["run"], event["utility"]) == (run, utility) for event in posted)

    def _posted(self, cycle: int, config_digest: Hash32) -> Iterator[PostedAllocation]:
        for event in self.evidence.of_cycle(cycle, "AllocationPosted"):
            said = {name: event[name] for name in ("run", "attempt", "utility", "root", "count")}
            signature = struct(Signature, self.calls[event.transaction]["signature"])
            yield PostedAllocation(**said, config_digest=config_digest, signature=signature, posted_at=event.time)

    def _marks(self, cycle: int, placed: Iterable[PlacedTrade]) -> Iterator[RecordedMark]:
        trades = {one.digest: one.trade for one in placed}
        for event in self.evidence.of_cycle(cycle, "GroupVoided", "SideMarked"):
            group = {name: event[name] for name in ("run", "utility", "side")}
            if event.name == "GroupVoided":
                group |= {"kind": MarkKind.VOID, "meter": event["meter"], "slot_start": event["slot_start"]}
                yield RecordedMark(**group, trade_digest=ZERO_HASH, wh=0, recorded_at=event.time)
                continue
            trade = trades[event["trade_digest"]]
            meter = trade.buyer_meter if event["side"] == Side.BUYER else trade.seller_meter
            group |= {"kind": event["kind"], "meter": meter, "slot_start": trade.slot_start}
            yield RecordedMark(**group, trade_digest=event["trade_digest"], wh=event["wh"], recorded_at=event.time)

    def _result(
        self,
        cycle: int,
        run: int,
        trades: tuple[CountingTrade, ...],
        allocations: Mapping[tuple[int, Hash32], StoredAllocation],
        config: Config,
    ) -> rules.RunResult:
        seen = [
            SeenLeaf(of_run, utility, leaf)
            for (of_run, utility), made in allocations.items()
            if of_run <= run
            for leaf in made.leaves
        ]
        marks = marks_of(self.evidence, cycle, run, trades)
        return rules.settle_run(run, trades, seen, marks, self._templates, Terms.of(cycle, config))

    # --- a run ---

    def _run(self, cycle: int, run: int, inputs: Hash32) -> RunRecords:
        rows = tuple(self._rows(cycle, run))
        return RunRecords(run, inputs, rows, tuple(self._flows(cycle, rows)), tuple(_claims(self.evidence, cycle, run)))

    def _rows(self, cycle: int, run: int) -> Iterator[SettledRow]:
        """The rows that were applied or attested in a run, in chain order."""
        found: dict[Hash32, SettledRow] = {}
        for event in self.evidence.of_cycle(cycle, "RowAttested", "RowApplied", "RowStruck"):
            digest, call = event["row_digest"], self.calls[event.transaction]
            if event.name == "RowAttested":
                row = struct(Row, event["row"])
                if row.run == run:
                    members = self.evidence.attestors_of(event)
                    signers = [member for bit, member in enumerate(members) if event["mask"] >> bit & 1]
                    signatures = _signed(signers, call["signatures"])
                    found[digest] = SettledRow(row, digest, Way.ATTESTED.value, signatures, event["mask"], 0)
            elif digest in found:
                struck = event.name == "RowStruck"
                found[digest] = replace(
                    found[digest],
                    way=Way.STRUCK.value if struck else found[digest].way,
                    applied_at=0 if struck else event.time,
                )
            elif event.name == "RowApplied" and event["run"] == run:
                found[digest] = self._agreed(event, call)
        return iter(found.values())

    def _agreed(self, event: Event, call: Call) -> SettledRow:
        for sent in call["rows"]:
            row = struct(Row, sent["row"])
            if self._domain.digest(row) == event["row_digest"]:
                signatures = _signed((row.payer, row.payee), (sent["payer_signature"], sent["payee_signature"]))
                way = WAYS[event["way"]].value
                return SettledRow(row, event["row_digest"], way, signatures, 0, event.time)
        raise RecordMissing(f"row 0x{event['row_digest'].hex()} is not in the call that applied it")

    def _flows(self, cycle: int, rows: Iterable[SettledRow]) -> Iterator[RecordedFlow]:
        """The leaves behind the newest row of each pair, from the desk of a member that signed it."""
        newest: dict[Pair, Row] = {}
        for one in rows:
            pair = one.row.payer, one.row.payee
            if one.applied_at and (pair not in newest or newest[pair].version < one.row.version):
                newest[pair] = one.row
        for pair, row in sorted(newest.items()):
            for position, leaf in enumerate(self._row_leaves(cycle, row)):
                yield RecordedFlow(*pair, position, leaf)

    def _row_leaves(self, cycle: int, row: Row) -> tuple[FlowLeaf, ...]:
        if row.count == 0:
            return ()
        for member in (row.payee, row.payer, *self._desks):
            for known in self._kept_rows(member, cycle):
                if (known.row.count, known.row.root) == (row.count, row.root) and len(known.leaves) == row.count:
                    return known.leaves
        raise RecordMissing(f"nobody has the leaves of version {row.version} of a row of cycle {cycle}")

    def _kept_rows(self, member: Hash32, cycle: int) -> Sequence[RowState]:
        desk = self._desks.get(member)
        return desk.row_states(cycle) if desk else ()

    # --- beside the cycles ---

    def obligations(self) -> tuple[RecordedObligation, ...]:
        """What fell due, and how much of it is closed."""
        closed: dict[int, int] = {}
        for event in self.evidence.of("Closed"):
            closed[event["number"]] = closed.get(event["number"], 0) + event["amount"]
        return tuple(
            RecordedObligation(
                number=event["number"],
                debtor=event["debtor"],
                creditor=event["creditor"],
                amount=event["amount"],
                closed=closed.get(event["number"], 0),
                due_at=event["due_at"],
                fell_due_at=event.time,
            )
            for event in self.evidence.of("FellDue")
        )

    def notices(self) -> tuple[RecordedNotice, ...]:
        """What debtors said they paid, and what creditors acknowledged."""
        acknowledged: dict[tuple[Hash32, ...], tuple[int, int]] = {}
        for event in self.evidence.of("Acknowledged"):
            key = event["creditor"], event["debtor"], event["reference_hash"]
            acknowledged[key] = event["acknowledged"], event.time
        found = []
        for event in self.evidence.of("Notified"):
            notice = struct(PaymentNotice, event.fields)
            key = notice.creditor, notice.debtor, notice.reference_hash
            signature = struct(Signature, self.calls[event.transaction]["signature"])
            found.append(RecordedNotice(notice, signature, *acknowledged.get(key, (0, 0))))
        return tuple(found)


def _signed(members: Iterable[Hash32], sent: Iterable[Mapping[str, Any]]) -> tuple[MemberSignature, ...]:
    """Signatures as they stood in a call, with whose they are."""
    signatures = (struct(Signature, one) for one in sent)
    return tuple(MemberSignature.of(member, made) for member, made in zip(members, signatures, strict=True))


def _leaves(allocations: Mapping[tuple[int, Hash32], StoredAllocation]) -> Iterator[RecordedLeaf]:
    for (run, utility), made in sorted(allocations.items()):
        for position, leaf in enumerate(made.leaves):
            yield RecordedLeaf(run, utility, position, leaf)


def _claims(evidence: Evidence, cycle: int, run: int) -> Iterator[RecordedClaim]:
    """The claims of a run and their ends."""
    for one in claims_of(evidence, cycle):
        if one.claim.run == run:
            yield RecordedClaim(one.claim, one.applied_at, one.struck_at)
