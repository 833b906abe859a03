"""Signing a trade: what every signer looks at first, and the one place where a member's signature on a trade is made.

What is looked at beyond this is each role's own (`TradeRules`): a utility's limits, a platform's orders. A trade that
is not signed is refused by itself, with the field and the reason; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from settlement import typed_data
from settlement.config import Config
from settlement.flows import member_of
from settlement.formula.templates import Role, Template
from settlement.hashing import ZERO_HASH, Hash32
from settlement.trade import Signature, Trade
from settlement.typed_data import Domain
from settlement.units import RATE_BOUND, WH_BOUND, Calendar, time_text
from settlement.validity import MemberRole, Registry
from store.desk import DeskStore
from store.records import MemberSignature, OpenTrade

SIGNED = "signed"
"""The state of a trade that this member has signed."""

DUTIES: Mapping[Role, MemberRole] = {
    Role.BUYER: MemberRole.PLATFORM,
    Role.SELLER: MemberRole.PLATFORM,
    Role.BUYER_UTILITY: MemberRole.UTILITY,
    Role.SELLER_UTILITY: MemberRole.UTILITY,
    Role.GRID_OPERATOR: MemberRole.GRID_OPERATOR,
    Role.MARKET_AGENT: MemberRole.MARKET_AGENT,
}
_OPTIONAL = frozenset({Role.GRID_OPERATOR, Role.MARKET_AGENT})


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a trade is not signed: the field that does not fit, and in words why."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A trade that was not signed."""

    digest: Hash32
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class SignedTrade:
    """A trade and who has signed it so far; the form in which members hand trades to each other."""

    trade: Trade
    signatures: tuple[MemberSignature, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What the market says at a moment: the parameters of the trade's cycle, templates by id, members' standings."""

    config: Config
    templates: Mapping[Hash32, Template]
    registry: Registry
    now: int

    @property
    def calendar(self) -> Calendar:
        """The market's slots and cycles."""
        return Calendar(self.config.anchor, self.config.slot_length, self.config.cycle_length)


class TradeRules(Protocol):
    """What one kind of member looks at before it signs."""

    def fault(self, trade: Trade, signed: Sequence[OpenTrade], terms: Terms) -> Fault | None:
        """Why this member does not sign, or None. `signed` are the trades of the cycle that it has signed."""


def trade_fault(trade: Trade, terms: Terms) -> Fault | None:
    """What keeps a trade from a valid place if it were committed now, by what everybody can see; None where nothing."""
    return (
        _slot_fault(trade, terms.calendar)
        or _figures_fault(trade, terms.templates)
        or _time_fault(trade, terms.config, terms.now)
        or _members_fault(trade, terms.registry, terms.now)
    )


def _slot_fault(trade: Trade, calendar: Calendar) -> Fault | None:
    if not calendar.is_on_grid(trade.slot_start):
        return Fault("slot_start", "off the market's grid")
    if trade.slot_end != trade.slot_start + calendar.slot_length:
        return Fault("slot_end", f"not {calendar.slot_length} s after slot_start")
    return None


def _figures_fault(trade: Trade, templates: Mapping[Hash32, Template]) -> Fault | None:
    template = templates.get(trade.template)
    if template is None:
        return Fault("template", "unknown template")
    for role in Role:
        is_filled = member_of(trade, role) != ZERO_HASH
        if is_filled != (role not in _OPTIONAL or role in template.roles):
            return Fault(role.name.lower(), "needed, but empty" if not is_filled else "filled, but in no flow")
    if not 0 < trade.contracted_wh < WH_BOUND:
        return Fault("contracted_wh", "must be above 0 and below 2^40")
    if len(trade.rates) != len(template.rate_names):
        return Fault("rates", f"{template.title} has {len(template.rate_names)} rates")
    if not all(0 <= rate < RATE_BOUND for rate in trade.rates):
        return Fault("rates", "must be below 2^64")
    return None


def _time_fault(trade: Trade, config: Config, now: int) -> Fault | None:
    closure = trade.slot_start - config.gate
    if now > closure:
        return Fault("slot_start", f"its gate closed at {time_text(closure)}")
    if trade.valid_until > closure:
        return Fault("valid_until", f"after the gate closes at {time_text(closure)}")
    if now > trade.valid_until:
        return Fault("valid_until", f"over at {time_text(now)}")
    return None


def _members_fault(trade: Trade, registry: Registry, now: int) -> Fault | None:
    for role, duty in DUTIES.items():
        member = member_of(trade, role)
        if member == ZERO_HASH:
            continue
        history = registry.members.get(member)
        standing = history.at(now) if history else None
        if standing is None or not standing.is_known:
            return Fault(role.name.lower(), "no member of this market")
        if standing.is_suspended:
            return Fault(role.name.lower(), "is suspended")
        if not standing.roles & duty:
            return Fault(role.name.lower(), f"is not a {duty.name} of this market")
    return None


def signature_fault(
    digest: Hash32, signers: Sequence[Hash32], given: Iterable[MemberSignature], terms: Terms
) -> Fault | None:
    """What is wrong with signatures on a digest: by a member that is none of its signers, or not by its key."""
    for one in given:
        if one.member not in signers:
            return Fault("signatures", f"0x{one.member.hex()} is no signer of it")
        key = typed_data.recover(digest, one.signature)
        history = terms.registry.members.get(one.member)
        if key is None or history is None or not history.had_key(key, terms.now, terms.config.key_grace):
            return Fault("signatures", f"not by the key of 0x{one.member.hex()}")
    return None


def second_of_its_id(trade: Trade, digest: Hash32, signed: Iterable[OpenTrade], now: int) -> Fault | None:
    """Whether another trade with this id was signed and can still be committed: a member signs one trade an id."""
    for other in signed:
        if other.trade.trade_id == trade.trade_id and other.digest != digest and other.trade.valid_until >= now:
            return Fault("trade_id", f"0x{other.digest.hex()} has it and is signed already")
    return None


class Cosigner:
    """Makes a member's signatures on trades. One request at a time: limits are judged against all that was signed."""

    def __init__(
        self,
        domain: Domain,
        terms: Callable[[int], Terms],
        store: DeskStore,
        me: Hash32,
        sign: Callable[[object], Signature],
        rules: TradeRules,
    ) -> None:
        """`terms` are what the market says now of a trade whose slot starts at a time; `sign` signs for member `me`."""
        self._domain = domain
        self._terms = terms
        self._store = store
        self._me = me
        self._sign = sign
        self._rules = rules
        self._lock = Lock()

    def sign(self, asked: Sequence[SignedTrade]) -> list[MemberSignature | Refusal]:
        """For each trade this member's signature, kept before it is returned, or why there is none.

        The same trade gets the same answer. Signatures that others gave along are verified and kept as well.
        """
        signed: dict[int, dict[Hash32, OpenTrade]] = {}
        to_keep: list[OpenTrade] = []
        with self._lock:
            answers = [self._answer(one, signed, to_keep) for one in asked]
            self._store.keep_signed(to_keep)
        return answers

    def _answer(
        self, one: SignedTrade, by_cycle: dict[int, dict[Hash32, OpenTrade]], to_keep: list[OpenTrade]
    ) -> MemberSignature | Refusal:
        try:
            terms = self._terms(one.trade.slot_start)
            digest = self._domain.digest(one.trade)
            cycle = terms.calendar.cycle_of(one.trade.slot_start)
        except ValueError as error:
            return Refusal(ZERO_HASH, "trade", str(error))
        if cycle not in by_cycle:
            known = self._store.open_trades(cycle)
            by_cycle[cycle] = {other.digest: other for other in known if signature_of(self._me, other)}
        signed = by_cycle[cycle]
        fault = signature_fault(digest, one.trade.signers, one.signatures, terms)
        if fault is None and digest in signed and (mine := signature_of(self._me, signed[digest])):
            to_keep.append(OpenTrade(digest, one.trade, cycle, SIGNED, one.signatures))
            return mine
        fault = fault or self._fault(one.trade, digest, terms, tuple(signed.values()))
        if fault is not None:
            return Refusal(digest, fault.field, fault.reason)
        made = MemberSignature.of(self._me, self._sign(one.trade))
        to_keep.append(OpenTrade(digest, one.trade, cycle, SIGNED, (*one.signatures, made)))
        signed[digest] = OpenTrade(digest, one.trade, cycle, SIGNED, (made,))
        return made

    def _fault(self, trade: Trade, digest: Hash32, terms: Terms, signed: Sequence[OpenTrade]) -> Fault | None:
        if self._me not in trade.signers:
            return Fault("signers", "this member fills no role in it")
        return (
            trade_fault(trade, terms)
            or second_of_its_id(trade, digest, signed, terms.now)
            or self._rules.fault(trade, signed, terms)
        )


def signature_of(member: Hash32, trade: OpenTrade) -> MemberSignature | None:
    """A member's signature on a trade, if it was given."""
    return next((one for one in trade.signatures if one.member == member), None)
