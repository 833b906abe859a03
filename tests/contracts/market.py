"""A whole market in titanoboa: every contract at its precomputed address, members with keys, and signing.

Tests name members by role (`platform_a`, `utility_a`, `bank`, ...), never by a person's name.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import boa  # type: ignore[import-untyped]

from settlement import typed_data
from settlement.config import Config
from settlement.hashing import keccak256
from settlement.trade import Signature

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
GENESIS = keccak256(b"genesis of the test market")
MARKET = "test-market"

PLATFORM, UTILITY, GRID_OPERATOR, MARKET_AGENT, SETTLEMENT_BANK = 1, 2, 4, 8, 16
NO_SIGNATURE = Signature(0, bytes(32), bytes(32))

MEMBERS: dict[str, int] = {
    "platform_a": PLATFORM,
    "platform_b": PLATFORM,
    "platform_c": PLATFORM | MARKET_AGENT,
    "utility_a": UTILITY | GRID_OPERATOR,
    "utility_b": UTILITY | GRID_OPERATOR,
    "utility_c": UTILITY | GRID_OPERATOR,
    "utility_d": UTILITY | GRID_OPERATOR,
    "bank": SETTLEMENT_BANK,
}
ATTESTORS = ("utility_a", "utility_b", "utility_c", "utility_d")


@cache
def source(name: str) -> Any:
    """The compiled contract, ready to deploy any number of times."""
    return boa.load_partial(str(CONTRACTS / f"{name}.vy"))


@dataclass(frozen=True)
class Member:
    """A member with its keys; `id` as on chain."""

    name: str
    id: bytes
    hot: bytes
    cold: bytes

    @property
    def address(self) -> str:
        return "0x" + typed_data.address_of(self.hot).hex()

    @property
    def cold_address(self) -> str:
        return "0x" + typed_data.address_of(self.cold).hex()

    @property
    def payout(self) -> str:
        return "0x" + keccak256(b"payout", self.id)[12:].hex()


def member(name: str) -> Member:
    """The member of this name; every key follows from the name."""
    return Member(
        name, keccak256(f"{name}.example".encode()), keccak256(b"hot", name.encode()), keccak256(b"cold", name.encode())
    )


@dataclass
class Market:
    """The deployed contracts by name (`market.registry`, `market.oracle`, ...), and how its members sign."""

    config: Config
    council: str
    guardian: str
    addresses: dict[str, str]
    contracts: dict[str, Any]
    members: dict[str, Member]
    domain: typed_data.Domain = field(init=False)

    def __post_init__(self) -> None:
        market_id = keccak256(GENESIS, MARKET.encode())
        self.domain = typed_data.Domain(boa.env.evm.patch.chain_id, self.addresses["MemberRegistry"], market_id)

    registry = property(lambda self: self.contracts["MemberRegistry"])
    flows = property(lambda self: self.contracts["RevenueFlows"])
    book = property(lambda self: self.contracts["TradeBook"])
    oracle = property(lambda self: self.contracts["AllocationOracle"])
    faults = property(lambda self: self.contracts["AllocationFaults"])
    arbiters = property(lambda self: self.contracts["Arbiters"])
    disputes = property(lambda self: self.contracts["Disputes"])
    result = property(lambda self: self.contracts["TradeResult"])
    settlement = property(lambda self: self.contracts["Settlement"])
    row_faults = property(lambda self: self.contracts["RowFaults"])
    row_demands = property(lambda self: self.contracts["RowDemands"])
    escrow = property(lambda self: self.contracts["SettlementEscrow"])
    obligations = property(lambda self: self.contracts["ObligationLedger"])
    token = property(lambda self: self.contracts["DepositToken"])

    def sign(self, name: str, value: object) -> tuple[int, bytes, bytes]:
        """The named member's hot-key signature of a typed object, as a contract argument."""
        return astuple(typed_data.sign(self.members[name].hot, self.domain.digest(value)))  # type: ignore[return-value]

    def sign_cold(self, name: str, value: object) -> tuple[int, bytes, bytes]:
        """The same by the cold key."""
        return astuple(typed_data.sign(self.members[name].cold, self.domain.digest(value)))  # type: ignore[return-value]

    def sign_all(self, ids: tuple[bytes, ...], value: object) -> list[tuple[int, bytes, bytes]]:
        """Signatures of the members with these ids, in their order."""
        by_id = {entry.id: name for name, entry in self.members.items()}
        return [self.sign(by_id[identity], value) for identity in ids]

    def fund(self, name: str, amount: int) -> None:
        """Mints to the member's payout address and deposits into the escrow."""
        who = self.members[name]
        with boa.env.prank(self.members["bank"].address):
            self.token.mint(who.payout, amount)
        with boa.env.prank(who.payout):
            self.token.approve(self.escrow.address, amount)
            self.escrow.deposit(who.id, amount)


def constructor_arguments(
    name: str, at: dict[str, str], council: str, guardian: str, config: Config
) -> tuple[Any, ...]:
    """What each contract is constructed with, given everybody's address."""
    registry = at["MemberRegistry"]
    return {
        "MemberRegistry": (council, guardian, GENESIS, MARKET, astuple(config)),
        "RevenueFlows": (registry,),
        "TradeBook": (registry, at["RevenueFlows"], at["AllocationOracle"], at["SettlementEscrow"]),
        "AllocationOracle": (registry, at["TradeBook"], at["AllocationFaults"], at["Disputes"]),
        "AllocationFaults": (registry, at["TradeBook"], at["AllocationOracle"]),
        "Arbiters": (registry,),
        "Disputes": (registry, at["TradeBook"], at["AllocationOracle"], at["Arbiters"]),
        "TradeResult": (registry, at["RevenueFlows"], at["TradeBook"], at["AllocationOracle"]),
        "Settlement": (
            registry,
            at["AllocationOracle"],
            at["TradeResult"],
            at["SettlementEscrow"],
            at["ObligationLedger"],
            at["RowFaults"],
            at["RowDemands"],
        ),
        "RowFaults": (registry, at["AllocationOracle"], at["TradeResult"], at["Settlement"]),
        "RowDemands": (registry, at["AllocationOracle"], at["TradeResult"], at["Settlement"]),
        "SettlementEscrow": (
            registry,
            at["DepositToken"],
            at["TradeBook"],
            at["AllocationOracle"],
            at["Settlement"],
            at["ObligationLedger"],
        ),
        "ObligationLedger": (registry, at["Settlement"], at["SettlementEscrow"], at["Arbiters"]),
        "DepositToken": (registry, member("bank").id, "Deposit INR", "dINR", 6),
    }[name]


NAMES = (
    "MemberRegistry",
    "RevenueFlows",
    "TradeBook",
    "AllocationOracle",
    "AllocationFaults",
    "Arbiters",
    "Disputes",
    "TradeResult",
    "Settlement",
    "RowFaults",
    "RowDemands",
    "SettlementEscrow",
    "ObligationLedger",
    "DepositToken",
)


def deploy(
    config: Config | None = None, stand_ins: dict[str, str] | None = None, only: tuple[str, ...] = NAMES
) -> Market:
    """Deploys the market and admits its members.

    `stand_ins` maps a contract's name to the path of a source to use in its place (constructed without arguments);
    `only` limits what is deployed (the registry always is).
    """
    config = config or replace(Config(), window_blocks=2)
    council, guardian = boa.env.generate_address("council"), boa.env.generate_address("guardian")
    at = {name: str(boa.env.generate_address(name)) for name in NAMES}
    contracts: dict[str, Any] = {}
    for name in NAMES:
        path = (stand_ins or {}).get(name)
        if path is not None:
            contracts[name] = boa.load_partial(path).deploy(override_address=at[name])
        elif name == "MemberRegistry" or name in only:
            arguments = constructor_arguments(name, at, str(council), str(guardian), config)
            contracts[name] = source(name).deploy(*arguments, override_address=at[name])
    market = Market(config, str(council), str(guardian), at, contracts, {name: member(name) for name in MEMBERS})
    with boa.env.prank(council):
        for name, roles in MEMBERS.items():
            who = market.members[name]
            market.registry.admit(who.id, roles, who.cold_address, who.address, who.payout, bytes(32))
        market.registry.set_attestors([market.members[name].id for name in ATTESTORS])
        if "DepositToken" in contracts and "DepositToken" not in (stand_ins or {}):
            for holder in (at["SettlementEscrow"], *(who.payout for who in market.members.values())):
                market.token.set_holder(holder, True)
    return market


def at_time(time: int) -> None:
    """Moves the chain to a block time, one block on."""
    boa.env.evm.patch.timestamp = time
    boa.env.evm.patch.block_number += 1
