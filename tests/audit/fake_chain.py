"""A node for audits that answers from what a test puts into it, and the members of its market."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chain.artifacts import Artifact
from chain.evidence import Event
from settlement.config import HOUR, Config
from settlement.hashing import Hash32, keccak256
from settlement.identity import member_id
from settlement.units import Calendar
from settlement.validity import MemberRole

CONFIG = Config()
CALENDAR = Calendar(CONFIG.anchor, CONFIG.slot_length, CONFIG.cycle_length)
CYCLE = 20_666
START, END = CALENDAR.cycle_start(CYCLE), CALENDAR.cycle_end(CYCLE)
GENESIS = keccak256(b"genesis of the audit's scene")
MARKET = "scene"
CHAIN_ID = 31_337
ADDRESSES = {
    name: "0x" + keccak256(name.encode())[:20].hex()
    for name in ("MemberRegistry", "RevenueFlows", "TradeBook", "AllocationOracle", "Settlement", "SettlementEscrow")
}
ROLES = {
    "platform-a": MemberRole.PLATFORM,
    "platform-b": MemberRole.PLATFORM,
    "utility-a": MemberRole.UTILITY | MemberRole.GRID_OPERATOR,
    "utility-b": MemberRole.UTILITY | MemberRole.GRID_OPERATOR,
}
IDS = {name: member_id(f"{name}.example") for name in ROLES}
KEYS = {IDS[name]: keccak256(b"key", name.encode()) for name in ROLES}
A, B, UA, UB = IDS.values()
DEPLOYED_IN_BLOCK = 7


def runtime(name: str) -> bytes:
    """The code at a contract's address."""
    return b"code of " + name.encode()


def load(name: str) -> Artifact:
    """The contract as this program knows it."""
    return Artifact(name, [], b"", runtime(name), {}, "london", "0.4.3")


@dataclass
class FakeChain:
    """A node that answers from what the scene put into it."""

    log: list[Event] = field(default_factory=list)
    answers: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    chain_id: int = CHAIN_ID
    genesis_hash: Hash32 = GENESIS
    time: int = START - 48 * HOUR

    def emit(self, contract: str, event: str, /, **fields: Any) -> None:
        """One event in a block and transaction of its own."""
        self.together((contract, event, fields))

    def together(self, *events: tuple[str, str, dict[str, Any]]) -> None:
        """Events of one transaction."""
        self.time += 1
        for contract, name, fields in events:
            self.log.append(Event(contract, name, fields, f"0x{self.time:064x}", self.time))

    def events(self) -> Sequence[Event]:
        return self.log

    def view(self, contract: str, function: str, *arguments: Any) -> Any:
        return self.answers[contract, function, *arguments]

    def code(self, address: str, block: int | None = None) -> bytes:
        if block is not None and block < DEPLOYED_IN_BLOCK:
            return b""
        return runtime(next(name for name, known in ADDRESSES.items() if known == address))
