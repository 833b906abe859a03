"""What tests of TradeBook share: locks in their order, and suspension."""

from __future__ import annotations

import boa

from settlement.trade import Lock
from tests.contracts.market import Market
from tests.contracts.trading import member_id


def sorted_locks(market: Market, *locks: tuple[str, str, int]) -> tuple[Lock, ...]:
    """Locks by members' names, in the order that a batch wants."""
    listed = [Lock(member_id(market, payer), member_id(market, payee), amount) for payer, payee, amount in locks]
    return tuple(sorted(listed, key=lambda lock: (lock.payer, lock.payee)))


def suspend(market: Market, name: str) -> None:
    with boa.env.prank(market.council):
        market.registry.suspend(member_id(market, name), True)
