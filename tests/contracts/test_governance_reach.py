"""What governance reaches: every call that changes anything, of every contract, made by the council.

The calls come from the ABIs, so that a function which is added is tried too; those that the council alone may make are
compared with `POWERS`, so that a new power must be named. After none of them has a member's money, debt, payout or key
changed. One power reaches money, a month late and under its owner's eyes: another cold key for a member that does not
object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement import typed_data
from settlement.config import PRO_RATA
from settlement.formula.templates import SHIPPED
from settlement.hashing import keccak256
from settlement.trade import CouncilAct, HotKeyChange, PayoutChange, Withdrawal
from tests.contracts.completeness.honest import HonestCycle, attempt
from tests.contracts.market import CONTRACTS, Market, member, source
from tests.contracts.settling import later
from tests.contracts.trading import CYCLE, DAY, HOUR

SEATS = ("platform_b", "platform_c", "utility_b", "utility_c", "utility_d")
VICTIM = "platform_a"
SECRET = keccak256(b"the council's own key")
OWN = "0x" + typed_data.address_of(SECRET).hex()
LONGEST = 2_048
"""Bytes of a call that the Council takes."""
MUTABLE = ("nonpayable", "payable")

POWERS = {
    "Arbiters.set_arbiters",
    "Council.set_seats",
    "DepositToken.set_holder",
    "MemberRegistry.admit",
    "MemberRegistry.remove",
    "MemberRegistry.replace_cold_key",
    "MemberRegistry.set_attestors",
    "MemberRegistry.set_config",
    "MemberRegistry.set_council",
    "MemberRegistry.set_guardian",
    "MemberRegistry.set_roles",
    "MemberRegistry.suspend",
    "RevenueFlows.register",
}
"""All that the council may do and others may not."""

OPEN = {"DepositToken.approve"}
"""What anybody may call here, without a word of the members: it moves nothing of theirs."""


@dataclass(frozen=True)
class Governed:
    """A market in which rows are settled, locks are held and debts are open; its council is the contract."""

    cycle: HonestCycle
    contracts: dict[str, Any]

    @property
    def market(self) -> Market:
        """The market."""
        return self.cycle.market

    @property
    def council(self) -> Any:
        """The Council."""
        return self.contracts["Council"]

    def calls(self) -> Iterator[tuple[str, Any, str, tuple[Any, ...]]]:
        """Each function that can change anything, with each of its lists of arguments."""
        for name, contract in self.contracts.items():
            for entry in contract.abi:
                if entry["type"] != "function" or entry["stateMutability"] not in MUTABLE:
                    continue
                key = f"{name}.{entry['name']}"
                for arguments in self.arguments(key, entry["inputs"]):
                    yield key, contract, entry["name"], arguments

    def arguments(self, key: str, inputs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        """What the council would like to say: of its victim, with keys and addresses of its own."""
        ids = {name: one.id for name, one in self.market.members.items()}
        stranger, template = member("newcomer"), SHIPPED[0]
        payout = self.market.members[VICTIM].payout
        flows = [(flow.payer, flow.payee, flow.program) for flow in template.flows]
        special: dict[str, list[tuple[Any, ...]]] = {
            "Council.set_seats": [([ids[VICTIM], ids["bank"]], 2)],
            "DepositToken.set_holder": [(payout, False), (OWN, True), (self.market.escrow.address, False)],
            "DepositToken.transferFrom": [(payout, OWN, 1), (self.market.escrow.address, OWN, 1)],
            "MemberRegistry.admit": [
                (stranger.id, 31, OWN, stranger.address, OWN, bytes(32)),
                (ids[VICTIM], 31, OWN, OWN, OWN, bytes(32)),
            ],
            "MemberRegistry.remove": [(ids[VICTIM],), (ids["bank"],)],
            "MemberRegistry.replace_cold_key": [(ids[VICTIM], OWN)],
            "MemberRegistry.set_attestors": [([ids["utility_a"]],)],
            "MemberRegistry.set_config": [(astuple(replace(self.market.config, row_window=2 * DAY)),)],
            "MemberRegistry.set_roles": [(ids[VICTIM], 1), (ids[VICTIM], 31), (ids["platform_b"], 31)],
            "MemberRegistry.suspend": [(ids[VICTIM], True), (ids["bank"], True)],
            "RevenueFlows.register": [(template.name, 99, list(template.rate_names), flows)],
        }
        if key in special:
            return special[key]
        return [tuple(self.plausible(one, full) for one in inputs) for full in (True, False)]

    def plausible(self, parameter: dict[str, Any], full: bool) -> Any:
        """A value by name and type; lists have one item if `full`, and none else."""
        name, kind = parameter["name"], parameter["type"]
        if kind.endswith("[]"):
            return [self.plausible({**parameter, "type": kind[:-2]}, full)] if full else []
        if kind == "tuple":
            return tuple(self.plausible(one, full) for one in parameter["components"])
        named = {
            "cycle": CYCLE,
            "payee": self.market.members["platform_b"].id,
            "creditor": self.market.members["platform_b"].id,
            "other": self.market.members["platform_b"].id,
            "utility": self.market.members["utility_b"].id,
            "bank": self.market.members["bank"].id,
            "count": int(full),
            "v": 27,
            "allowed": full,
            "suspended": full,
        }
        if name in named:
            return named[name]
        plain: dict[str, Any] = {
            "bytes32": self.market.members[VICTIM].id,
            "address": OWN,
            "bool": full,
            "string": "x",
            "bytes": b"\1\2\3\4",
        }
        return plain.get(kind, 1)

    def signed(self, act: CouncilAct) -> list[tuple[int, bytes, bytes]]:
        """Three seats' words."""
        return [self.market.sign_cold(name, act) for name in SEATS[:3]]

    def schedule(self, target: Any, data: bytes) -> CouncilAct:
        """An act that three seats approve."""
        act = CouncilAct(target.address, data, self.council.sequence())
        self.council.schedule(act.target, act.data, 0b111, self.signed(act), [])
        return act

    def run(self, act: CouncilAct) -> bool:
        """Executes an act whose time has come; whether what it calls took it."""
        return called(self.council, call_data(self.council, "execute", astuple(act)), boa.env.eoa)

    def govern(self, target: Any, data: bytes) -> bool:
        """An act through all its stages. What is too long for the Council, an account in its place may call."""
        if len(data) > LONGEST:
            return called(target, data, self.council.address)
        act = self.schedule(target, data)
        later(7 * DAY)
        return self.run(act)

    def belongings(self) -> dict[str, Any]:
        """What is a member's own: money, locks, debts, tokens, payout, keys, numbers of what it signs."""
        market, scene = self.market, self.cycle.scene
        names = list(market.members)
        registry, ledger, token = market.registry, market.obligations, market.token
        return {
            "outcome": self.cycle.outcome(),
            "free": {name: scene.free(name) for name in names},
            "pairs": {pair: market.escrow.pair(CYCLE, scene.id(pair[0]), scene.id(pair[1])) for pair in pairs(names)},
            "owed": {pair: scene.owed(*pair) for pair in pairs(names)},
            "debts": [tuple(ledger.obligation(one)) for one in range(1, ledger.obligation_count() + 1)],
            "tokens": {name: token.balanceOf(market.members[name].payout) for name in names},
            "held": (market.escrow.held(), token.balanceOf(market.escrow.address), token.totalSupply()),
            "payouts": {name: registry.payout(scene.id(name)) for name in names},
            "cold keys": {name: registry.cold_key(scene.id(name)) for name in names},
            "hot keys": {name: registry.standing(scene.id(name)) & (1 << 160) - 1 for name in names},
            "numbers": {
                name: (registry.cold_sequence(scene.id(name)), market.escrow.withdrawal_sequence(scene.id(name)))
                for name in names
            },
        }


def pairs(names: list[str]) -> list[tuple[str, str]]:
    return list(permutations(names, 2))


@pytest.fixture(scope="module")
def made() -> Iterator[Governed]:
    with boa.env.anchor():
        cycle = HonestCycle.committed(PRO_RATA)
        market = cycle.market
        cycle.post(0)
        cycle.open_window(0)
        cycle.seal()
        cycle.settle(0)
        market.obligations.fall_due(cycle.scene.id("platform_b"), cycle.scene.id("platform_a"))
        seats = [market.members[name].id for name in SEATS]
        contracts = {
            **market.contracts,
            "Council": source("Council").deploy(market.registry.address, seats, 3, override_address=market.council),
            "StatementRegistry": source("StatementRegistry").deploy(market.registry.address),
        }
        yield Governed(cycle, contracts)


@pytest.fixture
def governed(made: Governed) -> Iterator[Governed]:
    with boa.env.anchor():
        yield made


def call_data(contract: Any, name: str, arguments: tuple[Any, ...]) -> bytes:
    return bytes(getattr(contract, name).prepare_calldata(*arguments))


def called(contract: Any, data: bytes, sender: Any) -> bool:
    """Whether a call by this account is taken."""
    return not boa.env.execute_code(to_address=contract.address, sender=sender, data=data).is_error


def is_open(contract: Any, data: bytes) -> bool:
    """Whether a call is taken from anybody."""
    with boa.env.anchor():
        return called(contract, data, boa.env.generate_address("a stranger"))


def test_every_contract_is_tried(governed: Governed) -> None:
    assert set(governed.contracts) == {file.stem for file in Path(CONTRACTS).glob("*.vy")}
    belongings = governed.belongings()
    assert any(belongings["free"].values())
    assert any(word & (1 << 96) - 1 for word in belongings["pairs"].values())
    assert belongings["debts"]
    assert any(belongings["owed"].values())


def test_no_call_of_the_council_touches_what_is_a_member_s(governed: Governed) -> None:
    before = governed.belongings()
    taken: dict[str, list[bool]] = {}
    seen = set()
    for key, contract, name, arguments in governed.calls():
        seen.add(key)
        with boa.env.anchor():
            if governed.govern(contract, call_data(contract, name, arguments)):
                assert governed.belongings() == before, (key, arguments)
                taken.setdefault(key, []).append(is_open(contract, call_data(contract, name, arguments)))
    assert {key for key, strangers in taken.items() if not all(strangers)} == POWERS
    assert {key for key, strangers in taken.items() if all(strangers)} == OPEN
    assert len(seen) >= 78


@pytest.mark.parametrize("seed", range(3))
def test_no_sequence_of_them_does(governed: Governed, seed: int) -> None:
    """All powers in some order, each as often as there is something to say; then weeks pass, and it pauses too."""
    before = governed.belongings()
    calls = [call for call in governed.calls() if call[0] in POWERS]
    Random(seed).shuffle(calls)
    # It makes its own account the guardian, and gives itself up last.
    calls.sort(key=lambda call: call[0] in ("MemberRegistry.set_council", "Council.set_seats"))
    acts = [governed.schedule(contract, call_data(contract, name, said)) for _, contract, name, said in calls]
    later(7 * DAY)
    done = set()
    for act, (key, _, _, arguments) in zip(acts, calls, strict=True):
        if governed.run(act):
            done.add(key)
        assert governed.belongings() == before, (key, arguments)
    assert done == POWERS
    with boa.env.prank(OWN):
        governed.market.registry.pause()
    later(29 * DAY - 1)
    assert governed.belongings() == before


# --- the one that reaches money ---


def replaced(governed: Governed) -> None:
    """The council names another cold key for the victim, and lists its own address as a holder of tokens."""
    registry, who = governed.market.registry, governed.market.members[VICTIM]
    listed = governed.schedule(governed.market.token, governed.market.token.set_holder.prepare_calldata(OWN, True))
    assert governed.govern(registry, registry.replace_cold_key.prepare_calldata(who.id, OWN))
    assert governed.run(listed)


def by_new_key(governed: Governed, said: Any) -> tuple[int, bytes, bytes]:
    return astuple(typed_data.sign(SECRET, governed.market.domain.digest(said)))  # type: ignore[return-value]


def announce(governed: Governed) -> str:
    """The new key names a payout address of its own."""
    who = governed.market.members[VICTIM]
    said = PayoutChange(who.id, OWN, governed.market.registry.cold_sequence(who.id))
    return attempt(governed.market.registry, "change_payout", who.id, OWN, by_new_key(governed, said), b"")


def test_a_replaced_cold_key_that_nobody_vetoed_has_all_powers_of_the_old_one(governed: Governed) -> None:
    market, who = governed.market, governed.market.members[VICTIM]
    before, free = governed.belongings(), governed.cycle.scene.free(VICTIM)
    assert free > 0
    replaced(governed)
    later(30 * DAY - 1)
    assert announce(governed) == "MemberRegistry: not the cold key"
    assert governed.belongings() == before
    later(1)
    assert announce(governed) == ""
    key = HotKeyChange(who.id, OWN, market.registry.cold_sequence(who.id))
    market.registry.change_hot_key(who.id, OWN, by_new_key(governed, key), b"")
    later(48 * HOUR - 1)
    assert market.registry.payout(who.id).lower() == who.payout
    later(1)
    said = Withdrawal(who.id, free, market.escrow.withdrawal_sequence(who.id))
    market.escrow.withdraw(astuple(said), by_new_key(governed, said), [])
    assert (governed.cycle.scene.free(VICTIM), market.token.balanceOf(OWN)) == (0, free)


def test_a_veto_within_the_month_ends_it(governed: Governed) -> None:
    """Whatever the old key signs is one: the plainest is its own payout again."""
    market, who = governed.market, governed.market.members[VICTIM]
    replaced(governed)
    later(30 * DAY - 1)
    said = PayoutChange(who.id, who.payout, market.registry.cold_sequence(who.id))
    market.registry.change_payout(who.id, who.payout, market.sign_cold(VICTIM, said), b"")
    later(60 * DAY)
    assert announce(governed) == "MemberRegistry: not the cold key"
    assert market.registry.payout(who.id).lower() == who.payout
