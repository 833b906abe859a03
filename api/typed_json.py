"""What a wallet is handed to sign: EIP-712 typed data as JSON, made from the type strings that are hashed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from settlement.canonical_json import MAX_INTEGER
from settlement.hashing import Hash32
from settlement.typed_data import DOMAIN_NAME, DOMAIN_TYPE, DOMAIN_VERSION, TYPE_STRINGS, Domain

Types = dict[str, list[dict[str, str]]]


@dataclass(frozen=True, slots=True)
class ToSign:
    """One signature that is missing: whose, of what, and the digest that it is over."""

    member: Hash32
    value: object
    digest: Hash32

    def document(self, domain: Domain) -> dict[str, Any]:
        """As the gateway says it; `typed_data` is what `eth_signTypedData_v4` takes."""
        return {
            "member": "0x" + self.member.hex(),
            "digest": "0x" + self.digest.hex(),
            "typed_data": typed_data_json(domain, self.value),
        }


def typed_data_json(domain: Domain, value: object) -> dict[str, Any]:
    """The typed data of a value that parties sign: domain, types, primary type, message.

    Bytes are 0x and hex; an integer beyond 2^53 − 1 is decimal text, because a JSON number is a double to most readers.
    """
    text = TYPE_STRINGS[type(value)]
    types = {**_types(DOMAIN_TYPE), **_types(text)}
    primary = text.partition("(")[0]
    return {
        "types": types,
        "primaryType": primary,
        "domain": {
            "name": DOMAIN_NAME,
            "version": DOMAIN_VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": domain.registry,
            "salt": "0x" + domain.market_id.hex(),
        },
        "message": _message(types, primary, value),
    }


def _types(text: str) -> Types:
    """The types in `Name(type name,…)Other(…)`."""
    found: Types = {}
    for part in filter(None, text.split(")")):
        name, _, members = part.partition("(")
        pairs = (member.split(" ") for member in members.split(","))
        found[name] = [{"name": member, "type": kind} for kind, member in pairs]
    return found


def _message(types: Types, kind: str, value: Any) -> dict[str, Any]:
    # Python's fields stand in the type's order: `settlement.typed_data` refuses to load where they do not.
    values = [getattr(value, field.name) for field in fields(value)]
    return {
        member["name"]: _value(types, member["type"], item) for member, item in zip(types[kind], values, strict=True)
    }


def _value(types: Types, kind: str, value: Any) -> Any:
    if kind.endswith("[]"):
        return [_value(types, kind[:-2], item) for item in value]
    if kind in types:
        return _message(types, kind, value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, int) and value > MAX_INTEGER:
        return str(value)
    return value
