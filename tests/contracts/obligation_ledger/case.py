"""What tests of ObligationLedger share: obligations and notices as the ledger has them, and notices past due."""

from __future__ import annotations

import boa  # type: ignore[import-untyped]

from tests.contracts import money
from tests.contracts.market import Market, at_time
from tests.contracts.money import DUE_TIME, UNIT

REFERENCE = b"\x01" * 32


def now() -> int:
    return boa.env.evm.patch.timestamp


def stored(market: Market, number: int) -> tuple[str, str, int, int, int, bool]:
    """An obligation with its members' names, or empty names."""
    names = {who.id: name for name, who in market.members.items()}
    found = market.obligations.obligation(number)
    return (
        names.get(found.debtor, ""),
        names.get(found.creditor, ""),
        found.amount,
        found.closed,
        found.due_at,
        found.notified,
    )


def references(market: Market, *amounts: int, debts: int = 1) -> list[bytes]:
    """Obligations of a unit each, past due, and notices that name them all, an hour between them; their references."""
    numbers = [money.debt(market, "platform_a", "platform_b", UNIT) for _ in range(debts)]
    at_time(now() + DUE_TIME + 1)
    made = []
    for place, amount in enumerate(amounts):
        at_time(now() + 3_600)
        reference = bytes([place + 1]) * 32
        given = money.notice(market, "platform_a", "platform_b", numbers, amount, reference_hash=reference)
        money.notify(market, "platform_a", given)
        made.append(reference)
    return made
