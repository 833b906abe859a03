"""The market that the state machine plays in, and how its members sign.

Times are epoch seconds, energy Wh, money base units. Everything happens in one cycle (`CYCLE`) of a market with three
runs, so that whole cycles, closing included, come about in few steps.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import boa  # type: ignore[import-untyped]

from settlement import typed_data
from settlement.config import Config
from settlement.formula.templates import SHIPPED
from settlement.hashing import keccak256
from settlement.trade import CouncilAct
from tests.contracts import market as markets
from tests.contracts import money
from tests.contracts.chains import own_chain
from tests.contracts.market import Market, at_time

HOUR = 3_600
DAY = 24 * HOUR
CYCLE = 20_000
CONFIG = replace(
    Config(),
    gate=HOUR,
    run_deadlines=(12 * HOUR, 4 * DAY, 9 * DAY),
    window_blocks=2,
    open_demands=2,
    contests_per_cycle=2,
    contest_time=2 * DAY,
    row_demands=2,
    close_delay=6 * DAY,
    close_limit=40 * DAY,
    set_off=2,
)
# So narrow that whoever may not demand a second leaf soon meets it; and meters' energy goes to who came first.
NARROW = replace(CONFIG, open_demands=1, allocation_rule=1)


def later_config(config: Config) -> Config:
    """What the council would have instead: a cycle that has begun keeps its own, debts fall due by the newest."""
    return replace(config, window=config.window + HOUR, row_window=2 * config.row_window, due_time=5 * HOUR, set_off=1)


BEGIN = CONFIG.anchor + CYCLE * DAY
END = BEGIN + DAY
MORNING = BEGIN - 12 * HOUR
SLOTS = (BEGIN + 2 * HOUR, BEGIN + 3 * HOUR)
FUNDS = 4 * 10**7

PLATFORMS = ("platform_a", "platform_b", "platform_c")
UTILITIES = ("utility_a", "utility_b")
# Who trades: between these rows and debts arise.
TRADERS = (*PLATFORMS, *UTILITIES)
# The utilities that attest at first, and the sets that the council names instead.
ATTESTORS = markets.ATTESTORS
OTHER_ATTESTORS = (("utility_d", "utility_c", "utility_a"), ATTESTORS)
# Who governs, by how many.
SEATS = ("platform_a", "platform_b", "utility_a", "utility_b", "utility_c")
SEATS_NEEDED = 3
# The roles that the council gives and takes; who is removed, and whose cold key is replaced.
ROLES = {
    "platform_b": (markets.PLATFORM, markets.PLATFORM | markets.MARKET_AGENT),
    "platform_c": (markets.PLATFORM, markets.PLATFORM | markets.MARKET_AGENT),
    "utility_b": (markets.UTILITY, markets.UTILITY | markets.GRID_OPERATOR),
}
LEAVING = ("platform_c", "utility_b")
LOSING = ("platform_b", "utility_a")
TOKEN = Path(__file__).parent / "HostileToken.vy"

Signature = tuple[int, bytes, bytes]


@dataclass(frozen=True)
class Act:
    """What the council does at the registry: the function, and its arguments as members are named here."""

    function: str
    arguments: tuple[Any, ...]


@dataclass
class World(Market):
    """The deployed market; a member's hot key is the one that `members` has now."""

    statements: Any = None
    seats: Any = None
    # Pays in for members, and does what anybody may.
    stranger: str = ""
    # What the council has approved by `MORNING`, in the order of its sequence: the act, and when it was scheduled.
    approved: tuple[tuple[Act, int], ...] = ()

    def sign(self, name: str, value: object) -> Signature:
        """The named member's present hot-key signature of a typed object, as a contract argument."""
        return signed(self.members[name].hot, self.domain.digest(value))

    def hot_key(self, name: str, number: int) -> bytes:
        """A member's `number`-th hot key, which it names when it changes keys."""
        return keccak256(b"hot", name.encode(), number.to_bytes(4, "big"))

    def payout(self, name: str, number: int) -> str:
        """The `number`-th address at which a member receives what it withdraws."""
        who = self.members[name]
        return "0x" + keccak256(b"payout", who.id, number.to_bytes(4, "big"))[12:].hex() if number else who.payout

    def name_of(self, identity: bytes) -> str:
        """The member of this id; an empty name for none."""
        return _names().get(identity, "")

    def calldata(self, act: Act) -> bytes:
        """An act as the registry is called."""
        given: list[Any] = [*act.arguments]
        if act.function == "set_attestors":
            given = [[self.members[name].id for name in given[0]]]
        elif act.function == "set_config":
            given = [astuple(given[0])]
        else:
            given[0] = self.members[given[0]].id
        return bytes(getattr(self.registry, act.function).prepare_calldata(*given))

    def schedule(self, act: Act, keys: dict[str, bytes]) -> int:
        """Seats approve an act with these keys; the sequence number under which it waits."""
        data, sequence = self.calldata(act), int(self.seats.sequence())
        digest = self.domain.digest(CouncilAct(self.registry.address, data, sequence))
        mask = sum(1 << SEATS.index(name) for name in keys)
        approvals = [signed(keys[name], digest) for name in SEATS if name in keys]
        self.seats.schedule(self.registry.address, data, mask, approvals, [])
        return sequence

    def execute(self, act: Act, sequence: int) -> None:
        """Anyone makes the call of an act."""
        self.seats.execute(self.registry.address, self.calldata(act), sequence)


@cache
def _names() -> dict[bytes, str]:
    return {markets.member(name).id: name for name in markets.MEMBERS}


def cold_key(name: str, number: int) -> bytes:
    """A member's `number`-th cold key; it begins with the 0th."""
    return keccak256(b"cold", name.encode(), number.to_bytes(4, "big")) if number else markets.member(name).cold


@lru_cache(maxsize=100_000)
def signed(key: bytes, digest: bytes) -> Signature:
    """A signature as an argument; the same ones are asked for in many examples."""
    return astuple(typed_data.sign(key, digest))  # type: ignore[return-value]


@lru_cache(maxsize=100_000)
def address_of(key: bytes) -> str:
    """The address of a private key."""
    return "0x" + typed_data.address_of(key).hex()


def arbiters_sign(world: Market, value: object, by: Sequence[int] = (0, 2)) -> tuple[int, list[Signature]]:
    """Mask and signatures of these arbiters, of whom two are enough."""
    digest = world.domain.digest(value)
    return sum(1 << place for place in by), [signed(money.ARBITERS[place], digest) for place in sorted(by)]


def deploy_world(config: Config) -> World:
    """Every contract, all shipped templates, arbiters, money for every trader, and acts of the council that wait; it is
    `MORNING`, on a chain of its own."""
    with boa.swap_env(own_chain()):
        return _deploy(config)


def _deploy(config: Config) -> World:
    at_time(MORNING - 10 * DAY)
    deployed = markets.deploy(config, stand_ins={"DepositToken": str(TOKEN)})
    registry = deployed.registry.address
    with boa.env.prank(deployed.council):
        for template in SHIPPED:
            described = [(flow.payer, flow.payee, flow.program) for flow in template.flows]
            deployed.flows.register(template.name, template.version, list(template.rate_names), described)
        deployed.arbiters.set_arbiters([address_of(key) for key in money.ARBITERS])
    # From now on it stands where the founders stood, who did all this by hand.
    ids = [deployed.members[name].id for name in SEATS]
    seats = markets.source("Council").deploy(registry, ids, SEATS_NEEDED, override_address=deployed.council)
    world = World(
        deployed.config,
        deployed.council,
        deployed.guardian,
        deployed.addresses,
        deployed.contracts,
        deployed.members,
        markets.source("StatementRegistry").deploy(registry),
        seats,
        str(boa.env.generate_address("stranger")),
    )
    with boa.env.prank(world.stranger):
        for name in TRADERS:
            world.token.mint(world.stranger, FUNDS)
            world.escrow.deposit(world.members[name].id, FUNDS)
    approved = []
    for act in _approved(config):
        world.schedule(act, {name: world.members[name].cold for name in SEATS[:SEATS_NEEDED]})
        approved.append((act, int(boa.env.evm.patch.timestamp)))
    world.approved = tuple(approved)
    at_time(MORNING)
    return world


def _approved(config: Config) -> list[Act]:
    """What the council thought of in time, some of it more than once: examples are shorter than its delays."""
    suspensions = [Act("suspend", (name, to)) for name in TRADERS for to in (True, False)]
    roles = [Act("set_roles", (name, roles)) for name, given in ROLES.items() for roles in given]
    attestors = [Act("set_attestors", (names,)) for names in OTHER_ATTESTORS]
    rare = [Act("remove", (name,)) for name in LEAVING]
    for who in map(markets.member, LEAVING):
        rare.append(Act("admit", (who.name, ROLES[who.name][1], who.cold_address, who.address, who.payout, bytes(32))))
    rare += [Act("replace_cold_key", (name, address_of(cold_key(name, 1)))) for name in LOSING]
    configs = [Act("set_config", (later_config(config),)), Act("set_config", (config,))]
    return 3 * suspensions + 4 * roles + 2 * attestors + rare + configs


@cache
def deployed(config: Config) -> World:
    """The market of these parameters, deployed once; every example begins at this state."""
    world = deploy_world(config)
    # It is never garbage: to look through it time and again takes a quarter of the time.
    gc.collect()
    gc.freeze()
    return world
