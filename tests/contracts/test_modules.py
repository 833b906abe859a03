"""The modules that every contract shares, through ModuleProbe, against the Python rules."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import astuple, fields
from typing import Any

import boa  # type: ignore[import-untyped]
import coincurve
import pytest
from eth_account.messages import encode_typed_data
from eth_utils import to_checksum_address

from settlement import merkle, typed_data
from settlement import trade as objects
from settlement.hashing import abi_encode, keccak256
from tests.contracts.market import CONTRACTS

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
CHUNK = 128
CHUNK_HEIGHT = 7
CASES = 1_000
MAGIC = bytes.fromhex("1626ba7e")
ZERO = "0x" + "00" * 20

# Two powers around each size at which the shape of a tree changes, and sizes in between.
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 128, 129, 200, 255, 256, 257, 300]


@pytest.fixture(scope="module")
def probe() -> Any:
    return boa.load(str(CONTRACTS / "mocks" / "ModuleProbe.vy"))


def leaves(count: int) -> list[bytes]:
    return [merkle.hash_leaf(index.to_bytes(32, "big")) for index in range(count)]


# --- merkle ---


@pytest.mark.parametrize("count", SIZES)
def test_every_path_verifies_at_its_place_alone(probe: Any, count: int) -> None:
    tree = merkle.Tree(leaves(count))
    indices = range(count) if count <= 17 else sorted({0, 1, count // 2, count - 2, count - 1})
    for index in indices:
        leaf, path = tree.leaf_hashes[index], list(tree.path(index))
        assert probe.verify(tree.root, count, index, leaf, path)
        for other in {index - 1, index + 1, index ^ 1, count, count + index} - {index, -1}:
            expected = merkle.verify(tree.root, count, other, leaf, path)
            assert probe.verify(tree.root, count, other, leaf, path) is expected is False
        for other in {count - 1, count + 1, 2 * count}:
            # Where the node's way to the top is the same in both sizes, the path cannot tell them: signed is the pair.
            assert probe.verify(tree.root, other, index, leaf, path) is merkle.verify(
                tree.root, other, index, leaf, path
            )
        assert not probe.verify(tree.root, count, index, keccak256(leaf), path)
        assert not probe.verify(keccak256(tree.root), count, index, leaf, path)
        assert not probe.verify(tree.root, count, index, leaf, [*path, bytes(32)])
        for level in range(len(path)):
            wrong = [*path[:level], keccak256(path[level]), *path[level + 1 :]]
            assert not probe.verify(tree.root, count, index, leaf, wrong)
            assert not probe.verify(tree.root, count, index, leaf, path[:level] + path[level + 1 :])


def test_the_empty_tree_has_no_leaf(probe: Any) -> None:
    assert keccak256(b"") == merkle.EMPTY_ROOT
    assert not probe.verify(merkle.EMPTY_ROOT, 0, 0, merkle.EMPTY_ROOT, [])
    assert not probe.verify(merkle.EMPTY_ROOT, 0, 0, keccak256(b"\x00"), [])


def test_a_size_with_another_way_to_the_top_is_refused(probe: Any) -> None:
    tree = merkle.Tree(leaves(5))
    assert probe.verify(tree.root, 5, 4, tree.leaf_hashes[4], list(tree.path(4)))
    for count in (1, 2, 3, 4, 6, 7, 8, 9, 16):
        assert not probe.verify(tree.root, count, 4, tree.leaf_hashes[4], list(tree.path(4)))


def test_an_inner_node_is_no_leaf(probe: Any) -> None:
    tree = merkle.Tree(leaves(8))
    left, right = merkle.root(leaves(8)[:4]), merkle.root(leaves(8)[4:])
    # The root's children make a tree of two "leaves" with this root; under its true count no path leads there.
    assert probe.verify(tree.root, 2, 0, left, [right])
    for index in range(8):
        assert not probe.verify(tree.root, 8, index, left, [right])


@pytest.mark.parametrize("count", [*range(1, 18), 31, 32, 33, 63, 64, 65, 100, 126, 127, 128])
def test_chunk_root_is_the_tree_s(probe: Any, count: int) -> None:
    assert probe.chunk_root(leaves(count)) == merkle.root(leaves(count))


@pytest.mark.parametrize("count", [1, 2, 3, 127, 128, 129, 255, 256, 257, 300, 384, 385])
def test_aligned_chunks_verify_and_nothing_else(probe: Any, count: int) -> None:
    whole = leaves(count)
    tree = merkle.Tree(whole)
    for number in range(merkle.chunk_count(count, CHUNK_HEIGHT)):
        first = number * CHUNK
        inside = whole[first : first + CHUNK]
        chunk_root, path = tree.chunk(CHUNK_HEIGHT, number)
        assert merkle.verify_chunk(tree.root, count, CHUNK_HEIGHT, number, chunk_root, path)
        assert probe.verify_chunk(tree.root, count, first, inside, list(path))
        for wrong_first in (first + 1, first + CHUNK, (count // CHUNK + 1) * CHUNK):
            assert not probe.verify_chunk(tree.root, count, wrong_first, inside, list(path))
        assert not probe.verify_chunk(tree.root, count, first, inside[:-1], list(path))
        assert not probe.verify_chunk(tree.root, count, first, [*inside[:-1], bytes(32)], list(path))
        assert not probe.verify_chunk(tree.root, count, first, inside, [*path, bytes(32)])
        if len(inside) < CHUNK:
            assert not probe.verify_chunk(tree.root, count, first, [*inside, inside[-1]], list(path))


def test_an_empty_tree_has_no_chunk(probe: Any) -> None:
    assert not probe.verify_chunk(merkle.EMPTY_ROOT, 0, 0, [], [])


# --- typed data ---

_SIZES = {
    "contracted_wh": 64,
    "amount": 96,
    "acknowledged": 96,
    "attested": 96,
    "arrived": 96,
    "keep": 96,
    "reason": 8,
    "side": 8,
    "flow": 8,
}
_SMALL = {"run": 32, "attempt": 32, "version": 32, "period": 32}
_LISTS: dict[str, tuple[int, Callable[[random.Random], Any]]] = {
    "rates": (8, lambda rng: _integer(rng, 256)),
    "obligations": (16, lambda rng: _integer(rng, 64)),
    "locks": (16, lambda rng: objects.Lock(rng.randbytes(32), rng.randbytes(32), _integer(rng, 96))),
}


def _integer(rng: random.Random, bits: int) -> int:
    """Any integer of the type; often at its bounds."""
    return rng.choice((0, 1, (1 << bits) - 1, rng.getrandbits(bits), rng.getrandbits(rng.randint(1, bits))))


def _value(rng: random.Random, name: str, type_: str) -> Any:
    if name in _LISTS:
        most, make = _LISTS[name]
        return tuple(make(rng) for _ in range(rng.choice((0, 1, 2, most, rng.randint(0, most)))))
    if type_ == "bytes":
        return rng.choice((bytes(32), b"\xff" * 32, rng.randbytes(32)))
    if name == "data":
        return rng.randbytes(rng.randrange(2049))
    if name in ("key", "payout", "target"):
        return to_checksum_address(rng.randbytes(20))
    return _integer(rng, {**_SIZES, **_SMALL}.get(name, 64))


def generated(rng: random.Random, kind: type) -> Any:
    """Any value of a signed class."""
    return kind(*(_value(rng, field.name, str(field.type).replace("Hash32", "bytes")) for field in fields(kind)))


# Struct classes that the probe takes as a struct; the others' fields are its arguments.
STRUCTS: dict[type, str] = {
    objects.Trade: "hash_trade",
    objects.TradeBatch: "hash_trade_batch",
    objects.Curtailment: "hash_curtailment",
    objects.Allocation: "hash_allocation",
    objects.Row: "hash_row",
    objects.Withdrawal: "hash_withdrawal",
    objects.PaymentNotice: "hash_payment_notice",
    objects.Acknowledgement: "hash_acknowledgement",
    objects.BankAttestation: "hash_bank_attestation",
    objects.Denial: "hash_denial",
    objects.NoticeRuling: "hash_notice_ruling",
    objects.EscrowPayment: "hash_escrow_payment",
    objects.Demand: "hash_demand",
    objects.Contest: "hash_contest",
    objects.FigureAgreement: "hash_figure_agreement",
    objects.Ruling: "hash_ruling",
    objects.RowDemand: "hash_row_demand",
    objects.MissingLeaf: "hash_missing_leaf",
    objects.Statement: "hash_statement",
}
FLAT: dict[type, str] = {
    objects.TradeLocks: "hash_trade_locks",
    objects.RowAttestation: "hash_row_attestation",
    objects.HotKeyChange: "hash_hot_key_change",
    objects.PayoutChange: "hash_payout_change",
    objects.KeyCompromised: "hash_key_compromised",
    objects.CouncilAct: "hash_council_act",
    objects.CouncilCancel: "hash_council_cancel",
}
SIGNED = {**STRUCTS, **FLAT}


def test_every_signed_type_is_probed() -> None:
    assert set(SIGNED) == set(typed_data.TYPE_STRINGS) - {objects.Lock}


@pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.__name__)
def test_struct_hash_is_that_of_python(probe: Any, kind: type) -> None:
    rng = random.Random(kind.__name__)
    hash_of = getattr(probe, SIGNED[kind])
    for _ in range(CASES):
        value = generated(rng, kind)
        arguments = (astuple(value),) if kind in STRUCTS else astuple(value)
        assert hash_of(*arguments) == typed_data.struct_hash(value), value


DOMAIN = typed_data.Domain(1337, to_checksum_address("0x" + "5a" * 20), keccak256(b"market"))


def message(value: Any) -> dict[str, Any]:
    """A value as an EIP-712 message, in the names of its type string."""
    text = typed_data.TYPE_STRINGS[type(value)]
    names = [part.split(" ")[1] for part in text[text.index("(") + 1 : text.index(")")].split(",")]
    plain = {}
    for name, field in zip(names, fields(value), strict=True):
        given = getattr(value, field.name)
        if isinstance(given, tuple):
            given = [message(item) if name == "locks" else item for item in given]
        plain[name] = given
    return plain


def types_of(kind: type) -> dict[str, list[dict[str, str]]]:
    """The types of a signed class, parsed from its type string."""
    types = {}
    for part in typed_data.TYPE_STRINGS[kind].split(")")[:-1]:
        name, inside = part.split("(")
        types[name] = [dict(zip(("type", "name"), member.split(" "), strict=True)) for member in inside.split(",")]
    return types


@pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.__name__)
def test_digest_is_that_of_eth_account(probe: Any, kind: type) -> None:
    rng = random.Random(f"{kind.__name__} of eth_account")
    domain = {
        "name": typed_data.DOMAIN_NAME,
        "version": typed_data.DOMAIN_VERSION,
        "chainId": DOMAIN.chain_id,
        "verifyingContract": DOMAIN.registry,
        "salt": DOMAIN.market_id,
    }
    for _ in range(5):
        value = generated(rng, kind)
        signable = encode_typed_data(domain_data=domain, message_types=types_of(kind), message_data=message(value))
        digest = keccak256(b"\x19" + signable.version + signable.header + signable.body)
        assert probe.digest(DOMAIN.separator, typed_data.struct_hash(value)) == digest == DOMAIN.digest(value)


# --- leaves and records ---


def test_preimages_are_the_abi_encodings_of_the_protocol(probe: Any) -> None:
    rng = random.Random("preimages")
    leaf_types = "bytes32,uint64,uint64,uint8,bytes32,uint64,uint64,uint64,uint64,uint64,uint8,uint64,bytes32"
    flow_types = "bytes32,uint8,uint64,uint96,bytes32"
    record_types = "uint64,bytes32,bytes32,uint64,uint64,uint64,bytes32,uint64"

    def words(types: str) -> tuple[Any, ...]:
        return tuple(
            rng.randbytes(32) if type_ == "bytes32" else _integer(rng, int(type_[4:])) for type_ in types.split(",")
        )

    def hashed(types: str, values: tuple[Any, ...], prefix: bytes = b"") -> bytes:
        return keccak256(prefix, abi_encode(types.split(","), values))

    for _ in range(100):
        digest = rng.randbytes(32)
        assert probe.trade_leaf(digest) == merkle.hash_leaf(digest)
        leaf = words(leaf_types)
        assert probe.allocation_leaf(leaf) == hashed(leaf_types, leaf, b"\x00")
        flow = words(flow_types)
        assert probe.flow_leaf(flow) == hashed(flow_types, flow, b"\x00")
        record = words(record_types)
        assert probe.commitment(record) == hashed(record_types, record)
        for name, types in (
            ("allocation_salt", "bytes32,uint64,uint8"),
            ("flow_salt", "bytes32,uint64,uint8"),
            ("registered", "uint64,bytes32"),
            ("tree", "bytes32,uint64"),
            ("group", "bytes32,bytes32,uint64,uint8"),
            ("side", "bytes32,uint8"),
        ):
            values = words(types)
            assert getattr(probe, name)(*values) == hashed(types, values)


# --- recover ---


def test_recover_finds_the_signer(probe: Any) -> None:
    rng = random.Random("recover")
    for _ in range(200):
        key, digest = rng.randbytes(32), rng.randbytes(32)
        signature = typed_data.sign(key, digest)
        found = probe.recover(digest, astuple(signature))
        assert found == to_checksum_address(typed_data.address_of(key))
        assert typed_data.recover(digest, signature) == typed_data.address_of(key)
        r, s = int.from_bytes(signature.r, "big"), int.from_bytes(signature.s, "big")
        twin = objects.Signature(55 - signature.v, signature.r, (ORDER - s).to_bytes(32, "big"))
        assert probe.recover(digest, astuple(twin)) == ZERO
        assert typed_data.recover(digest, twin) is None
        for v in (0, 1, 26, 29, 255):
            other = objects.Signature(v, signature.r, signature.s)
            assert probe.recover(digest, astuple(other)) == ZERO
            assert typed_data.recover(digest, other) is None
        for wrong in (
            objects.Signature(55 - signature.v, signature.r, signature.s),
            objects.Signature(signature.v, (r ^ 1).to_bytes(32, "big"), signature.s),
            objects.Signature(signature.v, signature.r, (s ^ 1).to_bytes(32, "big")),
        ):
            assert probe.recover(digest, astuple(wrong)) != found
            ours = typed_data.recover(digest, wrong)
            assert probe.recover(digest, astuple(wrong)) == (ZERO if ours is None else to_checksum_address(ours))
        assert probe.recover(keccak256(digest), astuple(signature)) != found


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 1), (1, 0), (0, 0), (ORDER, 1), (2**256 - 1, 1), (5, 1)],  # 5: no point of the curve has it as abscissa
)
def test_recover_of_what_no_key_signed_is_zero(probe: Any, r: int, s: int) -> None:
    for v in (27, 28):
        signature = objects.Signature(v, r.to_bytes(32, "big"), s.to_bytes(32, "big"))
        assert probe.recover(keccak256(b""), astuple(signature)) == ZERO
        assert typed_data.recover(keccak256(b""), signature) is None


def test_s_of_half_the_order_is_low_one_more_is_high(probe: Any) -> None:
    half = typed_data.HALF_ORDER
    assert half == ORDER // 2
    r = coincurve.PrivateKey(b"\x01" * 32).public_key.format(compressed=True)[1:]
    digest = keccak256(b"edge")
    low = objects.Signature(27, r, half.to_bytes(32, "big"))
    recovered = typed_data.recover(digest, low)
    assert recovered is not None
    assert probe.recover(digest, astuple(low)) == to_checksum_address(recovered)
    high = objects.Signature(27, r, (half + 1).to_bytes(32, "big"))
    assert typed_data.recover(digest, high) is None
    assert probe.recover(digest, astuple(high)) == ZERO


# --- ERC-1271 ---


def wallet(answer: bytes, reverts: bool = False) -> str:
    contract = boa.load(str(CONTRACTS / "mocks" / "AnsweringWallet.vy"))
    contract.set_answer(answer, reverts)
    return str(contract.address)


@pytest.mark.parametrize(
    ("answer", "reverts", "accepted"),
    [
        (MAGIC.ljust(32, b"\0"), False, True),
        (MAGIC.ljust(64, b"\0"), False, True),  # what follows the first word is not read
        (MAGIC.ljust(32, b"\0"), True, False),
        (b"\xff\xff\xff\xff".ljust(32, b"\0"), False, False),
        (MAGIC, False, False),
        (MAGIC.ljust(31, b"\0"), False, False),
        (MAGIC + bytes(27) + b"\x01", False, False),
        (MAGIC.rjust(32, b"\0"), False, False),
        (b"", False, False),
    ],
    ids=["accepts", "long", "reverts", "refuses", "four bytes", "short", "dirty", "shifted", "silent"],
)
def test_only_the_magic_word_is_a_yes(probe: Any, answer: bytes, reverts: bool, accepted: bool) -> None:
    assert probe.wallet_accepts(wallet(answer, reverts), keccak256(b"digest"), b"signature") is accepted


def test_an_account_without_code_signs_nothing_as_a_wallet(probe: Any) -> None:
    assert probe.wallet_accepts(boa.env.generate_address(), keccak256(b"digest"), b"") is False
    assert probe.wallet_accepts(ZERO, keccak256(b"digest"), b"") is False


def test_a_wallet_is_asked_for_digest_and_signature(probe: Any) -> None:
    key, digest = b"\x07" * 32, keccak256(b"digest")
    owner = to_checksum_address(typed_data.address_of(key))
    contract = boa.load(str(CONTRACTS / "mocks" / "OwnerWallet.vy"), owner).address
    signature = typed_data.sign(key, digest)
    raw = signature.r + signature.s + bytes([signature.v])
    assert probe.wallet_accepts(contract, digest, raw) is True
    assert probe.wallet_accepts(contract, keccak256(digest), raw) is False
    assert probe.wallet_accepts(contract, digest, raw[:-1]) is False
    assert probe.wallet_accepts(contract, digest, bytes(1024)) is False


def test_a_wallet_burns_no_more_than_its_stipend(probe: Any) -> None:
    contract = boa.load(str(CONTRACTS / "mocks" / "GasBurningWallet.vy")).address
    assert probe.wallet_accepts(contract, keccak256(b"digest"), b"") is False
    assert 300_000 < probe._computation.get_gas_used() < 320_000
