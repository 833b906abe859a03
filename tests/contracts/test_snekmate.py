"""Our EIP-712, ECDSA, ERC-1271 and Merkle modules beside snekmate's and eth-account's, on the same generated values.

What is the same by definition must agree: the digest over separator and struct hash, recovery, the refusal of high s,
the answer of a wallet, and the siblings of a leaf. Three things differ on purpose and are shown to:

* snekmate's domain has no salt. Ours binds the market by it, so the separator is compared with eth-account's.
* snekmate reverts on what no key signed; ours answers with the zero address, which is nobody's key.
* snekmate's trees hash sorted pairs without a prefix, so an inner node passes for a leaf and a proof says nothing of
  its place. Ours are RFC 9162's. Paths are the same in both: with snekmate's pair hash in the reference's tree, each of
  its paths verifies there, at all sizes.
"""

from __future__ import annotations

import random
from dataclasses import astuple
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from settlement import merkle, typed_data
from settlement.hashing import keccak256
from settlement.trade import Signature, Withdrawal
from tests.contracts.market import CONTRACTS, Market, deploy, source

CASES = 300
ORDER = 2 * typed_data.HALF_ORDER + 1
ZERO = "0x" + "00" * 20
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 127, 128, 129)

THEIRS = """
# pragma version 0.4.3
from snekmate.utils import ecdsa
from snekmate.utils import merkle_proof_verification as merkle
from snekmate.utils import message_hash_utils as message_hash
from snekmate.utils import signature_checker


@external
@pure
def digest(separator: bytes32, struct_hash: bytes32) -> bytes32:
    return message_hash._to_typed_data_hash(separator, struct_hash)


@external
@pure
def recover(digest: bytes32, v: uint256, r: uint256, s: uint256) -> address:
    return ecdsa._recover_vrs(digest, v, r, s)


@external
@pure
def recover_bytes(digest: bytes32, signature: Bytes[65]) -> address:
    return ecdsa._recover_sig(digest, signature)


@external
@view
def wallet_accepts(wallet: address, digest: bytes32, signature: Bytes[65]) -> bool:
    return signature_checker._is_valid_ERC1271_signature_now(wallet, digest, signature)


@external
@pure
def verify(path: DynArray[bytes32, 255], root: bytes32, leaf: bytes32) -> bool:
    return merkle._verify(path, root, leaf)
"""


@pytest.fixture(scope="module")
def ours() -> Any:
    return source("mocks/ModuleProbe").deploy()


@pytest.fixture(scope="module")
def theirs() -> Any:
    return boa.loads(THEIRS)


@pytest.fixture(scope="module")
def market() -> Market:
    return deploy(only=())


# --- EIP-712 ---


def test_digests(ours: Any, theirs: Any) -> None:
    rng = random.Random("digests")
    for _ in range(CASES):
        separator, struct_hash = rng.randbytes(32), rng.choice((bytes(32), b"\xff" * 32, rng.randbytes(32)))
        assert ours.digest(separator, struct_hash) == theirs.digest(separator, struct_hash)


def test_the_domain_and_a_digest_under_it_are_eth_account_s(market: Market, theirs: Any) -> None:
    """From the registry's own domain: separator, struct hash and digest by another implementation of EIP-712."""
    domain = {
        "name": "Clearwatt",
        "version": "1",
        "chainId": boa.env.evm.patch.chain_id,
        "verifyingContract": market.registry.address,
        "salt": market.registry.market_id(),
    }
    types = {"Withdrawal": [("member", "bytes32"), ("amount", "uint96"), ("sequence", "uint64")]}
    typed = {kind: [{"name": name, "type": type_} for name, type_ in members] for kind, members in types.items()}
    said = Withdrawal(market.members["platform_a"].id, 2**96 - 1, 7)
    message = {"member": said.member, "amount": said.amount, "sequence": said.sequence}
    encoded = encode_typed_data(domain, typed, message)
    assert encoded.header == market.registry.domain_separator() == market.domain.separator
    assert encoded.body == typed_data.struct_hash(said)
    assert theirs.digest(encoded.header, encoded.body) == market.domain.digest(said)
    # And what a wallet signs for a member is what our contracts take.
    key = market.members["platform_a"].hot
    signed = Account.sign_message(encoded, key)
    own = typed_data.sign(key, market.domain.digest(said))
    assert (signed.v, signed.r, signed.s) == (own.v, int.from_bytes(own.r, "big"), int.from_bytes(own.s, "big"))


# --- ECDSA ---


def both(ours: Any, theirs: Any, digest: bytes, v: int, r: int, s: int) -> tuple[str, str]:
    """What each recovers; an empty text where snekmate reverts."""
    found = str(ours.recover(digest, (v, r.to_bytes(32, "big"), s.to_bytes(32, "big"))))
    try:
        return found, str(theirs.recover(digest, v, r, s))
    except boa.BoaError:
        return found, ""


def test_signatures(ours: Any, theirs: Any) -> None:
    """Right ones, and with each part changed: the same key, or zero here and a revert there."""
    rng = random.Random("signatures")
    refused = 0
    for _ in range(CASES):
        key, digest = rng.randbytes(32), rng.randbytes(32)
        signature = typed_data.sign(key, digest)
        v, r, s = signature.v, int.from_bytes(signature.r, "big"), int.from_bytes(signature.s, "big")
        account = Account.from_key(key)
        assert both(ours, theirs, digest, v, r, s) == (account.address, account.address)
        plain = signature.r + signature.s + bytes([v])
        assert theirs.recover_bytes(digest, plain) == ours.recover(digest, astuple(signature))
        assert bytes(account.unsafe_sign_hash(digest).signature) == plain
        wrong = rng.choice(
            (
                (v, r, ORDER - s),
                (55 - v, r, ORDER - s),
                (55 - v, r, s),
                (v - 27, r, s),
                (29, r, s),
                (v, 0, s),
                (v, ORDER, s),
                (v, r, 0),
                (v, rng.getrandbits(256), s),
                (v, r, typed_data.HALF_ORDER),
                (v, r, typed_data.HALF_ORDER + 1),
            )
        )
        mine, others = both(ours, theirs, digest, *wrong)
        assert mine == (others or ZERO), wrong
        assert mine != account.address
        expected = typed_data.recover(digest, Signature(wrong[0], *(part.to_bytes(32, "big") for part in wrong[1:])))
        assert mine.lower() == "0x" + (expected or bytes(20)).hex()
        refused += mine == ZERO
    assert CASES // 2 < refused < CASES


def test_high_s_is_refused_by_both_from_the_same_bound_on(ours: Any, theirs: Any) -> None:
    digest, key = keccak256(b"digest"), keccak256(b"key")
    signature = typed_data.sign(key, digest)
    r, s = int.from_bytes(signature.r, "big"), int.from_bytes(signature.s, "big")
    twin = (digest, 55 - signature.v, r, ORDER - s)
    assert both(ours, theirs, *twin) == (ZERO, "")
    with boa.reverts("ecdsa: invalid signature `s` value"):
        theirs.recover(*twin)
    # The machine itself would take it: the twin is a valid signature of the same key.
    assert Account._recover_hash(digest, vrs=twin[1:]) == Account.from_key(key).address


# --- ERC-1271 ---


@pytest.mark.parametrize(
    "answer",
    [
        bytes.fromhex("1626ba7e").ljust(32, b"\0"),
        bytes.fromhex("1626ba7e").rjust(32, b"\0"),
        bytes.fromhex("1626ba7e"),
        b"\xff" * 32,
        bytes(32),
        b"",
    ],
)
def test_wallets(ours: Any, theirs: Any, answer: bytes) -> None:
    """The same answer is a yes for both, and no other is."""
    wallet = boa.load(str(CONTRACTS / "mocks" / "AnsweringWallet.vy"))
    wallet.set_answer(answer, False)
    accepted = theirs.wallet_accepts(wallet.address, bytes(32), b"\1" * 65)
    assert ours.wallet_accepts(wallet.address, bytes(32), b"\1" * 65) is accepted
    assert accepted is (answer == bytes.fromhex("1626ba7e").ljust(32, b"\0"))


# --- trees ---


def sorted_pair(left: bytes, right: bytes) -> bytes:
    """How snekmate hashes two nodes."""
    return keccak256(*sorted((left, right)))


def leaves(count: int) -> list[bytes]:
    return [merkle.hash_leaf(index.to_bytes(32, "big")) for index in range(count)]


@pytest.mark.parametrize("count", SIZES)
def test_paths(ours: Any, theirs: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The siblings of each leaf are the same in both; only the hash of two nodes is another."""
    tree = merkle.Tree(leaves(count))
    with monkeypatch.context() as patched:
        patched.setattr(merkle, "hash_node", sorted_pair)
        other = merkle.Tree(leaves(count))
    for index in {0, 1, count // 2, count - 2, count - 1} & set(range(count)):
        leaf, path, their_path = tree.leaf_hashes[index], list(tree.path(index)), list(other.path(index))
        assert theirs.verify(their_path, other.root, leaf)
        assert ours.verify(tree.root, count, index, leaf, path)
        assert len(path) == len(their_path)
        # Only where there is nothing to hash is a proof of one a proof of the other.
        assert theirs.verify(path, tree.root, leaf) is (count == 1)
        assert ours.verify(other.root, count, index, leaf, their_path) is (count == 1)


def test_what_their_proofs_leave_open(ours: Any, theirs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node passes for a leaf, and a leaf for any place; ours tell them apart by prefix, count and index."""
    with monkeypatch.context() as patched:
        patched.setattr(merkle, "hash_node", sorted_pair)
        other = merkle.Tree(leaves(4))
    node = sorted_pair(*leaves(4)[:2])
    assert theirs.verify(list(other.path(0))[1:], other.root, node)
    tree = merkle.Tree(leaves(4))
    inner = merkle.hash_node(*leaves(4)[:2])
    assert not any(ours.verify(tree.root, 4, place, inner, list(tree.path(0))[1:]) for place in range(4))
    verdicts = [ours.verify(tree.root, 4, place, leaves(4)[0], list(tree.path(0))) for place in range(4)]
    assert verdicts == [True, False, False, False]
