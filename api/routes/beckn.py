"""`/beckn/…`: messages of the Beckn protocol, answered in its own words; and `/v1/orders`, what came of them."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from api.access import Caller, Kind, Scope
from api.beckn import BecknOrders, BecknSettings
from api.message import MessageRefused
from api.routes.parts import Cursor, Limit, Parts, cursor_of, seq_of
from api.serving import Asked, answer, described
from store import orders
from store.orders import Message
from wire.beckn_signature import SIGNED_HEADERS, SignatureRefused
from wire.problems import Refused

ACK: Final = {"message": {"ack": {"status": "ACK"}}}
CHALLENGE: Final = {"WWW-Authenticate": f'Signature realm="clearwatt",headers="{SIGNED_HEADERS}"'}
_log = structlog.get_logger("api.beckn")


def adapter(settings: BecknSettings, wall: Callable[[], int]) -> Callable[[Parts], APIRouter]:
    """The routes of Beckn messages for a market with these settings; `wall` is the wall clock, Unix seconds."""

    def routes(parts: Parts) -> APIRouter:
        return _routes(parts, BecknOrders(parts.market, parts.database, settings, wall))

    return routes


def _routes(parts: Parts, beckn: BecknOrders) -> APIRouter:
    router = APIRouter(tags=["beckn"])

    def take(request: Request, action: str, body: bytes) -> Response:
        if not parts.pulse.has_started:
            raise Refused("try-again", "the chain is being followed up to its newest block")
        signature = request.headers.get("authorization", "")

        def caller() -> Caller:
            member = beckn.sender(signature, body)
            return Caller(Kind.MEMBER, "0x" + member.hex(), frozenset({member}), frozenset())

        found = parts.reception.admitted(request, "write", caller)
        for remark in beckn.take(action, found.member, Message(body, signature)):
            _log.info("remark", action=action, body=hashlib.sha256(body).hexdigest(), remark=remark)
        return JSONResponse(ACK)

    @router.post("/beckn/{action}", include_in_schema=False)
    async def taken(request: Request, action: str) -> Response:
        """A message signed by its sender, acknowledged or not; what comes of it stands in `/v1/orders`."""
        try:
            return await run_in_threadpool(take, request, action, await request.body())
        except SignatureRefused as error:
            return _nack(request, 401, error.code, error.detail, headers=CHALLENGE)
        except MessageRefused as error:
            return _nack(request, 400, error.code, error.detail, path=error.pointer)
        except Refused as error:
            problem = error.problem
            if problem.status == 500:
                _log.error("settings", detail=problem.detail)
            # The networks' own codes for what is no fault of the message begin like this.
            code = f"NET_{problem.code.upper().replace('-', '_')}"
            return _nack(request, problem.status, code, problem.detail)

    return router


def _nack(
    request: Request, status: int, code: str, detail: str, path: str = "", headers: dict[str, str] | None = None
) -> Response:
    request.state.code = code
    error = {"code": code, "message": detail} | ({"path": path} if path else {})
    return JSONResponse({"message": {"ack": {"status": "NACK"}}, "error": error}, status, headers)


def order_routes(parts: Parts) -> APIRouter:
    """What came of messages: orders that wait for their trades."""
    router = APIRouter(tags=["trades"])
    reader = parts.reception.reader(Scope.TRADES)

    @router.get(
        "/v1/orders",
        operation_id="listOrders",
        summary="Orders that came in platforms' messages",
        **described(200, "Orders"),
    )
    def list_orders(asked: Annotated[Asked, Depends(reader)], cursor: Cursor = "", limit: Limit = 100) -> Response:
        """In the order in which they came, for their two platforms; utilities know meters by pseudonyms alone.

        `document` is the text whose hash, salted, a trade of the order carries as `order_hash`. `next` goes on behind
        the last item, also where there is nothing behind it yet.
        """
        moment = parts.market.moment()
        after = seq_of(cursor)
        with parts.database.reading() as connection:
            page = orders.orders_page(connection, asked.caller.members, after, limit)
        items: list[dict[str, Any]] = [
            {"trade_id": "0x" + one.trade_id.hex(), "order": dict(one.order), "document": one.document} for one in page
        ]
        return answer(moment, {"items": items, "next": cursor_of(page[-1].seq if page else after)})

    return router
