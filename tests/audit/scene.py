"""A small market for audits: two cycles' worth of everything that folders and events can hold, without a node.

Two platforms and two utilities trade in one cycle: batches with locks, a registered trade, a curtailment, a wrong leaf
whose group is voided, a corrected run, agreed, early, attested and struck rows, a claim, an obligation that is paid.
What the chain would say is kept as events and as the answers of its views.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from audit.evidence import Event
from audit.money import PairAccount
from chain.artifacts import Artifact
from chain.deployment import Deployed, DeploymentRecord
from settlement import merkle, preimages, typed_data
from settlement.config import HOUR, Config, code
from settlement.cycle import Group, RunResult, SlotReading, UtilityAllocation, allocate_utility, settle_run
from settlement.faults import Status
from settlement.figures import Marks, SeenLeaf, Terms
from settlement.formula.templates import FIXED_PRICE_SETTLED, INTER_UTILITY, SHIPPED_BY_ID, Template
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.identity import market_id, member_id, meter_hash
from settlement.placed import PlacedTrade as CountingTrade
from settlement.placed import Side
from settlement.rows import RowContent
from settlement.trade import (
    Claim,
    Curtailment,
    Lock,
    PaymentNotice,
    Row,
    RowAttestation,
    Signature,
    Trade,
    TradeBatch,
)
from settlement.typed_data import Domain
from settlement.units import Calendar
from settlement.validity import MemberRole
from store import tables
from store.folders import CycleRecord, config_document, run_folder, write_cycle, write_manifest, write_table
from store.records import (
    MarkKind,
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
    SettledRow,
)

CONFIG = Config()
CALENDAR = Calendar(CONFIG.anchor, CONFIG.slot_length, CONFIG.cycle_length)
CYCLE = 20_666
START, END = CALENDAR.cycle_start(CYCLE), CALENDAR.cycle_end(CYCLE)
GENESIS = keccak256(b"genesis of the audit's scene")
MARKET = "scene"
CHAIN_ID = 31_337
ADDRESSES = {
    name: "0x" + keccak256(name.encode())[:20].hex()
    for name in ("MemberRegistry", "RevenueFlows", "TradeBook", "AllocationOracle", "Settlement", "SettlementEscrow")
}
ROLES = {
    "platform-a": MemberRole.PLATFORM,
    "platform-b": MemberRole.PLATFORM,
    "utility-a": MemberRole.UTILITY | MemberRole.GRID_OPERATOR,
    "utility-b": MemberRole.UTILITY | MemberRole.GRID_OPERATOR,
}
IDS = {name: member_id(f"{name}.example") for name in ROLES}
KEYS = {IDS[name]: keccak256(b"key", name.encode()) for name in ROLES}
A, B, UA, UB = IDS.values()
DEPLOYED_IN_BLOCK = 7


def runtime(name: str) -> bytes:
    """The code at a contract's address."""
    return b"code of " + name.encode()


def load(name: str) -> Artifact:
    """The contract as this program knows it."""
    return Artifact(name, [], b"", runtime(name), {}, "london", "0.4.3")


@dataclass
class FakeChain:
    """A node that answers from what the scene put into it."""

    log: list[Event] = field(default_factory=list)
    answers: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    chain_id: int = CHAIN_ID
    genesis_hash: Hash32 = GENESIS
    time: int = START - 48 * HOUR

    def emit(self, contract: str, event: str, /, **fields: Any) -> None:
        """One event in a block and transaction of its own."""
        self.together((contract, event, fields))

    def together(self, *events: tuple[str, str, dict[str, Any]]) -> None:
        """Events of one transaction."""
        self.time += 1
        for contract, name, fields in events:
            self.log.append(Event(contract, name, fields, f"0x{self.time:064x}", self.time))

    def events(self) -> Sequence[Event]:
        return self.log

    def view(self, contract: str, function: str, *arguments: Any) -> Any:
        return self.answers[contract, function, *arguments]

    def code(self, address: str, block: int | None = None) -> bytes:
        if block is not None and block < DEPLOYED_IN_BLOCK:
            return b""
        return runtime(next(name for name, known in ADDRESSES.items() if known == address))


class Scene:
    """Plays the market, then writes what happened into a data folder."""

    def __init__(self) -> None:
        self.chain = FakeChain()
        registry = ADDRESSES["MemberRegistry"]
        self.domain = Domain(CHAIN_ID, registry, market_id(GENESIS, MARKET))
        self.pairs: dict[tuple[Hash32, Hash32], PairAccount] = {}
        self.free = dict.fromkeys(IDS.values(), 0)
        self.commitments: list[RecordedCommitment] = []
        self.locks: list[RecordedLock] = []
        self.placed: list[PlacedTrade] = []
        self.curtailments: list[RecordedCurtailment] = []
        self.posted: list[PostedAllocation] = []
        self.leaves: list[RecordedLeaf] = []
        self.marks: list[RecordedMark] = []
        self.void: dict[Hash32, int] = {}
        self.readings: dict[int, list[RecordedReading]] = {0: [], 1: []}
        self.rows: dict[int, list[SettledRow]] = {0: [], 1: []}
        self.flows: dict[int, list[RecordedFlow]] = {0: [], 1: []}
        self.claims: dict[int, list[RecordedClaim]] = {0: [], 1: []}
        self.inputs: list[Hash32] = []
        self.accumulator, self.before = ZERO_HASH, CONFIG.digest()
        self.obligations: list[RecordedObligation] = []
        self.notices: list[RecordedNotice] = []
        self._found_market()
        self._trade()
        self._run_0()
        self._run_1()
        self._pay()
        self._answer()

    # --- the market ---

    def _found_market(self) -> None:
        emit = self.chain.emit
        emit("MemberRegistry", "ConfigSet", version=1, digest=CONFIG.digest(), config=asdict(CONFIG))
        for name, roles in ROLES.items():
            member = IDS[name]
            emit("MemberRegistry", "MemberAdmitted", member=member, roles=int(roles))
            key = int.from_bytes(typed_data.address_of(KEYS[member]), "big")
            word = key | self.chain.time << 160 | int(roles) << 208 | 1 << 224
            emit("MemberRegistry", "StandingChanged", member=member, word=word)
        emit("MemberRegistry", "AttestorsSet", version=1, members=[UA, UB], quorum=2)
        for template in (FIXED_PRICE_SETTLED, INTER_UTILITY):
            flows = [{"payer": int(f.payer), "payee": int(f.payee), "program": f.program} for f in template.flows]
            emit(
                "RevenueFlows",
                "TemplateRegistered",
                template=template.template_id,
                name=template.name,
                version=template.version,
                rate_names=list(template.rate_names),
                flows=flows,
            )
        for member in (A, B):
            emit("SettlementEscrow", "Deposited", member=member, amount=10**9, sender="0x" + "00" * 20)
            self.free[member] += 10**9

    def sign(self, member: Hash32, value: object) -> Signature:
        """A member's signature."""
        return typed_data.sign(KEYS[member], self.domain.digest(value))

    def meter(self, name: str) -> Hash32:
        """A meter's pseudonym."""
        return meter_hash(self.meter_salt(name), name)

    def meter_salt(self, name: str) -> Hash32:
        """A meter's salt."""
        return keccak256(b"salt", name.encode())

    def trade(self, number: int, template: Template, hour: int, wh: int, rates: tuple[int, ...]) -> Trade:
        """A trade from B's seller to A's buyer; the seller's meter is utility B's between utilities, else A's."""
        inside = template is FIXED_PRICE_SETTLED
        start = START + hour * HOUR
        return Trade(
            trade_id=keccak256(b"trade", bytes([number])),
            template=template.template_id,
            buyer_platform=A,
            seller_platform=B,
            buyer_utility=UA,
            seller_utility=UA if inside else UB,
            grid_operator=UB if inside else ZERO_HASH,
            market_agent=ZERO_HASH,
            buyer_meter=self.meter("buyer"),
            seller_meter=self.meter("seller-a" if inside else "seller-b"),
            slot_start=start,
            slot_end=start + HOUR,
            contracted_wh=wh,
            traded_at=START - 5 * HOUR - number,
            valid_until=start,
            rates=rates,
            order_hash=keccak256(b"order", bytes([number])),
            salt=keccak256(b"trade salt", bytes([number])),
        )

    def _trade(self) -> None:
        inside = [self.trade(n, FIXED_PRICE_SETTLED, 1, 1_000 + 10 * n, (6_000_000 + n, 200_000)) for n in range(3)]
        between = [
            self.trade(3 + n, INTER_UTILITY, 2, 2_000 + 7 * n, (5_000_000, 250_000, 300_000, 10_000)) for n in range(3)
        ]
        self._commit(1, inside, (Lock(A, B, 10_000_000),))
        self._commit(2, between, ())
        self._register(self.trade(9, FIXED_PRICE_SETTLED, 3, 700, (6_000_000, 200_000)))
        one = self.placed[1]
        said = Curtailment(one.number, one.index, 900, 1)
        self.chain.time = START - HOUR
        self.chain.emit("TradeBook", "Curtailed", trade_digest=one.digest, cycle=CYCLE, **_curtailed(said))
        self._accumulate(preimages.Act.CURTAILMENT, one.number, typed_data.struct_hash(said))
        self.curtailments.append(RecordedCurtailment(one.number, one.index, one.digest, 900, 1, self.chain.time))

    def _commit(self, sequence: int, trades: Sequence[Trade], locks: tuple[Lock, ...]) -> None:
        low, high = sorted((A, B))
        digests = [self.domain.digest(trade) for trade in trades]
        tree = merkle.Tree([preimages.trade_leaf(digest) for digest in digests])
        earliest = min(trade.slot_start for trade in trades)
        batch = TradeBatch(CYCLE, low, high, sequence, earliest, len(trades), tree.root, locks)
        number = len(self.commitments) + 1
        record = preimages.batch_commitment(batch, self.chain.time + 1)
        told = {"record": asdict(record), "locks": [asdict(lock) for lock in locks]}
        self.chain.emit("TradeBook", "BatchCommitted", number=number, cycle=CYCLE, **told)
        self._committed(RecordedCommitment(number, record), locks)
        for index, (trade, digest) in enumerate(zip(trades, digests, strict=True)):
            self._place(trade, digest, number, index, tree.path(index))

    def _register(self, trade: Trade) -> None:
        digest = self.domain.digest(trade)
        record = preimages.registered_commitment(trade, digest, CYCLE, self.chain.time + 1)
        number = len(self.commitments) + 1
        told = {"record": asdict(record), "trade": asdict(trade), "locks": []}
        self.chain.emit("TradeBook", "TradeRegistered", number=number, cycle=CYCLE, **told)
        self._committed(RecordedCommitment(number, record), ())
        self._place(trade, digest, number, 0, ())

    def _committed(self, one: RecordedCommitment, locks: tuple[Lock, ...]) -> None:
        self.commitments.append(one)
        self._accumulate(preimages.Act.COMMITMENT, one.number, preimages.commitment_record(one.commitment))
        for lock in locks:
            self.locks.append(RecordedLock(one.number, lock))
            self.pairs.setdefault((lock.payer, lock.payee), PairAccount()).lock += lock.amount
            self.free[lock.payer] -= lock.amount

    def _place(self, trade: Trade, digest: Hash32, number: int, index: int, path: tuple[Hash32, ...]) -> None:
        signatures = tuple(MemberSignature.of(member, self.sign(member, trade)) for member in trade.signers)
        self.placed.append(PlacedTrade(digest, trade, number, index, path, signatures))

    def counting(self) -> tuple[CountingTrade, ...]:
        """Trades after curtailment."""
        left = {one.trade_digest: one.contracted_wh for one in self.curtailments}
        return tuple(
            CountingTrade(p.digest, p.trade, p.number, p.index, left.get(p.digest, p.trade.contracted_wh))
            for p in self.placed
        )

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
        self._accumulate(preimages.Act.VOID, 0, group)
        self.marks.append(
            RecordedMark(MarkKind.VOID, 0, UB, wrong.meter, wrong.slot_start, wrong.side, ZERO_HASH, 0, self.chain.time)
        )
        self._seal(0)
        result = self._settle(0)
        self._agree(0, result, (A, B))
        self._strike_false_row(result)
        self._attest(0, result, (A, UB))

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
        self._accumulate(preimages.Act.ALLOCATION, run, struct_hash)
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

    def _accumulate(self, act: preimages.Act, number: int, what: Hash32) -> None:
        self.accumulator = preimages.accumulate(self.accumulator, act, number, self.chain.time, what)

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
        told = {"row": asdict(row), "row_digest": digest, "mask": 3, "attestor_version": 1}
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
        placed = self.counting()[-1]
        leaf = next(flow for flow in result.rows[A, UB].leaves if flow.trade_digest == placed.digest)
        rest = next(flow for flow in result.rows[A, B].leaves if flow.trade_digest == placed.digest)
        flows = ({"payer": A, "payee": B, "amount": rest.amount}, {"payer": A, "payee": UB, "amount": leaf.amount})
        told = Claim(CYCLE, run, placed.digest, leaf.settled_wh, 1, 1, 1, 1, self.chain.time + 1, ())
        event = {**asdict(told), "flows": list(flows)}
        self.chain.emit("Settlement", "Claimed", trade_digest=placed.digest, cycle=CYCLE, claim=event)
        pair = self.pairs[A, UB]
        paid, owed, _, released = pair.move(max(pair.applied, leaf.amount), None)
        pair.state = pair.state & 0xFFFFFFFF | run + 1 << 32
        self.free[UB] += paid
        about = {"payer": A, "payee": UB, "cycle": CYCLE}
        moved = {"run": run, "claimed_sum": leaf.amount, "paid": paid, "owed": owed}
        self.chain.together(
            ("SettlementEscrow", "Applied", {**about, "paid": paid, "released": released, "word": pair.word}),
            ("Settlement", "ClaimApplied", {**about, **moved, "trade_digest": placed.digest}),
        )
        claim = replace(told, flows=tuple(_flow(one) for one in flows))
        self.claims[run].append(RecordedClaim(claim, self.chain.time, 0))

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
        reference = {"creditor": B, "reference_hash": notice.reference_hash}
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
            answers["TradeBook", "commitment", one.number] = preimages.commitment_record(one.commitment)
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

    # --- folders ---

    def record(self) -> DeploymentRecord:
        """The deployment record."""
        return DeploymentRecord(
            market=MARKET,
            market_id=self.domain.market_id,
            chain_id=CHAIN_ID,
            genesis_hash=GENESIS,
            block=DEPLOYED_IN_BLOCK,
            evm="london",
            vyper="0.4.3",
            contracts={
                name: Deployed(address, hashlib.sha256(runtime(name)).hexdigest())
                for name, address in ADDRESSES.items()
            },
            config=_as_json(config_document(CONFIG)),
            config_digest=CONFIG.digest(),
            members={f"{name}.example": {"id": IDS[name], "roles": int(roles)} for name, roles in ROLES.items()},
            templates={one.title: one.template_id for one in (FIXED_PRICE_SETTLED, INTER_UTILITY)},
        )

    def write(self, data: Path) -> None:
        """The data folder."""
        for run in (0, 1):
            folder = run_folder(data, CYCLE, run)
            inputs = tuple(self.inputs[: run + 1])
            write_cycle(
                folder,
                CycleRecord(MARKET, self.domain.market_id, CHAIN_ID, CYCLE, run, CONFIG, CONFIG.digest(), inputs, END),
            )
            rows: dict[tables.Table[Any], Sequence[Any]] = {
                tables.COMMITMENTS: self.commitments,
                tables.LOCKS: self.locks,
                tables.TRADES: self.placed,
                tables.CURTAILMENTS: self.curtailments,
                tables.READINGS: [one for earlier in range(run + 1) for one in self.readings[earlier]],
                tables.ALLOCATIONS: [one for one in self.posted if one.run <= run],
                tables.ALLOCATION_LEAVES: [one for one in self.leaves if one.run <= run],
                tables.MARKS: [one for one in self.marks if one.run <= run],
                tables.FLOW_LEAVES: self.flows[run],
                tables.ROWS: self.rows[run],
                tables.CLAIMS: self.claims[run],
            }
            for table, content in rows.items():
                write_table(folder, table, content)
            write_manifest(folder, CYCLE, run)
        write_table(data, tables.OBLIGATIONS, self.obligations)
        write_table(data, tables.NOTICES, self.notices)


def _curtailed(said: Curtailment) -> dict[str, Any]:
    return {
        "number": said.commitment,
        "index": said.index,
        "contracted_wh": said.contracted_wh,
        "reason": said.reason,
    }


def _flow(told: dict[str, Any]) -> Any:
    from settlement.trade import MemberFlow

    return MemberFlow(**told)


def _as_json(value: Any) -> Any:
    from settlement import canonical_json

    return canonical_json.loads(canonical_json.dumps(value))
