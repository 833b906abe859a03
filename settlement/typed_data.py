"""The EIP-712 objects that parties sign: type strings, struct hashes, digests, signatures.

The type strings below are the protocol's (`docs/protocol.md`); the encoder reads them, so that the text which is
published is the text that is hashed. Every digest binds chain, registry and market through the domain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import coincurve

from settlement import trade as objects
from settlement.hashing import Hash32, abi_encode, keccak256

_LOCK = "Lock(bytes32 payer,bytes32 payee,uint96 amount)"

TYPE_STRINGS: dict[type, str] = {
    objects.Trade: (
        "Trade(bytes32 tradeId,bytes32 template,bytes32 buyerPlatform,bytes32 sellerPlatform,bytes32 buyerUtility,"
        "bytes32 sellerUtility,bytes32 gridOperator,bytes32 marketAgent,bytes32 buyerMeter,bytes32 sellerMeter,"
        "uint64 slotStart,uint64 slotEnd,uint64 contractedWh,uint64 tradedAt,uint64 validUntil,uint256[] rates,"
        "bytes32 orderHash,bytes32 salt)"
    ),
    objects.Lock: _LOCK,
    objects.TradeLocks: f"TradeLocks(bytes32 tradeDigest,Lock[] locks){_LOCK}",
    objects.TradeBatch: (
        "TradeBatch(uint64 cycle,bytes32 platformA,bytes32 platformB,uint64 sequence,uint64 earliestSlot,"
        f"uint64 count,bytes32 root,Lock[] locks){_LOCK}"
    ),
    objects.Curtailment: "Curtailment(uint64 commitment,uint64 index,uint64 contractedWh,uint8 reason)",
    objects.Allocation: (
        "Allocation(uint64 cycle,uint32 run,uint32 attempt,bytes32 utility,bytes32 root,uint64 count,"
        "bytes32 configDigest)"
    ),
    objects.Row: (
        "Row(uint64 cycle,uint32 run,uint32 version,bytes32 payer,bytes32 payee,uint96 amount,uint64 count,"
        "bytes32 root,uint96 keep,bytes32 inputs)"
    ),
    objects.RowAttestation: "RowAttestation(bytes32 rowDigest)",
    objects.Withdrawal: "Withdrawal(bytes32 member,uint96 amount,uint64 sequence)",
    objects.PaymentNotice: (
        "PaymentNotice(bytes32 debtor,bytes32 creditor,uint64[] obligations,uint96 amount,bytes32 rail,"
        "uint64 valueDate,bytes32 referenceHash)"
    ),
    objects.Acknowledgement: (
        "Acknowledgement(bytes32 creditor,bytes32 debtor,bytes32 referenceHash,uint96 acknowledged)"
    ),
    objects.BankAttestation: ("BankAttestation(bytes32 creditor,bytes32 debtor,bytes32 referenceHash,uint96 attested)"),
    objects.Denial: "Denial(bytes32 creditor,bytes32 debtor,bytes32 referenceHash)",
    objects.NoticeRuling: "NoticeRuling(bytes32 creditor,bytes32 debtor,bytes32 referenceHash,uint96 arrived)",
    objects.EscrowPayment: (
        "EscrowPayment(bytes32 debtor,bytes32 creditor,uint64[] obligations,uint96 amount,uint64 sequence)"
    ),
    objects.HotKeyChange: "HotKeyChange(bytes32 member,address key,uint64 sequence)",
    objects.PayoutChange: "PayoutChange(bytes32 member,address payout,uint64 sequence)",
    objects.KeyCompromised: "KeyCompromised(bytes32 member,address key,uint64 sequence)",
    objects.Demand: "Demand(uint64 cycle,uint32 run,bytes32 member,bytes32 tradeDigest,uint8 side)",
    objects.Contest: (
        "Contest(uint64 cycle,uint32 run,bytes32 member,bytes32 tradeDigest,uint8 side,bytes32 evidence)"
    ),
    objects.FigureAgreement: "FigureAgreement(uint64 cycle,bytes32 tradeDigest,uint8 side,uint64 wh)",
    objects.Ruling: "Ruling(uint64 cycle,bytes32 tradeDigest,uint8 side,uint64 wh)",
    objects.RowDemand: "RowDemand(bytes32 rowDigest,uint64 index,bytes32 member)",
    objects.MissingLeaf: "MissingLeaf(bytes32 rowDigest,bytes32 tradeDigest,uint8 flow)",
    objects.Statement: ("Statement(bytes32 member,bytes32 counterparty,bytes32 subject,uint32 period,bytes32 digest)"),
    objects.CouncilAct: "CouncilAct(address target,bytes data,uint64 sequence)",
    objects.CouncilCancel: "CouncilCancel(bytes32 act)",
}

DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
DOMAIN_NAME = "Clearwatt"
DOMAIN_VERSION = "1"

# Half the order of secp256k1: a signature with a larger s has a twin and is refused (EIP-2).
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


@dataclass(frozen=True, slots=True)
class _Encoder:
    type_hash: Hash32
    members: tuple[tuple[str, str], ...]  # (attribute, EIP-712 type), in order


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda m: "_" + m.group(1).lower(), name)


def _read(kind: type, text: str) -> _Encoder:
    inside = text[text.index("(") + 1 : text.index(")")]
    members = tuple((_snake(name), type_) for type_, name in (part.split(" ") for part in inside.split(",")))
    if tuple(name for name, _ in members) != tuple(field.name for field in fields(kind)):
        raise TypeError(f"{kind.__name__}: fields differ from its type string")
    return _Encoder(keccak256(text.encode()), members)


_ENCODERS = {kind: _read(kind, text) for kind, text in TYPE_STRINGS.items()}


def _word(type_: str, value: Any) -> bytes:
    if type_ == "bytes32":
        if len(value) != 32:
            raise ValueError(f"bytes32 of {len(value)} bytes")
        return bytes(value)
    if type_.startswith("uint") and not type_.endswith("[]"):
        if not 0 <= value < 1 << int(type_[4:]):
            raise ValueError(f"{value} does not fit {type_}")
        return int(value).to_bytes(32, "big")
    if type_ == "bytes":
        return keccak256(value)
    if type_ == "address":
        return abi_encode(("address",), (value,))
    if type_.endswith("[]"):
        return keccak256(*(_word(type_[:-2], item) for item in value))
    return struct_hash(value)


def type_hash(kind: type) -> Hash32:
    """The EIP-712 type hash of a signed class."""
    return _ENCODERS[kind].type_hash


def struct_hash(value: object) -> Hash32:
    """`hashStruct` of EIP-712. Raises ValueError where a value does not fit its type."""
    encoder = _ENCODERS[type(value)]
    return keccak256(encoder.type_hash, *(_word(type_, getattr(value, name)) for name, type_ in encoder.members))


@dataclass(frozen=True)
class Domain:
    """The market that a signature is for.

    `registry` is the MemberRegistry's address (0x text), `market_id` as in `settlement.identity.market_id`.
    """

    chain_id: int
    registry: str
    market_id: Hash32

    @cached_property
    def separator(self) -> Hash32:
        """The EIP-712 domain separator."""
        return keccak256(
            abi_encode(
                ("bytes32", "bytes32", "bytes32", "uint256", "address", "bytes32"),
                (
                    keccak256(DOMAIN_TYPE.encode()),
                    keccak256(DOMAIN_NAME.encode()),
                    keccak256(DOMAIN_VERSION.encode()),
                    self.chain_id,
                    self.registry,
                    self.market_id,
                ),
            )
        )

    def digest(self, value: object) -> Hash32:
        """What is signed: `keccak256(0x1901 ‖ separator ‖ structHash)`."""
        return keccak256(b"\x19\x01", self.separator, struct_hash(value))


def sign(key: bytes, digest: Hash32) -> objects.Signature:
    """A low-s, deterministic (RFC 6979) signature of a 32-byte digest by a 32-byte private key."""
    raw = coincurve.PrivateKey(key).sign_recoverable(digest, hasher=None)
    return objects.Signature(27 + raw[64], raw[:32], raw[32:64])


def address_of(key: bytes) -> bytes:
    """The 20-byte address of a private key."""
    return keccak256(coincurve.PrivateKey(key).public_key.format(compressed=False)[1:])[12:]


def recover(digest: Hash32, signature: objects.Signature) -> bytes | None:
    """The 20-byte address that signed, or None where the signature is malformed (high s, v not 27 or 28)."""
    if signature.v not in (27, 28) or int.from_bytes(signature.s, "big") > HALF_ORDER:
        return None
    try:
        raw = signature.r + signature.s + bytes([signature.v - 27])
        public = coincurve.PublicKey.from_signature_and_message(raw, digest, hasher=None)
    except Exception:  # coincurve raises bare Exception where r or s is no point
        return None
    return keccak256(public.format(compressed=False)[1:])[12:]
