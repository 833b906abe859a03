"""What tests of MemberRegistry share: acts of members and council, the words that should result, events."""

from __future__ import annotations

from typing import Any

import boa  # type: ignore[import-untyped]
from eth_utils import to_checksum_address

from settlement import typed_data
from settlement.config import Config
from settlement.hashing import keccak256
from settlement.trade import HotKeyChange, KeyCompromised, PayoutChange
from tests.contracts.market import PLATFORM, Market, at_time, member

ZERO = "0x" + "00" * 20
KNOWN, SUSPENDED, CONTRACT = 1 << 224, 1 << 225, 1 << 226
GRACE = Config().key_grace
STRANGER = keccak256(b"stranger")


def now() -> int:
    return int(boa.env.evm.patch.timestamp)


def later(seconds: int) -> int:
    """Moves the chain on and returns the new time."""
    at_time(now() + seconds)
    return now()


def events(contract: Any) -> list[tuple[str, dict[str, Any]]]:
    """Name and fields of what the last call logged."""
    named = [(type(event).__name__, event._asdict()) for event in contract.get_logs()]
    return [(name, {key: value for key, value in fields.items() if key != "address"}) for name, fields in named]


def secret(label: str) -> bytes:
    return keccak256(b"secret", label.encode())


def account(label: str) -> str:
    return to_checksum_address(typed_data.address_of(secret(label)))


def word_of(key: str, since: int, roles: int, flags: int = KNOWN) -> int:
    return int(key, 16) | since << 160 | roles << 208 | flags


def change_key(market: Market, name: str, key: str) -> None:
    """The member's cold key names its hot key."""
    who = market.members[name]
    change = HotKeyChange(who.id, key, market.registry.cold_sequence(who.id))
    market.registry.change_hot_key(who.id, key, market.sign_cold(name, change), b"")


def change_payout(market: Market, name: str, payout: str) -> None:
    """The member's cold key announces its payout."""
    who = market.members[name]
    change = PayoutChange(who.id, payout, market.registry.cold_sequence(who.id))
    market.registry.change_payout(who.id, payout, market.sign_cold(name, change), b"")


def compromise(market: Market, name: str, key: str) -> None:
    """The member's cold key calls a key compromised."""
    who = market.members[name]
    call = KeyCompromised(who.id, key, market.registry.cold_sequence(who.id))
    market.registry.mark_compromised(who.id, key, market.sign_cold(name, call), b"")


def check(market: Market, name: str, roles: int, key: str, at: int, version: int = 1) -> int:
    return int(market.registry.check_parties([(market.members[name].id, roles, key)], at, version))


def by_council(market: Market, function: str, *arguments: Any) -> None:
    with boa.env.prank(market.council):
        getattr(market.registry, function)(*arguments)


def admit(market: Market, name: str, roles: int = PLATFORM, **changes: Any) -> None:
    who = member(name)
    given = {
        "member": who.id,
        "roles": roles,
        "cold_key": who.cold_address,
        "hot_key": who.address,
        "payout": who.payout,
        "beckn_key": bytes(32),
    }
    assert set(changes) <= set(given)
    by_council(market, "admit", *{**given, **changes}.values())
