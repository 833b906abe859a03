"""A market on a real local chain, whose members are real daemons on loopback; time moves only when a test moves it.

    with Scene(tmp_path) as scene:
        sun = scene.daemon("sunmarket", stages=[Exchange], routers=[exchange.routes])
        placed = scene.commit([scene.trade(hour=10), scene.trade(hour=11)])
        scene.move_to(DAY_END)
        scene.settle_down()

Daemons serve from threads of their own and work when they are told to (`once`, `settle_down`). What a test does not
want daemons for (trades, allocations, seals) the scene does itself, with the members' keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from audit.node import NodeChain
from chain.evidence import Evidence
from member.config import MemberConfig
from member.daemon import Daemon, Stage
from member.desk import counting, served_leaves
from member.listening import Address
from settlement import cycle as rules
from settlement import merkle, preimages
from settlement.config import HOUR, Config
from settlement.flows import Pair
from settlement.formula.templates import FIXED_PRICE_SETTLED, INTER_UTILITY
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.identity import canonical_meter_id, meter_hash, trade_id
from settlement.placed import PlacedTrade as CountingTrade
from settlement.placed import Side
from settlement.trade import Curtailment, Lock, Trade, TradeBatch, TradeLocks, lock_signers
from store.records import MemberSignature, PlacedTrade, ServedLeaf
from tests.member.deployed import (
    BANK,
    CALENDAR,
    CONFIG,
    CYCLE,
    DAY_END,
    DAY_START,
    GENESIS_TIME,
    MARKET,
    PLATFORMS,
    UTILITIES,
    DeployedMarket,
    scene_key,
    subscriber_of,
)

__all__ = [
    "BANK",
    "CALENDAR",
    "CONFIG",
    "CYCLE",
    "DAY_END",
    "DAY_START",
    "GENESIS_TIME",
    "MARKET",
    "PLATFORMS",
    "PRICE",
    "UTILITIES",
    "WHEELING",
    "Scene",
    "SignedTrade",
    "scene_key",
    "subscriber_of",
]

PRICE = 6_000_000
WHEELING = 200_000

Locks = Mapping[tuple[str, str], int]
"""What is locked, base units, by (payer, payee)."""

MakeStage = Callable[[Daemon[Any]], Stage]
MakeRouter = Callable[[Daemon[Any]], APIRouter]


@dataclass(frozen=True, slots=True)
class SignedTrade:
    """A trade with the signatures of all its signers, in role order."""

    trade: Trade
    digest: Hash32
    signatures: tuple[MemberSignature, ...]


class Scene(DeployedMarket):
    """The market and its members. A context manager: leaving it ends daemons and chain."""

    def __init__(
        self,
        folder: Path,
        platforms: int | Sequence[str] = 2,
        utilities: int = 2,
        config: Config = CONFIG,
        genesis_time: int = GENESIS_TIME,
    ) -> None:
        """Deploys the market, a day before the cycle `CYCLE` begins where nothing is said; all goes to `folder`."""
        self.daemons: dict[str, Daemon[Any]] = {}
        named = PLATFORMS[:platforms] if isinstance(platforms, int) else platforms
        super().__init__(folder, named, UTILITIES[:utilities], config, genesis_time)
        self._addresses = {name: Address() for name in self.names}
        self._sequences: dict[Pair, int] = {}

    def close(self) -> None:
        """Ends daemons and chain."""
        for daemon in self.daemons.values():
            daemon.close()
        for address in self._addresses.values():
            address.close()
        super().close()

    # --- members ---

    def url(self, name: str) -> str:
        """Where a member listens, whether it runs or not."""
        return self._addresses[name].url

    def home(self, name: str) -> Path:
        """A member's own folder."""
        return self.folder / "members" / name

    def config_file(self, name: str, tables: str = "", **changed: str) -> Path:
        """Writes a member's keys and configuration; `changed` are values (as TOML) of keys at the top.

        `finality` goes to its table; `tables` is TOML to append, for `[utility]`, `[timings]`, `[[partners]]`.
        """
        finality = changed.pop("finality", "instant")
        home = self.home(name)
        home.mkdir(parents=True, exist_ok=True)
        for key_file, key in (("hot.key", self.members[name].key), ("relayer.key", scene_key("relayer", name))):
            (home / key_file).touch(mode=0o600)
            (home / key_file).write_text(key.hex())
        top = {
            "subscriber": _text(subscriber_of(name)),
            "deployment": _text(str(self.folder)),
            "database": '"sqlite:///member.db"',
            "listen": _text(self._addresses[name].listen),
            "poll_ms": "50",
        } | changed
        lines = [f"{key} = {value}" for key, value in top.items()]
        lines += [
            "[chain]",
            f"rpc_url = {_text(self.node.url)}",
            f"finality = {_text(finality)}",
            "[keys]",
            'hot = "hot.key"',
            'relayer = "relayer.key"',
        ]
        lines += ["[peers]"]
        lines += [f"{_text(subscriber_of(other))} = {_text(self.url(other))}" for other in self.names if other != name]
        file = home / "config.toml"
        file.write_text("\n".join([*lines, tables]) + "\n")
        return file

    def daemon(
        self,
        name: str,
        stages: Sequence[MakeStage] = (),
        routers: Sequence[MakeRouter] = (),
        kind: type[MemberConfig] = MemberConfig,
        tables: str = "",
        **changed: str,
    ) -> Daemon[Any]:
        """A member's daemon that serves requests and has followed the chain; it works when told to.

        Called again it restarts the member on the same folder.
        """
        daemon = self.member_daemon(name, stages, routers, kind, tables, **changed)
        daemon.once()
        return daemon

    def member_daemon(
        self,
        name: str,
        stages: Sequence[MakeStage] = (),
        routers: Sequence[MakeRouter] = (),
        kind: type[MemberConfig] = MemberConfig,
        tables: str = "",
        **changed: str,
    ) -> Daemon[Any]:
        """The same before its first round."""
        if name in self.daemons:
            self.daemons.pop(name).close()
        config = kind.load(self.config_file(name, tables, **changed))
        daemon: Daemon[Any] = Daemon(config, stages, routers)
        daemon.__enter__()
        self.daemons[name] = daemon
        return daemon

    def stop(self, name: str) -> None:
        """Ends a member's daemon; its folder stays."""
        self.daemons.pop(name).close()

    def settle_down(self, rounds: int = 200) -> None:
        """Lets all daemons work, in turns, until a whole turn in which none of them did anything."""
        for _ in range(rounds):
            did = [daemon.once() for daemon in self.daemons.values()]
            if not any(did):
                return
        raise AssertionError(f"not settled after {rounds} turns")

    # --- trades ---

    def meter(self, utility: str, meter_id: str, cycle: int = CYCLE) -> Hash32:
        """A meter's pseudonym in a cycle."""
        salt = keccak256(b"meter salt", utility.encode(), meter_id.encode(), cycle.to_bytes(8, "big"))
        return meter_hash(salt, canonical_meter_id(meter_id))

    def trade(
        self,
        hour: int = 10,
        wh: int = 500,
        price: int = PRICE,
        buyer: str = PLATFORMS[0],
        seller: str = PLATFORMS[1],
        buyer_utility: str = UTILITIES[0],
        seller_utility: str = UTILITIES[0],
        grid_operator: str = UTILITIES[1],
        item: str = "item",
        cycle: int = CYCLE,
    ) -> SignedTrade:
        """A trade of an hour of the cycle, signed by everyone it binds.

        Inside one utility it has a fixed price and a grid operator, between two the template for that.
        """
        start = CALENDAR.cycle_start(cycle) + hour * HOUR
        inside = buyer_utility == seller_utility
        salt = keccak256(b"trade salt", item.encode(), start.to_bytes(8, "big"))
        trade = Trade(
            trade_id=trade_id(self.id(buyer), self.id(seller), "transaction", item, start),
            template=(FIXED_PRICE_SETTLED if inside else INTER_UTILITY).template_id,
            buyer_platform=self.id(buyer),
            seller_platform=self.id(seller),
            buyer_utility=self.id(buyer_utility),
            seller_utility=self.id(seller_utility),
            grid_operator=self.id(grid_operator) if inside else ZERO_HASH,
            market_agent=ZERO_HASH,
            buyer_meter=self.meter(buyer_utility, f"buyer-{item}", cycle),
            seller_meter=self.meter(seller_utility, f"seller-{item}", cycle),
            slot_start=start,
            slot_end=start + HOUR,
            contracted_wh=wh,
            traded_at=GENESIS_TIME,
            valid_until=start - self.config.gate,
            rates=(price, WHEELING) if inside else (price, WHEELING, WHEELING, 0),
            order_hash=keccak256(salt, b"order"),
            salt=salt,
        )
        digest = self.domain.digest(trade)
        by_id = {member.id: member for member in self.members.values()}
        signatures = (MemberSignature.of(one, by_id[one].sign_digest(digest)) for one in trade.signers)
        return SignedTrade(trade, digest, tuple(signatures))

    def commit(self, trades: Sequence[SignedTrade], locks: Locks | None = None) -> tuple[PlacedTrade, ...]:
        """Commits trades of one pair of platforms and one cycle as a batch; nobody is told of their places."""
        first = trades[0].trade
        low, high = sorted((first.buyer_platform, first.seller_platform))
        sequence = self._sequences[low, high] = self._sequences.get((low, high), 0) + 1
        tree = merkle.Tree([preimages.trade_leaf(one.digest) for one in trades])
        starts = min(one.trade.slot_start for one in trades)
        batch = TradeBatch(
            cycle=CALENDAR.cycle_of(starts),
            platform_a=low,
            platform_b=high,
            sequence=sequence,
            earliest_slot=starts,
            count=len(trades),
            root=tree.root,
            locks=self._locks(locks or {}),
        )
        self.send("TradeBook", "commit_batch", batch, self._sign(batch.signers, batch), [])
        number = self.call("TradeBook", "commitment_count")
        return tuple(
            PlacedTrade(one.digest, one.trade, number, index, tree.path(index), one.signatures)
            for index, one in enumerate(trades)
        )

    def register(self, one: SignedTrade, locks: Locks | None = None) -> PlacedTrade:
        """Registers a trade by itself."""
        with_locks = self._locks(locks or {})
        statement = TradeLocks(one.digest, with_locks)
        platforms = one.trade.platforms
        signatures = [
            self._sign([by.member], statement)[0] if by.member in platforms else by.signature for by in one.signatures
        ]
        further = self._sign(lock_signers(one.trade, with_locks)[len(platforms) :], statement)
        self.send("TradeBook", "register_trade", one.trade, signatures, list(with_locks), further, [])
        number = self.call("TradeBook", "commitment_count")
        return PlacedTrade(one.digest, one.trade, number, 0, (), one.signatures)

    def tell(self, placed: Sequence[PlacedTrade], cycle: int = CYCLE) -> None:
        """Puts trades with their places on the desks of those signers that run."""
        for daemon in self.daemons.values():
            mine = [one for one in placed if daemon.me.id in one.trade.signers]
            if mine:
                daemon.store.place(mine, cycle)

    def curtail(self, utility: str, placed: PlacedTrade, wh: int) -> None:
        """A utility lowers a batched or registered trade before its slot begins."""
        events = NodeChain(self.record, self.rpc).events()
        commitment = Evidence(tuple(events)).commitments[placed.number].record
        curtailment = Curtailment(placed.number, placed.index, wh, 1)
        place = (placed.number, commitment, placed.index, list(placed.path))
        signatures = self._sign((self.id(utility),), curtailment)
        self.send("TradeBook", "curtail", curtailment, place, placed.trade, signatures, [])

    # --- after delivery ---

    def allocate(
        self,
        utility: str,
        placed: Sequence[PlacedTrade],
        run: int = 0,
        delivered: Callable[[CountingTrade], int] = lambda one: one.contracted_wh,
        cycle: int = CYCLE,
        attempt: int = 1,
        change: Callable[[rules.UtilityAllocation], rules.UtilityAllocation] = lambda honest: honest,
    ) -> tuple[ServedLeaf, ...]:
        """A utility's allocation, posted: each meter's reading is what `delivered` makes of its trades, summed.

        Returns its leaves; nobody is served them. `change` makes a false allocation of the honest one.
        """
        counted = counting(placed, ())
        readings: dict[rules.Group, rules.SlotReading] = {}
        for one in counted:
            for side in Side:
                group = one.meter(side), one.trade.slot_start, side
                before = readings.get(group, rules.SlotReading(0)).wh
                readings[group] = rules.SlotReading(before + delivered(one))
        honest = rules.allocate_utility(self.id(utility), counted, readings, cycle, self.config.allocation_rule)
        made = change(honest)
        statement = made.statement(cycle, run, attempt, self.config.digest())
        self.send("AllocationOracle", "post", statement, self._sign((self.id(utility),), statement)[0], [])
        return served_leaves(run, made)

    def serve(self, served: Sequence[ServedLeaf], run: int = 0, cycle: int = CYCLE) -> None:
        """Puts leaves on the desks of those signers of their trades that run."""
        for daemon in self.daemons.values():
            mine = {one.digest for one in daemon.store.placed(cycle)}
            leaves = [one for one in served if one.leaf.trade_digest in mine]
            if leaves:
                daemon.store.keep_leaves(cycle, run, leaves)

    def seal(self, run: int = 0, cycle: int = CYCLE) -> None:
        """Moves time past a run's deadline and window and seals it."""
        end = CALENDAR.cycle_end(cycle) + self.config.run_deadlines[run]
        self.move_to(max(self.now, end))
        self.send("AllocationOracle", "open_window", cycle)
        self.move_to(max(self.now, end + self.config.window), self.config.window_blocks)
        self.send("AllocationOracle", "seal", cycle)

    def _locks(self, locks: Locks) -> tuple[Lock, ...]:
        made = (Lock(self.id(payer), self.id(payee), amount) for (payer, payee), amount in locks.items())
        return tuple(sorted(made, key=lambda lock: (lock.payer, lock.payee)))


def _text(value: str) -> str:
    return f'"{value}"'
