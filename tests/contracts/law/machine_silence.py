"""How every market ends of which all parties fall silent: by time, and by what anybody may call."""

from __future__ import annotations

from random import Random

from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_council import CouncilRules
from tests.contracts.law.machine_money import HONEST
from tests.contracts.law.machine_rows import RowRules
from tests.contracts.law.machine_watch import WatchRules
from tests.contracts.law.model_claims import Pending
from tests.contracts.law.model_inputs import COMPLETE, SEALABLE, UNUSED, WINDOW
from tests.contracts.law.model_rows import PUBLISHED, TO_PUBLISH
from tests.contracts.law.world import HOUR, TRADERS

# More than any cycle takes, from one change by time to the next.
MOST_TURNS = 300


class SilenceRules(WatchRules, CouncilRules):
    """What nobody can hold up."""

    def fall_silent(self, rng: Random) -> None:
        """From now on no utility, no payer, no payee, no attestor and no watcher says anything: all runs are sealed, no
        attested row and no claim of the last run stays pending, the cycle closes, every lock is given back; and all
        that members have free, they can take with them, be it with a new key."""
        self.watched = False
        if self.law.inputs.run:
            # The last word is a quorum's, which may have lied.
            RowRules.attest_row(self, rng)
            RowRules.attest_row(self, rng)
        turns = 0
        while not self.has_ended():
            self.do_what_anybody_may(rng)
            # Where no time is waited for, a window's blocks are.
            self.move((self.milestones() or [HOUR])[0], self.config.window_blocks)
            turns += 1
            assert turns < MOST_TURNS, "somebody holds up what nobody can"
        for _, payer, payee in [key for key, pair in self.law.money.pairs.items() if pair.lock]:
            assert self.release_one(payer, payee), "a lock is never given back"
        if self.law.trades.commitments:
            tally("silence of all ->closed")
        for _ in range(2):
            self.execute_any(rng)
        self.mood = HONEST
        self.world.token.turn(HONEST, self.world.stranger, self.world.escrow.address)
        for name in TRADERS:
            replaced_from = self.law.members[name].cold.valid_from
            if replaced_from:
                self.move(max(0, replaced_from - self.law.clock.now))
            if replaced_from or self.key(name) is None:
                self.renew_key(name)
            self.withdraw_all(name)
        assert self.law.money.held == 0

    def has_ended(self) -> bool:
        """Whether nothing is left to wait for."""
        inputs, rows = self.law.inputs, self.law.rows
        if inputs.phase == UNUSED:
            return True
        pending = any(rows.stage(pair) in (TO_PUBLISH, PUBLISHED) for pair in rows.pairs)
        return not pending and not self.claims_of_last_run() and inputs.closed_for() >= self.law.money.rest

    def do_what_anybody_may(self, rng: Random) -> None:
        """Opens, seals, strikes, applies: what time allows."""
        inputs, rows = self.law.inputs, self.law.rows
        if inputs.phase == WINDOW and not inputs.opened:
            self.open_window()
        if inputs.phase == SEALABLE:
            self.seal()
        for pair in self.pending_rows((PUBLISHED,)):
            for index, since in list(self.pending(pair).open.items()):
                if rows.stage(pair) == PUBLISHED and self.law.clock.since(since) >= rows.config.demand_time:
                    self.strike_unfounded(pair, index)
        self.apply_a_row(rng)
        while any(not self.law.claims.in_window(one) for one in self.claims_of_last_run()):
            self.apply_a_claim(rng)

    def claims_of_last_run(self) -> list[Pending]:
        """Those that are pending and can still be applied: all runs are sealed."""
        inputs, claims = self.law.inputs, self.law.claims
        return [one for one in claims.pending.values() if inputs.phase == COMPLETE and one.run + 1 == inputs.run]
