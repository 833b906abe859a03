"""What every route shares: who asks, how often it may, what an answer looks like, and how it is described."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse

from api.access import Caller, Door, Scope
from api.idempotency import HEADER, Answer, Effect, Given, Once, fingerprint, request_key
from api.limits import Buckets
from api.market import Moment
from api.views.finality import Finality
from settlement.documents import value_of
from settlement.errors import SettlementError
from wire.bodies import read_body
from wire.problem_types import PROBLEM_TYPES
from wire.problems import Refused, value_refused
from wire.signed_requests import target_of

T = TypeVar("T")

AS_OF: Final = "X-As-Of-Block"
REPLAYED: Final = "Idempotency-Replayed"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of somebody who is known; `body` is as it came."""

    caller: Caller
    request: Request
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON. Raises Refused."""
        return read_body(self.body)

    def read(self, kind: type[T]) -> T:
        """The body as a value. Raises Refused with the pointer of the field that does not fit."""
        try:
            return value_of(kind, self.document)
        except SettlementError as error:
            raise RefusedValue(error) from error


class RefusedValue(Refused):
    """What the rules refuse in a request."""

    def __init__(self, error: SettlementError) -> None:
        problem = value_refused(error)
        super().__init__(problem.code, problem.detail, errors=problem.errors)


async def _body(request: Request) -> bytes:
    return await request.body()


class Reception:
    """Lets callers in, and their requests through once."""

    def __init__(self, door: Door, buckets: Buckets, once: Once, public_url: str, changed: Callable[[], None]) -> None:
        """`public_url` is where callers reach the gateway, what they sign; `changed` is told of each change."""
        self._door = door
        self._buckets = buckets
        self._once = once
        self._public_url = public_url
        self._changed = changed

    def reader(self, scope: Scope, rate: str = "read") -> Callable[..., Asked]:
        """A dependency: a member, or an auditor whose key has the scope."""

        def asked(request: Request, body: bytes = Depends(_body)) -> Asked:
            found = self._asked(request, body, rate)
            found.caller.require(scope)
            return found

        return asked

    def writer(self) -> Callable[..., Asked]:
        """A dependency: a member that wants something done."""

        def asked(request: Request, body: bytes = Depends(_body)) -> Asked:
            found = self._asked(request, body, "write")
            _ = found.caller.member
            return found

        return asked

    def once(self, asked: Asked, prepare: Callable[[], Effect]) -> Response:
        """The answer to a request that changes something; see `Once.answer`."""
        request = asked.request
        route = f"{request.method} {request.scope['route'].path}"
        key = request_key(asked.caller.name, route, request.headers.get(HEADER))
        what = fingerprint(request.method, request.url.path, asked.document)
        given = self._once.answer(key, what, prepare)
        if not given.is_replayed:
            self._changed()
        return _given(given)

    def admitted(self, request: Request, rate: str, known: Callable[[], Caller]) -> Caller:
        """Who sent a request, as `known` finds out; one request of the class `rate` is taken from its bucket.

        What `known` raises goes on, once a request was taken from the bucket of the address. Raises Refused where
        nothing is left.
        """
        try:
            caller = known()
        except Exception:
            host = request.client.host if request.client else "unknown"
            self._take(request, host, "anonymous")
            raise
        request.state.caller = caller.name
        self._take(request, caller.name, rate)
        return caller

    def _asked(self, request: Request, body: bytes, rate: str) -> Asked:
        target = target_of(self._public_url, _path(request))
        known = partial(self._door.caller, request.headers, request.method, target, body)
        return Asked(self.admitted(request, rate, known), request, body)

    def _take(self, request: Request, caller: str, rate: str) -> None:
        allowance = self._buckets.take(caller, rate)
        request.state.headers.update(allowance.headers)
        if allowance.wait:
            raise Refused("too-many-requests", f"{allowance.rate.burst} within {allowance.rate.seconds} s are taken")


def _path(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return raw.decode("latin-1") + (f"?{query}" if query else "")


def answer(
    moment: Moment, document: Mapping[str, Any], finality: Finality | None = None, status: int = 200
) -> JSONResponse:
    """A resource as of a moment. `finality` is its own, or that of the moment's block."""
    body = dict(document)
    if finality is not None or "finality" not in body:
        body["finality"] = finality or (Finality.FINAL if moment.number <= moment.final else Finality.INCLUDED)
    body["as_of_block"] = block_document(moment)
    return JSONResponse(body, status, headers={AS_OF: str(moment.number)})


def made(moment: Moment, document: Mapping[str, Any], status: int) -> Answer:
    """The same for an answer that is kept."""
    return Answer(status, {**document, "as_of_block": block_document(moment)})


def block_document(moment: Moment) -> dict[str, Any]:
    """The block that an answer is as of."""
    return {"number": moment.number, "hash": "0x" + moment.hash.hex(), "time": moment.time}


def _given(given: Given) -> Response:
    headers = {REPLAYED: "true"} if given.is_replayed else {}
    number = json.loads(given.body).get("as_of_block", {}).get("number")
    if number is not None:
        headers[AS_OF] = str(number)
    return Response(given.body, given.status, headers, media_type="application/json")


Route = Callable[..., Response | Awaitable[Response]]

# Whatever is asked, these may be the answer.
_ANY_READ: Final = (
    "signature-missing",
    "signature-malformed",
    "signature-stale",
    "signature-replayed",
    "signature-wrong",
    "digest-differs",
    "member-unknown",
    "value-refused",
    "too-many-requests",
    "internal-error",
    "try-again",
    "scope-missing",
    "api-key-wrong",
    "body-too-large",
    "body-malformed",
)
_ANY_WRITE: Final = (
    "idempotency-key-missing",
    "idempotency-key-reused",
    "request-running",
)


def described(
    status: int,
    schema: str,
    problems: Iterable[str] = (),
    *,
    body: str | None = None,
    also: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """What a route's decorator takes for the OpenAPI document: schemas by name, and every problem by its status."""
    codes = (*_ANY_READ, *problems, *(_ANY_WRITE if body else ()))
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(PROBLEM_TYPES[code].status, []).append(code)
    responses: dict[int | str, dict[str, Any]] = {
        number: {"description": text, "content": _json(schema)}
        for number, text in {status: "As asked.", **(also or {})}.items()
    }
    for number, listed in sorted(by_status.items()):
        responses[number] = {
            "description": ", ".join(f"`{code}`" for code in sorted(listed)),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    extra: dict[str, Any] = {"security": [{"member": []}] if body else [{"member": []}, {"auditor": []}]}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": _json(body)}
        extra["parameters"] = [_KEY_HEADER]
    return {"responses": responses, "openapi_extra": extra, "response_class": Response, "status_code": status}


_KEY_HEADER: Final = {
    "name": HEADER,
    "in": "header",
    "required": True,
    "description": "Chosen once for what is meant, and sent again with every repetition.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
