"""The market's programs as processes of their own: started, asked how far they are, stopped, continued, killed.

None outlives the program that started it: the kernel ends them with it (`chain.node.dies_with_parent`), however it
ends. So they are started by the main thread, which lives as long as the program.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from chain.artifacts import ROOT
from chain.node import dies_with_parent
from member.listening import LOOPBACK, Address

STATUS: Final = "/v1/status"
START_SECONDS: Final = 60
STOP_SECONDS: Final = 5
IDLE_SECONDS: Final = 90
ANSWER_SECONDS: Final = 30
PAUSE_SECONDS: Final = 0.02
NO_ANSWER: Final = "no answer"
LONGEST_TAIL: Final = 2_000


class ChildEnded(Exception):
    """A process of the market ended that was to run; the message carries the end of its log."""


class NotIdle(Exception):
    """The market did not come to rest in time; the message says who is busy, and with what."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a program says of itself: the newest block that it has followed, the newest at which it had nothing left to
    do, how often it was woken, what went wrong, and what it waits for."""

    head: int
    idle_at: int | None
    wakes: int
    problems: Sequence[Mapping[str, Any]]
    waiting: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Status:
        """The status in the answer of `GET /v1/status`."""
        return cls(*(document[name] for name in ("head", "idle_at", "wakes", "problems", "waiting")))

    def is_idle(self, head: int) -> bool:
        """Whether it has nothing left to do as of block `head`."""
        return self.idle_at is not None and self.idle_at >= head


@dataclass
class Child:
    """One program of the market. `address` is where it says how it is, `log` takes what it says over all its starts."""

    name: str
    command: Sequence[str]
    address: Address
    log: Path
    _process: subprocess.Popen[bytes] | None = None
    _connection: http.client.HTTPConnection | None = None
    _is_stopped: bool = False

    @property
    def pid(self) -> int:
        """Its process id. RuntimeError before it was started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it is there and not stopped, so that it answers."""
        return self._process is not None and not self._is_stopped

    def start(self) -> None:
        """Starts it; `Children.await_ready` says when it answers."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for the demo, which then ends its children in its own time
                preexec_fn=dies_with_parent(),
            )
        self._is_stopped = False

    def stop(self) -> None:
        """Stops it where it stands: it neither answers nor acts until it is continued."""
        os.kill(self.pid, signal.SIGSTOP)
        self._is_stopped = True

    def resume(self) -> None:
        """Lets a stopped one go on."""
        self._is_stopped = False
        os.kill(self.pid, signal.SIGCONT)

    def ask_to_end(self) -> None:
        """Asks it to end; `end` waits until it has. One that stands still, whoever stopped it, goes on to do so."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self.resume()

    def end(self) -> None:
        """Ends it in order, or by force where that takes too long; no harm where it has ended."""
        self.ask_to_end()
        if self._process is not None:
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._forget()

    def kill(self) -> None:
        """Ends it at once, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
        self._forget()

    def check(self) -> None:
        """Raises ChildEnded where it should be there and is not."""
        if self._process is not None and self._process.poll() is not None:
            code = self._process.returncode
            raise ChildEnded(f"{self.name} ended with exit code {code}: {self._tail() or 'it said nothing'}")

    def request(self) -> None:
        """Sends the question how far it is; `status` reads the answer."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(LOOPBACK, self.address.port, timeout=ANSWER_SECONDS)
        try:
            self._connection.request("GET", STATUS)
        except OSError:
            self._connection.close()  # it is starting, or it closed a connection that was idle: the answer will tell

    def status(self) -> Status | None:
        """What it says to the question that was sent; None where it does not answer. Raises ChildEnded."""
        assert self._connection is not None  # noqa: S101
        try:
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self.check()
            return None
        return Status.read(json.loads(body)) if answer.status == 200 else None

    def _forget(self) -> None:
        if self._process is not None:
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._process, self._is_stopped = None, False

    def _tail(self) -> str:
        return self.log.read_text("utf-8", "replace").strip()[-LONGEST_TAIL:]


@dataclass
class Children:
    """All programs of the market by name. A context manager: leaving it ends them all."""

    by_name: dict[str, Child] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.by_name.values():
            child.ask_to_end()
        for child in self.by_name.values():
            child.end()

    def __getitem__(self, name: str) -> Child:
        return self.by_name[name]

    def start(self, children: Sequence[Child]) -> None:
        """Starts programs and waits until each of them answers. Raises ChildEnded, NotIdle."""
        for child in children:
            self.by_name[child.name] = child
            child.start()
        self.await_ready()

    def await_ready(self) -> None:
        """Waits until every running program answers. Raises ChildEnded; NotIdle after `START_SECONDS`."""
        deadline = time.monotonic() + START_SECONDS
        while silent := sorted(name for name, status in self.statuses().items() if status is None):
            if time.monotonic() > deadline:
                raise NotIdle(f"no answer within {START_SECONDS} s from {', '.join(silent)}")
            time.sleep(2 * PAUSE_SECONDS)

    def restart(self, names: Sequence[str]) -> None:
        """Ends programs in order and starts them again. Raises ChildEnded, NotIdle."""
        for name in names:
            self[name].ask_to_end()
        for name in names:
            self[name].end()
        self.start([self[name] for name in names])

    def await_heard(self, subscribers: Collection[str], seconds: float = START_SECONDS) -> bool:
        """Waits until nobody waits any more for an answer of these members; whether anybody did. Raises NotIdle."""
        deadline = time.monotonic() + seconds
        waited = False
        while waiting := sorted(self._unheard(set(subscribers))):
            waited = True
            if time.monotonic() > deadline:
                raise NotIdle(f"still waiting after {seconds} s: {'; '.join(waiting)}")
            time.sleep(2 * PAUSE_SECONDS)
        return waited

    def _unheard(self, subscribers: set[str]) -> set[str]:
        """Who waits for an answer of whom among these members."""
        return {
            f"{name} for {whom}"
            for name, status in self.statuses().items()
            for one in (status.waiting if status else ())
            for whom in subscribers & set(one["for_whom"])
            if _gave_no_answer(whom, one)
        }

    def waiting(self, cycle: int) -> set[str]:
        """What anybody waits for in a cycle, in words."""
        return {
            f"{name} waits for {', '.join(one['for_whom']) or 'somebody'}: {one['reason']}"
            for name, status in self.statuses().items()
            for one in (status.waiting if status else ())
            if one["cycle"] == cycle
        }

    def await_idle(self, head: Callable[[], int], seconds: float = IDLE_SECONDS) -> None:
        """Waits until no running program has anything left to do.

        That is so when all say so of the newest block, and say the same once more: nobody was woken meanwhile, and no
        block came. `head` tells the newest block's number. Raises ChildEnded; NotIdle after `seconds`.
        """
        deadline = time.monotonic() + seconds
        newest = -1
        idle: dict[str, int] = {}  # how often each was woken that was idle when last asked
        while True:
            before, newest = newest, head()
            if newest != before:
                idle = {}
            # Who was idle is only asked again once all were: asking costs those who work.
            names = self._running - idle.keys() or self._running
            found = self._statuses(names)
            resting = {name: one.wakes for name, one in found.items() if one is not None and one.is_idle(newest)}
            if resting == idle and resting.keys() == self._running and head() == newest:
                return
            busy = [_busy(name, one, newest) for name, one in found.items() if name not in resting]
            idle = {name: wakes for name, wakes in (idle | resting).items() if name in resting or name not in found}
            if time.monotonic() > deadline:
                raise NotIdle("; ".join(busy) or "woken all the time")
            if busy:
                time.sleep(PAUSE_SECONDS)

    def statuses(self) -> dict[str, Status | None]:
        """What each running program says, None where it says nothing."""
        return self._statuses(self._running)

    @property
    def _running(self) -> set[str]:
        return {name for name, child in self.by_name.items() if child.is_running}

    def _statuses(self, names: Collection[str]) -> dict[str, Status | None]:
        """All are asked before the first has to answer; once more whoever had closed the connection of before."""
        for name in names:
            self[name].request()
        found = {name: self[name].status() for name in names}
        silent = [name for name, status in found.items() if status is None]
        for name in silent:
            self[name].request()
        return found | {name: self[name].status() for name in silent}

    @contextlib.contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """Inside, these programs stand still."""
        for name in names:
            self[name].stop()
        try:
            yield
        finally:
            for name in names:
                self[name].resume()


def _gave_no_answer(whom: str, waiting: Mapping[str, Any]) -> bool:
    """Whether it is for an answer that somebody waits; where for several, the reason says of each what it lacks."""
    said = NO_ANSWER if len(waiting["for_whom"]) == 1 else f"{whom}: {NO_ANSWER}"
    return said in waiting["reason"]


def _busy(name: str, status: Status | None, head: int) -> str:
    if status is None:
        return f"{name} does not answer"
    stages = ", ".join(f"{one.get('stage')}: {one.get('what')}" for one in status.problems)
    return f"{name} is at block {status.head}, idle at {status.idle_at} of {head}" + (f" ({stages})" if stages else "")
