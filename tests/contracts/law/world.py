"""The market that the state machine plays in, and how its members sign.

Times are epoch seconds, energy Wh, money base units. Everything happens in one cycle (`CYCLE`) of a market with three
runs, so that whole cycles, closing included, come about in few steps.
"""

from __future__ import annotations

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
from tests.contracts import market as markets
from tests.contracts import money
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
# So narrow that whoever may not demand a second leaf soon meets it.
NARROW = replace(CONFIG, open_demands=1)
BEGIN = CONFIG.anchor + CYCLE * DAY
END = BEGIN + DAY
MORNING = BEGIN - 12 * HOUR
SLOTS = (BEGIN + 2 * HOUR, BEGIN + 3 * HOUR)
FUNDS = 4 * 10**7

PLATFORMS = ("platform_a", "platform_b", "platform_c")
UTILITIES = ("utility_a", "utility_b")
# Who trades: between these rows and debts arise.
TRADERS = (*PLATFORMS, *UTILITIES)
ATTESTORS = markets.ATTESTORS
QUORUM = 3
TOKEN = Path(__file__).parent / "HostileToken.vy"

Signature = tuple[int, bytes, bytes]


@dataclass
class World(Market):
    """The deployed market; a member's hot key is the one that `members` has now."""

    statements: Any = None

    def sign(self, name: str, value: object) -> Signature:
        """The named member's present hot-key signature of a typed object, as a contract argument."""
        return signed(self.members[name].hot, self.domain.digest(value))

    def hot_key(self, name: str, number: int) -> bytes:
        """A member's `number`-th hot key, which it names when it changes keys."""
        return keccak256(b"hot", name.encode(), number.to_bytes(4, "big"))

    def name_of(self, identity: bytes) -> str:
        """The member of this id; an empty name for none."""
        return _names().get(identity, "")


@cache
def _names() -> dict[bytes, str]:
    return {markets.member(name).id: name for name in markets.MEMBERS}


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
    """Every contract, all shipped templates, arbiters, and money for every trader; it is `MORNING`."""
    at_time(MORNING - DAY)
    deployed = markets.deploy(config, stand_ins={"DepositToken": str(TOKEN)})
    world = World(
        deployed.config,
        deployed.council,
        deployed.guardian,
        deployed.addresses,
        deployed.contracts,
        deployed.members,
        markets.source("StatementRegistry").deploy(deployed.registry.address),
    )
    with boa.env.prank(world.council):
        for template in SHIPPED:
            described = [(flow.payer, flow.payee, flow.program) for flow in template.flows]
            world.flows.register(template.name, template.version, list(template.rate_names), described)
        world.arbiters.set_arbiters([address_of(key) for key in money.ARBITERS])
    for name in TRADERS:
        with boa.env.prank(world.council):
            world.token.mint(world.council, FUNDS)
            world.escrow.deposit(world.members[name].id, FUNDS)
    at_time(MORNING)
    return world


@cache
def deployed(config: Config) -> World:
    """The market of these parameters, deployed once; every example begins at this state."""
    return deploy_world(config)
