"""A member's daemon: follows the chain, runs its stages until they have nothing left to do, answers the others.

A round is: follow the chain, see what became of what was sent, run every stage once. Rounds follow each other while a
stage does something; then the daemon sleeps until a message wakes it or it is time for another look.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import structlog
from fastapi import APIRouter

from chain.errors import ChainError, DeploymentMismatch
from chain.rpc import Rpc
from member.board import Board, Waiting
from member.config import MemberConfig
from member.desk import Desk, Member, WatchedStore
from member.keys import load_key
from member.listening import Listener
from member.opening import open_market
from member.peers import Peers
from member.service import build_app
from store.database import Database
from store.migrate import upgrade

__all__ = ["Daemon", "Stage", "Waiting"]

C = TypeVar("C", bound=MemberConfig)

STOP_SECONDS: Final = 1.0
MOST_ROUNDS: Final = 10_000
LOOK_SECONDS: Final = 1.0
FOLLOWING: Final = "following"
SENDING: Final = "sending"
_SIGNAL_STEP: Final = 0.05


class Stage(Protocol):
    """One thing that a member does by itself. It keeps nothing that it could not find again after a restart."""

    @property
    def name(self) -> str:
        """Its name in logs and status."""

    def run(self) -> bool:
        """Does what there is to do now; whether it did or started anything. Idempotent; never waits long."""


class Daemon(Generic[C]):
    """One member's program. `with daemon:` serves requests; `once` and `run` do its work."""

    def __init__(
        self,
        config: C,
        stages: Sequence[Callable[[Daemon[C]], Stage]],
        routers: Sequence[Callable[[Daemon[C]], APIRouter]],
    ) -> None:
        """Reads keys and files and makes the database ready; asks the chain nothing. Stages run in the order given.

        Raises KeyRefused, DeploymentMismatch, DatabaseUnfit, FileNotFoundError.
        """
        self.config = config
        self.me = Member(config.subscriber, load_key(config.keys.hot, config.keys.hot_password))
        self.log = structlog.get_logger("member").bind(member=config.subscriber)
        self.database = Database(config.database)
        opened = open_market(config, self.database)
        self.market = opened.market
        self.follower = opened.follower
        self.store = WatchedStore(self.database)
        self.desk = Desk(self.market, self.store, self.me)
        self.peers = Peers(self.me, config.peers, config.gateway, answer_seconds=config.answer_seconds)
        self._is_checked = False
        self._head: int | None = None
        self._news = threading.Condition()
        self._wakes = 0
        self._idle_at: int | None = None
        self._stopping = threading.Event()
        self._board = Board()
        self._listener: Listener | None = None
        try:
            self.database.claim()
            upgrade(self.database)
            self.stages = tuple(make(self) for make in stages)
            self.routers = tuple(make(self) for make in routers)
        except BaseException:
            self.close()
            raise

    # --- for stages and routes ---

    def wake(self) -> None:
        """A message changed something: there may be work. To be called before the message is answered."""
        with self._news:
            self._wakes += 1
            self._idle_at = None
            self._news.notify_all()

    def waits(self, stage: str, for_what: Sequence[Waiting]) -> None:
        """What a stage waits for now, in place of what it said before."""
        self._board.waits(stage, for_what)

    def complains(self, stage: str, what: Iterable[str]) -> None:
        """What a stage has for its operator to put right, in place of what it said before; the work goes on."""
        for text in self._board.complains(stage, what):
            self.log.warning("complaint", stage=stage, what=text)

    @property
    def is_stopping(self) -> bool:
        """Whether the daemon ends: a stage with a long list stops where it is."""
        return self._stopping.is_set()

    @property
    def url(self) -> str:
        """Where others reach this member. RuntimeError before it listens."""
        if self.config.public_url is not None:
            return self.config.public_url
        if self._listener is None:
            raise RuntimeError("the member does not listen yet")
        return self._listener.url

    def status(self) -> dict[str, Any]:
        """How the member is, for operators and for whoever waits until it is idle.

        `idle_at` is the newest block at which no stage had anything left to do, null while there may be something;
        `wakes` counts the messages that changed something.
        """
        with self._news:
            idle_at, wakes, head = self._idle_at, self._wakes, self._head
        return {
            "member": self.me.id,
            "subscriber": self.me.subscriber,
            "pid": os.getpid(),
            "head": head,
            "idle_at": idle_at,
            "wakes": wakes,
            **self._board.document(self.market.name),
        }

    # --- working ---

    def __enter__(self) -> Self:
        """Serves requests from now on."""
        listener = Listener(*self.config.address)
        try:
            self._listener = listener
            listener.serve(build_app(self))
        except BaseException:
            listener.close()
            raise
        self.log.info("listening", address=listener.url)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the service and closes every connection. May be called twice."""
        self.stop()
        if self._listener is not None:
            self._listener.close()
        self.peers.close()
        self.market.close()
        self.follower.close()
        self.database.close()

    def stop(self) -> None:
        """Asks `run` to end, and takes no more requests."""
        self._stopping.set()
        if self._listener is not None:
            self._listener.stop()
        with self._news:
            self._news.notify_all()

    def round(self) -> bool:
        """One round; whether a stage did anything. Raises DeploymentMismatch where the chain is not the market's."""
        with self._news:
            wakes = self._wakes
        if not self._attempt(FOLLOWING, self._follow, wakes):
            with self._news:
                self._idle_at = None
            return False
        unfinished = self._attempt(SENDING, self.market.sender.tick, wakes, failed=True)
        did = failed = False
        for stage in self.stages:
            if self._stopping.is_set():
                break
            done = self._attempt(stage.name, stage.run, wakes, failed=None)
            failed |= done is None
            if done:
                did = True
                with self._news:
                    self._idle_at = None
        with self._news:
            if not (did or failed or unfinished or self._stopping.is_set()) and self._wakes == wakes:
                self._idle_at = self._head
        return did

    def once(self) -> bool:
        """Rounds until nothing is left to do at this moment; whether anything was done.

        RuntimeError where there is no end to it.
        """
        for count in range(MOST_ROUNDS):
            if not self.round():
                return count > 0
        raise RuntimeError(f"{self.me.subscriber}: not idle after {MOST_ROUNDS} rounds")

    def run(self, ready_file: Path | None = None) -> None:
        """Serves and works until SIGTERM or `stop`; `ready_file` gets address and process id once it listens.

        The work is done in a thread of its own, which is left behind where it does not end in time: whatever it does
        survives that, as it survives a crash. Raises KeyboardInterrupt after Ctrl-C, and DeploymentMismatch.
        """
        broken: list[BaseException] = []

        def work() -> None:
            try:
                self._work()
            except BaseException as error:  # handed to the thread that waits
                broken.append(error)
                self.stop()

        with _signals() as signals, self:
            if ready_file is not None:
                _write_ready(ready_file, self.url)
            worker = threading.Thread(target=work, name="stages", daemon=True)
            worker.start()
            while not (self._stopping.is_set() or signals):
                time.sleep(_SIGNAL_STEP)
            self.stop()
            worker.join(STOP_SECONDS)
            self.log.info("ended", abandoned=worker.is_alive())
        if broken:
            raise broken[0]
        if signal.SIGINT in signals:
            raise KeyboardInterrupt

    # --- internals ---

    def _work(self) -> None:
        with closing(Rpc.at(self.config.chain.rpc_url)) as node:
            while not self._stopping.is_set():
                with self._news:
                    wakes = self._wakes
                if not self.round():
                    self._sleep(wakes, node)

    def _sleep(self, wakes: int, node: Rpc) -> None:
        """Until there is a message that was not there at `wakes`, a block, the daemon's end, or a time to look again.

        A block is asked for as often as configured. What comes without block or message, files and other programs that
        answer again, is looked for at least every `LOOK_SECONDS`.
        """
        again_at = time.monotonic() + LOOK_SECONDS
        while time.monotonic() < again_at:
            with self._news:
                poll = self.config.poll_seconds
                if self._news.wait_for(lambda: self._wakes != wakes or self._stopping.is_set(), poll):
                    return
            try:
                if node.block_number() != self._head:
                    return
            except ChainError:
                return  # the round says what is wrong

    def _follow(self) -> bool:
        if not self._is_checked:
            with closing(Rpc.at(self.config.chain.rpc_url)) as rpc:
                self.market.record.check(rpc)
            self._is_checked = True
        progress = self.follower.catch_up()
        self.market.refresh()
        head = self.market.head()
        with self._news:
            self._head = head.number
        if progress.rewound_from is not None:
            self.log.warning("reorganised", block=head.number, rewound_from=progress.rewound_from)
        return True

    def _attempt(self, name: str, act: Callable[[], bool], wakes: int, failed: Any = False) -> Any:
        """What `act` returns; `failed` where it raised, or raised a moment ago and nothing has changed since."""
        trouble = self._board.trouble(name)
        saw = self._head, wakes
        if trouble is not None and trouble.saw == saw and time.monotonic() < trouble.retry_at:
            return failed
        try:
            done = act()
        except DeploymentMismatch:
            raise
        except Exception as error:
            made = self._board.failed(name, f"{type(error).__name__}: {error}", saw)
            if made.is_news:
                # What other programs do is said in a line; what is our own defect with where it happened.
                ours = not isinstance(error, ChainError | OSError)
                self.log.error("stage failed", stage=name, error=made.what, times=made.times, exc_info=ours)
            return failed
        if self._board.works(name):
            self.log.info("stage works again", stage=name)
        return done


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGTERM and SIGINT instead of what they do; nothing in a thread that is not the main one."""
    # The handler only appends: it may run in the middle of anything, locks held.
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {
        one: signal.signal(one, lambda number, _: received.append(number)) for one in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield received
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _write_ready(file: Path, url: str) -> None:
    """Whole or not at all: whoever waits for the file finds it complete."""
    aside = file.with_suffix(file.suffix + ".part")
    aside.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    aside.replace(file)
