"""MemberRegistry: parameters, their versions and bounds; the pause, and clocks that stand still in it."""

from __future__ import annotations

import random
from dataclasses import astuple, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement.config import DAY, FIFO, HOUR, Config, code
from tests.contracts.market import GENESIS, MARKET, Market, at_time, source
from tests.contracts.member_registry.case import ZERO, account, by_council, events, later, now

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
    greatest = replace(Config(), **most | {"demand_time": most["window"] // 2, "close_limit": 730 * DAY})
    least = replace(Config(), run_deadlines=(HOUR,), least_intake=HOUR, window=2 * HOUR, window_blocks=1)
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


# Until when a cycle of the default parameters may come to its last seal, seconds after its end.
LAST_SEAL = Config().run_deadlines[-1] + Config().window + Config().demand_time + Config().contest_time
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
    ("window", [24 * HOUR, 30 * DAY], [0, 2 * HOUR - 1, 30 * DAY + 1], "MemberRegistry: bad window"),
    ("window_blocks", [1, 10_000], [0, 10_001], "MemberRegistry: bad window blocks"),
    ("demand_time", [HOUR, 12 * HOUR], [0, HOUR - 1, 12 * HOUR + 1], "MemberRegistry: bad demand time"),
    ("open_demands", [1, 1_000], [0, 1_001], "MemberRegistry: bad open demands"),
    ("contests_per_cycle", [1, 1_000], [0, 1_001], "MemberRegistry: bad contests per cycle"),
    ("contest_time", [HOUR, 60 * DAY], [HOUR - 1, 60 * DAY + 1], "MemberRegistry: bad contest time"),
    ("attest_wait", [0, 7 * DAY], [7 * DAY + 1], "MemberRegistry: bad attest wait"),
    ("publish_time", [HOUR, 7 * DAY], [HOUR - 1, 7 * DAY + 1], "MemberRegistry: bad publish time"),
    ("row_window", [HOUR, 30 * DAY], [0, HOUR - 1, 30 * DAY + 1], "MemberRegistry: bad row window"),
    ("row_demands", [1, 32], [0, 33], "MemberRegistry: bad row demands"),
    ("claim_window", [HOUR, 30 * DAY], [0, HOUR - 1, 30 * DAY + 1], "MemberRegistry: bad claim window"),
    ("close_delay", [DAY, 365 * DAY], [DAY - 1, 365 * DAY + 1], "MemberRegistry: bad close delay"),
    (
        "close_limit",
        [LAST_SEAL + DAY, 730 * DAY],
        [LAST_SEAL + DAY - 1, 730 * DAY + 1],
        "MemberRegistry: bad close limit",
    ),
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
    if name in ("run_deadlines", "contest_time"):
        base = replace(base, close_limit=730 * DAY)
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


# What `test_currency_and_calendar_are_fixed` is about: nobody comes to its bounds later.
FIXED = ("currency", "slot_length", "cycle_length", "anchor")
LATER = [row for row in BOUNDS if row[0] not in FIXED]


@pytest.mark.parametrize(("name", "inside", "outside", "reason"), LATER, ids=[row[0] for row in LATER])
def test_bounds_hold_for_later_versions_too(
    market: Market, name: str, inside: list[Any], outside: list[Any], reason: str
) -> None:
    base = replace(market.config, close_limit=730 * DAY)
    for given in outside:
        with boa.reverts(reason):
            by_council(market, "set_config", astuple(replace(base, **{name: given})))
    for given in inside:
        config = replace(base, **{name: given})
        by_council(market, "set_config", astuple(config))
        assert market.registry.config_digest(market.registry.config_version()) == config.digest()


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
