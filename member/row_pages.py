"""What a member shows of its rows: who signed, or at which leaf the two differ; who attested, who refused and why.

A row is shown to its two members and to nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from member.comparing import DISAGREEMENT, Disagreement, RowName
from member.rowbook import Statements
from member.service import Caller, answer
from settlement.documents import document, value_of
from settlement.hashing import Hash32
from settlement.trade import FlowLeaf, Row, Signature
from store.desk import EVIDENCE
from store.records import MemberSignature, RowState, Way

if TYPE_CHECKING:
    from member.daemon import Daemon

REFUSAL = "refusal"
"""The kind of facts under which attestors' refusals are kept, by row digest and attestor."""


@dataclass(frozen=True, slots=True)
class AttestorRefused:
    """Why an attestor did not sign a row: at the first leaf that differs, or (no position) for another reason."""

    attestor: Hash32
    position: int | None
    shown: FlowLeaf | None
    own: FlowLeaf | None
    reason: str


@dataclass(frozen=True, slots=True)
class RowShown:
    """A row and all that was said about it. Signatures and attestations are those that its member has."""

    row: Row
    digest: Hash32
    way: Way
    state: str
    note: str
    payer_signature: Signature | None
    payee_signature: Signature | None
    attestations: tuple[MemberSignature, ...]
    refusals: tuple[AttestorRefused, ...]
    difference: Disagreement | None
    evidence: Statements | None


def refusal_key(digest: Hash32, attestor: Hash32) -> str:
    """The key of an attestor's refusal of a row."""
    return f"0x{digest.hex()}:0x{attestor.hex()}"


def routes(daemon: Daemon[Any]) -> APIRouter:
    """Where a member's rows are looked at."""
    router = APIRouter(prefix="/v1/rows")

    @router.get("")
    def all_rows(caller: Caller, cycle: int | None = Query(None, ge=0)) -> Response:
        return answer({"rows": document(_shown(daemon, caller, cycle, None))})

    @router.get("/{cycle}/{run}")
    def rows_of_run(caller: Caller, cycle: int, run: int) -> Response:
        return answer({"rows": document(_shown(daemon, caller, cycle, run))})

    return router


def _shown(daemon: Daemon[Any], caller: Hash32, cycle: int | None, run: int | None) -> list[RowShown]:
    me, store = daemon.me.id, daemon.store
    found = [
        one
        for one in store.row_states(cycle)
        if caller in (one.payer, one.payee, me) and (run is None or one.run == run)
    ]
    if not found:
        return []
    differences, evidence, refusals = (store.facts(kind) for kind in (DISAGREEMENT, EVIDENCE, REFUSAL))
    return [_page(me, one, differences, evidence, refusals) for one in found]


def _page(
    me: Hash32,
    one: RowState,
    differences: Mapping[str, Any],
    evidence: Mapping[str, Any],
    refusals: Mapping[str, Any],
) -> RowShown:
    own, other = (one.own, one.other) if me in (one.payer, one.payee) else (None, None)
    payer, payee = (own, other) if me == one.payer else (other, own)
    difference = differences.get(RowName(one.cycle, one.run, one.payer, one.payee).key)
    statements = evidence.get(Statements.key_of(one.row, one.way))
    return RowShown(
        row=one.row,
        digest=one.digest,
        way=one.way,
        state=one.state,
        note=one.note,
        payer_signature=payer,
        payee_signature=payee,
        attestations=one.attestations,
        refusals=tuple(
            value_of(AttestorRefused, said)
            for key, said in sorted(refusals.items())
            if key.startswith(f"0x{one.digest.hex()}:")
        ),
        difference=None if difference is None or one.state == "applied" else value_of(Disagreement, difference),
        evidence=None if statements is None else value_of(Statements, statements),
    )
