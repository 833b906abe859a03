"""A member's HTTP service: who asks is known by signature, refusals are problem documents, bodies are bounded.

Routes are plain functions that run in worker threads. Each module with routes makes them from the daemon:
`routes(daemon) -> APIRouter`. `Caller` is the member that asks, `Body` the document it sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any, Final

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chain.errors import ConnectionFailed, NothingFollowed
from member.errors import NotKnown
from settlement.canonical_json import Json
from settlement.documents import value_of
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from store.records import PlacedTrade
from wire.bodies import body_of, read_body
from wire.problems import MEDIA_TYPE, FieldProblem, Problem, Refused, value_refused
from wire.signed_requests import NonceMemory, target_of, verify

if TYPE_CHECKING:
    from member.daemon import Daemon

LARGEST_BODY: Final = 16 << 20

_log = structlog.get_logger("service")


class Door:
    """Lets in who is a member. Any thread may use it."""

    def __init__(
        self,
        url: Callable[[], str],
        keys: Callable[[Hash32], Collection[bytes]],
        heard: Callable[[Hash32], None],
        wall: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        """`url` is where this service is reached, `keys` as in `verify`; `heard` is told who asked."""
        self._url = url
        self._keys = keys
        self._heard = heard
        self._wall = wall
        self._seen = NonceMemory()

    def caller(self, method: str, path: str, headers: Any, body: bytes) -> Hash32:
        """The member that signed a request; `path` with its query, as it came. Raises RequestRefused."""
        target = target_of(self._url(), path)
        member = verify(headers, method, target, body, self._wall(), self._keys, self._seen)
        self._heard(member)
        return member


async def _caller(request: Request) -> Hash32:
    door: Door = request.app.state.door
    raw: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    path = (raw + b"?" + query if query else raw).decode("ascii", "replace")
    # In a thread: recovering a key and reading the registry take a while.
    return await run_in_threadpool(door.caller, request.method, path, request.headers, await request.body())


async def _body(request: Request) -> Any:
    return read_body(await request.body())


Caller = Annotated[Hash32, Depends(_caller)]
"""The member that asks."""

Body = Annotated[Any, Depends(_body)]
"""The JSON document in the body; `settlement.documents.value_of` makes a value of it."""


def build_app(daemon: Daemon[Any]) -> FastAPI:
    """The service of a daemon, with the routes of its modules."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.door = Door(lambda: daemon.url, daemon.market.keys_of, daemon.peers.heard)
    app.include_router(routes(daemon))
    for router in daemon.routers:
        app.include_router(router)
    _answer_with_problems(app)
    app.add_middleware(BoundedBody, largest=LARGEST_BODY)
    return app


def answer(document: Json, status: int = 200) -> Response:
    """A document as a response."""
    return Response(body_of(document), status, media_type="application/json")


def routes(daemon: Daemon[Any]) -> APIRouter:
    """What every member answers: how it is, and trades that were put on the chain."""
    router = APIRouter(prefix="/v1")

    @router.get("/status")
    async def status() -> Response:  # no thread of its own: it is asked often, and waits for nothing
        return answer(daemon.status())

    @router.post("/trades/placed")
    def placed(caller: Caller, body: Body) -> Response:
        given = _placed_trades(body)
        by_cycle: dict[int, list[PlacedTrade]] = {}
        for place, one in enumerate(given):
            cycle = _cycle_of_place(daemon, place, one)
            by_cycle.setdefault(cycle, []).append(one)
        for cycle, trades in by_cycle.items():
            if not set(trades) <= set(daemon.store.placed(cycle)):
                daemon.store.place(trades, cycle)
                daemon.wake()
        daemon.log.info("places taken", count=len(given), by=daemon.market.name(caller))
        return answer({"taken": len(given)})

    return router


def _placed_trades(body: Any) -> tuple[PlacedTrade, ...]:
    if not isinstance(body, dict) or body.keys() != {"trades"}:
        raise SettlementError("$", list(body) if isinstance(body, dict) else None, "must be an object of trades")
    return value_of(tuple[PlacedTrade, ...], body["trades"], "$.trades")


def _cycle_of_place(daemon: Daemon[Any], place: int, one: PlacedTrade) -> int:
    """The cycle in which the trade stands at its place. Raises Refused where it does not, or not yet."""
    if daemon.me.id not in one.trade.signers:
        raise Refused("not-yours", f"this member is no signer of trade 0x{one.digest.hex()}")
    commitment = daemon.market.commitment(one.number)
    if commitment is None:
        raise Refused("try-again", f"commitment {one.number} is not followed here yet")
    fault = daemon.desk.place_fault(one)
    if fault is not None:
        raise Refused("place-invalid", fault, errors=(FieldProblem(f"#/trades/{place}", fault),))
    return commitment.record.cycle


# --- refusals ---


def _answer_with_problems(app: FastAPI) -> None:
    """Turns what routes raise into problem documents, in this one place."""

    def handler(make: Callable[[Any], Problem]) -> Any:
        def handle(request: Request, error: Exception) -> Response:
            problem = make(error)
            if problem.code == "internal-error":
                _log.error("request failed", path=request.url.path, code=problem.code, error=repr(error))
            return problem_response(problem)

        return handle

    app.add_exception_handler(Refused, handler(lambda error: error.problem))
    app.add_exception_handler(SettlementError, handler(value_refused))
    app.add_exception_handler(NotKnown, handler(lambda error: Problem("not-found", str(error))))
    app.add_exception_handler(HTTPException, handler(_of_framework))
    app.add_exception_handler(RequestValidationError, handler(_of_validation))
    app.add_exception_handler(ConnectionFailed, handler(lambda _: Problem("try-again", "the chain gives no answer")))
    app.add_exception_handler(NothingFollowed, handler(lambda _: Problem("try-again", "no block is followed yet")))
    app.add_exception_handler(OperationalError, handler(lambda _: Problem("try-again", "the database is busy")))
    app.add_exception_handler(Exception, handler(lambda _: Problem("internal-error", "see the log of this member")))


def problem_response(problem: Problem) -> Response:
    """A problem as a response."""
    headers = {"WWW-Authenticate": "Signature"} if problem.status == 401 else {}
    return Response(body_of(problem.document()), problem.status, headers, MEDIA_TYPE)


def _of_framework(error: HTTPException) -> Problem:
    code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "internal-error")
    return Problem(code, str(error.detail))


def _of_validation(error: RequestValidationError) -> Problem:
    found = tuple(
        FieldProblem("#/" + "/".join(str(part) for part in one["loc"]), str(one["msg"])) for one in error.errors()
    )
    return Problem("value-refused", "a parameter does not fit", found)


class BoundedBody:
    """Refuses bodies above a size, before they are in memory."""

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._largest:
                raise Refused("body-too-large", f"at most {self._largest} bytes are taken")
            return message

        await self._app(scope, counted, send)
