"""Asking other members: signed requests over HTTP, with time-outs, a few retries, and patience with the silent.

Whoever gave no answer is left alone for a while, longer each time, so that a dead member costs the others no time; it
is asked again at once when it asks for something itself.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from member.desk import Member
from member.errors import PeerRefused, PeerSilent
from settlement.hashing import Hash32
from settlement.identity import member_id
from wire.bodies import body_of, read_body
from wire.problems import Problem, Refused
from wire.signed_requests import sign, target_of

CONNECT_SECONDS: Final = 2
ANSWER_SECONDS: Final = 15
ATTEMPTS: Final = 3
LARGEST_ANSWER: Final = 64 << 20
_PAUSE_SECONDS: Final = 0.1
_SILENCE_SECONDS: Final = (0.5, 1, 2, 4)


@dataclass
class _Silence:
    """How often in a row somebody gave no answer, and until when nobody asks again (a monotonic time)."""

    times: int = 0
    until: float = 0


class Peer:
    """One program that this member asks: another member, or the gateway. Any thread may use it."""

    def __init__(self, name: str, url: str, me: Member, client: httpx.Client, wall: Callable[[], int]) -> None:
        self.name = name
        self.url = url
        self._me = me
        self._client = client
        self._wall = wall
        self._silence = _Silence()

    def get(self, path: str) -> Any:
        """The document at a path (with its query). Raises PeerSilent, PeerRefused."""
        return self._ask("GET", path, b"", {})

    def post(self, path: str, document: Any, idempotency_key: str | None = None) -> Any:
        """The answer to a document; it may arrive twice. Raises PeerSilent, PeerRefused."""
        extra = {"Content-Type": "application/json"}
        if idempotency_key is not None:
            extra["Idempotency-Key"] = idempotency_key
        return self._ask("POST", path, body_of(document), extra)

    def heard(self) -> None:
        """It is alive: it asked for something itself."""
        self._silence = _Silence()

    def _ask(self, method: str, path: str, body: bytes, extra: Mapping[str, str]) -> Any:
        if time.monotonic() < self._silence.until:
            raise PeerSilent(self.name, "gave no answer a moment ago")
        said = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311
            try:
                status, raw = self._exchange(method, path, body, extra)
            except httpx.TransportError as error:
                said = str(error) or type(error).__name__
                if isinstance(error, httpx.TimeoutException):
                    break  # it had its time
                continue
            try:
                found = read_body(raw) if raw else None
            except Refused as error:
                said = f"HTTP {status} with what is no JSON of ours: {error.detail}"
                continue
            problem = None if status < 400 else Problem.read(found)
            if problem is not None or 200 <= status < 300:
                self._silence = _Silence()
                if problem is not None:
                    raise PeerRefused(self.name, problem)
                return found
            said = f"HTTP {status} without a problem document"
        times = self._silence.times
        pause = _SILENCE_SECONDS[min(times, len(_SILENCE_SECONDS) - 1)]
        self._silence = _Silence(times + 1, time.monotonic() + pause)
        raise PeerSilent(self.name, said)

    def _exchange(self, method: str, path: str, body: bytes, extra: Mapping[str, str]) -> tuple[int, bytes]:
        """One signed request: a nonce of its own each time, so that a retry is no replay."""
        target = target_of(self.url, path)
        signed = sign(self._me.key, self._me.id, method, target, body, self._wall(), secrets.token_hex(16))
        with self._client.stream(method, target, headers={**extra, **signed}, content=body or None) as answer:
            raw = bytearray()
            for chunk in answer.iter_bytes():
                raw += chunk
                if len(raw) > LARGEST_ANSWER:
                    raise httpx.ReadError(f"an answer of more than {LARGEST_ANSWER} bytes")
            return answer.status_code, bytes(raw)


class Peers:
    """The other members by address. Any thread may use it."""

    def __init__(
        self,
        me: Member,
        urls: Mapping[str, str],
        gateway: str | None = None,
        wall: Callable[[], int] = lambda: int(time.time()),
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """`urls` by subscriber id; `wall` is this machine's clock, UTC epoch seconds."""
        times = httpx.Timeout(answer_seconds, connect=CONNECT_SECONDS)
        self._client = httpx.Client(timeout=times, trust_env=False, follow_redirects=False)
        self._peers = {member_id(name): Peer(name, url, me, self._client, wall) for name, url in urls.items()}
        self.gateway = None if gateway is None else Peer("gateway", gateway, me, self._client, wall)
        """The market's gateway, where there is one."""

    def knows(self, member: Hash32) -> bool:
        """Whether a member has an address here."""
        return member in self._peers

    def peer(self, to: str | Hash32) -> Peer:
        """A member by subscriber id or member id. Raises PeerSilent for one without an address."""
        found = self._peers.get(member_id(to) if isinstance(to, str) else to)
        if found is None:
            raise PeerSilent(to if isinstance(to, str) else "0x" + to.hex(), "no address here")
        return found

    def get(self, to: str | Hash32, path: str) -> Any:
        """`Peer.get` of a member."""
        return self.peer(to).get(path)

    def post(self, to: str | Hash32, path: str, document: Any) -> Any:
        """`Peer.post` to a member."""
        return self.peer(to).post(path, document)

    def heard(self, member: Hash32) -> None:
        """A member asked for something, so it is alive."""
        if member in self._peers:
            self._peers[member].heard()

    def close(self) -> None:
        """Ends every connection; what waits for an answer fails."""
        self._client.close()
