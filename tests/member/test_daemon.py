"""The daemon: rounds, when it is idle, what a failing stage costs, and how a process of it begins and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chain.deployment import DeploymentRecord
from chain.errors import DeploymentMismatch
from chain.node import dies_with_parent
from member import board
from member.config import MemberConfig
from member.daemon import Daemon, Waiting
from member.errors import KeyRefused
from store.errors import DatabaseUnreachable
from tests.member.scene import CYCLE, GENESIS_TIME, Scene, subscriber_of

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN = 8
"""Seconds: two at most on a machine that is not busy, which this one may be."""


@dataclass
class Scripted:
    """A stage that does what its script says, one entry a run, and nothing after the last."""

    daemon: Daemon[Any]
    script: list[bool | Exception | Callable[[], bool]]
    name: str = "scripted"
    runs: int = 0
    heads: list[int] = field(default_factory=list)

    def run(self) -> bool:
        self.runs += 1
        self.heads.append(self.daemon.market.head().number)
        act = self.script.pop(0) if self.script else False
        if isinstance(act, Exception):
            raise act
        return act if isinstance(act, bool) else act()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Scene(tmp_path) as made:
        yield made


def start(scene: Scene, *scripts: list[Any]) -> tuple[Daemon[Any], list[Scripted]]:
    """A member with a stage for each script, before its first round."""
    stages: list[Scripted] = []

    def maker(number: int, script: list[Any]) -> Callable[[Daemon[Any]], Scripted]:
        def make(daemon: Daemon[Any]) -> Scripted:
            stages.append(Scripted(daemon, script, f"stage {number}"))
            return stages[-1]

        return make

    daemon = scene.member_daemon("sunmarket", [maker(number, script) for number, script in enumerate(scripts)])
    return daemon, stages


def idle(daemon: Daemon[Any]) -> tuple[int | None, int]:
    found = daemon.status()
    return found["idle_at"], found["wakes"]


# --- rounds ---


def test_rounds_follow_each_other_while_a_stage_does_something(scene: Scene) -> None:
    daemon, (first, second) = start(scene, [False, True], [True, False, False])
    head = scene.rpc.block_number()
    assert idle(daemon) == (None, 0)
    assert daemon.round()  # the second stage did something
    assert idle(daemon) == (None, 0)
    assert daemon.once()  # now the first
    assert (first.runs, second.runs) == (3, 3)
    assert idle(daemon) == (head, 0)
    assert not daemon.once()
    assert (first.runs, second.runs) == (4, 4)


def test_a_new_block_is_followed_before_the_stages_run(scene: Scene) -> None:
    daemon, (stage,) = start(scene, [])
    daemon.once()
    head = scene.rpc.block_number()
    scene.move_to(GENESIS_TIME + 60)
    assert idle(daemon) == (head, 0)  # as of the newest block that it knows: whoever moved time sees the difference
    daemon.once()
    assert stage.heads == [head, head + 1]
    assert idle(daemon) == (head + 1, 0)
    assert daemon.market.now() == GENESIS_TIME + 60


def test_a_message_in_the_middle_of_a_round_is_not_lost(scene: Scene) -> None:
    def message() -> bool:
        daemon.wake()
        return False

    daemon, (_, second) = start(scene, [message], [])
    head = scene.rpc.block_number()
    assert not daemon.round()
    assert idle(daemon) == (None, 1)  # it came after the first stage had looked
    assert not daemon.round()
    assert idle(daemon) == (head, 1)
    daemon.wake()
    assert idle(daemon) == (None, 2)
    assert second.runs == 2


def test_a_member_is_not_idle_while_a_transaction_is_not_in_a_block(scene: Scene) -> None:
    def submit() -> bool:
        market = daemon.market
        market.submit("approve", "DepositToken", "approve", market.record.contracts["TradeBook"].address, 5)
        return True

    daemon, _ = start(scene, [False, submit])
    daemon.once()
    assert idle(daemon)[0] is not None
    scene.rpc.call("evm_setAutomine", False)
    assert daemon.once()
    assert idle(daemon) == (None, 0)
    scene.rpc.mine(1)
    assert not daemon.once()
    assert idle(daemon) == (scene.rpc.block_number(), 0)


def test_a_stage_that_never_ends_is_noticed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("member.daemon.MOST_ROUNDS", 5)
    daemon, (stage,) = start(scene, [True] * 6)
    with pytest.raises(RuntimeError, match=rf"^{subscriber_of('sunmarket')}: not idle after 5 rounds$"):
        daemon.once()
    assert stage.runs == 5


# --- failures ---


def test_a_failing_stage_stops_no_other(scene: Scene) -> None:
    daemon, (bad, good) = start(scene, [ValueError("no such meter"), True], [False])
    began = int(time.time())
    assert not daemon.once()
    assert (bad.runs, good.runs) == (1, 1)
    status = daemon.status()
    (problem,) = status["problems"]
    assert (problem["stage"], problem["what"]) == ("stage 0", "ValueError: no such meter")
    assert began <= problem["since"] <= time.time()
    assert status["idle_at"] is None  # something is left to do
    daemon.once()
    assert (bad.runs, good.runs) == (1, 2)  # not at once
    daemon.wake()
    assert daemon.once()  # with news it is
    assert daemon.status()["problems"] == []
    assert idle(daemon) == (scene.rpc.block_number(), 1)


def test_a_failing_stage_is_tried_again_later_and_later(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_000.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: clock[0])
    daemon, (stage,) = start(scene, [OSError("disk full")] * 7)
    for count, pause in enumerate((0.5, 1, 2, 4, 8, 8), start=1):
        daemon.once()
        assert stage.runs == count
        clock[0] += pause - 0.01
        daemon.once()
        assert stage.runs == count
        clock[0] += 0.02
    scene.move_to(GENESIS_TIME + 60)
    daemon.once()
    assert stage.runs == 7


def test_without_the_chain_nothing_is_done_and_requests_are_answered(scene: Scene) -> None:
    daemon, (stage,) = start(scene, [])
    daemon.once()
    assert idle(daemon)[0] is not None
    scene.node.close()
    daemon.once()
    assert stage.runs == 1
    (problem,) = daemon.status()["problems"]
    assert problem["stage"] == "following"
    assert problem["what"].startswith("ConnectionFailed: no answer from the node at 127.0.0.1:")
    assert idle(daemon) == (None, 0)


def test_another_chain_than_the_markets(scene: Scene) -> None:
    record = scene.record
    other = DeploymentRecord(**{**vars(record), "genesis_hash": b"\x07" * 32})
    other.save(scene.folder)
    daemon, (stage,) = start(scene, [])
    with pytest.raises(DeploymentMismatch, match="genesis 0x"):
        daemon.once()
    assert stage.runs == 0


def test_one_process_a_database(scene: Scene) -> None:
    start(scene, [])
    with pytest.raises(DatabaseUnreachable, match="is in use by process"):
        Daemon(scene.daemons["sunmarket"].config, [], [])


def test_keys_that_others_may_read(scene: Scene) -> None:
    daemon, _ = start(scene, [])
    config = daemon.config
    scene.stop("sunmarket")
    config.keys.relayer.chmod(0o644)
    with pytest.raises(KeyRefused, match=r"relayer\.key can be read by others \(mode 0644\)"):
        Daemon(config, [], [])
    config.keys.relayer.chmod(0o600)
    Daemon(config, [], []).close()


def test_a_stage_that_cannot_be_made_leaves_nothing_open(scene: Scene) -> None:
    def make(_: Daemon[Any]) -> Scripted:
        raise KeyRefused("there is no file salt")

    config = MemberConfig.load(scene.config_file("sunmarket"))
    with pytest.raises(KeyRefused, match="there is no file salt"):
        Daemon(config, [make], [])
    Daemon(config, [], []).close()


# --- status ---


def test_what_stages_wait_for_and_complain_of(scene: Scene) -> None:
    daemon, _ = start(scene, [])
    roof, east = scene.id("rooftrade"), scene.id("eastpower")
    daemon.waits("exchange", [Waiting(CYCLE, "no answer", (roof,), 0, pair=(daemon.me.id, roof))])
    daemon.waits("trades", [Waiting(CYCLE, "not signed", (east, b"\x05" * 32), trade=b"\x01" * 32)])
    daemon.complains("inbox", ["a.csv:3: kwh: negative", "b.csv: broken"])
    status = daemon.status()
    sun = subscriber_of("sunmarket")
    assert status["waiting"] == [
        {
            "stage": "exchange",
            "cycle": CYCLE,
            "run": 0,
            "pair": [sun, subscriber_of("rooftrade")],
            "trade": None,
            "reason": "no answer",
            "for_whom": [subscriber_of("rooftrade")],
        },
        {
            "stage": "trades",
            "cycle": CYCLE,
            "run": None,
            "pair": None,
            "trade": b"\x01" * 32,
            "reason": "not signed",
            "for_whom": [subscriber_of("eastpower"), "0x" + "05" * 32],
        },
    ]
    assert [(one["stage"], one["what"]) for one in status["problems"]] == [
        ("inbox", "a.csv:3: kwh: negative"),
        ("inbox", "b.csv: broken"),
    ]
    since = status["problems"][0]["since"]
    daemon.complains("inbox", ["a.csv:3: kwh: negative"])
    daemon.waits("exchange", [])
    status = daemon.status()
    assert status["problems"] == [{"stage": "inbox", "what": "a.csv:3: kwh: negative", "since": since}]
    assert [one["stage"] for one in status["waiting"]] == ["trades"]


# --- running ---


def test_it_sleeps_until_a_message_or_the_next_look(scene: Scene) -> None:
    config = MemberConfig.load(scene.config_file("sunmarket", poll_ms="60000"))
    daemon = scene.daemons["sunmarket"] = Daemon(config, [lambda made: Scripted(made, [])], [])
    (stage,) = daemon.stages
    assert isinstance(stage, Scripted)
    worker = threading.Thread(target=daemon.run)
    worker.start()
    try:
        _until(lambda: stage.runs == 1 and idle(daemon)[0] is not None)
        scene.move_to(GENESIS_TIME + 60)
        time.sleep(0.2)
        assert stage.runs == 1
        daemon.wake()
        _until(lambda: stage.runs == 2 and idle(daemon) == (scene.rpc.block_number(), 1))
    finally:
        daemon.stop()
        worker.join(5)
    assert not worker.is_alive()


SCRIPT = """
import sys, time
from pathlib import Path
from member.config import MemberConfig
from member.daemon import Daemon
from member.logs import configure_logs

class Stage:
    name = "slow"
    def __init__(self, daemon):
        self.seconds = float(sys.argv[3])
        self.began = Path(sys.argv[2] + ".began")
    def run(self):
        self.began.touch()
        time.sleep(self.seconds)
        return False

configure_logs()
daemon = Daemon(MemberConfig.load(Path(sys.argv[1])), [Stage], [])
heavy = sorted({"pyarrow", "vyper", "boa", "eth_account"} & sys.modules.keys())
print(",".join(heavy), flush=True)
try:
    daemon.run(Path(sys.argv[2]))
except KeyboardInterrupt:
    sys.exit(130)
"""


@dataclass
class Process:
    child: subprocess.Popen[str]
    ready_file: Path

    def end(self, number: signal.Signals) -> tuple[int, float, str, str]:
        began = time.monotonic()
        self.child.send_signal(number)
        out, err = self.child.communicate(timeout=10)
        return self.child.returncode, time.monotonic() - began, out, err


def launch(scene: Scene, seconds: float = 0) -> Process:
    config, ready_file = scene.config_file("eastpower", listen='"127.0.0.1:0"'), scene.folder / "ready"
    command = [sys.executable, "-c", SCRIPT, str(config), str(ready_file), str(seconds)]
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=dies_with_parent()
    )
    _until(lambda: Path(f"{ready_file}.began").exists() or child.poll() is not None)
    return Process(child, ready_file)


def test_a_process_begins_light_and_ends_at_sigterm(scene: Scene) -> None:
    process = launch(scene)
    ready = json.loads(process.ready_file.read_text())
    assert ready["pid"] == process.child.pid
    assert ready["url"].startswith("http://127.0.0.1:")
    assert not ready["url"].endswith(":0")
    code, seconds, out, err = process.end(signal.SIGTERM)
    assert code == 0
    assert seconds < ENDS_WITHIN
    assert out == "\n"  # nothing heavy is imported
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["event"] for line in lines] == ["listening", "ended"]
    assert {line["member"] for line in lines} == {subscriber_of("eastpower")}
    assert scene.members["eastpower"].key.hex() not in err


def test_a_process_ends_at_ctrl_c(scene: Scene) -> None:
    code, seconds, _, _ = launch(scene).end(signal.SIGINT)
    assert code == 130
    assert seconds < ENDS_WITHIN


def test_a_stage_that_is_busy_does_not_hold_up_the_end(scene: Scene) -> None:
    code, seconds, _, err = launch(scene, seconds=60).end(signal.SIGTERM)
    assert code == 0
    assert seconds < ENDS_WITHIN
    assert json.loads(err.splitlines()[-1])["abandoned"] is True


def test_a_killed_process_leaves_its_database_to_the_next(scene: Scene) -> None:
    process = launch(scene)
    process.end(signal.SIGKILL)
    daemon = scene.daemon("eastpower")
    assert idle(daemon) == (scene.rpc.block_number(), 0)


def _until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.01)


def test_this_process_is_the_one_in_the_status(scene: Scene) -> None:
    daemon, _ = start(scene, [])
    assert daemon.status()["pid"] == os.getpid()
