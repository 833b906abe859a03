"""Programs as processes: when they count as ready and idle, what is said when they are not, and that none is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.processes import Child, ChildEnded, Children, NotIdle
from member.listening import Address

STAND_IN = Path(__file__).with_name("stand_in.py")


class Stage:
    """Stand-ins by name, and what each of them says of itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children = Children()

    def child(self, name: str, **status: Any) -> Child:
        self.say(name, **status)
        address = Address()
        command = [sys.executable, str(STAND_IN), str(address.port), str(self.folder / name)]
        return Child(name, command, address, self.folder / "logs" / name)

    def say(self, name: str, **status: Any) -> None:
        document = {"head": 5, "idle_at": 5, "wakes": 0, "problems": [], "waiting": []} | status
        aside = self.folder / f"{name}.part"
        aside.write_text(json.dumps(document))
        aside.replace(self.folder / name)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    with made.children:
        yield made
    for child in made.children.by_name.values():
        child.address.close()


def five() -> int:
    return 5


def test_idle_is_who_says_so_of_the_newest_block(stage: Stage) -> None:
    stage.children.start([stage.child("one"), stage.child("two", idle_at=4)])
    with pytest.raises(NotIdle) as told:
        stage.children.await_idle(five, 0.2)
    assert str(told.value) == "two is at block 5, idle at 4 of 5"
    stage.say("two")
    stage.children.await_idle(five, 5)


def test_who_is_busy_says_with_what(stage: Stage) -> None:
    trouble = [{"stage": "exchange", "what": "Reverted: too early", "since": 0}]
    stage.children.start([stage.child("one", idle_at=None, problems=trouble)])
    with pytest.raises(NotIdle) as told:
        stage.children.await_idle(five, 0.1)
    assert str(told.value) == "one is at block 5, idle at None of 5 (exchange: Reverted: too early)"


def test_who_is_woken_meanwhile_is_not_idle(stage: Stage) -> None:
    stage.children.start([stage.child("one")])
    wakes = iter(range(1_000_000))

    def woken() -> int:
        stage.say("one", wakes=next(wakes))
        return 5

    with pytest.raises(NotIdle, match="woken all the time"):
        stage.children.await_idle(woken, 0.3)


def test_a_block_that_comes_meanwhile_is_waited_for(stage: Stage) -> None:
    stage.children.start([stage.child("one")])
    asked: list[int] = []

    def growing() -> int:
        asked.append(6 if asked else 5)
        stage.say("one", head=asked[-1], idle_at=asked[-1])
        return asked[-1]

    stage.children.await_idle(growing, 5)
    assert asked[0] == 5
    assert asked.count(6) >= 3  # seen, asked once more, and still the newest after that


def test_a_stopped_one_is_not_waited_for_until_it_goes_on(stage: Stage) -> None:
    stage.children.start([stage.child("one"), stage.child("two", idle_at=None)])
    with stage.children.stopped("two"):
        stage.children.await_idle(five, 5)
        assert Path(f"/proc/{stage.children['two'].pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    with pytest.raises(NotIdle, match=r"^two is at block 5, idle at None of 5$"):
        stage.children.await_idle(five, 0.2)


def test_one_that_ends_by_itself_is_told_with_its_last_words(stage: Stage) -> None:
    child = stage.child("one")
    child.command = [*child.command[:-1], "die"]
    with pytest.raises(ChildEnded, match=r"^one ended with exit code 7: the stand-in was told to die$"):
        stage.children.start([child])


def test_one_that_is_killed_from_outside_is_told(stage: Stage) -> None:
    stage.children.start([stage.child("one")])
    os.kill(stage.children["one"].pid, signal.SIGKILL)
    with pytest.raises(ChildEnded, match=r"^one ended with exit code -9: it said nothing$"):
        stage.children.await_idle(five, 5)


def test_killed_and_started_again_it_answers_at_the_same_address(stage: Stage) -> None:
    stage.children.start([stage.child("one")])
    child = stage.children["one"]
    before, address = child.pid, child.address.url
    child.kill()
    assert not child.is_running
    assert stage.children.statuses() == {}
    stage.children.start([child])
    assert child.pid != before
    assert child.address.url == address
    assert not Path(f"/proc/{before}").exists()


def test_a_port_is_kept_while_nobody_listens() -> None:
    address = Address()
    try:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", address.port))
    finally:
        address.close()


def test_waiting_for_an_answer_of_one_that_is_back_ends(stage: Stage) -> None:
    waits = [{"reason": "no answer: time-out", "for_whom": ["x.example"], "cycle": 1}]
    stage.children.start([stage.child("one", waiting=waits)])
    assert not stage.children.await_heard({"y.example"}, 1)
    with pytest.raises(NotIdle, match=r"one for x\.example"):
        stage.children.await_heard({"x.example"}, 0.2)
    threading.Timer(0.2, lambda: stage.say("one")).start()
    assert stage.children.await_heard({"x.example"}, 5)


def test_of_several_only_those_that_gave_no_answer_are_waited_for(stage: Stage) -> None:
    reason = "1 of 3 attestors have signed; x.example: hears the other member; y.example: no answer: time-out"
    waits = [{"reason": reason, "for_whom": ["x.example", "y.example"], "cycle": 1}]
    stage.children.start([stage.child("one", waiting=waits)])
    assert not stage.children.await_heard({"x.example"}, 1)
    with pytest.raises(NotIdle, match=r"one for y\.example"):
        stage.children.await_heard({"x.example", "y.example"}, 0.2)


def _gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("state", [Child.check, Child.stop], ids=["running", "stopped"])
def test_all_end_with_the_context(tmp_path: Path, state: Callable[[Child], None]) -> None:
    made = Stage(tmp_path)
    with made.children:
        made.children.start([made.child("one"), made.child("two")])
        pids = [child.pid for child in made.children.by_name.values()]
        state(made.children["one"])
    assert _gone(pids)


PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from demo.processes import Child, Children
from member.listening import Address
folder = Path(sys.argv[2])
(folder / "one").write_text('{"head": 5, "idle_at": 5, "wakes": 0, "problems": [], "waiting": []}')
children, address = Children(), Address()
command = [sys.executable, sys.argv[3], str(address.port), str(folder / "one")]
children.start([Child("one", command, address, folder / "log")])
if sys.argv[4] == "stopped":
    children["one"].stop()
print(children["one"].pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_none_outlives_a_parent_that_is_killed(tmp_path: Path, state: str) -> None:
    root = str(STAND_IN.parents[2])
    command = [sys.executable, "-c", PARENT, root, str(tmp_path), str(STAND_IN), state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    assert _gone([pid])
