"""A platform's book: the orders that were put into its inbox, and what their meters are called in each cycle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from member.board import Waiting
from member.cosigning import Fault
from member.daemon import Daemon
from member.errors import PeerRefused, PeerSilent
from member.inbox import Inbox
from member.lines import LineError
from settlement.documents import value_of
from settlement.errors import SettlementError
from settlement.formula.templates import Template
from settlement.hashing import Hash32
from settlement.identity import meter_hash
from settlement.order import Order
from store.desk import DeskStore
from store.errors import StoreError
from store.records import MeterPseudonym
from trading.config import PlatformConfig
from trading.exported import Market as Judging
from trading.exported import read_trades
from trading.orders import KeptOrder, Lane, Pseudonyms, kept_document, kept_order
from trading.signing import order_conflicts

ORDER: Final = "order"
"""The kind of facts under which orders are kept, by trade id."""

MOST_METERS: Final = 1_000


class OrderBook:
    """The orders of a platform by trade id, and the pseudonyms that it was told. Any thread may use it."""

    def __init__(self, store: DeskStore) -> None:
        self._store = store
        self._orders: dict[Hash32, KeptOrder] = {}
        self._pseudonyms: dict[int, dict[tuple[Hash32, str], Hash32]] = {}

    def load(self, templates: Mapping[str, Template]) -> None:
        """Reads what was kept before; `templates` by title."""
        for document in self._store.facts(ORDER).values():
            kept = kept_order(document, templates)
            self._orders[kept.order.trade_id()] = kept

    def find(self, trade_id: Hash32) -> KeptOrder | None:
        """The order that makes this trade."""
        return self._orders.get(trade_id)

    def all(self) -> tuple[KeptOrder, ...]:
        """Every order, in the order of trade ids."""
        found = dict(self._orders)
        return tuple(found[key] for key in sorted(found))

    def conflict(self, kept: KeptOrder) -> Fault | None:
        """Why an order cannot be kept: another one stands under its trade id."""
        return order_conflicts(self._orders, kept)

    def add(self, orders: Iterable[KeptOrder]) -> int:
        """Keeps orders that conflict with none; how many of them are new."""
        new = {one.order.trade_id(): one for one in orders}
        new = {trade_id: one for trade_id, one in new.items() if trade_id not in self._orders}
        self._store.keep_facts(ORDER, {"0x" + trade_id.hex(): kept_document(one) for trade_id, one in new.items()})
        self._orders.update(new)
        return len(new)

    def pseudonyms(self, cycle: int) -> Pseudonyms:
        """What meters are called in a cycle, as far as their utilities have told."""
        if cycle not in self._pseudonyms:
            self._pseudonyms[cycle] = {(one.utility, one.meter_id): one.meter for one in self._store.meters(cycle)}
        return self._pseudonyms[cycle]

    def told(self, one: MeterPseudonym) -> None:
        """Keeps what a utility told. Raises StoreError where it told something else before."""
        self._store.keep_meter(one)
        self._pseudonyms[one.cycle] = {**self.pseudonyms(one.cycle), (one.utility, one.meter_id): one.meter}


class OrderStage:
    """Takes order files, one folder a lane: one that breaks a rule is refused as a whole."""

    name = "orders"

    def __init__(self, daemon: Daemon[PlatformConfig], book: OrderBook) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._book = book
        self._files = {lane: Inbox(daemon.config.orders(lane), partial(self._read, lane)) for lane in Lane}
        self._is_loaded = False

    def run(self) -> bool:
        """Reads what is new."""
        if not self._is_loaded:
            self._book.load({one.title: one for one in self._market.templates.values()})
            self._is_loaded = True
        did = False
        complaints: list[str] = []
        for lane, files in self._files.items():
            before = files.changes
            files.scan()
            if files.changes != before:
                did |= self._keep(lane, files.contents)
            complaints += files.refused.values()
        self._daemon.complains(self.name, complaints)
        return did

    def _keep(self, lane: Lane, files: Mapping[str, tuple[Order, ...]]) -> bool:
        did = False
        for file, orders in files.items():
            added = self._book.add(KeptOrder.of(one, lane) for one in orders)
            if added:
                did = True
                self._daemon.log.info("orders taken", file=file, lane=lane.value, orders=added)
        return did

    def _read(self, lane: Lane, file: Path) -> tuple[Order, ...]:
        """The orders of a file. Raises LineError, also for one that was read before with other content."""
        orders = read_trades(file, self._judging())
        for line, order in enumerate(orders, start=2):
            fault = self._book.conflict(KeptOrder.of(order, lane))
            if fault is not None:
                raise LineError(file, line, fault.field, fault.reason)
        return orders

    def _judging(self) -> Judging:
        now = self._market.now()
        standings = ((member, history.at(now)) for member, history in self._market.registry.members.items())
        return Judging(
            config=self._market.standing().configs[-1][1],
            roles={member: standing.roles for member, standing in standings if standing is not None},
            templates={one.title: one for one in self._market.templates.values()},
            zone=self._daemon.config.zone,
        )


class PseudonymStage:
    """Asks utilities what the meters of open orders are called; both platforms of an order do."""

    name = "pseudonyms"

    def __init__(self, daemon: Daemon[PlatformConfig], book: OrderBook) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._book = book

    def run(self) -> bool:
        """Asks for those that are not known yet."""
        did = False
        waiting: list[Waiting] = []
        for (utility, cycle), meters in sorted(self._lacking().items()):
            wanted = sorted(meters)
            try:
                for first in range(0, len(wanted), MOST_METERS):
                    did |= self._ask(utility, cycle, wanted[first : first + MOST_METERS])
                unknown = meters - {meter for of, meter in self._book.pseudonyms(cycle) if of == utility}
                if unknown:
                    waiting.append(Waiting(cycle, f"{len(unknown)} meters are not known to their utility", (utility,)))
            except (PeerSilent, PeerRefused, SettlementError, StoreError) as error:
                waiting.append(Waiting(cycle, f"pseudonyms of {len(meters)} meters: {error}", (utility,)))
        self._daemon.waits(self.name, waiting)
        return did

    def _lacking(self) -> dict[tuple[Hash32, int], set[str]]:
        """By utility and cycle, the meters of orders that can still be committed whose pseudonyms are not known."""
        lacking: dict[tuple[Hash32, int], set[str]] = defaultdict(set)
        now = self._market.now()
        for kept in self._book.all():
            if kept.order.valid_until < now:
                continue
            cycle = self._market.calendar.cycle_of(kept.order.slot_start)
            for utility, meter in kept.meters:
                if (utility, meter) not in self._book.pseudonyms(cycle):
                    lacking[utility, cycle].add(meter)
        return lacking

    def _ask(self, utility: Hash32, cycle: int, meters: list[str]) -> bool:
        found = self._daemon.peers.post(utility, "/v1/meters", {"cycle": cycle, "meters": meters})
        listed = found.get("meters") if isinstance(found, dict) else None
        if not isinstance(listed, list):
            raise SettlementError("meters", None, "must be a list")
        told = [value_of(MeterPseudonym, one, f"$.meters[{place}]") for place, one in enumerate(listed)]
        for one in told:
            if (one.utility, one.cycle) != (utility, cycle) or one.meter_id not in meters:
                raise SettlementError("meters", one.cycle, "is not what was asked for")
            if one.meter != meter_hash(one.salt, one.meter_id):
                raise SettlementError("meters", one.meter, "is not the hash of the salt and the meter")
            self._book.told(one)
        return bool(told)
