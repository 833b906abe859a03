"""A market deployed on a local chain whose clock stands still, with members that hold keys; no daemons."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chain.account import Account
from chain.artifacts import EVM
from chain.contract import Receipt
from chain.deployment import DeploymentRecord, deploy
from chain.market import MarketTerms, market_steps
from chain.node import Anvil
from chain.rpc import binary
from member.desk import Member
from member.keys import address_text
from settlement.config import DAY, HOUR, Config
from settlement.formula.templates import SHIPPED
from settlement.hashing import Hash32, keccak256
from settlement.identity import market_id
from settlement.trade import Signature
from settlement.typed_data import Domain
from settlement.units import Calendar
from settlement.validity import MemberRole

MARKET = "scene"
CONFIG = Config(gate=HOUR, window_blocks=2)
CALENDAR = Calendar(CONFIG.anchor, CONFIG.slot_length, CONFIG.cycle_length)

CYCLE = 20_650
DAY_START = CALENDAR.cycle_start(CYCLE)
DAY_END = CALENDAR.cycle_end(CYCLE)
GENESIS_TIME = DAY_START - DAY

PLATFORMS = ("sunmarket", "rooftrade", "wattbazaar")
UTILITIES = ("eastpower", "westpower", "stategrid", "hillpower")
BANK = "settlebank"


def scene_key(purpose: str, name: str) -> bytes:
    """A private key of the scene's."""
    return keccak256(b"clearwatt test key", purpose.encode(), name.encode())


def subscriber_of(name: str) -> str:
    """The subscriber id of a name: `sunmarket` is `sunmarket.example`; what has a dot is one already."""
    return name if "." in name else f"{name}.example"


class DeployedMarket:
    """A chain with the market's contracts, members admitted, templates registered. A context manager."""

    def __init__(
        self,
        folder: Path,
        platforms: Sequence[str],
        utilities: Sequence[str],
        config: Config,
        genesis_time: int = GENESIS_TIME,
    ) -> None:
        """Everything at `genesis_time`; the deployment record goes to `folder`."""
        self.folder = folder
        self.config = config
        self.platforms, self.utilities = tuple(platforms), tuple(utilities)
        self.names = (*self.platforms, *self.utilities)
        self.members = {name: Member(subscriber_of(name), scene_key("hot", name)) for name in (*self.names, BANK)}
        self.node = Anvil(genesis_time)
        self.rpc = self.node.rpc
        try:
            self._council = Account(scene_key("account", "council"), self.rpc)
            self._relayer = Account(scene_key("account", "relayer"), self.rpc)
            self._deploy()
        except BaseException:
            self.node.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the chain."""
        self.node.close()

    def id(self, name: str) -> Hash32:
        """A member's id on chain."""
        return self.members[name].id

    def _sign(self, signers: Sequence[Hash32], value: object) -> list[Signature]:
        by_id = {member.id: member for member in self.members.values()}
        return [by_id[one].sign(self.domain, value) for one in signers]

    # --- time ---

    @property
    def now(self) -> int:
        """The newest block's time."""
        return self.rpc.timestamp()

    def move_to(self, time: int, blocks: int = 1) -> None:
        """Mines empty blocks, all at a time."""
        self.rpc.mine(blocks, time)

    def snapshot(self) -> str:
        """The chain as it is, to be taken back to."""
        found: str = self.rpc.call("evm_snapshot")
        return found

    def take_back(self, snapshot: str) -> None:
        """Takes every block since a snapshot from the chain, and mines another in place of the first."""
        self.rpc.call("evm_revert", snapshot)
        self._relayer = Account(scene_key("account", "relayer"), self.rpc)  # it counts its nonces itself
        self.move_to(self.now + 1)

    # --- the chain ---

    def send(self, contract: str, function: str, *arguments: object) -> Receipt:
        """Sends by a relaying account of the scene's own."""
        return self.contracts[contract].transact(self._relayer, function, *arguments)

    def by_council(self, contract: str, function: str, *arguments: object) -> Receipt:
        """Sends by the market's owner."""
        return self.contracts[contract].transact(self._council, function, *arguments)

    def call(self, contract: str, function: str, *arguments: object) -> Any:
        """Asks a view."""
        return self.contracts[contract].call(function, *arguments)

    def fund(self, name: str, amount: int) -> None:
        """Puts deposit tokens into a member's free balance."""
        payout = Account(scene_key("payout", name), self.rpc)
        bank = Account(self.members[BANK].key, self.rpc)
        escrow = self.contracts["SettlementEscrow"].address
        self.contracts["DepositToken"].transact(bank, "mint", payout.address, amount)
        self.contracts["DepositToken"].transact(payout, "approve", escrow, amount)
        self.contracts["SettlementEscrow"].transact(payout, "deposit", self.id(name), amount)

    # --- setting up ---

    def _deploy(self) -> None:
        genesis = binary(self.rpc.block(0)["hash"])
        terms = MarketTerms(
            name=MARKET,
            genesis_hash=genesis,
            config=self.config,
            council=self._council.address,
            guardian=address_text(scene_key("account", "guardian")),
            seats=tuple(self.id(name) for name in self.utilities),
            bank=self.id(BANK),
            token_name="Deposit",
            token_symbol="dINR",
        )
        deployed = deploy(self.rpc, self._relayer, market_steps(terms))
        self.record = DeploymentRecord(
            market=MARKET,
            market_id=market_id(genesis, MARKET),
            chain_id=self.rpc.chain_id(),
            genesis_hash=genesis,
            block=self.rpc.block_number(),
            evm=EVM,
            vyper=version("vyper"),
            contracts=deployed,
            config=_config_document(self.config),
            config_digest=self.config.digest(),
            members={one.subscriber: {"id": one.id, "roles": self._roles(name)} for name, one in self.members.items()},
            templates={template.title: template.template_id for template in SHIPPED},
        )
        self.record.save(self.folder)
        self.contracts = self.record.connect(self.rpc)
        self.domain = Domain(self.record.chain_id, deployed["MemberRegistry"].address, self.record.market_id)
        for name, member in self.members.items():
            keys = (address_text(scene_key("cold", name)), address_text(member.key))
            payout = address_text(scene_key("payout", name))
            beckn_key = bytes(32) if name == BANK else _beckn_key(name)
            self.by_council("MemberRegistry", "admit", member.id, self._roles(name), *keys, payout, beckn_key)
            self.by_council("DepositToken", "set_holder", payout, True)
        self.by_council("DepositToken", "set_holder", deployed["SettlementEscrow"].address, True)
        self.by_council("MemberRegistry", "set_attestors", [self.id(name) for name in self.utilities])
        for template in SHIPPED:
            flows = [(int(flow.payer), int(flow.payee), flow.program) for flow in template.flows]
            names = list(template.rate_names)
            self.by_council("RevenueFlows", "register", template.name, template.version, names, flows)

    def _roles(self, name: str) -> int:
        if name == BANK:
            return int(MemberRole.SETTLEMENT_BANK)
        return int(MemberRole.PLATFORM if name in self.platforms else MemberRole.UTILITY | MemberRole.GRID_OPERATOR)


def _beckn_key(name: str) -> bytes:
    """The public half of `scene_key("beckn", name)`, with which a member signs Beckn messages."""
    return Ed25519PrivateKey.from_private_bytes(scene_key("beckn", name)).public_key().public_bytes_raw()


def _config_document(config: Config) -> dict[str, Any]:
    """The parameters as the deployment record has them, without the room of folders, which members never load."""
    from store.folders import config_document

    return config_document(config)
