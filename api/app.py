"""The gateway as an ASGI application: routes, how refusals are answered, health."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from api.health import Pulse
from api.openapi import TITLE, describe
from api.routes import batches, beckn, market, money, settlement, trades
from api.routes.parts import Parts
from api.serving import Reception, RefusedValue
from api.telemetry import Edge, Metrics
from chain.errors import ChainError
from settlement.errors import SettlementError
from wire.problems import MEDIA_TYPE, FieldProblem, Problem, Refused

RETRY: Final = {"Retry-After": "1"}
CHALLENGE: Final = {"WWW-Authenticate": "Signature, Bearer"}
_RETRIED = frozenset({"request-running", "try-again", "index-stale"})
_log = structlog.get_logger("api.app")


Adapter = Callable[[Parts], APIRouter]
"""Routes of another protocol: what they read becomes a `NewTrade`, which `parts.proposals` takes like any other."""


OWN: Final[tuple[Adapter, ...]] = (
    trades.routes,
    beckn.order_routes,
    batches.routes,
    settlement.routes,
    money.routes,
    market.routes,
)


def build_app(
    parts: Parts,
    status: Callable[[], dict[str, Any]],
    metrics: Metrics,
    max_body: int,
    adapters: Sequence[Adapter] = (),
) -> FastAPI:
    """The application that members and auditors call; `adapters` answer beside its own routes."""
    app = _bare_app((*OWN, *adapters), parts)
    _answer_refusals(app, metrics)

    async def how(_: Request) -> Response:
        return JSONResponse(status())

    app.router.routes.extend([*_health(parts.pulse), Route("/v1/status", how)])
    app.add_middleware(Edge, metrics=metrics, max_body=max_body, lag=lambda: parts.pulse.lag)
    return app


def document_text() -> str:
    """The OpenAPI document of the gateway's own routes, as it is committed in `api/openapi.json`."""
    # Describing asks nothing of a gateway's parts: only the doors in front of its routes are looked at.
    nothing: Any = None
    parts = Parts(nothing, nothing, Reception(nothing, nothing, nothing, "", nothing), *[nothing] * 5)
    return json.dumps(_bare_app(OWN, parts).openapi(), indent=2, ensure_ascii=False) + "\n"


def _bare_app(adapters: Sequence[Adapter], parts: Parts) -> FastAPI:
    """The routes, and the application's description of itself at `/openapi.json`."""
    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]

    async def openapi(_: Request) -> Response:
        return JSONResponse(app.openapi())

    app.router.routes.append(Route("/openapi.json", openapi))
    for routes in adapters:
        app.include_router(routes(parts))
    return app


def build_admin(pulse: Pulse, metrics: Metrics) -> FastAPI:
    """What operators reach on a listener of its own: health and metrics."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    async def measured(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.router.routes.extend([*_health(pulse), Route("/metrics", measured)])
    return app


def _health(pulse: Pulse) -> list[Route]:
    async def livez(_: Request) -> Response:
        hanging = pulse.hanging
        return PlainTextResponse(f"hanging: {', '.join(hanging)}" if hanging else "alive", 503 if hanging else 200)

    async def readyz(_: Request) -> Response:
        found = pulse.components()
        is_ready = all(one.is_ready for one in found)
        components = {one.name: one.reason or "ready" for one in found}
        return JSONResponse({"ready": is_ready, "components": components}, 200 if is_ready else 503)

    async def startupz(_: Request) -> Response:
        return PlainTextResponse("started" if pulse.has_started else "starting", 200 if pulse.has_started else 503)

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/startupz", startupz)]


def _answer_refusals(app: FastAPI, metrics: Metrics) -> None:
    """Every refusal becomes a problem document here, and nowhere else."""

    def told(request: Request, problem: Problem) -> Response:
        metrics.refusals.labels(problem.code).inc()
        request.state.code = problem.code
        headers = RETRY if problem.code in _RETRIED else CHALLENGE if problem.status == 401 else {}
        body = problem.document() | {"trace_id": request.state.request_id}
        return JSONResponse(body, problem.status, headers=headers, media_type=MEDIA_TYPE)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)  # noqa: S101 - registered for it
        return told(request, error.problem)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        errors = tuple(
            FieldProblem("#/" + "/".join(str(part) for part in one["loc"]), one["msg"]) for one in error.errors()
        )
        return told(request, Problem("value-refused", "a parameter does not fit", errors))

    async def ruled_out(request: Request, error: Exception) -> Response:
        assert isinstance(error, SettlementError)  # noqa: S101
        return told(request, RefusedValue(error).problem)

    async def unanswered(request: Request, error: Exception) -> Response:
        # The kind alone: a text may carry the node's address.
        _log.warning("node", error=type(error).__name__, request_id=request.state.request_id)
        return told(request, Problem("try-again", "the chain's node does not answer as it should"))

    async def busy(request: Request, _: Exception) -> Response:
        return told(request, Problem("try-again", "the database is busy"))

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "internal-error")
        found = told(request, Problem(code, f"{request.method} {request.url.path} is not served here"))
        found.headers.update(error.headers or {})
        return found

    for kind, handler in (
        (Refused, refused),
        (RequestValidationError, invalid),
        (SettlementError, ruled_out),
        (ChainError, unanswered),
        (OperationalError, busy),
        (HTTPException, unrouted),
    ):
        app.add_exception_handler(kind, handler)
