"""An honest cycle of a small market, in which one thing at a time is then made wrong.

Seven trades over two utilities and three platforms: groups of several trades on either side, a shortage, a curtailed
trade, one inside one utility, one with penalties, one with a market agent, one registered; an ESTIMATED reading, and
one that is MISSING until run 1. Rows are settled after each of the three runs. What everybody then has and owes is the
`Outcome` that every corrected cycle must come to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import product
from typing import Any

import boa  # type: ignore[import-untyped]
from eth_abi import decode

from settlement import preimages
from settlement.cycle import NO_READING, Readings, RunResult, SlotReading, allocate_utility, settle_run
from settlement.faults import Status
from settlement.figures import Marks, SeenLeaf, SideMarks, Terms
from settlement.formula.templates import FIXED_PRICE_SETTLED, INTER_UTILITY, MARKET, SHIPPED_BY_ID, Template
from settlement.hashing import ZERO_HASH, keccak256
from settlement.placed import PlacedTrade, Side
from settlement.rows import empty_row
from settlement.trade import AllocationLeaf, Row, Trade
from tests.contracts.market import Market, at_time
from tests.contracts.settling import UTILITIES, Scene, deploy_settling
from tests.contracts.trading import CONFIG, CYCLE, END, SLOT, curtail, deadline, mine, shown, trade_of

MEMBERS = ("platform_a", "platform_b", "platform_c", *UTILITIES)
RUNS = 3
Leaves = list[AllocationLeaf]
Settled = tuple[int, tuple[Any, ...]]


def meter(name: str) -> bytes:
    """A meter's pseudonym."""
    return keccak256(b"meter", name.encode())


@dataclass(frozen=True)
class Deal:
    """What differs from trade to trade; the sides' readings are those of their meters."""

    buyer_meter: str
    seller_meter: str
    contracted_wh: int
    template: Template = FIXED_PRICE_SETTLED
    rates: tuple[int, ...] = (5_000_000, 400_000)
    roles: tuple[tuple[str, str], ...] = ()


DEALS = (
    Deal("b1", "s1", 2_000),
    Deal("b2", "s1", 1_500),
    Deal("b3", "s1", 700),
    Deal("b1", "s2", 900),
    # Both meters are utility a's.
    Deal(
        "b4",
        "s4",
        1_000,
        roles=(
            ("buyer_platform", "platform_b"),
            ("seller_platform", "platform_a"),
            ("seller_utility", "utility_a"),
            ("grid_operator", "utility_a"),
        ),
    ),
    Deal("b5", "s5", 1_100, INTER_UTILITY, (6_000_000, 300_000, 200_000, 1_000_000), (("grid_operator", ""),)),
    Deal("b6", "s6", 800, MARKET, (4_000_000, 100_000, 250_000), (("market_agent", "platform_c"),)),
)
CURTAILED, CURTAILED_TO = 1, 1_200
LATE = "s2"
"""The meter whose reading is MISSING in run 0."""
INSIDE = 4
"""The trade inside one utility."""

READINGS = {
    "b1": SlotReading(2_500),
    "b2": SlotReading(5_000),
    "b3": SlotReading(701, Status.ESTIMATED),
    "b4": SlotReading(640),
    "b5": SlotReading(1_100),
    "b6": SlotReading(900),
    "s1": SlotReading(3_001),
    "s2": SlotReading(850),
    "s4": SlotReading(1_000),
    "s5": SlotReading(777, Status.ESTIMATED),
    "s6": SlotReading(799),
}


@dataclass(frozen=True)
class Outcome:
    """What everybody has and owes, base units: free by member, (lock, applied) and owed by pair of members."""

    free: Mapping[str, int]
    pairs: Mapping[tuple[str, str], tuple[int, int]]
    owed: Mapping[tuple[str, str], int]


def attempt(contract: Any, name: str, *arguments: Any) -> str:
    """Calls a function as anybody; the reason for which it reverted, or nothing where it did not."""
    data = getattr(contract, name).prepare_calldata(*arguments)
    computation = boa.env.execute_code(to_address=contract.address, data=data)
    if not computation.is_error:
        return ""
    return str(decode(("string",), computation.output[4:])[0])


def trades_of(market: Market) -> list[Trade]:
    """The trades, unsigned."""
    found = []
    for number, deal in enumerate(DEALS):
        roles = {role: market.members[name].id if name else ZERO_HASH for role, name in deal.roles}
        trade = trade_of(
            market,
            number,
            template=deal.template.template_id,
            rates=deal.rates,
            contracted_wh=deal.contracted_wh,
            buyer_meter=meter(deal.buyer_meter),
            seller_meter=meter(deal.seller_meter),
        )
        found.append(replace(trade, **roles))
    return found


@dataclass
class HonestCycle:
    """The cycle's scene, with what its members compute; `scene.posted` says what was really posted."""

    scene: Scene

    def copy(self) -> HonestCycle:
        """The same for one corruption alone; the chain is set back by an anchor."""
        return HonestCycle(self.scene.copy())

    @classmethod
    def committed(cls, rule: int) -> HonestCycle:
        """A market under an allocation rule, at the end of the cycle: committed, curtailed, delivered."""
        scene = Scene(deploy_settling(replace(CONFIG, allocation_rule=rule)))
        trades = trades_of(scene.market)
        scene.commit(trades[:4], [("platform_a", "platform_b", 12_000_000), ("platform_a", "utility_b", 5_000_000)])
        scene.commit(trades[4:6], [("platform_b", "utility_a", 10_000)])
        scene.register(trades[6], [("platform_a", "platform_c", 2_000_000)])
        shortened = trades[CURTAILED]
        at_time(SLOT - 1)
        curtail(scene.market, scene.place(shortened), shortened, CURTAILED_TO, ["utility_b"])
        scene.contracted[scene.digest(shortened)] = CURTAILED_TO
        at_time(END)
        return cls(scene)

    @property
    def market(self) -> Market:
        """The market."""
        return self.scene.market

    @property
    def trades(self) -> Sequence[Trade]:
        """The trades, as in `DEALS`."""
        return self.scene.trades

    @property
    def placed(self) -> tuple[PlacedTrade, ...]:
        """The trades as `settlement` takes them."""
        return tuple(self.scene.placed(trade) for trade in self.trades)

    @property
    def terms(self) -> Terms:
        """What figures depend on besides leaves and marks."""
        return Terms.of(CYCLE, self.market.config)

    def utility(self, trade: Trade, side: int) -> str:
        """The name of a side's utility."""
        return self.scene.name(trade.seller_utility if side else trade.buyer_utility)

    def leaves(self, utility: str, run: int) -> Leaves:
        """A utility's honest leaves of a run."""
        readings: Readings = {
            (meter(name), SLOT, Side.SELLER if name.startswith("s") else Side.BUYER): (
                NO_READING if name == LATE and run == 0 else reading
            )
            for name, reading in READINGS.items()
        }
        rule = self.market.config.allocation_rule
        return list(allocate_utility(self.scene.id(utility), self.placed, readings, CYCLE, rule).leaves)

    def post(self, run: int, wrong: Mapping[str, Leaves] | None = None) -> None:
        """Utilities post a run; those in `wrong` post these leaves."""
        for utility in UTILITIES:
            self.scene.post_leaves(utility, (wrong or {}).get(utility, self.leaves(utility, run)), run)

    def open_window(self, run: int) -> None:
        """To the beginning of a run's window."""
        at_time(max(deadline(run), boa.env.evm.patch.timestamp))
        if run:
            sealed_at = self.market.oracle.sealed_at(CYCLE, run - 1)
            at_time(max(boa.env.evm.patch.timestamp, sealed_at + CONFIG.least_intake))
        self.market.oracle.open_window(CYCLE)

    def seal(self) -> None:
        """From the beginning of the window to the seal, demands' time included."""
        mine(CONFIG.window_blocks)
        at_time(boa.env.evm.patch.timestamp + CONFIG.window + CONFIG.demand_time)
        self.market.oracle.seal(CYCLE)

    def marks(self) -> Marks:
        """All marks, read from the chain."""
        oracle, voids, sides = self.market.oracle, {}, {}
        for placed in self.placed:
            for side in Side:
                utility = placed.utility(side)
                group = preimages.group_key(utility, placed.meter(side), placed.trade.slot_start, side)
                voids[group] = oracle.void_runs(CYCLE, group)
                word = oracle.side_marks(CYCLE, utility, placed.digest, int(side))
                sides[preimages.side_key(placed.digest, side)] = SideMarks.from_word(word)
        return Marks(voids, sides)

    def result(self, run: int) -> RunResult:
        """What a run comes to by `settlement`, from what was posted and marked."""
        seen = [
            SeenLeaf(posted_run, self.scene.id(utility), leaf)
            for (utility, posted_run), (_, leaves) in self.scene.posted.items()
            for leaf in leaves
            if posted_run <= run
        ]
        return settle_run(run, self.placed, seen, self.marks(), SHIPPED_BY_ID, self.terms)

    def rows(self, run: int) -> list[Row]:
        """The right rows of all pairs that have leaves or keep something locked."""
        result, inputs = self.result(run), self.market.oracle.inputs(CYCLE, run)
        return [
            result.rows.get(pair, empty_row(*pair)).row(CYCLE, run, run + 1, inputs, result.keep.get(pair, 0))
            for pair in sorted(result.rows.keys() | result.keep.keys())
        ]

    def settle(self, run: int) -> None:
        """Both members of every pair sign the right row."""
        rows = self.rows(run)
        assert self.scene.settle(*rows) == len(rows)

    def finish(self, run: int) -> Outcome:
        """Settles a sealed run, and everything honestly after it."""
        self.settle(run)
        for later in range(run + 1, RUNS):
            self.post(later)
            self.open_window(later)
            self.seal()
            self.settle(later)
        return self.outcome()

    def outcome(self) -> Outcome:
        """What everybody has and owes now."""
        pairs = [(payer, payee) for payer in MEMBERS for payee in MEMBERS if payer != payee]
        words = {pair: self.scene.word(*pair) for pair in pairs}
        return Outcome(
            {name: self.scene.free(name) for name in MEMBERS},
            {pair: (word.lock, word.applied) for pair, word in words.items()},
            {pair: self.scene.owed(*pair) for pair in pairs},
        )

    # --- what the chain makes of one trade ---

    def own_leaves(self, trade: Trade, side: int, run: int) -> list[list[Any]]:
        """What can be shown of a side: each leaf of it in its utility's posted tree, or that nothing can."""
        utility = self.utility(trade, side)
        if (utility, run) not in self.scene.posted:
            return [[]]
        tree, leaves = self.scene.posted[utility, run]
        digest = self.scene.digest(trade)
        return [
            [astuple(shown(tree, place, leaf, run))]
            for place, leaf in enumerate(leaves)
            if leaf.trade_digest == digest and leaf.side == side
        ] or [[]]

    def settled(self, trade: Trade, run: int) -> set[Settled]:
        """Settled Wh and flows of a trade as the chain computes them from what can be shown; nothing where it waits."""
        found = set()
        for sides in product(*(self.own_leaves(trade, side, run) for side in (0, 1))):
            data = self.market.result.result_of.prepare_calldata(astuple(trade), run, *sides)
            computation = boa.env.execute_code(to_address=self.market.result.address, data=data, is_modifying=False)
            if not computation.is_error:
                settles, wh, flows = decode(("(bool,uint64,(bytes32,bytes32,uint256)[])",), computation.output)[0]
                if settles:
                    found.add((wh, flows))
        return found

    def claimable(self, trade: Trade, run: int) -> set[str]:
        """Why the trade cannot be claimed in a run from each thing that can be shown; an empty text where it can."""
        place, signatures = astuple(self.scene.place(trade)), self.scene.signatures(trade)
        return {
            attempt(self.market.result, "claim_of", place, astuple(trade), signatures, run, *sides)
            for sides in product(*(self.own_leaves(trade, side, run) for side in (0, 1)))
        }
