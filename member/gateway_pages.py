"""Reading the gateway's lists, at a pace that leaves it to others as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from member.peers import Peer
from settlement.errors import SettlementError

PAGE: Final = 100
LOOK_SECONDS: Final = 1.0


class Glances:
    """When to look again at what does not tell that it has changed: at every new block, else once a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked: tuple[int, float] | None = None

    def is_due(self, head: int) -> bool:
        """Whether to look now, at the block `head`; if so, it counts as looked."""
        now = self._clock()
        if self._looked is not None and self._looked[0] == head and now < self._looked[1] + LOOK_SECONDS:
            return False
        self._looked = head, now
        return True


def pages(gateway: Peer, path: str) -> Iterator[Any]:
    """The items of a list, page by page; `path` has a query. Raises PeerSilent, PeerRefused, SettlementError."""
    cursor = ""
    while True:
        page = gateway.get(f"{path}&limit={PAGE}{cursor}")
        if not isinstance(page, dict) or not isinstance(page.get("items"), list):
            raise SettlementError("items", None, "must be a list")
        yield from page["items"]
        if not page.get("next"):
            return
        cursor = f"&cursor={page['next']}"
