"""Orders and trades for tests of a platform's pure parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from settlement.formula.templates import INTER_UTILITY
from settlement.hashing import ZERO_HASH, keccak256
from settlement.order import Order
from settlement.trade import Trade
from store.records import MemberSignature, OpenTrade
from tests.settlement.builders import CONFIG, CYCLE, CYCLE_START, DOMAIN, PLATFORM_A, PLATFORM_B, UTILITY_A, UTILITY_B
from trading.orders import KeptOrder, Lane, make_trade

PSEUDONYMS = {(UTILITY_A, "IN-1"): keccak256(b"buyer meter"), (UTILITY_B, "IN-2"): keccak256(b"seller meter")}
SALT = keccak256(b"salt")

ORDER = Order(
    transaction_id="tx-1",
    order_item_id="item-1",
    template=INTER_UTILITY,
    buyer_platform=PLATFORM_A,
    seller_platform=PLATFORM_B,
    buyer_utility=UTILITY_A,
    seller_utility=UTILITY_B,
    grid_operator=ZERO_HASH,
    buyer_meter="IN-1",
    seller_meter="IN-2",
    slot_start=CYCLE_START,
    contracted_wh=1_500,
    rates=(6_000_000, 250_000, 300_000, 0),
    traded_at=CYCLE_START - 9 * 3_600,
    valid_until=CYCLE_START - 4 * 3_600,
)


def order(**changes: Any) -> Order:
    """The order with fields changed."""
    return replace(ORDER, **changes)


def trade_of(one: Order) -> Trade:
    """The trade that its platforms make of an order."""
    return make_trade(KeptOrder.of(one, Lane.BATCHED), CONFIG.slot_length, PSEUDONYMS, SALT)


def open_trade(one: Order, *, is_signed: bool = True) -> OpenTrade:
    """The same as a platform has it, signed by all or by nobody."""
    trade = trade_of(one)
    signatures = tuple(MemberSignature(member, 27, SALT, SALT) for member in trade.signers) if is_signed else ()
    return OpenTrade(DOMAIN.digest(trade), trade, CYCLE, "signed", signatures)
