"""What `--keep` leaves behind: a market that goes on, with the addresses and keys that one needs to play with it."""

from __future__ import annotations

from collections.abc import Iterator

from demo.everyday import Market
from demo.members import GATEWAY, address_text
from demo.setting import CONFIG_FILE
from demo.world import World

SECONDS_A_BLOCK = 2


def let_time_run(world: World) -> None:
    """From now on the chain makes a block every other second, and its time goes on from where it is."""
    world.rpc.call("anvil_setBlockTimestampInterval", SECONDS_A_BLOCK)
    world.rpc.call("evm_setIntervalMining", SECONDS_A_BLOCK)


def sandbox_lines(market: Market) -> Iterator[str]:
    """Where everybody is reached and what they sign with; the keys are the demo's and nobody else's."""
    yield f"chain    {market.url}  ({market.setting.data.absolute() / 'deployment.json'})"
    yield f"gateway  {market.setting.addresses[GATEWAY].url}"
    for member in market.members.programs:
        yield f"{member.name:<10} {market.setting.addresses[member.name].url}"
        yield f"           {member.subscriber}, member id 0x{member.id.hex()}"
        yield f"           hot key 0x{member.hot_key.hex()} ({address_text(member.hot_key)})"
        yield f"           {member.folder.absolute() / CONFIG_FILE}"
