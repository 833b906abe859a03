"""Whether a place is valid: judged as the registry and the templates stood at the commitment's block.

What happens to a member later does not change that. A registered trade's signatures were verified at intake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntFlag

from settlement import merkle, preimages, typed_data
from settlement.config import Config
from settlement.formula.templates import Role, Template
from settlement.hashing import ZERO_HASH, Hash32
from settlement.trade import Place, Signature, Trade
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
    """Why the place is not valid, or None where it is.

    `place.commitment` is the record that the chain keeps under `place.number`, `config` the version that governs its
    cycle, `signatures` the trade's in the order of `trade.signers` (unused for a registered trade).
    """
    record = place.commitment
    digest = domain.digest(trade)
    if not merkle.verify(record.root, record.count, place.index, preimages.trade_leaf(digest), place.path):
        return "not in the commitment"
    return (
        _terms_fault(trade, registry, record.committed_at)
        or _time_fault(place, trade, config)
        or _parties_fault(trade, registry, record.committed_at)
        or (None if record.sequence == 0 else _signature_fault(place, trade, digest, signatures, registry, config))
    )


def _terms_fault(trade: Trade, registry: Registry, committed_at: int) -> str | None:
    known = registry.templates.get(trade.template)
    if known is None or known.registered_at > committed_at:
        return "unknown template"
    template = known.template
    if len(trade.rates) != len(template.rate_names):
        return "wrong number of rates"
    if not 0 <= trade.contracted_wh < WH_BOUND or not all(0 <= rate < RATE_BOUND for rate in trade.rates):
        return "figure out of bounds"
    for role, member in ((Role.GRID_OPERATOR, trade.grid_operator), (Role.MARKET_AGENT, trade.market_agent)):
        if (role in template.roles) != (member != ZERO_HASH):
            return "roles do not fit the template"
    return None


def _time_fault(place: Place, trade: Trade, config: Config) -> str | None:
    record = place.commitment
    calendar = Calendar(config.anchor, config.slot_length, config.cycle_length)
    if not calendar.is_on_grid(trade.slot_start) or trade.slot_end != trade.slot_start + config.slot_length:
        return "slot not on the grid"
    if calendar.cycle_of(trade.slot_start) != record.cycle:
        return "slot not in the cycle"
    if trade.slot_start < record.earliest_slot:
        return "slot before the earliest"
    if tuple(sorted((trade.buyer_platform, trade.seller_platform))) != (record.platform_a, record.platform_b):
        return "other platforms"
    if record.committed_at > trade.valid_until:
        return "committed too late"
    return None


def _parties_fault(trade: Trade, registry: Registry, committed_at: int) -> str | None:
    for member, role in (
        (trade.buyer_platform, MemberRole.PLATFORM),
        (trade.seller_platform, MemberRole.PLATFORM),
        (trade.buyer_utility, MemberRole.UTILITY),
        (trade.seller_utility, MemberRole.UTILITY),
        (trade.grid_operator, MemberRole.GRID_OPERATOR),
        (trade.market_agent, MemberRole.MARKET_AGENT),
    ):
        # The grid operator and the market agent are zero exactly where the template names none.
        if member == ZERO_HASH and role in (MemberRole.GRID_OPERATOR, MemberRole.MARKET_AGENT):
            continue
        history = registry.members.get(member)
        standing = history.at(committed_at) if history else None
        if standing is None or not standing.is_known or role not in standing.roles:
            return "a party without its role"
    return None


def _signature_fault(
    place: Place, trade: Trade, digest: Hash32, signatures: Sequence[Signature], registry: Registry, config: Config
) -> str | None:
    if len(signatures) != len(trade.signers):
        return "wrong number of signatures"
    for member, signature in zip(trade.signers, signatures, strict=True):
        key = typed_data.recover(digest, signature)
        history = registry.members[member]
        if key is None or not history.had_key(key, place.commitment.committed_at, config.key_grace):
            return "bad signature"
    return None
