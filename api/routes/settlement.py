"""`/v1/cycles` and `/v1/rows`: what is public about settling."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import Connection

from api.access import Scope
from api.batches import contract_refuses
from api.bodies import NewRows
from api.calls import MAX_ROWS_A_CALL, Call, SettleRows, Signed, SignedRow
from api.idempotency import Answer, Effect
from api.relaying import Known
from api.routes.parts import MAX_NUMBER, Cycle, Parts
from api.serving import Asked, RefusedValue, answer, described, made
from api.views.cycles import cycle_view, summary
from api.views.rows import rows_of
from chain.errors import Reverted
from settlement.documents import document
from settlement.errors import SettlementError
from settlement.hashing import Hash32, keccak256
from wire.problems import FieldProblem, Refused

MAX_ROWS = 512
SETTLE = "settle"


def routes(parts: Parts) -> APIRouter:
    """The routes of cycles and rows."""
    router = APIRouter(tags=["settlement"])
    reader, writer = parts.reception.reader(Scope.SETTLEMENT), parts.reception.writer()
    market = parts.market

    @router.get(
        "/v1/cycles",
        operation_id="listCycles",
        summary="The cycles in which something was committed",
        **described(200, "Cycles"),
        dependencies=[Depends(reader)],
    )
    def list_cycles() -> Response:
        """Ascending."""
        moment = market.moment()
        items = [document(summary(market.facts(one, moment), moment.number)) for one in market.cycles()]
        return answer(moment, {"items": items})

    @router.get(
        "/v1/cycles/{cycle}",
        operation_id="getCycle",
        summary="A cycle: its runs, deadlines, posted allocations, sealed inputs",
        **described(200, "CycleAnswer"),
        dependencies=[Depends(reader)],
    )
    def get_cycle(cycle: Cycle) -> Response:
        """Of any cycle; one in which nothing was committed is UNUSED."""
        moment = market.moment()
        return answer(moment, document(cycle_view(market.facts(cycle, moment), moment.number)))

    @router.get(
        "/v1/rows",
        operation_id="listRows",
        summary="The rows of a cycle: applied, pending, struck, skipped",
        **described(200, "Rows"),
        dependencies=[Depends(reader)],
    )
    def list_rows(
        cycle: Annotated[int, Query(ge=0, le=MAX_NUMBER, description="The number of the cycle")],
    ) -> Response:
        """In the order of their newest events."""
        moment = market.moment()
        return answer(moment, {"items": [document(row) for row in rows_of(market.facts(cycle, moment))]})

    @router.post(
        "/v1/rows",
        operation_id="settleRows",
        summary="Settle rows that both their members signed",
        **described(
            202,
            "Transactions",
            ("not-yours", "member-signature-wrong", "contract-refuses"),
            body="NewRows",
        ),
    )
    def settle_rows(asked: Annotated[Asked, Depends(writer)]) -> Response:
        """Relayed in calls of at most 64. A row that does not apply is skipped; `/v1/rows` says why."""
        return parts.reception.once(asked, lambda: _settling(parts, asked))

    return router


def _settling(parts: Parts, asked: Asked) -> Effect:
    rows = asked.read(NewRows).rows
    if not 0 < len(rows) <= MAX_ROWS:
        raise RefusedValue(SettlementError("rows", len(rows), f"from 1 to {MAX_ROWS} rows"))
    digests = _checked(parts, asked, rows)
    calls = [
        Signed(
            SETTLE,
            keccak256(*digests[start : start + MAX_ROWS_A_CALL]),
            SettleRows(rows[start : start + MAX_ROWS_A_CALL]),
        )
        for start in range(0, len(rows), MAX_ROWS_A_CALL)
    ]
    known = {one.subject: parts.relayer.known(one.subject) for one in calls}
    for one in calls:
        if known[one.subject] is None:
            rehearse(parts, one.call)
    moment = parts.market.moment()
    members = {member for one in rows for member in (one.row.payer, one.row.payee)}

    def keep(connection: Connection) -> Answer:
        views = [parts.relayer.relay(connection, one, sorted(members), known[one.subject]) for one in calls]
        return made(moment, {"items": [document(view) for view in views], "finality": "pending"}, 202)

    return keep


def _checked(parts: Parts, asked: Asked, rows: tuple[SignedRow, ...]) -> list[Hash32]:
    """The digests of rows of the caller's that both their members signed."""
    authority = parts.market.authority()
    digests, errors = [], []
    for place, one in enumerate(rows):
        if asked.caller.member not in (one.row.payer, one.row.payee):
            raise Refused("not-yours", f"rows[{place}]: a row is settled by its payer or payee")
        try:
            digest = parts.market.domain.digest(one.row)
        except ValueError as error:
            raise RefusedValue(SettlementError(f"rows[{place}].row", "", str(error))) from error
        digests.append(digest)
        for name, member in (("payer", one.row.payer), ("payee", one.row.payee)):
            signature = one.payer_signature if name == "payer" else one.payee_signature
            fault = authority.fault(digest, member, signature)
            if fault is not None:
                pointer = f"#/rows/{place}/{name}_signature"
                errors.append(FieldProblem(pointer, f"the signature of 0x{member.hex()} {fault}"))
    if errors:
        raise Refused("member-signature-wrong", errors[0].detail, errors=tuple(errors))
    return digests


def rehearse(parts: Parts, call: Call) -> None:
    """Has the node try a call. Raises Refused with the contract's words where it would be refused."""
    try:
        parts.market.rehearse(call)
    except Reverted as error:
        raise contract_refuses(error) from error


def relay_one(parts: Parts, signed: Signed, members: tuple[Hash32, ...]) -> Effect:
    """What relays one signed object, tried on the node first unless it was relayed before."""
    known: Known | None = parts.relayer.known(signed.subject)
    if known is None or known.has_failed:
        rehearse(parts, signed.call)
    moment = parts.market.moment()

    def keep(connection: Connection) -> Answer:
        return made(moment, document(parts.relayer.relay(connection, signed, members, known)), 202)

    return keep
