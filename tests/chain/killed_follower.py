"""A follower that is killed at one moment: `python -m tests.chain.killed_follower URL FOLDER DATABASE MOMENT`.

Moments are counted from 1: before the first commit, after it, before the second, and so on. Where there are fewer it
ends by itself and says how many there were.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from chain.deployment import DeploymentRecord
from chain.finality import Finality
from chain.following import Follower
from store.database import Database
from store.index import StoredChain


def main(url: str, folder: str, database_url: str, moment: str) -> None:
    passed = 0

    def pass_moment() -> None:
        nonlocal passed
        passed += 1
        if passed == int(moment):
            os.kill(os.getpid(), signal.SIGKILL)

    database = Database(database_url)
    commit = database.engine.dialect.do_commit

    def commit_or_die(connection: Any) -> None:
        pass_moment()
        commit(connection)
        pass_moment()

    database.engine.dialect.do_commit = commit_or_die  # type: ignore[method-assign]
    record = DeploymentRecord.load(Path(folder))
    Follower(url, record, StoredChain(database), Finality.parse("depth:99999")).catch_up()
    print(passed)


if __name__ == "__main__":
    main(*sys.argv[1:])
