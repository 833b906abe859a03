"""A day of trades up to its seal, on the desks of the members that run: what settling begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from member import exchange, row_pages
from member.daemon import Daemon
from member.exchange import Exchange
from member.pairs import PairState, pair_states
from member.peers import Peer, Peers
from member.settling import ROUTERS, STAGES
from settlement.config import Config
from settlement.cycle import UtilityAllocation
from settlement.placed import PlacedTrade as CountingTrade
from store.records import PlacedTrade, RowState, ServedLeaf
from tests.member.scene import CONFIG, CYCLE, DAY_END, PRICE, WHEELING, Scene

WH = 500
SALE = WH * PRICE // 1000
"""What one trade's buyer owes its seller, base units."""
CHARGE = WH * WHEELING // 1000
"""What it owes the grid operator."""

Delivered = Callable[[CountingTrade], int]
Change = Callable[[UtilityAllocation], UtilityAllocation]


def everything(one: CountingTrade) -> int:
    """Each meter delivers and takes what was traded."""
    return one.contracted_wh


class Answering(Exchange):
    """An exchange that answers, but neither proposes rows nor submits them."""

    def run(self) -> bool:
        return False


class SettledDay:
    """A scene with daemons that settle, and `trades` committed between the first two platforms.

    Members that are not named in `running` are silent from the beginning.
    """

    def __init__(
        self,
        folder: Path,
        running: Sequence[str] | None = None,
        trades: int = 2,
        locks: Mapping[tuple[str, str], int] | None = None,
        utilities: int = 2,
        tables: str = "",
        registered: bool = False,
        config: Config = CONFIG,
        finality: str = "instant",
        back: int = 0,
    ) -> None:
        """`back` trades go the other way; `locks` are by payer and payee, base units."""
        self.tables, self.finality = tables, finality
        self.scene = Scene(folder, utilities=utilities, config=config)
        for name in self.scene.names if running is None else running:
            self.start(name)
        if locks:
            self.scene.fund("sunmarket", sum(locks.values()))
        signed = [self.scene.trade(hour=8 + place, item=f"item-{place}") for place in range(trades)]
        signed += [
            self.scene.trade(hour=8 + place, item=f"back-{place}", buyer="rooftrade", seller="sunmarket")
            for place in range(back)
        ]
        # Registered ones stand on chain one by one, batched ones under one root.
        self.placed: tuple[PlacedTrade, ...] = (
            tuple(self.scene.register(one) for one in signed) if registered else self.scene.commit(signed, locks)
        )
        self.scene.tell(self.placed)
        self.scene.move_to(DAY_END)

    def __enter__(self) -> SettledDay:
        return self

    def __exit__(self, *_: object) -> None:
        self.scene.__exit__()

    def start(self, name: str, tables: str | None = None) -> Daemon[Any]:
        """Starts or restarts a member."""
        told = self.tables if tables is None else tables
        return self.scene.daemon(name, STAGES, ROUTERS, tables=told, finality=self.finality)

    def make_lazy(self, name: str) -> Daemon[Any]:
        """Restarts a member as one that answers about rows and does nothing by itself."""
        return self.scene.daemon(name, [Answering], [exchange.routes, row_pages.routes])

    def stop(self, name: str) -> None:
        """Ends a member, which is silent from then on."""
        self.scene.stop(name)

    def allocate(
        self,
        run: int = 0,
        delivered: Delivered = everything,
        silent_to: Sequence[str] = (),
        change: Change = lambda honest: honest,
    ) -> tuple[ServedLeaf, ...]:
        """The trades' utility posts its allocation and serves it, but not to those that `silent_to` names."""
        served = self.scene.allocate("eastpower", self.placed, run, delivered, change=change)
        everybody = self.scene.daemons
        self.scene.daemons = {name: one for name, one in everybody.items() if name not in silent_to}
        self.scene.serve(served, run)
        self.scene.daemons = everybody
        return served

    def seal(self, run: int = 0) -> None:
        """Seals a run; nobody has seen it yet."""
        self.scene.seal(run)

    def pass_time(self, seconds: int) -> None:
        """Time passes, and everybody does what there is to do."""
        self.scene.move_to(self.scene.now + seconds)
        self.scene.settle_down()

    def state(self, payer: str, payee: str, by: str | None = None) -> PairState:
        """How a pair stands on chain, as a running member follows it."""
        daemon = self.scene.daemons[by] if by else next(iter(self.scene.daemons.values()))
        states = pair_states(daemon.market.view.cycle(CYCLE), CYCLE)
        return states.get((self.scene.id(payer), self.scene.id(payee)), PairState())

    def rows(self, of: str) -> tuple[RowState, ...]:
        """What a member keeps of its rows."""
        return self.scene.daemons[of].store.row_states(CYCLE)

    def events(self, *names: str) -> list[Any]:
        """The cycle's events, as the first running member follows them."""
        return list(next(iter(self.scene.daemons.values())).market.view.cycle(CYCLE).of(*names))

    def waiting(self, of: str) -> list[dict[str, Any]]:
        """What a member says it waits for."""
        found: list[dict[str, Any]] = self.scene.daemons[of].status()["waiting"]
        return found

    def senders_of(self, intent: str) -> list[str]:
        """The members that sent something for an intent."""
        return [name for name, one in self.scene.daemons.items() if one.market.sender.find(intent) is not None]

    def operator(self, name: str) -> Peer:
        """A member's operator: it asks the member's own service with the member's own key."""
        daemon = self.scene.daemons[name]
        return Peers(daemon.me, {daemon.me.subscriber: daemon.url}).peer(daemon.me.id)

    def problems(self) -> list[Any]:
        """What keeps stages from working, of all members that run."""
        return [one for daemon in self.scene.daemons.values() for one in daemon.status()["problems"]]
