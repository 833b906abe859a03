"""What each member has and is, before an act and after it: who loses by a wrong word, and that nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contracts.completeness.honest import MEMBERS, HonestCycle
from tests.contracts.market import Market

ABROAD = ("utility_c", "bank")
"""Members that have no part in the cycle."""


@dataclass(frozen=True)
class Standing:
    """Of a member: money, base units, its locks and what it is owed and owes included; and keys, roles and payout."""

    money: int
    keys: tuple[Any, ...]


Standings = dict[str, Standing]


def standings(cycle: HonestCycle) -> Standings:
    """How everybody stands now."""
    market, found = cycle.market, {}
    outcome = cycle.outcome()
    ids = {name: market.members[name].id for name in (*MEMBERS, *ABROAD)}
    money = {name: market.token.balanceOf(market.members[name].payout) for name in ids}
    for name in MEMBERS:
        money[name] += outcome.free[name]
    for (payer, payee), (lock, _) in outcome.pairs.items():
        money[payer] += lock
        money[payer] -= outcome.owed[payer, payee]
        money[payee] += outcome.owed[payer, payee]
    by_id = {identity: name for name, identity in ids.items()}
    for number in range(1, market.obligations.obligation_count() + 1):
        one = market.obligations.obligation(number)
        money[by_id[one.debtor]] -= one.amount - one.closed
        money[by_id[one.creditor]] += one.amount - one.closed
    for name, identity in ids.items():
        registry = market.registry
        kept = registry.standings([identity])[0], registry.payout(identity), registry.cold_key(identity)
        found[name] = Standing(int(money[name]), kept)
    return found


def worse(before: Standings, after: Standings) -> set[str]:
    """Who has less than before, or other keys, roles or payout."""
    return {name for name, one in after.items() if one.money < before[name].money or one.keys != before[name].keys}


@contextmanager
def signers() -> Iterator[set[str]]:
    """The names of the members that sign anything within."""
    found: set[str] = set()
    hot, cold = Market.sign, Market.sign_cold

    def sign(self: Market, name: str, value: object) -> Any:
        found.add(name)
        return hot(self, name, value)

    def sign_cold(self: Market, name: str, value: object) -> Any:
        found.add(name)
        return cold(self, name, value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Market, "sign", sign)
        patch.setattr(Market, "sign_cold", sign_cold)
        yield found
