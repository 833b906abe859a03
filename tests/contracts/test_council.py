"""Council: acts by the seats' cold keys, in the open, after a delay; and nothing it can call moves money."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement import typed_data
from settlement.hashing import keccak256
from settlement.trade import CouncilAct, CouncilCancel
from tests.contracts.market import CONTRACTS, PLATFORM, Market, deploy, member, source

DAY = 86_400
SEATS = ("platform_a", "platform_b", "utility_a", "utility_b", "utility_c")
THRESHOLD = 3
ZERO = "0x" + "00" * 20


@pytest.fixture(scope="module")
def deployed() -> tuple[Market, Any]:
    market = deploy(only=("DepositToken",))
    seats = [market.members[name].id for name in SEATS]
    # It stands where the registry's council is: what the founders did by hand, they now do by acts.
    council = source("Council").deploy(market.registry.address, seats, THRESHOLD, override_address=market.council)
    return market, council


@pytest.fixture
def market(deployed: tuple[Market, Any]) -> Iterator[Market]:
    with boa.env.anchor():
        yield deployed[0]


@pytest.fixture
def council(market: Market, deployed: tuple[Market, Any]) -> Any:
    return deployed[1]


def events(contract: Any) -> list[tuple[str, dict[str, Any]]]:
    named = [(type(event).__name__, event._asdict()) for event in contract.get_logs()]
    return [(name, {key: value for key, value in fields.items() if key != "address"}) for name, fields in named]


def call_of(contract: Any, function: str, *arguments: Any) -> bytes:
    return bytes(getattr(contract, function).prepare_calldata(*arguments))


def mask_of(names: Sequence[str]) -> int:
    return sum(1 << SEATS.index(name) for name in names)


def signed(market: Market, names: Sequence[str], value: object) -> list[tuple[int, bytes, bytes]]:
    return [market.sign_cold(name, value) for name in SEATS if name in names]


def schedule(market: Market, council: Any, target: str, data: bytes, names: Sequence[str] = SEATS[:3]) -> CouncilAct:
    act = CouncilAct(target, data, council.sequence())
    council.schedule(target, data, mask_of(names), signed(market, names, act), [])
    return act


def execute(council: Any, act: CouncilAct) -> None:
    council.execute(act.target, act.data, act.sequence)


def later(seconds: int) -> None:
    boa.env.time_travel(seconds=seconds)


def now() -> int:
    return int(boa.env.evm.patch.timestamp)


def test_an_act_waits_and_is_then_executed_by_anyone(market: Market, council: Any) -> None:
    registry, who = market.registry, member("newcomer")
    data = call_of(registry, "admit", who.id, PLATFORM, who.cold_address, who.address, who.payout, bytes(32))
    act = schedule(market, council, registry.address, data)
    key, ready = typed_data.struct_hash(act), now() + 2 * DAY
    said = {"act": key, "target": registry.address, "data": data, "sequence": 0, "mask": 7, "ready_at": ready}
    assert events(council) == [("Scheduled", said)]
    assert (council.sequence(), council.ready_at(key)) == (1, ready)
    later(2 * DAY - 1)
    with boa.reverts("Council: too early"):
        execute(council, act)
    assert registry.standing(who.id) == 0
    later(1)
    execute(council, act)
    assert ("Executed", {"act": key}) in events(council)
    assert registry.standing(who.id) != 0
    assert council.ready_at(key) == 0
    with boa.reverts("Council: nothing to execute"):
        execute(council, act)


def test_what_takes_something_away_waits_seven_days(market: Market, council: Any) -> None:
    registry, who = market.registry, market.members["platform_c"]
    long = {
        "remove": (registry, (who.id,)),
        "replace_cold_key": (registry, (who.id, boa.env.generate_address())),
        "set_council": (registry, (boa.env.generate_address(),)),
        "set_seats": (council, ([who.id], 1)),
    }
    for function, (contract, arguments) in long.items():
        assert council.delay_of(call_of(contract, function, *arguments)) == 7 * DAY, function
    short = {"suspend": (who.id, True), "set_roles": (who.id, 1), "set_guardian": (ZERO,), "set_attestors": ([],)}
    for function, arguments in short.items():
        assert council.delay_of(call_of(registry, function, *arguments)) == 2 * DAY, function
    act = schedule(market, council, registry.address, call_of(registry, "remove", who.id))
    later(7 * DAY - 1)
    with boa.reverts("Council: too early"):
        execute(council, act)
    later(1)
    execute(council, act)
    assert registry.standing(who.id) >> 224 & 1 == 0


def test_an_act_that_nobody_executes_lapses(market: Market, council: Any) -> None:
    act = schedule(market, council, market.registry.address, call_of(market.registry, "set_guardian", ZERO))
    later(2 * DAY + 30 * DAY - 1)
    with boa.env.anchor():
        execute(council, act)
    later(1)
    with boa.reverts("Council: too late"):
        execute(council, act)


def test_a_failing_call_leaves_the_act_waiting(market: Market, council: Any) -> None:
    stranger = keccak256(b"stranger")
    act = schedule(market, council, market.registry.address, call_of(market.registry, "suspend", stranger, True))
    later(2 * DAY)
    with boa.reverts("MemberRegistry: not a member"):
        execute(council, act)
    assert council.ready_at(typed_data.struct_hash(act)) != 0


def test_as_many_seats_call_an_act_off(market: Market, council: Any) -> None:
    act = schedule(market, council, market.registry.address, call_of(market.registry, "set_guardian", ZERO))
    key = typed_data.struct_hash(act)
    against, statement = SEATS[2:], CouncilCancel(key)
    with boa.reverts("Council: not enough seats"):
        council.cancel(key, mask_of(against[:2]), signed(market, against[:2], statement), [])
    with boa.reverts("Council: wrong approval"):  # their word for the act is none against it
        council.cancel(key, mask_of(against), signed(market, against, act), [])
    council.cancel(key, mask_of(against), signed(market, against, statement), [])
    assert events(council) == [("Cancelled", {"act": key, "mask": 0b11100})]
    later(2 * DAY)
    with boa.reverts("Council: nothing to execute"):
        execute(council, act)
    with boa.reverts("Council: not waiting"):
        council.cancel(key, mask_of(against), signed(market, against, statement), [])


@pytest.mark.parametrize("names", [SEATS[:2], SEATS[3:], ()])
def test_fewer_seats_than_the_threshold_make_no_act(market: Market, council: Any, names: Sequence[str]) -> None:
    with boa.reverts("Council: not enough seats"):
        schedule(market, council, market.registry.address, b"\1\2\3\4", names)


def test_approvals_are_those_of_the_seats_in_the_mask(market: Market, council: Any) -> None:
    target, data = market.registry.address, call_of(market.registry, "set_guardian", ZERO)
    act = CouncilAct(target, data, 0)
    good = signed(market, SEATS[:3], act)
    refused = {
        "Council: wrong approval": [
            (0b1011, good),
            (7, [good[1], good[0], good[2]]),
            (7, [good[0], good[0], good[2]]),
            (7, signed(market, SEATS[:3], replace(act, sequence=1))),
            (7, signed(market, SEATS[:3], replace(act, data=data + b"\0"))),
            (7, signed(market, SEATS[:3], replace(act, target=str(market.token.address)))),
            (7, [*good[:2], market.sign(SEATS[2], act)]),  # its hot key governs nothing
            (7, [*good[:2], (26, *good[2][1:])]),
        ],
        "Council: approvals missing": [(15, good), (7, good[:2])],
        "Council: approvals left over": [(3, good)],
        "Council: no such seat": [(1 << 5 | 3, good), (2**256 - 1, good)],
        "Council: wallet signature missing": [(7, [*good[:2], (0, bytes(32), bytes(32))])],
    }
    for reason, cases in refused.items():
        for mask, approvals in cases:
            with boa.reverts(reason):
                council.schedule(target, data, mask, approvals, [])
    with boa.reverts("Council: approvals left over"):
        council.schedule(target, data, 7, good, [b"\1"])
    council.schedule(target, data, 7, good, [])


def test_an_approval_serves_once(market: Market, council: Any) -> None:
    target, data = market.registry.address, call_of(market.registry, "set_guardian", ZERO)
    approvals = signed(market, SEATS[:3], CouncilAct(target, data, 0))
    council.schedule(target, data, 7, approvals, [])
    with boa.reverts("Council: wrong approval"):
        council.schedule(target, data, 7, approvals, [])


def test_an_act_calls_a_function_of_a_contract(market: Market, council: Any) -> None:
    with boa.reverts("Council: no function"):
        schedule(market, council, market.registry.address, b"\1\2\3")
    with boa.reverts("Council: no contract"):
        schedule(market, council, str(boa.env.generate_address()), b"\1\2\3\4")


def test_a_replaced_cold_key_governs_no_longer(market: Market, council: Any) -> None:
    registry, who = market.registry, market.members["platform_a"]
    new = keccak256(b"the next cold key")
    address = "0x" + typed_data.address_of(new).hex()
    act = schedule(market, council, registry.address, call_of(registry, "replace_cold_key", who.id, address))
    later(7 * DAY)
    execute(council, act)
    later(30 * DAY)
    data = call_of(registry, "set_guardian", ZERO)
    with boa.reverts("Council: wrong approval"):
        schedule(market, council, registry.address, data)
    act = CouncilAct(registry.address, data, 1)
    first = astuple(typed_data.sign(new, market.domain.digest(act)))
    council.schedule(registry.address, data, 7, [first, *signed(market, SEATS[1:3], act)], [])


def test_a_contract_holds_a_seat_by_erc_1271(market: Market, council: Any) -> None:
    registry, owner = market.registry, keccak256(b"the wallet's owner")
    wallet = boa.load(str(CONTRACTS / "mocks" / "OwnerWallet.vy"), "0x" + typed_data.address_of(owner).hex())
    data = call_of(registry, "replace_cold_key", market.members["platform_a"].id, wallet.address)
    replaced = schedule(market, council, registry.address, data)
    later(7 * DAY)
    execute(council, replaced)
    later(30 * DAY)
    data = call_of(registry, "set_guardian", ZERO)
    act = CouncilAct(registry.address, data, 1)
    approvals = [(0, bytes(32), bytes(32)), *signed(market, SEATS[1:3], act)]
    made = typed_data.sign(owner, market.domain.digest(act))
    with boa.reverts("Council: wallet refuses"):
        council.schedule(registry.address, data, 7, approvals, [bytes(65)])
    council.schedule(registry.address, data, 7, approvals, [made.r + made.s + bytes([made.v])])


def test_seats_change_by_an_act_of_their_own(market: Market, council: Any) -> None:
    names = ("utility_c", "utility_d", "platform_c")
    ids = [market.members[name].id for name in names]
    with boa.reverts("Council: only by an act"):
        council.set_seats(ids, 2)
    act = schedule(market, council, council.address, call_of(council, "set_seats", ids, 2))
    later(7 * DAY)
    execute(council, act)
    assert ("SeatsSet", {"members": ids, "threshold": 2}) in events(council)
    assert (council.seats(), council.threshold()) == (ids, 2)
    data = call_of(market.registry, "set_guardian", ZERO)
    act = CouncilAct(market.registry.address, data, 1)
    with boa.reverts("Council: wrong approval"):
        council.schedule(act.target, data, 7, signed(market, SEATS[:3], act), [])
    council.schedule(act.target, data, 3, [market.sign_cold(name, act) for name in names[:2]], [])


@pytest.mark.parametrize(
    ("seats", "threshold", "reason"),
    [
        (["platform_a"], 2, "Council: threshold"),
        (["platform_a", "platform_b"], 1, "Council: threshold"),
        ([], 0, "Council: threshold"),
        (["platform_a", "platform_a"], 2, "Council: a seat twice"),
        (["platform_a", "platform_b", "platform_a"], 2, "Council: a seat twice"),
        (["nobody"], 1, "Council: empty seat"),
    ],
)
def test_a_council_that_cannot_be_is_refused(
    market: Market, council: Any, seats: list[str], threshold: int, reason: str
) -> None:
    """When it is deployed, and when it changes itself."""
    ids = [bytes(32) if name == "nobody" else market.members[name].id for name in seats]
    with boa.reverts(reason):
        source("Council").deploy(market.registry.address, ids, threshold)
    before = council.seats(), council.threshold()
    act = schedule(market, council, council.address, call_of(council, "set_seats", ids, threshold))
    later(7 * DAY)
    with boa.reverts(reason):
        execute(council, act)
    assert (council.seats(), council.threshold()) == before


def test_no_act_reaches_a_member_s_money_or_payout(market: Market, council: Any) -> None:
    """Whatever the council calls at the escrow, the token, or for a member at the registry: nothing of it is moved."""
    who = market.members["platform_a"]
    with boa.env.prank(market.members["bank"].address):
        market.token.mint(who.payout, 500)
    before = market.registry.payout(who.id), market.token.balanceOf(who.payout)
    signature = (27, bytes(32), bytes(32))
    calls = [
        (market.registry, "change_payout", (who.id, market.council, signature, b"")),
        (market.token, "transferFrom", (who.payout, market.council, 500)),
        (market.token, "mint", (market.council, 1)),
        (market.token, "burn", (1,)),
    ]
    for contract, function, arguments in calls:
        act = schedule(market, council, contract.address, call_of(contract, function, *arguments))
        later(7 * DAY)
        with boa.reverts():
            execute(council, act)
    assert (market.registry.payout(who.id), market.token.balanceOf(who.payout)) == before


def test_the_domain_is_the_market_s(market: Market, council: Any) -> None:
    """An approval for another chain, registry or market governs nothing here."""
    data = call_of(market.registry, "set_guardian", ZERO)
    act = CouncilAct(market.registry.address, data, 0)
    for domain in (
        replace_domain(market, chain_id=market.domain.chain_id + 1),
        replace_domain(market, registry=str(market.token.address)),
        replace_domain(market, market_id=bytes(32)),
    ):
        foreign = [
            astuple(typed_data.sign(market.members[name].cold, domain.digest(act))) for name in SEATS[:THRESHOLD]
        ]
        with boa.reverts("Council: wrong approval"):
            council.schedule(act.target, data, 7, foreign, [])


def replace_domain(market: Market, **changes: Any) -> typed_data.Domain:
    mine = market.domain
    return typed_data.Domain(
        **{"chain_id": mine.chain_id, "registry": mine.registry, "market_id": mine.market_id, **changes}
    )
