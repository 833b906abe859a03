"""Allocations, runs and their windows, marks, disputes, seals, and the figure of a side that follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from settlement import preimages
from settlement.config import Config
from settlement.hashing import abi_encode, keccak256
from settlement.trade import Allocation, AllocationLeaf
from tests.contracts.law.model_clock import Clock
from tests.contracts.law.model_leaves import conflict, fault_by_rule, fault_by_trade, group_of, is_usable
from tests.contracts.law.model_members import Members
from tests.contracts.law.world import BEGIN, END
from tests.contracts.market import UTILITY
from tests.contracts.money_model import Refused

if TYPE_CHECKING:
    from tests.contracts.law.model_trades import Deal, Trades

UNUSED, DELIVERY, INTAKE, WINDOW, SEALABLE, COMPLETE, RULING = range(7)
VOID, CONTEST, DEMAND, ANSWER, FIGURE = 4, 5, 6, 7, 8
# A utility that has left a demand open for so long may be demanded from without limit.
SILENT = 2 * 3_600

LEAF, RECORDED = 1, 2


@dataclass
class Posted:
    """The tree that stands of a utility in a run."""

    attempt: int
    leaves: list[AllocationLeaf]


@dataclass
class Side:
    """Marks and disputes of one side of a trade."""

    contested: set[int] = field(default_factory=set)
    unanswered: set[int] = field(default_factory=set)
    twice: set[int] = field(default_factory=set)
    figure: tuple[int, int] | None = None  # the run before whose seal, Wh
    demanded: dict[int, tuple[int, str]] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)
    contested_at: int | None = None
    subject: int = 0  # of the last contest: the upper bits of the leaf's hash, or run + 1 where a reading lacked

    @property
    def word(self) -> int:
        """The marks as the oracle keeps them."""
        bits = sum(1 << run for run in self.contested)
        bits |= sum(1 << (8 + run) for run in self.unanswered)
        bits |= sum(1 << (16 + run) for run in self.twice)
        if self.figure:
            return bits | 1 << 24 | self.figure[0] << 32 | self.figure[1] << 64
        return bits | (self.contested_at or 0) << 40 | self.subject << 80


@dataclass
class Inputs:
    """AllocationOracle, AllocationFaults and Disputes."""

    config: Config
    clock: Clock
    members: Members
    trades: Trades = field(init=False)
    accumulator: bytes = bytes(32)
    sealed: list[tuple[int, bytes]] = field(default_factory=list)  # block time, inputs
    posted: dict[tuple[bytes, int], Posted] = field(default_factory=dict)
    void: set[tuple[tuple[bytes, bytes, int, int], int]] = field(default_factory=set)
    sides: dict[tuple[bytes, int], Side] = field(default_factory=dict)
    opened: int = 0
    demand_made: bool = False
    last_contests: set[tuple[bytes, int]] = field(default_factory=set)
    last_contested_at: int = 0
    open_demands: Counter[tuple[str, int]] = field(default_factory=Counter)
    contests: Counter[str] = field(default_factory=Counter)

    # --- runs ---

    @property
    def run(self) -> int:
        """The next run."""
        return len(self.sealed)

    @property
    def last(self) -> int:
        return len(self.config.run_deadlines) - 1

    @property
    def is_complete(self) -> bool:
        return self.run > self.last

    def stage(self) -> tuple[int, int]:
        """The phase, and how long the next run's deadline is past."""
        if self.trades.commitments == 0:
            return UNUSED, 0
        if self.is_complete:
            return COMPLETE, 0
        if self.clock.now < END:
            return DELIVERY, 0
        past = self.clock.since(END) - self.config.run_deadlines[self.run]
        if self.run:
            past = min(past, self.clock.since(self.sealed[-1][0]) - self.config.least_intake)
        if past < 0:
            return INTAKE, 0
        longer = self.config.demand_time if self.demand_made else 0
        if not self.opened or self.clock.block < self.opened + self.config.window_blocks:
            return WINDOW, past
        if past < self.config.window + longer:
            return WINDOW, past
        if self.last_contests and self.clock.since(self.last_contested_at) < self.config.contest_time:
            return RULING, past
        return SEALABLE, past

    @property
    def phase(self) -> int:
        return self.stage()[0]

    def closed_for(self) -> int:
        """Seconds since the cycle closed."""
        if self.trades.commitments == 0:
            return 0
        closed = self.clock.beyond(END, self.config.close_limit)
        if self.is_complete:
            closed = max(closed, self.clock.beyond(self.sealed[-1][0], self.config.close_delay))
        return closed

    def accumulate(self, kind: int, number: int, what: bytes) -> None:
        """One more act of the cycle, in chain order."""
        self.accumulator = keccak256(
            abi_encode(
                ("bytes32", "uint8", "uint64", "uint64", "bytes32"),
                (self.accumulator, kind, number, self.clock.now, what),
            )
        )

    def open_window(self) -> None:
        if self.phase != WINDOW:
            raise Refused("AllocationOracle: not in the window")
        if self.opened:
            raise Refused("AllocationOracle: window already open")
        self.opened = self.clock.block

    def seal(self) -> None:
        if self.phase != SEALABLE:
            raise Refused("AllocationOracle: window not over")
        before = self.sealed[-1][1] if self.sealed else self.config.digest()
        self.sealed.append((self.clock.now, keccak256(abi_encode(("bytes32", "bytes32"), (before, self.accumulator)))))
        self.accumulator = bytes(32)
        self.opened = 0
        self.demand_made = False

    def post(
        self, allocation: Allocation, name: str, key: bytes | None, leaves: list[AllocationLeaf], struct_hash: bytes
    ) -> None:
        if self.clock.paused:
            raise Refused("AllocationOracle: paused")
        if self.phase != INTAKE:
            raise Refused("AllocationOracle: not in the intake")
        if allocation.run != self.run:
            raise Refused("AllocationOracle: another run")
        if allocation.config_digest != self.config.digest():
            raise Refused("AllocationOracle: another config")
        if not self.members[name].roles[-1][1] & UTILITY:
            raise Refused("AllocationOracle: not a utility")
        if not self.members.signs(name, key):
            raise Refused("AllocationOracle: wrong signature")
        standing = self.posted.get((allocation.utility, self.run))
        if standing and allocation.attempt <= standing.attempt:
            raise Refused("AllocationOracle: attempt not higher")
        self.posted[allocation.utility, self.run] = Posted(allocation.attempt, leaves)
        self.accumulate(3, self.run, struct_hash)

    # --- faults ---

    def check_fault_time(self, run: int) -> None:
        if self.phase != WINDOW:
            raise Refused("AllocationFaults: no open window")
        if run != self.run:
            raise Refused("AllocationFaults: another run")

    def void_by(self, utility: bytes, run: int, fault: int, leaf: AllocationLeaf) -> None:
        """A proof of this fault (0: none) of a leaf in a posted tree."""
        self.check_fault_time(run)
        if not fault:
            raise Refused("AllocationFaults: no fault")
        group = group_of(utility, leaf)
        if (group, run) not in self.void:
            self.void.add((group, run))
            self.accumulate(VOID, run, preimages.group_key(*group))

    def mark_twice(self, run: int, first: AllocationLeaf, second: AllocationLeaf) -> None:
        if (first.trade_digest, first.side) != (second.trade_digest, second.side):
            raise Refused("AllocationFaults: two sides")
        if run >= self.run and self.phase <= INTAKE:
            raise Refused("AllocationFaults: tree not final")
        self.side(first.trade_digest, first.side).twice.add(run)

    def faults(self, utility: bytes, run: int) -> Iterable[tuple[str, tuple[int, ...]]]:
        """All that can be proven of a posted tree: way of proof, and indexes of the leaves."""
        leaves = self.posted[utility, run].leaves
        rule = self.config.allocation_rule
        for i, leaf in enumerate(leaves):
            if fault_by_rule(leaf, rule):
                yield "rule", (i,)
            deal = self.trades.deals.get(leaf.trade_digest)
            if deal and fault_by_trade(leaf, utility, deal):
                yield "trade", (i,)
            for j in range(i):
                if group_of(utility, leaf) == group_of(utility, leaves[j]) and conflict(leaf, leaves[j], rule):
                    yield "pair", (j, i)
                if (leaf.trade_digest, leaf.side) == (leaves[j].trade_digest, leaves[j].side):
                    yield "twice", (j, i)

    # --- disputes ---

    def side(self, digest: bytes, side: int) -> Side:
        return self.sides.setdefault((digest, side), Side())

    def _disputed(self, deal: Deal, place: object, member: str, key: bytes | None, side: int, run: int) -> int:
        """What demand and contest check alike; how long the window has been open."""
        if not BEGIN <= deal.trade.slot_start < END:
            raise Refused("Disputes: another cycle")
        phase, elapsed = self.stage()
        if phase != WINDOW:
            raise Refused("AllocationOracle: no open window")
        if run != self.run:
            raise Refused("Disputes: another run")
        refusal = self.trades.disputable(deal, place, deal.utility(side))  # type: ignore[arg-type]
        if refusal:
            raise Refused(refusal)
        if member not in {self.trades.world.name_of(one) for one in deal.trade.signers}:
            raise Refused("Disputes: no signer of the trade")
        if not self.members.signs(member, key):
            raise Refused("Disputes: not signed by member")
        return elapsed

    def demand(
        self,
        deal: Deal,
        place: object,
        member: str,
        key: bytes | None,
        side: int,
        run: int,
        silent: tuple[bytes, int] | None,
    ) -> None:
        """`silent` is a demand (trade digest, side) that the same utility has left open."""
        elapsed = self._disputed(deal, place, member, key, side, run)
        marks = self.side(deal.digest, side)
        if elapsed >= self.config.demand_time:
            raise Refused("Disputes: too late to demand")
        if run in marks.demanded:
            raise Refused("Disputes: demanded already")
        if self.newest(deal.utility(side)) is None:
            raise Refused("Disputes: nothing posted")
        if self.open_demands[member, run] >= self.config.open_demands:
            if silent is None:
                raise Refused("Disputes: too many demands")
            other = self.side(*silent)
            if self.trades.deals[silent[0]].utility(silent[1]) != deal.utility(side) or run not in other.unanswered:
                raise Refused("Disputes: no such demand")
            if self.clock.since(other.demanded[run][0]) < SILENT:
                raise Refused("Disputes: utility not silent")
        self.open_demands[member, run] += 1
        marks.demanded[run] = (self.clock.now, member)
        marks.unanswered.add(run)
        self.demand_made = True
        self.accumulate(DEMAND, run, preimages.side_key(deal.digest, side))

    def answer(self, deal: Deal, side: int, shown_run: int) -> None:
        """Somebody shows the side's leaf in the tree of a run."""
        phase, _ = self.stage()
        if phase != WINDOW:
            raise Refused("AllocationOracle: no open window")
        run, marks = self.run, self.side(deal.digest, side)
        if run not in marks.demanded or run in marks.answered:
            raise Refused("Disputes: nothing to answer")
        time, member = marks.demanded[run]
        if self.clock.since(time) >= self.config.demand_time:
            raise Refused("Disputes: too late to answer")
        if shown_run != self.newest(deal.utility(side)):
            raise Refused("Disputes: not the newest tree")
        marks.answered.add(run)
        marks.unanswered.discard(run)
        self.open_demands[member, run] -= 1
        self.accumulate(ANSWER, run, preimages.side_key(deal.digest, side))

    def newest(self, utility: bytes) -> int | None:
        """The newest run in which a utility posted."""
        return max((run for owner, run in self.posted if owner == utility), default=None)

    def is_withheld(self, marks: Side, newest: int) -> bool:
        """Whether the last demand for a side's leaf in the tree of run `newest` was not answered in its time."""
        asked = max((run for run in marks.demanded if run >= newest), default=None)
        if asked is None or asked in marks.answered:
            return False
        return self.clock.since(marks.demanded[asked][0]) >= self.config.demand_time

    def contest(
        self,
        deal: Deal,
        place: object,
        member: str,
        key: bytes | None,
        side: int,
        run: int,
        leaf: AllocationLeaf | None,
    ) -> None:
        """`leaf` is the side's in the newest tree, None where none is shown."""
        elapsed = self._disputed(deal, place, member, key, side, run)
        marks = self.side(deal.digest, side)
        if elapsed >= self.config.window and run not in marks.demanded:
            raise Refused("Disputes: too late to contest")
        if marks.figure:
            raise Refused("Disputes: figure recorded")
        newest = self.newest(deal.utility(side))
        if leaf is None and newest is not None and not self.is_withheld(marks, newest):
            raise Refused("Disputes: leaf not shown")
        is_read = leaf is not None and leaf.status != 2
        subject = int.from_bytes(preimages.allocation_leaf(leaf)) >> 80 if leaf and is_read else run + 1
        if subject == marks.subject:
            raise Refused("Disputes: contested before")
        if self.contests[member] >= self.config.contests_per_cycle:
            raise Refused("Disputes: too many contests")
        marks.subject = subject
        self.contests[member] += 1
        marks.contested_at = self.clock.now
        if run == self.last:
            self.last_contests.add((deal.digest, side))
            self.last_contested_at = self.clock.now
        marks.contested.add(run)
        self.accumulate(CONTEST, run, preimages.side_key(deal.digest, side))

    def record(self, deal: Deal, side: int, wh: int, ruled: bool) -> None:
        """All signers agree on a figure, or the arbiters rule; the signatures are right."""
        marks = self.side(deal.digest, side)
        if marks.figure:
            raise Refused("Disputes: a figure already")
        if marks.contested_at is None:
            raise Refused("Disputes: not contested")
        if ruled and self.clock.since(marks.contested_at) >= self.config.contest_time:
            raise Refused("Disputes: too late to rule")
        if wh > deal.contracted:
            raise Refused("Disputes: more than contracted")
        if self.is_complete:
            raise Refused("AllocationOracle: no run to come")
        marks.figure = (self.run, wh)
        self.last_contests.discard((deal.digest, side))
        self.accumulate(FIGURE, self.run, preimages.figure_key(deal.digest, side, wh))

    # --- figures ---

    def passed(self, deal: Deal, side: int, run: int, until: int) -> bool:
        """Whether a mark lets the run pass for a figure in run `until`."""
        marks = self.sides.get((deal.digest, side), Side())
        # In the last run a contest that no figure ended is as if not made.
        silenced = all(one in marks.contested for one in range(run, until + 1)) and until != self.last
        voided = (deal.group(side), run) in self.void
        return voided or run in marks.unanswered or run in marks.twice or silenced

    def own(self, deal: Deal, side: int, run: int) -> list[int]:
        """Indexes of the side's leaves in its utility's tree of a run."""
        posted = self.posted.get((deal.utility(side), run))
        leaves = posted.leaves if posted else []
        return [i for i, leaf in enumerate(leaves) if (leaf.trade_digest, leaf.side) == (deal.digest, side)]

    def counts(self, deal: Deal, side: int, run: int, index: int, until: int) -> bool:
        leaf = self.posted[deal.utility(side), run].leaves[index]
        return not self.passed(deal, side, run, until) and is_usable(leaf, deal, side, self.config.allocation_rule)

    def newest_leaf(self, deal: Deal, side: int, until: int) -> tuple[int, int] | None:
        """Run and index of the newest leaf that counts in run `until`."""
        for run in range(until, -1, -1):
            for index in self.own(deal, side, run):
                if self.counts(deal, side, run, index, until):
                    return run, index
        return None

    def recorded(self, deal: Deal, side: int, until: int) -> tuple[int, int] | None:
        """An agreed or ruled figure, if recorded before this run's seal: its run and Wh."""
        figure = self.sides.get((deal.digest, side), Side()).figure
        return figure if figure and figure[0] <= until else None

    def figure(self, deal: Deal, side: int, until: int) -> int | None:
        """The figure of a side in a run, Wh; None where there is none."""
        recorded = self.recorded(deal, side, until)
        if recorded:
            return recorded[1]
        found = self.newest_leaf(deal, side, until)
        if found is None:
            return None
        return self.posted[deal.utility(side), found[0]].leaves[found[1]].allocated_wh

    def result(self, deal: Deal, run: int) -> tuple[int, list[tuple[str, str, int]]] | None:
        """What a trade settles at in a run: Wh and flows; None where it waits or has none."""
        buyer, seller = self.figure(deal, 0, run), self.figure(deal, 1, run)
        return self.settle(deal, run, buyer, seller)

    def settle(
        self, deal: Deal, run: int, buyer: int | None, seller: int | None
    ) -> tuple[int, list[tuple[str, str, int]]] | None:
        """The same for given figures."""
        if deal.contracted == 0 or self.trades.misfit(deal.trade) or (buyer is None and seller is None):
            return None
        if buyer is None or seller is None:
            if run != self.last:
                return None
            seller = 0 if seller is None else seller
            buyer = seller if buyer is None else buyer
        return self.trades.flows(deal, buyer, seller)
