"""Words read straight from a contract's storage: the invariants read hundreds after every act, where a call costs too
much. That the views say the same is tested with each contract."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import boa  # type: ignore[import-untyped]

from settlement.hashing import keccak256

Key = bytes | int | str


@lru_cache(maxsize=1_000)
def _slot(compiled: Any, name: str) -> int:
    layout = compiled.storage_layout["storage_layout"]
    for part in name.split("."):
        layout = layout[part]
    return int(layout["slot"])


@lru_cache(maxsize=200_000)
def _place(slot: int, keys: tuple[Key, ...]) -> int:
    for key in keys:
        word = int(key, 16).to_bytes(32, "big") if isinstance(key, str) else key
        word = word.to_bytes(32, "big") if isinstance(word, int) else word
        slot = int.from_bytes(keccak256(slot.to_bytes(32, "big"), word), "big")
    return slot


def word(contract: Any, name: str, *keys: Key, at: int = 0) -> int:
    """The word of a variable, or in a mapping under these keys (an address as text); `module.variable` of a module;
    `at`: which word of a struct."""
    return int(boa.env.evm.get_storage(contract.address, _place(_slot(contract.compiler_data, name), keys) + at))
