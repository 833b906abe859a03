"""Whether a member could work as it is configured: each thing it needs, looked at by itself, with what was found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from chain.deployment import DeploymentRecord
from chain.errors import ChainError
from chain.rpc import Rpc
from member.config import KeysTable, MemberConfig
from member.errors import KeyRefused
from member.keys import address_text, load_key
from settlement.units import time_text
from settlement.validity import MemberRole, Standing
from store import migrate
from store.database import Database
from store.errors import DatabaseUnfit

ANSWER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, whether it is as it must be, and what was found."""

    what: str
    is_fine: bool
    found: str


def look(what: str, find: Callable[[], str]) -> Finding:
    """What `find` tells; a refusal is a finding too."""
    try:
        return Finding(what, True, find())
    except FileNotFoundError as error:
        return Finding(what, False, f"there is no file {error.filename}")
    except (ChainError, DatabaseUnfit, KeyRefused, NotFine, OSError, ValueError) as error:
        return Finding(what, False, str(error))


class NotFine(Exception):
    """Something was found and is not as it must be; the message says what."""


def secret_finding(what: str, file: Path) -> Finding:
    """Whether a secret of 32 bytes can be read from a file of its owner's alone."""

    def find() -> str:
        load_key(file)
        return str(file)

    return look(what, find)


def member_findings(config: MemberConfig, role: MemberRole) -> Iterator[Finding]:
    """What every member needs; `role` is the one it must hold. Changes nothing."""
    yield look("hot key", lambda: _address(config.keys, "hot"))
    yield look("relaying key", lambda: _address(config.keys, "relayer"))
    yield look("database", lambda: _database(config))
    yield look("inbox", lambda: _writable(config.inbox))
    yield look("deployment", lambda: _deployment(config))
    yield look("chain", lambda: _chain(config))
    yield look("registry", lambda: _registry(config, role))
    for subscriber, url in sorted(config.peers.items()):
        yield look(f"peer {subscriber}", lambda url=url, subscriber=subscriber: _peer(url, subscriber))  # type: ignore[misc]
    if config.gateway is not None:
        yield look("gateway", lambda: _gateway(config.gateway or ""))


def _address(keys: KeysTable, name: str) -> str:
    return address_text(load_key(getattr(keys, name), getattr(keys, f"{name}_password")))


def _database(config: MemberConfig) -> str:
    with Database(config.database) as database:
        return f"revision {migrate.check(database)}"


def _writable(folder: Path) -> str:
    nearest = folder
    while not nearest.exists():
        nearest = nearest.parent
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise NotFine(f"{nearest} cannot be written")
    return str(folder)


def _deployment(config: MemberConfig) -> str:
    record = DeploymentRecord.load(config.deployment)
    return f"market {record.market}, {len(record.contracts)} contracts"


def _chain(config: MemberConfig) -> str:
    with closing(Rpc.at(config.chain.rpc_url)) as rpc:
        DeploymentRecord.load(config.deployment).check(rpc)
        return f"block {rpc.block_number()}, {time_text(rpc.timestamp())}"


def _registry(config: MemberConfig, role: MemberRole) -> str:
    with closing(Rpc.at(config.chain.rpc_url)) as rpc:
        registry = DeploymentRecord.load(config.deployment).connect(rpc)["MemberRegistry"]
        standing = Standing.from_word(registry.call("standing", config.id))
    if not standing.is_known:
        raise NotFine(f"{config.subscriber} is no member of this market")
    if role not in standing.roles:
        raise NotFine(f"{config.subscriber} is not a {role.name} of this market")
    key = address_text(load_key(config.keys.hot, config.keys.hot_password))
    if standing.key.hex() != key.removeprefix("0x"):
        raise NotFine(f"the registry has 0x{standing.key.hex()} as its hot key, the file {key}")
    return "suspended: it commits nothing new" if standing.is_suspended else f"a {role.name}, by this hot key"


def _peer(url: str, subscriber: str) -> str:
    found = _answer(f"{url}/v1/status")
    if not isinstance(found, dict) or found.get("subscriber") != subscriber:
        raise NotFine(f"{url} is somebody else")
    return f"{url}, followed to block {found.get('head')}"


def _gateway(url: str) -> str:
    try:
        answer = httpx.get(f"{url}/livez", timeout=ANSWER_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        raise NotFine(f"{url}: {error or type(error).__name__}") from None
    if answer.status_code >= 500:
        raise NotFine(f"{url}: HTTP {answer.status_code}")
    return url


def _answer(url: str) -> Any:
    try:
        answer = httpx.get(url, timeout=ANSWER_SECONDS, trust_env=False)
        answer.raise_for_status()
        return answer.json()
    except httpx.HTTPError as error:
        raise NotFine(f"{url}: {error or type(error).__name__}") from None
