"""The market as the gateway sees it: what was followed, as of one block, and what can be asked of the node."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from api.authority import Authority
from api.calls import Call
from api.views.clock import pauses_of
from api.views.cycle_facts import CycleFacts
from chain.contract import Contract
from chain.deployment import DeploymentRecord
from chain.errors import NothingFollowed
from chain.evidence import Evidence, struct
from chain.memory import ChainMemory
from chain.view import ChainView
from settlement.config import Config
from settlement.formula.templates import Template
from settlement.hashing import Hash32
from settlement.typed_data import Domain
from settlement.units import Calendar
from settlement.validity import Registry
from wire.problems import Refused

FACTS_KEPT: Final = 32


@dataclass(frozen=True, slots=True)
class Moment:
    """The block that an answer is as of: its number, hash and time, and the newest one that is final."""

    number: int
    hash: Hash32
    time: int
    final: int


class Market:
    """One market on one chain, through what was followed of it. Any thread may use it."""

    def __init__(
        self, record: DeploymentRecord, memory: ChainMemory, view: ChainView, contracts: dict[str, Contract]
    ) -> None:
        """`record` must have been checked against the chain that `contracts` ask."""
        self.record = record
        self.view = view
        self.domain = Domain(record.chain_id, record.contracts["MemberRegistry"].address, record.market_id)
        self.names = {entry["id"]: subscriber for subscriber, entry in record.members.items()}
        self._memory = memory
        self._contracts = contracts
        self._asking = Lock()  # a connection to the node carries one call at a time
        self._facts: OrderedDict[int, CycleFacts] = OrderedDict()
        self._facts_lock = Lock()

    def moment(self) -> Moment:
        """The newest followed block. Raises Refused while nothing was followed."""
        mark = self._memory.mark()
        if mark is None:
            raise Refused("try-again", "the chain has not been followed yet")
        return Moment(mark.head.number, mark.head.hash, mark.head.time, mark.final)

    # --- standing ---

    @property
    def registry(self) -> Registry:
        """Members and templates with their history."""
        return self._standing().registry

    @property
    def calendar(self) -> Calendar:
        """Slots and cycles, which are fixed for as long as the market stands."""
        config = self.record.config
        return Calendar(config["anchor"], config["slot_length"], config["cycle_length"])

    def authority(self) -> Authority:
        """Whose signatures count now."""
        return Authority(self.registry, self.domain, self.moment().time)

    def template(self, identity: Hash32) -> Template | None:
        """A registered template."""
        known = self.registry.templates.get(identity)
        return None if known is None else known.template

    # --- cycles ---

    def cycles(self) -> tuple[int, ...]:
        """The cycles in which something was committed, ascending."""
        return self.view.cycles()

    def facts(self, cycle: int, moment: Moment) -> CycleFacts:
        """What the chain has said about a cycle. As long as nothing changed, what was worked out of it is kept."""
        evidence = self.view.cycle(cycle)
        pauses = pauses_of(self._standing())
        with self._facts_lock:
            known = self._facts.pop(cycle, None)
            if (
                known is None
                or known.evidence is not evidence
                or known.pauses != pauses
                or (known.now, known.final_block) != (moment.time, moment.final)
            ):
                known = CycleFacts(cycle, evidence, self._config(evidence), pauses, moment.time, moment.final)
            self._facts[cycle] = known
            while len(self._facts) > FACTS_KEPT:
                self._facts.popitem(last=False)
        return known

    def config(self, cycle: int) -> Config:
        """The parameters that govern a cycle: those at its first commitment, or those of now where it has none."""
        return self._config(self.view.cycle(cycle))

    def newest_config(self) -> Config:
        """The parameters that would govern a cycle which began now."""
        return self._config(Evidence(()))

    def beckn_keys(self) -> dict[Hash32, bytes]:
        """The Ed25519 keys of the members' Beckn identities, by member; those that have one."""
        admitted = self._standing().of("MemberAdmitted")
        return {event["member"]: event["beckn_key"] for event in admitted if any(event["beckn_key"])}

    def _config(self, evidence: Evidence) -> Config:
        first = next(evidence.of("BatchCommitted", "TradeRegistered"), None)
        versions = [
            event
            for event in self._standing().of("ConfigSet")
            if first is None or (event.block, event.log_index) < (first.block, first.log_index)
        ]
        if not versions:
            raise Refused("try-again", "the market's parameters have not been followed yet")
        return struct(Config, versions[-1]["config"])

    # --- the node ---

    def rehearse(self, call: Call) -> None:
        """Has the node try a call, changing nothing. Raises Reverted where the contract would refuse it now."""
        with self._asking:
            self._contracts[call.contract].call(call.function, *call.arguments)

    def _standing(self) -> Evidence:
        try:
            return self.view.standing()
        except NothingFollowed as error:
            raise Refused("try-again", "the chain has not been followed yet") from error
