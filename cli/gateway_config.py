"""A gateway's configuration: one TOML file, read as strictly as a member's; secrets stand in files of their own."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from api.access import Scope
from api.beckn import BecknSettings
from api.settings import Auditor, GatewaySettings, Rate
from member.config import (
    ChainTable,
    ConfigFile,
    DatabaseUrl,
    HttpUrl,
    Listen,
    MarketTable,
    RelativePath,
    Subscriber,
    Table,
)
from settlement.errors import SettlementError
from settlement.formula.compiler import FLAT_SUFFIX
from settlement.formula.templates import Role
from settlement.identity import member_id
from settlement.units import flat_rate, rate_per_kwh


class GatewayKeysTable(Table):
    """`[keys]`: files with the relaying account's key and, where it is another, the one that signs the feed's head."""

    relayer: RelativePath = Field(strict=False)
    relayer_password: RelativePath | None = Field(None, strict=False)
    signing: RelativePath | None = Field(None, strict=False)
    signing_password: RelativePath | None = Field(None, strict=False)


class RateTable(Table):
    """One of `[rates]`: a bucket of `burst` requests that fills up again within `seconds`."""

    burst: int = Field(ge=1, le=1_000_000)
    seconds: int = Field(60, ge=1, le=86_400)


class AuditorTable(Table):
    """One of `[[auditors]]`: who reads with an API key, of which only the SHA-256 stands here.

    It sees what the `members` that engaged it see, as far as `scopes` reach, until the end of the day `until` (UTC).
    """

    name: str = Field(pattern="^[a-z0-9-]{1,40}$")
    key_sha256: str = Field(pattern="^[0-9a-f]{64}$", repr=False)
    members: tuple[Subscriber, ...] = Field(strict=False)
    scopes: tuple[Scope, ...] = Field(strict=False)
    until: date


class BecknTable(MarketTable):
    """`[beckn]`: the gateway takes Beckn messages, and this is what the market says where they are silent.

    `template` is the title of the template that governs their trades; `rates` are its rates besides the price, decimal
    text in main units of the currency, per kWh; `utilities` are subscriber ids by the names that messages have for
    them.
    """

    template: str
    rates: dict[str, str] = Field(default_factory=dict)
    grid_operator: Literal["buyer_utility", "seller_utility"] | None = None
    utilities: dict[str, Subscriber]

    @model_validator(mode="after")
    def _read_rates(self) -> Self:
        for name in self.rates:
            try:
                self._rate(name)
            except SettlementError as error:
                raise ValueError(f"rates.{name}: {error.message}") from None
        return self

    @property
    def settings(self) -> BecknSettings:
        """What the adapter takes."""
        return BecknSettings(
            zone=ZoneInfo(self.zone),
            template=self.template,
            rates={name: self._rate(name) for name in self.rates},
            grid_operator=None if self.grid_operator is None else Role[self.grid_operator.upper()],
            utilities=self.utilities,
        )

    def _rate(self, name: str) -> int:
        text = self.rates[name]
        return flat_rate(text) if name.endswith(FLAT_SUFFIX) else rate_per_kwh(text)


class GatewayConfig(ConfigFile):
    """What a gateway is told.

    `public_url` is where callers reach it, where that is not `listen` itself; `admin` is where health and metrics are
    served to operators. `rates` are by class: read, write, proof, anonymous. Without `beckn` no Beckn message is taken.
    """

    chain: ChainTable
    deployment: RelativePath = Field(strict=False)
    database: DatabaseUrl = Field(repr=False)  # may carry a password
    keys: GatewayKeysTable
    listen: Listen = "127.0.0.1:0"
    admin: Listen = "127.0.0.1:0"
    public_url: HttpUrl | None = None
    poll_ms: int = Field(1_000, ge=10, le=3_600_000)
    rates: dict[str, RateTable] = Field(default_factory=dict)
    auditors: tuple[AuditorTable, ...] = Field((), strict=False)
    beckn: BecknTable | None = None
    max_body: int = Field(16 * 1024 * 1024, ge=1_024)
    stale_lag: int = Field(32, ge=0)
    head_age: int = Field(120, ge=1)

    @model_validator(mode="after")
    def _known_rates(self) -> Self:
        known = GatewaySettings("", "", "").rates
        for name in self.rates:
            if name not in known:
                raise ValueError(f"rates.{name}: must be one of {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.listen.startswith(("0.0.0.0:", "[::]:")) and self.public_url is None:
            raise ValueError("public_url: must say where others reach the gateway, which listens at every address")
        return self

    def settings(self, url: str) -> GatewaySettings:
        """What the gateway takes; `url` is where it listens."""
        defaults = GatewaySettings("", "", "").rates
        given = {name: Rate(one.burst, one.seconds) for name, one in self.rates.items()}
        return GatewaySettings(
            rpc_url=self.chain.rpc_url,
            finality=self.chain.finality,
            public_url=self.public_url or url,
            poll_seconds=self.poll_ms / 1_000,
            auditors=tuple(map(_auditor, self.auditors)),
            rates={**defaults, **given},
            max_body=self.max_body,
            stale_lag=self.stale_lag,
            head_age=self.head_age,
        )

    @property
    def signing_key(self) -> tuple[Path, Path | None]:
        """The file of the key that signs the feed's head, and its password's."""
        if self.keys.signing is None:
            return self.keys.relayer, self.keys.relayer_password
        return self.keys.signing, self.keys.signing_password


def _auditor(one: AuditorTable) -> Auditor:
    end = datetime.combine(one.until + timedelta(days=1), time(), ZoneInfo("UTC"))
    return Auditor(
        name=one.name,
        key_hash=bytes.fromhex(one.key_sha256),
        members=frozenset(member_id(member) for member in one.members),
        scopes=frozenset(str(scope) for scope in one.scopes),
        until=int(end.timestamp()),
    )
