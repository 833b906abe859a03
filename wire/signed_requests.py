"""Requests signed by members: HTTP message signatures (RFC 9421) with the key that also signs trades and rows.

`docs/protocol.md`, "Requests between members", says what is covered. A signature is good for one request to one
address within a minute; it says who asks, nothing more: what moves value carries signatures of its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from settlement import typed_data
from settlement.hashing import Hash32, keccak256
from settlement.trade import Signature
from wire.problems import Refused

LABEL: Final = "clearwatt"
ALGORITHM: Final = "ecdsa-secp256k1-keccak256"
WINDOW_SECONDS: Final = 60

_WITHOUT_BODY: Final = ("@method", "@target-uri")
_WITH_BODY: Final = (*_WITHOUT_BODY, "content-digest")
_PORTS: Final = {"http": 80, "https": 443}

_FORM: Final = f'LABEL=(COMPONENTS);created=SECONDS;nonce="NONCE";keyid="0xMEMBER";alg="{ALGORITHM}"'
_LABEL: Final = r"[a-z*][a-z0-9_\-.*]*"
_INPUT: Final = re.compile(
    rf'(?P<label>{_LABEL})=(?P<parameters>\((?P<covered>"[^" ]*"(?: "[^" ]*")*)\)'
    r';created=(?P<created>[0-9]{1,15});nonce="(?P<nonce>[A-Za-z0-9_-]{16,64})"'
    rf';keyid="0x(?P<member>[0-9a-f]{{64}})";alg="{ALGORITHM}")',
    re.ASCII,
)
_SIGNATURE: Final = re.compile(rf"({_LABEL})=:([A-Za-z0-9+/]+={{0,2}}):", re.ASCII)


class RequestRefused(Refused):
    """A request that is not shown to come from a member."""


class NonceMemory:
    """The nonces of the last minutes, at most `limit` of each member. Thread-safe.

    It does not outlive its process: what a request asks for is idempotent, and a signature is stale in a minute.
    """

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._until: dict[Hash32, dict[str, int]] = {}
        self._lock = threading.Lock()

    def take(self, member: Hash32, nonce: str, until: int, now: int) -> None:
        """Remembers a nonce until the wall-clock second `until`.

        Raises RequestRefused where it is known, and where the member has sent more than the memory holds.
        """
        with self._lock:
            mine = self._until.setdefault(member, {})
            if len(mine) >= self._limit:
                for old in [one for one, end in mine.items() if end < now]:
                    del mine[old]
            if mine.get(nonce, -1) >= now:
                raise RequestRefused("signature-replayed", f"the nonce {nonce} was used before")
            if len(mine) >= self._limit:
                raise RequestRefused("too-many-requests", f"more than {self._limit} requests within two minutes")
            mine[nonce] = until


def target_of(base: str, path: str) -> str:
    """The target URI of a path (with its query) at a base URL: scheme and host in lower case, no default port."""
    parts = urlsplit(base)
    host = (parts.hostname or "").lower()
    named = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{named}{port}{parts.path.rstrip('/')}{path if path.startswith('/') else '/' + path}"


def sign(
    key: bytes, member: Hash32, method: str, target_uri: str, body: bytes, created: int, nonce: str
) -> dict[str, str]:
    """The headers that sign a request; `created` is the wall clock, UTC epoch seconds.

    A GET without a body gets no `Content-Digest`; every other request does, for an empty body as well.
    """
    headers = {"Content-Digest": content_digest(body)} if _has_body(method, body) else {}
    covered = _WITH_BODY if headers else _WITHOUT_BODY
    names = " ".join(f'"{name}"' for name in covered)
    parameters = f'({names});created={created};nonce="{nonce}";keyid="0x{member.hex()}";alg="{ALGORITHM}"'
    base = signature_base(method, target_uri, headers.get("Content-Digest"), parameters)
    made = typed_data.sign(key, keccak256(base))
    raw = base64.b64encode(made.r + made.s + bytes([made.v])).decode()
    return headers | {"Signature-Input": f"{LABEL}={parameters}", "Signature": f"{LABEL}=:{raw}:"}


def verify(
    headers: Mapping[str, str],
    method: str,
    target_uri: str,
    body: bytes,
    now: int,
    keys: Callable[[Hash32], Collection[bytes]],
    seen: NonceMemory,
) -> Hash32:
    """The member that signed the request.

    `target_uri` is where the verifier itself is reached, never taken from the request's own headers; `now` is the wall
    clock; `keys` gives the addresses (20 bytes) whose signature counts for a member now. Raises RequestRefused.
    """
    given = {name.lower(): value.strip() for name, value in headers.items()}
    if "signature-input" not in given or "signature" not in given:
        raise RequestRefused("signature-missing", "Signature-Input and Signature are wanted")
    claimed = _Claimed.read(given["signature-input"])
    signature = _signature(given["signature"], claimed.label)
    wanted = _WITH_BODY if _has_body(method, body) else _WITHOUT_BODY
    if claimed.covered != wanted:
        raise RequestRefused("signature-malformed", f"the signature must cover {', '.join(wanted)}")
    digest = given.get("content-digest") if "content-digest" in wanted else None
    if digest is None and "content-digest" in wanted:
        raise RequestRefused("signature-missing", "Content-Digest is wanted")
    if digest is not None and digest != content_digest(body):
        raise RequestRefused("digest-differs", "Content-Digest must be the body's, by sha-256 alone")
    if abs(now - claimed.created) > WINDOW_SECONDS:
        raise RequestRefused("signature-stale", f"created at {claimed.created}, the clock here says {now}")
    allowed = keys(claimed.member)
    if not allowed:
        raise RequestRefused("member-unknown", f"0x{claimed.member.hex()} has no key in this market")
    base = signature_base(method, target_uri, digest, claimed.parameters)
    if typed_data.recover(keccak256(base), signature) not in allowed:
        raise RequestRefused("signature-wrong", f"not the member's signature of {method} {target_uri}")
    # Last, so that nobody but the member fills its memory.
    seen.take(claimed.member, claimed.nonce, claimed.created + WINDOW_SECONDS, now)
    return claimed.member


def signature_base(method: str, target_uri: str, digest: str | None, parameters: str) -> bytes:
    """What is hashed and signed (RFC 9421, section 2.5); `parameters` is the value of `@signature-params`."""
    lines = [f'"@method": {method}', f'"@target-uri": {target_uri}']
    if digest is not None:
        lines.append(f'"content-digest": {digest}')
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode()


def content_digest(body: bytes) -> str:
    """The `Content-Digest` of a body (RFC 9530) by SHA-256."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


@dataclass(frozen=True, slots=True)
class _Claimed:
    """What `Signature-Input` says."""

    label: str
    parameters: str
    covered: tuple[str, ...]
    member: Hash32
    created: int
    nonce: str

    @classmethod
    def read(cls, text: str) -> _Claimed:
        """Of one signature, with just the parameters that the protocol names, in its order."""
        match = _INPUT.fullmatch(text)
        if match is None:
            raise RequestRefused("signature-malformed", f"Signature-Input must be {_FORM}")
        return cls(
            match["label"],
            match["parameters"],
            tuple(name.strip('"') for name in match["covered"].split(" ")),
            bytes.fromhex(match["member"]),
            int(match["created"]),
            match["nonce"],
        )


def _signature(text: str, label: str) -> Signature:
    match = _SIGNATURE.fullmatch(text)
    if match is None or match[1] != label:
        raise RequestRefused("signature-malformed", f"Signature must hold the bytes of {label} alone")
    try:
        raw = base64.b64decode(match[2], validate=True)
    except binascii.Error as error:
        raise RequestRefused("signature-malformed", "the signature is not base64") from error
    if len(raw) != 65:
        raise RequestRefused("signature-malformed", "the signature must be r, s and v in 65 bytes")
    return Signature(raw[64], raw[:32], raw[32:64])


def _has_body(method: str, body: bytes) -> bool:
    return bool(body) or method not in ("GET", "HEAD")
