"""How far a trade has come: from proposal to settlement, and every way to wait, from events alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from api.views.clock import Pause, later
from api.views.cycle_facts import AGREED, ATTESTED, EARLY, CycleFacts
from api.views.finality import Finality
from api.views.trade_life import Cause, Life, SigningTrade, State, life_of, roots_of
from chain.evidence import Event, Evidence
from settlement import preimages
from settlement.config import DAY, HOUR
from settlement.figures import MarkKind
from settlement.formula.templates import DEFAULT, INTER_UTILITY
from settlement.hashing import Hash32, keccak256
from tests.settlement.builders import (
    CONFIG,
    CYCLE,
    CYCLE_START,
    DOMAIN,
    PLATFORM_A,
    PLATFORM_B,
    UTILITY_A,
    UTILITY_B,
    trade,
)

END = CYCLE_START + CONFIG.cycle_length
DEADLINE = END + CONFIG.run_deadlines[0]
ONE = trade()
DIGEST = DOMAIN.digest(ONE)
BATCH_ROOT = keccak256(b"root of a batch")
NOW = CYCLE_START - 6 * HOUR


class Story:
    """Events in the order in which they are told, each in a block of its own."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.now = NOW
        self._blocks: Iterator[int] = count(1)

    def tell(self, name: str, **fields: Any) -> Story:
        self.events.append(
            Event("Some", name, {"cycle": CYCLE, **fields}, "0x" + "00" * 32, self.now, next(self._blocks))
        )
        return self

    def at(self, now: int) -> Story:
        self.now = now
        return self

    def committed(self, root: Hash32 = BATCH_ROOT, number: int = 1) -> Story:
        record = {
            "cycle": CYCLE,
            "platform_a": PLATFORM_A,
            "platform_b": PLATFORM_B,
            "sequence": 1,
            "earliest_slot": ONE.slot_start,
            "count": 1,
            "root": root,
            "committed_at": self.now,
        }
        return self.tell("BatchCommitted", number=number, record=record, locks=[])

    def posted(self, *utilities: Hash32, run: int = 0) -> Story:
        for one in utilities:
            self.tell("AllocationPosted", utility=one, run=run, attempt=1, root=bytes(32), count=1)
        return self

    def sealed(self, run: int = 0) -> Story:
        return self.tell("RunSealed", run=run, inputs=bytes(32), accumulator=bytes(32))

    def marked(self, kind: MarkKind, run: int = 0, side: int = 0, wh: int = 0) -> Story:
        utility = (UTILITY_A, UTILITY_B)[side]
        return self.tell("SideMarked", trade_digest=DIGEST, utility=utility, run=run, side=side, kind=int(kind), wh=wh)

    def voided(self, run: int = 0, side: int = 0) -> Story:
        utility, meter = ((UTILITY_A, ONE.buyer_meter), (UTILITY_B, ONE.seller_meter))[side]
        return self.tell("GroupVoided", utility=utility, run=run, meter=meter, slot_start=ONE.slot_start, side=side)

    def applied(self, payer: Hash32, payee: Hash32, run: int = 0, way: int = AGREED) -> Story:
        return self.tell("RowApplied", payer=payer, payee=payee, run=run, way=way)

    def facts(self, final_block: int = 1_000) -> CycleFacts:
        return CycleFacts(CYCLE, Evidence(tuple(self.events)), CONFIG, (), self.now, final_block)

    def life(self, final_block: int = 1_000, **changed: Any) -> Life:
        return life_of(signing(**changed), self.facts(final_block), DEFAULT)


def signing(**changed: Any) -> SigningTrade:
    return replace(SigningTrade(DIGEST, ONE, roots_of(DIGEST, [BATCH_ROOT]), 4, ()), **changed)


def sealed_day() -> Story:
    return Story().committed().at(END).posted(UTILITY_A, UTILITY_B).at(DEADLINE + DAY).sealed()


# --- before the chain knows it ---


def test_proposed() -> None:
    life = Story().life(signed=0, missing=(PLATFORM_A, PLATFORM_B))
    assert (life.state, life.reason, life.finality) == (State.PROPOSED, None, Finality.PENDING)


def test_pending_signatures() -> None:
    life = Story().life(signed=1, missing=(PLATFORM_B,))
    assert (life.state, life.reason, life.number) == (State.PENDING_SIGNATURES, None, None)


def test_waiting_for_a_block() -> None:
    life = Story().life()
    assert life.reason is not None
    assert (life.state, life.reason.cause) == (State.WAITING, Cause.COMMITMENT)


def test_refused_by_the_contract() -> None:
    life = Story().life(refused="SettlementEscrow: not enough free")
    assert life.reason is not None
    assert (life.state, life.reason.cause) == (State.WAITING, Cause.RELAY_REFUSED)
    assert life.reason.detail == "SettlementEscrow: not enough free"


@pytest.mark.parametrize("missing", [(), (PLATFORM_B,)])
def test_expired(missing: tuple[Hash32, ...]) -> None:
    story = Story().at(ONE.valid_until)
    in_time = story.life(missing=missing).reason
    assert in_time is None or in_time.cause is Cause.COMMITMENT
    life = story.at(ONE.valid_until + 1).life(missing=missing)
    assert life.reason is not None
    assert (life.state, life.reason.cause) == (State.PENDING_SIGNATURES, Cause.EXPIRED)


def test_orphaned() -> None:
    assert Story().life(orphaned=True).finality is Finality.ORPHANED


# --- on the chain ---


@pytest.mark.parametrize("root", [BATCH_ROOT, preimages.trade_leaf(DIGEST)], ids=["batched", "registered"])
def test_committed(root: Hash32) -> None:
    life = Story().committed(root, number=7).life()
    assert (life.state, life.reason, life.number, life.run) == (State.COMMITTED, None, 7, None)


def test_another_batch_is_not_ours() -> None:
    assert Story().committed(keccak256(b"another")).life().state is State.WAITING


def test_lowest_place_counts() -> None:
    assert Story().committed(number=3).committed(preimages.trade_leaf(DIGEST), number=4).life().number == 3


@pytest.mark.parametrize(("final", "finality"), [(1, Finality.FINAL), (0, Finality.INCLUDED)])
def test_finality_of_its_block(final: int, finality: Finality) -> None:
    assert Story().committed().life(final_block=final).finality is finality


def test_finality_of_the_newest_that_it_rests_on() -> None:
    story = Story().committed().posted(UTILITY_A, UTILITY_B)
    assert story.life(final_block=3).finality is Finality.FINAL
    assert story.life(final_block=2).finality is Finality.INCLUDED


def test_one_utility_is_not_enough() -> None:
    life = Story().committed().at(END).posted(UTILITY_A).life()
    assert (life.state, life.reason) == (State.COMMITTED, None)


def test_allocated() -> None:
    life = Story().committed().at(END).posted(UTILITY_A, UTILITY_B).life()
    assert (life.state, life.run) == (State.ALLOCATED, 0)


def test_late_utility() -> None:
    story = Story().committed().at(END).posted(UTILITY_B)
    assert story.at(DEADLINE - 1).life().state is State.COMMITTED
    life = story.at(DEADLINE).life()
    assert life.reason is not None
    assert (life.state, life.reason.cause, life.reason.side) == (State.WAITING, Cause.MISSING_ALLOCATION, "buyer")


def test_sealed() -> None:
    life = sealed_day().life()
    assert (life.state, life.reason, life.run) == (State.SEALED, None, 0)


def test_sealed_without_a_utility() -> None:
    life = Story().committed().at(END).posted(UTILITY_A).at(DEADLINE + DAY).sealed().life()
    assert life.reason is not None
    assert (life.state, life.reason.cause, life.reason.side) == (State.WAITING, Cause.MISSING_ALLOCATION, "seller")


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (None, Cause.VOID_GROUP),
        (MarkKind.CONTEST, Cause.CONTESTED),
        (MarkKind.DEMAND, Cause.UNANSWERED),
        (MarkKind.TWICE, Cause.TWICE),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("is_sealed", [False, True])
def test_marks(kind: MarkKind | None, cause: Cause, side: int, is_sealed: bool) -> None:
    story = Story().committed().at(END).posted(UTILITY_A, UTILITY_B).at(DEADLINE)
    story = story.voided(side=side) if kind is None else story.marked(kind, side=side)
    if is_sealed:
        story.at(DEADLINE + DAY).sealed()

    life = story.life()

    assert life.reason is not None
    assert (life.state, life.reason.cause) == (State.WAITING, cause)
    assert life.reason.side == ("buyer", "seller")[side]


def test_answered_demand() -> None:
    story = Story().committed().at(END).posted(UTILITY_A, UTILITY_B).at(DEADLINE)
    assert story.marked(MarkKind.DEMAND).marked(MarkKind.ANSWER).life().state is State.ALLOCATED


def test_recorded_figure_ends_a_contest() -> None:
    story = Story().committed().at(END).posted(UTILITY_A, UTILITY_B).at(DEADLINE)
    story.marked(MarkKind.CONTEST).marked(MarkKind.FIGURE, wh=5).at(DEADLINE + DAY).sealed()
    assert story.life().state is State.SEALED


def test_next_run_clears_up() -> None:
    story = Story().committed().at(END).posted(UTILITY_A, UTILITY_B).at(DEADLINE).voided()
    story.at(DEADLINE + DAY).sealed().posted(UTILITY_A, run=1)
    assert story.life().state is State.WAITING
    assert story.at(END + 16 * DAY).sealed(1).life().state is State.SEALED


def test_last_run_decides_without_what_is_missing() -> None:
    story = Story().committed()
    for run in range(len(CONFIG.run_deadlines)):
        assert story.life().state in (State.COMMITTED, State.WAITING)
        story.at(END + CONFIG.run_deadlines[run] + DAY).sealed(run)
    assert story.life().state is State.SEALED


# --- settled ---


def test_settled_needs_every_pair() -> None:
    story = sealed_day().applied(PLATFORM_A, PLATFORM_B)
    assert story.life().state is State.SEALED, "wheeling is not settled"
    life = story.applied(PLATFORM_A, UTILITY_A, way=ATTESTED).life()
    assert (life.state, life.reason) == (State.SETTLED, None)


def test_early_row_settles_no_run() -> None:
    story = sealed_day().applied(PLATFORM_A, PLATFORM_B, way=EARLY).applied(PLATFORM_A, UTILITY_A)
    assert story.life().state is State.SEALED


def test_other_direction_settles_nothing() -> None:
    story = sealed_day().applied(PLATFORM_B, PLATFORM_A).applied(PLATFORM_A, UTILITY_A)
    assert story.life().state is State.SEALED


def test_row_before_the_trade_cleared_up() -> None:
    """The pair's row of run 0 was without the trade that waited then."""
    story = Story().committed().at(END).posted(UTILITY_A, UTILITY_B).at(DEADLINE).voided()
    story.at(DEADLINE + DAY).sealed().applied(PLATFORM_A, PLATFORM_B).applied(PLATFORM_A, UTILITY_A)
    story.posted(UTILITY_A, run=1).at(END + 16 * DAY).sealed(1)
    assert story.life().state is State.SEALED
    story.applied(PLATFORM_A, PLATFORM_B, run=1).applied(PLATFORM_A, UTILITY_A, run=1)
    assert story.life().state is State.SETTLED


def test_settled_stays_settled_in_later_runs() -> None:
    story = sealed_day().applied(PLATFORM_A, PLATFORM_B).applied(PLATFORM_A, UTILITY_A)
    assert story.at(END + 16 * DAY).sealed(1).life().state is State.SETTLED


def test_claimed() -> None:
    story = sealed_day()
    for payee in (PLATFORM_B, UTILITY_A):
        story.tell("ClaimApplied", trade_digest=DIGEST, payer=PLATFORM_A, payee=payee, run=0)
    assert story.life().state is State.SETTLED


def test_claim_of_another_trade() -> None:
    story = sealed_day().applied(PLATFORM_A, UTILITY_A)
    story.tell("ClaimApplied", trade_digest=keccak256(b"other"), payer=PLATFORM_A, payee=PLATFORM_B, run=0)
    assert story.life().state is State.SEALED


def test_pair_without_money_gets_no_row() -> None:
    """Between two platforms under one roof, at a price of nothing, nothing is to be settled but the wheeling."""
    free = trade(rates=(0, 1_000_000))
    digest = DOMAIN.digest(free)
    story = sealed_day().applied(PLATFORM_A, UTILITY_A)
    one = SigningTrade(digest, free, roots_of(digest, [BATCH_ROOT]), 4, ())
    assert life_of(one, story.facts(), DEFAULT).state is State.SETTLED


def test_unknown_template_is_never_called_settled() -> None:
    story = sealed_day().applied(PLATFORM_A, PLATFORM_B).applied(PLATFORM_A, UTILITY_A)
    assert life_of(signing(), story.facts(), None).state is State.SEALED
    assert INTER_UTILITY.template_id != ONE.template


def test_curtailed() -> None:
    story = Story().committed()
    story.tell("Curtailed", trade_digest=DIGEST, contracted_wh=3_000)
    story.tell("Curtailed", trade_digest=DIGEST, contracted_wh=4_000)
    assert story.life().contracted_wh == 3_000

    life = story.tell("Curtailed", trade_digest=DIGEST, contracted_wh=0).life()
    assert life.reason is not None
    assert (life.contracted_wh, life.reason.cause) == (0, Cause.CURTAILED)
    story.at(END).posted(UTILITY_A, UTILITY_B).at(DEADLINE + DAY).sealed()
    assert story.life().state is State.SETTLED, "there is nothing to settle"


# --- time ---


def test_pauses_put_deadlines_off() -> None:
    assert later(100, 50, ()) == 150
    assert later(100, 50, [Pause(10, 90)]) == 150, "over before"
    assert later(100, 50, [Pause(90, 110)]) == 160, "only what lies behind the beginning"
    assert later(100, 50, [Pause(120, 130)]) == 160
    assert later(100, 50, [Pause(120, 130), Pause(155, 165)]) == 170, "reached because of the first"
    assert later(100, 50, [Pause(150, 170)]) == 150, "begins as the time is over"
