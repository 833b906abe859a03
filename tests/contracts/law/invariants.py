"""The invariants of the mechanism, each by its name, after every act and refusal; `docs/invariants.md` lists them."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import Any

from hypothesis.stateful import invariant

from settlement import preimages
from settlement.hashing import abi_encode, keccak256
from tests.contracts import money
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import Base, tree_of
from tests.contracts.law.model_inputs import Side
from tests.contracts.law.model_members import Address
from tests.contracts.law.model_rows import Standing
from tests.contracts.law.storage import word
from tests.contracts.law.world import ATTESTORS, CYCLE, END, TRADERS
from tests.contracts.money_model import PairState
from tests.contracts.settling import Pair as Word

PAIRS = tuple((payer, payee) for payer in TRADERS for payee in TRADERS if payer != payee)


AMOUNT = 2**96 - 1
CURTAILED = 1 << 64  # TradeBook: beside the lowest figure of a curtailed trade
PAYOUTS = range(4)  # numbers of a member's payout addresses
APPLIED = 1  # Settlement: in place of the first claim of a trade and run


@lru_cache(maxsize=1_000)
def pair_key(payer: bytes, payee: bytes) -> bytes:
    """Under which Settlement keeps what it knows of an ordered pair."""
    return keccak256(abi_encode(("uint64", "bytes32", "bytes32"), (CYCLE, payer, payee)))


def number(value: bytes) -> int:
    """A word as storage has it."""
    return int.from_bytes(value, "big")


def is_kept(registry: Any, name: str, member: bytes, address: Address) -> bool:
    """Whether the registry keeps this address, and what was announced in its place."""
    expected = int(address.current, 16), int(address.following or "0", 16), address.valid_from
    return tuple(word(registry, name, member, at=place) for place in range(3)) == expected


class Invariants(Base):
    """What always holds."""

    def __init__(self) -> None:
        super().__init__()
        self.free_before = {name: self.law.money.free[name] for name in TRADERS}
        self.sealed_before: list[int] = []
        self.versions_before: dict[tuple[str, str], int] = {}
        self.inputs_before: dict[tuple[bytes, int], int] = {}

    # --- money ---

    @invariant()
    def tokens_cover_what_is_held(self) -> None:
        """Tokens held >= free + locked, and the sum is exactly what came in less what went out."""
        escrow = self.world.escrow
        free = sum(word(escrow, "accounts", self.id(name)) & AMOUNT for name in TRADERS)
        locked = sum(word(escrow, "pair", CYCLE, self.id(payer), self.id(payee)) & AMOUNT for payer, payee in PAIRS)
        assert word(escrow, "held") == free + locked == self.law.tokens_in - self.law.tokens_out
        assert word(self.world.token, "balanceOf", str(escrow.address)) >= free + locked

    @invariant()
    def free_falls_only_by_its_owner(self) -> None:
        """A member's free falls only by its own withdrawal, its own lock, its own payment."""
        for name in TRADERS:
            free = word(self.world.escrow, "accounts", self.id(name)) & AMOUNT
            assert free == self.law.money.free[name]
            assert free >= self.free_before[name] or name in self.losers, name
            self.free_before[name] = free
        self.losers.clear()

    @invariant()
    def pairs_are_as_applied(self) -> None:
        """For every pair: what events told, paid + owed - owed back, = applied; lock, applied, version and run are
        the model's."""
        for pair in PAIRS:
            expected = self.law.money.pairs.get((CYCLE, *pair), PairState())
            found = word(self.world.escrow, "pair", CYCLE, self.id(pair[0]), self.id(pair[1]))
            assert found & 2**192 - 1 == expected.lock | expected.applied << 96, pair
            standing = self.law.rows.pairs.get(pair, Standing())
            assert found >> 192 == standing.word, (pair, Word.of(found))
            paid, owed, owed_back = (self.told[*pair, moved] for moved in ("paid", "owed", "owed_back"))
            assert paid + owed - owed_back == found >> 96 & AMOUNT, pair

    @invariant()
    def members_net_to_zero(self) -> None:
        """Received - paid + owed to - owed by = 0 over all: what applying recorded between two members is on their
        account, in open obligations, or was paid."""
        law = self.law.money
        for a, b in combinations(TRADERS, 2):
            net = 0
            for debtor, creditor, sign in ((a, b, 1), (b, a, -1)):
                ids = self.id(debtor), self.id(creditor)
                pair = law.pairs.get((CYCLE, debtor, creditor), PairState())
                owed = word(self.world.obligations, "accounts", *ids) & 2**192 - 1
                assert owed == law.owed[debtor, creditor], (debtor, creditor)
                open_debts = sum(debt.open for debt in law.debts if (debt.debtor, debt.creditor) == (debtor, creditor))
                arrived = sum(one.arrived for (c, d, _), one in law.references.items() if (d, c) == (debtor, creditor))
                paid = arrived + self.law.paid_from_escrow[debtor, creditor]
                net += sign * (pair.owed - pair.owed_back - owed - open_debts - paid)
            assert net == 0, (a, b)

    # --- rows ---

    @invariant()
    def versions_only_rise(self) -> None:
        """The version of a pair never falls, and is the model's."""
        for pair, standing in self.law.rows.pairs.items():
            key = pair_key(self.id(pair[0]), self.id(pair[1]))
            attested = word(self.world.settlement, "_progress", key) >> 224
            state = word(self.world.escrow, "pair", CYCLE, self.id(pair[0]), self.id(pair[1])) >> 192
            highest = max(attested, state & 2**32 - 1)
            assert highest == standing.highest >= self.versions_before.get(pair, 0)
            self.versions_before[pair] = highest

    @invariant()
    def pending_rows_are_the_models(self) -> None:
        """At most one attested row of a pair is pending, and it is as far as the model says."""
        for pair in PAIRS:
            pending = self.law.rows.pairs.get(pair, Standing()).pending
            kept = word(self.world.settlement, "_pending", pair_key(self.id(pair[0]), self.id(pair[1])))
            assert (kept != 0) == (pending is not None), pair
            if pending is not None:
                stage, digest = self.world.settlement.pending(CYCLE, self.id(pair[0]), self.id(pair[1]))
                assert stage == self.law.rows.stage(pair), pair
                assert digest == self.world.domain.digest(pending.row)
                holds = self.world.row_demands.holds(CYCLE, digest)
                assert holds == self.law.rows.holds(pending)

    @invariant()
    def claims_add_up(self) -> None:
        """What is applied is never below the claimed sum of the newest claimed run; claims are the model's."""
        claims = self.law.claims
        for key, record in self.records.items():
            made = preimages.claim_record(record)
            first = word(self.world.settlement, "claims.first", record.trade_digest, record.run)
            if (record.trade_digest, record.run) in claims.applied:
                assert first == APPLIED
            else:
                is_kept = first == number(made) or word(self.world.settlement, "claims.beside", made) == 1
                assert is_kept == (key in claims.pending)
        for (pair, run), total in claims.sums.items():
            standing = self.law.rows.pairs[pair]
            if standing.runs == run + 1 and standing.by in ("claims", ""):
                assert self.law.money.pair(CYCLE, *pair).applied >= total
            if self.watched:
                assert total <= sum(leaf.amount for leaf in self.law.rows.truth(pair, run))

    # --- inputs ---

    @invariant()
    def sealed_inputs_stand(self) -> None:
        """Nothing of a sealed run changes; the accumulator holds every act, in order."""
        oracle = self.world.oracle
        assert word(oracle, "states", CYCLE) >> 224 & 255 == self.law.inputs.run
        assert word(oracle, "accumulator", CYCLE) == number(self.law.inputs.accumulator)
        found = [word(oracle, "inputs", CYCLE, run) for run in range(self.law.inputs.run)]
        assert found == [number(inputs) for _, inputs in self.law.inputs.sealed]
        assert found[: len(self.sealed_before)] == self.sealed_before
        self.sealed_before = found
        for (utility, run), posted in self.law.inputs.posted.items():
            tree = tree_of(tuple(posted.leaves))
            kept = word(oracle, "posted", CYCLE, run, utility)
            assert kept == number(preimages.posted_tree(tree.root, tree.count))
            if run < self.law.inputs.run:
                assert self.inputs_before.setdefault((utility, run), kept) == kept

    @invariant()
    def time_leads_on(self) -> None:
        """The phase is what the specification says of the time, and so is how long the cycle has been closed."""
        assert self.world.oracle.phase(CYCLE) == self.law.inputs.phase
        # Before all runs are sealed nothing but the limit, which is far, can close the cycle.
        if self.law.inputs.is_complete or self.law.clock.now > END + self.law.inputs.config.close_limit:
            assert self.world.oracle.closed_for(CYCLE) == self.law.inputs.closed_for()

    @invariant()
    def marks_are_what_was_proven(self) -> None:
        """Void groups and marks of sides are those that somebody proved, demanded, contested or ruled."""
        oracle = self.world.oracle
        groups: dict[tuple[bytes, bytes, int, int], int] = {}
        for group, run in self.law.inputs.void:
            groups[group] = groups.get(group, 0) | 1 << run
        for deal in self.law.trades.deals.values():
            for side in (0, 1):
                groups.setdefault(deal.group(side), 0)
                marks = self.law.inputs.sides.get((deal.digest, side), Side())
                assert word(oracle, "side_marks", CYCLE, deal.utility(side), deal.digest, side) == marks.word
        for group, runs in groups.items():
            assert word(oracle, "void_runs", CYCLE, preimages.group_key(*group)) == runs

    @invariant()
    def contracted_only_falls(self) -> None:
        """What is contracted is the lowest curtailment on chain."""
        for deal in self.law.trades.deals.values():
            lowest = 0 if deal.curtailed is None else CURTAILED | deal.curtailed
            assert word(self.world.book, "lowest", deal.digest) == lowest
            assert (word(self.world.book, "registered", preimages.trade_leaf(deal.digest)) > 0) == deal.registered
        assert word(self.world.book, "commitment_count") == self.law.trades.commitments

    # --- obligations ---

    @invariant()
    def obligations_close_by_listed_events(self) -> None:
        """Closed + open = amount; closed, notified and overdue exactly as the model says."""
        ledger, law, now = self.world.obligations, self.law.money, self.law.clock.now
        assert word(ledger, "count") == len(law.debts)
        for index, debt in enumerate(law.debts, 1):
            assert word(ledger, "parties", index) == number(self.id(debt.debtor))
            assert 0 <= debt.closed <= debt.amount
            assert word(ledger, "obligations", index) == debt.amount | debt.closed << 96 | debt.due_at << 192
            assert (word(ledger, "live", index) != 0) == bool(law.live(index))
            if debt.open and now > debt.due_at:
                overdue = law.is_overdue(index, now)
                assert ledger.is_overdue(index) == overdue
                tally("obligation overdue" if overdue else "obligation past its date, silently notified")

    @invariant()
    def references_carry_no_more(self) -> None:
        """A reference never closes more than it carried."""
        arrived = 0
        for (creditor, debtor, reference), one in self.law.money.references.items():
            found = word(self.world.obligations, "references", self.id(creditor), self.id(debtor), reference)
            expected = one.amount | one.arrived << 96 | one.notified_at << 192 | one.denied << 232 | one.ruled << 233
            assert found == expected
            assert one.arrived <= one.amount
            arrived += one.arrived
        assert arrived <= sum(debt.closed for debt in self.law.money.debts)

    # --- governance and members ---

    @invariant()
    def governance_moves_no_money(self) -> None:
        """Payout addresses are what the members' cold keys said last; money that left is where they were then."""
        for address, amount in self.law.received.items():
            assert word(self.world.token, "balanceOf", address) == amount
        assert sum(self.law.received.values()) == self.law.tokens_out
        for name in TRADERS:
            who = self.world.members[name]
            assert is_kept(self.world.registry, "payouts", who.id, self.law.members[name].payout)
            assert (
                sum(self.law.received[self.world.payout(name, one)] for one in PAYOUTS)
                == (self.law.money.paid_out[name])
            )
            assert word(self.world.escrow, "accounts", who.id) >> 96 == self.law.money.sequence[name]
            assert word(self.world.obligations, "payment_sequence", who.id) == self.law.money.payments[name]

    @invariant()
    def keys_are_the_members_own(self) -> None:
        """Keys, roles and suspension of every member are what its cold key and the council said last; so is who
        attests."""
        for name in TRADERS:
            standing = word(self.world.registry, "timeline.standing", self.id(name))
            person = self.law.members[name]
            assert bool(standing >> 224 & 1) == person.is_member
            assert is_kept(self.world.registry, "cold_keys", self.id(name), person.cold)
            assert standing & 2**160 - 1 == int(self.law.members.hot_address(name), 16)
            assert standing >> 208 & 0xFFFF == person.roles[-1][1]
            assert bool(standing >> 225 & 1) == person.suspended
            assert word(self.world.registry, "cold_sequence", self.id(name)) == person.cold_words
        members = self.law.members
        assert word(self.world.registry, "attestor_set.quorum") == members.quorum
        seated = [word(self.world.registry, "timeline.seats", self.id(name)) for name in ATTESTORS]
        assert seated == [members.attestors.index(one) + 1 if one in members.attestors else 0 for one in ATTESTORS]
        pause_ends = word(self.world.registry, "pausing.newest_pause") >> 64 & 2**64 - 1
        assert (self.law.clock.now < pause_ends) == self.law.clock.paused

    @invariant()
    def statements_are_final(self) -> None:
        """A finalised month never changes."""
        for (member, counterparty, period), digest in self.law.statements.items():
            other = self.id(counterparty) if counterparty else bytes(32)
            kept = word(self.world.statements, "digests", self.id(member), other, bytes(32), period)
            assert kept == number(digest)


__all__ = ["PAIRS", "Invariants", "money"]
