"""A small market for audits: two cycles' worth of everything that folders and events can hold, without a node.

Two platforms and two utilities trade in one cycle: batches with locks, a registered trade, a curtailment, a wrong leaf
whose group is voided, a corrected run, agreed, early, attested and struck rows, a claim, an obligation that is paid.
What the chain would say is kept as events and as the answers of its views.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from audit.money import PairAccount
from settlement import preimages, typed_data
from settlement.config import HOUR, code
from settlement.cycle import Group, RunResult, SlotReading, UtilityAllocation, allocate_utility, settle_run
from settlement.faults import Status
from settlement.figures import MarkKind, Marks, SeenLeaf, Terms
from settlement.formula.templates import SHIPPED_BY_ID
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.placed import Side
from settlement.rows import RowContent
from settlement.trade import (
    AllocationLeaf,
    Claim,
    MemberFlow,
    PaymentNotice,
    Row,
    RowAttestation,
)
from store.records import (
    MemberSignature,
    PostedAllocation,
    RecordedClaim,
    RecordedFlow,
    RecordedLeaf,
    RecordedMark,
    RecordedNotice,
    RecordedObligation,
    RecordedReading,
    SettledRow,
)
from tests.audit.fake_chain import (
    CONFIG,
    CYCLE,
    END,
    IDS,
    START,
    UA,
    UB,
    A,
    B,
)
from tests.audit.scene_trading import TradingScene


class Scene(TradingScene):
    """Plays a market to its end. Not `voided`, nobody proves the wrong leaf; agreed rows of run 1 say `extra` more."""

    def __init__(self, voided: bool = True, extra: int = 0) -> None:
        super().__init__()
        self.voided, self.extra = voided, extra
        self.posted: list[PostedAllocation] = []
        self.leaves: list[RecordedLeaf] = []
        self.marks: list[RecordedMark] = []
        self.void: dict[Hash32, int] = {}
        self.readings: dict[int, list[RecordedReading]] = {0: [], 1: []}
        self.rows: dict[int, list[SettledRow]] = {0: [], 1: []}
        self.flows: dict[int, list[RecordedFlow]] = {0: [], 1: []}
        self.claims: dict[int, list[RecordedClaim]] = {0: [], 1: []}
        self.inputs: list[Hash32] = []
        self.before = CONFIG.digest()
        self.obligations: list[RecordedObligation] = []
        self.notices: list[RecordedNotice] = []
        self._run_0()
        self._run_1()
        self._pay()
        self._answer()

    # --- runs ---

    def _run_0(self) -> None:
        self.chain.time = END + HOUR
        figures = {("buyer", 1): 2_500, ("seller-a", 1): 2_000, ("buyer", 2): 9_000, ("seller-b", 2): 5_000}
        self.readings[0] = [self._reading(*key, wh) for key, wh in {**figures, ("buyer", 3): 800}.items()]
        self.readings[0].append(self._reading("seller-a", 3, None))
        early = self._settle(0)
        self._agree(0, early, (A, B), early=True)
        self._post(0, 1, self._allocate(UA, 0))
        honest = self._allocate(UB, 0)
        wrong = replace(honest.leaves[0], allocated_wh=honest.leaves[0].allocated_wh + 50)
        self._post(0, 1, UtilityAllocation(UB, (wrong, *honest.leaves[1:])))
        self.chain.time = END + 13 * HOUR
        if self.voided:
            self._void(wrong)
        self._seal(0)
        result = self._settle(0)
        self._agree(0, result, (A, B))
        self._strike_false_row(result)
        self._attest(0, result, (A, UB))

    def _void(self, wrong: AllocationLeaf) -> None:
        self.chain.emit(
            "AllocationOracle",
            "GroupVoided",
            cycle=CYCLE,
            utility=UB,
            run=0,
            meter=wrong.meter,
            slot_start=wrong.slot_start,
            side=wrong.side,
        )
        group = preimages.group_key(UB, wrong.meter, wrong.slot_start, wrong.side)
        self.void[group] = 1
        self.accumulate(preimages.Act.VOID, 0, group)
        self.marks.append(
            RecordedMark(MarkKind.VOID, 0, UB, wrong.meter, wrong.slot_start, wrong.side, ZERO_HASH, 0, self.chain.time)
        )

    def _run_1(self) -> None:
        self.chain.time = END + 72 * HOUR
        late = [self._reading("seller-a", 3, 650)]
        rest = [one for one in self.readings[0] if one.quality != "MISSING"]
        self.readings[1] = [replace(one, run=1) for one in (*rest, *late)]
        for utility in (UA, UB):
            self._post(1, 1, self._allocate(utility, 1))
        self._seal(1)
        result = self._settle(1)
        self._agree(1, result, (A, B))
        self._claim(1, result)

    def _reading(self, meter: str, hour: int, wh: int | None) -> RecordedReading:
        start = START + hour * HOUR
        return RecordedReading(
            run=0,
            utility=UB if meter == "seller-b" else UA,
            meter=self.meter(meter),
            meter_id=meter,
            salt=self.meter_salt(meter),
            slot_start=start,
            slot_end=start + HOUR,
            direction="import" if meter == "buyer" else "export",
            wh=wh or 0,
            raw_kwh="" if wh is None else f"{wh // 1000}.{wh % 1000:03d}9",
            quality="MISSING" if wh is None else "READ",
        )

    def _allocate(self, utility: Hash32, run: int) -> UtilityAllocation:
        readings: dict[Group, SlotReading] = {
            (one.meter, one.slot_start, Side.BUYER if one.direction == "import" else Side.SELLER): SlotReading(
                one.wh, Status[one.quality]
            )
            for one in self.readings[run]
            if one.utility == utility
        }
        return allocate_utility(utility, self.counting(), readings, CYCLE, CONFIG.allocation_rule)

    def _post(self, run: int, attempt: int, posted: UtilityAllocation) -> None:
        statement = posted.statement(CYCLE, run, attempt, CONFIG.digest())
        struct_hash = typed_data.struct_hash(statement)
        told = {name: value for name, value in asdict(statement).items() if name != "config_digest"}
        self.chain.emit("AllocationOracle", "AllocationPosted", **told, struct_hash=struct_hash)
        self.accumulate(preimages.Act.ALLOCATION, run, struct_hash)
        self.chain.answers["AllocationOracle", "posted", CYCLE, run, posted.utility] = preimages.posted_tree(
            statement.root, statement.count
        )
        signature = self.sign(posted.utility, statement)
        self.posted.append(
            PostedAllocation(
                run,
                attempt,
                posted.utility,
                statement.root,
                statement.count,
                CONFIG.digest(),
                signature,
                self.chain.time,
            )
        )
        self.leaves += [RecordedLeaf(run, posted.utility, at, leaf) for at, leaf in enumerate(posted.leaves)]

    def _seal(self, run: int) -> None:
        self.before = preimages.sealed_inputs(self.before, self.accumulator)
        self.chain.time += 24 * HOUR
        told = {"inputs": self.before, "accumulator": self.accumulator}
        self.chain.emit("AllocationOracle", "RunSealed", cycle=CYCLE, run=run, **told)
        self.chain.answers["AllocationOracle", "inputs", CYCLE, run] = self.before
        self.inputs.append(self.before)
        self.accumulator = ZERO_HASH

    def _settle(self, run: int) -> RunResult:
        seen = [SeenLeaf(one.run, one.utility, one.leaf) for one in self.leaves]
        if not seen:  # early: what both members compute from readings that nobody has posted yet
            seen = [leaf for utility in (UA, UB) for leaf in self._allocate(utility, 0).seen(0)]
        return settle_run(run, self.counting(), seen, Marks(self.void), SHIPPED_BY_ID, Terms.of(CYCLE, CONFIG))

    # --- rows ---

    def _agree(self, run: int, result: RunResult, pair: tuple[Hash32, Hash32], early: bool = False) -> None:
        content, keep = result.rows[pair], result.keep.get(pair, 0)
        version = 1 + sum((one.row.payer, one.row.payee) == pair for rows in self.rows.values() for one in rows)
        row = content.row(CYCLE, run, version, ZERO_HASH if early else self.inputs[run], keep)
        row = replace(row, amount=row.amount + self.extra * run)
        signatures = tuple(MemberSignature.of(member, self.sign(member, row)) for member in pair)
        self._apply(row, 2 if early else 1, 0 if early else run + 1 | 1 << 16, keep)
        way = "early" if early else "agreed"
        self._record(run, content, SettledRow(row, self.domain.digest(row), way, signatures, 0, self.chain.time))

    def _attest(self, run: int, result: RunResult, pair: tuple[Hash32, Hash32]) -> None:
        content = result.rows[pair]
        row, signatures = self._attested(run, content, 2)
        self._apply(row, 3, run + 1 | 1 << 17, None)
        self._record(run, content, SettledRow(row, self.domain.digest(row), "attested", signatures, 3, self.chain.time))

    def _attested(self, run: int, content: RowContent, version: int) -> tuple[Row, tuple[MemberSignature, ...]]:
        row = content.row(CYCLE, run, version, self.inputs[run])
        digest = self.domain.digest(row)
        signatures = tuple(MemberSignature.of(one, self.sign(one, RowAttestation(digest))) for one in (UA, UB))
        told = {"row": asdict(row), "row_digest": digest, "mask": 3}
        self.chain.emit("Settlement", "RowAttested", cycle=CYCLE, payer=row.payer, payee=row.payee, **told)
        return row, signatures

    def _strike_false_row(self, result: RunResult) -> None:
        honest = result.rows[A, UB]
        first, *rest = honest.leaves
        false = RowContent(A, UB, (replace(first, amount=first.amount + 1), *rest))
        row, signatures = self._attested(0, false, 1)
        digest = self.domain.digest(row)
        told = {"payer": A, "payee": UB, "row_digest": digest, "reason": "wrong leaf"}
        self.chain.emit("Settlement", "RowStruck", cycle=CYCLE, **told)
        self.rows[0].append(SettledRow(row, digest, "struck", signatures, 3, 0))

    def _apply(self, row: Row, way: int, settled: int, keep: int | None) -> None:
        pair = self.pairs.setdefault((row.payer, row.payee), PairAccount())
        paid, owed, owed_back, released = pair.move(row.amount, keep)
        pair.state = row.version | settled << 32
        self.free[row.payee] += paid
        self.free[row.payer] += released
        about = {"cycle": CYCLE, "payer": row.payer, "payee": row.payee}
        told = {"run": row.run, "version": row.version, "amount": row.amount, "row_digest": self.domain.digest(row)}
        moved = {"paid": paid, "owed": owed, "owed_back": owed_back}
        self.chain.together(
            ("SettlementEscrow", "Applied", {**about, "paid": paid, "released": released, "word": pair.word}),
            ("Settlement", "RowApplied", {**about, "way": way, **told, **moved}),
        )

    def _record(self, run: int, content: RowContent, settled: SettledRow) -> None:
        pair = content.payer, content.payee
        self.rows[run].append(settled)
        self.flows[run] = [one for one in self.flows[run] if (one.payer, one.payee) != pair]
        self.flows[run] += [RecordedFlow(*pair, at, leaf) for at, leaf in enumerate(content.leaves)]

    def _claim(self, run: int, result: RunResult) -> None:
        """A right claim, of which one flow stands in a row already; one that is struck, and one that it ends."""
        placed = self.counting()[-1]
        leaf = next(flow for flow in result.rows[A, UB].leaves if flow.trade_digest == placed.digest)
        rest = next(flow for flow in result.rows[A, B].leaves if flow.trade_digest == placed.digest)
        flows = (MemberFlow(A, B, rest.amount), MemberFlow(A, UB, leaf.amount))
        struck = self.make_claim(run, placed.digest, leaf.settled_wh + 1, flows)
        right = self.make_claim(run, placed.digest, leaf.settled_wh, flows)
        ended = self.make_claim(run, placed.digest, leaf.settled_wh, flows[1:])
        of_trade = {"trade_digest": placed.digest, "cycle": CYCLE, "run": run}
        kept = preimages.claim_record(struck)
        self.chain.emit("Settlement", "ClaimStruck", **of_trade, claim_hash=kept)
        struck_at = self.chain.time
        pair = self.pairs[A, UB]
        by_claims = 1 << 50 if leaf.amount >= pair.applied else 0
        paid, owed, _, released = pair.move(max(pair.applied, leaf.amount), None)
        pair.state = pair.state & 0xFFFFFFFF | run + 1 << 32 | by_claims
        self.free[UB] += paid
        about = {"payer": A, "payee": UB, "cycle": CYCLE}
        moved = {"claim_hash": preimages.claim_record(right), "claimed_sum": leaf.amount, "paid": paid, "owed": owed}
        self.chain.together(
            ("SettlementEscrow", "Applied", {**about, "paid": paid, "released": released, "word": pair.word}),
            ("Settlement", "ClaimApplied", {**of_trade, **about, **moved}),
        )
        ends = (struck, 0, struck_at), (right, self.chain.time, 0), (ended, 0, 0)
        self.claims[run] += [RecordedClaim(*end) for end in ends]

    def make_claim(self, run: int, digest: Hash32, settled_wh: int, flows: tuple[MemberFlow, ...]) -> Claim:
        """Somebody claims."""
        claim = Claim(CYCLE, run, digest, settled_wh, 1, 1, 1, 1, self.chain.time + 1, flows)
        event = {**asdict(claim), "flows": [asdict(flow) for flow in flows]}
        self.chain.emit("Settlement", "Claimed", trade_digest=digest, cycle=CYCLE, claim=event)
        return claim

    # --- debts ---

    def _pay(self) -> None:
        owed = self.pairs[A, B].owed - self.pairs[A, B].owed_back
        amount = owed - owed % CONFIG.payable_unit
        due_at = self.chain.time + 1 + CONFIG.due_time
        told = {"number": 1, "debtor": A, "creditor": B, "amount": amount}
        self.chain.emit("ObligationLedger", "FellDue", **told, due_at=due_at)
        fell_due_at = self.chain.time
        notice = PaymentNotice(A, B, (1,), amount, code("UPI"), self.chain.time, keccak256(b"reference"))
        self.chain.emit("ObligationLedger", "Notified", **{**asdict(notice), "obligations": [1]})
        reference = {"creditor": B, "debtor": A, "reference_hash": notice.reference_hash}
        self.chain.together(
            ("ObligationLedger", "Acknowledged", {**reference, "acknowledged": amount}),
            ("ObligationLedger", "Closed", {"number": 1, "amount": amount, "open_amount": 0}),
        )
        self.obligations.append(RecordedObligation(1, A, B, amount, amount, due_at, fell_due_at))
        self.notices.append(RecordedNotice(notice, self.sign(A, notice), amount, self.chain.time))

    def _answer(self) -> None:
        """What the contracts' views answer in the end."""
        answers = self.chain.answers
        answers["MemberRegistry", "market_id"] = self.domain.market_id
        answers["MemberRegistry", "domain_separator"] = self.domain.separator
        answers["MemberRegistry", "config_digest", 1] = CONFIG.digest()
        for one in self.commitments:
            record, record_hash = one.commitment, preimages.commitment_record(one.commitment)
            answers["TradeBook", "commitment", one.number] = record_hash if record.sequence else bytes(32)
            answers["TradeBook", "registered", record.root] = preimages.registered_record(one.number, record)
        for (payer, payee), pair in self.pairs.items():
            answers["SettlementEscrow", "pair", CYCLE, payer, payee] = pair.word
        for member, amount in self.free.items():
            answers["SettlementEscrow", "free", member] = amount
        answers["SettlementEscrow", "held"] = 2 * 10**9
        for debtor in IDS.values():
            for creditor in IDS.values():
                pair = self.pairs.get((debtor, creditor), PairAccount())
                fell_due = sum(o.amount for o in self.obligations if (o.debtor, o.creditor) == (debtor, creditor))
                answers["ObligationLedger", "owed", debtor, creditor] = pair.owed - pair.owed_back - fell_due
        for obligation in self.obligations:
            answers["ObligationLedger", "obligation", obligation.number] = asdict(obligation)
