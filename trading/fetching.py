"""Orders that came to the market's gateway in Beckn messages: each is fetched once, into the platform's book."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from member.board import Waiting
from member.daemon import Daemon
from member.errors import PeerRefused, PeerSilent
from member.gateway_pages import PAGE, Glances
from member.peers import Peer
from settlement.errors import SettlementError
from trading.booking import OrderBook
from trading.config import PlatformConfig
from trading.orders import KeptOrder, Lane, kept_order

CURSOR: Final = "gateway orders"
"""The kind of facts that say how far a gateway's list was read, by the gateway's address."""

MOST_COMPLAINTS: Final = 100

_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class FetchingStage:
    """Reads on in the gateway's list, where this platform is to. What is in the book already changes nothing."""

    name = "gateway orders"

    def __init__(self, daemon: Daemon[PlatformConfig], book: OrderBook) -> None:
        self._daemon = daemon
        self._market = daemon.market
        self._book = book
        self._glances = Glances()
        self._complaints: deque[str] = deque(maxlen=MOST_COMPLAINTS)

    def run(self) -> bool:
        """Takes what is new."""
        lane = self._daemon.config.platform.beckn_lane
        gateway = self._daemon.peers.gateway
        if lane is None or gateway is None or not self._glances.is_due(self._market.head().number):
            return False
        waiting: list[Waiting] = []
        did, is_more = False, True
        try:
            while is_more and not self._daemon.is_stopping:
                found, is_more = self._read_on(gateway, lane)
                did |= found
        except (PeerSilent, PeerRefused, SettlementError) as error:
            waiting.append(Waiting(self._market.calendar.cycle_of(self._market.now()), f"the gateway: {error}"))
        self._daemon.waits(self.name, waiting)
        self._daemon.complains(self.name, self._complaints)
        return did

    def _read_on(self, gateway: Peer, lane: Lane) -> tuple[bool, bool]:
        """One page: whether there was something on it, and whether there may be another."""
        cursor = self._daemon.store.fact(CURSOR, gateway.url)
        page = gateway.get(f"/v1/orders?limit={PAGE}" + (f"&cursor={cursor}" if cursor else ""))
        items, after = _page(page)
        # One after the other: each is compared with all before it, those of its own page too.
        added = sum(self._book.add([kept]) for item in items if (kept := self._order(item, lane)) is not None)
        if added:
            self._daemon.log.info("orders fetched", lane=lane.value, orders=added)
        if after != cursor:
            # Behind the orders: what is fetched twice changes nothing, what was skipped would be lost.
            self._daemon.store.keep_fact(CURSOR, gateway.url, after)
        return bool(items), len(items) == PAGE and after != cursor

    def _order(self, item: Any, lane: Lane) -> KeptOrder | None:
        """An order of this platform's, or None with a complaint for its operator."""
        try:
            templates = {one.title: one for one in self._market.templates.values()}
            named = item if isinstance(item, Mapping) else {}
            kept = kept_order({**named, "lane": lane.value}, templates)
            if named.get("trade_id") != "0x" + kept.order.trade_id().hex():
                raise SettlementError("$.trade_id", named.get("trade_id"), "is not the order's")
            kept.document.encode()
            if self._daemon.me.id not in (kept.order.buyer_platform, kept.order.seller_platform):
                raise SettlementError("$.order", None, "is of other platforms")
        except ValueError as error:  # half a character in a text is no SettlementError
            self._complaints.append(f"the gateway's order: {error}")
            return None
        fault = self._book.conflict(kept)
        if fault is not None:
            self._complaints.append(f"order {kept.order.transaction_id}: {fault.field}: {fault.reason}")
            return None
        return kept


def _page(found: Any) -> tuple[Sequence[Any], str]:
    if not isinstance(found, Mapping) or not isinstance(found.get("items"), list):
        raise SettlementError("items", None, "must be a list")
    after = found.get("next")
    if not isinstance(after, str) or not _CURSOR.fullmatch(after):
        raise SettlementError("next", None, "must be a cursor")
    return found["items"], after
