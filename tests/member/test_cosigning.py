"""Signing trades: what every signer refuses, and that a signature is made once and one trade an id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from member.cosigning import Cosigner, Fault, Refusal, SignedTrade, Terms, trade_fault
from settlement import typed_data
from settlement.config import HOUR
from settlement.formula.templates import INTER_UTILITY, SHIPPED_BY_ID
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.trade import Signature, Trade
from settlement.validity import KnownTemplate, MemberHistory, MemberRole, Registry, Standing
from store.database import Database
from store.desk import DeskStore
from store.records import MemberSignature, OpenTrade
from tests.settlement import builders
from tests.settlement.builders import CYCLE_START, DOMAIN, PLATFORM_A, PLATFORM_B, UTILITY_A, UTILITY_B, trade

CONFIG = replace(builders.CONFIG, gate=4 * HOUR)
NOW = CYCLE_START - 8 * HOUR
ROLES = {
    PLATFORM_A: MemberRole.PLATFORM,
    PLATFORM_B: MemberRole.PLATFORM,
    UTILITY_A: MemberRole.UTILITY | MemberRole.GRID_OPERATOR,
    UTILITY_B: MemberRole.UTILITY,
}


def key(member: Hash32) -> bytes:
    return keccak256(b"key", member)


def registry(**changes: Standing) -> Registry:
    members = {
        member: MemberHistory((Standing(0, typed_data.address_of(key(member)), roles),))
        for member, roles in ROLES.items()
    }
    members |= {member: MemberHistory((standing,)) for member, standing in _by_id(changes).items()}
    return Registry(members, {name: KnownTemplate(one, 0) for name, one in SHIPPED_BY_ID.items()})


def _by_id(changes: Mapping[str, Standing]) -> dict[Hash32, Standing]:
    return {{"a": UTILITY_A, "b": UTILITY_B}[name]: standing for name, standing in changes.items()}


TERMS = Terms(CONFIG, SHIPPED_BY_ID, registry(), NOW)


@dataclass(frozen=True)
class Member:
    id: Hash32

    def sign(self, value: object) -> Signature:
        return typed_data.sign(key(self.id), DOMAIN.digest(value))


class NoRules:
    def fault(self, trade: Trade, signed: Sequence[OpenTrade], terms: Terms) -> Fault | None:
        return None


def cosigner_of(store: DeskStore, member: Hash32, terms: Callable[[int], Terms] = lambda _: TERMS) -> Cosigner:
    return Cosigner(DOMAIN, terms, store, member, Member(member).sign, NoRules())


@pytest.fixture
def store(tmp_path: Path) -> DeskStore:
    database = Database(f"sqlite:///{tmp_path / 'desk.db'}")
    database.create()
    return DeskStore(database)


@pytest.fixture
def cosigner(store: DeskStore) -> Cosigner:
    return cosigner_of(store, UTILITY_A)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"slot_start": CYCLE_START + 1}, "slot_start", "off the market's grid"),
        ({"slot_end": CYCLE_START + 1}, "slot_end", "not 3600 s after slot_start"),
        ({"template": keccak256(b"none")}, "template", "unknown template"),
        ({"grid_operator": ZERO_HASH}, "grid_operator", "needed, but empty"),
        ({"buyer_utility": ZERO_HASH}, "buyer_utility", "needed, but empty"),
        ({"market_agent": UTILITY_A}, "market_agent", "filled, but in no flow"),
        ({"contracted_wh": 0}, "contracted_wh", "must be above 0 and below 2^40"),
        ({"rates": (1,)}, "rates", "p2p.fixed-price.settled.v1 has 2 rates"),
        ({"rates": (1, 1 << 64)}, "rates", "must be below 2^64"),
        ({"valid_until": CYCLE_START - 4 * HOUR + 1}, "valid_until", "after the gate closes at"),
        ({"valid_until": NOW - 1}, "valid_until", "over at"),
        ({"seller_platform": keccak256(b"stranger")}, "seller", "no member of this market"),
        ({"grid_operator": UTILITY_B}, "grid_operator", "is not a GRID_OPERATOR of this market"),
    ],
)
def test_what_everybody_refuses(changes: dict[str, Any], field: str, reason: str) -> None:
    found = trade_fault(replace(trade(), **changes), TERMS)
    assert found is not None
    assert (found.field, found.reason[: len(reason)]) == (field, reason)


def test_a_good_trade_has_no_fault() -> None:
    assert trade_fault(trade(), TERMS) is None
    assert trade_fault(trade(template=INTER_UTILITY), TERMS) is None


def test_after_the_gate_and_from_a_suspended_member() -> None:
    late = replace(TERMS, now=CYCLE_START - 4 * HOUR + 1)
    closed = trade_fault(trade(valid_until=CYCLE_START - 4 * HOUR), late)
    assert closed is not None
    assert closed.reason.startswith("its gate closed at")
    suspended = Standing(0, typed_data.address_of(key(UTILITY_B)), MemberRole.UTILITY, is_suspended=True)
    assert trade_fault(trade(), replace(TERMS, registry=registry(b=suspended))) == Fault(
        "seller_utility", "is suspended"
    )


def test_a_signature_is_kept_and_the_same_again(cosigner: Cosigner, store: DeskStore) -> None:
    asked = SignedTrade(trade(), (MemberSignature.of(PLATFORM_B, Member(PLATFORM_B).sign(trade())),))
    (first,) = cosigner.sign([asked])
    assert isinstance(first, MemberSignature)
    assert typed_data.recover(DOMAIN.digest(trade()), first.signature) == typed_data.address_of(key(UTILITY_A))
    kept = store.open_trade(DOMAIN.digest(trade()))
    assert kept is not None
    assert (kept.state, [one.member for one in kept.signatures]) == ("signed", [PLATFORM_B, UTILITY_A])
    assert cosigner.sign([asked]) == [first]


def test_a_signature_by_another_key_is_refused(cosigner: Cosigner) -> None:
    forged = MemberSignature.of(PLATFORM_B, Member(PLATFORM_A).sign(trade()))
    (answer,) = cosigner.sign([SignedTrade(trade(), (forged,))])
    digest = DOMAIN.digest(trade())
    assert answer == Refusal(digest, "signatures", f"not by the key of 0x{PLATFORM_B.hex()}")


def test_somebody_elses_trade_is_refused(store: DeskStore) -> None:
    stranger = cosigner_of(store, keccak256(b"stranger"))
    (answer,) = stranger.sign([SignedTrade(trade(), ())])
    assert answer == Refusal(DOMAIN.digest(trade()), "signers", "this member fills no role in it")
    assert store.open_trade(DOMAIN.digest(trade())) is None


def test_one_trade_an_id_in_one_request_and_the_next(cosigner: Cosigner) -> None:
    first, second = SignedTrade(trade(), ()), SignedTrade(trade("11"), ())
    digest = DOMAIN.digest(trade()).hex()
    refused = Refusal(DOMAIN.digest(second.trade), "trade_id", f"0x{digest} has it and is signed already")
    assert cosigner.sign([first, second])[1] == refused
    assert cosigner.sign([second]) == [refused]


def test_the_next_revision_once_the_former_can_no_longer_be_committed(store: DeskStore) -> None:
    now = [NOW]
    cosigner = cosigner_of(store, UTILITY_A, lambda _: replace(TERMS, now=now[0]))
    cosigner.sign([SignedTrade(trade(), ())])
    now[0] = trade().valid_until + 1
    (answer,) = cosigner.sign([SignedTrade(trade("11", valid_until=now[0]), ())])
    assert isinstance(answer, MemberSignature)
