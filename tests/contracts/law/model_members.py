"""Members, their roles and keys, as they were at any time; where their money goes; who attests."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.contracts.law.model_clock import Clock
from tests.contracts.law.world import ATTESTORS, DAY, HOUR, World, address_of
from tests.contracts.market import MEMBERS
from tests.contracts.money_model import Refused

PAYOUT_DELAY = 48 * HOUR
COLD_KEY_DELAY = 30 * DAY


@dataclass
class Address:
    """An address that another may replace from a time on."""

    current: str
    following: str = ""
    valid_from: int = 0

    def at(self, now: int) -> str:
        """The one in force."""
        return self.following if self.valid_from and now >= self.valid_from else self.current

    def announce(self, address: str, now: int, delay: int) -> None:
        self.current, self.following, self.valid_from = self.at(now), address, now + delay


@dataclass
class Key:
    """A hot key's tenure."""

    secret: bytes
    since: int
    until: int | None = None
    compromised: int | None = None


@dataclass
class Person:
    """A member: roles since when, none where it is no member any more; keys in order; addresses as text."""

    name: str
    roles: list[tuple[int, int]]
    keys: list[Key]
    cold: Address
    payout: Address
    suspended: bool = False
    # Words that its cold key has signed.
    cold_words: int = 0

    @property
    def is_member(self) -> bool:
        return self.roles[-1][1] != 0

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
    attestors: tuple[str, ...] = ATTESTORS

    def __post_init__(self) -> None:
        for name, roles in MEMBERS.items():
            who = self.world.members[name]
            cold, payout = Address(who.cold_address), Address(who.payout)
            self.by_name[name] = Person(name, [(0, roles)], [Key(who.hot, 0)], cold, payout)

    @property
    def quorum(self) -> int:
        """The least number of which any two share an honest one, be a third less one of them faulty, and that is more
        than half."""
        count = len(self.attestors)
        return next(one for one in range(1, count + 1) if 2 * one > count and 2 * one - count > (count - 1) // 3)

    def __getitem__(self, name: str) -> Person:
        return self.by_name[name]

    def signs(self, name: str, secret: bytes | None) -> bool:
        """Whether a signature by this key counts as the member's own now."""
        return name in self.by_name and secret is not None and self.by_name[name].key == secret

    # --- the council's acts ---

    def _member(self, name: str) -> Person:
        if not self[name].is_member:
            raise Refused("MemberRegistry: not a member")
        return self[name]

    def suspend(self, name: str, suspended: bool) -> None:
        if self._member(name).suspended == suspended:
            raise Refused("MemberRegistry: nothing changes")
        self[name].suspended = suspended

    def set_roles(self, name: str, roles: int) -> None:
        self._member(name).roles.append((self.clock.now, roles))

    def set_attestors(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._member(name)
        self.attestors = names

    def remove(self, name: str) -> None:
        person = self._member(name)
        if name in self.attestors:
            raise Refused("MemberRegistry: is an attestor")
        person.roles.append((self.clock.now, 0))
        person.suspended = False

    def admit(self, name: str, roles: int, cold: str, hot: str, payout: str, _beckn: bytes) -> None:
        """Again: with nothing but its own."""
        person, now = self[name], self.clock.now
        if person.is_member:
            raise Refused("MemberRegistry: already a member")
        if (cold, hot, payout) != (person.cold.at(now), self.hot_address(name), person.payout.at(now)):
            raise Refused("MemberRegistry: not its own keys")
        person.roles.append((now, roles))

    def replace_cold_key(self, name: str, address: str) -> None:
        self[name].cold.announce(address, self.clock.now, COLD_KEY_DELAY)

    # --- what a cold key says ---

    def _authorise(self, name: str, cold: bytes) -> Person:
        """Its word completes the replacement of the key, or calls it off."""
        person = self[name]
        if person.cold.at(self.clock.now) != address_of(cold):
            raise Refused("MemberRegistry: not the cold key")
        return person

    def _has_spoken(self, person: Person) -> None:
        person.cold = Address(person.cold.at(self.clock.now))
        person.cold_words += 1

    def change_key(self, name: str, secret: bytes, cold: bytes) -> None:
        person = self._authorise(name, cold)
        if any(key.secret == secret for key in person.keys):
            raise Refused("MemberRegistry: key was used before")
        self._has_spoken(person)
        if person.keys[-1].until is None:
            person.keys[-1].until = self.clock.now
        person.keys.append(Key(secret, self.clock.now))

    def compromise(self, name: str, secret: bytes, cold: bytes) -> None:
        person = self._authorise(name, cold)
        key = next(key for key in person.keys if key.secret == secret)
        if key.compromised is not None:
            raise Refused("MemberRegistry: already compromised")
        self._has_spoken(person)
        key.compromised = self.clock.now
        if key.until is None:
            key.until = self.clock.now

    def change_payout(self, name: str, address: str, cold: bytes) -> None:
        self._has_spoken(self._authorise(name, cold))
        self[name].payout.announce(address, self.clock.now, PAYOUT_DELAY)

    def hot_address(self, name: str) -> str:
        """The address of the hot key of now; zero for none."""
        key = self[name].key
        return address_of(key) if key else "0x" + "00" * 20
