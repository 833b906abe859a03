"""What the gateway does besides answering: it follows the chain, sends what was handed to it, and tidies up."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from api.bell import Bell
from api.health import Pulse
from api.idempotency import Once
from api.market import Market
from api.relaying import Relayer
from api.telemetry import Metrics
from chain.errors import ChainError
from chain.following import Follower
from chain.rpc import Rpc
from chain.sending import Sender
from store import feed
from store.database import Database

TIDY_SECONDS: Final = 3_600
LONGEST_PAUSE: Final = 30
STOP_SECONDS: Final = 20
FOLLOWING, SENDING, DATABASE = "following", "sending", "database"

_log = structlog.get_logger("api.working")


class Work:
    """The gateway's rounds: follow, send, see what became of it; again at once while anything was done.

    `start` and `stop` run them in a thread of their own; a test runs single ones.
    """

    def __init__(
        self,
        database: Database,
        follower: Follower,
        node: Rpc,
        sender: Sender,
        relayer: Relayer,
        market: Market,
        once: Once,
        bell: Bell,
        pulse: Pulse,
        metrics: Metrics,
        seconds: float,
    ) -> None:
        """`node` is a connection of the rounds' own; `seconds` is the pause where nothing wakes them."""
        self._database = database
        self._follower = follower
        self._node = node
        self._sender = sender
        self._relayer = relayer
        self._market = market
        self._once = once
        self._bell = bell
        self._pulse = pulse
        self._metrics = metrics
        self._seconds = seconds
        self._tidied_at = time.monotonic()
        self._tried_at = -1
        self._head: int | None = None
        self._idle_at: int | None = None
        self._wakes = 0
        self._problems: dict[str, str] = {}
        self._news = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="work", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the round that is under way."""
        self._bell.ring()
        with self._news:
            self._ended = True
            self._news.notify_all()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def wake(self) -> None:
        """A request changed something. To be called before it is answered."""
        with self._news:
            self._wakes += 1
            self._idle_at = None
            self._news.notify_all()

    def status(self) -> dict[str, Any]:
        """How far the gateway is: `idle_at` is the newest block at which nothing was left to do, null while there may
        be something; `wakes` counts the requests that changed something.
        """
        with self._news:
            problems = [{"stage": stage, "what": what} for stage, what in sorted(self._problems.items()) if what]
            return {
                "pid": os.getpid(),
                "head": self._head,
                "idle_at": self._idle_at,
                "wakes": self._wakes,
                "problems": problems,
                "waiting": [],
            }

    def round(self) -> bool:
        """Everything once; whether anything was handed to the sender, so that there is more to see at once."""
        with self._news:
            wakes = self._wakes
        head = self.follow()
        taken = self.send()
        is_idle = not taken and not self._relayer.is_awaited(head)
        with self._news:
            self._head = head
            if is_idle and wakes == self._wakes:
                self._idle_at = head
        return taken

    def follow(self) -> int:
        """Follows the chain to its head, tells who waits for it, and returns the head's number."""
        tip = self._node.block_number()
        self._pulse.node_at(tip)
        self._metrics.chain_head.set(tip)
        progress = self._follower.catch_up()
        head = progress.head.number
        self._pulse.followed(head)
        self._metrics.index_head.set(head)
        self._metrics.index_lag.set(self._pulse.lag or 0)
        if progress.rewound_from is not None:
            self._metrics.reorganisations.inc()
            _log.warning("blocks left the chain", block=progress.rewound_from)
        if progress.moved:
            with self._database.reading() as connection:
                self._metrics.feed_seq.set(feed.head(connection).seq)
            self._bell.ring()
        self._noted(FOLLOWING)
        return head

    def send(self) -> bool:
        """Hands over what waits and looks after what was sent; whether anything was handed over."""
        moment = self._market.moment()
        if moment.number != self._tried_at:
            self._tried_at = moment.number
            self._relayer.try_refused(moment.time)
        taken = self._relayer.send_waiting()
        self._metrics.relayed.inc(taken)
        self._sender.tick()
        if time.monotonic() - self._tidied_at > TIDY_SECONDS:
            self._tidied_at = time.monotonic()
            self._once.forget_old()
        self._noted(SENDING)
        return bool(taken)

    def _run(self) -> None:
        pause = self._seconds
        while not self._ended:
            with self._news:
                wakes = self._wakes
            is_busy = False
            try:
                is_busy = self.round()
                pause = self._seconds
            except Exception as error:
                self._failed(error)
                pause = min(LONGEST_PAUSE, pause * 2)
            self._pulse.beat("work")
            with self._news:
                self._news.wait_for(partial(self._is_woken, wakes), 0 if is_busy else pause)

    def _is_woken(self, seen: int) -> bool:
        return self._ended or self._wakes != seen

    def _failed(self, error: Exception) -> None:
        # The kind alone where others failed: a text may carry the node's address.
        kind = type(error).__name__
        if isinstance(error, ChainError | SQLAlchemyError | OSError):
            _log.warning("round failed", error=kind)
        else:
            _log.exception("round failed", error=kind)
        stage = DATABASE if isinstance(error, SQLAlchemyError) else SENDING if self._is_ahead() else FOLLOWING
        self._metrics.failures.labels(stage, kind).inc()
        self._noted(stage, kind)

    def _is_ahead(self) -> bool:
        """Whether following succeeded in the round that failed."""
        return not self._problems.get(FOLLOWING) and self._pulse.lag == 0

    def _noted(self, stage: str, problem: str = "") -> None:
        self._pulse.fault(stage, problem)
        with self._news:
            self._problems[stage] = problem
            if not problem:
                self._problems.pop(DATABASE, None)
        if not problem:
            self._pulse.fault(DATABASE)
