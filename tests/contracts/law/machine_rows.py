"""Rules of settlement by rows: agreed and early ones, attested ones of honest and lying quorums, and how they apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace
from random import Random
from typing import Any

from hypothesis.stateful import precondition, rule

from settlement.hashing import keccak256
from settlement.merkle import EMPTY_ROOT, Tree
from settlement.trade import FlowLeaf, Row, RowAttestation
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import FORGER, Base, pick, seeds, some
from tests.contracts.law.model_rows import DEAD, NO_ROW, PUBLISHED, TO_PUBLISH, Pair, Pending, tree_hashes
from tests.contracts.law.world import CYCLE, TRADERS
from tests.contracts.settling import events


class RowRules(Base):
    """How the three ways go, right and wrong."""

    # --- what rows say ---

    def some_pair(self, rng: Random, run: int) -> Pair:
        """Two members, mostly such that have flows."""
        pairs = {
            (payer, payee)
            for deal in self.law.trades.deals.values()
            if (result := self.law.inputs.result(deal, run))
            for payer, payee, amount in result[1]
            if payer != payee and amount and {payer, payee} <= set(TRADERS)
        }
        if pairs and rng.random() < 0.9:
            return rng.choice(sorted(pairs))
        payer, payee = rng.sample(TRADERS, 2)
        return payer, payee

    def row(self, pair: Pair, leaves: Sequence[FlowLeaf], run: int, version: int, **changes: Any) -> Row:
        """The row of these leaves on a run's sealed inputs."""
        tree = Tree(tree_hashes(leaves))
        root = tree.root if leaves else EMPTY_ROOT
        inputs = self.law.inputs.sealed[run][1] if run < self.law.inputs.run else bytes(32)
        amount = sum(leaf.amount for leaf in leaves)
        row = Row(CYCLE, run, version, self.id(pair[0]), self.id(pair[1]), amount, len(leaves), root, 0, inputs)
        return replace(row, **changes)

    def false_leaves(self, rng: Random, pair: Pair, run: int) -> list[FlowLeaf]:
        """What a lying quorum says: one leaf too high, too low, too many, too few, of another run, of nowhere."""
        leaves = self.law.rows.truth(pair, run)
        way = pick(
            rng, {"amount": 9, "nowhere": 1, "void": 1, "waiting": 2, "old": 3, "missing": 9, "salt": 1, "twice": 1}
        )
        deals = list(self.law.trades.deals.values())
        if way in ("amount", "salt", "twice", "missing") and leaves:
            index = rng.randrange(len(leaves))
            leaf = leaves[index]
            others = leaves[:index] + leaves[index + 1 :]
            wrong = {
                "amount": [replace(leaf, amount=max(1, leaf.amount + rng.choice((1, -1, 10**6))))],
                "salt": [replace(leaf, salt=b"\1" * 32)],
                "twice": [leaf, leaf],
                "missing": [],
            }[way]
            leaves = others + wrong
        elif way == "old" and run:
            leaves = self.law.rows.truth(pair, rng.randrange(run))
        elif way in ("void", "waiting") and deals:
            deal = rng.choice(deals)
            computed = self.law.inputs.settle(deal, run, deal.contracted, deal.contracted)
            extra = self.law.rows.leaves_of(deal, pair, computed) if computed else []
            leaves = [leaf for leaf in leaves if leaf.trade_digest != deal.digest] + extra
        else:
            leaves.append(FlowLeaf(keccak256(b"nowhere", rng.randbytes(4)), 0, 1_000, 10**6, b"\2" * 32))
        return sorted(leaves, key=lambda leaf: (leaf.trade_digest, leaf.flow))

    # --- agreed ---

    @precondition(lambda self: self.law.trades.commitments)
    @rule(seed=seeds)
    def settle_rows(self, seed: int) -> None:
        self.agree_rows(Random(seed))

    def agree_rows(self, rng: Random) -> None:
        """Rows that both sign: right, or whatever the two please; some that do not apply."""
        sealed = self.law.inputs.run
        if not sealed and rng.random() < 0.5:
            return
        rows: list[tuple[Row, list[bytes | None]]] = []
        # A pair comes once in a call, so that reasons do not depend on the order in which the model is asked.
        drawn = [self.some_pair(rng, max(0, sealed - 1)) for _ in range(rng.choice((1, 1, 2, 3)))]
        busy = self.pending_rows((TO_PUBLISH, PUBLISHED, DEAD))
        if busy and rng.random() < 0.3:
            drawn[0] = rng.choice(busy)
        newer = [pair for pair in self.pending_rows((TO_PUBLISH, PUBLISHED)) if self.pending(pair).row.run]
        if newer and rng.random() < 0.85:
            drawn = [drawn[0], rng.choice(newer), *drawn[1:]]
        # What two lower again is owed back, and set off against what fell due.
        owing = [pair for (_, *pair), one in self.law.money.pairs.items() if one.owed > one.owed_back]
        queued = [list(self.law.money.of(number)) for number in self.law.money.queue]
        owing = [pair for pair in owing if pair in queued] or owing
        lowered = tuple(rng.choice(owing)) if owing and rng.random() < 0.75 else None
        drawn = [lowered, *drawn] if lowered else drawn
        for pair in dict.fromkeys(drawn):
            standing = self.law.rows.pair(pair)
            lowest = max(0, standing.runs - 1)
            run = rng.randrange(sealed) if rng.random() < 0.3 and sealed else max(lowest, sealed - 1)
            # What both have signed of an older run is brought when a quorum says something else.
            if standing.runs > 1 and rng.random() < 0.25:
                run = rng.randrange(standing.runs - 1)
            if pair in newer and rng.random() < 0.9:
                run = rng.randrange(lowest, max(lowest + 1, self.pending(pair).row.run))
            version = standing.highest + rng.choice((1, 1, 1, 2, 1_000))
            wrong = pick(rng, {"": 12, "old version": 1, "far ahead": 1, "early": 1.5, "inputs": 1, "forged": 2})
            changes: dict[str, Any] = {"keep": rng.choice((0, 0, 1_000_000, 2**96 - 1))}
            if pair == lowered:
                changes["amount"] = rng.choice((0, self.law.money.pair(CYCLE, *pair).applied // 2))
            elif rng.random() < 0.25:
                changes["amount"] = rng.choice((0, 1, 5_000_000, 20_000_000))
            if wrong == "early" and sealed:
                changes["inputs"] = bytes(32)
            if wrong == "inputs":
                changes["inputs"] = b"\3" * 32
            if wrong == "old version":
                version = standing.version
            if wrong == "far ahead":
                version = standing.highest + 1_001
            row = self.row(pair, self.law.rows.truth(pair, run), run, version, **changes)
            keys = [self.key(name) for name in pair]
            if wrong == "forged":
                keys[rng.randrange(2)] = FORGER
            rows.append((row, keys))
        before = {self.law.rows.of(row): self.law.rows.stage(self.law.rows.of(row)) for row, _ in rows}
        done = self.act(
            "settle rows",
            lambda: self.law.rows.settle(rows),
            lambda: self.world.settlement.settle(
                [(astuple(row), *(self.sign(key, row) for key in keys)) for row, keys in rows], []
            ),
        )
        if done is None:
            return
        reasons, applied = done
        assert applied == reasons.count("") == len(self.take_note("RowApplied"))
        skipped = [(event["version"], event["reason"]) for event in events(self.world.settlement, "RowSkipped")]
        assert skipped == [(row.version, reason) for (row, _), reason in zip(rows, reasons, strict=True) if reason]
        for (row, _), reason in zip(rows, reasons, strict=True):
            tally(f"row skipped: {reason}" if reason else "row agreed" if any(row.inputs) else "row early")
            if reason:
                continue
            if before[self.law.rows.of(row)] != NO_ROW:
                tally("row pending->replaced")
            if row.amount != sum(leaf.amount for leaf in self.law.rows.truth(self.law.rows.of(row), row.run)):
                tally("row agreed, and false")

    # --- attested ---

    @precondition(lambda self: self.law.inputs.run)
    @rule(seed=seeds)
    def attest(self, seed: int) -> None:
        self.attest_row(Random(seed))

    def attest_row(self, rng: Random) -> None:
        """A quorum attests, honest or lying."""
        run = self.law.inputs.run - 1
        dead = self.pending_rows((DEAD,))
        pair = rng.choice(dead) if dead and rng.random() < 0.6 else self.some_pair(rng, run)
        standing = self.law.rows.pair(pair)
        agreed = (standing.by, standing.runs) == ("agreed", run + 1)
        if (
            agreed or self.law.rows.stage(pair) in (TO_PUBLISH, PUBLISHED) or self.law.inputs.closed_for()
        ) and rng.random() < 0.85:
            return
        lying = rng.random() < 0.6
        leaves = self.false_leaves(rng, pair, run) if lying else self.law.rows.truth(pair, run)
        wrong = pick(rng, {"": 26, "version": 1, "keep": 0.5, "few": 1, "run": 1, "forged": 1, "many": 0.5})
        changes: dict[str, Any] = {"keep": 1} if wrong == "keep" else {}
        if lying and rng.random() < 0.25:
            changes["amount"] = sum(leaf.amount for leaf in leaves) + rng.choice((1, -1)) if leaves else 5
        version = self.law.rows.pair(pair).highest + (2 if wrong == "version" else 1)
        row = self.row(pair, leaves, run - 1 if wrong == "run" and run else run, version, **changes)
        if row.amount < 0:
            return
        attestors, quorum = self.law.members.attestors, self.law.members.quorum
        count = quorum + {"few": -1, "many": 1}.get(wrong, 0)
        names = [name for name in attestors if self.key(name)]
        signers = sorted(rng.sample(names, min(count, len(names))), key=attestors.index)
        keys = [self.key(name) for name in signers]
        if wrong == "forged":
            keys[0] = FORGER
        mask = sum(1 << attestors.index(name) for name in signers)
        statement = RowAttestation(self.world.domain.digest(row))
        makes_way = self.law.rows.stage(pair) == DEAD
        done = self.act(
            "attest",
            lambda: self.law.rows.attest(row, leaves, mask, keys),
            lambda: self.world.settlement.attest(astuple(row), mask, [self.sign(key, statement) for key in keys]),
        )
        if done:
            tally("row attested lying" if lying else "row attested honest")
            tally("row none->pending")
            if makes_way:
                tally("row pending->lapsed")
            if rng.random() < 0.75:
                self.publish_row(pair)

    def pending_rows(self, stages: Sequence[int]) -> list[Pair]:
        """Pairs whose attested row stands there."""
        return [pair for pair in self.law.rows.pairs if self.law.rows.stage(pair) in stages]

    @precondition(lambda self: self.pending_rows((TO_PUBLISH, DEAD)))
    @rule(seed=seeds)
    def publish(self, seed: int) -> None:
        rng = Random(seed)
        if rng.random() < 0.6:
            self.publish_row(rng.choice(self.pending_rows((TO_PUBLISH, DEAD))))

    def publish_row(self, pair: Pair) -> None:
        """All of a row's leaves."""
        pending = self.pending(pair)
        row, leaves = pending.row, pending.leaves
        settlement = self.world.settlement
        done = self.act(
            "publish",
            lambda: self.law.rows.publish(row),
            lambda: (
                settlement.publish(astuple(row), [astuple(leaf) for leaf in leaves], [])
                if leaves
                else settlement.publish_empty(astuple(row))
            ),
        )
        if done:
            tally(f"row pending->{done[0]}")
            names = {type(event).__name__ for event in settlement.get_logs(strict=False)}
            assert ("RowPublished" if done[0] == "published" else "RowStruck") in names

    def pending(self, pair: Pair) -> Pending:
        pending = self.law.rows.pair(pair).pending
        assert pending is not None
        return pending

    @precondition(lambda self: self.pending_rows((TO_PUBLISH, PUBLISHED, DEAD)))
    @rule(seed=seeds)
    def apply_attested(self, seed: int) -> None:
        """Rows whose window is over first."""
        self.apply_a_row(Random(seed))

    def apply_a_row(self, rng: Random) -> None:
        """One that is ripe, seldom one that is not."""
        pairs = self.pending_rows((PUBLISHED,))
        ripe = [
            pair
            for pair in pairs
            if not self.law.rows.in_window(self.pending(pair)) and not self.law.rows.holds(self.pending(pair))
        ]
        pool = ripe or (self.pending_rows((TO_PUBLISH, PUBLISHED, DEAD)) if rng.random() < 0.3 else [])
        pair = some(rng, pool)
        if pair is None:
            return
        pending = self.pending(pair)
        row = pending.row
        truth = self.law.rows.truth(pair, row.run)
        done = self.act(
            "apply attested",
            lambda: self.law.rows.apply_attested(row),
            lambda: self.world.settlement.apply_attested(astuple(row)),
        )
        if done:
            right = list(pending.leaves) == truth
            tally("row published->applied")
            tally("row applied right" if right else "row applied wrong")
            (event,) = self.take_note("RowApplied")
            assert (event["paid"], event["owed"], event["owed_back"]) == done[0]
            self.check_attested(pending, truth)

    def wrong_leaves(self, pair: Pair) -> list[int]:
        """Indexes of leaves that honest inputs do not have."""
        pending = self.pending(pair)
        truth = self.truth_of(pair)
        return [index for index, leaf in enumerate(pending.leaves) if leaf not in truth]

    def truth_of(self, pair: Pair) -> list[FlowLeaf]:
        """What a pair's pending row should say."""
        return self.law.rows.truth(pair, self.pending(pair).row.run)

    def check_attested(self, pending: Pending, truth: list[FlowLeaf]) -> None:
        """What attested rows apply is never above honest inputs while one honest watcher acts."""
        if self.watched:
            assert all(leaf in truth for leaf in pending.leaves), "a wrong row was applied under a watcher's eyes"
            assert pending.row.amount <= sum(leaf.amount for leaf in truth)
