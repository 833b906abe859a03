"""Rules of members' cold keys: hot keys named and called compromised, payout addresses, the veto."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis.stateful import rule

from settlement.trade import HotKeyChange, KeyCompromised, PayoutChange
from tests.contracts.law import world as worlds
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import pick, seeds
from tests.contracts.law.machine_money import MoneyRules
from tests.contracts.law.world import LOSING, PLATFORMS, TRADERS, address_of


class KeyRules(MoneyRules):
    """What a member governs by itself."""

    @rule(seed=seeds)
    def say_by_cold_key(self, seed: int) -> None:
        """One word of a cold key."""
        rng = Random(seed)
        acts = {"key": 2.0, "compromise": 2.0, "payout": 2.0}
        if not all(self.key(name) for name in TRADERS):
            acts["key"], acts["compromise"] = 8.0, 0.0
        {"key": self.change_key, "compromise": self.compromise, "payout": self.change_payout}[pick(rng, acts)](rng)

    # --- cold keys ---

    def cold(self, name: str) -> bytes:
        """A member's cold key of now."""
        numbers = range(2) if name in LOSING else range(1)
        keys = {address_of(worlds.cold_key(name, number)): worlds.cold_key(name, number) for number in numbers}
        return keys[self.law.members[name].cold.at(self.law.clock.now)]

    def cold_or_not(self, name: str, rng: Random) -> bytes:
        """The same; of a member whose key is replaced, now and then the other one."""
        announced = self.law.members[name].cold.valid_from or self.cold(name) != worlds.cold_key(name, 0)
        if name in LOSING and rng.random() < (0.3 if announced else 0.02):
            return next(key for number in (0, 1) if (key := worlds.cold_key(name, number)) != self.cold(name))
        return self.cold(name)

    def say_by(
        self, act: str, kind: type, name: str, address: str, cold: bytes, in_model: Callable[[], Any], on_chain: Any
    ) -> bool:
        """A cold key's word about an address; whether it was taken. What it did to its own replacement is noted."""
        due = self.law.members[name].cold.valid_from
        said = kind(self.id(name), address, self.world.registry.cold_sequence(self.id(name)))
        done = self.act(act, in_model, lambda: on_chain(self.id(name), address, self.sign(cold, said), b""))
        if done and due:
            tally("cold key announced->vetoed" if self.law.clock.now < due else "cold key announced->in force")
        return bool(done)

    # --- hot keys ---

    def change_key(self, rng: Random) -> None:
        """A cold key names a new hot key; seldom one that was used before."""
        keyless = [name for name in TRADERS if self.key(name) is None]
        name = rng.choice(keyless or TRADERS)
        used = self.law.members[name].keys[0].secret
        self.renew_key(name, used if rng.random() < 0.1 else None, self.cold_or_not(name, rng))
        if not keyless and rng.random() < 0.6:
            self.compromise(rng)

    def renew_key(self, name: str, secret: bytes | None = None, cold: bytes | None = None) -> None:
        """Names a fresh hot key, or the given one."""
        world, members = self.world, self.law.members
        secret, cold = secret or world.hot_key(name, len(members[name].keys)), cold or self.cold(name)
        if self.say_by(
            "change hot key",
            HotKeyChange,
            name,
            address_of(secret),
            cold,
            lambda: members.change_key(name, secret, cold),
            world.registry.change_hot_key,
        ):
            world.members[name] = replace(world.members[name], hot=secret)

    def compromise(self, rng: Random) -> None:
        """A cold key stops a hot key, present or former, at once."""
        rotated = [name for name in PLATFORMS if len(self.law.members[name].keys) > 1]
        name = rng.choice(rotated if rotated and rng.random() < 0.75 else PLATFORMS)
        keys = self.law.members[name].keys
        key = rng.choice(keys[:-1] if len(keys) > 1 and rng.random() < 0.75 else keys)
        cold = self.cold_or_not(name, rng)
        if self.say_by(
            "call key compromised",
            KeyCompromised,
            name,
            address_of(key.secret),
            cold,
            lambda: self.law.members.compromise(name, key.secret, cold),
            self.world.registry.mark_compromised,
        ):
            tally("key hot->compromised" if self.key(name) is None else "key former->compromised")

    # --- payouts ---

    def change_payout(self, rng: Random, name: str | None = None) -> None:
        """A member announces where its money goes from two days hence; the plain veto of a replaced key, too."""
        announced = [one for one in LOSING if self.law.members[one].cold.valid_from]
        name = name or rng.choice(announced if announced and rng.random() < 0.5 else TRADERS)
        cold = self.cold_or_not(name, rng)
        payout = self.world.payout(name, rng.randrange(4))
        self.say_by(
            "change payout",
            PayoutChange,
            name,
            payout,
            cold,
            lambda: self.law.members.change_payout(name, payout, cold),
            self.world.registry.change_payout,
        )
