"""A market on a real chain with a gateway before it, and clients that sign their requests as members do.

    with GatewayScene(tmp_path) as scene:
        sun = scene.client("sunmarket")
        answer = sun.post("/v1/trades", scene.proposal(scene.market.trade(), by=["sunmarket"]))

The gateway is the whole one, but nothing of it runs by itself: `scene.work()` follows and sends when a test says so.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import httpx
from fastapi.testclient import TestClient

from api.gateway import Gateway, assemble
from api.settings import GatewaySettings
from settlement.config import Config
from settlement.documents import document
from settlement.trade import Lock, TradeLocks, lock_signers
from store.database import Database
from store.records import MemberSignature
from tests.member.scene import CONFIG, Scene, SignedTrade, scene_key
from wire.signed_requests import sign

PUBLIC_URL = "http://gateway.example"
AUDITOR_KEY = "an auditor's key"
# Who signs the trades that a scene makes, in role order.
SIGNERS = ("sunmarket", "rooftrade", "eastpower", "westpower")


class Client:
    """Calls the gateway as one member; every request is signed, every POST has a key."""

    def __init__(self, http: httpx.Client, member: bytes, key: bytes, base: str = PUBLIC_URL) -> None:
        self.http = http
        self.member = member
        self.key = key
        self.base = base

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path, headers=self.headers("GET", path, b""))

    def post(self, path: str, body: object, key: str | None = None) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.headers("POST", path, raw)
        headers["Idempotency-Key"] = secrets.token_hex(8) if key is None else key
        return self.http.post(path, content=raw, headers=headers)

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        nonce = secrets.token_urlsafe(16)
        return sign(self.key, self.member, method, self.base + path, body, int(time.time()), nonce)


class GatewayScene:
    """A market and its gateway. A context manager."""

    def __init__(
        self,
        folder: Path,
        config: Config = CONFIG,
        database_url: str | None = None,
        finality: str = "instant",
        **changed: Any,
    ) -> None:
        self.market = Scene(folder, config=config)
        self.database = Database(database_url or f"sqlite:///{folder}/gateway.db")
        self.database.create()
        self.settings = replace(
            GatewaySettings(self.market.node.url, finality, PUBLIC_URL, poll_seconds=0.05), **changed
        )
        self.gateway = self.assembled()
        self.http = TestClient(self.gateway.app, base_url=PUBLIC_URL, raise_server_exceptions=False)
        self.follow()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.database.close()
        self.market.__exit__()

    def assembled(self) -> Gateway:
        """A gateway over the scene's database."""
        keys = scene_key("account", "gateway relayer"), scene_key("account", "gateway")
        return assemble(self.settings, self.market.record, self.database, *keys, version="test")

    def client(self, name: str) -> Client:
        """A member of the market, calling."""
        member = self.market.members[name]
        return Client(self.http, member.id, member.key)

    def follow(self) -> None:
        """The gateway comes to know the newest block."""
        self.gateway.work.follow()

    def work(self, rounds: int = 4) -> None:
        """The gateway sends what waits, and sees what became of it."""
        for _ in range(rounds):
            self.gateway.work.round()

    # --- bodies ---

    def proposal(
        self, one: SignedTrade, by: Iterable[str], lane: str = "registered", locks: tuple[Lock, ...] = ()
    ) -> dict[str, Any]:
        """A body of `POST /v1/trades` with all that some members sign of it."""
        return proposal(self.market, one, by, lane, locks)

    def signature(self, one: SignedTrade, name: str) -> MemberSignature:
        """One member's signature on a trade."""
        return signature(self.market, one, name)


def proposal(
    market: Scene, one: SignedTrade, by: Iterable[str], lane: str = "registered", locks: tuple[Lock, ...] = ()
) -> dict[str, Any]:
    """A body of `POST /v1/trades` with all that some members sign of it."""
    named = tuple(by)
    return {
        "trade": document(one.trade),
        "lane": lane,
        "locks": document(locks),
        **signed_by(market, one, named, locks if lane == "registered" else None),
    }


def signed_by(
    market: Scene, one: SignedTrade, names: Iterable[str], locks: tuple[Lock, ...] | None = ()
) -> dict[str, Any]:
    """A body of `POST /v1/trades/.../signatures`: what these members sign of a trade, and of its locks if not None."""
    named = tuple(names)
    statement = TradeLocks(one.digest, locks or ())
    signers = () if locks is None else lock_signers(one.trade, locks)
    lock_signatures = [
        MemberSignature.of(market.id(name), market.members[name].sign(market.domain, statement))
        for name in named
        if market.id(name) in signers
    ]
    return {
        "signatures": [document(signature(market, one, name)) for name in named],
        "lock_signatures": document(tuple(lock_signatures)),
    }


def signature(market: Scene, one: SignedTrade, name: str) -> MemberSignature:
    """One member's signature on a trade."""
    return next(found for found in one.signatures if found.member == market.id(name))


def hexed(word: bytes) -> str:
    """A word as it stands in addresses."""
    return "0x" + word.hex()


def problem(answer: httpx.Response) -> Mapping[str, Any]:
    """The problem that an answer is."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found: Mapping[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["trace_id"] == answer.headers["x-request-id"]
    return found
