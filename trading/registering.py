"""The registered lane: the seller's platform brings a trade to the gateway, which gathers signatures and registers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from member.board import Waiting
from member.cosigning import Fault, Terms, signature_of
from member.daemon import Daemon
from member.errors import PeerRefused, PeerSilent
from member.gateway_pages import Glances, pages
from member.peers import Peer
from settlement.documents import document, value_of
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from settlement.trade import Lock, Trade, TradeLocks
from store.records import MemberSignature, OpenTrade
from trading.batching import locks_of, platform_pair
from trading.collecting import TradeMaker
from trading.config import PlatformConfig
from trading.orders import Lane
from trading.proposing import BatchRoom


@dataclass(frozen=True)
class OwnLocks:
    """What a platform locks for a registered trade: the share of its worst case that it agreed with the other one."""

    room: BatchRoom

    def of(self, trade: OpenTrade) -> tuple[Lock, ...]:
        """The locks of a trade by itself."""
        return locks_of([trade], self.room.market.templates, self.room.percent(platform_pair(trade)))

    def locks_fault(self, trade: Trade, locks: tuple[Lock, ...], terms: Terms) -> Fault | None:
        """Whether the locks are not the agreed ones."""
        one = OpenTrade(bytes(32), trade, terms.calendar.cycle_of(trade.slot_start), "", ())
        return None if locks == self.of(one) else Fault("locks", "are not what was agreed")


class RegisteringStage:
    """Brings the trades of registered orders sold here to the gateway, and says whom they wait for."""

    name = "registration"

    def __init__(self, daemon: Daemon[PlatformConfig], maker: TradeMaker, locks: OwnLocks) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._maker = maker
        self._locks = locks
        self._brought: set[Hash32] = set()
        self._tried: set[Hash32] = set()
        self._glances = Glances()

    def run(self) -> bool:
        """Brings what is new, and asks after what is not registered yet."""
        is_due = self._glances.is_due(self._market.head().number)
        did = False
        waiting: list[Waiting] = []
        for cycle, orders in sorted(self._maker.open_orders().items()):
            trades = self._maker.signed((one for one in orders if one.lane is Lane.REGISTERED), waiting)
            for trade in trades:
                if trade.digest not in self._brought and (is_due or trade.digest not in self._tried):
                    did |= self._bring(trade, waiting)
            if is_due and trades:
                waiting += self._missing(cycle, trades)
        if is_due or did:
            self._daemon.waits(self.name, waiting)
        return did

    def _bring(self, trade: OpenTrade, waiting: list[Waiting]) -> bool:
        self._tried.add(trade.digest)
        try:
            self._gateway().post("/v1/trades", self._document(trade), idempotency_key=f"propose-{trade.digest.hex()}")
        except (PeerSilent, PeerRefused) as error:
            waiting.append(Waiting(trade.cycle, f"the gateway: {error}", trade=trade.trade.trade_id))
            return False
        self._brought.add(trade.digest)
        return True

    def _gateway(self) -> Peer:
        gateway = self._daemon.peers.gateway
        if gateway is None:
            raise PeerSilent("gateway", "no address here")
        return gateway

    def _missing(self, cycle: int, trades: Sequence[OpenTrade]) -> Iterator[Waiting]:
        """Whom the trades of a cycle wait for, as the gateway has it."""
        ours = {one.digest: one for one in trades if one.digest in self._brought}
        try:
            for item in pages(self._gateway(), f"/v1/trades?cycle={cycle}"):
                trade = ours.get(_word(item, "digest"))
                if trade is not None:
                    missing = tuple(_words(item, "missing"))
                    reason = "lacks signatures" if missing else "signed by all, not registered yet"
                    yield Waiting(cycle, reason, missing, trade=trade.trade.trade_id)
        except (PeerSilent, PeerRefused, SettlementError) as error:
            yield Waiting(cycle, f"the gateway: {error}")

    def _document(self, trade: OpenTrade) -> dict[str, Any]:
        me = self._daemon.me.id
        locks = self._locks.of(trade)
        lock_signatures = [MemberSignature.of(me, self._daemon.desk.sign(TradeLocks(trade.digest, locks)))]
        mine = signature_of(me, trade)
        return {
            "trade": document(trade.trade),
            "lane": Lane.REGISTERED.value,
            "signatures": [document(mine)] if mine else [],
            "locks": document(locks),
            "lock_signatures": document(lock_signatures),
        }


def _word(item: Any, name: str) -> Hash32:
    """A word in one of the gateway's documents. Raises SettlementError for anything else."""
    return value_of(bytes, item.get(name) if isinstance(item, dict) else None, name)


def _words(item: Any, name: str) -> tuple[Hash32, ...]:
    """A list of words in one of the gateway's documents."""
    return value_of(tuple[bytes, ...], item.get(name) if isinstance(item, dict) else None, name)
