"""What the chain says: events of the market's contracts in order, indexed by what members and auditors ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from settlement import preimages
from settlement.config import Config
from settlement.formula.templates import Flow, Role, Template
from settlement.hashing import Hash32
from settlement.trade import Commitment, Lock, Trade
from settlement.validity import KnownTemplate, MemberHistory, Registry, Standing

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log: its fields by name (structs as mappings), its transaction, and its block's time."""

    contract: str
    name: str
    fields: Mapping[str, Any]
    transaction: str
    time: int
    block: int = 0
    log_index: int = 0

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


@dataclass(frozen=True, slots=True)
class ChainCommitment:
    """A commitment as its event tells it; `trade` of a registered one."""

    number: int
    record: Commitment
    locks: tuple[Lock, ...]
    trade: Trade | None


def commitment_of(event: Event) -> Commitment:
    """The record of a commitment, as its event tells it; that of a registered trade follows from the trade."""
    if event.name == "BatchCommitted":
        return struct(Commitment, event["record"])
    trade = struct(Trade, event["trade"])
    return preimages.registered_commitment(trade, event["trade_digest"], event["cycle"], event.time)


@dataclass(frozen=True)
class Evidence:
    """All events of a market, in chain order."""

    events: tuple[Event, ...]

    def of(self, *names: str) -> Iterator[Event]:
        """The events of these names, in chain order."""
        return (event for event in self.events if event.name in names)

    def of_cycle(self, cycle: int, *names: str) -> Iterator[Event]:
        """Those of them that are about a cycle."""
        return (event for event in self._by_cycle.get(cycle, ()) if event.name in names)

    @cached_property
    def cycles(self) -> tuple[int, ...]:
        """The cycles in which something was committed, ascending."""
        return tuple(sorted({one.record.cycle for one in self.commitments.values()}))

    @cached_property
    def commitments(self) -> dict[int, ChainCommitment]:
        """Commitments by number."""
        return {
            event["number"]: ChainCommitment(
                event["number"],
                commitment_of(event),
                tuple(struct(Lock, lock) for lock in event["locks"]),
                struct(Trade, event["trade"]) if event.name == "TradeRegistered" else None,
            )
            for event in self.of("BatchCommitted", "TradeRegistered")
        }

    @cached_property
    def registry(self) -> Registry:
        """Members and templates with their history."""
        words: dict[Hash32, dict[int, Standing]] = {}
        compromised: dict[Hash32, dict[bytes, int]] = {}
        templates: dict[Hash32, KnownTemplate] = {}
        for event in self.of("StandingChanged", "KeyCompromised", "TemplateRegistered"):
            if event.name == "StandingChanged":
                standing = Standing.from_word(event["word"])
                # Within one block time the last word holds.
                words.setdefault(event["member"], {})[standing.since] = standing
            elif event.name == "KeyCompromised":
                compromised.setdefault(event["member"], {})[address_bytes(event["key"])] = event.time
            else:
                templates[event["template"]] = KnownTemplate(template_of(event), event.time)
        members = {
            member: MemberHistory(tuple(history.values()), compromised.get(member, {}))
            for member, history in words.items()
        }
        return Registry(members, templates)

    @cached_property
    def configs(self) -> tuple[tuple[int, Config], ...]:
        """Config versions from 1, each with the position of its event."""
        return tuple(
            (position, struct(Config, event["config"]))
            for position, event in enumerate(self.events)
            if event.name == "ConfigSet"
        )

    def config_of(self, cycle: int) -> Config | None:
        """The version in force at the cycle's first commitment, which governs it; None where nothing was committed."""
        for position, event in enumerate(self.events):
            if event.name in ("BatchCommitted", "TradeRegistered") and event["cycle"] == cycle:
                return next((config for at, config in reversed(self.configs) if at < position), None)
        return None

    def attestors_at(self, version: int) -> tuple[tuple[Hash32, ...], int]:
        """The attestor set of a version, in the order of its bits, and its quorum; empty for an unknown version."""
        for event in self.of("AttestorsSet"):
            if event["version"] == version:
                return tuple(event["members"]), event["quorum"]
        return (), 0

    def attestors_of(self, attested: Event) -> tuple[Hash32, ...]:
        """The attestor set of a RowAttested event, in the order of its mask's bits: the one that was named last."""
        members: tuple[Hash32, ...] = ()
        for event in self.of("AttestorsSet", attested.name):
            if event is attested:
                break
            if event.name == "AttestorsSet":
                members = tuple(event["members"])
        return members

    def had_key(self, member: Hash32, key: bytes, time: int, grace: int) -> bool:
        """Whether `key` was the member's (an externally owned account's) at a block time, or within `grace` before."""
        history = self.registry.members.get(member)
        return history is not None and history.had_key(key, time, grace)

    def is_contract(self, member: Hash32, time: int) -> bool:
        """Whether the member's hot key was a contract then, whose signature only the chain could judge."""
        history = self.registry.members.get(member)
        standing = history.at(time) if history else None
        return standing is not None and standing.is_contract

    @cached_property
    def _by_cycle(self) -> dict[int, list[Event]]:
        found: dict[int, list[Event]] = {}
        for event in self.events:
            if "cycle" in event.fields:
                found.setdefault(event["cycle"], []).append(event)
        return found


def struct(kind: type[S], value: Mapping[str, Any]) -> S:
    """The value of `settlement` that a struct in an event is."""
    values = {name: _plain(hint, value[name]) for name, hint in _hints(cast(Any, kind)).items()}
    return kind(**values)


def template_of(event: Event) -> Template:
    """The template in its registration's event."""
    flows = tuple(Flow(Role(flow["payer"]), Role(flow["payee"]), bytes(flow["program"])) for flow in event["flows"])
    return Template(event["name"], event["version"], tuple(event["rate_names"]), flows)


def address_bytes(text: str) -> bytes:
    """The 20 bytes of an address."""
    return bytes.fromhex(text.removeprefix("0x"))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _plain(hint: Any, value: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_plain(get_args(hint)[0], item) for item in value)
    return struct(hint, value) if is_dataclass(hint) and isinstance(hint, type) else value
