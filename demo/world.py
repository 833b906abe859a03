"""The chain as the demo uses it: a local node, the deployed market, one relaying account, and block times.

The relayer has no power; it sends what others signed. Every transaction gets a block of its own whose time is the
schedule's, one second after the block before at least.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chain.account import Account
from chain.artifacts import EVM
from chain.contract import Contract, Event, Receipt
from chain.deployment import DeploymentRecord, deploy
from chain.market import MarketTerms, market_steps
from chain.node import Anvil
from chain.rpc import Rpc, binary
from demo import calendar
from demo.members import Member, Members, demo_key
from settlement.formula.templates import SHIPPED
from settlement.hashing import Hash32
from settlement.identity import market_id
from settlement.typed_data import Domain
from store.folders import config_document

MARKET = "demo-india"
DEPOSIT_NAME = "Demo deposit INR"
DEPOSIT_SYMBOL = "dINR"


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that went through, and the events in it of all the market's contracts."""

    receipt: Receipt
    events: tuple[Event, ...]

    def named(self, name: str) -> list[Event]:
        """The events of one name."""
        return [event for event in self.events if event.name == name]


@dataclass
class GasUse:
    """Gas of one kind of operation: used in all, calls, and units (rows, leaves) by which it is divided."""

    used: list[int] = field(default_factory=list)
    units: list[int] = field(default_factory=list)


class World:
    """The market's chain. `now` is the time that the schedule is at, `last_time` the newest block's."""

    def __init__(self, node: Anvil, members: Members) -> None:
        self.node = node
        self.rpc: Rpc = node.rpc
        self.members = members
        self.gas: dict[str, GasUse] = defaultdict(GasUse)
        self.transactions: list[str] = []
        self.now = calendar.GENESIS_TIME
        self.last_time = calendar.GENESIS_TIME
        self._relayer = Account(demo_key("relayer", "relayer"), self.rpc)
        self._council = Account(demo_key("council", "council"), self.rpc)
        self._guardian = Account(demo_key("guardian", "guardian"), self.rpc)
        self._accounts: dict[bytes, Account] = {}
        self.record: DeploymentRecord
        self._contracts: dict[str, Contract]

    # --- setting up ---

    def deploy(self) -> None:
        """Deploys every contract, admits the members, registers the templates."""
        terms = MarketTerms(
            name=MARKET,
            genesis_hash=binary(self.rpc.block(0)["hash"]),
            config=calendar.CONFIG,
            council=self._council.address,
            guardian=self._guardian.address,
            bank=self.members.bank.id,
            token_name=DEPOSIT_NAME,
            token_symbol=DEPOSIT_SYMBOL,
        )
        deployed = deploy(self.rpc, self._relayer, market_steps(terms))
        self.record = DeploymentRecord(
            market=MARKET,
            market_id=market_id(terms.genesis_hash, MARKET),
            chain_id=self.rpc.chain_id(),
            genesis_hash=terms.genesis_hash,
            block=self.rpc.block_number(),
            evm=EVM,
            vyper=version("vyper"),
            contracts=deployed,
            config=config_document(calendar.CONFIG),
            config_digest=calendar.CONFIG.digest(),
            members={one.subscriber: {"id": one.id, "roles": one.roles} for one in self.members.everyone},
            templates={template.title: template.template_id for template in SHIPPED},
        )
        self._contracts = self.record.connect(self.rpc)
        self.last_time = self.rpc.timestamp()
        self.domain = Domain(self.record.chain_id, self._contracts["MemberRegistry"].address, self.record.market_id)
        self.config_digest: Hash32 = calendar.CONFIG.digest()
        for member in self.members.everyone:
            self.by_council(
                "MemberRegistry",
                "admit",
                member.id,
                member.roles,
                Account(member.cold_key, self.rpc).address,
                Account(member.hot_key, self.rpc).address,
                member.payout,
                bytes(32),
            )
            self.by_council("DepositToken", "set_holder", member.payout, True)
        self.by_council("DepositToken", "set_holder", self._contracts["SettlementEscrow"].address, True)
        self.by_council("MemberRegistry", "set_attestors", [member.id for member in self.members.utilities])
        for template in SHIPPED:
            flows = [(int(flow.payer), int(flow.payee), flow.program) for flow in template.flows]
            self.by_council(
                "RevenueFlows", "register", template.name, template.version, list(template.rate_names), flows
            )

    def fund(self, member: Member, amount: int) -> None:
        """The settlement bank mints against money it received; the member deposits it into the escrow."""
        bank = self._account(self.members.bank.hot_key)
        payout = self._account(member.payout_key)
        escrow = self._contracts["SettlementEscrow"].address
        self.send("mint", "DepositToken", "mint", member.payout, amount, account=bank)
        self.send("approve", "DepositToken", "approve", escrow, amount, account=payout)
        self.send("deposit", "SettlementEscrow", "deposit", member.id, amount, account=payout)

    def by_council(self, contract: str, function: str, *arguments: object) -> None:
        """A call of the owner's; not part of a day's gas."""
        self._transact(self._council, contract, function, arguments)

    # --- working ---

    def send(
        self,
        operation: str,
        contract: str,
        function: str,
        *arguments: object,
        account: Account | None = None,
        units: int = 1,
    ) -> Sent:
        """Sends through the relayer (or `account`); `operation` names it in the gas table, `units` divides its gas."""
        receipt = self._transact(account or self._relayer, contract, function, arguments)
        use = self.gas[operation]
        use.used.append(receipt.gas_used)
        use.units.append(units)
        return Sent(receipt, tuple(event for one in self._contracts.values() for event in one.events_in(receipt)))

    def call(self, contract: str, function: str, *arguments: object) -> Any:
        """Asks a view."""
        return self._contracts[contract].call(function, *arguments)

    def member_account(self, member: Member) -> Account:
        """The account of a member's hot key, for what a member sends itself."""
        return self._account(member.hot_key)

    def blocks(self, count: int) -> None:
        """Empty blocks, as a chain makes them while nothing happens."""
        for _ in range(count):
            self.last_time = self._next_time()
            self.rpc.mine(1, self.last_time)

    def save(self, data: Path) -> None:
        """Writes the deployment record."""
        self.record.save(data)

    def _account(self, key: bytes) -> Account:
        return self._accounts.setdefault(key, Account(key, self.rpc))

    def _transact(self, account: Account, contract: str, function: str, arguments: Sequence[object]) -> Receipt:
        time = self._next_time()
        receipt = self._contracts[contract].transact(account, function, *arguments, timestamp=time)
        self.last_time = time
        self.transactions.append(receipt.transaction)
        return receipt

    def _next_time(self) -> int:
        return max(self.now, self.last_time + 1)
