"""Rows of a cycle: what applied and how, what is attested and how far it is published, what was skipped and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from api.views.clock import later
from api.views.cycle_facts import AGREED, ATTESTED, EARLY, CycleFacts
from api.views.finality import Finality, of_block
from chain.evidence import Event
from settlement.hashing import Hash32


class RowState(StrEnum):
    """What became of a row; a pending one is `attested` until all leaves are in, then `published`."""

    APPLIED = "applied"
    ATTESTED = "attested"
    PUBLISHED = "published"
    STRUCK = "struck"
    SKIPPED = "skipped"


WAYS = {AGREED: "agreed", EARLY: "early", ATTESTED: "attested"}


@dataclass(frozen=True, slots=True)
class RowView:
    """A row as the chain tells of it; money in base units, `at` and `applies_from` UTC epoch seconds.

    `published` counts leaves of `count`. `digest` and what follows from the row itself are null for a skipped one, of
    which the chain tells pair, version and `reason` alone.
    """

    payer: Hash32
    payee: Hash32
    state: RowState
    way: str
    version: int
    run: int | None
    amount: int | None
    paid: int | None
    owed: int | None
    owed_back: int | None
    count: int | None
    published: int | None
    applies_from: int | None
    digest: Hash32 | None
    reason: str | None
    at: int
    transaction: Hash32
    finality: Finality


def rows_of(facts: CycleFacts) -> tuple[RowView, ...]:
    """Every row of a cycle of which the chain tells, in the order of its newest event."""
    pending: dict[Hash32, RowView] = {}
    found: dict[int | Hash32, RowView] = {}
    for place, event in enumerate(facts.evidence.of(*_READERS)):
        match event.name:
            case "RowApplied":
                _end(pending, found, event["row_digest"])
                found[place] = _applied(event, facts)
            case "RowStruck":
                struck = _end(pending, found, event["row_digest"])
                if struck is not None:
                    found[place] = replace(
                        struck, state=RowState.STRUCK, reason=event["reason"], **_told_by(event, facts)
                    )
            case "RowSkipped":
                found[place] = _skipped(event, facts)
            case _:
                digest: Hash32 = event["row_digest"]
                known = _end(pending, found, digest)
                row = _attested(event, facts) if event.name == "RowAttested" else _published(known, event, facts)
                if row is not None:
                    pending[digest] = found[digest] = row
    return tuple(found.values())


def _end(pending: dict[Hash32, RowView], found: dict[int | Hash32, RowView], digest: Hash32) -> RowView | None:
    """Takes a pending row out of its place: what became of it now stands last."""
    found.pop(digest, None)
    return pending.pop(digest, None)


_READERS = ("RowApplied", "RowAttested", "ChunkPublished", "RowPublished", "RowStruck", "RowSkipped")


def _told_by(event: Event, facts: CycleFacts) -> dict[str, Any]:
    return {
        "at": event.time,
        "transaction": bytes.fromhex(event.transaction.removeprefix("0x")),
        "finality": of_block(event.block, facts.final_block),
    }


def _empty(event: Event, facts: CycleFacts, state: RowState, way: str, version: int) -> RowView:
    return RowView(
        payer=event["payer"],
        payee=event["payee"],
        state=state,
        way=way,
        version=version,
        run=None,
        amount=None,
        paid=None,
        owed=None,
        owed_back=None,
        count=None,
        published=None,
        applies_from=None,
        digest=None,
        reason=None,
        at=event.time,
        transaction=bytes.fromhex(event.transaction.removeprefix("0x")),
        finality=of_block(event.block, facts.final_block),
    )


def _applied(event: Event, facts: CycleFacts) -> RowView:
    return replace(
        _empty(event, facts, RowState.APPLIED, WAYS[event["way"]], event["version"]),
        run=event["run"],
        amount=event["amount"],
        paid=event["paid"],
        owed=event["owed"],
        owed_back=event["owed_back"],
        digest=event["row_digest"],
    )


def _attested(event: Event, facts: CycleFacts) -> RowView:
    row = event["row"]
    return replace(
        _empty(event, facts, RowState.ATTESTED, WAYS[ATTESTED], row["version"]),
        run=row["run"],
        amount=row["amount"],
        count=row["count"],
        published=0,
        digest=event["row_digest"],
    )


def _skipped(event: Event, facts: CycleFacts) -> RowView:
    # Only agreed rows are skipped; an early one that is too late is skipped like any other.
    return replace(
        _empty(event, facts, RowState.SKIPPED, WAYS[AGREED], event["version"]),
        reason=event["reason"],
    )


def _published(row: RowView | None, event: Event, facts: CycleFacts) -> RowView | None:
    """A pending row after more of its leaves, or the last of them, were published."""
    if row is None:
        return None
    told = _told_by(event, facts)
    if event.name == "ChunkPublished":
        return replace(row, published=event["first"] + event["count"], **told)
    applies_from = later(event.time, facts.config.row_window, facts.pauses)
    return replace(row, state=RowState.PUBLISHED, published=row.count, applies_from=applies_from, **told)
