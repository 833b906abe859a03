"""Ids: one for each thing, however it is spelt."""

from __future__ import annotations

import pytest
from eth_abi import encode  # type: ignore[attr-defined]
from eth_hash.auto import keccak

from settlement import identity
from settlement.errors import SettlementError

BUYER, SELLER = b"\x01" * 32, b"\x02" * 32


def test_member_id_ignores_case_only() -> None:
    assert identity.member_id("BAP.Example.com") == identity.member_id("bap.example.com") == keccak(b"bap.example.com")
    for bad in ("", "a b", "bäp.example", "a\n"):
        with pytest.raises(SettlementError, match="printable ASCII"):
            identity.member_id(bad)


@pytest.mark.parametrize(
    ("spelling", "canonical"),
    [
        ("100200300", "100200300"),
        ("der://meter/100200300", "100200300"),
        ("DER://Meter/100200300", "100200300"),
        ("der://ssf.meter/65432100", "ssf.meter/65432100"),
        ("der://SSF.Meter/000NEWdest", "ssf.meter/000NEWdest"),
        ("der://100200300", "100200300"),
        ("TEST_METER_SELLER_001", "TEST_METER_SELLER_001"),
        ("did:ies:meter:7", "did:ies:meter:7"),
    ],
)
def test_a_meter_has_one_name(spelling: str, canonical: str) -> None:
    assert identity.canonical_meter_id(spelling) == canonical


@pytest.mark.parametrize("spelling", ["", "der://", "der://host/", "/7", "a b"])
def test_what_names_no_meter_is_refused(spelling: str) -> None:
    with pytest.raises(SettlementError):
        identity.canonical_meter_id(spelling)


def test_meter_hash_hides_the_meter() -> None:
    assert identity.meter_hash(b"\x07" * 32, "tpddl/1") == keccak(b"\x07" * 32 + b"tpddl/1")
    with pytest.raises(SettlementError, match="32 bytes"):
        identity.meter_hash(b"short", "tpddl/1")


def test_trade_id_is_the_hash_of_its_parts() -> None:
    expected = keccak(
        encode(
            ["bytes32", "bytes32", "string", "string", "uint64", "uint32"],
            [BUYER, SELLER, "tx-1", "item-1", 1_767_938_400, 0],
        )
    )
    assert identity.trade_id(BUYER, SELLER, "tx-1", "item-1", 1_767_938_400) == expected
    assert identity.trade_id(BUYER, SELLER, "tx-1", "item-1", 1_767_938_400, 1) != expected
    assert identity.trade_id(SELLER, BUYER, "tx-1", "item-1", 1_767_938_400) != expected
    with pytest.raises(SettlementError, match="uint64"):
        identity.trade_id(BUYER, SELLER, "tx-1", "item-1", 1 << 64)
    with pytest.raises(SettlementError, match="uint32"):
        identity.trade_id(BUYER, SELLER, "tx-1", "item-1", 0, 1 << 32)
    with pytest.raises(SettlementError, match="32 bytes"):
        identity.trade_id(b"\x01", SELLER, "tx-1", "item-1", 0)


def test_market_id() -> None:
    genesis = b"\x09" * 32
    assert identity.market_id(genesis, "Delhi") == keccak(genesis + b"Delhi")
    with pytest.raises(SettlementError, match="needs a name"):
        identity.market_id(genesis, "")
