"""What the chain says of two members in a cycle: what is locked and applied, which row is pending, which versions were.

Everything here follows from the cycle's events, so that nobody has to remember it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from chain.claims import MadeClaim, claims_of
from chain.evidence import Event, Evidence, struct
from settlement.flows import Pair
from settlement.hashing import Hash32
from settlement.rows import RowContent
from settlement.trade import Lock, Row

_AMOUNT: Final = (1 << 96) - 1
_ATTESTED: Final = 3  # the way of RowApplied
_TELLING: Final = (
    "BatchCommitted",
    "TradeRegistered",
    "Applied",
    "RowAttested",
    "ChunkPublished",
    "RowPublished",
    "RowStruck",
    "RowApplied",
)


@dataclass(frozen=True, slots=True)
class PendingRow:
    """An attested row that has neither been applied nor struck; times are block times.

    `published` counts its leaves on chain, `chunks` are the transactions that carry them, in order; `published_at` is
    when the last of them came and its window began, None before.
    """

    row: Row
    digest: Hash32
    attested_at: int
    published: int = 0
    chunks: tuple[str, ...] = ()
    published_at: int | None = None


@dataclass(frozen=True, slots=True)
class PairState:
    """Where an ordered pair stands in a cycle; amounts are base units.

    `version` is that of the last applied row, `highest_version` of any row seen, applied or not. `settled_run` is the
    last run that a row on sealed inputs or a claim has settled, None before.
    """

    lock: int = 0
    applied: int = 0
    version: int = 0
    settled_run: int | None = None
    is_agreed: bool = False
    is_attested: bool = False
    highest_version: int = 0
    pending: PendingRow | None = None
    applied_digests: frozenset[Hash32] = field(default_factory=frozenset)

    def with_word(self, word: int) -> PairState:
        """The same after the escrow wrote the pair's word (`docs/protocol.md`, section 8)."""
        version = word >> 192 & (1 << 32) - 1
        settled_runs = word >> 224 & (1 << 16) - 1
        return replace(
            self,
            lock=word & _AMOUNT,
            applied=word >> 96 & _AMOUNT,
            version=version,
            settled_run=settled_runs - 1 if settled_runs else None,
            is_agreed=bool(word >> 240 & 1),
            is_attested=bool(word >> 241 & 1),
            highest_version=max(self.highest_version, version),
        )

    def has_row_of(self, run: int) -> bool:
        """Whether a row of this run has settled the pair, so that claims are left out."""
        return self.settled_run == run and (self.is_agreed or self.is_attested)

    @property
    def next_version(self) -> int:
        """The version that the next row of the pair takes, agreed or attested."""
        return self.highest_version + 1


NOTHING_YET: Final = PairState()


def pair_states(evidence: Evidence, cycle: int) -> dict[Pair, PairState]:
    """The state of every pair that has a lock or a row in the cycle."""
    states: dict[Pair, PairState] = {}
    pairs: dict[Hash32, Pair] = {}  # of attested rows, whose leaves come with the digest alone
    for event in evidence.of(*_TELLING):
        if event.fields.get("cycle", cycle) != cycle:
            continue
        if event.name in ("BatchCommitted", "TradeRegistered"):
            for lock in (struct(Lock, one) for one in event["locks"]):
                state = states.get((lock.payer, lock.payee), NOTHING_YET)
                states[lock.payer, lock.payee] = replace(state, lock=state.lock + lock.amount)
            continue
        if event.name == "RowAttested":
            pairs[event["row_digest"]] = event["payer"], event["payee"]
        pair = (event["payer"], event["payee"]) if "payer" in event.fields else pairs.get(event["row_digest"])
        if pair is not None:
            states[pair] = _after(states.get(pair, NOTHING_YET), event)
    return states


class PairStates:
    """The states of all pairs by cycle, kept until something new is followed of the cycle. Any thread may use it."""

    def __init__(self, evidence_of: Callable[[int], Evidence]) -> None:
        self._evidence_of = evidence_of
        self._kept: dict[int, tuple[Evidence, Mapping[Pair, PairState]]] = {}

    def of(self, cycle: int) -> Mapping[Pair, PairState]:
        """The pairs of a cycle that have a lock or a row, and how they stand."""
        evidence = self._evidence_of(cycle)
        kept = self._kept.get(cycle)
        if kept is None or kept[0] is not evidence:
            kept = evidence, pair_states(evidence, cycle)
            self._kept[cycle] = kept
        return kept[1]


def _after(state: PairState, event: Event) -> PairState:
    """A pair's state after an event of the escrow's or of a row's."""
    pending = state.pending
    match event.name:
        case "Applied":
            return state.with_word(event["word"])
        case "RowAttested":
            row = struct(Row, event["row"])
            highest = max(state.highest_version, row.version)
            return replace(state, highest_version=highest, pending=PendingRow(row, event["row_digest"], event.time))
        case "RowStruck":
            return replace(state, pending=None)
        case "RowApplied":
            left = None if event["way"] == _ATTESTED else pending
            return replace(state, pending=left, applied_digests=state.applied_digests | {event["row_digest"]})
    if pending is None or pending.digest != event["row_digest"]:
        return state
    if event.name == "RowPublished":
        return replace(state, pending=replace(pending, published_at=event.time))
    chunks = (*pending.chunks, event.transaction)
    return replace(state, pending=replace(pending, published=event["first"] + event["count"], chunks=chunks))


def pending_claims(evidence: Evidence, cycle: int) -> list[MadeClaim]:
    """The claims of a cycle that are neither applied nor struck, nor ended by another that was applied.

    A claim that no flow was applied for (rows held all of them) leaves no event and stays here.
    """
    made = claims_of(evidence, cycle)
    ended = {one.of for one in made if one.applied_at}
    return [one for one in made if not one.struck_at and one.of not in ended]


def who_wants(pair: Pair, state: PairState, content: RowContent, keep: int) -> Hash32 | None:
    """Which of the two would gain by the row `content` that keeps `keep` locked, and so proposes it; None if neither.

    The payee where more is due than is applied; the payer where less is, or where a lock would be released.
    """
    payer, payee = pair
    if content.amount > state.applied:
        return payee
    if content.amount < state.applied or state.lock > keep:
        return payer
    return None


def pairs_concerned(member: Hash32, states: Mapping[Pair, PairState], rows: Mapping[Pair, RowContent]) -> list[Pair]:
    """The ordered pairs of a member that have a flow in its rows, or a lock or an applied amount on chain."""
    standing = {pair for pair, state in states.items() if state.lock or state.applied}
    return sorted(pair for pair in {*standing, *rows} if member in pair)
