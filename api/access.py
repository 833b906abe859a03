"""Who asks: a member by its signature on the request, or an auditor by an API key; and what each may reach."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from api.authority import Authority
from api.settings import Auditor
from settlement.hashing import Hash32
from wire.problems import Refused
from wire.signed_requests import NonceMemory, verify


class Scope(StrEnum):
    """What an API key can be given to read."""

    TRADES = "trades"
    SETTLEMENT = "settlement"
    MONEY = "money"
    FEED = "feed"


class Kind(StrEnum):
    """What a caller is."""

    MEMBER = "member"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: itself a member, or an auditor that sees what the `members` that engaged it see."""

    kind: Kind
    name: str
    members: frozenset[Hash32]
    scopes: frozenset[str]

    @property
    def member(self) -> Hash32:
        """The member that asks. Raises Refused for an auditor, which only reads."""
        if self.kind is not Kind.MEMBER:
            raise Refused("scope-missing", "an API key only reads; this is for members")
        (found,) = self.members
        return found

    def require(self, scope: Scope) -> None:
        """Raises Refused where an API key does not reach this far; members reach everything that concerns them."""
        if self.kind is Kind.AUDITOR and scope not in self.scopes:
            raise Refused("scope-missing", f"this API key lacks the scope {scope}")


class Door:
    """Finds out who asks. Thread-safe."""

    def __init__(
        self, authority: Callable[[], Authority], auditors: tuple[Auditor, ...], wall: Callable[[], int]
    ) -> None:
        """`authority` is the registry as it stands now; `wall` the wall clock, UTC epoch seconds."""
        self._authority = authority
        self._auditors = auditors
        self._wall = wall
        self._nonces = NonceMemory()

    def caller(self, headers: Mapping[str, str], method: str, target_uri: str, body: bytes) -> Caller:
        """Who sent a request. Raises Refused (401, 403) where that is not shown."""
        presented = headers.get("authorization", "")
        if presented.lower().startswith("bearer "):
            return self._auditor(presented[len("bearer ") :].strip())
        member = verify(headers, method, target_uri, body, self._wall(), self._authority().keys, self._nonces)
        return Caller(Kind.MEMBER, "0x" + member.hex(), frozenset({member}), frozenset())

    def _auditor(self, key: str) -> Caller:
        presented = hashlib.sha256(key.encode()).digest()
        # Every hash is compared, each in constant time, so that the time says nothing about which came close.
        found = [one for one in self._auditors if hmac.compare_digest(one.key_hash, presented)]
        if not found or self._wall() >= found[0].until:
            raise Refused("api-key-wrong", "the API key is not known or has ended")
        return Caller(Kind.AUDITOR, f"auditor:{found[0].name}", found[0].members, found[0].scopes)
