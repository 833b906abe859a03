"""Gas of commitments, allocations and faults against the targets: London, net of refunds, with base and calldata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from functools import cache
from typing import Any

import boa
import pytest
from boa.environment import Env

from settlement import merkle, preimages
from settlement.hashing import keccak256
from settlement.trade import Lock
from tests.contracts import market as markets
from tests.contracts.market import CONTRACTS, Market, at_time
from tests.contracts.trading import (
    CYCLE,
    END,
    allocation_of,
    batch_of,
    commit,
    commit_one,
    deadline,
    deploy_trading,
    leaf_of,
    member_id,
    post,
    register,
    trade_of,
)

# Each test has an environment of its own, whose transactions are final.
pytestmark = pytest.mark.ignore_isolation


@cache
def london(name: str) -> Any:
    """The contract compiled for London."""
    return boa.load_partial(str(CONTRACTS / f"{name}.vy"), compiler_args={"evm_version": "london"})


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Iterator[Market]:
    monkeypatch.setattr(markets, "source", london)
    with boa.swap_env(Env()):
        yield deploy_trading()


def next_transaction() -> None:
    """Ends a transaction: storage becomes original, addresses and slots cold."""
    state = boa.env.evm.vm.state
    state.lock_changes()
    boa.env.reset_gas_used()
    for precompile in range(1, 10):
        state.mark_address_warm(precompile.to_bytes(20, "big"))


def gas_of(contract: Any) -> int:
    """What the last call of a contract costs as a transaction."""
    computation = contract._computation
    data = computation.msg.data
    spent = 21_000 + sum(16 if byte else 4 for byte in data) + computation.get_gas_used()
    return int(spent - min(computation.get_gas_refund(), spent // 5))


def test_commit_without_lock(market: Market) -> None:
    commit(market, batch_of(market, [trade_of(market)]))
    next_transaction()
    commit(market, batch_of(market, [], sequence=2, count=10_000, root=keccak256(b"root")))
    assert report("commit a batch", gas_of(market.book)) <= 105_000


def test_commit_with_four_new_locks(market: Market) -> None:
    commit(market, batch_of(market, [trade_of(market)]))
    a, b = sorted((member_id(market, "platform_a"), member_id(market, "platform_b")))
    payees = sorted(member_id(market, f"utility_{letter}") for letter in "abc")
    locks = (*(Lock(a, payee, 1_000_000) for payee in payees), Lock(b, payees[0], 2_000_000))
    next_transaction()
    commit(market, batch_of(market, [], sequence=2, count=10_000, root=keccak256(b"root"), locks=locks))
    assert report("commit a batch with four new locks", gas_of(market.book)) <= 225_000


def test_register_without_lock(market: Market) -> None:
    register(market, trade_of(market))
    next_transaction()
    register(market, trade_of(market, 1))
    assert report("register a trade", gas_of(market.book)) <= 170_000


def test_register_with_two_new_locks(market: Market) -> None:
    register(market, trade_of(market))
    a, b = member_id(market, "platform_a"), member_id(market, "platform_b")
    locks = [Lock(a, *rest) for rest in sorted([(b, 10_000_000), (member_id(market, "utility_b"), 800_000)])]
    next_transaction()
    register(market, trade_of(market, 1), locks)
    # The aim was 200 000; the words of two locks, of the record and of the trade alone are 88 400.
    assert report("register a trade with two new locks", gas_of(market.book)) <= 230_000


def test_post(market: Market) -> None:
    commit_one(market)
    at_time(END)
    post(market, "utility_a")
    next_transaction()
    post(market, "utility_b")
    assert report("post an allocation", gas_of(market.oracle)) <= 80_000


@pytest.mark.parametrize("way", ["rule", "trade"])
def test_void(market: Market, way: str) -> None:
    trade, _ = commit_one(market)
    wrong = {"allocated_wh": 1} if way == "rule" else {"meter": keccak256(b"another meter")}
    leaf = leaf_of(market, trade, 1, **wrong)
    node, path = preimages.allocation_leaf(leaf), []
    for level in range(20):
        path.append(keccak256(b"sibling", bytes([level])))
        node = merkle.hash_node(node, path[-1])
    at_time(END)
    post(market, "utility_b", allocation_of(market, "utility_b", node, 2**20))
    at_time(deadline())
    next_transaction()
    evidence = (0, node, 2**20, 0, astuple(leaf), path)
    utility = member_id(market, "utility_b")
    if way == "rule":
        market.faults.void_by_rule(CYCLE, utility, evidence)
    else:
        market.faults.void_by_trade(CYCLE, utility, evidence, astuple(trade))
    assert report(f"void a group by {way}", gas_of(market.faults)) <= 150_000


def report(what: str, gas: int) -> int:
    """Prints a figure (seen with `pytest -s`) and gives it back."""
    print(f"{what}: {gas}")
    return gas
