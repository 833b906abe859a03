"""Keeping what was worked out until something behind it changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

MOST: Final = 64


class Kept(Generic[K, V]):
    """The newest value of each key with what it was made of; those asked for last are kept. Any thread may use it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[K, tuple[tuple[object, ...], V]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K, sources: tuple[object, ...], make: Callable[[V | None], V]) -> V:
        """The value of a key; made anew where any of its sources is another object than before (an int: another).

        `make` is given the value of before, and may run twice at the same time in two threads.
        """
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None and all(_same(old, new) for old, new in zip(kept[0], sources, strict=True)):
            return kept[1]
        value = make(None if kept is None else kept[1])
        with self._lock:
            self._kept[key] = sources, value
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return value


def _same(old: object, new: object) -> bool:
    return old == new if isinstance(new, int) else old is new
