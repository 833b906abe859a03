"""Beckn's HTTP signature against a vector of our own (key: RFC 8032, test 1), and everything about it changed."""

from __future__ import annotations

import re

import pytest

from wire.beckn_signature import SKEW_SECONDS, SignatureRefused, digest, parse, sign, signing_string, verify

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
BODY = b'{"role":"BUYER","transactionId":"tx-123","orderItemId":"item-1"}'
CREATED, EXPIRES = 1_706_547_600, 1_706_547_630
SIGNATURE = "uMLwppg4NEBoxL0ycmju2GnpoNuMXb8OIWgF6GUIYzD3008DtyVhV6NQ7+6jHhrs0Bh3bF7BDAZSHdI7DnAhCA=="


def key_of(subscriber: str, key_id: str) -> bytes | None:
    return PUBLIC if (subscriber, key_id) == ("bap.example", "k1") else None


def header(**changed: str) -> str:
    made = sign(SEED, "bap.example", "k1", BODY, CREATED, EXPIRES)
    for name, value in changed.items():
        made, count = re.subn(f'{name}="[^"]*"', f'{name}="{value}"', made)
        assert count == 1
    return made


def refused(text: str | None, body: bytes = BODY, now: int = CREATED) -> tuple[str, str]:
    with pytest.raises(SignatureRefused) as caught:
        verify(text, body, now, key_of)
    return caught.value.code, caught.value.detail


def test_the_digest_is_blake2b_with_64_bytes() -> None:
    assert digest(b"The quick brown fox jumps over the lazy dog") == (
        "qK3Uvd39k+SHfSdG5igXsRY2Sh+nvBSNlQkLxzM7NnP4JAHPeqLkyx7NkCluPxTLVBP47Xe+cwRbE5FM3NapGA=="
    )


def test_the_signature_is_the_vectors() -> None:
    assert f'signature="{SIGNATURE}"' in header()
    assert verify(header(), BODY, CREATED, key_of).subscriber == "bap.example"


def test_a_key_of_64_bytes_signs_alike() -> None:
    assert sign(SEED + PUBLIC, "bap.example", "k1", BODY, CREATED, EXPIRES) == header()


def test_the_signing_string_ends_without_a_line_feed() -> None:
    assert signing_string(BODY, 1, 2).endswith(b"==")


def test_both_base64_alphabets_are_read() -> None:
    other = SIGNATURE.replace("+", "-").replace("/", "_")
    assert verify(header(signature=other), BODY, CREATED, key_of).signature == parse(header()).signature


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"created": str(CREATED + 1)}, "is not that key's over this body"),
        ({"expires": str(EXPIRES + 1)}, "is not that key's over this body"),
        ({"algorithm": "rsa"}, "algorithm ed25519"),
        ({"keyId": "bap.example|k1|rsa"}, "algorithm ed25519"),
        ({"keyId": "bap.example|k1"}, "algorithm ed25519"),
        ({"headers": "(created) digest"}, "what is signed must be"),
        ({"signature": "AAAA"}, "is not that key's over this body"),
        ({"signature": "not base64"}, "not base64"),
        ({"created": "soon"}, "Unix seconds"),
    ],
)
def test_whatever_is_changed_is_refused(changed: dict[str, str], detail: str) -> None:
    code, said = refused(header(**changed))
    assert code == "AUT_SIGNATURE_INVALID"
    assert detail in said


def test_another_body_is_refused_even_where_its_json_is_the_same() -> None:
    assert "over this body" in refused(header(), BODY.replace(b",", b", "))[1]


def test_times_bound_it() -> None:
    verify(header(), BODY, CREATED - SKEW_SECONDS, key_of)
    verify(header(), BODY, EXPIRES, key_of)
    assert "from the future" in refused(header(), now=CREATED - SKEW_SECONDS - 1)[1]
    assert "expired" in refused(header(), now=EXPIRES + 1)[1]


def test_an_unknown_key_is_refused() -> None:
    stranger = sign(SEED, "nobody.example", "k1", BODY, CREATED, EXPIRES)
    assert refused(stranger) == ("AUT_SUBSCRIBER_NOT_FOUND", "no key k1 of nobody.example is known")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "AUT_SIGNATURE_MISSING"),
        ("", "AUT_SIGNATURE_MISSING"),
        ("Bearer abc", "AUT_SIGNATURE_MISSING"),
        ("Signature", "AUT_SIGNATURE_INVALID"),
        ('Signature keyId="a|b|ed25519"', "AUT_SIGNATURE_INVALID"),
    ],
)
def test_other_headers_are_refused(text: str | None, code: str) -> None:
    assert refused(text)[0] == code


def test_an_attribute_more_or_twice_is_refused() -> None:
    assert refused(header() + ',nonce="1"')[0] == "AUT_SIGNATURE_INVALID"
    assert refused(header() + ',algorithm="ed25519"')[0] == "AUT_SIGNATURE_INVALID"
