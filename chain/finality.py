"""When a block counts as one that can no longer leave the chain."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_DEPTH = re.compile(r"depth:(0|[1-9][0-9]{0,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Finality:
    """A block is final when it has `depth` blocks above it; where `depth` is None, when the node's own tag says so.

    Chains whose validators finish each block before the next (QBFT, IBFT) have depth 0: instant. Their nodes may not
    know the tag at all.
    """

    depth: int | None

    @classmethod
    def parse(cls, text: str) -> Finality:
        """From `instant`, `depth:N` or `tag`. ValueError for anything else."""
        if text == "instant":
            return cls(0)
        if text == "tag":
            return cls(None)
        if found := _DEPTH.fullmatch(text):
            return cls(int(found[1]))
        raise ValueError(f"finality is instant, depth:N or tag, not {text!r}")

    def newest_final(self, tip: int, tagged: Callable[[], int]) -> int:
        """The number of the newest final block of a chain whose newest block is `tip`.

        `tagged` asks the node for its finalized block; it is called only where the tag decides.
        """
        return tagged() if self.depth is None else max(0, tip - self.depth)
