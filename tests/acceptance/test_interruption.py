"""The demo is stopped from outside: nothing is left behind, and the next run works."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import chain.node
from chain.errors import ConnectionFailed
from chain.rpc import Rpc
from cli import exits
from cli.main import run

PATIENCE = 180


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def demo_process(data: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The command as a user starts it, in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "demo", "--data", str(data), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that starts the tests in the background has them ignore Ctrl-C, which children inherit.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@dataclass(frozen=True)
class Moment:
    """A moment of a run: so many processes were started, and the chain has so many blocks."""

    name: str
    processes: int
    blocks: int


CHAIN, PROGRAMS = 1, 8
MOMENTS = (
    Moment("the contracts are deployed", CHAIN, 1),
    Moment("programs start", CHAIN + 3, 1),
    Moment("orders come in", CHAIN + PROGRAMS, 60),
    Moment("trades are committed", CHAIN + PROGRAMS, 75),
    Moment("a day is settled", CHAIN + PROGRAMS, 110),
)


def await_moment(moment: Moment, port: int, process: subprocess.Popen[str]) -> list[int]:
    """Waits until the demo has come to a moment; returns the processes that it has started by then."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        children = children_of(process.pid)
        try:
            if len(children) >= moment.processes and Rpc("127.0.0.1", port).block_number() >= moment.blocks:
                return children
        except ConnectionFailed:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the demo did not come so far that {moment.name}")


def children_of(pid: int) -> list[int]:
    """Process ids whose parent is `pid`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def await_gone(pids: list[int], port: int) -> None:
    """Waits until the processes are gone and the port can be had again."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        alive = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                taken = False
            except OSError:
                taken = True
        if not alive and not taken:
            return
        time.sleep(0.05)
    raise AssertionError(f"still there: processes {alive}, port taken: {taken}")


def test_a_demo_killed_at_five_moments_leaves_nothing_and_the_next_one_runs(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "demo"
    for moment in MOMENTS:
        with demo_process(data, port) as process:
            children = await_moment(moment, port, process)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(20) == -signal.SIGKILL
            await_gone(children, port)
    with demo_process(data, port) as again:
        await_moment(MOMENTS[-1], port, again)


def test_ctrl_c_ends_everything_in_order_those_that_stand_still_included(tmp_path: Path) -> None:
    port = free_port()
    with demo_process(tmp_path / "demo", port) as process:
        children = await_moment(MOMENTS[2], port, process)
        for pid in children[-2:]:
            os.kill(pid, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == exits.INTERRUPTED
        assert said.rstrip().endswith("interrupted")
        await_gone(children, port)


def test_without_a_local_chain_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chain.node, "PLATFORM_BINARIES", tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["demo", "--data", str(tmp_path / "demo")]) == exits.MISSING
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last == "Error: the local chain (anvil) is not installed: run `make setup`"


def test_a_taken_port_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert run(["demo", "--data", str(tmp_path / "demo"), "--port", str(port)]) == exits.MISSING
    assert str(port) in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letters.txt").write_text("dear all")
    assert run(["demo", "--data", str(tmp_path)]) == exits.BAD_INPUT
    assert "was not written by the demo" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["letters.txt"]
