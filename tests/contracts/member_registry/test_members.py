"""MemberRegistry: identity, admission, who may govern, roles, suspension, removal."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from eth_utils import to_checksum_address

from settlement import typed_data
from settlement.config import Config
from settlement.hashing import keccak256
from tests.contracts.market import (
    GENESIS,
    MARKET,
    MARKET_AGENT,
    MEMBERS,
    PLATFORM,
    SETTLEMENT_BANK,
    UTILITY,
    Market,
    member,
    source,
)
from tests.contracts.member_registry.case import (
    KNOWN,
    STRANGER,
    SUSPENDED,
    ZERO,
    account,
    admit,
    by_council,
    change_key,
    change_payout,
    check,
    events,
    later,
    now,
    word_of,
)

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


def current_word(market: Market, name: str, flags: int = KNOWN) -> int:
    return word_of(market.members[name].address, now(), MEMBERS[name], flags)


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


def test_a_key_that_another_has_is_no_obstacle(market: Market, registry: Any) -> None:
    key = market.members["platform_a"].address
    admit(market, "newcomer", hot_key=key)
    for name in ("newcomer", "platform_a"):
        assert registry.check_parties([(member(name).id, PLATFORM, key)], now(), 1) == 0


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
