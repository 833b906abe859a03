"""Waking those who wait for news: threads ring, coroutines listen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

MAX_LISTENERS: Final = 1_000


class Bell:
    """Rings for everybody who listens at that moment."""

    def __init__(self) -> None:
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Wakes all listeners; from any thread."""
        with self._lock:
            listeners = tuple(self._listeners)
        for loop, event in listeners:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Event]:
        """An event that is set by every ring from now on. With too many listeners it is set at once."""
        mine = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            if len(self._listeners) >= MAX_LISTENERS:
                mine[1].set()
            self._listeners.add(mine)
        try:
            yield mine[1]
        finally:
            with self._lock:
                self._listeners.discard(mine)
