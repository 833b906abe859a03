"""Rules of utilities, watchers, signers and arbiters after delivery: allocations, proofs, demands, contests, seals."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import astuple, replace
from random import Random
from typing import Any

from hypothesis.stateful import precondition, rule

from settlement import preimages
from settlement.trade import Allocation, AllocationLeaf, Contest, Demand, FigureAgreement, Ruling, SilentDemand
from settlement.typed_data import struct_hash
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import FORGER, Base, pick, seeds, some, tree_of
from tests.contracts.law.model_inputs import COMPLETE, DELIVERY, INTAKE, SEALABLE, WINDOW
from tests.contracts.law.model_leaves import conflict, fault_by_rule, fault_by_trade, group_of, share
from tests.contracts.law.world import CYCLE, TRADERS, arbiters_sign, signed

ESTIMATED, MISSING = 1, 2
LEAF_FIELDS = tuple(AllocationLeaf.__dataclass_fields__)
DISPUTED = (WINDOW,)


class InputRules(Base):
    """What of the cycle is posted, marked and sealed."""

    def __init__(self) -> None:
        super().__init__()
        # Reading and status of a group in a run.
        self.readings: dict[tuple[bytes, bytes, int, int, int], tuple[int, int]] = {}

    # --- allocations ---

    @precondition(lambda self: self.law.trades.commitments and self.law.inputs.phase in (DELIVERY, INTAKE, WINDOW))
    @rule(seed=seeds)
    def post(self, seed: int) -> None:
        rng = Random(seed)
        if self.law.inputs.phase != INTAKE and rng.random() < 0.85:
            return
        self.post_tree(rng, rng.choice(self.utilities))

    def post_tree(self, rng: Random, utility: str) -> None:
        """A utility's statement: honest, lazy, lying in one field, without a leaf, with one twice."""
        inputs, run = self.law.inputs, self.law.inputs.run
        leaves = self.honest_leaves(rng, utility)
        way = pick(rng, {"honest": 6, "lying": 2, "withheld": 1.2, "double": 3.4, "lazy": 0.5})
        if leaves and way != "honest":
            leaves = self.dishonest(rng, way, leaves)
        standing = inputs.posted.get((self.id(utility), run))
        attempt = (standing.attempt if standing else 0) + (0 if standing and rng.random() < 0.1 else 1)
        tree = tree_of(tuple(leaves))
        key = self.key_or_not(utility, rng)
        config = bytes(32) if rng.random() < 0.02 else inputs.config.digest()
        said_run = run + 1 if rng.random() < 0.02 else run
        said = Allocation(CYCLE, said_run, attempt, self.id(utility), tree.root, tree.count, config)
        done = self.act(
            "post allocation",
            lambda: inputs.post(said, utility, key, leaves, struct_hash(said)),
            lambda: self.world.oracle.post(astuple(said), self.sign(key, said), []),
        )
        if done:
            tally(f"allocation {way if leaves else 'empty'}")
            tally("allocation replaced" if standing else "allocation first")
            if run:
                tally("allocation of a later run")

    def honest_leaves(self, rng: Random, utility: str) -> list[AllocationLeaf]:
        """The utility's tree: its own meters' readings, by the market's rule, to the trades it was proven."""
        identity = self.id(utility)
        entries = []
        for deal in self.law.trades.deals.values():
            valid = [place for place in deal.places if self.law.trades.place_refusal(deal, place) is None]
            for side in (0, 1):
                if valid and deal.utility(side) == identity:
                    place = min(valid, key=lambda one: (one.number, one.index))
                    order = (deal.meter(side), deal.trade.slot_start, side, place.number, place.index)
                    entries.append((order, deal))
        groups: dict[tuple[bytes, int, int], int] = defaultdict(int)
        for order, deal in entries:
            groups[order[:3]] += deal.contracted
        before: dict[tuple[bytes, int, int], int] = defaultdict(int)
        leaves = []
        for order, deal in sorted(entries, key=lambda entry: entry[0]):
            meter, slot, side, number, index = order
            total = groups[order[:3]]
            reading, status = self.reading(rng, (identity, meter, slot, side), total)
            given = deal.contracted, before[order[:3]], total, reading
            leaves.append(
                AllocationLeaf(
                    deal.digest,
                    number,
                    index,
                    side,
                    meter,
                    slot,
                    deal.contracted,
                    before[order[:3]],
                    reading,
                    total,
                    status,
                    0 if status == MISSING else share(*given, self.law.inputs.config.allocation_rule),
                    preimages.allocation_salt(deal.trade.salt, CYCLE, side),
                )
            )
            before[order[:3]] += deal.contracted
        return leaves

    def reading(self, rng: Random, group: tuple[bytes, bytes, int, int], total: int) -> tuple[int, int]:
        """A meter's reading in this run; in a later one often the same."""
        run = self.law.inputs.run
        known = self.readings.get((*group, run - 1))
        if (*group, run) not in self.readings:
            status = rng.choices((0, ESTIMATED, MISSING), (7, 1, 2))[0]
            read = rng.randrange(total + 1) if rng.random() < 0.6 else total + 300
            drawn = (0 if status == MISSING else read, status)
            self.readings[*group, run] = known if known and rng.random() < 0.4 else drawn
        return self.readings[*group, run]

    def dishonest(self, rng: Random, way: str, leaves: list[AllocationLeaf]) -> list[AllocationLeaf]:
        """The same tree with one thing wrong."""
        if way == "lazy":
            return []
        index = rng.randrange(len(leaves))
        leaf = leaves[index]
        if way == "withheld":
            return leaves[:index] + leaves[index + 1 :]
        if way == "double":
            again = leaf if rng.random() < 0.5 else replace(leaf, meter_wh=leaf.meter_wh + 1)
            return [*leaves[: index + 1], again, *leaves[index + 1 :]]
        field = rng.choice(LEAF_FIELDS)
        value = getattr(leaf, field)
        wrong: Any
        if isinstance(value, bytes):
            wrong = rng.choice([getattr(one, field) for one in leaves] + [bytes(31) + b"\1"])
        elif field in ("side", "status"):
            wrong = rng.choice([other for other in (0, 1, 2, 3) if other != value])
        else:
            wrong = max(0, value + rng.choice((1, -1, 100, -100)))
        tally(f"lie: {field}")
        return [*leaves[:index], replace(leaf, **{field: wrong}), *leaves[index + 1 :]]

    # --- faults ---

    @precondition(lambda self: self.law.inputs.posted and self.law.inputs.phase == WINDOW)
    @rule(seed=seeds)
    def prove_fault(self, seed: int) -> None:
        """Anyone proves what is provable; where nothing is, a proof fails."""
        rng = Random(seed)
        inputs = self.law.inputs
        choices = [
            (owner, run, way, indexes)
            for owner, run in inputs.posted
            if run == inputs.run
            for way, indexes in inputs.faults(owner, run)
        ]
        if choices and rng.random() < 0.85:
            self.prove(*rng.choice(choices))
            return
        owner, run = rng.choice(list(inputs.posted))
        count = len(inputs.posted[owner, run].leaves)
        if not count:
            return
        indexes = (rng.randrange(count), rng.randrange(count))
        way = rng.choice(("rule", "trade", "pair", "twice"))
        leaves = [inputs.posted[owner, run].leaves[index] for index in indexes]
        same_group = group_of(owner, leaves[0]) == group_of(owner, leaves[1])
        if way == "pair" and (indexes[0] == indexes[1] or not same_group):
            return
        if (way == "twice" and indexes[0] == indexes[1]) or leaves[0].trade_digest not in self.law.trades.deals:
            return
        self.prove(owner, run, way, indexes if way in ("pair", "twice") else indexes[:1])

    def prove(self, owner: bytes, run: int, way: str, indexes: tuple[int, ...]) -> None:
        """One proof, right or not."""
        inputs, faults = self.law.inputs, self.world.faults
        shown = [astuple(self.shown(owner, run, index)) for index in indexes]
        leaves = [inputs.posted[owner, run].leaves[index] for index in indexes]
        allocation_rule = inputs.config.allocation_rule
        if way == "twice":
            self.act(
                "mark twice",
                lambda: inputs.mark_twice(run, *leaves),
                lambda: faults.mark_twice(CYCLE, owner, *shown),
            )
            return
        if way == "rule":
            fault = fault_by_rule(leaves[0], allocation_rule)
            self.act(
                "void by rule",
                lambda: inputs.void_by(owner, run, fault, leaves[0]),
                lambda: faults.void_by_rule(CYCLE, owner, *shown),
            )
        elif way == "trade":
            deal = self.law.trades.deals[leaves[0].trade_digest]
            fault = fault_by_trade(leaves[0], owner, deal)
            self.act(
                "void by trade",
                lambda: inputs.void_by(owner, run, fault, leaves[0]),
                lambda: faults.void_by_trade(CYCLE, owner, *shown, astuple(deal.trade)),
            )
        else:
            fault = conflict(*leaves, allocation_rule)
            self.act(
                "void by pair",
                lambda: inputs.void_by(owner, run, fault, leaves[0]),
                lambda: faults.void_by_pair(CYCLE, owner, *shown),
            )

    # --- disputes ---

    def disputed(self, rng: Random) -> tuple[Any, int, str, Any] | None:
        """A trade, one of its sides, one of its signers (seldom a stranger), a place."""
        deal = self.some_deal(rng)
        if deal is None:
            return None
        signers = [self.name(member) for member in deal.trade.signers]
        member = rng.choice(TRADERS) if rng.random() < 0.05 else rng.choice(signers)
        return deal, rng.randrange(2), member, self.some_place(deal, rng)

    @precondition(lambda self: self.law.inputs.phase == WINDOW)
    @rule(seed=seeds)
    def demand(self, seed: int) -> None:
        self.demand_one(Random(seed))

    def demand_one(self, rng: Random) -> None:
        """A signer wants to see the leaf of a side; somebody may show it at once."""
        late = self.law.inputs.stage()[1] >= self.law.inputs.config.demand_time
        drawn = None if late and rng.random() < 0.8 else self.disputed(rng)
        if drawn is None:
            return
        deal, side, member, place = drawn
        inputs = self.law.inputs
        silent = None
        if inputs.open_demands[member, inputs.run] >= inputs.config.open_demands:
            open_sides = [key for key, marks in inputs.sides.items() if inputs.run in marks.unanswered]
            silent = some(rng, open_sides) if rng.random() < 0.8 else None
        statement = Demand(CYCLE, inputs.run, self.id(member), deal.digest, side)
        key = self.key_or_not(member, rng)
        done = self.act(
            "demand",
            lambda: inputs.demand(deal, place, member, key, side, statement.run, silent),
            lambda: self.world.disputes.demand(
                astuple(statement),
                self.sign(key, statement),
                [],
                astuple(place),
                astuple(deal.trade),
                self.signature_of_utility(deal, side),
                [astuple(SilentDemand(*silent))] if silent else [],
            ),
        )
        if done and silent:
            tally("demand beyond the limit of a silent utility")
        if done and rng.random() < 0.4:
            self.answer_one(rng)

    @precondition(lambda self: any(self.law.inputs.run in one.unanswered for one in self.law.inputs.sides.values()))
    @rule(seed=seeds)
    def answer(self, seed: int) -> None:
        self.answer_one(Random(seed))

    def answer_one(self, rng: Random) -> None:
        """Anyone shows a demanded leaf; seldom one that nobody demanded."""
        inputs = self.law.inputs
        run = inputs.run
        asked = [key for key, marks in inputs.sides.items() if run in marks.unanswered]
        if rng.random() < 0.1:
            asked = list(inputs.sides)
        digest, side = rng.choice(asked)
        deal = self.law.trades.deals[digest]
        own = inputs.own(deal, side, run)
        if not own:
            tally("demand of a leaf that is not there")
            return
        shown = self.shown(deal.utility(side), run, rng.choice(own))
        self.act(
            "answer demand",
            lambda: inputs.answer(deal, side, run),
            lambda: self.world.disputes.answer(CYCLE, astuple(deal.trade), side, astuple(shown)),
        )

    @precondition(lambda self: self.law.inputs.phase == WINDOW)
    @rule(seed=seeds)
    def contest(self, seed: int) -> None:
        self.contest_one(Random(seed))

    def contest_one(self, rng: Random) -> None:
        """A signer says that a side's reading is wrong, or lacks; mostly that ends with a figure."""
        drawn = self.disputed(rng)
        if drawn is None:
            return
        deal, side, member, place = drawn
        inputs = self.law.inputs
        newest = inputs.newest(deal.utility(side))
        own = inputs.own(deal, side, newest) if newest is not None else []
        shown = [self.shown(deal.utility(side), newest, own[0])] if own and newest is not None else []
        statement = Contest(CYCLE, inputs.run, self.id(member), deal.digest, side, b"\5" * 32)
        key = self.key_or_not(member, rng)
        done = self.act(
            "contest",
            lambda: inputs.contest(deal, place, member, key, side, statement.run, shown[0].leaf if shown else None),
            lambda: self.world.disputes.contest(
                astuple(statement),
                self.sign(key, statement),
                [],
                astuple(place),
                astuple(deal.trade),
                self.signature_of_utility(deal, side),
                [astuple(one) for one in shown],
            ),
        )
        if done:
            tally("contest of a reading" if shown and shown[0].leaf.status != MISSING else "contest of a lack")
            if rng.random() < 0.6:
                self.end_one(rng)

    @precondition(lambda self: any(one.contested_at is not None for one in self.law.inputs.sides.values()))
    @rule(seed=seeds)
    def end_contest(self, seed: int) -> None:
        self.end_one(Random(seed))

    def end_one(self, rng: Random) -> None:
        """All signers agree, or the arbiters rule."""
        inputs = self.law.inputs
        open_sides = [key for key, one in inputs.sides.items() if one.contested_at is not None and not one.figure]
        pool = open_sides if open_sides and rng.random() < 0.85 else list(inputs.sides)
        digest, side = rng.choice(pool)
        deal = self.law.trades.deals[digest]
        wh = rng.choice((0, deal.contracted // 2, deal.contracted, deal.contracted, deal.contracted + 1))
        if rng.random() < 0.5:
            agreement = FigureAgreement(CYCLE, digest, side, wh)
            signers = [self.name(member) for member in deal.trade.signers]
            if any(self.key(name) is None for name in signers):
                return
            self.act(
                "agree on a figure",
                lambda: inputs.record(deal, side, wh, ruled=False),
                lambda: self.world.disputes.agree(
                    astuple(agreement), astuple(deal.trade), [self.world.sign(name, agreement) for name in signers], []
                ),
            )
        else:
            ruling = Ruling(CYCLE, digest, side, wh)
            self.act(
                "rule on a figure",
                lambda: inputs.record(deal, side, wh, ruled=True),
                lambda: self.world.disputes.rule(
                    astuple(ruling), astuple(deal.trade), *arbiters_sign(self.world, ruling)
                ),
            )

    # --- seals ---

    @precondition(lambda self: self.law.inputs.phase not in (DELIVERY, COMPLETE) and self.law.trades.commitments)
    @rule(seed=seeds)
    def crank(self, seed: int) -> None:
        """Anybody does what time allows."""
        rng = Random(seed)
        if self.law.inputs.phase == WINDOW and (not self.law.inputs.opened or rng.random() < 0.1):
            self.open_window()
        elif self.law.inputs.phase == SEALABLE or rng.random() < 0.2:
            self.seal()

    def open_window(self) -> None:
        self.act("open window", self.law.inputs.open_window, lambda: self.world.oracle.open_window(CYCLE))

    def seal(self) -> None:
        run = self.law.inputs.run
        if self.act("seal", self.law.inputs.seal, lambda: self.world.oracle.seal(CYCLE)):
            tally(f"run {run} none->sealed")
            self.tally_trades(run)

    def tally_trades(self, run: int) -> None:
        """What has become of every trade by this run, and by what."""
        inputs = self.law.inputs
        for deal in self.law.trades.deals.values():
            if self.law.trades.valid_place(deal) is None:
                continue
            before = inputs.result(deal, run - 1) if run else None
            after = inputs.result(deal, run)
            if before is None:
                tally("trade waiting->settled" if after else "trade waiting->waiting")
            else:
                tally("trade settled->as before" if before == after else "trade settled->changed")
            for side in (0, 1):
                newest = inputs.newest_leaf(deal, side, run)
                if inputs.recorded(deal, side, run):
                    tally("figure recorded")
                elif newest is None:
                    tally("figure none in the last run" if run == inputs.last else "figure none")
                else:
                    tally("figure of this run" if newest[0] == run else "figure of an older run")


__all__ = ["FORGER", "InputRules", "signed"]
