"""The HTTP signature of Beckn messages: who sent these bytes, by Ed25519, and until when it may be taken.

The `Authorization` header names the key (`subscriber|key id|ed25519`), when it was made and when it expires; what is
signed are three lines over those times and the BLAKE2b-512 digest of the body's raw bytes. Nothing here parses the
body: a signature over JSON that somebody parsed and wrote again would prove nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "ed25519"
SIGNED_HEADERS = "(created) (expires) digest"
SKEW_SECONDS = 5
"""How far ahead of ours a sender's clock may be; an expired signature is never taken."""

_ATTRIBUTE = re.compile(r'\s*([A-Za-z]+)\s*=\s*"?([^",]*)"?\s*', re.ASCII)
_ATTRIBUTES = frozenset({"keyId", "algorithm", "created", "expires", "headers", "signature"})
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)

KeyOf = Callable[[str, str], bytes | None]
"""The Ed25519 public key (32 bytes) of a subscriber's key id, or None."""


class SignatureRefused(Exception):
    """The header does not prove who sent the body. `code` is the one that Beckn networks use."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class BecknSignature:
    """What a signature header says. Times are Unix seconds of the wall clock."""

    subscriber: str
    key_id: str
    created: int
    expires: int
    signature: bytes


def digest(body: bytes) -> str:
    """The digest of a body as the signing string has it: base64 of BLAKE2b with 64 bytes."""
    return base64.b64encode(hashlib.blake2b(body, digest_size=64).digest()).decode()


def signing_string(body: bytes, created: int, expires: int) -> bytes:
    """What is signed: three lines, with no line feed after the last."""
    return f"(created): {created}\n(expires): {expires}\ndigest: BLAKE-512={digest(body)}".encode()


def sign(key: bytes, subscriber: str, key_id: str, body: bytes, created: int, expires: int) -> str:
    """The `Authorization` header for a body. `key` is a seed of 32 bytes, or seed and public key as 64."""
    private = Ed25519PrivateKey.from_private_bytes(key[:32])
    made = base64.b64encode(private.sign(signing_string(body, created, expires))).decode()
    return (
        f'Signature keyId="{subscriber}|{key_id}|{ALGORITHM}",algorithm="{ALGORITHM}",created="{created}",'
        f'expires="{expires}",headers="{SIGNED_HEADERS}",signature="{made}"'
    )


def parse(header: str) -> BecknSignature:
    """The parts of an `Authorization` header. Raises SignatureRefused for any other form."""
    scheme, _, rest = header.partition(" ")
    if scheme != "Signature":
        raise SignatureRefused("AUT_SIGNATURE_MISSING", "the Authorization header is no Beckn signature")
    found: dict[str, str] = {}
    for part in rest.split(","):
        match = _ATTRIBUTE.fullmatch(part)
        if match is None or match[1] in found:
            raise SignatureRefused("AUT_SIGNATURE_INVALID", "the signature header is malformed")
        found[match[1]] = match[2]
    if found.keys() != _ATTRIBUTES:
        raise SignatureRefused("AUT_SIGNATURE_INVALID", f"its attributes must be {', '.join(sorted(_ATTRIBUTES))}")
    subscriber, *parts = found["keyId"].split("|")
    if len(parts) != 2 or not subscriber or parts[1] != ALGORITHM or found["algorithm"] != ALGORITHM:
        raise SignatureRefused("AUT_SIGNATURE_INVALID", "keyId must be subscriber|key|ed25519, algorithm ed25519")
    if found["headers"] != SIGNED_HEADERS:
        raise SignatureRefused("AUT_SIGNATURE_INVALID", f"what is signed must be {SIGNED_HEADERS}")
    return BecknSignature(
        subscriber, parts[0], _seconds(found["created"]), _seconds(found["expires"]), _decoded(found["signature"])
    )


def verify(header: str | None, body: bytes, now: int, key_of: KeyOf) -> BecknSignature:
    """The signature over `body`, if its key made it and it may be taken at `now`.

    Beckn has no nonce: whoever must not take a message twice remembers (key id, signature) until it expires.
    Raises SignatureRefused.
    """
    if not header:
        raise SignatureRefused("AUT_SIGNATURE_MISSING", "the message is not signed")
    said = parse(header)
    if said.created > now + SKEW_SECONDS or said.expires <= said.created:
        raise SignatureRefused("AUT_SIGNATURE_INVALID", "the signature is from the future or expires before it begins")
    if said.expires < now:
        raise SignatureRefused("AUT_SIGNATURE_INVALID", "the signature has expired")
    public = key_of(said.subscriber, said.key_id)
    if public is None:
        raise SignatureRefused("AUT_SUBSCRIBER_NOT_FOUND", f"no key {said.key_id} of {said.subscriber} is known")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            said.signature, signing_string(body, said.created, said.expires)
        )
    except InvalidSignature:
        raise SignatureRefused("AUT_SIGNATURE_INVALID", "the signature is not that key's over this body") from None
    return said


def _seconds(text: str) -> int:
    if not _SECONDS.fullmatch(text):
        raise SignatureRefused("AUT_SIGNATURE_INVALID", "created and expires must be Unix seconds")
    return int(text)


def _decoded(text: str) -> bytes:
    """Base64 in either alphabet, as callers write both."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        raise SignatureRefused("AUT_SIGNATURE_INVALID", "the signature is not base64") from None
