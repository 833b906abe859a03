"""What tests of Disputes share: a market with four trades whose leaves are posted, and what may be done about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

import boa

from settlement import typed_data
from settlement.figures import SeenLeaf, SideMarks, Terms, figure_of
from settlement.hashing import keccak256
from settlement.placed import PlacedTrade, Side
from settlement.trade import Contest, Demand, FigureAgreement, Ruling, ShownLeaf, SilentDemand
from tests.contracts.market import Market, at_time
from tests.contracts.trading import (
    CONFIG,
    CONTRACTS_OF_TRADING,
    CYCLE,
    DAY,
    END,
    HOUR,
    batch_of,
    batch_place,
    commit,
    deadline,
    leaf_of,
    member_id,
    post_leaves,
    shown,
    trade_of,
)

SIGNERS = ("platform_a", "platform_b", "utility_a", "utility_b")
EVIDENCE = keccak256(b"evidence")
ARBITERS = tuple(keccak256(b"arbiter", bytes([number])) for number in range(5))
SMALL = replace(CONFIG, open_demands=2, contests_per_cycle=2, run_deadlines=(12 * HOUR, 14 * DAY))
WITH_DISPUTES = (*CONTRACTS_OF_TRADING, "Arbiters", "Disputes", "TradeResult")
UNSIGNED = (0, bytes(32), bytes(32))
DEMAND_TIME, WINDOW, CONTEST_TIME = CONFIG.demand_time, CONFIG.window, CONFIG.contest_time


class Case:
    """Four batched trades over utilities a and b, both of which have posted their leaves of run 0."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.trades = [
            trade_of(market, number, seller_meter=keccak256(b"meter", bytes([number]))) for number in range(4)
        ]
        batch = batch_of(market, self.trades)
        number, time = commit(market, batch), boa.env.evm.patch.timestamp
        self.places = [batch_place(market, number, batch, self.trades, index, time) for index in range(4)]
        at_time(END)
        self.leaves = [leaf_of(market, trade, 1, index=index) for index, trade in enumerate(self.trades)]
        self.tree = post_leaves(market, "utility_b", self.leaves)
        at_time(deadline())

    def digest(self, number: int = 0) -> bytes:
        return self.market.domain.digest(self.trades[number])

    def signature(self, number: int = 0, side: int = 1) -> tuple[int, bytes, bytes]:
        """That of the side's utility on the trade."""
        return self.market.sign("utility_b" if side else "utility_a", self.trades[number])

    def shown(self, number: int = 0) -> ShownLeaf:
        return shown(self.tree, number, self.leaves[number])

    def marks(self, number: int = 0, side: int = 1) -> SideMarks:
        utility = member_id(self.market, "utility_b" if side else "utility_a")
        return SideMarks.from_word(self.market.oracle.side_marks(CYCLE, utility, self.digest(number), side))

    def demand(
        self, number: int = 0, by: str = "platform_a", silent: Sequence[SilentDemand] = (), **changes: Any
    ) -> Demand:
        said = replace(Demand(CYCLE, 0, member_id(self.market, by), self.digest(number), 1), **changes)
        self.market.disputes.demand(
            astuple(said),
            self.market.sign(by, said),
            [],
            astuple(self.places[number]),
            astuple(self.trades[number]),
            self.signature(number, said.side),
            [astuple(one) for one in silent],
        )
        return said

    def contest(
        self, number: int = 0, by: str = "platform_a", evidence: Sequence[ShownLeaf] | None = None, **changes: Any
    ) -> Contest:
        said = replace(Contest(CYCLE, 0, member_id(self.market, by), self.digest(number), 1, EVIDENCE), **changes)
        evidence = [self.shown(number)] if evidence is None else evidence
        self.market.disputes.contest(
            astuple(said),
            self.market.sign(by, said),
            [],
            astuple(self.places[number]),
            astuple(self.trades[number]),
            self.signature(number, said.side),
            [astuple(one) for one in evidence],
        )
        return said

    def answer(self, number: int = 0, evidence: ShownLeaf | None = None) -> None:
        leaf = evidence or self.shown(number)
        self.market.disputes.answer(CYCLE, astuple(self.trades[number]), 1, astuple(leaf))

    def agree(self, wh: int, number: int = 0, signers: Sequence[str] = SIGNERS, **changes: Any) -> None:
        said = replace(FigureAgreement(CYCLE, self.digest(number), 1, wh), **changes)
        signatures = [self.market.sign(name, said) for name in signers]
        self.market.disputes.agree(astuple(said), astuple(self.trades[number]), signatures, [])

    def rule(self, wh: int, number: int = 0, by: Sequence[int] = (1, 3), **changes: Any) -> None:
        said = replace(Ruling(CYCLE, self.digest(number), 1, wh), **changes)
        digest = self.market.domain.digest(said)
        signatures = [astuple(typed_data.sign(ARBITERS[place], digest)) for place in by]
        mask = sum(1 << place for place in by)
        self.market.disputes.rule(astuple(said), astuple(self.trades[number]), mask, signatures)

    def figure(self, run: int, number: int = 0, run_shown: Sequence[ShownLeaf] | None = None) -> Any:
        """The seller side's figure on chain, and that the Python rules say the same."""
        evidence = [self.shown(number)] if run_shown is None else run_shown
        found = self.market.result.figure(astuple(self.trades[number]), 1, run, [astuple(one) for one in evidence])
        trade = self.trades[number]
        contracted = self.market.book.contracted(self.digest(number), trade.contracted_wh)
        placed = PlacedTrade(self.digest(number), trade, self.places[number].number, number, contracted)
        utility = member_id(self.market, "utility_b")
        seen = [SeenLeaf(one.run, utility, one.leaf) for one in (evidence or [self.shown(number)])]
        terms = Terms(CYCLE, self.market.config.allocation_rule, self.market.config.last_run)
        python = figure_of(placed, Side.SELLER, run, seen, self.marks(number), 0, terms)
        assert (python is not None) == found.known
        if python is not None:
            assert (python.wh, int(python.origin), python.run) == (found.wh, found.origin, found.run)
        return found


def later(seconds: int) -> None:
    at_time(boa.env.evm.patch.timestamp + seconds)
