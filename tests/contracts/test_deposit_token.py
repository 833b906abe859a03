"""DepositToken: an ERC-20 whose holders are listed, minted and burnt by the bank's hot key."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from eth_utils import to_checksum_address

from settlement import typed_data
from settlement.hashing import keccak256
from settlement.trade import HotKeyChange, KeyCompromised
from tests.contracts.market import PLATFORM, SETTLEMENT_BANK, Market, deploy

ZERO = "0x" + "00" * 20
MAX = 2**256 - 1


@pytest.fixture(scope="module")
def deployed() -> Market:
    return deploy(only=("DepositToken",))


@pytest.fixture
def market(deployed: Market) -> Iterator[Market]:
    with boa.env.anchor():
        yield deployed


@pytest.fixture
def token(market: Market) -> Any:
    return market.token


def events(contract: Any) -> list[tuple[str, dict[str, Any]]]:
    """Name and fields of what the last call logged."""
    named = [(type(event).__name__, event._asdict()) for event in contract.get_logs()]
    return [(name, {key: value for key, value in fields.items() if key != "address"}) for name, fields in named]


def bank(market: Market) -> str:
    return str(to_checksum_address(market.members["bank"].address))


def holder(market: Market, name: str) -> str:
    return str(to_checksum_address(market.members[name].payout))


def act(contract: Any, sender: str, function: str, *arguments: Any) -> Any:
    with boa.env.prank(sender):
        return getattr(contract, function)(*arguments)


def transferred(sender: str, receiver: str, amount: int) -> list[tuple[str, dict[str, Any]]]:
    return [("Transfer", {"sender": sender, "receiver": receiver, "amount": amount})]


def test_it_says_what_it_is(market: Market, token: Any) -> None:
    assert (token.name(), token.symbol(), token.decimals(), token.totalSupply()) == ("Deposit INR", "dINR", 6, 0)
    assert token.is_holder(holder(market, "platform_a"))
    assert token.is_holder(market.addresses["SettlementEscrow"])
    assert not token.is_holder(boa.env.generate_address())


# --- bank ---


def test_the_bank_mints_for_holders(market: Market, token: Any) -> None:
    a = holder(market, "platform_a")
    act(token, bank(market), "mint", a, 500)
    assert events(token) == transferred(ZERO, a, 500)
    assert token.balanceOf(a) == token.totalSupply() == 500
    act(token, bank(market), "mint", holder(market, "platform_b"), MAX - 500)
    assert token.totalSupply() == MAX
    with boa.reverts():
        act(token, bank(market), "mint", a, 1)
    for other in (boa.env.generate_address(), ZERO, bank(market)):
        with boa.reverts("DepositToken: not a holder"):
            act(token, bank(market), "mint", other, 1)


def test_only_the_bank_mints_and_burns(market: Market, token: Any) -> None:
    a = holder(market, "platform_a")
    act(token, bank(market), "mint", a, 500)
    cold = market.members["bank"].cold_address
    for sender in (a, market.council, cold, market.members["platform_a"].address, boa.env.generate_address()):
        with boa.reverts("DepositToken: only the bank mints"):
            act(token, sender, "mint", a, 1)
        with boa.reverts("DepositToken: only the bank burns"):
            act(token, sender, "burn", 1)
    assert token.totalSupply() == 500


def test_the_bank_burns_what_it_was_sent(market: Market, token: Any) -> None:
    a = holder(market, "platform_a")
    act(token, market.council, "set_holder", bank(market), True)
    act(token, bank(market), "mint", a, 500)
    act(token, a, "transfer", bank(market), 300)
    with boa.reverts("DepositToken: burns more than it holds"):
        act(token, bank(market), "burn", 301)
    act(token, bank(market), "burn", 299)
    assert events(token) == transferred(bank(market), ZERO, 299)
    assert (token.balanceOf(bank(market)), token.balanceOf(a), token.totalSupply()) == (1, 200, 201)


def test_the_bank_s_key_may_change(market: Market, token: Any) -> None:
    who, a, old = market.members["bank"], holder(market, "platform_a"), bank(market)
    secret = keccak256(b"the bank's next key")
    new = to_checksum_address(typed_data.address_of(secret))
    change = HotKeyChange(who.id, new, 0)
    market.registry.change_hot_key(who.id, new, market.sign_cold("bank", change), b"")
    with boa.reverts("DepositToken: only the bank mints"):
        act(token, old, "mint", a, 1)
    act(token, new, "mint", a, 1)
    call = KeyCompromised(who.id, new, 1)
    market.registry.mark_compromised(who.id, new, market.sign_cold("bank", call), b"")
    with boa.reverts("DepositToken: only the bank mints"):
        act(token, new, "mint", a, 1)
    with boa.reverts("DepositToken: only the bank burns"):
        act(token, new, "burn", 0)


def test_a_bank_not_in_good_standing_mints_no_more_but_burns(market: Market, token: Any) -> None:
    identity, a = market.members["bank"].id, holder(market, "platform_a")
    act(token, market.council, "set_holder", bank(market), True)
    act(token, bank(market), "mint", bank(market), 100)
    for function, arguments in (
        ("suspend", (identity, True)),
        ("set_roles", (identity, PLATFORM)),
        ("remove", (identity,)),
    ):
        with boa.env.anchor():
            act(market.registry, market.council, function, *arguments)
            with boa.reverts("DepositToken: bank not in good standing"):
                act(token, bank(market), "mint", a, 1)
            act(token, bank(market), "burn", 60)
            assert token.totalSupply() == 40
    act(market.registry, market.council, "set_roles", identity, PLATFORM | SETTLEMENT_BANK)
    act(token, bank(market), "mint", a, 1)


# --- holders ---


def test_tokens_move_between_holders(market: Market, token: Any) -> None:
    a, b = holder(market, "platform_a"), holder(market, "platform_b")
    act(token, bank(market), "mint", a, 500)
    assert act(token, a, "transfer", b, 200) is True
    assert events(token) == transferred(a, b, 200)
    assert (token.balanceOf(a), token.balanceOf(b), token.totalSupply()) == (300, 200, 500)
    assert act(token, a, "transfer", a, 300) is True
    assert token.balanceOf(a) == 300
    assert act(token, a, "transfer", b, 0) is True
    with boa.reverts("DepositToken: balance too low"):
        act(token, a, "transfer", b, 301)
    with boa.reverts("DepositToken: balance too low"):
        act(token, a, "transfer", a, 301)
    for other in (boa.env.generate_address(), ZERO):
        with boa.reverts("DepositToken: receiver not a holder"):
            act(token, a, "transfer", other, 1)


def test_who_is_taken_off_the_list_can_still_send(market: Market, token: Any) -> None:
    a, b = holder(market, "platform_a"), holder(market, "platform_b")
    act(token, bank(market), "mint", a, 500)
    act(token, market.council, "set_holder", a, False)
    assert events(token) == [("HolderSet", {"holder": a, "allowed": False})]
    assert not token.is_holder(a)
    assert act(token, a, "transfer", b, 500) is True
    with boa.reverts("DepositToken: receiver not a holder"):
        act(token, b, "transfer", a, 1)
    act(token, market.council, "set_holder", a, True)
    assert events(token) == [("HolderSet", {"holder": a, "allowed": True})]
    assert act(token, b, "transfer", a, 1) is True


def test_a_spender_takes_no_more_than_it_was_allowed(market: Market, token: Any) -> None:
    a, b, spender = holder(market, "platform_a"), holder(market, "platform_b"), boa.env.generate_address()
    act(token, bank(market), "mint", a, 500)
    with boa.reverts("DepositToken: allowance too low"):
        act(token, spender, "transferFrom", a, b, 1)
    assert act(token, a, "approve", spender, 600) is True
    assert events(token) == [("Approval", {"owner": a, "spender": spender, "amount": 600})]
    assert act(token, spender, "transferFrom", a, b, 400) is True
    assert events(token) == transferred(a, b, 400)
    assert token.allowance(a, spender) == 200
    with boa.reverts("DepositToken: allowance too low"):
        act(token, spender, "transferFrom", a, b, 201)
    with boa.reverts("DepositToken: balance too low"):
        act(token, spender, "transferFrom", a, b, 101)
    with boa.reverts("DepositToken: receiver not a holder"):
        act(token, spender, "transferFrom", a, spender, 1)
    assert token.allowance(a, spender) == 200
    assert act(token, a, "approve", spender, 5) is True
    assert token.allowance(a, spender) == 5
    assert act(token, a, "approve", spender, MAX) is True
    assert act(token, spender, "transferFrom", a, b, 100) is True
    assert token.allowance(a, spender) == MAX
    with boa.reverts("DepositToken: allowance too low"):
        act(token, a, "transferFrom", a, b, 1)


# --- council ---


def test_only_the_council_lists_holders(market: Market, token: Any) -> None:
    who = boa.env.generate_address()
    for sender in (bank(market), market.guardian, who):
        with boa.reverts("DepositToken: not the council"):
            act(token, sender, "set_holder", who, True)
    with boa.reverts("DepositToken: bad holder"):
        act(token, market.council, "set_holder", ZERO, True)
    act(token, market.council, "set_holder", who, True)
    assert events(token) == [("HolderSet", {"holder": who, "allowed": True})]
    act(token, bank(market), "mint", who, 7)
    assert token.balanceOf(who) == 7


# --- any sequence ---


@pytest.mark.parametrize("seed", range(3))
def test_balances_and_supply_are_those_of_a_plain_ledger(market: Market, token: Any, seed: int) -> None:
    rng = random.Random(seed)
    act(token, market.council, "set_holder", bank(market), True)
    people = [bank(market), *(holder(market, name) for name in ("platform_a", "platform_b", "utility_a"))]
    balances: dict[str, int] = defaultdict(int)
    allowances: dict[tuple[str, str], int] = defaultdict(int)
    for _ in range(150):
        sender, receiver, spender = (rng.choice(people) for _ in range(3))
        amount = rng.choice((0, 1, rng.randrange(1_000), balances[sender], balances[sender] + 1))
        kind = rng.choice(("mint", "burn", "transfer", "transfer", "approve", "transferFrom", "transferFrom"))
        if kind == "mint":
            act(token, bank(market), "mint", receiver, amount)
            balances[receiver] += amount
        elif kind == "burn":
            if amount > balances[bank(market)]:
                with boa.reverts("DepositToken: burns more than it holds"):
                    act(token, bank(market), "burn", amount)
            else:
                act(token, bank(market), "burn", amount)
                balances[bank(market)] -= amount
        elif kind == "approve":
            act(token, sender, "approve", spender, amount)
            allowances[sender, spender] = amount
        elif kind == "transferFrom" and amount > allowances[sender, spender]:
            with boa.reverts("DepositToken: allowance too low"):
                act(token, spender, "transferFrom", sender, receiver, amount)
        elif amount > balances[sender]:
            with boa.reverts("DepositToken: balance too low"):
                act(token, sender, "transfer", receiver, amount)
        else:
            if kind == "transfer":
                act(token, sender, "transfer", receiver, amount)
            else:
                act(token, spender, "transferFrom", sender, receiver, amount)
                allowances[sender, spender] -= amount
            balances[sender] -= amount
            balances[receiver] += amount
        assert [token.balanceOf(one) for one in people] == [balances[one] for one in people]
        assert token.totalSupply() == sum(balances.values())
        assert token.allowance(sender, spender) == allowances[sender, spender]
