"""Logs of a market's contracts: which event each is, what it is found by, and its fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chain import artifacts
from chain.abi import EventAbi
from chain.artifacts import Artifact
from chain.deployment import DeploymentRecord
from chain.errors import DeploymentMismatch
from chain.evidence import Event
from chain.memory import Log


@dataclass(frozen=True, slots=True)
class Subject:
    """What a log is found by. `cycle` is the event's field of this name, `row_digest` likewise; None without one."""

    contract: str
    name: str
    cycle: int | None
    row_digest: bytes | None


class Decoder:
    """Reads logs by the ABIs of the contracts in a deployment record."""

    def __init__(self, record: DeploymentRecord, load: Callable[[str], Artifact] = artifacts.load) -> None:
        self._names = {made.address: name for name, made in record.contracts.items()}
        self._events = {name: _events(load(name)) for name in record.contracts}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the contracts stand."""
        return tuple(self._names)

    def subject(self, address: str, topics: Sequence[bytes], data: bytes) -> Subject:
        """What a log says it is about. Raises DeploymentMismatch for one that no ABI of the market describes."""
        contract = self._names.get(address.lower())
        if contract is None:
            raise DeploymentMismatch(f"a log of {address}, which is no contract of the market")
        event = self._event(contract, topics)
        fields = event.fields(topics, data)
        return Subject(contract, event.name, fields.get("cycle"), fields.get("row_digest"))

    def event(self, log: Log) -> Event:
        """A remembered log with its fields."""
        fields = self._event(log.contract, log.topics).fields(log.topics, log.data)
        transaction = "0x" + log.transaction.hex()
        return Event(log.contract, log.name, fields, transaction, log.block.time, log.block.number, log.index)

    def _event(self, contract: str, topics: Sequence[bytes]) -> EventAbi:
        event = self._events[contract].get(topics[0]) if topics else None
        if event is None:
            raise DeploymentMismatch(f"{contract} wrote a log that is in no ABI of ours: is this program too old?")
        return event


def _events(artifact: Artifact) -> dict[bytes, EventAbi]:
    events = [EventAbi(entry["name"], entry["inputs"]) for entry in artifact.abi if entry["type"] == "event"]
    return {event.topic: event for event in events}
