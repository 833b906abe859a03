"""The outermost layer of the gateway: an id for each request, the limit of its body, what is counted and logged.

Plain ASGI. Nothing of a request's body, headers or query is logged, and nothing is counted by raw address.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wire.problems import MEDIA_TYPE, Problem, Refused

REQUEST_ID: Final = "X-Request-Id"
LAG: Final = "X-Index-Lag-Blocks"

_ID = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
_log = structlog.get_logger("api.requests")


class Metrics:
    """What the gateway counts, in a registry of its own."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        build = Gauge("clearwatt_build_info", "The program", ["version"], registry=self.registry)
        build.labels(version).set(1)
        self.requests = Counter(
            "clearwatt_requests_total", "Requests", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "clearwatt_request_seconds", "Time to the last byte", ["method", "route"], registry=self.registry
        )
        self.refusals = Counter("clearwatt_refusals_total", "Problems answered", ["code"], registry=self.registry)
        self.replays = Counter("clearwatt_replays_total", "Answers given again", registry=self.registry)
        self.chain_head = Gauge("clearwatt_chain_head", "The node's newest block", registry=self.registry)
        self.index_head = Gauge("clearwatt_index_head", "The newest followed block", registry=self.registry)
        self.index_lag = Gauge("clearwatt_index_lag_blocks", "Blocks behind the node", registry=self.registry)
        self.reorganisations = Counter("clearwatt_reorgs_total", "Times blocks left the chain", registry=self.registry)
        self.feed_seq = Gauge("clearwatt_feed_seq", "The newest item of the feed", registry=self.registry)
        self.relayed = Counter("clearwatt_relayed_total", "Calls handed to the sender", registry=self.registry)
        self.failures = Counter(
            "clearwatt_loop_failures_total", "Rounds of a loop that failed", ["loop", "error"], registry=self.registry
        )


class Edge:
    """Wraps the application. What it lets pass to the outside is an answer of ours, whatever happened inside."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_body: int, lag: Callable[[], int | None]) -> None:
        """`max_body` in bytes; `lag` is how many blocks the index is behind."""
        self._app = app
        self._metrics = metrics
        self._max_body = max_body
        self._lag = lag

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(scope)
        state["headers"] = {REQUEST_ID: state["request_id"]}
        answered: dict[str, Any] = {"status": 0}
        began = time.monotonic()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered["status"] = message["status"]
                lag = self._lag()
                extra = state["headers"] | ({} if lag is None else {LAG: str(lag)})
                message = {**message, "headers": [*message["headers"], *_raw(extra)]}
            await send(message)

        try:
            await self._app(scope, _limited(receive, scope, self._max_body), sending)
        except Exception:
            _log.exception("defect", request_id=state["request_id"])
            if not answered["status"]:
                await _send_problem(Problem("internal-error", "this program failed"), state["request_id"], sending)
        finally:
            self._told(scope, answered["status"], time.monotonic() - began)

    def _told(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(seconds)
        state: MutableMapping[str, Any] = scope["state"]
        _log.info(
            "request",
            method=method,
            route=route,
            status=status,
            milliseconds=int(seconds * 1000),
            request_id=state["request_id"],
            caller=state.get("caller"),
            code=state.get("code"),
        )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        found: str = value.decode("latin-1")
        if name == b"x-request-id" and _ID.fullmatch(found):
            return found
    return secrets.token_hex(12)


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _limited(receive: Receive, scope: Scope, limit: int) -> Receive:
    """Reads no more of a body than the limit: what says that it is longer, and what turns out to be."""
    stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    seen = int(stated) if stated.isdigit() and int(stated) > limit else 0

    async def limited() -> Message:
        nonlocal seen
        if seen > limit:
            raise Refused("body-too-large", f"at most {limit} bytes are taken")
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise Refused("body-too-large", f"at most {limit} bytes are taken")
        return message

    return limited


async def _send_problem(problem: Problem, request_id: str, send: Send) -> None:
    body = json.dumps(problem.document() | {"trace_id": request_id}).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
