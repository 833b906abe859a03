"""What a market should be after every act, written from the mechanism's specification: the model of all contracts.

An act of the model either changes it or raises `Refused` with the reason that the contract gives, and then changes
nothing. Members go by name; trades, rows and leaves by the structs that are signed. No rule, figure, fault or amount is
taken from `settlement`: only trees, digests and struct types are, for what is built is the same for everyone.
"""

from __future__ import annotations

from collections import Counter

from settlement.config import Config
from tests.contracts.law.model_claims import Claims
from tests.contracts.law.model_clock import Clock
from tests.contracts.law.model_council import Council
from tests.contracts.law.model_inputs import Inputs
from tests.contracts.law.model_members import Members
from tests.contracts.law.model_rows import Rows
from tests.contracts.law.model_trades import Trades
from tests.contracts.law.world import FUNDS, TRADERS, Act, World
from tests.contracts.money_model import Model as Money
from tests.contracts.money_model import Refused

__all__ = ["Law", "Refused"]


class Law:
    """The whole market: each part knows those before it."""

    def __init__(self, world: World, config: Config, now: int, block: int) -> None:
        self.clock = Clock(now, block)
        self.members = Members(world, self.clock)
        self.money = Money(config.set_off, config.due_time)
        self.money.free = Counter(dict.fromkeys(TRADERS, FUNDS))
        self.inputs = Inputs(config, self.clock, self.members)
        self.trades = Trades(world, config, self.clock, self.members, self.money, self.inputs)
        self.inputs.trades = self.trades
        self.rows = Rows(world, config, self.clock, self.members, self.money, self.inputs, self.trades)
        self.claims = Claims(config, self.clock, self.members, self.money, self.inputs, self.trades, self.rows)
        # What the market answers for, as it came in and went out.
        self.tokens_in = FUNDS * len(TRADERS)
        self.tokens_out = 0
        # By payout address: what was withdrawn to it.
        self.received: Counter[str] = Counter()
        # By debtor and creditor: what was paid from free balances.
        self.paid_from_escrow: Counter[tuple[str, str]] = Counter()
        # Statements that are final: (member, counterparty, period) -> digest.
        self.statements: dict[tuple[str, str, int], bytes] = {}

        self.council = Council(self.clock, self.members, self.enact)
        for act, at in world.approved:
            self.council.approve(act, at)

    def enact(self, act: Act) -> None:
        """What the council decided."""
        if act.function == "set_config":
            self.set_config(*act.arguments)
        else:
            getattr(self.members, act.function)(*act.arguments)

    def set_config(self, config: Config) -> None:
        """Debts fall due by the newest parameters; a cycle in which nothing is committed goes by them, too."""
        self.money.set_off, self.money.due_time = config.set_off, config.due_time
        if not self.trades.commitments:
            self.money.rest = config.publish_time + config.row_window + config.claim_window
            self.inputs.config = self.trades.config = self.rows.config = self.claims.config = config
