"""What a cycle's events say of its pairs, and who gains by a row."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from chain.claims import claims_of
from chain.evidence import Event, Evidence
from member.pairs import NOTHING_YET, PairState, PendingRow, pair_states, pending_claims, who_wants
from settlement import preimages
from settlement.hashing import keccak256
from settlement.merkle import EMPTY_ROOT
from settlement.rows import RowContent
from settlement.trade import Claim, FlowLeaf, Row

CYCLE = 7
PAYER, PAYEE = keccak256(b"payer"), keccak256(b"payee")
PAIR = PAYER, PAYEE
ROW = Row(CYCLE, 0, 3, PAYER, PAYEE, 0, 0, EMPTY_ROOT, 0, keccak256(b"inputs"))
DIGEST = keccak256(b"row")
WORD = 40 | 60 << 96 | 2 << 192 | 1 << 224 | 1 << 240


def event(name: str, time: int = 100, transaction: str = "0x01", **fields: Any) -> Event:
    return Event("Settlement", name, fields, transaction, time)


def of_pair(name: str, **fields: Any) -> Event:
    return event(name, cycle=CYCLE, payer=PAYER, payee=PAYEE, **fields)


COMMITTED = event(
    "BatchCommitted", number=1, cycle=CYCLE, locks=({"payer": PAYER, "payee": PAYEE, "amount": 25},), record={}
)
APPLIED = of_pair("Applied", paid=60, released=0, word=WORD)
ATTESTED = of_pair("RowAttested", row=asdict(ROW), row_digest=DIGEST, mask=7)
PUBLISHED = (
    event("ChunkPublished", row_digest=DIGEST, first=0, count=128, transaction="0x0a"),
    event("ChunkPublished", row_digest=DIGEST, first=128, count=2, transaction="0x0b"),
    event("RowPublished", 500, row_digest=DIGEST),
)


def state_after(*events: Event) -> PairState:
    return pair_states(Evidence(events), CYCLE).get(PAIR, NOTHING_YET)


def test_locks_of_all_commitments_add_up() -> None:
    assert state_after(COMMITTED, COMMITTED).lock == 50


def test_the_escrows_word_says_everything_at_once() -> None:
    state = state_after(COMMITTED, APPLIED)

    assert (state.lock, state.applied, state.version, state.settled_run) == (40, 60, 2, 0)
    assert (state.is_agreed, state.is_attested, state.next_version) == (True, False, 3)


def test_an_early_row_settles_no_run() -> None:
    assert state_after(of_pair("Applied", paid=0, released=0, word=5 << 96 | 1 << 192)).settled_run is None


def test_an_attested_row_is_pending_and_raises_the_version() -> None:
    state = state_after(APPLIED, ATTESTED)

    assert (state.pending, state.version, state.next_version) == (PendingRow(ROW, DIGEST, 100), 2, 4)


def test_its_leaves_and_its_window_are_followed() -> None:
    pending = state_after(ATTESTED, *PUBLISHED).pending

    assert pending == PendingRow(ROW, DIGEST, 100, 130, ("0x0a", "0x0b"), 500)


def test_leaves_of_another_row_are_not_taken_for_its_own() -> None:
    other = event("RowPublished", 500, row_digest=keccak256(b"other"))

    assert state_after(ATTESTED, other).pending == PendingRow(ROW, DIGEST, 100)


@pytest.mark.parametrize(
    "end",
    [
        of_pair("RowStruck", row_digest=DIGEST, reason="wrong leaf"),
        of_pair("RowApplied", way=3, run=0, version=3, amount=0, row_digest=DIGEST),
    ],
)
def test_a_struck_or_applied_row_is_pending_no_more_but_its_version_counts(end: Event) -> None:
    state = state_after(ATTESTED, *PUBLISHED, end)

    assert (state.pending, state.next_version) == (None, 4)


def test_other_cycles_say_nothing() -> None:
    assert pair_states(Evidence((replace(APPLIED, fields={**APPLIED.fields, "cycle": 8}),)), CYCLE) == {}


CLAIM = Claim(CYCLE, 0, DIGEST, 1, 1, 0, 1, 0, 100, ())
BESIDE = replace(CLAIM, settled_wh=2)
OTHERS = replace(CLAIM, run=1), replace(CLAIM, trade_digest=PAYER)


def claimed(claim: Claim = CLAIM) -> Event:
    return event("Claimed", trade_digest=claim.trade_digest, cycle=CYCLE, claim=asdict(claim))


def about(name: str, claim: Claim = CLAIM) -> Event:
    told = {"trade_digest": claim.trade_digest, "run": claim.run, "claim_hash": preimages.claim_record(claim)}
    return event(name, 200, cycle=CYCLE, payer=PAYER, payee=PAYEE, **told)


def pending(*events: Event) -> list[Claim]:
    return [one.claim for one in pending_claims(Evidence(events), CYCLE)]


def test_claims_are_pending_until_they_apply_or_fall() -> None:
    made = [claimed(one) for one in (CLAIM, BESIDE, *OTHERS)]

    assert pending(*made) == [CLAIM, BESIDE, *OTHERS]
    assert pending(*made, about("ClaimStruck")) == [BESIDE, *OTHERS]
    assert pending(*made, about("ClaimStruck", BESIDE)) == [CLAIM, *OTHERS]
    assert pending(*made, about("ClaimStruck"), claimed()) == [BESIDE, *OTHERS, CLAIM]
    # The first that applies ends the others of its trade and run.
    assert pending(*made, about("ClaimApplied", BESIDE)) == [*OTHERS]


def test_what_became_of_a_claim_is_told_by_its_hash() -> None:
    told = [claimed(), claimed(BESIDE), about("ClaimStruck"), about("ClaimApplied", BESIDE), claimed()]

    ends = [(one.claim, one.applied_at, one.struck_at) for one in claims_of(Evidence(tuple(told)), CYCLE)]
    assert ends == [(CLAIM, 0, 200), (BESIDE, 200, 0), (CLAIM, 0, 0)]


@pytest.mark.parametrize(
    ("amount", "applied", "lock", "keep", "wants"),
    [
        (10, 10, 0, 0, None),
        (10, 4, 9, 0, PAYEE),
        (10, 10, 1, 0, PAYER),
        (10, 10, 5, 5, None),
        (4, 10, 0, 0, PAYER),
        (0, 0, 3, 2, PAYER),
        (0, 0, 0, 9, None),
    ],
)
def test_who_gains_proposes(amount: int, applied: int, lock: int, keep: int, wants: bytes | None) -> None:
    leaves = (FlowLeaf(DIGEST, 0, 1, amount, DIGEST),) if amount else ()

    assert who_wants(PAIR, PairState(lock=lock, applied=applied), RowContent(*PAIR, leaves), keep) == wants
