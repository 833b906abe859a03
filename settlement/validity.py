"""Whether a place is valid: judged as the registry and the templates stood at the commitment's block.

What happens to a member later does not change that. A registered trade's signatures were verified at intake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag

from settlement import merkle, preimages, typed_data
from settlement.config import Config
from settlement.flows import member_of
from settlement.formula.templates import Role, Template
from settlement.hashing import ZERO_HASH, Hash32
from settlement.trade import Commitment, Place, Signature, Trade
from settlement.typed_data import Domain
from settlement.units import RATE_BOUND, WH_BOUND, Calendar


class MemberRole(IntFlag):
    """What a member may be, as the registry's bits."""

    PLATFORM = 1
    UTILITY = 2
    GRID_OPERATOR = 4
    MARKET_AGENT = 8
    SETTLEMENT_BANK = 16


@dataclass(frozen=True, slots=True)
class Standing:
    """What the registry knew of a member from block time `since` on. `key` is the 20-byte hot key."""

    since: int
    key: bytes
    roles: MemberRole
    is_known: bool = True
    is_suspended: bool = False
    is_contract: bool = False

    @classmethod
    def from_word(cls, word: int) -> Standing:
        """The standing in a word of the registry (`docs/protocol.md`, section 8)."""
        return cls(
            since=word >> 160 & (1 << 48) - 1,
            key=(word & (1 << 160) - 1).to_bytes(20, "big"),
            roles=MemberRole(word >> 208 & 0xFFFF),
            is_known=bool(word >> 224 & 1),
            is_suspended=bool(word >> 225 & 1),
            is_contract=bool(word >> 226 & 1),
        )


@dataclass(frozen=True, slots=True)
class MemberHistory:
    """A member's standings in ascending order of `since`, and block times at which keys were called compromised."""

    standings: tuple[Standing, ...]
    compromised: Mapping[bytes, int] = field(default_factory=dict)

    def at(self, time: int) -> Standing | None:
        """The standing in force at a block time; None before admission."""
        return next((one for one in reversed(self.standings) if one.since <= time), None)

    def had_key(self, key: bytes, time: int, grace: int) -> bool:
        """Whether `key`, of an externally owned account, was the hot key at `time` or within `grace` seconds before.

        Not if it was called compromised by then.
        """
        if self.compromised.get(key, time + 1) <= time:
            return False
        ends = [*(one.since for one in self.standings[1:]), None]
        return any(
            one.key == key and not one.is_contract and one.since <= time and (end is None or end + grace >= time)
            for one, end in zip(self.standings, ends, strict=True)
        )


@dataclass(frozen=True, slots=True)
class KnownTemplate:
    """A registered template and the block time of its registration."""

    template: Template
    registered_at: int


@dataclass(frozen=True, slots=True)
class Registry:
    """The history that places are judged by: members by id, templates by id."""

    members: Mapping[Hash32, MemberHistory]
    templates: Mapping[Hash32, KnownTemplate]


def place_fault(
    place: Place, trade: Trade, signatures: Sequence[Signature], registry: Registry, config: Config, domain: Domain
) -> str | None:
    """Why the place is not valid, in the words of TradeResult, or None where it is.

    `place.commitment` is the record that the chain keeps under `place.number`, `config` the version that governs its
    cycle, `signatures` the trade's in the order of `trade.signers`, none for a registered trade.
    """
    record = place.commitment
    digest = domain.digest(trade)
    if not merkle.verify(record.root, record.count, place.index, preimages.trade_leaf(digest), place.path):
        return "trade not committed"
    return (
        _misfit(trade, registry, config, record.committed_at)
        or _record_fault(trade, record, config)
        or _signers_fault(trade, digest, signatures, registry, record, config.key_grace)
    )


def _misfit(trade: Trade, registry: Registry, config: Config, committed_at: int) -> str | None:
    """What keeps the trade by itself from any valid place at this time."""
    calendar = Calendar(config.anchor, config.slot_length, config.cycle_length)
    if not calendar.is_on_grid(trade.slot_start) or trade.slot_end != trade.slot_start + config.slot_length:
        return "not a slot"
    known = registry.templates.get(trade.template)
    if known is None or known.registered_at > committed_at:
        return "unknown template"
    template = known.template
    for role in Role:
        is_optional = role in (Role.GRID_OPERATOR, Role.MARKET_AGENT)
        if (member_of(trade, role) != ZERO_HASH) != (not is_optional or role in template.roles):
            return "roles not as named"
    if (
        not 0 < trade.contracted_wh < WH_BOUND
        or len(trade.rates) != len(template.rate_names)
        or not all(0 <= rate < RATE_BOUND for rate in trade.rates)
    ):
        return "figures out of bounds"
    return None


def _record_fault(trade: Trade, record: Commitment, config: Config) -> str | None:
    calendar = Calendar(config.anchor, config.slot_length, config.cycle_length)
    if calendar.cycle_of(trade.slot_start) != record.cycle:
        return "another cycle"
    if trade.slot_start < record.earliest_slot:
        return "before the earliest slot"
    if record.committed_at > trade.valid_until:
        return "committed too late"
    if tuple(sorted((trade.buyer_platform, trade.seller_platform))) != (record.platform_a, record.platform_b):
        return "other platforms"
    return None


def _signers_fault(
    trade: Trade,
    digest: Hash32,
    signatures: Sequence[Signature],
    registry: Registry,
    record: Commitment,
    key_grace: int,
) -> str | None:
    """Whether every member held all its roles at the commitment, and signed with a key of that time."""
    signers = trade.signers
    is_signed = record.sequence != 0
    if is_signed and len(signatures) < len(signers):
        return "signature missing"
    if len(signatures) > (len(signers) if is_signed else 0):
        return "too many signatures"
    keys = [typed_data.recover(digest, signature) for signature in signatures]
    if None in keys:
        return "malformed signature"
    for place, member in enumerate(signers):
        history = registry.members.get(member)
        standing = history.at(record.committed_at) if history else None
        if history is None or standing is None or not standing.is_known or _duties(trade, member) & ~standing.roles:
            return "role not held"
        key = keys[place] if is_signed else None
        if key is not None and not history.had_key(key, record.committed_at, key_grace):
            return "not the signer's key"
    return None


def _duties(trade: Trade, member: Hash32) -> MemberRole:
    """The registry's roles that a member must hold for all that it does in the trade."""
    duties = MemberRole(0)
    for role, duty in _DUTIES.items():
        if member_of(trade, role) == member:
            duties |= duty
    return duties


_DUTIES = {
    Role.BUYER: MemberRole.PLATFORM,
    Role.SELLER: MemberRole.PLATFORM,
    Role.BUYER_UTILITY: MemberRole.UTILITY,
    Role.SELLER_UTILITY: MemberRole.UTILITY,
    Role.GRID_OPERATOR: MemberRole.GRID_OPERATOR,
    Role.MARKET_AGENT: MemberRole.MARKET_AGENT,
}
