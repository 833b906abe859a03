"""Rules of council, guardian and cold keys: pauses, suspensions, roles, rotated and compromised keys."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import boa  # type: ignore[import-untyped]
from hypothesis.stateful import rule

from settlement.trade import HotKeyChange, KeyCompromised
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import pick, seeds
from tests.contracts.law.machine_money import MoneyRules
from tests.contracts.law.world import PLATFORMS, TRADERS, address_of
from tests.contracts.market import GRID_OPERATOR, MARKET_AGENT, PLATFORM, UTILITY

ROLES = {
    "platform_b": (PLATFORM, PLATFORM | MARKET_AGENT),
    "platform_c": (PLATFORM, PLATFORM | MARKET_AGENT),
    "utility_b": (UTILITY, UTILITY | GRID_OPERATOR),
}


class CouncilRules(MoneyRules):
    """Who may do what, with which key."""

    @rule(seed=seeds)
    def govern(self, seed: int) -> None:
        """One act of council, guardian or a cold key."""
        rng = Random(seed)
        acts = {"pause": 2.0, "suspend": 2.0, "roles": 1.0, "key": 2.0, "compromise": 2.0}
        if self.law.clock.paused:
            acts["pause"] = 6.0
        if any(self.law.members[name].suspended for name in TRADERS):
            acts["suspend"] = 5.0
        if not all(self.key(name) for name in TRADERS):
            acts["key"], acts["compromise"] = 8.0, 0.0
        {
            "pause": self.pause_or_resume,
            "suspend": self.suspend,
            "roles": self.set_roles,
            "key": self.change_key,
            "compromise": self.compromise,
        }[pick(rng, acts)](rng)

    def pause_or_resume(self, rng: Random) -> None:
        """A pause, mostly resumed soon."""
        if self.law.clock.paused or rng.random() < 0.1:
            self.act("resume", self.law.clock.resume, lambda: self.as_guardian("resume"))
        else:
            if self.act("pause", self.law.clock.pause, lambda: self.as_guardian("pause")) and rng.random() < 0.6:
                self.withdraw(rng)

    def as_guardian(self, act: str) -> None:
        with boa.env.prank(self.world.guardian):
            getattr(self.world.registry, act)()

    def suspend(self, rng: Random) -> None:
        """Of one member at a time."""
        suspended = [name for name in TRADERS if self.law.members[name].suspended]
        name = rng.choice(suspended) if suspended else rng.choice(TRADERS)
        to = not suspended if rng.random() < 0.9 else bool(suspended)

        def on_chain() -> None:
            with boa.env.prank(self.world.council):
                self.world.registry.suspend(self.id(name), to)

        if self.act("suspend", lambda: self.law.members.suspend(name, to), on_chain):
            tally("member active->suspended" if to else "member suspended->active")
            if to and rng.random() < 0.4:
                self.withdraw(rng, name)

    def set_roles(self, rng: Random) -> None:
        """Takes a role, or gives it back."""
        name = rng.choice(list(ROLES))
        full = ROLES[name][1]
        roles = full if self.law.members[name].roles[-1][1] != full else rng.choice(ROLES[name])

        def on_chain() -> None:
            with boa.env.prank(self.world.council):
                self.world.registry.set_roles(self.id(name), roles)

        self.act("set roles", lambda: self.law.members.set_roles(name, roles), on_chain)

    def change_key(self, rng: Random) -> None:
        """A cold key names a new hot key; seldom one that was used before."""
        keyless = [name for name in TRADERS if self.key(name) is None]
        name = rng.choice(keyless or TRADERS)
        used = self.law.members[name].keys[0].secret
        self.renew_key(name, used if rng.random() < 0.1 else None)
        if not keyless and rng.random() < 0.6:
            self.compromise(rng)

    def renew_key(self, name: str, secret: bytes | None = None) -> None:
        """Names a fresh hot key, or the given one."""
        world, person = self.world, self.law.members[name]
        secret = secret or world.hot_key(name, len(person.keys))
        address = address_of(secret)
        change = HotKeyChange(self.id(name), address, world.registry.cold_sequence(self.id(name)))
        done = self.act(
            "change hot key",
            lambda: self.law.members.change_key(name, secret),
            lambda: world.registry.change_hot_key(self.id(name), address, world.sign_cold(name, change), b""),
        )
        if done:
            world.members[name] = replace(world.members[name], hot=secret)

    def compromise(self, rng: Random) -> None:
        """A cold key stops a hot key, present or former, at once."""
        rotated = [name for name in PLATFORMS if len(self.law.members[name].keys) > 1]
        name = rng.choice(rotated if rotated and rng.random() < 0.75 else PLATFORMS)
        keys = self.law.members[name].keys
        key = rng.choice(keys[:-1] if len(keys) > 1 and rng.random() < 0.75 else keys)
        world, address = self.world, address_of(key.secret)
        said = KeyCompromised(self.id(name), address, world.registry.cold_sequence(self.id(name)))
        done = self.act(
            "call key compromised",
            lambda: self.law.members.compromise(name, key.secret),
            lambda: world.registry.mark_compromised(self.id(name), address, world.sign_cold(name, said), b""),
        )
        if done:
            tally("key hot->compromised" if self.key(name) is None else "key former->compromised")
