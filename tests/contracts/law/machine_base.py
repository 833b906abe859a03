"""How the state machine acts: the same act on the model and on the chain, and time that leads somewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import astuple
from random import Random
from typing import Any

import boa  # type: ignore[import-untyped]
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from settlement import preimages
from settlement.merkle import Tree
from settlement.trade import AllocationLeaf, Claim, ShownLeaf
from tests.contracts.law import world as worlds
from tests.contracts.law.histogram import tally
from tests.contracts.law.model import Law, Refused
from tests.contracts.law.model_inputs import DELIVERY, INTAKE, RULING, WINDOW
from tests.contracts.law.model_rows import PUBLISHED, TO_PUBLISH
from tests.contracts.law.model_trades import Deal
from tests.contracts.law.world import CONFIG, END, HOUR, PLATFORMS, SLOTS, UTILITIES, Signature, World, signed
from tests.contracts.market import at_time
from tests.contracts.money import SILENCE
from tests.contracts.settling import events

seeds = st.integers(0, 2**48)
# Signs where a member should have.
FORGER = b"\x07" * 32


class Base(RuleBasedStateMachine):
    """The market, its model, and acts on both."""

    config = CONFIG
    # Who trades with whom, and on whose meters.
    platforms = PLATFORMS
    utilities = UTILITIES

    def __init__(self) -> None:
        super().__init__()
        self.world: World = worlds.deployed(self.config)
        self.example = ExitStack()
        self.example.enter_context(boa.swap_env(self.world.registry.env))
        self.example.enter_context(boa.env.anchor())
        self.members_before = dict(self.world.members)
        patch = boa.env.evm.patch
        self.law = Law(self.world, self.config, patch.timestamp, patch.block_number)
        # Claims as the chain made them, by what tells them apart.
        self.records: dict[tuple[object, ...], Claim] = {}
        # Whether one honest watcher, and the payers of wrong rows, act in all windows.
        self.watched = True
        # By payer and payee: paid, owed, owed back, as events told.
        self.told: Counter[tuple[str, str, str]] = Counter()
        self.losers: set[str] = set()

    def teardown(self) -> None:
        self.world.members.clear()
        self.world.members.update(self.members_before)
        self.example.close()

    # --- acts ---

    def act(
        self, name: str, in_model: Callable[[], Any], on_chain: Callable[[], Any], losers: Iterable[str] = ()
    ) -> tuple[Any, Any] | None:
        """The same act in both: what one refuses the other refuses for the same reason. Returns what both returned,
        None where it was refused. `losers` are the members whose own free money it may lower."""
        self.losers.update(losers)
        try:
            expected = in_model()
        except Refused as refused:
            with boa.reverts(str(refused)):
                on_chain()
            tally(f"{name}: refused")
            tally(f"because {refused}")
            return None
        found = on_chain()
        tally(name)
        return expected, found

    def sign(self, key: bytes | None, value: object) -> Signature:
        """A signature by a key; by somebody else's where there is none."""
        return signed(key or FORGER, self.world.domain.digest(value))

    def take_note(self, kind: str) -> list[dict[str, Any]]:
        """The last call's events of what was applied, added to what was told so far."""
        found = events(self.world.settlement, kind)
        for event in found:
            for moved in ("paid", "owed", "owed_back"):
                self.told[self.name(event["payer"]), self.name(event["payee"]), moved] += event.get(moved, 0)
        return found

    def key(self, name: str) -> bytes | None:
        """A member's hot key of now."""
        return self.law.members[name].key

    def key_or_not(self, name: str, rng: Random) -> bytes | None:
        """The same, seldom not its own."""
        return FORGER if rng.random() < 0.05 else self.key(name)

    def id(self, name: str) -> bytes:
        return self.world.members[name].id

    def name(self, identity: bytes) -> str:
        return self.world.name_of(identity)

    # --- time ---

    def move(self, seconds: int, blocks: int = 1) -> None:
        """Time and blocks pass."""
        clock = self.law.clock
        clock.now += seconds
        clock.block += blocks
        at_time(clock.now)
        boa.env.evm.patch.block_number = clock.block

    def milestones(self) -> list[int]:
        """Seconds, as long as nothing is paused, until something changes by itself."""
        law, now = self.law, self.law.clock.now
        inputs, config = law.inputs, law.inputs.config
        phase, past = inputs.stage()
        spans: list[int] = []
        if phase in (0, DELIVERY):
            spans += [time - now for slot in SLOTS for time in (slot - config.gate, slot, slot + HOUR)]
            spans.append(END - now)
        if phase == INTAKE:
            late = config.run_deadlines[inputs.run] - law.clock.since(END)
            if inputs.run:
                late = max(late, config.least_intake - law.clock.since(inputs.sealed[-1][0]))
            spans.append(late)
        if phase == WINDOW:
            spans += [config.demand_time - past, config.window - past, config.window + config.demand_time - past]
        if phase == RULING:
            times = [inputs.last_contested_at]
            times += [inputs.sides[key].contested_at or now for key in inputs.last_contests]
            spans += [config.contest_time - law.clock.since(time) for time in times]
        for pair, standing in law.rows.pairs.items():
            pending = standing.pending
            if pending is None:
                continue
            if law.rows.stage(pair) == TO_PUBLISH:
                spans.append(pending.attested_at + config.publish_time - now)
            if law.rows.stage(pair) == PUBLISHED:
                spans.append(config.row_window - law.clock.since(pending.published_at or now))
                spans += [config.demand_time - law.clock.since(time) for time in pending.open.values()]
                if pending.answered_at is not None:
                    spans.append(config.demand_time - law.clock.since(pending.answered_at))
        spans += [config.claim_window - law.clock.since(one.claimed_at) for one in law.claims.pending.values()]
        if inputs.is_complete:
            spans.append(config.close_delay + 1 - law.clock.since(inputs.sealed[-1][0]))
            spans.append(config.close_delay + law.money.rest - law.clock.since(inputs.sealed[-1][0]))
        spans += [debt.due_at + 1 - now for debt in law.money.debts if debt.open]
        spans += [one.notified_at + SILENCE - now for one in law.money.references.values() if one.live]
        return sorted({span for span in spans if span > 0})

    # --- what one part of the machine asks of another ---

    def renew_key(self, name: str) -> None:
        """A member names a fresh hot key."""
        raise NotImplementedError

    # --- what parties show ---

    def tree(self, utility: bytes, run: int) -> tuple[Tree, list[AllocationLeaf]]:
        """A utility's tree of a run."""
        leaves = self.law.inputs.posted[utility, run].leaves
        return tree_of(tuple(leaves)), leaves

    def shown(self, utility: bytes, run: int, index: int) -> ShownLeaf:
        """A leaf with its proof."""
        tree, leaves = self.tree(utility, run)
        return ShownLeaf(run, tree.root, tree.count, index, leaves[index], tree.path(index))

    def proof_of_figure(self, deal: Deal, side: int, until: int) -> list[ShownLeaf] | None:
        """What proves a side's figure in a run; None where a tree lacks the leaf, which nobody can show."""
        inputs = self.law.inputs
        proof: list[ShownLeaf] = []
        if inputs.recorded(deal, side, until):
            return proof
        utility = deal.utility(side)
        for run in range(until, -1, -1):
            if (utility, run) not in inputs.posted or inputs.passed(deal, side, run, until):
                continue
            own = inputs.own(deal, side, run)
            if not own:
                return None
            counting = [index for index in own if inputs.counts(deal, side, run, index, until)]
            proof.append(self.shown(utility, run, (counting or own)[0]))
            if counting:
                return proof
        return proof

    def signatures(self, deal: Deal, place: Any) -> list[Signature]:
        """The trade's signatures as proofs of a place need them: none for a registered one."""
        if place.commitment.sequence == 0:
            return []
        return [signed(key or FORGER, deal.digest) for key in deal.keys]

    def signature_of_utility(self, deal: Deal, side: int) -> Signature:
        """That of a side's utility on the trade, as a dispute shows it."""
        return signed(deal.keys[deal.trade.signers.index(deal.utility(side))] or FORGER, deal.digest)

    def some_place(self, deal: Deal, rng: Random) -> Any:
        """A valid place of a trade if there is one, seldom another."""
        valid = self.law.trades.valid_place(deal)
        return valid if valid and rng.random() < 0.9 else rng.choice(deal.places)

    def some_deal(self, rng: Random, valid: bool = True) -> Deal | None:
        """A committed trade, mostly one that counts."""
        placed = [deal for deal in self.law.trades.deals.values() if deal.places]
        counting = [deal for deal in placed if self.law.trades.valid_place(deal)]
        pool = counting if valid and rng.random() < 0.8 else placed
        return rng.choice(pool) if pool else None


_TREES: dict[tuple[AllocationLeaf, ...], Tree] = {}


def tree_of(leaves: tuple[AllocationLeaf, ...]) -> Tree:
    """The tree over allocation leaves; kept, for it is asked for at every proof."""
    if leaves not in _TREES:
        if len(_TREES) > 500:
            _TREES.clear()
        _TREES[leaves] = Tree([preimages.allocation_leaf(leaf) for leaf in leaves])
    return _TREES[leaves]


def pick(rng: Random, weights: dict[str, float]) -> str:
    """A name by its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def some(rng: Random, pool: Sequence[Any]) -> Any:
    """Any of these, None of none."""
    return rng.choice(pool) if pool else None


def arguments(values: Sequence[Any]) -> list[Any]:
    """Structs as a contract's argument."""
    return [astuple(value) for value in values]
