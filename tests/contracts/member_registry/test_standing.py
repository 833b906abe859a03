"""MemberRegistry: what others ask it of many members and of any time, attestors and quorum; what asking costs."""

from __future__ import annotations

import random
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from eth_utils import to_checksum_address

from settlement.config import DAY, HOUR
from settlement.hashing import keccak256
from settlement.validity import MemberHistory, Standing
from tests.contracts.market import ATTESTORS, GRID_OPERATOR, MEMBERS, PLATFORM, UTILITY, Market, member
from tests.contracts.member_registry.case import (
    GRACE,
    KNOWN,
    STRANGER,
    SUSPENDED,
    ZERO,
    account,
    admit,
    by_council,
    change_key,
    check,
    compromise,
    events,
    later,
    now,
    word_of,
)

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


@pytest.mark.parametrize("odd", [False, True])
def test_every_bit_of_a_key_counts(market: Market, registry: Any, odd: bool) -> None:
    """Beside the key stand the time since when it is one, the roles and the flags: none is taken for the other."""
    who = market.members["platform_a"]
    hot = 2**160 - 2 + odd
    later(1 + (now() + odd) % 2)  # a time as odd as the key is not
    change_key(market, "platform_a", to_checksum_address(f"0x{hot:040x}"))
    assert now() % 2 == (not odd)
    for bits in [1 << place for place in (0, 1, 80, 159)]:
        for other in (bits, hot ^ bits):
            key = to_checksum_address(f"0x{other:040x}")
            assert check(market, "platform_a", PLATFORM, key, now()) == 2
            assert registry.check_signers([(who.id, PLATFORM, key)], 1) == 2
    key = to_checksum_address(f"0x{hot:040x}")
    assert check(market, "platform_a", PLATFORM, key, now()) == 0
    assert registry.check_signers([(who.id, PLATFORM, key)], 1) == 0


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
