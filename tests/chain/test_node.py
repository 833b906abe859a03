"""The local chain: alike at each start, clear about what is wrong, and gone when its starter is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chain import node
from chain.errors import ConnectionFailed, NodeFailed, NodeMissing, PortTaken
from chain.node import Anvil
from tests.chain.conftest import GENESIS_TIME

ROOT = Path(__file__).resolve().parents[2]


def is_running(pid: int) -> bool:
    try:
        # A killed process that nobody waited for still has a pid; it runs no more.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_two_starts_have_the_same_genesis(chain: Anvil) -> None:
    with Anvil(GENESIS_TIME) as second:
        assert second.port != chain.port
        assert second.rpc.block(0)["hash"] == chain.rpc.block(0)["hash"]
        assert second.rpc.timestamp(0) == GENESIS_TIME
        assert second.rpc.chain_id() == node.CHAIN_ID
    with Anvil(GENESIS_TIME + 1) as third:
        assert third.rpc.block(0)["hash"] != chain.rpc.block(0)["hash"]


def test_london_without_fees(chain: Anvil) -> None:
    block = chain.rpc.block(0)
    assert block["baseFeePerGas"] == "0x0"
    assert "withdrawals" not in block or block["withdrawals"] is None
    assert int(block["gasLimit"], 16) == node.BLOCK_GAS_LIMIT


def test_time_moves_only_when_told(chain: Anvil) -> None:
    start = chain.rpc.timestamp()
    chain.rpc.mine(2)
    assert chain.rpc.timestamp() == start
    chain.rpc.mine(timestamp=start + 3600)
    time.sleep(1.1)
    chain.rpc.mine()
    assert chain.rpc.timestamp() == start + 3600


def test_leaving_ends_the_process() -> None:
    with Anvil(GENESIS_TIME) as chain:
        pid, rpc = chain.pid, chain.rpc
        assert is_running(pid)
    assert not is_running(pid)
    with pytest.raises(ConnectionFailed, match="no answer from the node at "):
        rpc.block_number()
    chain.close()  # once more does no harm


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can bind a child's life to its parent's")
def test_no_orphan_when_the_starter_is_killed() -> None:
    code = (
        "import time\n"
        "from chain.node import Anvil\n"
        f"with Anvil({GENESIS_TIME}) as chain:\n"
        "    print(chain.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    assert is_running(pid)
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    assert wait_until_gone(pid)


def test_given_port() -> None:
    with Anvil(GENESIS_TIME) as first:
        port = first.port
        with pytest.raises(PortTaken, match=f"port {port} on 127.0.0.1 is taken"):
            Anvil(GENESIS_TIME, port=port)
        assert first.rpc.block_number() == 0  # and the first one goes on
    with Anvil(GENESIS_TIME, port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"


def test_port_that_another_program_holds() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with pytest.raises(PortTaken, match="choose another"):
            Anvil(GENESIS_TIME, port=holder.getsockname()[1])


def test_a_free_port_that_is_snatched_away_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    free_port = node._free_port
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        offered = iter([holder.getsockname()[1]])
        monkeypatch.setattr(node, "_free_port", lambda: next(offered, None) or free_port())
        with Anvil(GENESIS_TIME) as chain:
            assert chain.rpc.block_number() == 0


def test_missing_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(node, "PLATFORM_BINARIES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodeMissing, match=r"^the local chain \(anvil\) is not installed: run `make setup`$"):
        Anvil(GENESIS_TIME)


def test_binary_on_the_path_is_the_second_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    locked = node._binary()
    (tmp_path / "anvil").symlink_to(locked)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node._binary() == locked
    monkeypatch.setattr(node, "PLATFORM_BINARIES", tmp_path / "nothing")
    assert node._binary() == tmp_path / "anvil"


def test_a_binary_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "anvil"
    broken.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setattr(node, "_binary", lambda: broken)
    with pytest.raises(NodeFailed, match="ended at once with exit code 7: no such thing"):
        Anvil(GENESIS_TIME)
