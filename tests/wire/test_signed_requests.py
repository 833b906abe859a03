"""Requests signed by members: the signature base by the RFC's rules, and everything that must be refused."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import pytest

from settlement import typed_data
from settlement.hashing import Hash32, keccak256
from settlement.identity import member_id
from settlement.trade import Signature
from wire.signed_requests import (
    ALGORITHM,
    WINDOW_SECONDS,
    NonceMemory,
    RequestRefused,
    content_digest,
    sign,
    signature_base,
    target_of,
    verify,
)

KEY = bytes.fromhex("4c" * 32)
MEMBER = member_id("sunmarket.platform.example")
OTHER = member_id("eastpower.utility.example")
NOW = 1_785_000_000
VECTOR = "clearwatt=:yzEue6on+4EQ7Eh0corH+ph7zl4nnQk8ngnO3IPqoQgy/7YsRqF/FbRwysmSW5zrEbo9FrdbxKqe5OEoi/rYFxw=:"
NONCE = "0123456789abcdef0123456789abcdef"
URL = "http://127.0.0.1:8100/v1/rows?cycle=7&run=0"
BODY = b'{"row":1}'


def keys(member: Hash32) -> set[bytes]:
    return {typed_data.address_of(KEY)} if member == MEMBER else set()


def check(
    headers: Mapping[str, str],
    method: str = "POST",
    url: str = URL,
    body: bytes = BODY,
    now: int = NOW,
    seen: NonceMemory | None = None,
) -> Hash32:
    return verify(headers, method, url, body, now, keys, seen or NonceMemory())


def signed(method: str = "POST", url: str = URL, body: bytes = BODY, **changed: object) -> dict[str, str]:
    values = {"created": NOW, "nonce": NONCE} | changed
    return sign(KEY, MEMBER, method, url, body, **values)  # type: ignore[arg-type]


def refusal(headers: Mapping[str, str], **given: object) -> RequestRefused:
    with pytest.raises(RequestRefused) as caught:
        check(headers, **given)  # type: ignore[arg-type]
    return caught.value


# --- construction ---


def test_signature_base_is_that_of_rfc_9421() -> None:
    # Written out by hand after RFC 9421, sections 2.2.1, 2.2.2, 2.3 and 2.5: no newline at the end, names quoted.
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(BODY).digest()).decode() + ":"
    parameters = (
        '("@method" "@target-uri" "content-digest");created=1785000000;nonce="0123456789abcdef0123456789abcdef"'
        f';keyid="0x{MEMBER.hex()}";alg="ecdsa-secp256k1-keccak256"'
    )
    expected = (
        '"@method": POST\n'
        '"@target-uri": http://127.0.0.1:8100/v1/rows?cycle=7&run=0\n'
        f'"content-digest": {digest}\n'
        f'"@signature-params": {parameters}'
    )
    assert signature_base("POST", URL, content_digest(BODY), parameters) == expected.encode()
    headers = signed()
    assert headers["Signature-Input"] == f"clearwatt={parameters}"
    assert headers["Content-Digest"] == digest
    raw = base64.b64decode(headers["Signature"].removeprefix("clearwatt=:").removesuffix(":"))
    made = Signature(raw[64], raw[:32], raw[32:64])
    assert len(raw) == 65
    assert typed_data.recover(keccak256(expected.encode()), made) == typed_data.address_of(KEY)


def test_a_vector_for_other_implementations() -> None:
    # RFC 6979 makes signatures reproducible, so another implementation must come to these very bytes.
    assert sign(b"\x01" * 32, b"\x02" * 32, "GET", "http://a.example/v1/status", b"", 1_785_000_000, "n" * 16) == {
        "Signature-Input": (
            'clearwatt=("@method" "@target-uri");created=1785000000;nonce="nnnnnnnnnnnnnnnn";keyid="0x'
            + "02" * 32
            + '";alg="ecdsa-secp256k1-keccak256"'
        ),
        "Signature": VECTOR,
    }


def test_content_digest_is_rfc_9530s() -> None:
    # RFC 9530, appendix B.1: the digest of {"hello": "world"} and a newline.
    assert content_digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("http://127.0.0.1:8100", "/v1/rows", "http://127.0.0.1:8100/v1/rows"),
        ("HTTP://East.Example:80/", "/v1/rows?a=B", "http://east.example/v1/rows?a=B"),
        ("https://east.example:443", "v1", "https://east.example/v1"),
        ("https://east.example:444/member/", "/v1", "https://east.example:444/member/v1"),
        ("http://[::1]:80", "/", "http://[::1]/"),
    ],
)
def test_targets_are_written_one_way(base: str, path: str, target: str) -> None:
    assert target_of(base, path) == target


# --- what is taken ---


def test_what_was_signed_is_the_members() -> None:
    assert check(signed()) == MEMBER


def test_names_of_headers_in_any_case() -> None:
    assert check({name.lower(): value for name, value in signed().items()}) == MEMBER
    assert check({name.upper(): value for name, value in signed().items()}) == MEMBER


def test_a_get_without_body_covers_no_digest() -> None:
    headers = signed("GET", body=b"")
    assert "Content-Digest" not in headers
    assert check(headers, method="GET", body=b"") == MEMBER


def test_an_empty_post_covers_its_digest() -> None:
    headers = signed(body=b"")
    assert headers["Content-Digest"] == content_digest(b"")
    assert check(headers, body=b"") == MEMBER


@pytest.mark.parametrize("skew", [-WINDOW_SECONDS, 0, WINDOW_SECONDS])
def test_clocks_may_differ_by_a_minute(skew: int) -> None:
    assert check(signed(), now=NOW + skew) == MEMBER


# --- what is refused ---


@pytest.mark.parametrize("skew", [-WINDOW_SECONDS - 1, WINDOW_SECONDS + 1])
def test_clocks_that_differ_by_more(skew: int) -> None:
    error = refusal(signed(), now=NOW + skew)
    assert error.code == "signature-stale"
    assert error.detail == f"created at {NOW}, the clock here says {NOW + skew}"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"method": "PUT"}, "signature-wrong"),
        ({"url": URL.replace("cycle=7", "cycle=8")}, "signature-wrong"),
        ({"url": URL.split("?")[0]}, "signature-wrong"),
        ({"url": URL.replace("8100", "8101")}, "signature-wrong"),  # forwarded to another member
        ({"url": URL.replace("http:", "https:")}, "signature-wrong"),
        ({"body": BODY + b" "}, "digest-differs"),
        ({"body": b""}, "digest-differs"),
    ],
)
def test_another_request_than_the_signed_one(given: dict[str, object], code: str) -> None:
    assert refusal(signed(), **given).code == code


def _input(old: str, new: str) -> dict[str, str]:
    headers = signed()
    assert old in headers["Signature-Input"]
    return headers | {"Signature-Input": headers["Signature-Input"].replace(old, new)}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (str(NOW), str(NOW + 1), "signature-wrong"),
        (NONCE, NONCE[::-1], "signature-wrong"),
        (MEMBER.hex(), OTHER.hex(), "member-unknown"),
        (MEMBER.hex(), MEMBER.hex().upper(), "signature-malformed"),
        (ALGORITHM, "ecdsa-p256-sha256", "signature-malformed"),
        (f'created={NOW};nonce="{NONCE}"', f'nonce="{NONCE}";created={NOW}', "signature-malformed"),
        (f"={NOW};", f'="{NOW}";', "signature-malformed"),
        (NONCE, "short", "signature-malformed"),
        ('"@method" ', "", "signature-malformed"),
        (' "content-digest"', "", "signature-malformed"),
        (' "content-digest"', ' "content-digest" "date"', "signature-malformed"),
        ('"@method" "@target-uri"', '"@target-uri" "@method"', "signature-malformed"),
        ("clearwatt=", "other=", "signature-malformed"),
        (f'alg="{ALGORITHM}"', f'alg="{ALGORITHM}";tag="x"', "signature-malformed"),
        ("clearwatt=", 'a=("@method");created=1, clearwatt=', "signature-malformed"),
    ],
)
def test_changed_parameters(old: str, new: str, code: str) -> None:
    assert refusal(_input(old, new)).code == code


def test_changed_signatures() -> None:
    headers = signed()
    raw = bytearray(base64.b64decode(headers["Signature"].removeprefix("clearwatt=:").removesuffix(":")))

    def with_bytes(changed: bytes) -> dict[str, str]:
        return headers | {"Signature": f"clearwatt=:{base64.b64encode(changed).decode()}:"}

    for place in (0, 31, 32, 63):
        other = bytearray(raw)
        other[place] ^= 1
        assert refusal(with_bytes(bytes(other))).code == "signature-wrong"
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high = order - int.from_bytes(raw[32:64], "big")
    twin = bytes(raw[:32]) + high.to_bytes(32, "big") + bytes([55 - raw[64]])
    assert refusal(with_bytes(twin)).code == "signature-wrong"
    assert refusal(with_bytes(bytes(raw[:64]))).code == "signature-malformed"
    assert refusal(headers | {"Signature": "clearwatt=:!!:"}).code == "signature-malformed"
    assert refusal(headers | {"Signature": headers["Signature"] + ", a=:AA==:"}).code == "signature-malformed"


def test_missing_headers() -> None:
    headers = signed()
    for name in headers:
        without = {one: value for one, value in headers.items() if one != name}
        assert refusal(without).code == "signature-missing", name


def test_a_digest_of_another_algorithm() -> None:
    other = "sha-512=:" + base64.b64encode(hashlib.sha512(BODY).digest()).decode() + ":"
    assert refusal(signed() | {"Content-Digest": other}).code == "digest-differs"


def test_a_key_that_is_not_the_members() -> None:
    headers = sign(b"\x07" * 32, MEMBER, "POST", URL, BODY, NOW, NONCE)
    assert refusal(headers).code == "signature-wrong"


# --- nonces ---


def test_the_same_request_twice() -> None:
    seen = NonceMemory()
    assert check(signed(), seen=seen) == MEMBER
    error = refusal(signed(), seen=seen)
    assert (error.code, error.detail) == ("signature-replayed", f"the nonce {NONCE} was used before")
    assert check(signed(nonce="another-nonce-of-it"), seen=seen) == MEMBER


def test_a_nonce_is_remembered_as_long_as_its_request_is_fresh() -> None:
    seen = NonceMemory()
    early = signed(created=NOW + WINDOW_SECONDS)  # by a clock that runs ahead
    check(early, seen=seen)
    assert refusal(early, seen=seen, now=NOW + 2 * WINDOW_SECONDS).code == "signature-replayed"
    assert refusal(early, seen=seen, now=NOW + 2 * WINDOW_SECONDS + 1).code == "signature-stale"


def test_a_refused_request_uses_no_nonce() -> None:
    seen = NonceMemory()
    assert refusal(signed(), seen=seen, method="PUT").code == "signature-wrong"
    assert check(signed(), seen=seen) == MEMBER


def test_the_memory_is_bounded_for_each_member() -> None:
    seen = NonceMemory(limit=3)
    for count in range(3):
        seen.take(MEMBER, f"nonce-{count}", NOW + 60, NOW)
    with pytest.raises(RequestRefused) as caught:
        seen.take(MEMBER, "nonce-3", NOW + 60, NOW)
    assert caught.value.code == "too-many-requests"
    seen.take(OTHER, "nonce-3", NOW + 60, NOW)  # another member's memory is its own
    seen.take(MEMBER, "nonce-3", NOW + 121, NOW + 61)  # what is stale is forgotten
    with pytest.raises(RequestRefused):
        seen.take(MEMBER, "nonce-3", NOW + 121, NOW + 62)
