"""A sender's process that is killed at each commit and each sending in turn, and then started again.

Run as `python -m tests.chain.dying_sender URL ECHO FOLDER` against a node that mines only when told: a first run that
nobody kills counts the boundaries; then one process is killed at each of them, and another one has to finish. Prints a
JSON object for each run; what became of it is for others to look up, on the chain and in the run's database.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from chain import artifacts
from chain.contract import Contract
from chain.network import NetworkProfile
from chain.outbox import INCLUDED
from chain.rpc import Rpc
from chain.sending import Sender
from store.database import Database
from store.outbox import StoredOutbox
from tests.chain.adversary import CHAIN_ID, Fuse, FusedDatabase, FusedRpc

INTENTS = 3
IN_FLIGHT = 2  # so that one has to wait for another
DEPTH = 3
ROUNDS = 20


def key_of(run: int) -> bytes:
    """Each run is another signer, so that they can share a chain."""
    return (0x7700 + run).to_bytes(32, "big")


def database_of(folder: Path, run: int) -> Path:
    """Where a run keeps its outbox."""
    return folder / f"{run}.db"


class Diary(Fuse):
    """A fuse that writes down each boundary as it is passed, for those who look after the process is gone."""

    def __init__(self, file: Path, breaks_at: int | None) -> None:
        super().__init__(breaks_at=breaks_at, strike=lambda _: os.kill(os.getpid(), signal.SIGKILL))
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def boundary(self, name: str) -> None:
        os.write(self._file, f"{name}\n".encode())
        super().boundary(name)


def work(url: str, echo: str, folder: Path, run: int, fuse: Fuse, *, reorganised: bool) -> None:
    """Submits and ticks until all is final; `reorganised`: meanwhile the chain takes back what it had included."""
    host, port = url.removeprefix("http://").split(":")
    node = Rpc.at(url)
    with FusedDatabase(f"sqlite:///{database_of(folder, run)}", fuse) as database:
        sender = Sender(
            url,
            key_of(run),
            StoredOutbox(database),
            NetworkProfile(CHAIN_ID, in_flight=IN_FLIGHT),
            {"Echo": Contract("Echo", echo, artifacts.load("Echo").abi, node)},
            is_final=lambda number, _: number + DEPTH <= node.block_number(),
            connect=lambda _: FusedRpc(host, int(port), fuse),
        )
        sent = [sender.submit(f"keep:{number}", "Echo", "keep", number).intent for number in range(INTENTS)]
        if reorganised:
            for _ in range(2):
                node.mine()
                sender.tick()
            assert all((found := sender.find(intent)) and found.state == INCLUDED for intent in sent)
            node.call("anvil_reorg", 2, [])
        for _ in range(ROUNDS):
            if not sender.tick():
                return
            node.mine()
    raise AssertionError(f"not final after {ROUNDS} rounds")


def one_process(url: str, echo: str, folder: Path, run: int, kill_at: int | None, *, reorganised: bool) -> list[str]:
    """The boundaries that a process passed in its life. Raises where it ended otherwise than it should."""
    diary = folder / "diary"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(url, echo, folder, run, Diary(diary, kill_at), reorganised=reorganised)
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != (0 if kill_at is None else -signal.SIGKILL):
        raise AssertionError(f"run {run} ended with {code}")
    return diary.read_text().splitlines()


def main(url: str, echo: str, folder: Path) -> None:
    """Run 0 is not killed, run k is killed at boundary k."""
    empty = folder / "empty.db"
    with Database(f"sqlite:///{empty}") as database:
        database.create()
    shutil.copy(empty, database_of(folder, 0))
    boundaries = one_process(url, echo, folder, 0, None, reorganised=True)
    print(json.dumps({"run": 0, "boundaries": boundaries}))
    for run in range(1, len(boundaries) + 1):
        shutil.copy(empty, database_of(folder, run))
        died = one_process(url, echo, folder, run, run, reorganised=True)
        again = one_process(url, echo, folder, run, None, reorganised=False)
        print(json.dumps({"run": run, "killed": died[-1], "before": len(died), "after": len(again)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
