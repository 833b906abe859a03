"""Members, their roles and keys, as they were at any time."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.contracts.law.model_clock import Clock
from tests.contracts.law.world import World, address_of
from tests.contracts.market import MEMBERS
from tests.contracts.money_model import Refused


@dataclass
class Key:
    """A hot key's tenure."""

    secret: bytes
    since: int
    until: int | None = None
    compromised: int | None = None


@dataclass
class Person:
    """A member: roles since when, keys in order."""

    name: str
    roles: list[tuple[int, int]]
    keys: list[Key]
    suspended: bool = False
    key_changes: int = 0

    @property
    def key(self) -> bytes | None:
        """The hot key of now."""
        return self.keys[-1].secret if self.keys[-1].until is None else None

    def roles_at(self, time: int) -> int:
        """Role bits at the end of a block time; 0 before admission."""
        return next((roles for since, roles in reversed(self.roles) if since <= time), 0)

    def had_key(self, secret: bytes | None, time: int, grace: int) -> bool:
        """Whether a key was this member's at a time, or within the grace before, and not compromised by then."""
        return any(
            key.secret == secret
            and key.since <= time
            and (key.until is None or (key.since < key.until and time <= key.until + grace))
            and (key.compromised is None or time < key.compromised)
            for key in self.keys
        )


@dataclass
class Members:
    """All members by name."""

    world: World
    clock: Clock
    by_name: dict[str, Person] = field(default_factory=dict)
    attestors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, roles in MEMBERS.items():
            self.by_name[name] = Person(name, [(0, roles)], [Key(self.world.members[name].hot, 0)])

    def __getitem__(self, name: str) -> Person:
        return self.by_name[name]

    def signs(self, name: str, secret: bytes | None) -> bool:
        """Whether a signature by this key counts as the member's own now."""
        return name in self.by_name and secret is not None and self.by_name[name].key == secret

    def suspend(self, name: str, suspended: bool) -> None:
        if self[name].suspended == suspended:
            raise Refused("MemberRegistry: nothing changes")
        self[name].suspended = suspended

    def set_roles(self, name: str, roles: int) -> None:
        self[name].roles.append((self.clock.now, roles))

    def change_key(self, name: str, secret: bytes) -> None:
        person = self[name]
        if any(key.secret == secret for other in self.by_name.values() for key in other.keys):
            raise Refused("MemberRegistry: key was used before")
        if person.keys[-1].until is None:
            person.keys[-1].until = self.clock.now
        person.keys.append(Key(secret, self.clock.now))
        person.key_changes += 1

    def compromise(self, name: str, secret: bytes) -> None:
        person = self[name]
        key = next(key for key in person.keys if key.secret == secret)
        if key.compromised is not None:
            raise Refused("MemberRegistry: already compromised")
        key.compromised = self.clock.now
        if key.until is None:
            key.until = self.clock.now
        person.key_changes += 1

    def hot_address(self, name: str) -> str:
        """The address of the hot key of now; zero for none."""
        key = self[name].key
        return address_of(key) if key else "0x" + "00" * 20
