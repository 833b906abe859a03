"""Beckn messages of our own: orders between utilities, and their signatures."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from tests.member.scene import scene_key, subscriber_of
from wire.beckn_signature import sign


def line(
    offer: str,
    kwh: float | str,
    price: float | str,
    start: str,
    end: str,
    buyer_meter: str = "der://meter/B-7",
    seller_meter: str = "der://Roofs.Example/S-3",
) -> dict[str, Any]:
    """A line of an order; at most 20 kWh were offered."""
    return {
        "beckn:orderItemAttributes": {"providerAttributes": {"meterId": buyer_meter}},
        "beckn:quantity": {"unitQuantity": kwh, "unitText": "kWh"},
        "beckn:acceptedOffer": {
            "beckn:id": offer,
            "beckn:offerAttributes": {
                "pricingModel": "PER_KWH",
                "sourceMeterId": seller_meter,
                "beckn:price": {"value": price, "currency": "USD", "unitText": "kWh"},
                "beckn:maxQuantity": {"unitQuantity": 20, "unitText": "kWh"},
                "beckn:timeWindow": {"schema:startTime": start, "schema:endTime": end},
            },
        },
    }


def order_message(
    action: str,
    lines: Sequence[dict[str, Any]],
    stamp: str,
    transaction: str = "t-1",
    bap: str = "buying.example",
    bpp: str = "selling.example",
) -> dict[str, Any]:
    """A message about an order between the utilities NORTH (the buyer's) and SOUTH."""
    return {
        "context": {
            "domain": "beckn.one:deg:p2p-trading-interdiscom:2.0.0",
            "action": action,
            "timestamp": stamp,
            "transaction_id": transaction,
            "bap_id": bap,
            "bpp_id": bpp,
        },
        "message": {
            "order": {
                "beckn:orderAttributes": {"utilityIdBuyer": "NORTH", "utilityIdSeller": "SOUTH"},
                "beckn:orderItems": list(lines),
            }
        },
    }


def raw(document: Any) -> bytes:
    """The bytes of a message."""
    return json.dumps(document).encode()


def signature(name: str, body: bytes, created: int | None = None, seconds: int = 30) -> str:
    """The `Authorization` header of a member of a scene for a body, from now on where nothing else is said."""
    created = int(time.time()) if created is None else created
    return sign(scene_key("beckn", name), subscriber_of(name), "key-1", body, created, created + seconds)
