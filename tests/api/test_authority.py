"""Whose signature counts: the hot key of now, of a member that is there, not called compromised, not a contract's."""

from __future__ import annotations

import pytest

from api.authority import Authority
from settlement import typed_data
from settlement.hashing import Hash32, keccak256
from settlement.trade import Signature
from settlement.validity import MemberHistory, MemberRole, Registry, Standing
from store.records import MemberSignature
from tests.settlement.builders import DOMAIN, PLATFORM_A, PLATFORM_B, trade
from wire.problems import Refused

OLD, NEW, OTHER = (keccak256(b"key", name) for name in (b"old", b"new", b"other"))
ROTATED = 1_000
NOW = 2_000
ONE = trade()
DIGEST = DOMAIN.digest(ONE)


def standing(since: int, key: bytes, **flags: bool) -> Standing:
    return Standing(since, typed_data.address_of(key), MemberRole.PLATFORM, **flags)


def authority(*standings: Standing, now: int = NOW, compromised: dict[bytes, int] | None = None) -> Authority:
    found = standings or (standing(0, OLD), standing(ROTATED, NEW))
    members = {
        PLATFORM_A: MemberHistory(found, compromised or {}),
        PLATFORM_B: MemberHistory((standing(0, OTHER),)),
    }
    return Authority(Registry(members, {}), DOMAIN, now)


def signed(key: bytes, digest: Hash32 = DIGEST) -> Signature:
    return typed_data.sign(key, digest)


def test_key_of_now() -> None:
    assert authority().fault(DIGEST, PLATFORM_A, signed(NEW)) is None
    assert authority().keys(PLATFORM_A) == {typed_data.address_of(NEW)}
    before = authority(now=ROTATED - 1)
    assert before.fault(DIGEST, PLATFORM_A, signed(OLD)) is None
    assert before.keys(PLATFORM_A) == {typed_data.address_of(OLD)}


@pytest.mark.parametrize("now", [ROTATED, ROTATED + 1, NOW])
def test_replaced_key_is_over_at_once(now: int) -> None:
    """The chain's grace is for what was committed before; nothing new is taken under an old key."""
    fault = authority(now=now).fault(DIGEST, PLATFORM_A, signed(OLD))
    assert fault == "is not by the member's hot key, or not of this object"


@pytest.mark.parametrize(("key", "digest"), [(OTHER, DIGEST), (NEW, keccak256(b"another object"))])
def test_wrong(key: bytes, digest: Hash32) -> None:
    fault = authority().fault(DIGEST, PLATFORM_A, signed(key, digest))
    assert fault == "is not by the member's hot key, or not of this object"


def test_compromised() -> None:
    key = typed_data.address_of(NEW)
    stopped = authority(compromised={key: NOW})
    assert stopped.fault(DIGEST, PLATFORM_A, signed(NEW)) == "is by a key that was called compromised"
    assert stopped.keys(PLATFORM_A) == frozenset()
    assert authority(compromised={key: NOW + 1}).fault(DIGEST, PLATFORM_A, signed(NEW)) is None


def test_contract() -> None:
    """What a contract's key signs as an account says nothing of the contract."""
    found = authority(standing(0, NEW, is_contract=True))
    fault = found.fault(DIGEST, PLATFORM_A, signed(NEW))
    assert fault is not None
    assert "contract" in fault
    assert found.keys(PLATFORM_A) == frozenset()


def test_not_there() -> None:
    removed = authority(standing(0, OLD), standing(ROTATED, OLD, is_known=False))
    assert removed.fault(DIGEST, PLATFORM_A, signed(OLD)) == "is of no member of this market"
    assert removed.keys(PLATFORM_A) == frozenset()
    assert authority().keys(keccak256(b"stranger")) == frozenset()
    later = authority(standing(NOW + 1, NEW))
    assert later.fault(DIGEST, PLATFORM_A, signed(NEW)) == "is of no member of this market"


def test_each_fault_is_named() -> None:
    stranger = keccak256(b"stranger")
    given = [
        MemberSignature.of(PLATFORM_B, signed(OTHER)),
        MemberSignature.of(PLATFORM_A, signed(OLD)),
        MemberSignature.of(stranger, signed(OTHER)),
        MemberSignature.of(PLATFORM_B, signed(OTHER)),
    ]
    with pytest.raises(Refused) as error:
        authority().check(DIGEST, ONE.signers, given, "signatures")
    problem = error.value.problem
    assert problem.code == "member-signature-wrong"
    assert [one.pointer for one in problem.errors] == [f"#/signatures/{place}" for place in (1, 2, 3)]
    authority().check(DIGEST, ONE.signers, given[:1], "signatures")
