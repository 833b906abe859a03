"""A platform's configuration: every member's, and the table `[platform]`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from member.config import MemberConfig, RelativePath, Table
from settlement.config import HOUR
from trading.orders import Lane


class Relay(StrEnum):
    """Who sends a platform's batches to the chain."""

    OWN = "own"
    GATEWAY = "gateway"


class PlatformTable(Table):
    """`[platform]`.

    `salt_secret` holds 32 bytes as hex that the salts of trades are made from. A batch is proposed `batch_before_gate`
    seconds before the last time at which all its trades can be committed. `relay` is `own` or `gateway`.

    Where `beckn_lane` is named, orders from Beckn messages are fetched from the gateway, whose word is taken for what
    this platform has confirmed; they take that lane, which both platforms of an order have to name.
    """

    salt_secret: RelativePath = Field(strict=False)
    batch_before_gate: int = Field(HOUR, ge=0)
    relay: Relay = Field(Relay.OWN, strict=False)
    beckn_lane: Lane | None = Field(None, strict=False)


class PlatformConfig(MemberConfig):
    """What a platform's daemon is told."""

    platform: PlatformTable

    @model_validator(mode="after")
    def _gateway_known(self) -> Self:
        if self.platform.relay is Relay.GATEWAY and self.gateway is None:
            raise ValueError("platform.relay is gateway, but there is no gateway")
        if self.platform.beckn_lane is not None and self.gateway is None:
            raise ValueError("platform.beckn_lane: there is no gateway to fetch orders from")
        return self

    def orders(self, lane: Lane) -> Path:
        """Where files with orders of a lane are put."""
        return self.inbox / "orders" / lane.value
