"""A member's configuration: one TOML file, and secrets in files of their own. Every refusal names file and key.

Utilities and platforms extend `MemberConfig` by a table of their own. Relative paths count from the file's folder.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from chain.finality import Finality
from member.errors import ConfigError
from settlement.config import HOUR
from settlement.errors import SettlementError
from settlement.hashing import Hash32
from settlement.identity import member_id

_LISTEN: Final = re.compile(r"(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", re.ASCII)


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


def _subscriber(text: str) -> str:
    try:
        member_id(text)
    except SettlementError as error:
        raise ValueError(error.message) from None
    return text.lower()


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a URL as in https://host:port")
    if parts.username or parts.password:
        raise ValueError("must not carry a user or password")
    return text.rstrip("/")


def _node_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("must be the address of a node, as in http://host:port")
    return text


def _database_url(text: str, info: ValidationInfo) -> str:
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("must be a URL as in sqlite:///file or postgresql://user@host/name") from None
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise ValueError("must be SQLite or PostgreSQL")
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ValueError("must name a file: what a member knows has to outlive it")
        url = url.set(database=str(_from_folder(Path(url.database), info)))
    return url.render_as_string(hide_password=False)


def _listen(text: str) -> str:
    match = _LISTEN.fullmatch(text)
    if match is None or int(match[3]) > 65_535:
        raise ValueError("must be host:port, as in 127.0.0.1:8100; port 0 takes a free one")
    return text


def _finality(text: str) -> str:
    Finality.parse(text)
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("there is no such time zone") from None
    return text


RelativePath = Annotated[Path, Strict(False), AfterValidator(_from_folder)]
"""A path that counts from the configuration file's folder."""

Subscriber = Annotated[str, AfterValidator(_subscriber)]
"""A subscriber id, in lower case."""

HttpUrl = Annotated[str, AfterValidator(_http_url)]
"""Where a program is reached, without a slash at its end."""

DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
"""Where a database is; a SQLite file's path counts from the configuration file's folder."""

Listen = Annotated[str, AfterValidator(_listen)]
"""Where to listen, `host:port`."""


def address_of(listen: str) -> tuple[str, int]:
    """Host and port of a `Listen`; port 0 takes a free one."""
    match = _LISTEN.fullmatch(listen)
    assert match is not None, "was checked"  # noqa: S101
    return match[1] or match[2], int(match[3])


class Table(BaseModel):
    """A table of the file: nothing in it that is not known, nothing changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ConfigFile(Table):
    """The whole of a file."""

    @classmethod
    def load(cls, file: Path) -> Self:
        """The configuration in a file. Raises ConfigError, naming the file and every key that does not fit."""
        try:
            with file.open("rb") as stream:
                found = tomllib.load(stream)
        except FileNotFoundError:
            raise ConfigError(file, "", "there is no such file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(file, "", f"cannot be read: {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(file, "", f"is no TOML: {error}") from None
        try:
            return cls.model_validate(found, context={"folder": file.absolute().parent})
        except ValidationError as error:
            # `from None`: pydantic's own text may quote the values.
            first, *others = [(_key(one["loc"]), _sentence(one)) for one in error.errors(include_url=False)]
            more = "".join(f"; {key}: {text}" for key, text in others)
            raise ConfigError(file, first[0], first[1] + more) from None


class ChainTable(Table):
    """`[chain]`: the node, and when a block counts as final: `instant`, `depth:N` or `tag`."""

    rpc_url: Annotated[str, AfterValidator(_node_url)] = Field(repr=False)  # may carry an access token
    finality: Annotated[str, AfterValidator(_finality)] = "instant"


class KeysTable(Table):
    """`[keys]`: files with the member's hot key and its relaying account's; password files where encrypted."""

    hot: RelativePath
    relayer: RelativePath
    hot_password: RelativePath | None = None
    relayer_password: RelativePath | None = None


class MarketTable(Table):
    """`[market]`: the zone of times that state no offset."""

    zone: Annotated[str, AfterValidator(_zone)] = "UTC"


class TimingsTable(Table):
    """`[timings]`: seconds of chain time after a run's seal, and between positions in the rotation of submitters."""

    attest_after: int = Field(default=12 * HOUR, ge=0)
    claim_after: int = Field(default=36 * HOUR, ge=0)
    crank_delay: int = Field(default=60, ge=0)

    @model_validator(mode="after")
    def _attest_first(self) -> Self:
        if self.claim_after < self.attest_after:
            raise ValueError("claim_after must not be before attest_after")
        return self


class Partner(Table):
    """One of `[[partners]]`: what was agreed with another member.

    `early` rows are signed without waiting for the window; `lock_percent` of the worst case is locked in batches.
    """

    subscriber: Subscriber
    early: bool = False
    lock_percent: int = Field(default=0, ge=0, le=100)

    @property
    def id(self) -> Hash32:
        """The partner's member id."""
        return member_id(self.subscriber)


NO_PARTNER: Final = Partner(subscriber="nobody")
"""What holds with a member of which nothing was agreed."""


class MemberConfig(ConfigFile):
    """What every member's daemon is told.

    `deployment` is the folder with `deployment.json`; `database` a SQLAlchemy URL; `inbox` the folder that files are
    put into from outside; `peers` may be incomplete: a member without an address is one that never answers.
    `public_url` is where others reach this member, where that is not `listen` itself.
    """

    subscriber: Subscriber
    chain: ChainTable
    deployment: RelativePath
    database: DatabaseUrl = Field(repr=False)  # may carry a password
    inbox: RelativePath = Field(default=Path("inbox"), validate_default=True)
    keys: KeysTable
    listen: Listen = "127.0.0.1:0"
    public_url: HttpUrl | None = None
    peers: dict[Subscriber, HttpUrl] = Field(default_factory=dict)
    gateway: HttpUrl | None = None
    poll_ms: int = Field(default=1_000, ge=10, le=3_600_000)
    answer_ms: int = Field(default=15_000, ge=100, le=600_000)
    market: MarketTable = MarketTable()
    timings: TimingsTable = TimingsTable()
    partners: tuple[Partner, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _no_repetition(self) -> Self:
        names = [one.subscriber for one in self.partners]
        if len(set(names)) < len(names):
            raise ValueError("partners: a subscriber stands twice")
        return self

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.address[0] in ("0.0.0.0", "::") and self.public_url is None:  # noqa: S104
            raise ValueError("public_url: must say where others reach this member, which listens at every address")
        return self

    @property
    def id(self) -> Hash32:
        """The member's id on chain."""
        return member_id(self.subscriber)

    @property
    def zone(self) -> ZoneInfo:
        """The market's time zone."""
        return ZoneInfo(self.market.zone)

    @property
    def poll_seconds(self) -> float:
        """How long the daemon sleeps where nothing wakes it: a waiting time of this machine, no time of the market."""
        return self.poll_ms / 1_000

    @property
    def answer_seconds(self) -> float:
        """How long another program may take to answer before it counts as silent; wall clock as well."""
        return self.answer_ms / 1_000

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen at; port 0 takes a free one."""
        return address_of(self.listen)

    def partner(self, member: Hash32) -> Partner:
        """What was agreed with a member; nothing, where it is not listed."""
        return next((one for one in self.partners if one.id == member), NO_PARTNER)


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]")


def _sentence(error: Any) -> str:
    """Why, in our words where pydantic's are not for people who write TOML."""
    match error["type"]:
        case "extra_forbidden":
            return "is not known"
        case "missing":
            return "is missing"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return str(error["msg"]).replace("Input should be", "must be")
