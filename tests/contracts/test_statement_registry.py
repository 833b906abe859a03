"""StatementRegistry: a digest per member, pair and month, signed by whom it binds, and then for good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement import typed_data
from settlement.hashing import keccak256
from settlement.trade import HotKeyChange, Statement
from tests.contracts.market import CONTRACTS, Market, deploy, source

NOBODY = bytes(32)
DIGEST = keccak256(b"the canonical statement")
UNSIGNED = (0, bytes(32), bytes(32))


@pytest.fixture(scope="module")
def deployed() -> tuple[Market, Any]:
    market = deploy(only=())
    return market, source("StatementRegistry").deploy(market.registry.address)


@pytest.fixture
def market(deployed: tuple[Market, Any]) -> Iterator[Market]:
    with boa.env.anchor():
        yield deployed[0]


@pytest.fixture
def statements(market: Market, deployed: tuple[Market, Any]) -> Any:
    return deployed[1]


def own(market: Market, name: str = "platform_a") -> Statement:
    return Statement(market.members[name].id, NOBODY, NOBODY, 202_608, DIGEST)


def pair(market: Market) -> tuple[Statement, tuple[str, str]]:
    names = sorted(("platform_a", "platform_b"), key=lambda name: market.members[name].id)
    ids = [market.members[name].id for name in names]
    return Statement(ids[0], ids[1], NOBODY, 202_608, DIGEST), (names[0], names[1])


def kept(statements: Any, statement: Statement) -> bytes:
    return bytes(statements.statement(statement.member, statement.counterparty, statement.subject, statement.period))


def test_a_member_s_month_is_final_once(market: Market, statements: Any) -> None:
    said = own(market)
    statements.finalise(astuple(said), [market.sign("platform_a", said)], [])
    (event,) = statements.get_logs()
    assert type(event).__name__ == "StatementFinalised"
    assert (event.member, event.counterparty, event.subject, event.period, event.digest) == astuple(said)
    assert kept(statements, said) == DIGEST
    for again in (said, replace(said, digest=keccak256(b"another"))):
        with boa.reverts("StatementRegistry: already final"):
            statements.finalise(astuple(again), [market.sign("platform_a", again)], [])
    assert kept(statements, said) == DIGEST


def test_months_subjects_members_and_pairs_stand_beside_each_other(market: Market, statements: Any) -> None:
    base, (first, second) = pair(market)
    alone = own(market)
    others = [alone, replace(alone, period=202_609), replace(alone, subject=keccak256(b"campus")), own(market, "bank")]
    for place, said in enumerate(others):
        said = replace(said, digest=keccak256(bytes([place])))
        name = "bank" if place == 3 else "platform_a"
        statements.finalise(astuple(said), [market.sign(name, said)], [])
    statements.finalise(astuple(base), [market.sign(first, base), market.sign(second, base)], [])
    assert [kept(statements, said) for said in others] == [keccak256(bytes([place])) for place in range(4)]
    assert kept(statements, base) == DIGEST


def test_a_pair_s_needs_both(market: Market, statements: Any) -> None:
    said, (first, second) = pair(market)
    one, other = market.sign(first, said), market.sign(second, said)
    for signatures in ([], [one]):
        with boa.reverts("StatementRegistry: number of signatures"):
            statements.finalise(astuple(said), signatures, [])
    for signatures in ([one, one], [other, one], [one, market.sign("bank", said)]):
        with boa.reverts("StatementRegistry: wrong signature"):
            statements.finalise(astuple(said), signatures, [])
    turned = replace(said, member=said.counterparty, counterparty=said.member)
    same = replace(said, counterparty=said.member)
    for wrong, names in ((turned, (second, first)), (same, (first, first))):
        with boa.reverts("StatementRegistry: pair not in order"):
            statements.finalise(astuple(wrong), [market.sign(name, wrong) for name in names], [])
    statements.finalise(astuple(said), [one, other], [])


def test_a_signature_more_is_refused(market: Market, statements: Any) -> None:
    said = own(market)
    signature = market.sign("platform_a", said)
    with boa.reverts("StatementRegistry: number of signatures"):
        statements.finalise(astuple(said), [signature, signature], [])
    with boa.reverts("StatementRegistry: wallet signatures left over"):
        statements.finalise(astuple(said), [signature], [b"\1"])


@pytest.mark.parametrize("change", ["subject", "period", "digest"])
def test_every_field_is_signed(market: Market, statements: Any, change: str) -> None:
    said = own(market)
    value = 202_601 if change == "period" else keccak256(b"x")
    with boa.reverts("StatementRegistry: wrong signature"):
        statements.finalise(astuple(replace(said, **{change: value})), [market.sign("platform_a", said)], [])


@pytest.mark.parametrize("period", [0, 202_600, 202_613, 99])
def test_a_month_is_a_month(market: Market, statements: Any, period: int) -> None:
    said = replace(own(market), period=period)
    with boa.reverts("StatementRegistry: no month"):
        statements.finalise(astuple(said), [market.sign("platform_a", said)], [])


@pytest.mark.parametrize("period", [202_601, 202_612])
def test_a_year_s_first_and_last_month_are_months(market: Market, statements: Any, period: int) -> None:
    said = replace(own(market), period=period)
    statements.finalise(astuple(said), [market.sign("platform_a", said)], [])
    assert statements.statement(said.member, bytes(32), said.subject, period) == said.digest


def test_a_digest_is_needed(market: Market, statements: Any) -> None:
    said = replace(own(market), digest=bytes(32))
    with boa.reverts("StatementRegistry: no digest"):
        statements.finalise(astuple(said), [market.sign("platform_a", said)], [])


def test_a_suspended_member_still_finalises_and_a_stranger_never(market: Market, statements: Any) -> None:
    said = own(market)
    with boa.env.prank(market.council):
        market.registry.suspend(said.member, True)
    statements.finalise(astuple(said), [market.sign("platform_a", said)], [])
    foreign = replace(said, member=keccak256(b"stranger"))
    with boa.reverts("StatementRegistry: wrong signature"):
        statements.finalise(astuple(foreign), [market.sign("platform_a", foreign)], [])
    with boa.reverts("StatementRegistry: wrong signature"):
        statements.finalise(astuple(foreign), [(27, bytes(32), bytes(32))], [])


def test_a_contract_signs_by_erc_1271(market: Market, statements: Any) -> None:
    owner, who = keccak256(b"the wallet's owner"), market.members["platform_a"]
    wallet = boa.load(str(CONTRACTS / "mocks" / "OwnerWallet.vy"), "0x" + typed_data.address_of(owner).hex())
    change = HotKeyChange(who.id, wallet.address, 0)
    market.registry.change_hot_key(who.id, wallet.address, market.sign_cold("platform_a", change), b"")
    said = own(market)
    made = typed_data.sign(owner, market.domain.digest(said))
    with boa.reverts("StatementRegistry: wallet signature missing"):
        statements.finalise(astuple(said), [UNSIGNED], [])
    with boa.reverts("StatementRegistry: wrong signature"):
        statements.finalise(astuple(said), [UNSIGNED], [bytes(65)])
    statements.finalise(astuple(said), [UNSIGNED], [made.r + made.s + bytes([made.v])])
    assert kept(statements, said) == DIGEST
