"""Killed at every commit and at every sending: one trade, one transaction, one answer, whatever was interrupted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from chain.account import Account
from store import answered, gateway, outbox
from store.database import Database
from tests.api.gateway_scene import SIGNERS, hexed, proposal
from tests.api.serving_process import ServingProcess
from tests.member.scene import Scene, SignedTrade, scene_key

COMMAND = (sys.executable, "-m", "tests.api.crashing")
KILLED = 99
FEWEST_BOUNDARIES = 12
MOST_BOUNDARIES = 60


def test_exactly_once_wherever_it_is_killed(tmp_path: Path) -> None:
    with Scene(tmp_path) as scene:
        served = ServingProcess(scene, tmp_path / "gateway", COMMAND)
        served.start()
        trades: list[SignedTrade] = []
        deaths = 0
        try:
            while True:
                one = scene.trade(item=f"crash-{len(trades)}", hour=4 + len(trades) % 20)
                trades.append(one)
                if _survives(scene, served, one, len(trades)):
                    break
                deaths += 1
                assert deaths < MOST_BOUNDARIES
                served.start()
                # The caller has no answer, or lost it, and sends the same again.
                answer = served.client("sunmarket").post(
                    "/v1/trades", proposal(scene, one, SIGNERS), key=f"key-{len(trades)}"
                )
                assert answer.status_code in (200, 201), answer.text
                served.settled()
                found = served.client("sunmarket").get(f"/v1/trades/{hexed(one.digest)}").json()
                assert (found["state"], found["finality"]) == ("COMMITTED", "final"), f"after boundary {len(trades)}"
        finally:
            served.end()

        print(f"killed at {deaths} boundaries")
        assert deaths >= FEWEST_BOUNDARIES
        _exactly_once(scene, tmp_path / "gateway", trades)


def _survives(scene: Scene, served: ServingProcess, one: SignedTrade, boundary: int) -> bool:
    """Sends a trade to a gateway that kills itself at a boundary; whether it came to rest before that."""
    (served.folder / "arm").write_text(str(boundary))
    try:
        answer = served.client("sunmarket").post("/v1/trades", proposal(scene, one, SIGNERS), key=f"key-{boundary}")
        assert answer.status_code == 201, answer.text
        served.settled()
    except httpx.TransportError:
        assert served.process is not None
        assert served.process.wait(10) == KILLED
        return False
    return True


def _exactly_once(scene: Scene, folder: Path, trades: list[SignedTrade]) -> None:
    """On the chain and in the database: each trade once, no nonce in vain."""
    digests = [one.digest for one in trades]
    events = scene.contracts["TradeBook"].events(name="TradeRegistered")
    assert [scene.domain.digest(one.trade) for one in trades] == digests
    assert len(events) == len(trades) == scene.call("TradeBook", "commitment_count")
    assert all(scene.call("TradeBook", "is_place_registered", digest) for digest in digests)
    with Database(f"sqlite:///{folder}/gateway.db") as database, database.reading() as connection:

        def count(table: Any) -> int:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

        assert count(gateway.trades) == count(gateway.relays) == count(outbox.transactions) == len(trades)
        assert count(outbox.attempts) == len(trades), "nothing was ever signed twice"
        assert count(answered.requests) == len(trades)
        nonces = sorted(connection.execute(select(outbox.transactions.c.nonce)).scalars())
    assert nonces == list(range(len(trades)))
    relayer = Account(scene_key("account", "gateway relayer"), scene.rpc)
    assert relayer.nonce == len(trades), "nothing else was sent"
