"""MemberRegistry: hot keys and their grace, compromised ones, payouts, what a cold key signs, and when it is lost."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa  # type: ignore[import-untyped]
from eth_utils import to_checksum_address

from settlement import typed_data
from settlement.config import DAY, HOUR
from settlement.hashing import keccak256
from settlement.trade import HotKeyChange, KeyCompromised, PayoutChange
from tests.contracts.market import CONTRACTS, NO_SIGNATURE, PLATFORM, UTILITY, Market, at_time, member
from tests.contracts.member_registry.case import (
    CONTRACT,
    GRACE,
    KNOWN,
    STRANGER,
    ZERO,
    account,
    admit,
    by_council,
    change_key,
    change_payout,
    check,
    compromise,
    events,
    later,
    now,
    secret,
    word_of,
)

UNSIGNED = astuple(NO_SIGNATURE)


# --- hot keys ---


def test_a_hot_key_changes_at_once(market: Market, registry: Any) -> None:
    who, new = market.members["platform_a"], account("next")
    before, changed = registry.standing(who.id), later(100)
    change_key(market, "platform_a", new)
    word = word_of(new, changed, PLATFORM)
    assert events(registry) == [("StandingChanged", {"member": who.id, "word": word})]
    assert registry.standing(who.id) == word
    assert registry.standing_at(who.id, changed - 1) == before
    assert registry.cold_sequence(who.id) == 1
    assert check(market, "platform_a", PLATFORM, new, changed) == 0
    assert check(market, "platform_a", PLATFORM, new, changed - 1) == 2


def test_a_former_key_counts_for_the_grace(market: Market) -> None:
    who = market.members["platform_a"]
    changed = later(100)
    change_key(market, "platform_a", account("next"))
    for at, fault in ((changed - 1, 0), (changed, 0), (changed + GRACE, 0), (changed + GRACE + 1, 2)):
        assert check(market, "platform_a", PLATFORM, who.address, at) == fault
    # Another version, another grace; a version that is not there has none.
    by_council(market, "set_config", astuple(replace(market.config, key_grace=0)))
    for version in (2, 3, 0):
        assert check(market, "platform_a", PLATFORM, who.address, changed, version) == 0
        assert check(market, "platform_a", PLATFORM, who.address, changed + 1, version) == 2
    # The grace lasts past the key after it, from its own end.
    second = later(GRACE - 10)
    change_key(market, "platform_a", account("after that"))
    assert check(market, "platform_a", PLATFORM, who.address, second) == 0
    assert check(market, "platform_a", PLATFORM, who.address, second + 11) == 2
    assert check(market, "platform_a", PLATFORM, account("next"), second + GRACE) == 0
    assert check(market, "platform_a", PLATFORM, account("next"), changed - 1) == 2


def test_a_key_counts_for_whoever_named_it(market: Market, registry: Any) -> None:
    """Nobody is kept from a key that another named first; and what one says of it later is not said of the other."""
    shared = market.members["platform_b"].address
    assert check(market, "platform_a", PLATFORM, shared, now()) == 2
    named = later(100)
    change_key(market, "platform_a", shared)
    assert registry.standing(market.members["platform_a"].id) == word_of(shared, named, PLATFORM)
    for name in ("platform_a", "platform_b"):
        assert check(market, name, PLATFORM, shared, named) == 0
    assert check(market, "platform_a", PLATFORM, shared, named - 1) == 2
    assert check(market, "platform_b", PLATFORM, shared, named - 1) == 0
    changed = later(100)
    change_key(market, "platform_a", account("next"))
    stopped = later(100)
    compromise(market, "platform_a", shared)
    assert check(market, "platform_a", PLATFORM, shared, changed) == 0
    assert check(market, "platform_a", PLATFORM, shared, stopped) == 2
    assert check(market, "platform_b", PLATFORM, shared, stopped) == 0
    with boa.reverts("MemberRegistry: key was used before"):
        change_key(market, "platform_a", shared)
    # The other's own word on the same key.
    later(100)
    compromise(market, "platform_b", shared)
    assert check(market, "platform_b", PLATFORM, shared, now()) == 2


def test_a_former_key_does_not_come_back(market: Market) -> None:
    first = market.members["platform_a"].address
    with boa.reverts("MemberRegistry: key was used before"):
        change_key(market, "platform_a", first)
    change_key(market, "platform_a", account("next"))
    with boa.reverts("MemberRegistry: key was used before"):
        change_key(market, "platform_a", first)
    compromise(market, "platform_a", account("next"))
    with boa.reverts("MemberRegistry: key was used before"):
        change_key(market, "platform_a", account("next"))


def test_no_key_is_no_hot_key(market: Market) -> None:
    with boa.reverts("MemberRegistry: no hot key"):
        change_key(market, "platform_a", ZERO)


def test_changes_at_one_block_time_replace_each_other(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    before, changed = registry.standing(who.id), later(100)
    change_key(market, "platform_a", account("first"))
    change_key(market, "platform_a", account("second"))
    by_council(market, "set_roles", who.id, UTILITY)
    assert registry.standing(who.id) == word_of(account("second"), changed, UTILITY)
    assert registry.standing_at(who.id, changed - 1) == before
    # A key that came and went within the block was never its key.
    for at in (changed - 1, changed, changed + 1):
        assert check(market, "platform_a", 0, account("first"), at) == 2
    assert check(market, "platform_a", UTILITY, account("second"), changed) == 0
    assert check(market, "platform_a", UTILITY, who.address, changed + GRACE) == 0


def test_a_contract_as_hot_key_signs_no_trades(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    wallet = str(boa.load(str(CONTRACTS / "mocks" / "OwnerWallet.vy"), account("owner")).address)
    later(100)
    change_key(market, "platform_a", wallet)
    assert registry.standing(who.id) == word_of(wallet, now(), PLATFORM, KNOWN | CONTRACT)
    assert check(market, "platform_a", PLATFORM, wallet, now()) == 2
    assert check(market, "platform_a", PLATFORM, ZERO, now()) == 0
    later(100)
    change_key(market, "platform_a", account("next"))
    assert registry.standing(who.id) == word_of(account("next"), now(), PLATFORM)
    assert check(market, "platform_a", PLATFORM, wallet, now()) == 2
    admit(
        market,
        "newcomer",
        hot_key=str(boa.load(str(CONTRACTS / "mocks" / "OwnerWallet.vy"), account("owner")).address),
    )
    assert registry.standing(member("newcomer").id) & CONTRACT


def test_an_account_that_becomes_a_contract_later_stays_an_account(market: Market, registry: Any) -> None:
    """The flag is decided when the key is named: no code-size check where signatures are judged."""
    future = str(boa.env.generate_address())
    later(100)
    change_key(market, "platform_a", future)
    boa.load(str(CONTRACTS / "mocks" / "OwnerWallet.vy"), account("owner"), override_address=future)
    assert registry.standing(market.members["platform_a"].id) & CONTRACT == 0
    assert check(market, "platform_a", PLATFORM, future, now()) == 0


# --- compromised keys ---


def test_a_compromised_key_stops_at_once(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    stopped = later(100)
    compromise(market, "platform_a", who.address)
    word = word_of(ZERO, stopped, PLATFORM)
    assert events(registry) == [
        ("KeyCompromised", {"member": who.id, "key": to_checksum_address(who.address)}),
        ("StandingChanged", {"member": who.id, "word": word}),
    ]
    assert registry.standing(who.id) == word
    assert check(market, "platform_a", PLATFORM, who.address, stopped - 1) == 0
    assert check(market, "platform_a", PLATFORM, who.address, stopped) == 2
    assert check(market, "platform_a", PLATFORM, who.address, stopped + 1) == 2
    assert check(market, "platform_a", PLATFORM, ZERO, stopped) == 0
    with boa.reverts("MemberRegistry: already compromised"):
        compromise(market, "platform_a", who.address)
    later(100)
    change_key(market, "platform_a", account("next"))
    assert registry.standing(who.id) == word_of(account("next"), now(), PLATFORM)
    assert check(market, "platform_a", PLATFORM, who.address, stopped - 1) == 0


def test_a_former_key_loses_its_grace_when_compromised(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    later(100)
    change_key(market, "platform_a", account("next"))
    changed = now()
    stopped = later(100)
    compromise(market, "platform_a", who.address)
    assert events(registry) == [("KeyCompromised", {"member": who.id, "key": to_checksum_address(who.address)})]
    assert registry.standing(who.id) == word_of(account("next"), changed, PLATFORM)
    assert check(market, "platform_a", PLATFORM, who.address, stopped - 1) == 0
    assert check(market, "platform_a", PLATFORM, who.address, stopped) == 2


def test_a_wallet_called_compromised_leaves_no_flag(market: Market, registry: Any) -> None:
    wallet = str(boa.load(str(CONTRACTS / "mocks" / "OwnerWallet.vy"), account("owner")).address)
    change_key(market, "platform_a", wallet)
    later(1)
    compromise(market, "platform_a", wallet)
    assert registry.standing(market.members["platform_a"].id) == word_of(ZERO, now(), PLATFORM)


def test_only_its_own_keys_can_a_member_call_compromised(market: Market) -> None:
    for key in (market.members["platform_b"].address, account("nobody's"), ZERO):
        with boa.reverts("MemberRegistry: not its key"):
            compromise(market, "platform_a", key)


# --- payout ---


def test_a_payout_holds_after_two_days(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    old, first, second = to_checksum_address(who.payout), account("first"), account("second")
    announced = now()
    change_payout(market, "platform_a", first)
    assert events(registry) == [
        ("PayoutAnnounced", {"member": who.id, "payout": first, "valid_from": announced + 48 * HOUR})
    ]
    at_time(announced + 48 * HOUR - 1)
    assert registry.payout(who.id) == old
    at_time(announced + 48 * HOUR)
    assert registry.payout(who.id) == first
    # A further one replaces it after its own delay; the one in force stays so until then.
    change_payout(market, "platform_a", second)
    assert registry.payout(who.id) == first
    later(48 * HOUR)
    assert registry.payout(who.id) == second


def test_an_announced_payout_can_be_called_off(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    change_payout(market, "platform_a", account("wrong"))
    later(HOUR)
    change_payout(market, "platform_a", who.payout)
    for _ in range(3):
        later(40 * HOUR)
        assert registry.payout(who.id) == to_checksum_address(who.payout)


def test_no_address_is_no_payout(market: Market) -> None:
    with boa.reverts("MemberRegistry: no payout"):
        change_payout(market, "platform_a", ZERO)


# --- what the cold key signs ---


def test_each_cold_signature_serves_once(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    signature = market.sign_cold("platform_a", PayoutChange(who.id, account("p"), 0))
    registry.change_payout(who.id, account("p"), signature, b"")
    with boa.reverts("MemberRegistry: not the cold key"):
        registry.change_payout(who.id, account("p"), signature, b"")
    assert registry.cold_sequence(who.id) == 1
    early = market.sign_cold("platform_a", PayoutChange(who.id, account("p"), 2))
    with boa.reverts("MemberRegistry: not the cold key"):
        registry.change_payout(who.id, account("p"), early, b"")


def test_only_the_member_s_cold_key_will_do(market: Market, registry: Any) -> None:
    who, key = market.members["platform_a"], account("next")
    change = HotKeyChange(who.id, key, 0)
    other_market = typed_data.Domain(market.domain.chain_id, market.domain.registry, keccak256(b"other"))
    forged = [
        market.sign("platform_a", change),
        market.sign_cold("platform_b", change),
        market.sign_cold("platform_a", PayoutChange(who.id, key, 0)),
        market.sign_cold("platform_a", HotKeyChange(who.id, account("other"), 0)),
        astuple(typed_data.sign(who.cold, other_market.digest(change))),
        (26, *market.sign_cold("platform_a", change)[1:]),
        (27, bytes(32), bytes(32)),
    ]
    for signature in forged:
        with boa.reverts("MemberRegistry: not the cold key"):
            registry.change_hot_key(who.id, key, signature, b"")
    with boa.reverts("MemberRegistry: not the cold key"):
        registry.change_payout(who.id, key, market.sign_cold("platform_a", change), b"")
    with boa.reverts("MemberRegistry: not the cold key"):
        registry.mark_compromised(who.id, who.address, market.sign_cold("platform_a", change), b"")
    with boa.reverts("MemberRegistry: wallet refuses"):
        registry.change_hot_key(who.id, key, UNSIGNED, b"")
    with boa.reverts("MemberRegistry: never a member"):
        registry.change_hot_key(STRANGER, key, market.sign_cold("platform_a", HotKeyChange(STRANGER, key, 0)), b"")
    with boa.reverts("MemberRegistry: never a member"):
        registry.change_hot_key(STRANGER, key, (27, bytes(32), bytes(32)), b"")
    assert registry.cold_sequence(who.id) == 0


def test_a_contract_as_cold_key_signs_by_erc_1271(market: Market, registry: Any) -> None:
    wallet = str(boa.load(str(CONTRACTS / "mocks" / "OwnerWallet.vy"), account("owner")).address)
    admit(market, "newcomer", cold_key=wallet)
    who = member("newcomer")

    def bytes_for(value: object) -> bytes:
        signed = typed_data.sign(secret("owner"), market.domain.digest(value))
        return signed.r + signed.s + bytes([signed.v])

    change = HotKeyChange(who.id, account("next"), 0)
    with boa.reverts("MemberRegistry: wallet refuses"):
        registry.change_hot_key(who.id, account("next"), UNSIGNED, bytes(65))
    with boa.reverts("MemberRegistry: not the cold key"):
        signed = typed_data.sign(secret("owner"), market.domain.digest(change))
        registry.change_hot_key(who.id, account("next"), astuple(signed), b"")
    registry.change_hot_key(who.id, account("next"), UNSIGNED, bytes_for(change))
    assert registry.standing(who.id) == word_of(account("next"), now(), PLATFORM)
    registry.change_payout(who.id, account("p"), UNSIGNED, bytes_for(PayoutChange(who.id, account("p"), 1)))
    call = KeyCompromised(who.id, account("next"), 2)
    registry.mark_compromised(who.id, account("next"), UNSIGNED, bytes_for(call))
    assert registry.cold_sequence(who.id) == 3
    assert registry.standing(who.id) == word_of(ZERO, now(), PLATFORM)


# --- a lost cold key ---


def test_a_lost_cold_key_is_replaced_after_thirty_days(market: Market, registry: Any) -> None:
    who, new = market.members["platform_a"], account("new cold")
    by_council(market, "replace_cold_key", who.id, new)
    assert events(registry) == [("ColdKeyAnnounced", {"member": who.id, "key": new, "valid_from": now() + 30 * DAY})]
    later(30 * DAY - 1)
    assert registry.cold_key(who.id) == to_checksum_address(who.cold_address)
    later(1)
    assert registry.cold_key(who.id) == new
    change = HotKeyChange(who.id, account("next"), 0)
    with boa.reverts("MemberRegistry: not the cold key"):
        registry.change_hot_key(who.id, account("next"), market.sign_cold("platform_a", change), b"")
    signed = typed_data.sign(secret("new cold"), market.domain.digest(change))
    registry.change_hot_key(who.id, account("next"), astuple(signed), b"")
    assert registry.cold_key(who.id) == new
    # And again, from the new one on.
    by_council(market, "replace_cold_key", who.id, account("newer"))
    assert registry.cold_key(who.id) == new
    later(30 * DAY)
    assert registry.cold_key(who.id) == account("newer")
    by_council(market, "replace_cold_key", who.id, account("newest"))
    assert registry.cold_key(who.id) == account("newer")


def test_whatever_the_old_cold_key_signs_vetoes_its_replacement(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    by_council(market, "replace_cold_key", who.id, account("new cold"))
    later(30 * DAY - 1)
    change_payout(market, "platform_a", who.payout)
    later(DAY)
    assert registry.cold_key(who.id) == to_checksum_address(who.cold_address)
    change_key(market, "platform_a", account("next"))
    assert registry.cold_key(who.id) == to_checksum_address(who.cold_address)


def test_cold_keys_are_replaced_by_keys_of_members(market: Market) -> None:
    with boa.reverts("MemberRegistry: never a member"):
        by_council(market, "replace_cold_key", STRANGER, account("new cold"))
    with boa.reverts("MemberRegistry: no cold key"):
        by_council(market, "replace_cold_key", market.members["platform_a"].id, ZERO)
