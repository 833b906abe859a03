"""Who takes part: three platforms, four utilities, a settlement bank; each with keys and a folder of its own.

Keys follow from the member's name, so that a run is reproducible. They are the demo's and nobody else's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from settlement import typed_data
from settlement.hashing import Hash32, keccak256
from settlement.identity import member_id
from settlement.trade import Signature

GATEWAY = "gateway"
PLATFORM, UTILITY, GRID_OPERATOR, SETTLEMENT_BANK = 1, 2, 4, 16


def demo_key(purpose: str, name: str) -> bytes:
    """A private key of the demo, different for every purpose and name."""
    return keccak256(b"clearwatt demo key, not for use", purpose.encode(), name.encode())


def address_text(key: bytes) -> str:
    """The 0x address of a private key."""
    return "0x" + typed_data.address_of(key).hex()


@dataclass(frozen=True)
class Member:
    """A member of the market and its keys. `name` is for people, `subscriber` its id in messages."""

    name: str
    subscriber: str
    roles: int
    folder: Path

    @cached_property
    def id(self) -> Hash32:
        """The member's id on chain."""
        return member_id(self.subscriber)

    @cached_property
    def hot_key(self) -> bytes:
        """Signs everything the member says in the course of a day."""
        return demo_key("hot", self.name)

    @cached_property
    def cold_key(self) -> bytes:
        """Changes hot key and payout address."""
        return demo_key("cold", self.name)

    @cached_property
    def payout_key(self) -> bytes:
        """Holds the member's deposit tokens outside the escrow."""
        return demo_key("payout", self.name)

    @cached_property
    def relayer_key(self) -> bytes:
        """Sends the member's transactions; it has no power."""
        return demo_key("relayer", self.name)

    @cached_property
    def salt_secret(self) -> bytes:
        """The salts of its trades or meters are made from it."""
        return demo_key("salt secret", self.name)

    @property
    def payout(self) -> str:
        """Where withdrawals go."""
        return address_text(self.payout_key)

    def sign(self, domain: typed_data.Domain, value: object) -> Signature:
        """The member's signature of a typed object."""
        return typed_data.sign(self.hot_key, domain.digest(value))


@dataclass(frozen=True)
class Members:
    """Everybody, by what they do."""

    platforms: tuple[Member, ...]
    utilities: tuple[Member, ...]  # two serve homes, the third operates the grid between, the fourth only attests
    bank: Member

    @property
    def everyone(self) -> tuple[Member, ...]:
        """All members, platforms first."""
        return (*self.platforms, *self.utilities, self.bank)

    @property
    def serving(self) -> tuple[Member, ...]:
        """The two utilities whose meters the homes have."""
        return self.utilities[:2]

    @property
    def programs(self) -> tuple[Member, ...]:
        """Those that run a program of their own: all but the bank."""
        return (*self.platforms, *self.utilities)

    @property
    def grid_operator(self) -> Member:
        """The grid operator of trades inside one utility."""
        return self.utilities[2]

    @cached_property
    def by_id(self) -> dict[Hash32, Member]:
        """Members by their id."""
        return {member.id: member for member in self.everyone}

    def name(self, identity: Hash32) -> str:
        """The name of a member, for people."""
        return self.by_id[identity].name


def make_members(data: Path) -> Members:
    """The demo's members, with folders under `data/members`."""

    def one(name: str, kind: str, roles: int) -> Member:
        return Member(name, f"{name}.{kind}.example", roles, data / "members" / name)

    return Members(
        platforms=tuple(one(name, "platform", PLATFORM) for name in ("sunmarket", "rooftrade", "wattbazaar")),
        utilities=tuple(
            one(name, "utility", UTILITY | GRID_OPERATOR)
            for name in ("eastpower", "westpower", "stategrid", "hillpower")
        ),
        bank=one("settlebank", "bank", SETTLEMENT_BANK),
    )


def senders(members: Members) -> dict[str, str]:
    """Whose program sends from an address: names by 0x address, the gateway's included."""
    relayers = {address_text(one.relayer_key): one.name for one in members.programs}
    return relayers | {address_text(demo_key("relayer", GATEWAY)): GATEWAY}
