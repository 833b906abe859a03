"""Rules of utilities, watchers and cranks after delivery: allocations, proofs, seals."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import astuple, replace
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis.stateful import precondition, rule

from settlement import preimages
from settlement.trade import Allocation, AllocationLeaf
from settlement.typed_data import struct_hash
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import FORGER, pick, seeds, tree_of
from tests.contracts.law.machine_disputes import DisputeRules
from tests.contracts.law.model_inputs import COMPLETE, DELIVERY, INTAKE, SEALABLE, WINDOW
from tests.contracts.law.model_leaves import MISSING, conflict, fault_by_rule, fault_by_trade, group_of, share
from tests.contracts.law.world import CYCLE, signed

ESTIMATED = 1
LEAF_FIELDS = tuple(AllocationLeaf.__dataclass_fields__)
WAYS = {"honest": 6.0, "lying": 2.0, "withheld": 1.2, "double": 3.4, "swapped": 0.7, "lazy": 0.5}


class InputRules(DisputeRules):
    """What of the cycle is posted, marked and sealed."""

    # How utilities state what their meters gave to whom.
    ways = WAYS

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
        """A utility's statement: honest, lazy, lying in one field, without a leaf, with one twice or two swapped."""
        inputs, run = self.law.inputs, self.law.inputs.run
        leaves = self.honest_leaves(rng, utility)
        way = pick(rng, self.ways)
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
        if way == "swapped":
            return self.swapped(leaves)
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

    def swapped(self, leaves: list[AllocationLeaf]) -> list[AllocationLeaf]:
        """The first two of a group change places: only wrong where energy goes to who came first."""
        for index, (one, other) in enumerate(pairwise(leaves)):
            if group_of(b"", one) == group_of(b"", other):
                changed = [
                    self.replaced(one, one.contracted_before + other.contracted_wh),
                    self.replaced(other, one.contracted_before),
                ]
                return [*leaves[:index], *changed, *leaves[index + 2 :]]
        return leaves

    def replaced(self, leaf: AllocationLeaf, before: int) -> AllocationLeaf:
        """The leaf, with what the rule gives it after so many Wh."""
        given = leaf.contracted_wh, before, leaf.contracted_total_wh, leaf.meter_wh
        wh = 0 if leaf.status == MISSING else share(*given, self.law.inputs.config.allocation_rule)
        return replace(leaf, contracted_before=before, allocated_wh=wh)

    # --- faults ---

    @precondition(lambda self: self.law.inputs.posted)
    @rule(seed=seeds)
    def prove_fault(self, seed: int) -> None:
        """Anyone proves what is provable; where nothing is, or it is not the time, a proof fails."""
        rng = Random(seed)
        inputs = self.law.inputs
        if inputs.phase != WINDOW and rng.random() < 0.9:
            return
        choices = [
            (owner, run, way, indexes)
            for owner, run in inputs.posted
            if run == inputs.run or inputs.phase != WINDOW
            for way, indexes in inputs.faults(owner, run)
        ]
        if choices and rng.random() < 0.85:
            self.prove(*rng.choice(choices))
        else:
            self.probe(rng)

    def probe(self, rng: Random) -> None:
        """Somebody tries what is mostly right."""
        inputs = self.law.inputs
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

    # --- seals ---

    @precondition(lambda self: self.law.inputs.phase not in (DELIVERY, COMPLETE) and self.law.trades.commitments)
    @rule(seed=seeds)
    def crank(self, seed: int) -> None:
        """Anybody does what time allows."""
        rng = Random(seed)
        if rng.random() < 0.02 or (
            self.law.inputs.phase == WINDOW and (not self.law.inputs.opened or rng.random() < 0.1)
        ):
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
