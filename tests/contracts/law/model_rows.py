"""Rows: agreed, early, attested and published, struck by proof, held by demands, and what applying them moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from settlement import preimages
from settlement.config import Config
from settlement.hashing import abi_encode, keccak256
from settlement.merkle import EMPTY_ROOT
from settlement.trade import FlowLeaf, Place, Row
from tests.contracts.law.model_clock import Clock
from tests.contracts.law.model_inputs import Inputs
from tests.contracts.law.model_members import Members
from tests.contracts.law.model_trades import Deal, Trades
from tests.contracts.law.world import CYCLE, World
from tests.contracts.money_model import Model as Money
from tests.contracts.money_model import Refused

NO_ROW, TO_PUBLISH, PUBLISHED, DEAD = range(4)
NOTHING_RELEASED = 2**96
Pair = tuple[str, str]


@dataclass
class Answer:
    """What an answer to a row demand showed: run of the figure of each side, None for a recorded one."""

    deal: Deal
    runs: tuple[int | None, int | None]
    record: object


@dataclass
class Pending:
    """An attested row on its way."""

    row: Row
    leaves: tuple[FlowLeaf, ...]
    attested_at: int
    published_at: int | None = None
    demands: Counter[str] = field(default_factory=Counter)
    open: dict[int, int] = field(default_factory=dict)  # demanded leaf -> since when
    answers: dict[int, Answer] = field(default_factory=dict)
    answered_at: int | None = None
    refuted: dict[tuple[int, int], int] = field(default_factory=dict)  # leaf, side -> least run of an answer


@dataclass
class Standing:
    """How far a pair is settled."""

    version: int = 0
    runs: int = 0
    by: str = ""  # agreed, attested, claims
    attested_version: int = 0
    pending: Pending | None = None

    @property
    def word(self) -> int:
        """As the escrow keeps it beside the money."""
        bits = {"": 0, "agreed": 1, "attested": 2, "claims": 4}[self.by]
        return self.version | self.runs << 32 | bits << 48

    @property
    def highest(self) -> int:
        return max(self.version, self.attested_version)


@dataclass
class Rows:
    """Settlement, RowFaults and RowDemands, but for claims."""

    world: World
    config: Config
    clock: Clock
    members: Members
    money: Money
    inputs: Inputs
    trades: Trades
    pairs: dict[Pair, Standing] = field(default_factory=dict)

    def pair(self, pair: Pair) -> Standing:
        return self.pairs.setdefault(pair, Standing())

    def of(self, row: Row) -> Pair:
        return self.world.name_of(row.payer), self.world.name_of(row.payee)

    # --- what a row should say ---

    def truth(self, pair: Pair, run: int) -> list[FlowLeaf]:
        """All leaves between two members by a run's figures, in order."""
        leaves = []
        for deal in self.trades.deals.values():
            if self.trades.valid_place(deal) is None:
                continue
            result = self.inputs.result(deal, run)
            leaves.extend(self.leaves_of(deal, pair, result) if result else [])
        return sorted(leaves, key=lambda leaf: (leaf.trade_digest, leaf.flow))

    def leaves_of(self, deal: Deal, pair: Pair, result: tuple[int, list[tuple[str, str, int]]]) -> list[FlowLeaf]:
        """A trade's leaves between two members, for what it settles at."""
        settled, flows = result
        return [
            FlowLeaf(deal.digest, flow, settled, amount, self.salt(deal, flow))
            for flow, (payer, payee, amount) in enumerate(flows)
            if (payer, payee) == pair and payer != payee and amount > 0
        ]

    @staticmethod
    def salt(deal: Deal, flow: int) -> bytes:
        return keccak256(abi_encode(("bytes32", "uint64", "uint8"), (deal.trade.salt, CYCLE, flow)))

    # --- agreed ---

    def refusal(self, row: Row, keys: Sequence[bytes | None]) -> str:
        """Why an agreed row does not apply; empty if it does."""
        payer, payee = pair = self.of(row)
        standing = self.pair(pair)
        if payer == payee:
            return "payer is payee"
        if row.version <= standing.version:
            return "version not above the last"
        if row.version > standing.highest + 1_000:
            return "version too far ahead"
        if row.inputs == bytes(32):
            if self.inputs.run or row.run:
                return "early row after the seal"
        elif row.run >= self.inputs.run or row.inputs != self.inputs.sealed[row.run][1]:
            return "not the sealed inputs"
        elif row.run + 1 < standing.runs:
            return "a later run is settled"
        elif standing.pending and row.run < standing.pending.row.run and self.stage(pair) != DEAD:
            return "a later run is attested"
        for name, key, refused in ((payer, keys[0], "payer"), (payee, keys[1], "payee")):
            if not self.members.signs(name, key):
                return f"not signed by the {refused}"
        return ""

    def settle(self, rows: Sequence[tuple[Row, Sequence[bytes | None]]]) -> list[str]:
        """What becomes of each row: a reason for which it is skipped, or empty."""
        if all(self.refusal(row, keys) for row, keys in rows):
            raise Refused("Settlement: no row applied")
        reasons = []
        for row, keys in rows:
            reasons.append(self.refusal(row, keys))
            if reasons[-1]:
                continue
            standing = self.pair(self.of(row))
            standing.pending = None
            standing.version = row.version
            if row.inputs != bytes(32):
                standing.runs, standing.by = row.run + 1, "agreed"
            self.apply(row, row.keep)
        return reasons

    def apply(self, row: Row, keep: int) -> tuple[int, int, int]:
        """What is applied becomes the row's amount; paid, owed, owed back."""
        pair = self.of(row)
        return self.money.settle(CYCLE, *pair, row.amount, self.pair(pair).word, keep)

    # --- attested ---

    def stage(self, pair: Pair) -> int:
        standing = self.pair(pair)
        pending = standing.pending
        if pending is None:
            return NO_ROW
        if pending.row.run + 1 < standing.runs:
            return DEAD
        if pending.published_at is not None:
            return PUBLISHED
        return TO_PUBLISH if self.clock.now < pending.attested_at + self.config.publish_time else DEAD

    def attest(self, row: Row, leaves: Sequence[FlowLeaf], mask: int, keys: Sequence[bytes | None]) -> None:
        """`keys` signed the row's attestation, in the order of the mask's bits."""
        pair = self.of(row)
        standing = self.pair(pair)
        if pair[0] == pair[1] or row.keep or (row.count == 0 and (row.amount or row.root != EMPTY_ROOT)):
            raise Refused("Settlement: malformed row")
        if self.inputs.closed_for():
            raise Refused("Settlement: cycle closed")
        newest = self.inputs.sealed[-1][1] if self.inputs.run else None
        if row.run + 1 != self.inputs.run or row.inputs != newest:
            raise Refused("Settlement: not the newest inputs")
        if standing.runs == self.inputs.run and standing.by == "agreed":
            raise Refused("Settlement: settled by agreement")
        if row.version != standing.highest + 1:
            raise Refused("Settlement: not the next version")
        if self.stage(pair) in (TO_PUBLISH, PUBLISHED):
            raise Refused("Settlement: another row pending")
        named = [name for place, name in enumerate(self.members.attestors) if mask >> place & 1]
        if len(named) != self.members.quorum:
            raise Refused("Settlement: not a quorum")
        if not all(self.members.signs(name, key) for name, key in zip(named, keys, strict=True)):
            raise Refused("Settlement: not attestor's key")
        standing.pending = Pending(row, tuple(leaves), self.clock.now)
        standing.attested_version = row.version

    def _pending(self, row: Row) -> Pending:
        pending = self.pair(self.of(row)).pending
        if pending is None or pending.row != row:
            raise Refused("Settlement: row not pending")
        return pending

    def publish(self, row: Row) -> str:
        """All leaves of a row, in one chunk; whether they add up: "published" or "struck"."""
        pending = self._pending(row)
        if pending.published_at is not None:
            raise Refused("Settlement: published already")
        if self.clock.now >= pending.attested_at + self.config.publish_time:
            raise Refused("Settlement: row has lapsed")
        order = [(leaf.trade_digest, leaf.flow) for leaf in pending.leaves]
        if order != sorted(set(order)):
            raise Refused("Settlement: leaves out of order")
        if sum(leaf.amount for leaf in pending.leaves) != row.amount:
            self.pair(self.of(row)).pending = None
            return "struck"
        pending.published_at = self.clock.now
        return "published"

    def in_window(self, pending: Pending) -> bool:
        return pending.published_at is not None and self.clock.since(pending.published_at) < self.config.row_window

    def holds(self, pending: Pending) -> bool:
        """Whether demands keep a row from being applied."""
        if pending.open:
            return True
        answered = pending.answered_at
        return answered is not None and self.clock.since(answered) < self.config.demand_time

    def apply_attested(self, row: Row) -> tuple[int, int, int]:
        pending = self._pending(row)
        if pending.published_at is None:
            raise Refused("Settlement: not published")
        if self.in_window(pending) or self.holds(pending):
            raise Refused("Settlement: row's window open")
        standing = self.pair(self.of(row))
        if row.run + 1 < standing.runs:
            raise Refused("Settlement: later run settled")
        standing.pending = None
        standing.version, standing.runs, standing.by = row.version, row.run + 1, "attested"
        return self.apply(row, NOTHING_RELEASED)

    def _strike(self, row: Row) -> None:
        pending = self._pending(row)
        if pending.published_at is not None and not self.in_window(pending) and not self.holds(pending):
            raise Refused("Settlement: row's window over")
        self.pair(self.of(row)).pending = None

    # --- faults ---

    def strike_wrong_leaf(self, row: Row, leaf: FlowLeaf, deal: Deal) -> None:
        """Shown with all that proves both figures."""
        result = self.inputs.result(deal, row.run)
        if result and leaf in self.leaves_of(deal, self.of(row), result):
            raise Refused("RowFaults: the leaf is right")
        self._strike(row)

    def strike_missing_leaf(
        self, row: Row, leaves: Sequence[FlowLeaf], deal: Deal, place: Place, flow: int, key: bytes | None
    ) -> None:
        """Shown with a valid place, both figures, and the neighbours between which the leaf would stand."""
        refusal = self.trades.place_refusal(deal, place)
        if refusal:
            raise Refused(refusal)
        if not self.members.signs(self.of(row)[1], key):
            raise Refused("RowFaults: not the payee's word")
        result = self.inputs.result(deal, row.run)
        if result is None:
            raise Refused("RowFaults: no such flow")
        if flow not in [leaf.flow for leaf in self.leaves_of(deal, self.of(row), result)]:
            raise Refused("RowFaults: nothing is missing")
        if (deal.digest, flow) in [(leaf.trade_digest, leaf.flow) for leaf in leaves]:
            raise Refused("RowFaults: stands after")
        self._strike(row)

    # --- demands ---

    def _published(self, row: Row) -> Pending:
        pending = self.pair(self.of(row)).pending
        if pending is None or pending.row != row or self.stage(self.of(row)) != PUBLISHED:
            raise Refused("RowDemands: row not pending")
        return pending

    def demand(self, row: Row, index: int, member: str, key: bytes | None) -> None:
        pending = self._published(row)
        if member not in self.of(row):
            raise Refused("RowDemands: not of the pair")
        if not self.members.signs(member, key):
            raise Refused("RowDemands: not signed by member")
        if index >= row.count:
            raise Refused("RowDemands: no such leaf")
        if index in pending.open or index in pending.answers:
            raise Refused("RowDemands: demanded already")
        if not self.in_window(pending):
            raise Refused("RowDemands: row's window over")
        if pending.demands[member] >= self.config.row_demands:
            raise Refused("RowDemands: too many demands")
        pending.demands[member] += 1
        pending.open[index] = self.clock.now

    def answer(
        self,
        row: Row,
        index: int,
        deal: Deal,
        runs: tuple[int | None, int | None],
        result: tuple[int, list[tuple[str, str, int]]],
        record: object,
    ) -> None:
        """A trade is shown as a claim would, with what it settles at by figures of these runs (None: recorded)."""
        pending = self._published(row)
        if index not in pending.open:
            raise Refused("RowDemands: nothing to answer")
        leaf = pending.leaves[index]
        if deal.digest != leaf.trade_digest or leaf.flow >= len(result[1]):
            raise Refused("RowDemands: another trade")
        if leaf not in self.leaves_of(deal, self.of(row), result):
            raise Refused("RowDemands: another leaf results")
        for side, run in enumerate(runs):
            if run is not None and run < pending.refuted.get((index, side), -1):
                raise Refused("RowDemands: refuted before")
        del pending.open[index]
        pending.answers[index] = Answer(deal, runs, record)
        pending.answered_at = self.clock.now

    def refute(self, row: Row, index: int, side: int, newer: int | None) -> None:
        """By a leaf of run `newer` that counts, or by the mark *twice* on the answer's own."""
        pending = self._published(row)
        answer = pending.answers.get(index)
        if answer is None:
            raise Refused("RowDemands: not the answer")
        if not self.in_window(pending) and not self.holds(pending):
            raise Refused("RowDemands: row stands")
        shown = answer.runs[side]
        if newer is None:
            marks = self.inputs.side(answer.deal.digest, side)
            if shown is None or shown not in marks.twice:
                raise Refused("RowDemands: not marked twice")
        else:
            if shown is None or newer <= shown:
                raise Refused("RowDemands: not newer")
            pending.refuted[index, side] = newer
        del pending.answers[index]
        pending.open[index] = self.clock.now

    def strike_unfounded(self, row: Row, index: int) -> None:
        pending = self._published(row)
        if index not in pending.open:
            raise Refused("RowDemands: no open demand")
        if self.clock.since(pending.open[index]) < self.config.demand_time:
            raise Refused("RowDemands: may still be answered")
        self._strike(row)


def tree_hashes(leaves: Sequence[FlowLeaf]) -> list[bytes]:
    """The leaf hashes of a row."""
    return [preimages.flow_leaf(leaf) for leaf in leaves]
