"""The market's chain and what only its council and its bank do there: deploying, admitting, minting; and its clock.

Time stands still unless the demo mines a block. What members send is put into a block of its own at once, at the time
of the block before.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from chain.account import Account
from chain.artifacts import EVM
from chain.contract import Contract
from chain.deployment import DeploymentRecord, deploy
from chain.market import MarketTerms, market_steps
from chain.node import Anvil
from chain.rpc import Rpc, binary
from demo import calendar
from demo.members import Member, Members, demo_key
from settlement.formula.templates import SHIPPED
from settlement.identity import market_id
from settlement.typed_data import Domain
from store.folders import config_document

MARKET = "demo-india"
DEPOSIT_NAME = "Demo deposit INR"
DEPOSIT_SYMBOL = "dINR"


class World:
    """The market's chain."""

    def __init__(self, node: Anvil, members: Members) -> None:
        self.rpc: Rpc = node.rpc
        self.url = node.url
        self.members = members
        self.relayer = Account(demo_key("relayer", "relayer"), self.rpc)
        self._council = Account(demo_key("council", "council"), self.rpc)
        self._guardian = Account(demo_key("guardian", "guardian"), self.rpc)
        self.record: DeploymentRecord
        self.domain: Domain
        self._contracts: dict[str, Contract]

    def deploy(self) -> None:
        """Deploys every contract, admits the members, registers the templates."""
        terms = MarketTerms(
            name=MARKET,
            genesis_hash=binary(self.rpc.block(0)["hash"]),
            config=calendar.CONFIG,
            council=self._council.address,
            guardian=self._guardian.address,
            seats=tuple(member.id for member in self.members.programs),
            bank=self.members.bank.id,
            token_name=DEPOSIT_NAME,
            token_symbol=DEPOSIT_SYMBOL,
        )
        deployed = deploy(self.rpc, self.relayer, market_steps(terms))
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
        self.domain = Domain(self.record.chain_id, self._contracts["MemberRegistry"].address, self.record.market_id)
        for member in self.members.everyone:
            self._admit(member)
        self._by_council("DepositToken", "set_holder", self._contracts["SettlementEscrow"].address, True)
        self._by_council("MemberRegistry", "set_attestors", [member.id for member in self.members.utilities])
        for template in SHIPPED:
            flows = [(int(flow.payer), int(flow.payee), flow.program) for flow in template.flows]
            self._by_council(
                "RevenueFlows", "register", template.name, template.version, list(template.rate_names), flows
            )
        # What follows takes acts of the members' cold keys, and time.
        self._by_council("MemberRegistry", "set_council", self._contracts["Council"].address)

    def save(self, data: Path) -> None:
        """Writes the deployment record, which is all that members and auditors need to find the market."""
        self.record.save(data)

    def fund(self, member: Member, amount: int) -> None:
        """The settlement bank mints against money it received; the member's treasury deposits it into the escrow."""
        bank, payout = Account(self.members.bank.hot_key, self.rpc), Account(member.payout_key, self.rpc)
        escrow = self._contracts["SettlementEscrow"].address
        self.transact(bank, "DepositToken", "mint", member.payout, amount)
        self.transact(payout, "DepositToken", "approve", escrow, amount)
        self.transact(payout, "SettlementEscrow", "deposit", member.id, amount)

    def transact(self, account: Account, contract: str, function: str, *arguments: object) -> None:
        """Sends a transaction, at the time of the newest block. Raises Reverted."""
        self._contracts[contract].transact(account, function, *arguments)

    def call(self, contract: str, function: str, *arguments: object) -> Any:
        """Asks a view."""
        return self._contracts[contract].call(function, *arguments)

    def mine(self, time: int, blocks: int = 1) -> None:
        """Empty blocks, all at one time (UTC epoch seconds)."""
        self.rpc.mine(blocks, time)

    @property
    def head(self) -> int:
        """The newest block's number."""
        return self.rpc.block_number()

    def _admit(self, member: Member) -> None:
        self._by_council(
            "MemberRegistry",
            "admit",
            member.id,
            member.roles,
            Account(member.cold_key, self.rpc).address,
            Account(member.hot_key, self.rpc).address,
            member.payout,
            bytes(32),
        )
        self._by_council("DepositToken", "set_holder", member.payout, True)

    def _by_council(self, contract: str, function: str, *arguments: object) -> None:
        self.transact(self._council, contract, function, *arguments)
