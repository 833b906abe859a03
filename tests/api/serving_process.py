"""A gateway in a process of its own, as `clearwatt serve` starts it, for tests that need the whole of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from chain.artifacts import ROOT
from chain.node import dies_with_parent
from tests.api.gateway_scene import Client
from tests.member.scene import Scene, scene_key

START_SECONDS = 30
SERVE = (sys.executable, "-m", "cli.main")


class ServingProcess:
    """`clearwatt serve` on a scene's chain. A context manager: leaving it ends the process."""

    def __init__(self, scene: Scene, folder: Path, command: Sequence[str] = SERVE, **more: str) -> None:
        self.scene = scene
        self.folder = folder
        self.command = command
        self.ready_file = folder / "ready.json"
        folder.mkdir(parents=True, exist_ok=True)
        for name, key in (("relayer", scene_key("account", "gateway relayer")), ("feed", scene_key("account", "feed"))):
            file = folder / f"{name}.key"
            file.touch(mode=0o600)
            file.write_text(key.hex())
        top = {
            "deployment": f'"{scene.folder}"',
            "database": '"sqlite:///gateway.db"',
            "poll_ms": "20",
        } | more
        lines = [f"{key} = {value}" for key, value in top.items()]
        lines += [
            "[chain]",
            f'rpc_url = "{scene.node.url}"',
            "[keys]",
            'relayer = "relayer.key"',
            'signing = "feed.key"',
        ]
        self.config = folder / "gateway.toml"
        self.config.write_text("\n".join(lines) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self.ready_file.exists():
            assert self.process is not None
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)
        self.http = httpx.Client(base_url=self.ready["url"], timeout=30)
        while self.http.get("/startupz").status_code != 200:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)

    def launch(self) -> None:
        """Starts it and waits for nothing."""
        self.ready_file.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "serve", "--config", str(self.config), "--ready-file", str(self.ready_file)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_parent(),
            )

    def end(self) -> int:
        """Asks it to end, and returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()

    @property
    def ready(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ready_file.read_text())
        return found

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()[-3_000:]

    def log_lines(self) -> list[str]:
        return (self.folder / "log").read_text().splitlines()

    def client(self, name: str) -> Client:
        """A member of the market, calling over loopback."""
        member = self.scene.members[name]
        return Client(self.http, member.id, member.key, self.ready["url"])

    def settled(self, seconds: float = 20) -> dict[str, Any]:
        """The status once it is idle at the newest block."""
        deadline = time.monotonic() + seconds
        while True:
            status: dict[str, Any] = self.http.get("/v1/status").json()
            if status["idle_at"] is not None and status["idle_at"] >= self.scene.rpc.block_number():
                return status
            assert time.monotonic() < deadline, (status, self.log)
            time.sleep(0.02)
