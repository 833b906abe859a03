"""What the gateway hands out to be signed is what is hashed: a second implementation comes to the same digest."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from api.typed_json import typed_data_json
from settlement import trade as objects
from settlement.typed_data import TYPE_STRINGS
from tests.settlement.builders import DOMAIN

SIGNED = sorted((kind for kind in TYPE_STRINGS if kind is not objects.Lock), key=lambda kind: kind.__name__)


def filled(kind: type, seed: int = 1) -> Any:
    """A value with something different in every field."""
    values = []
    for place, (field, hint) in enumerate(zip(fields(kind), get_type_hints(kind).values(), strict=True)):
        values.append(_value(field.name, hint, seed + place))
    return kind(*values)


def _value(name: str, hint: Any, seed: int) -> Any:
    if get_origin(hint) is tuple:
        return tuple(_value(name, get_args(hint)[0], seed + more) for more in range(2))
    if hint is bytes:
        return keccak(bytes([seed]))
    if hint is str:
        return "0x" + keccak(bytes([seed]))[:20].hex()
    if hint is int:
        # Beyond what a JSON number holds, where the type has room for it.
        return (1 << 60) + seed if name in ("rates", "amount", "keep") else seed
    return filled(hint, seed)


@pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.__name__)
def test_same_digest(kind: type) -> None:
    value = filled(kind)
    document = typed_data_json(DOMAIN, value)

    message = encode_typed_data(full_message=document)

    assert keccak(b"\x19" + message.version + message.header + message.body) == DOMAIN.digest(value)


def test_wallet_signs_what_the_contracts_take() -> None:
    from settlement.trade import Signature
    from settlement.typed_data import recover

    value = filled(objects.Withdrawal)
    signed = Account.sign_typed_data(b"\x07" * 32, full_message=typed_data_json(DOMAIN, value))

    signature = Signature(signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big"))
    recovered = recover(DOMAIN.digest(value), signature)
    assert recovered is not None
    assert "0x" + recovered.hex() == Account.from_key(b"\x07" * 32).address.lower()


def test_large_numbers_are_text() -> None:
    document = typed_data_json(DOMAIN, filled(objects.Withdrawal))

    assert document["message"]["amount"] == str((1 << 60) + 2)
    assert document["message"]["sequence"] == 3
    assert document["primaryType"] == "Withdrawal"
