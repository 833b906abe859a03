"""What a gateway is told when it starts. `cli.gateway_config` reads it from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from settlement.hashing import Hash32

DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Auditor:
    """Who may read with an API key: `key_hash` is the SHA-256 of the key, `members` those that engaged the auditor.

    `scopes` are what the key reaches (`api.access.Scope`), `until` the wall-clock second at which it ends.
    """

    name: str
    key_hash: bytes
    members: frozenset[Hash32]
    scopes: frozenset[str]
    until: int


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket of `burst` requests that fills up again within `seconds`."""

    burst: int
    seconds: int = 60


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """`public_url` is where callers reach the gateway: what they sign. Ages and waits are seconds of the wall clock."""

    rpc_url: str = field(repr=False)
    finality: str
    public_url: str
    poll_seconds: float = 1.0
    auditors: tuple[Auditor, ...] = ()
    rates: Mapping[str, Rate] = field(
        default_factory=lambda: {"read": Rate(600), "write": Rate(120), "proof": Rate(120), "anonymous": Rate(60)}
    )
    max_body: int = 16 * 1024 * 1024
    answers_kept: int = 7 * DAY_SECONDS
    stale_lag: int = 32
    head_age: int = 120
    gas_cap: int = 15_000_000
