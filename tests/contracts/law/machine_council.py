"""Rules of council and guardian: acts approved, executed, called off; pauses, suspensions, roles, members removed."""

from __future__ import annotations

from random import Random

import boa  # type: ignore[import-untyped]
from hypothesis.stateful import rule

from settlement.trade import CouncilAct, CouncilCancel
from settlement.typed_data import struct_hash
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import FORGER, pick, seeds, some
from tests.contracts.law.machine_keys import KeyRules
from tests.contracts.law.world import (
    LEAVING,
    LOSING,
    OTHER_ATTESTORS,
    ROLES,
    SEATS,
    SEATS_NEEDED,
    TRADERS,
    Act,
    address_of,
    cold_key,
    later_config,
)


class CouncilRules(KeyRules):
    """Who may do what."""

    @rule(seed=seeds)
    def govern(self, seed: int) -> None:
        """One act of council or guardian."""
        rng = Random(seed)
        acts = {"pause": 2.0, "suspend": 2.5, "roles": 1.2, "rare": 2.5, "call off": 0.6, "stale": 0.8}
        if self.law.clock.paused:
            acts["pause"] = 6.0
        if any(self.law.members[name].suspended for name in TRADERS):
            acts["suspend"] = 5.0
        if self.removed():
            acts["rare"] = 9.0
        {
            "pause": self.pause_or_resume,
            "suspend": self.suspend,
            "roles": self.set_roles,
            "rare": self.act_rarely,
            "call off": self.call_off,
            "stale": self.execute_any,
        }[pick(rng, acts)](rng)

    # --- acts ---

    def by_council(self, rng: Random, act: Act) -> bool:
        """Executes an act that is ripe, else has seats approve it; whether it was executed."""
        sequence = self.law.council.waiting(act)
        if sequence is None:
            self.schedule(rng, act)
            return False
        return self.execute(sequence)

    def schedule(self, rng: Random, act: Act) -> None:
        """Mostly enough seats with their own keys."""
        way = pick(rng, {"": 10, "few": 1, "forged": 1})
        names = rng.sample(SEATS, SEATS_NEEDED - (way == "few"))
        keys = {name: self.cold(name) for name in SEATS if name in names}
        if way == "forged":
            keys[names[0]] = FORGER
        done = self.act(
            "schedule an act", lambda: self.law.council.schedule(act, keys), lambda: self.world.schedule(act, keys)
        )
        assert done is None or done[0] == done[1]

    def execute(self, sequence: int) -> bool:
        """Anyone executes the act of this number."""
        act = self.law.council.acts[sequence]
        done = self.act(
            act.function.replace("_", " "),
            lambda: self.law.council.execute(sequence),
            lambda: self.world.execute(act, sequence),
        )
        if done and act.function == "suspend":
            tally("member active->suspended" if act.arguments[1] else "member suspended->active")
        if done and act.function == "set_config":
            committed = self.law.trades.commitments
            tally("config set after a commitment" if committed else "config set before any commitment")
        if done and act.function == "replace_cold_key":
            tally("cold key ->announced")
        return done is not None

    def execute_any(self, rng: Random) -> None:
        """Whatever was once approved: much of it too early, or not any more."""
        count, thought_of = len(self.law.council.acts), len(self.world.approved)
        fresh = count > thought_of and rng.random() < 0.6
        self.execute(rng.randrange(thought_of if fresh else 0, count))

    def call_off(self, rng: Random) -> None:
        """Seats cancel what waits."""
        waiting = list(self.law.council.ready_at)
        sequence = rng.choice(waiting) if waiting and rng.random() < 0.8 else rng.randrange(len(self.law.council.acts))
        act = self.law.council.acts[sequence]
        names = rng.sample(SEATS, SEATS_NEEDED - (rng.random() < 0.15))
        keys = {name: self.cold(name) for name in SEATS if name in names}
        world = self.world
        digest = struct_hash(CouncilAct(world.registry.address, world.calldata(act), sequence))
        mask = sum(1 << SEATS.index(name) for name in keys)
        self.act(
            "cancel an act",
            lambda: self.law.council.cancel(sequence, keys),
            lambda: world.seats.cancel(
                digest, mask, [self.sign(key, CouncilCancel(digest)) for key in keys.values()], []
            ),
        )

    # --- what it decides ---

    def suspend(self, rng: Random) -> None:
        """Of one member at a time."""
        suspended = [name for name in TRADERS if self.law.members[name].suspended]
        name = rng.choice(suspended) if suspended else rng.choice(TRADERS)
        to = not suspended if rng.random() < 0.9 else bool(suspended)
        if self.by_council(rng, Act("suspend", (name, to))) and to and rng.random() < 0.4:
            self.withdraw(rng, name)

    def set_roles(self, rng: Random) -> None:
        """Takes a role, or gives it back."""
        name = rng.choice(list(ROLES))
        full = ROLES[name][1]
        roles = full if self.law.members[name].roles[-1][1] != full else rng.choice(ROLES[name])
        self.by_council(rng, Act("set_roles", (name, roles)))

    def act_rarely(self, rng: Random) -> None:
        """What a market sees once in a year."""
        way = pick(
            rng, {"attestors": 2, "remove": 2, "admit": 9 if self.removed() else 0, "cold key": 3, "config": 1.5}
        )
        if way == "attestors":
            names = OTHER_ATTESTORS[0] if self.law.members.attestors != OTHER_ATTESTORS[0] else OTHER_ATTESTORS[1]
            if self.by_council(rng, Act("set_attestors", (names,))) and rng.random() < 0.3:
                self.remove(rng)
        elif way == "remove":
            self.remove(rng)
        elif way == "admit":
            self.admit(rng)
        elif way == "cold key":
            name = rng.choice(LOSING)
            act = Act("replace_cold_key", (name, address_of(cold_key(name, 1))))
            if self.by_council(rng, act) and rng.random() < 0.4:
                self.change_payout(rng, name)
        else:
            self.set_config(rng)

    def set_config(self, rng: Random) -> None:
        """Other parameters, or those of before."""
        config = rng.choice((self.config, later_config(self.config), later_config(self.config)))
        self.by_council(rng, Act("set_config", (config,)))

    def removed(self) -> list[str]:
        """Who was a member and is none."""
        return [name for name in LEAVING if not self.law.members[name].is_member]

    def remove(self, rng: Random) -> None:
        """One that leaves takes its money along, or comes back."""
        name = rng.choice(LEAVING)
        if self.by_council(rng, Act("remove", (name,))):
            self.withdraw(rng, name)
            self.admit(rng)

    def admit(self, rng: Random) -> None:
        """One that was removed comes back, with its own keys or what the council would like."""
        name = some(rng, self.removed())
        if name is None:
            return
        known = [act for act in self.law.council.acts if act.function == "admit" and act.arguments[0] == name]
        self.by_council(rng, rng.choice(known) if known else self.readmission(rng, name))

    def readmission(self, rng: Random, name: str) -> Act:
        """By what is the member's now."""
        person, now = self.law.members[name], self.law.clock.now
        payout = person.payout.at(now) if rng.random() < 0.8 else self.world.stranger
        roles = ROLES[name][1]
        hot = self.law.members.hot_address(name)
        return Act("admit", (name, roles, person.cold.at(now), hot, payout, bytes(32)))

    # --- the guardian ---

    def pause_or_resume(self, rng: Random) -> None:
        """A pause, mostly resumed soon."""
        if self.law.clock.paused or rng.random() < 0.1:
            self.act("resume", self.law.clock.resume, lambda: self.as_guardian("resume"))
        elif self.act("pause", self.law.clock.pause, lambda: self.as_guardian("pause")) and rng.random() < 0.6:
            self.withdraw(rng)

    def as_guardian(self, act: str) -> None:
        with boa.env.prank(self.world.guardian):
            getattr(self.world.registry, act)()
