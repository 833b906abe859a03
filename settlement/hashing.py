"""Keccak-256 and ABI words: the two primitives under every id, digest, leaf and node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi import encode  # type: ignore[attr-defined]
from sha3 import keccak_256  # type: ignore[import-untyped]

Hash32 = bytes

ZERO_HASH: Hash32 = bytes(32)


def keccak256(*chunks: bytes) -> Hash32:
    """The Keccak-256 digest (Ethereum's, not NIST SHA-3) of the chunks, concatenated."""
    digest: Hash32 = keccak_256(b"".join(chunks)).digest()
    return digest


def abi_encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """`abi.encode` of Solidity: `types` are ABI type names, tuples in parentheses."""
    return encode(types, values)
