"""Trade contracts as the chain tells them: who fills which role, at which rates, under which template, by which flows.

Everything stands in events: the parties' standing, templates with their programs, commitments, curtailments. Of a
registered trade the chain has all of it. Of a batched one it has the hash alone: whoever holds the trade shows it, and
the chain says what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from chain import artifacts
from chain.contract import Contract
from chain.deployment import DeploymentRecord
from chain.errors import DeploymentMismatch
from chain.evidence import ChainCommitment, Event, Evidence
from chain.rpc import Rpc
from settlement.formula.templates import Template
from settlement.hashing import Hash32
from settlement.trade import Place, Signature, Trade
from settlement.typed_data import Domain
from settlement.validity import KnownTemplate, place_fault

CONTRACTS: Final = ("MemberRegistry", "RevenueFlows", "TradeBook")
"""Whose events tell all of this."""


@dataclass(frozen=True, slots=True)
class TradeContract:
    """A trade and what the chain says of it.

    `template` is None where none is registered under the trade's id; `contracted_wh` is after curtailment. `commitment`
    and `index` say where it stands, None and 0 where no place is known; `fault` is why that place is not valid, in the
    words of TradeResult.
    """

    digest: Hash32
    trade: Trade
    template: Template | None
    contracted_wh: int
    commitment: ChainCommitment | None = None
    index: int = 0
    fault: str | None = None


class Agreements:
    """The trade contracts of a market, as of the newest block when this was made."""

    def __init__(self, record: DeploymentRecord, rpc: Rpc) -> None:
        """Reads all events that it needs. Raises ConnectionFailed, RpcError."""
        self._evidence = Evidence(_events(record, rpc))
        self._domain = Domain(record.chain_id, record.contracts["MemberRegistry"].address, record.market_id)
        self._curtailed: dict[Hash32, int] = {}
        for event in self._evidence.of("Curtailed"):
            digest, wh = event["trade_digest"], event["contracted_wh"]
            self._curtailed[digest] = min(wh, self._curtailed.get(digest, wh))

    @property
    def templates(self) -> Mapping[Hash32, KnownTemplate]:
        """Every registered template by its id, in the order of registration."""
        return self._evidence.registry.templates

    @property
    def commitments(self) -> Mapping[int, ChainCommitment]:
        """Every commitment by its number."""
        return self._evidence.commitments

    def registered(self, digest: Hash32) -> TradeContract | None:
        """The trade with this digest that was registered by itself; None where there is none."""
        for commitment in self.commitments.values():
            if commitment.trade is not None and self._domain.digest(commitment.trade) == digest:
                return self.placed(self.unplaced(commitment.trade), commitment)
        return None

    def unplaced(self, trade: Trade) -> TradeContract:
        """A trade that somebody holds, wherever it may stand."""
        digest = self._domain.digest(trade)
        known = self.templates.get(trade.template)
        wh = min(trade.contracted_wh, self._curtailed.get(digest, trade.contracted_wh))
        return TradeContract(digest, trade, known.template if known else None, wh)

    def placed(
        self,
        one: TradeContract,
        commitment: ChainCommitment,
        index: int = 0,
        path: tuple[Hash32, ...] = (),
        signatures: tuple[Signature, ...] = (),
    ) -> TradeContract:
        """The trade at a place, judged as of its commitment.

        `signatures` are those of the trade's signers in role order; a registered trade needs none.
        """
        config = self._evidence.config_of(commitment.record.cycle)
        if config is None:  # the first version is older than any commitment
            raise DeploymentMismatch(f"no parameters govern cycle {commitment.record.cycle}")
        place = Place(commitment.number, commitment.record, index, path)
        fault = place_fault(place, one.trade, signatures, self._evidence.registry, config, self._domain)
        return replace(one, commitment=commitment, index=index, fault=fault)


def _events(record: DeploymentRecord, rpc: Rpc) -> tuple[Event, ...]:
    time = cache(rpc.timestamp)
    contracts = [Contract(name, record.contracts[name].address, artifacts.load(name).abi, rpc) for name in CONTRACTS]
    found = [event for contract in contracts for event in contract.events()]
    found.sort(key=lambda event: (event.block, event.log_index))
    return tuple(
        Event(one.contract, one.name, one.fields, one.transaction, time(one.block), one.block, one.log_index)
        for one in found
    )
