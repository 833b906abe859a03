"""How far a trade has come, from the signatures on it and the chain's events alone.

The gateway sees no leaves: that a utility posted its allocation is public, what it allocated to a trade is not. So
ALLOCATED means that both utilities posted and no mark says otherwise, and a reading that is MISSING shows itself only
to the trade's signers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from api.views.cycle_facts import CycleFacts, Seen
from api.views.finality import Finality, of_block
from settlement import preimages
from settlement.figures import Marks, SideMarks, counts
from settlement.flows import Pair, waiting_amounts
from settlement.formula.templates import Template
from settlement.hashing import Hash32
from settlement.placed import PlacedTrade, Side
from settlement.trade import Trade


class State(StrEnum):
    """What has happened to a trade."""

    PROPOSED = "PROPOSED"
    PENDING_SIGNATURES = "PENDING_SIGNATURES"
    COMMITTED = "COMMITTED"
    ALLOCATED = "ALLOCATED"
    SEALED = "SEALED"
    SETTLED = "SETTLED"
    WAITING = "WAITING"


class Cause(StrEnum):
    """Why a trade waits, or goes no further."""

    EXPIRED = "expired"
    COMMITMENT = "commitment"
    RELAY_REFUSED = "relay-refused"
    MISSING_ALLOCATION = "missing-allocation"
    VOID_GROUP = "void-group"
    UNANSWERED = "unanswered"
    TWICE = "twice"
    CONTESTED = "contested"
    CURTAILED = "curtailed-to-nothing"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a trade is where it is: for programs and for people. `side` is buyer or seller where one is meant."""

    cause: Cause
    detail: str
    side: str | None = None


@dataclass(frozen=True, slots=True)
class SigningTrade:
    """A trade as the gateway knows it before the chain does.

    `missing` are the members whose signature is missing, on the trade or its locks. `refused` is why its commitment was
    refused when it was last tried; `orphaned` says that a transaction with it left the chain.
    """

    digest: Hash32
    trade: Trade
    roots: tuple[Hash32, ...]
    signed: int
    missing: tuple[Hash32, ...]
    refused: str | None = None
    orphaned: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """How far a trade has come; `number` is that of its commitment, `run` the newest that its state rests on."""

    state: State
    reason: Reason | None
    finality: Finality
    contracted_wh: int
    number: int | None = None
    run: int | None = None


def life_of(one: SigningTrade, facts: CycleFacts, template: Template | None) -> Life:
    """Where a trade is now. `facts` are its cycle's, `template` its template where that is registered."""
    seen = place_of(one.roots, facts)
    if seen is None:
        return _unplaced(one, facts)
    contracted = facts.curtailed(one.digest, one.trade.contracted_wh)
    # The index in a batch counts under FIFO alone, which is the utilities' affair.
    placed = PlacedTrade(one.digest, one.trade, seen.commitment.number, 0, contracted)
    state, reason, run, blocks = _placed(placed, facts, template)
    if contracted == 0:
        reason = Reason(Cause.CURTAILED, "its quantity was curtailed to 0")
    at = max((seen.event.block, *blocks))
    return Life(state, reason, of_block(at, facts.final_block), contracted, seen.commitment.number, run)


def place_of(roots: Iterable[Hash32], facts: CycleFacts) -> Seen | None:
    """The commitment of the lowest number that has one of these roots."""
    found = [seen for root in roots for seen in facts.by_root.get(root, ())]
    return min(found, key=lambda seen: seen.commitment.number, default=None)


def _unplaced(one: SigningTrade, facts: CycleFacts) -> Life:
    state = State.PROPOSED if not one.signed else State.PENDING_SIGNATURES
    reason = None
    last = min(one.trade.valid_until, one.trade.slot_start - facts.config.gate)
    if facts.now > last:
        reason = Reason(Cause.EXPIRED, f"it could be committed until {last}; the next revision is a new trade")
    elif not one.missing:
        state = State.WAITING
        reason = Reason(Cause.COMMITMENT, "all signatures are there; it is not in a block yet")
        if one.refused is not None:
            reason = Reason(Cause.RELAY_REFUSED, one.refused)
    finality = Finality.ORPHANED if one.orphaned else Finality.PENDING
    return Life(state, reason, finality, one.trade.contracted_wh)


def _placed(
    placed: PlacedTrade, facts: CycleFacts, template: Template | None
) -> tuple[State, Reason | None, int | None, Sequence[int]]:
    """State, reason, run, and the blocks they rest on."""
    run = facts.next_run - 1
    if run < 0:
        return _before_seals(placed, facts)
    seal = facts.seals[run]
    first = next((earlier for earlier in range(run + 1) if _blocked(placed, facts, earlier) is None), None)
    if first is None:
        return State.WAITING, _blocked(placed, facts, run), run, [seal.block]
    settling = [] if placed.contracted_wh == 0 or template is None else _pairs(placed, template)
    if template is not None and all(_is_settled(pair, placed.digest, facts, first) for pair in settling):
        return State.SETTLED, None, run, [seal.block, *_settling_blocks(settling, placed.digest, facts)]
    return State.SEALED, None, run, [seal.block]


def _before_seals(placed: PlacedTrade, facts: CycleFacts) -> tuple[State, Reason | None, int | None, Sequence[int]]:
    posted = [facts.postings.get(placed.utility(side), {}).get(0) for side in Side]
    blocks = [event.block for event in posted if event is not None]
    blocked = _blocked(placed, facts, 0)
    deadline = facts.deadline(0)
    if blocked is None:
        return State.ALLOCATED, None, 0, blocks
    if blocked.cause is Cause.MISSING_ALLOCATION and deadline is not None and facts.now < deadline:
        return State.COMMITTED, None, None, []
    return State.WAITING, blocked, 0, blocks


def _blocked(placed: PlacedTrade, facts: CycleFacts, run: int) -> Reason | None:
    """What keeps a trade from settling in a run, as far as it shows on the chain; None where nothing does."""
    if run == facts.config.last_run and run in facts.seals:
        return None  # the last run decides without what is missing
    marks = facts.marks(run, placed)
    for side in Side:
        cause = _side_blocked(placed, side, facts, run, marks)
        if cause is not None:
            name = side.name.lower()
            return Reason(cause, _DETAILS[cause].format(side=name, run=run), name)
    return None


def _side_blocked(placed: PlacedTrade, side: Side, facts: CycleFacts, run: int, marks: Marks) -> Cause | None:
    mine = marks.of_side(placed.digest, side)
    if mine.recorded is not None and mine.recorded_run <= run:
        return None
    void = marks.void_runs_of(placed, side)
    runs = sorted((one for one in facts.postings.get(placed.utility(side), {}) if one <= run), reverse=True)
    if not runs:
        return Cause.MISSING_ALLOCATION
    # Not judged as the last run even where it is: a contest holds its side up until the seal, which was asked above.
    if any(counts(one, run, void, mine, last_run=run + 1) for one in runs):
        return None
    return _mark_on(runs[0], void, mine)


def _mark_on(leaf_run: int, void: int, marks: SideMarks) -> Cause:
    for mask, cause in ((void, Cause.VOID_GROUP), (marks.twice, Cause.TWICE), (marks.unanswered, Cause.UNANSWERED)):
        if mask >> leaf_run & 1:
            return cause
    return Cause.CONTESTED


def _pairs(placed: PlacedTrade, template: Template) -> list[Pair]:
    """The pairs between which the trade can move money. A pair whose flows come to 0 in any case gets no row."""
    return list(dict.fromkeys(pair for pair, amount in waiting_amounts(placed, template) if amount))


def _is_settled(pair: Pair, digest: Hash32, facts: CycleFacts, first: int) -> bool:
    """Whether a row of a run in which the trade settles has applied between two members, or a claim of the trade."""
    runs = facts.settled_run(pair), facts.claimed_run(digest, pair)
    return any(run is not None and run >= first for run in runs)


def _settling_blocks(pairs: Sequence[Pair], digest: Hash32, facts: CycleFacts) -> list[int]:
    wanted = set(pairs)
    return [
        event.block
        for event in facts.evidence.of("RowApplied", "ClaimApplied")
        if (event["payer"], event["payee"]) in wanted
        and (event.name == "RowApplied" or event["trade_digest"] == digest)
    ]


def roots_of(digest: Hash32, batch_roots: Iterable[Hash32]) -> tuple[Hash32, ...]:
    """The roots under which a trade may stand: its own leaf's where it is registered, those of batches with it."""
    return preimages.trade_leaf(digest), *batch_roots


_DETAILS = {
    Cause.MISSING_ALLOCATION: "the {side}'s utility has posted no allocation up to run {run}",
    Cause.VOID_GROUP: "the {side}'s group is void in run {run}: a fault in its utility's leaves was proven",
    Cause.UNANSWERED: "the {side}'s leaf was demanded in run {run} and not shown",
    Cause.TWICE: "the {side} has two leaves in one tree in run {run}",
    Cause.CONTESTED: "the {side}'s reading is contested in run {run}",
}
