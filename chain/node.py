"""A local chain to deploy to: one anvil process, London rules, no fees, the same genesis at each start.

The binary itself is started, never npm's wrapper around it, which would leave it behind when killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from chain.artifacts import EVM, ROOT
from chain.errors import ConnectionFailed, NodeFailed, NodeMissing, PortTaken
from chain.rpc import Rpc

HOST: Final = "127.0.0.1"
CHAIN_ID: Final = 8217
# Blocks on chains without fees are large; a call's own limit is the sender's matter (chain.contract.GAS_LIMIT).
BLOCK_GAS_LIMIT: Final = 1_000_000_000
PLATFORM_BINARIES: Final = ROOT / "tools" / "node_modules" / "@foundry-rs"
START_SECONDS: Final = 20
STOP_SECONDS: Final = 5
ATTEMPTS: Final = 5  # with ports of our own choosing

_PR_SET_PDEATHSIG: Final = 1


class Anvil:
    """A running local chain, and `rpc` to talk to it. A context manager: leaving it ends the process.

    Time stands still there unless a transaction or `rpc.mine` moves it.

    Whatever ends this program ends the chain as well, SIGKILL included (on Linux); for that the kernel watches the
    *thread* that starts the chain, so it must be one that outlives it.
    """

    def __init__(self, timestamp: int, port: int | None = None, chain_id: int = CHAIN_ID) -> None:
        """Starts the chain and waits until it answers.

        `timestamp` is the genesis block's time (UTC epoch seconds); with the chain id it fixes the genesis hash.
        `port` None takes a free one. Raises NodeMissing, PortTaken, NodeFailed.
        """
        self.chain_id = chain_id
        self._folder = tempfile.TemporaryDirectory(prefix="clearwatt-chain-")
        try:
            self.port, self._process = self._start(_binary(), timestamp, port)
        except BaseException:
            self._folder.cleanup()
            raise
        self.rpc = Rpc(HOST, self.port)
        self.rpc.stop_clock()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """Ends the chain; all its state is gone. May be called twice."""
        self.rpc.close()
        _stop(self._process)
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, binary: Path, timestamp: int, port: int | None) -> tuple[int, subprocess.Popen[bytes]]:
        if port is not None:
            if not _is_free(port):
                raise PortTaken(f"port {port} on {HOST} is taken; choose another or end the process that listens there")
            return port, self._launch(binary, timestamp, port)
        for attempt in range(ATTEMPTS):
            # Between finding a free port and anvil's taking it, another process may.
            free = _free_port()
            try:
                return free, self._launch(binary, timestamp, free)
            except NodeFailed:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _launch(self, binary: Path, timestamp: int, port: int) -> subprocess.Popen[bytes]:
        flags = {
            "hardfork": EVM,
            "timestamp": timestamp,
            "chain-id": self.chain_id,
            "host": HOST,
            "port": port,
            "accounts": 0,
            "base-fee": 0,
            "gas-price": 0,
            "gas-limit": BLOCK_GAS_LIMIT,
            "order": "fifo",
            "cache-path": self._folder.name,
        }
        switches = ("--no-priority-fee", "--no-request-size-limit", "--disable-default-create2-deployer", "--silent")
        command = [
            str(binary),
            *switches,
            *(part for name, value in flags.items() for part in (f"--{name}", str(value))),
        ]
        said = Path(self._folder.name) / "stderr"
        with said.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                process_group=0,  # Ctrl-C is for this program, which then ends the chain in its own time
                preexec_fn=dies_with_parent(),
            )
        try:
            _await_answer(process, port, said)
        except BaseException:
            _stop(process)
            raise
        return process


def _binary() -> Path:
    """The anvil of this checkout, whose version is locked; else the one on PATH."""
    for candidate in sorted(PLATFORM_BINARIES.glob("anvil-*/bin/anvil")):
        if os.access(candidate, os.X_OK):
            return candidate
    on_path = shutil.which("anvil")
    if on_path is None:
        raise NodeMissing("the local chain (anvil) is not installed: run `make setup`")
    return Path(on_path)


def _await_answer(process: subprocess.Popen[bytes], port: int, said: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    # Impatient, because it may be somebody else who listens there and never answers.
    with contextlib.closing(Rpc(HOST, port, timeout=1)) as rpc:
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionFailed):
                rpc.call("eth_chainId")
                if process.poll() is None:
                    return
            if process.poll() is not None:
                words = said.read_text(errors="replace").strip()[-500:]
                raise NodeFailed(f"the local chain ended at once with exit code {process.returncode}: {words}")
            time.sleep(0.01)
    raise NodeFailed(f"the local chain did not answer within {START_SECONDS} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def dies_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` after which the kernel ends the child with the thread that started it (Linux; None elsewhere)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork, where little is allowed
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return ask_the_kernel


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lingering connections do not count
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
