"""Money: every lock, row, claim, deposit and withdrawal played again; balances and words must be those on chain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from audit.evidence import Context
from audit.findings import Check, Report
from chain.evidence import Event
from settlement.hashing import Hash32
from store.records import SettledRow

Account = tuple[int, Hash32, Hash32]
"""(cycle, payer, payee)"""

AGREED, EARLY, ATTESTED = 1, 2, 3
BY_AGREED_ROW, BY_ATTESTED_ROW, BY_CLAIMS = 1 << 48, 1 << 49, 1 << 50
MAX_AMOUNT = (1 << 96) - 1
STATE_SHIFT = 192


@dataclass(frozen=True, slots=True)
class FiledRow:
    """A row as the files have it, and where."""

    file: str
    line: int
    settled: SettledRow


@dataclass
class PairAccount:
    """What the escrow keeps of a pair in a cycle; `state` are the upper bits of its word."""

    lock: int = 0
    applied: int = 0
    state: int = 0
    paid: int = 0
    owed: int = 0
    owed_back: int = 0
    claimed: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def word(self) -> int:
        """The pair's word (`docs/protocol.md`, section 8)."""
        return self.lock | self.applied << 96 | self.state << STATE_SHIFT

    def move(self, amount: int, keep: int | None) -> tuple[int, int, int, int]:
        """Applies `amount`, then releases what is locked above `keep`; paid, owed, owed back, released."""
        paid = min(max(0, amount - self.applied), self.lock)
        owed, owed_back = max(0, amount - self.applied) - paid, max(0, self.applied - amount)
        self.applied = amount
        self.lock -= paid
        released = 0 if keep is None else max(0, self.lock - keep)
        self.lock -= released
        self.paid, self.owed, self.owed_back = self.paid + paid, self.owed + owed, self.owed_back + owed_back
        return paid, owed, owed_back, released


def check_money(report: Report, context: Context, rows: Mapping[Hash32, FiledRow]) -> None:
    """Plays all money again; `rows` are those of all folders by digest."""
    _Replay(report, context, rows).check()


@dataclass
class _Replay:
    report: Report
    context: Context
    rows: Mapping[Hash32, FiledRow]
    pairs: dict[Account, PairAccount] = field(default_factory=lambda: defaultdict(PairAccount))
    free: dict[Hash32, int] = field(default_factory=lambda: defaultdict(int))
    files: dict[Account, tuple[str, int]] = field(default_factory=dict)
    net: dict[tuple[Hash32, Hash32], int] = field(default_factory=lambda: defaultdict(int))
    held: int = 0

    def check(self) -> None:
        """Plays the events, then compares with what the contracts answer."""
        released_by_event: dict[str, list[Event]] = defaultdict(list)
        for event in self.context.evidence.events:
            match event.name:
                case "Deposited":
                    self.free[event["member"]] += event["amount"]
                    self.held += event["amount"]
                case "Withdrawn":
                    self.free[event["member"]] -= event["amount"]
                    self.held -= event["amount"]
                case "Paid":
                    self.free[event["debtor"]] -= event["amount"]
                    self.free[event["creditor"]] += event["amount"]
                case "BatchCommitted" | "TradeRegistered":
                    self._lock(event)
                case "Applied":
                    released_by_event[event.transaction].append(event)
                case "RowApplied":
                    self._apply_row(event, released_by_event[event.transaction].pop(0))
                case "ClaimApplied":
                    self._apply_claim(event, released_by_event[event.transaction].pop(0))
        for events in released_by_event.values():
            for event in events:
                self._release(event)
        self._check_pairs()
        self._check_free()
        self._check_debts()
        self.report.count("pairs", len(self.pairs))

    # --- playing ---

    def _lock(self, event: Event) -> None:
        for lock in self.context.evidence.commitments[event["number"]].locks:
            self.free[lock.payer] -= lock.amount
            self.pairs[event["cycle"], lock.payer, lock.payee].lock += lock.amount

    def _apply_row(self, event: Event, applied: Event) -> None:
        account = event["cycle"], event["payer"], event["payee"]
        pair, filed = self.pairs[account], self.rows.get(event["row_digest"])
        keep: int | None = None
        if event["way"] != ATTESTED:
            # A row that no folder has was found as missing; then only the chain says what it released.
            keep = filed.settled.row.keep if filed else applied["word"] & MAX_AMOUNT
        moved = pair.move(event["amount"], keep)
        sealed = 0 if event["way"] == EARLY else event["run"] + 1
        flag = {AGREED: BY_AGREED_ROW, EARLY: 0, ATTESTED: BY_ATTESTED_ROW}[event["way"]]
        pair.state = event["version"] | sealed << 32 | flag
        self.free[event["payee"]] += moved[0]
        self.free[event["payer"]] += moved[3]
        if filed:
            self.files[account] = filed.file, filed.line
        told = (event["paid"], event["owed"], event["owed_back"], applied["released"])
        self._equal(account, ("paid", "owed", "owed_back", "released"), moved, told)

    def _apply_claim(self, event: Event, applied: Event) -> None:
        account = event["cycle"], event["payer"], event["payee"]
        pair = self.pairs[account]
        pair.claimed[event["run"]] = event["claimed_sum"]
        flag = BY_CLAIMS if event["claimed_sum"] >= pair.applied else 0
        moved = pair.move(max(pair.applied, event["claimed_sum"]), None)
        pair.state = (pair.state & 0xFFFFFFFF) | (event["run"] + 1) << 32 | flag
        self.free[event["payee"]] += moved[0]
        told = (event["paid"], event["owed"], 0, applied["released"])
        self._equal(account, ("paid", "owed", "owed_back", "released"), moved, told)

    def _release(self, event: Event) -> None:
        """What moved without a row or claim: a lock that returned to its payer after the cycle was closed."""
        pair = self.pairs[event["cycle"], event["payer"], event["payee"]]
        pair.lock -= event["released"]
        self.free[event["payer"]] += event["released"]

    # --- comparing ---

    def _check_pairs(self) -> None:
        for account, pair in self.pairs.items():
            kept = self.context.chain.view("SettlementEscrow", "pair", *account)
            if kept != pair.word:
                self._find(Check.PAIR_WORDS, account, "word", hex(pair.word), hex(kept))
            if pair.paid + pair.owed - pair.owed_back != pair.applied:
                self._find(Check.CONSERVATION, account, "applied", pair.paid + pair.owed - pair.owed_back, pair.applied)

    def _check_free(self) -> None:
        view = self.context.chain.view
        for member, amount in self.free.items():
            kept = view("SettlementEscrow", "free", member)
            if kept != amount:
                self.report.find(
                    Check.FREE_BALANCES, "chain", 0, f"SettlementEscrow.free(0x{member.hex()})", amount, kept
                )
        inside = sum(self.free.values()) + sum(pair.lock for pair in self.pairs.values())
        held = view("SettlementEscrow", "held")
        if not inside == self.held == held:
            self.report.find(Check.CONSERVATION, "chain", 0, "SettlementEscrow.held", inside, held)

    def _check_debts(self) -> None:
        """Net debts between two members: what rows left owed, less what has fallen due."""
        for (_, payer, payee), pair in self.pairs.items():
            self._owe(payer, payee, pair.owed - pair.owed_back)
        numbers: dict[int, tuple[Hash32, Hash32]] = {}
        for event in self.context.evidence.of("FellDue", "SetOff"):
            if event.name == "FellDue":
                numbers[event["number"]] = event["debtor"], event["creditor"]
                self._owe(event["debtor"], event["creditor"], -event["amount"])
            else:
                # Set off against an obligation the other way: its creditor's new debt is gone.
                debtor, creditor = numbers[event["number"]]
                self._owe(creditor, debtor, -event["amount"])
        view = self.context.chain.view
        for (low, high), amount in self.net.items():
            kept = view("ObligationLedger", "owed", low, high) - view("ObligationLedger", "owed", high, low)
            if kept != amount:
                self.report.find(
                    Check.CONSERVATION,
                    "chain",
                    0,
                    f"ObligationLedger.owed(0x{low.hex()}, 0x{high.hex()})",
                    amount,
                    kept,
                )

    def _owe(self, debtor: Hash32, creditor: Hash32, amount: int) -> None:
        if debtor < creditor:
            self.net[debtor, creditor] += amount
        else:
            self.net[creditor, debtor] -= amount

    def _equal(
        self, account: Account, names: tuple[str, ...], expected: tuple[int, ...], found: tuple[int, ...]
    ) -> None:
        for name, value, told in zip(names, expected, found, strict=True):
            if value != told:
                self._find(Check.PAYMENTS, account, name, value, told)

    def _find(self, check: Check, account: Account, name: str, expected: object, found: object) -> None:
        cycle, payer, payee = account
        file, line = self.files.get(account, (f"cycle {cycle}, 0x{payer.hex()} to 0x{payee.hex()}", 0))
        self.report.find(check, file, line, name, expected, found)
