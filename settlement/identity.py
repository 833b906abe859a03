"""Ids of members, meters, trades and markets: what stands for them on chain and in signed objects."""

from __future__ import annotations

import re
from functools import lru_cache

from settlement.errors import SettlementError
from settlement.hashing import Hash32, abi_encode, keccak256

METER_SCHEME = "der://"
_GENERIC_METER_HOST = "meter"
_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)


@lru_cache(maxsize=4_096)
def member_id(subscriber_id: str) -> Hash32:
    """`keccak256(utf8(lower-case subscriber id))`: keys rotate, the id stays.

    Raises SettlementError for an empty id, white space and characters outside ASCII (their case has no single rule).
    """
    return keccak256(_plain("subscriber_id", subscriber_id).lower().encode("ascii"))


def canonical_meter_id(meter_id: str) -> str:
    """One text for a meter, however a message spells it: `host/id`, or the bare id, which is its utility's own.

    `der://` is stripped and a host is lower-cased; the generic host of `der://meter/…` says nothing and is dropped, so
    that the same meter with and without it is one. The id itself keeps its case.
    Raises SettlementError for empty parts, white space and characters outside ASCII.
    """
    text = _plain("meter_id", meter_id)
    if text[: len(METER_SCHEME)].lower() == METER_SCHEME:
        text = text[len(METER_SCHEME) :]
    host, slash, local = text.rpartition("/")
    host = host.lower()
    if not local or (slash and not host):
        raise SettlementError("meter_id", meter_id, "names no meter")
    return local if host in ("", _GENERIC_METER_HOST) else f"{host}/{local}"


def meter_hash(salt: Hash32, canonical_id: str) -> Hash32:
    """`keccak256(salt ‖ utf8(meter id))`, the meter's pseudonym in one cycle; `salt` is its utility's, 32 bytes."""
    return keccak256(_word("salt", salt), canonical_id.encode())


@lru_cache(maxsize=8_192)
def trade_id(
    buyer_platform: Hash32,
    seller_platform: Hash32,
    transaction_id: str,
    order_item_id: str,
    slot_start: int,
    revision: int = 0,
) -> Hash32:
    """The id that people and messages use for a trade; the contracts know its EIP-712 digest.

    Platforms are member ids, `slot_start` epoch seconds. Raises SettlementError for figures that do not fit.
    """
    if not 0 <= slot_start < 1 << 64:
        raise SettlementError("slot_start", slot_start, "does not fit uint64")
    if not 0 <= revision < 1 << 32:
        raise SettlementError("revision", revision, "does not fit uint32")
    return keccak256(
        abi_encode(
            ("bytes32", "bytes32", "string", "string", "uint64", "uint32"),
            (
                _word("buyer_platform", buyer_platform),
                _word("seller_platform", seller_platform),
                transaction_id,
                order_item_id,
                slot_start,
                revision,
            ),
        )
    )


def market_id(genesis_hash: Hash32, name: str) -> Hash32:
    """`keccak256(genesis block hash ‖ utf8(market name))`: the salt of the market's EIP-712 domain."""
    if not name:
        raise SettlementError("name", name, "a market needs a name")
    return keccak256(_word("genesis_hash", genesis_hash), name.encode())


def _plain(field: str, text: str) -> str:
    if not _PRINTABLE.fullmatch(text):
        raise SettlementError(field, text, "must be printable ASCII without spaces")
    return text


def _word(field: str, value: Hash32) -> Hash32:
    # abi.encode would pad a short value silently, and two inputs would share an id.
    if len(value) != 32:
        raise SettlementError(field, value, "must be 32 bytes")
    return value
