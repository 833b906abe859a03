"""Who sends transactions: a key and its nonces. A sender has no power of its own, and pays no fee."""

from __future__ import annotations

from typing import Final

from coincurve import PrivateKey
from rlp import decode as rlp_decode
from rlp import encode as rlp_encode

from chain.rpc import Rpc, integer
from settlement.hashing import keccak256

# Legacy transactions without fee (EIP-155): every chain from London on takes them.
GAS_PRICE: Final = 0


class SigningKey:
    """A secp256k1 key as one that signs transactions (EIP-155). `address` is the sender that it makes."""

    def __init__(self, secret: bytes) -> None:
        """`secret` has 32 bytes; ValueError otherwise."""
        self._key = PrivateKey(secret)
        self.address = "0x" + keccak256(self._key.public_key.format(compressed=False)[1:])[12:].hex()

    def sign(
        self, chain_id: int, nonce: int, data: bytes, gas: int, to: str | None, gas_price: int = GAS_PRICE
    ) -> bytes:
        """The signed bytes of a legacy transaction (a creation where `to` is None); the same input, the same bytes."""
        target = bytes.fromhex(to.removeprefix("0x")) if to is not None else b""
        body = [nonce, gas_price, gas, target, 0, data]
        signature = self._key.sign_recoverable(rlp_encode([*body, chain_id, 0, 0]), hasher=keccak256)
        r, s, recovery = (
            int.from_bytes(signature[:32], "big"),
            int.from_bytes(signature[32:64], "big"),
            signature[64],
        )
        signed: bytes = rlp_encode([*body, chain_id * 2 + 35 + recovery, r, s])
        return signed


class Account:
    """A sender on one chain. It counts its nonces itself, so one process at a time sends for it."""

    def __init__(self, key: bytes, rpc: Rpc) -> None:
        """`key` is a secp256k1 secret of 32 bytes; the chain is asked for its id and the next nonce at first use."""
        self._key = SigningKey(key)
        self._rpc = rpc
        self._chain_id: int | None = None
        self._next_nonce: int | None = None
        self.address = self._key.address

    @property
    def nonce(self) -> int:
        """The nonce of the next transaction."""
        if self._next_nonce is None:
            self._next_nonce = integer(self._rpc.call("eth_getTransactionCount", self.address, "pending"))
        return self._next_nonce

    def send(self, data: bytes, gas: int, to: str | None = None) -> str:
        """Signs and sends a transaction (a creation where `to` is None) and returns its hash.

        Raises RpcError where the node refuses it; its nonce is then not used up.
        """
        if self._chain_id is None:
            self._chain_id = self._rpc.chain_id()
        raw = self._key.sign(self._chain_id, self.nonce, data, gas, to)
        transaction_hash: str = self._rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        self._next_nonce = self.nonce + 1
        return transaction_hash


def hash_of(signed: bytes) -> str:
    """The hash by which the chain knows a signed transaction."""
    return "0x" + keccak256(signed).hex()


def gas_price_of(signed: bytes) -> int:
    """What a signed legacy transaction offers for a unit of gas, in the chain's base units."""
    return int.from_bytes(rlp_decode(signed)[1], "big")


def created_address(sender: str, nonce: int) -> str:
    """The address of the contract that `sender` creates with its transaction `nonce`."""
    return "0x" + keccak256(rlp_encode([bytes.fromhex(sender.removeprefix("0x")), nonce]))[12:].hex()
