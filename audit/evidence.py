"""What an audit asks: the node, what its chain says, and the domain of the members' signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chain.evidence import Event, Evidence
from settlement.hashing import Hash32
from settlement.typed_data import Domain


class Chain(Protocol):
    """The node that an audit asks, and the deployment it asks about."""

    @property
    def chain_id(self) -> int:
        """The chain's id."""

    @property
    def genesis_hash(self) -> Hash32:
        """The hash of block 0."""

    def events(self) -> Sequence[Event]:
        """All events of all contracts, in chain order."""

    def view(self, contract: str, function: str, *arguments: Any) -> Any:
        """What a view answers at the newest block."""

    def code(self, address: str, block: int | None = None) -> bytes:
        """The code at an address, at the newest block or an older one."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every check of an audit shares: the chain, its evidence, and the domain of its signatures."""

    chain: Chain
    evidence: Evidence
    domain: Domain
