"""How sure an answer is: whether the blocks it rests on can still leave the chain."""

from __future__ import annotations

from enum import StrEnum


class Finality(StrEnum):
    """`pending`: not on the chain; `included`: it may still leave it; `final`: it may not; `orphaned`: it did."""

    PENDING = "pending"
    INCLUDED = "included"
    FINAL = "final"
    ORPHANED = "orphaned"


def of_block(block: int | None, final_block: int) -> Finality:
    """The class of what rests on a block and those before it; None for what is in no block."""
    if block is None:
        return Finality.PENDING
    return Finality.FINAL if block <= final_block else Finality.INCLUDED
