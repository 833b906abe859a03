"""MemberRegistry: identity, members and their timeline, keys, payouts, attestors, parameters, pause, who may what."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import astuple, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from eth_utils import to_checksum_address

from settlement import typed_data
from settlement.config import DAY, FIFO, HOUR, Config, code
from settlement.hashing import keccak256
from settlement.trade import HotKeyChange, KeyCompromised, PayoutChange
from settlement.validity import MemberHistory, Standing
from tests.contracts.market import (
    ATTESTORS,
    CONTRACTS,
    GENESIS,
    GRID_OPERATOR,
    MARKET,
    MARKET_AGENT,
    MEMBERS,
    NO_SIGNATURE,
    PLATFORM,
    SETTLEMENT_BANK,
    UTILITY,
    Market,
    at_time,
    deploy,
    member,
    source,
)

ZERO = "0x" + "00" * 20
UNSIGNED = astuple(NO_SIGNATURE)
KNOWN, SUSPENDED, CONTRACT = 1 << 224, 1 << 225, 1 << 226
GRACE = Config().key_grace
STRANGER = keccak256(b"stranger")


@pytest.fixture(scope="module")
def deployed() -> Market:
    return deploy(only=())


@pytest.fixture
def market(deployed: Market) -> Iterator[Market]:
    with boa.env.anchor():
        yield deployed


@pytest.fixture
def registry(market: Market) -> Any:
    return market.registry


def now() -> int:
    return int(boa.env.evm.patch.timestamp)


def later(seconds: int) -> int:
    """Moves the chain on and returns the new time."""
    at_time(now() + seconds)
    return now()


def events(contract: Any) -> list[tuple[str, dict[str, Any]]]:
    """Name and fields of what the last call logged."""
    named = [(type(event).__name__, event._asdict()) for event in contract.get_logs()]
    return [(name, {key: value for key, value in fields.items() if key != "address"}) for name, fields in named]


def secret(label: str) -> bytes:
    return keccak256(b"secret", label.encode())


def account(label: str) -> str:
    return to_checksum_address(typed_data.address_of(secret(label)))


def word_of(key: str, since: int, roles: int, flags: int = KNOWN) -> int:
    return int(key, 16) | since << 160 | roles << 208 | flags


def current_word(market: Market, name: str, flags: int = KNOWN) -> int:
    return word_of(market.members[name].address, now(), MEMBERS[name], flags)


def change_key(market: Market, name: str, key: str) -> None:
    """The member's cold key names its hot key."""
    who = market.members[name]
    change = HotKeyChange(who.id, key, market.registry.cold_sequence(who.id))
    market.registry.change_hot_key(who.id, key, market.sign_cold(name, change), b"")


def change_payout(market: Market, name: str, payout: str) -> None:
    """The member's cold key announces its payout."""
    who = market.members[name]
    change = PayoutChange(who.id, payout, market.registry.cold_sequence(who.id))
    market.registry.change_payout(who.id, payout, market.sign_cold(name, change), b"")


def compromise(market: Market, name: str, key: str) -> None:
    """The member's cold key calls a key compromised."""
    who = market.members[name]
    call = KeyCompromised(who.id, key, market.registry.cold_sequence(who.id))
    market.registry.mark_compromised(who.id, key, market.sign_cold(name, call), b"")


def check(market: Market, name: str, roles: int, key: str, at: int, version: int = 1) -> int:
    return int(market.registry.check_parties([(market.members[name].id, roles, key)], at, version))


def by_council(market: Market, function: str, *arguments: Any) -> None:
    with boa.env.prank(market.council):
        getattr(market.registry, function)(*arguments)


def admit(market: Market, name: str, roles: int = PLATFORM, **changes: Any) -> None:
    who = member(name)
    given = {
        "member": who.id,
        "roles": roles,
        "cold_key": who.cold_address,
        "hot_key": who.address,
        "payout": who.payout,
        "beckn_key": bytes(32),
    }
    assert set(changes) <= set(given)
    by_council(market, "admit", *{**given, **changes}.values())


# --- identity ---


def test_domain_binds_chain_registry_and_market(market: Market, registry: Any) -> None:
    assert registry.market_id() == keccak256(GENESIS, MARKET.encode()) == market.domain.market_id
    assert registry.domain_separator() == market.domain.separator
    assert registry.council() == market.council
    assert registry.guardian() == market.guardian


@pytest.mark.parametrize("name", ["", "x", "n" * 64])
def test_market_names_of_any_length(name: str) -> None:
    council = boa.env.generate_address()
    registry = source("MemberRegistry").deploy(council, ZERO, GENESIS, name, astuple(Config()))
    assert registry.market_id() == keccak256(GENESIS, name.encode())
    domain = typed_data.Domain(boa.env.evm.patch.chain_id, str(registry.address), registry.market_id())
    assert registry.domain_separator() == domain.separator


def test_construction_logs_who_governs_and_the_first_config() -> None:
    council, guardian = boa.env.generate_address(), boa.env.generate_address()
    config = Config()
    registry = source("MemberRegistry").deploy(council, guardian, GENESIS, MARKET, astuple(config))
    logged = dict(events(registry))
    assert logged["CouncilSet"] == {"council": council}
    assert logged["GuardianSet"] == {"guardian": guardian}
    assert (logged["ConfigSet"]["version"], logged["ConfigSet"]["digest"]) == (1, config.digest())
    assert registry.config_version() == 1
    with boa.reverts("MemberRegistry: no council"):
        source("MemberRegistry").deploy(ZERO, guardian, GENESIS, MARKET, astuple(config))
    with boa.reverts("MemberRegistry: bad currency"):
        source("MemberRegistry").deploy(
            council, guardian, GENESIS, MARKET, astuple(replace(config, currency=bytes(32)))
        )


# --- admission ---


@pytest.mark.parametrize("name", MEMBERS)
def test_admitted_members_stand(market: Market, registry: Any, name: str) -> None:
    who = market.members[name]
    assert registry.standing(who.id) == current_word(market, name)
    assert registry.cold_key(who.id) == to_checksum_address(who.cold_address)
    assert registry.payout(who.id) == to_checksum_address(who.payout)
    assert registry.beckn_key(who.id) == bytes(32)
    assert registry.cold_sequence(who.id) == 0


def test_a_stranger_is_nobody(registry: Any) -> None:
    assert registry.standing(STRANGER) == 0
    assert registry.standing_at(STRANGER, 2**64 - 1) == 0
    assert registry.cold_key(STRANGER) == registry.payout(STRANGER) == ZERO
    assert registry.check_parties([(STRANGER, 0, ZERO)], now(), 1) == 1


def test_admission_is_logged_with_all_it_sets(market: Market, registry: Any) -> None:
    who, beckn_key = member("newcomer"), keccak256(b"ed25519")
    admit(market, "newcomer", PLATFORM | MARKET_AGENT, beckn_key=beckn_key)
    word = word_of(who.address, now(), PLATFORM | MARKET_AGENT)
    assert events(registry) == [
        (
            "MemberAdmitted",
            {
                "member": who.id,
                "roles": PLATFORM | MARKET_AGENT,
                "cold_key": to_checksum_address(who.cold_address),
                "hot_key": to_checksum_address(who.address),
                "payout": to_checksum_address(who.payout),
                "beckn_key": beckn_key,
            },
        ),
        ("StandingChanged", {"member": who.id, "word": word}),
    ]
    assert registry.standing(who.id) == word
    assert registry.beckn_key(who.id) == beckn_key


@pytest.mark.parametrize("roles", [0, 32, 33, 2**16, 2**255])
def test_roles_are_the_known_ones(market: Market, roles: int) -> None:
    with boa.reverts("MemberRegistry: bad roles"):
        admit(market, "newcomer", roles)
    with boa.reverts("MemberRegistry: bad roles"):
        by_council(market, "set_roles", market.members["platform_a"].id, roles)


def test_admission_needs_id_and_keys(market: Market) -> None:
    with boa.reverts("MemberRegistry: no member id"):
        admit(market, "newcomer", member=bytes(32))
    with boa.reverts("MemberRegistry: no cold key"):
        admit(market, "newcomer", cold_key=ZERO)
    with boa.reverts("MemberRegistry: no hot key"):
        admit(market, "newcomer", hot_key=ZERO)
    with boa.reverts("MemberRegistry: no payout"):
        admit(market, "newcomer", payout=ZERO)
    with boa.reverts("MemberRegistry: already a member"):
        admit(market, "platform_a", hot_key=account("another"))
    with boa.reverts("MemberRegistry: key was used before"):
        admit(market, "newcomer", hot_key=market.members["platform_a"].address)


# --- who may ---

COUNCIL_CALLS: list[tuple[str, tuple[Any, ...]]] = [
    ("admit", (STRANGER, 1, account("c"), account("h"), account("p"), bytes(32))),
    ("set_roles", (member("platform_a").id, 1)),
    ("suspend", (member("platform_a").id, True)),
    ("remove", (member("platform_a").id,)),
    ("replace_cold_key", (member("platform_a").id, account("c"))),
    ("set_attestors", ([member("utility_a").id],)),
    ("set_config", (astuple(Config()),)),
    ("set_council", (account("c"),)),
    ("set_guardian", (account("g"),)),
]


@pytest.mark.parametrize(("function", "arguments"), COUNCIL_CALLS, ids=[call[0] for call in COUNCIL_CALLS])
def test_only_the_council_governs(market: Market, function: str, arguments: tuple[Any, ...]) -> None:
    senders = (market.guardian, market.members["platform_a"].address, market.members["platform_a"].cold_address)
    for sender in (*senders, boa.env.generate_address()):
        with boa.env.prank(sender), boa.reverts("MemberRegistry: not the council"):
            getattr(market.registry, function)(*arguments)


def test_governance_can_be_handed_over(market: Market, registry: Any) -> None:
    heir = boa.env.generate_address()
    with boa.reverts("MemberRegistry: no council"):
        by_council(market, "set_council", ZERO)
    by_council(market, "set_council", heir)
    assert events(registry) == [("CouncilSet", {"council": heir})]
    assert registry.council() == heir
    with boa.reverts("MemberRegistry: not the council"):
        by_council(market, "set_guardian", heir)
    with boa.env.prank(heir):
        registry.set_guardian(ZERO)
    assert events(registry) == [("GuardianSet", {"guardian": ZERO})]
    assert registry.guardian() == ZERO


# --- roles, suspension, removal ---


def test_roles_change_from_their_block_on(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    before, admitted = registry.standing(who.id), now()
    changed = later(100)
    by_council(market, "set_roles", who.id, UTILITY | SETTLEMENT_BANK)
    word = word_of(who.address, changed, UTILITY | SETTLEMENT_BANK)
    assert events(registry) == [("StandingChanged", {"member": who.id, "word": word})]
    assert registry.standing(who.id) == registry.standing_at(who.id, changed) == word
    assert registry.standing_at(who.id, changed - 1) == registry.standing_at(who.id, admitted) == before
    assert registry.standing_at(who.id, admitted - 1) == 0
    assert check(market, "platform_a", PLATFORM, ZERO, changed - 1) == 0
    assert check(market, "platform_a", PLATFORM, ZERO, changed) == 1
    assert check(market, "platform_a", UTILITY | SETTLEMENT_BANK, ZERO, changed) == 0
    assert check(market, "platform_a", UTILITY | PLATFORM, ZERO, changed) == 1
    assert check(market, "platform_a", UTILITY, ZERO, changed - 1) == 1


def test_suspension_keeps_roles_and_key(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    later(100)
    by_council(market, "suspend", who.id, True)
    assert registry.standing(who.id) == current_word(market, "platform_a", KNOWN | SUSPENDED)
    assert check(market, "platform_a", PLATFORM, who.address, now()) == 0
    with boa.reverts("MemberRegistry: nothing changes"):
        by_council(market, "suspend", who.id, True)
    later(100)
    by_council(market, "suspend", who.id, False)
    assert registry.standing(who.id) == current_word(market, "platform_a")
    with boa.reverts("MemberRegistry: nothing changes"):
        by_council(market, "suspend", who.id, False)


def test_a_suspended_member_stays_so_through_other_changes(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    by_council(market, "suspend", who.id, True)
    by_council(market, "set_roles", who.id, UTILITY)
    change_key(market, "platform_a", account("next"))
    assert registry.standing(who.id) == word_of(account("next"), now(), UTILITY, KNOWN | SUSPENDED)


def test_a_removed_member_keeps_key_and_payout_and_no_role(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    by_council(market, "suspend", who.id, True)
    removed = later(100)
    by_council(market, "remove", who.id)
    word = word_of(who.address, removed, 0, 0)
    assert events(registry) == [("StandingChanged", {"member": who.id, "word": word})]
    assert registry.standing(who.id) == word
    assert registry.payout(who.id) == to_checksum_address(who.payout)
    assert check(market, "platform_a", 0, ZERO, removed) == 1
    assert check(market, "platform_a", PLATFORM, who.address, removed - 1) == 0
    for function, arguments in (
        ("remove", ()),
        ("set_roles", (PLATFORM,)),
        ("suspend", (True,)),
    ):
        with boa.reverts("MemberRegistry: not a member"):
            by_council(market, function, who.id, *arguments)
    # What is its own it still governs.
    change_key(market, "platform_a", account("next"))
    assert registry.standing(who.id) == word_of(account("next"), removed, 0, 0)
    change_payout(market, "platform_a", account("elsewhere"))


def test_a_member_comes_back_with_its_own_keys_only(market: Market, registry: Any) -> None:
    who = market.members["platform_a"]
    by_council(market, "remove", who.id)
    removed = now()
    back = later(100)
    for changed in ("cold_key", "hot_key", "payout"):
        with boa.reverts("MemberRegistry: not its own keys"):
            admit(market, "platform_a", **{changed: account("council's")})
    admit(market, "platform_a", UTILITY, beckn_key=keccak256(b"new"))
    assert registry.standing(who.id) == word_of(who.address, back, UTILITY)
    assert registry.beckn_key(who.id) == keccak256(b"new")
    assert registry.standing_at(who.id, back - 1) == word_of(who.address, removed, 0, 0)
    assert check(market, "platform_a", UTILITY, who.address, back) == 0


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


def test_a_key_is_one_member_s(market: Market) -> None:
    other = market.members["platform_b"]
    assert check(market, "platform_a", PLATFORM, other.address, now()) == 2
    with boa.reverts("MemberRegistry: key was used before"):
        change_key(market, "platform_a", other.address)
    later(100)
    change_key(market, "platform_b", account("next"))
    with boa.reverts("MemberRegistry: key was used before"):
        change_key(market, "platform_a", other.address)
    with boa.reverts("MemberRegistry: key was used before"):
        change_key(market, "platform_a", account("next"))


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


# --- several at once ---


def test_standings_answer_in_order(market: Market, registry: Any) -> None:
    ids = [market.members[name].id for name in MEMBERS]
    assert registry.standings(ids) == [registry.standing(identity) for identity in ids]
    assert registry.standings([STRANGER, ids[0], STRANGER, ids[0]]) == [0, registry.standing(ids[0])] * 2
    assert registry.standings([]) == []
    assert registry.standings(ids * 16) == [registry.standing(identity) for identity in ids] * 16


def test_the_first_party_that_fails_decides(market: Market, registry: Any) -> None:
    a, b, u = (market.members[name] for name in ("platform_a", "platform_b", "utility_a"))
    good = [(a.id, PLATFORM, a.address), (b.id, PLATFORM, ZERO), (u.id, UTILITY | GRID_OPERATOR, u.address)]
    bad_role, bad_key, both = (a.id, UTILITY, a.address), (a.id, PLATFORM, b.address), (a.id, UTILITY, b.address)
    assert registry.check_parties([], now(), 1) == 0
    assert registry.check_parties(good * 4, now(), 1) == 0
    assert registry.check_parties([*good, bad_role, bad_key], now(), 1) == 1
    assert registry.check_parties([*good, bad_key, bad_role], now(), 1) == 2
    assert registry.check_parties([both], now(), 1) == 1
    assert registry.check_parties(good, now() - 1, 1) == 1


def test_parties_of_long_ago_and_to_come(market: Market) -> None:
    who = market.members["platform_a"]
    admitted = now()
    assert check(market, "platform_a", PLATFORM, who.address, admitted - 1) == 1
    assert check(market, "platform_a", PLATFORM, who.address, 2**64 - 1) == 0
    assert check(market, "platform_a", PLATFORM, who.address, 0) == 1


def history_of(words: dict[int, int], compromised: dict[str, int]) -> MemberHistory:
    """What Python makes of the words (by their time) and calls that the registry logged."""
    return MemberHistory(
        tuple(Standing.from_word(words[since]) for since in sorted(words)),
        {bytes.fromhex(key[2:]): at for key, at in compromised.items()},
    )


def expected_check(history: MemberHistory, roles: int, key: str, at: int) -> int:
    standing = history.at(at)
    if standing is None or not standing.is_known or standing.roles & roles != roles:
        return 1
    return 0 if key == ZERO or history.had_key(bytes.fromhex(key[2:]), at, GRACE) else 2


@pytest.mark.parametrize("seed", range(3))
def test_any_history_is_remembered(market: Market, registry: Any, seed: int) -> None:
    """Random changes of key, roles and flags; every answer about every time is what Python finds in the events."""
    rng = random.Random(seed)
    who = market.members["platform_a"]
    start = now()
    key, roles, flags = str(to_checksum_address(who.address)), PLATFORM, KNOWN
    keys, compromised = [key], dict[str, int]()
    words = {start: word_of(key, start, roles)}
    for step in range(40):
        if rng.random() < 0.7:
            later(rng.choice((1, HOUR, DAY, 5 * DAY)))
        act = rng.choice(("key", "key", "key", "roles", "suspend", "compromise", "compromise former"))
        if act == "key":
            key = account(f"{seed} {step}")
            change_key(market, "platform_a", key)
            keys.append(key)
        elif act == "roles":
            roles = rng.randint(1, 31)
            by_council(market, "set_roles", who.id, roles)
        elif act == "suspend":
            flags ^= SUSPENDED
            by_council(market, "suspend", who.id, bool(flags & SUSPENDED))
        else:
            chosen = key if act == "compromise" else rng.choice(keys)
            if chosen == ZERO or chosen in compromised:
                continue
            compromise(market, "platform_a", chosen)
            compromised[chosen] = now()
            if chosen == key:
                key = ZERO
        for name, fields in events(registry):
            if name == "StandingChanged":
                assert fields == {"member": who.id, "word": word_of(key, now(), roles, flags)}
                words[now()] = fields["word"]
    history = history_of(words, compromised)
    times = {since + shift for since in words for shift in (-1, 0, 1)} | {now() + 9 * DAY}
    for at in times:
        since = max((since for since in words if since <= at), default=0)
        assert registry.standing_at(who.id, at) == words.get(since, 0)
    ends = {since + GRACE + shift for since in words for shift in (-1, 0, 1)}
    for at in rng.sample(sorted(times | ends), 40):
        for one in (ZERO, account("nobody's"), *rng.sample(keys, 5)):
            for asked in (0, PLATFORM):
                assert check(market, "platform_a", asked, one, at) == expected_check(history, asked, one, at), (at, one)


# --- attestors ---


def seat_key(address: str) -> int:
    """What a seat has of a hot key: two of them fit in a word."""
    return int(address, 16) >> 36


@pytest.mark.parametrize("count", [*range(1, 12), 16, 21, 31, 32])
def test_quorum_follows_from_the_number(market: Market, registry: Any, count: int) -> None:
    names = [f"utility {number}" for number in range(count)]
    for name in names:
        admit(market, name, UTILITY)
    ids = [member(name).id for name in names]
    by_council(market, "set_attestors", ids)
    faulty = (count - 1) // 3
    quorum = max(count // 2 + 1, (count + faulty) // 2 + 1)
    assert quorum == {4: 3, 7: 5, 10: 7, 21: 14}.get(count, quorum)
    assert events(registry) == [("AttestorsSet", {"version": 2, "members": ids, "quorum": quorum})]
    assert (registry.quorum(), registry.attestor_version(), registry.attestors()) == (quorum, 2, ids)
    keys = [seat_key(member(name).address) for name in names]
    everyone = (1 << count) - 1
    for mask in {1, everyone, 1 << (count - 1), everyone & 0xAAAAAAAA, everyone & 0x55555555} - {0}:
        assert registry.attestors_in(mask) == ([keys[bit] for bit in range(count) if mask >> bit & 1], quorum)
    for mask in (0, 1 << count, everyone << 1, 1 << 255, 2**256 - 1):
        with boa.reverts("MemberRegistry: no such attestor"):
            registry.attestors_in(mask)


def test_attestors_are_utilities_each_once(market: Market) -> None:
    ids = [market.members[name].id for name in ATTESTORS]
    with boa.reverts("MemberRegistry: no attestors"):
        by_council(market, "set_attestors", [])
    with boa.reverts("MemberRegistry: not a utility"):
        by_council(market, "set_attestors", [*ids, market.members["platform_a"].id])
    with boa.reverts("MemberRegistry: not a member"):
        by_council(market, "set_attestors", [*ids, STRANGER])
    for twice in ([ids[0], ids[0]], [*ids, ids[0]], [*ids, ids[-1]]):
        with boa.reverts("MemberRegistry: attestor twice"):
            by_council(market, "set_attestors", twice)


def test_an_attestor_stays_a_utility_until_another_takes_its_place(market: Market, registry: Any) -> None:
    who = market.members["utility_a"]
    with boa.reverts("MemberRegistry: is an attestor"):
        by_council(market, "remove", who.id)
    with boa.reverts("MemberRegistry: attestor not utility"):
        by_council(market, "set_roles", who.id, GRID_OPERATOR)
    by_council(market, "set_roles", who.id, UTILITY)
    by_council(market, "set_roles", market.members["platform_a"].id, GRID_OPERATOR)
    by_council(market, "set_attestors", [market.members[name].id for name in ATTESTORS[1:]])
    by_council(market, "set_roles", who.id, GRID_OPERATOR)
    by_council(market, "remove", who.id)
    assert registry.quorum() == 2


def test_attestors_keys_are_those_of_today(market: Market, registry: Any) -> None:
    names = list(ATTESTORS)
    keys = [seat_key(market.members[name].address) for name in names]
    assert registry.attestors_in(15) == (keys, 3)
    who = market.members[names[1]]
    key = to_checksum_address(keccak256(b"another hot key")[12:])
    change_key(market, who.name, key)
    keys[1] = seat_key(key)
    assert registry.attestors_in(15) == (keys, 3)
    # Suspended it keeps its key, called compromised it has none; a smaller set leaves no seat behind.
    by_council(market, "suspend", who.id, True)
    assert registry.attestors_in(15) == (keys, 3)
    compromise(market, who.name, key)
    with boa.reverts("MemberRegistry: no such attestor"):
        registry.attestors_in(15)
    assert registry.attestors_in(13) == ([keys[0], *keys[2:]], 3)
    by_council(market, "set_attestors", [market.members[name].id for name in names[2:]])
    assert registry.attestors_in(3) == (keys[2:], 2)
    with boa.reverts("MemberRegistry: no such attestor"):
        registry.attestors_in(4)
    # Whoever left the set moves no seat.
    change_key(market, names[0], "0x" + keccak256(b"a third hot key")[12:].hex())
    assert registry.attestors_in(3) == (keys[2:], 2)


# --- parameters ---


def test_every_version_is_kept_with_its_digest(market: Market, registry: Any) -> None:
    first = market.config
    second = replace(
        first,
        allocation_rule=FIFO,
        payable_unit=7,
        gate=HOUR,
        run_deadlines=(2 * HOUR, 3 * DAY),
        rails=(code("CARD"),),
        window=30 * HOUR,
        publish_time=2 * HOUR,
        row_window=3 * HOUR,
        claim_window=4 * HOUR,
        due_time=5 * HOUR,
        fall_due_interval=6 * HOUR,
        set_off=3,
    )
    for rail in first.rails:
        assert registry.is_rail(rail)
    by_council(market, "set_config", astuple(second))
    ((name, logged),) = events(registry)
    assert (name, logged["version"], logged["digest"]) == ("ConfigSet", 2, second.digest())
    assert registry.config_version() == 2
    for version, config in ((1, first), (2, second)):
        assert registry.config_digest(version) == config.digest()
        kept = tuple(tuple(entry) if isinstance(entry, list) else entry for entry in registry.config(version))
        assert kept == astuple(config)
        assert registry.gate_terms(version) == (config.gate, config.commit_ahead)
        assert registry.rule_terms(version) == (config.allocation_rule, len(config.run_deadlines))
        assert registry.row_terms(version) == (config.publish_time, config.row_window, config.claim_window)
        assert registry.run_terms(version) == terms_word(config)
    assert registry.calendar() == (first.slot_length, first.cycle_length, first.anchor)
    assert registry.debt_terms() == (7, 5 * HOUR, 6 * HOUR, 3)
    assert registry.is_rail(code("CARD"))
    assert not registry.is_rail(code("UPI"))
    assert not registry.is_rail(bytes(32))
    assert registry.config_digest(0) == registry.config_digest(3) == bytes(32)


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": code("EUR")},
        {"money_decimals": 2},
        {"slot_length": HOUR // 2},
        {"cycle_length": 2 * DAY},
        {"anchor": 0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_currency_and_calendar_are_fixed(market: Market, changes: dict[str, Any]) -> None:
    expected = "MemberRegistry: bad money decimals" if "money_decimals" in changes else None
    with boa.reverts(expected or "MemberRegistry: fixed at deployment"):
        by_council(market, "set_config", astuple(replace(market.config, **changes)))


def terms_word(config: Config) -> int:
    """What the registry tells of a version in one word, written out apart from the contract."""
    deadlines = sum(deadline << 28 * run for run, deadline in enumerate(config.run_deadlines))
    times = (config.least_intake, config.window, config.demand_time, config.contest_time)
    word = deadlines + sum(time << 112 + 24 * place for place, time in enumerate(times))
    limits = config.window_blocks << 208 | config.open_demands << 224 | config.contests_per_cycle << 236
    return word | limits | len(config.run_deadlines) << 248


def test_the_terms_word_holds_every_parameter_at_its_bounds() -> None:
    """No part runs into the next: in the word of the greatest values each is there whole."""
    names = ("least_intake", "window", "window_blocks", "demand_time", "open_demands", "contests_per_cycle")
    most = {name: inside[-1] for name, inside, _, _ in BOUNDS if name in (*names, "contest_time", "run_deadlines")}
    greatest = replace(Config(), **most | {"demand_time": most["window"], "close_limit": 366 * DAY})
    least = replace(Config(), run_deadlines=(HOUR,), least_intake=HOUR, window=HOUR, window_blocks=1)
    least = replace(least, demand_time=HOUR, open_demands=1, contests_per_cycle=1, contest_time=HOUR)
    for config in (greatest, least):
        registry = source("MemberRegistry").deploy(account("council"), ZERO, GENESIS, MARKET, astuple(config))
        word = registry.run_terms(1)
        assert word == terms_word(config)
        assert tuple(word >> 28 * run & 2**28 - 1 for run in range(len(config.run_deadlines))) == config.run_deadlines
        assert word >> 136 & 2**24 - 1 == config.window
        assert word >> 248 == len(config.run_deadlines)
        assert registry.arbiter_quorum() == config.arbiter_quorum
        assert registry.run_terms(0) == registry.run_terms(2) == 0


# Each parameter with what is just inside its bounds and just outside, and the reason. Other parameters that its bound
# depends on are set along.
BOUNDS: list[tuple[str, list[Any], list[Any], str]] = [
    ("currency", [code("X"), b"\xff" * 32], [bytes(32)], "MemberRegistry: bad currency"),
    ("money_decimals", [6], [0, 5, 7], "MemberRegistry: bad money decimals"),
    ("payable_unit", [1, 10**9], [0, 10**9 + 1], "MemberRegistry: bad payable unit"),
    ("slot_length", [60, DAY], [0, 59], "MemberRegistry: bad slot length"),
    ("cycle_length", [HOUR, 31 * DAY], [0, HOUR - 1, HOUR + 1, 31 * DAY + HOUR], "MemberRegistry: bad cycle length"),
    ("anchor", [0, 2**48 - 1], [2**48, 2**64 - 1], "MemberRegistry: bad anchor"),
    ("allocation_rule", [0, 1], [2, 2**64 - 1], "MemberRegistry: bad allocation rule"),
    ("gate", [0, 7 * DAY], [7 * DAY + 1], "MemberRegistry: bad gate"),
    ("commit_ahead", [0, 31 * DAY], [31 * DAY + 1], "MemberRegistry: bad commit-ahead"),
    ("key_grace", [0, 30 * DAY], [30 * DAY + 1], "MemberRegistry: bad key grace"),
    (
        "run_deadlines",
        [(HOUR,), (HOUR, HOUR + 1), (HOUR, 2 * HOUR, 3 * HOUR, 365 * DAY)],
        [(), (0,), (HOUR - 1,), (HOUR, HOUR), (2 * HOUR, HOUR), (365 * DAY + 1,), (HOUR, 3 * HOUR, 2 * HOUR)],
        "MemberRegistry: bad run deadlines",
    ),
    ("least_intake", [HOUR, 14 * DAY], [0, HOUR - 1, 14 * DAY + 1], "MemberRegistry: bad least intake"),
    ("window", [12 * HOUR, 30 * DAY], [0, HOUR - 1, 30 * DAY + 1], "MemberRegistry: bad window"),
    ("window_blocks", [1, 10_000], [0, 10_001], "MemberRegistry: bad window blocks"),
    ("demand_time", [HOUR, 24 * HOUR], [0, HOUR - 1, 24 * HOUR + 1], "MemberRegistry: bad demand time"),
    ("open_demands", [1, 1_000], [0, 1_001], "MemberRegistry: bad open demands"),
    ("contests_per_cycle", [1, 1_000], [0, 1_001], "MemberRegistry: bad contests per cycle"),
    ("contest_time", [HOUR, 60 * DAY], [HOUR - 1, 60 * DAY + 1], "MemberRegistry: bad contest time"),
    ("attest_wait", [0, 7 * DAY], [7 * DAY + 1], "MemberRegistry: bad attest wait"),
    ("publish_time", [HOUR, 7 * DAY], [HOUR - 1, 7 * DAY + 1], "MemberRegistry: bad publish time"),
    ("row_window", [HOUR, 30 * DAY], [0, HOUR - 1, 30 * DAY + 1], "MemberRegistry: bad row window"),
    ("row_demands", [1, 32], [0, 33], "MemberRegistry: bad row demands"),
    ("claim_window", [HOUR, 30 * DAY], [0, HOUR - 1, 30 * DAY + 1], "MemberRegistry: bad claim window"),
    ("close_delay", [DAY, 365 * DAY], [DAY - 1, 365 * DAY + 1], "MemberRegistry: bad close delay"),
    ("close_limit", [121 * DAY, 730 * DAY], [121 * DAY - 1, 730 * DAY + 1], "MemberRegistry: bad close limit"),
    ("due_time", [HOUR, 90 * DAY], [0, HOUR - 1, 90 * DAY + 1], "MemberRegistry: bad due time"),
    ("fall_due_interval", [HOUR, 31 * DAY], [HOUR - 1, 31 * DAY + 1], "MemberRegistry: bad fall-due interval"),
    ("set_off", [1, 8], [0, 9], "MemberRegistry: bad set-off"),
    ("notice_silence", [HOUR, 30 * DAY], [HOUR - 1, 30 * DAY + 1], "MemberRegistry: bad notice silence"),
    (
        "rails",
        [(code("X"),), tuple(code(str(number)) for number in range(8))],
        [(), (bytes(32),), (code("X"), bytes(32))],
        "MemberRegistry: bad rails",
    ),
    ("arbiter_quorum", [1, 32], [0, 33], "MemberRegistry: bad arbiter quorum"),
]


def test_every_parameter_has_bounds() -> None:
    assert [row[0] for row in BOUNDS] == list(Config.__dataclass_fields__)


@pytest.mark.parametrize(("name", "inside", "outside", "reason"), BOUNDS, ids=[row[0] for row in BOUNDS])
def test_bounds(name: str, inside: list[Any], outside: list[Any], reason: str) -> None:
    # Deployed for each value: some parameters are fixed afterwards.
    base = Config()
    if name == "run_deadlines":
        base = replace(base, close_limit=366 * DAY)
    for given in inside:
        config = replace(base, **{name: given})
        registry = source("MemberRegistry").deploy(account("council"), ZERO, GENESIS, MARKET, astuple(config))
        assert registry.config_digest(1) == config.digest()
    for given in outside:
        with boa.reverts(reason):
            source("MemberRegistry").deploy(
                account("council"), ZERO, GENESIS, MARKET, astuple(replace(base, **{name: given}))
            )


def test_a_slot_of_more_than_a_day_is_refused() -> None:
    config = replace(Config(), slot_length=2 * DAY, cycle_length=2 * DAY)
    with boa.reverts("MemberRegistry: bad slot length"):
        source("MemberRegistry").deploy(account("council"), ZERO, GENESIS, MARKET, astuple(config))


def test_bounds_hold_for_later_versions_too(market: Market) -> None:
    with boa.reverts("MemberRegistry: bad window"):
        by_council(market, "set_config", astuple(replace(market.config, window=1)))


# --- pause ---


def pause(market: Market) -> None:
    with boa.env.prank(market.guardian):
        market.registry.pause()


def resume(market: Market, sender: str | None = None) -> None:
    with boa.env.prank(sender or market.guardian):
        market.registry.resume()


def test_a_pause_ends_by_itself_after_three_days(market: Market, registry: Any) -> None:
    assert not registry.paused()
    begin = later(HOUR)
    pause(market)
    assert events(registry) == [("Paused", {"until": begin + 72 * HOUR})]
    assert registry.paused()
    at_time(begin + 72 * HOUR - 1)
    assert registry.paused()
    at_time(begin + 72 * HOUR)
    assert not registry.paused()
    with boa.reverts("MemberRegistry: not paused"):
        resume(market)


@pytest.mark.parametrize("who", ["guardian", "council"])
def test_guardian_and_council_resume_early(market: Market, registry: Any, who: str) -> None:
    pause(market)
    resumed = later(10 * HOUR)
    resume(market, getattr(market, who))
    assert events(registry) == [("Resumed", {"at": resumed})]
    assert not registry.paused()
    with boa.reverts("MemberRegistry: not paused"):
        resume(market)


def test_who_may_pause_and_resume(market: Market, registry: Any) -> None:
    for sender in (market.council, market.members["platform_a"].address):
        with boa.env.prank(sender), boa.reverts("MemberRegistry: not the guardian"):
            registry.pause()
    with boa.reverts("MemberRegistry: not paused"):
        resume(market)
    pause(market)
    with boa.env.prank(market.members["platform_a"].address), boa.reverts("MemberRegistry: may not resume"):
        registry.resume()


def test_no_pause_within_a_week_of_the_last_ones_end(market: Market, registry: Any) -> None:
    pause(market)
    with boa.reverts("MemberRegistry: paused lately"):
        pause(market)
    later(HOUR)
    resume(market)
    by_council(market, "set_guardian", account("new guardian"))
    later(7 * DAY - 1)
    with boa.env.prank(account("new guardian")), boa.reverts("MemberRegistry: paused lately"):
        registry.pause()
    later(1)
    with boa.env.prank(account("new guardian")):
        registry.pause()
    assert registry.paused()
    later(72 * HOUR + 7 * DAY - 1)
    with boa.env.prank(account("new guardian")), boa.reverts("MemberRegistry: paused lately"):
        registry.pause()
    later(1)
    with boa.env.prank(account("new guardian")):
        registry.pause()


def test_clocks_run_while_nothing_is_paused(registry: Any) -> None:
    at = now()
    assert registry.unpaused_since(at) == registry.unpaused_since(at + 1) == 0
    assert registry.unpaused_since(2**64 - 1) == 0
    assert registry.unpaused_since(at - 1) == 1
    assert registry.unpaused_since(0) == at


def test_clocks_stand_still_while_paused(market: Market, registry: Any) -> None:
    """Random pauses, cut short or not; every question about every time is answered as by counting."""
    rng = random.Random("pauses")
    start = now()
    spans: list[tuple[int, int]] = []
    moments = {0, start - 1, start}

    def expected(since: int) -> int:
        paused = sum(max(0, min(end, now()) - max(begin, since)) for begin, end in spans)
        return max(0, now() - since) - paused

    def compare() -> None:
        for since in moments | {now() - 1, now(), now() + 1}:
            assert registry.unpaused_since(since) == expected(since)
        assert registry.paused() == any(begin <= now() < end for begin, end in spans)

    compare()
    for _ in range(8):
        begin = later(7 * DAY + rng.choice((0, 1, 5 * DAY)))
        pause(market)
        spans.append((begin, begin + 72 * HOUR))
        compare()
        later(rng.choice((0, 1, HOUR, 72 * HOUR - 1, 72 * HOUR, 80 * HOUR)))
        compare()
        if registry.paused() and rng.random() < 0.6:
            resume(market)
            spans[-1] = (begin, now())
            compare()
        end = spans[-1][1]
        moments |= {begin - 1, begin, begin + 1, (begin + end) // 2, end - 1, end, end + 1}
        at_time(max(now(), end))
        compare()


# --- gas (docs/protocol.md says what the words hold; the common questions read one slot each) ---


def test_common_questions_are_cheap(market: Market, registry: Any) -> None:
    later(100)
    who = [market.members[name] for name in ("platform_a", "platform_b", "utility_a", "utility_b")]
    roles = (PLATFORM, PLATFORM, UTILITY, UTILITY)
    parties = [(one.id, role, one.address) for one, role in zip(who, roles, strict=True)]

    def gas(function: str, *arguments: Any) -> int:
        getattr(registry, function)(*arguments)
        return int(registry._computation.get_gas_used())

    assert gas("check_parties", parties, now(), 1) <= 10_700
    assert gas("standing", market.members["bank"].id) <= 2_400
    assert gas("unpaused_since", now() - 50) <= 2_700
