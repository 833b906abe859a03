"""Places: valid as the registry stood at the commitment, refused for one reason at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from settlement import merkle, preimages, typed_data
from settlement.formula import templates
from settlement.formula.templates import Template
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.trade import Place, Signature, Trade
from settlement.validity import KnownTemplate, MemberHistory, MemberRole, Registry, Standing, place_fault
from tests.settlement.builders import (
    CONFIG,
    CYCLE,
    CYCLE_START,
    DOMAIN,
    MARKET_AGENT,
    PLATFORM_A,
    PLATFORM_B,
    UTILITY_A,
    UTILITY_B,
    trade,
)

COMMITTED_AT = CYCLE_START - 6 * 3_600
ROLES = {
    PLATFORM_A: MemberRole.PLATFORM,
    PLATFORM_B: MemberRole.PLATFORM,
    UTILITY_A: MemberRole.UTILITY | MemberRole.GRID_OPERATOR,
    UTILITY_B: MemberRole.UTILITY,
    MARKET_AGENT: MemberRole.MARKET_AGENT,
}


def key_of(member: Hash32, generation: int = 0) -> bytes:
    return keccak256(b"key", member, bytes([generation]))


def address(member: Hash32, generation: int = 0) -> bytes:
    return typed_data.address_of(key_of(member, generation))


REGISTRY = Registry(
    {member: MemberHistory((Standing(0, address(member), roles),)) for member, roles in ROLES.items()},
    {one.template_id: KnownTemplate(one, 100) for one in templates.SHIPPED},
)


def changed_member(member: Hash32, *standings: Standing, compromised: dict[bytes, int] | None = None) -> Registry:
    return replace(REGISTRY, members={**REGISTRY.members, member: MemberHistory(standings, compromised or {})})


def fault(
    of: Trade | None = None,
    registry: Registry = REGISTRY,
    keys: Callable[[Hash32], bytes] = key_of,
    signed: Trade | None = None,
    registered: bool = False,
    **record: Any,
) -> str | None:
    """What is wrong with a trade committed alone."""
    one = of or trade("10")
    digest = DOMAIN.digest(one)
    commitment = preimages.registered_commitment(one, digest, CYCLE, COMMITTED_AT)
    commitment = replace(commitment, sequence=0 if registered else 1, **record)
    signatures = [typed_data.sign(keys(member), DOMAIN.digest(signed or one)) for member in one.signers]
    place = Place(1, commitment, 0, ())
    return place_fault(place, one, [] if registered else signatures, registry, CONFIG, DOMAIN)


@pytest.mark.parametrize("template", templates.SHIPPED, ids=lambda one: one.title)
def test_valid_places(template: Template) -> None:
    assert fault(trade("10", template)) is None
    assert fault(trade("10", template), registered=True) is None


def test_one_member_in_several_roles_signs_once() -> None:
    inside = trade("10", seller_platform=PLATFORM_A, seller_utility=UTILITY_A)
    assert inside.signers == (PLATFORM_A, UTILITY_A)
    assert fault(inside) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"template": ZERO_HASH}, "unknown template"),
        ({"rates": (1,)}, "figures out of bounds"),
        ({"rates": (1, 1 << 64)}, "figures out of bounds"),
        ({"contracted_wh": 1 << 40}, "figures out of bounds"),
        ({"contracted_wh": 0}, "figures out of bounds"),
        ({"grid_operator": ZERO_HASH}, "roles not as named"),
        ({"market_agent": MARKET_AGENT}, "roles not as named"),
        ({"slot_start": CYCLE_START + 1, "slot_end": CYCLE_START + 3_601}, "not a slot"),
        ({"slot_end": CYCLE_START + 7_200}, "not a slot"),
        ({"slot_start": CYCLE_START + 86_400, "slot_end": CYCLE_START + 90_000}, "another cycle"),
        ({"slot_start": CYCLE_START - 3_600, "slot_end": CYCLE_START}, "another cycle"),
        ({"valid_until": COMMITTED_AT - 1}, "committed too late"),
        ({"valid_until": COMMITTED_AT}, None),
        ({"buyer_platform": UTILITY_A}, "role not held"),
        ({"seller_platform": ZERO_HASH}, "roles not as named"),
        ({"buyer_utility": PLATFORM_B}, "role not held"),
        ({"seller_utility": b"\x01" * 32}, "role not held"),
        ({"grid_operator": UTILITY_B}, "role not held"),
    ],
)
def test_reasons(changes: dict[str, Any], reason: str | None) -> None:
    assert fault(replace(trade("10"), **changes)) == reason


def test_records_that_do_not_fit() -> None:
    assert fault(root=merkle.hash_leaf(b"other")) == "trade not committed"
    assert fault(count=2) == "trade not committed"
    assert fault(earliest_slot=CYCLE_START + 3_600) == "before the earliest slot"
    assert fault(platform_b=UTILITY_A) == "other platforms"
    assert fault(cycle=CYCLE + 1) == "another cycle"
    assert fault(committed_at=99) == "unknown template"


def test_signatures() -> None:
    assert fault(signed=trade("11")) == "not the signer's key"
    assert fault(keys=lambda member: key_of(member, 1)) == "not the signer's key"
    one = trade("10")
    digest = DOMAIN.digest(one)
    commitment = replace(preimages.registered_commitment(one, digest, CYCLE, COMMITTED_AT), sequence=1)
    place = Place(1, commitment, 0, ())
    signatures = [typed_data.sign(key_of(member), digest) for member in one.signers]

    def judged(given: list[Signature]) -> str | None:
        return place_fault(place, one, given, REGISTRY, CONFIG, DOMAIN)

    assert judged(signatures) is None
    assert judged(signatures[:-1]) == "signature missing"
    assert judged([*signatures, signatures[0]]) == "too many signatures"
    assert judged([signatures[1], signatures[0], *signatures[2:]]) == "not the signer's key"
    high = (2 * typed_data.HALF_ORDER + 1 - int.from_bytes(signatures[0].s, "big")).to_bytes(32, "big")
    assert judged([Signature(55 - signatures[0].v, signatures[0].r, high), *signatures[1:]]) == "malformed signature"
    assert judged([Signature(0, bytes(32), bytes(32)), *signatures[1:]]) == "malformed signature"


def test_keys_of_the_time() -> None:
    """A key counts at the commitment and for the grace after it was replaced, unless it was called compromised."""
    role, grace = MemberRole.PLATFORM, CONFIG.key_grace

    def replaced_at(time: int, **more: Any) -> str | None:
        standings = (Standing(0, address(PLATFORM_A), role), Standing(time, address(PLATFORM_A, 1), role))
        return fault(registry=changed_member(PLATFORM_A, *standings, **more))

    assert replaced_at(COMMITTED_AT + 1) is None
    assert replaced_at(COMMITTED_AT) is None
    assert replaced_at(COMMITTED_AT - grace) is None
    assert replaced_at(COMMITTED_AT - grace - 1) == "not the signer's key"
    assert replaced_at(COMMITTED_AT, compromised={address(PLATFORM_A): COMMITTED_AT}) == "not the signer's key"
    assert replaced_at(COMMITTED_AT, compromised={address(PLATFORM_A): COMMITTED_AT + 1}) is None
    assert replaced_at(COMMITTED_AT, compromised={address(PLATFORM_B): 0}) is None


def test_a_key_that_comes_later_does_not_count() -> None:
    role = MemberRole.PLATFORM
    later = (Standing(0, address(PLATFORM_A, 1), role), Standing(COMMITTED_AT + 1, address(PLATFORM_A), role))
    assert fault(registry=changed_member(PLATFORM_A, *later)) == "not the signer's key"
    contract = Standing(0, address(PLATFORM_A), role, is_contract=True)
    assert fault(registry=changed_member(PLATFORM_A, contract)) == "not the signer's key"


def test_membership_is_judged_at_the_commitment() -> None:
    member = Standing(0, address(PLATFORM_A), MemberRole.PLATFORM)
    gone = replace(member, since=COMMITTED_AT + 1, is_known=False, roles=MemberRole(0))
    assert fault(registry=changed_member(PLATFORM_A, member, gone)) is None
    gone_before = replace(gone, since=COMMITTED_AT)
    assert fault(registry=changed_member(PLATFORM_A, member, gone_before)) == "role not held"
    assert fault(registry=changed_member(PLATFORM_A, replace(member, since=COMMITTED_AT + 1))) == ("role not held")
    assert fault(registry=changed_member(PLATFORM_A, replace(member, is_suspended=True))) is None


def test_standing_words() -> None:
    word = 0xABC | 77 << 160 | 3 << 208 | 1 << 224 | 1 << 226
    roles = MemberRole.PLATFORM | MemberRole.UTILITY
    assert Standing.from_word(word) == Standing(77, (0xABC).to_bytes(20, "big"), roles, True, False, True)
