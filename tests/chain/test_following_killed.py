"""A follower killed at every commit boundary: started again, it ends with what an undisturbed one has."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.finality import Finality
from chain.following import Follower
from chain.node import Anvil
from store.database import Database
from store.index import StoredChain
from tests.chain.conftest import GENESIS_TIME
from tests.chain.echoes import founded, indexed, say
from tests.chain.indexes import assert_same, block_rows

ROOT = Path(__file__).resolve().parents[2]
NEVER = Finality.parse("depth:99999")


@pytest.fixture
def node() -> Iterator[Anvil]:
    with Anvil(GENESIS_TIME) as started:
        yield started


@pytest.mark.parametrize(
    ("reorganised", "moments"),
    [
        (False, 8),  # opening, the genesis block, 32 blocks, the rest
        (True, 6),  # opening, what is taken back with the 32 blocks in its place, the rest
    ],
)
def test_killed_at_every_moment(node: Anvil, tmp_path: Path, reorganised: bool, moments: int) -> None:
    record = founded(node)
    record.save(tmp_path)
    say(node, record, *range(20))
    node.rpc.mine(19)
    with Database(f"sqlite:///{tmp_path}/start.sqlite") as start:
        start.create()
        if reorganised:
            Follower(node.url, record, StoredChain(start), NEVER).catch_up()
            node.rpc.call("anvil_rollback", 24)
            say(node, record, *range(100, 140))
    undisturbed = indexed(node.url, record, tmp_path, "undisturbed", NEVER)
    reached = set()
    for moment in range(1, moments + 2):
        file = tmp_path / f"killed-{moment}.sqlite"
        shutil.copy(tmp_path / "start.sqlite", file)
        command = [sys.executable, "-m", "tests.chain.killed_follower", node.url, str(tmp_path), f"sqlite:///{file}"]
        ended = subprocess.run([*command, str(moment)], cwd=ROOT, capture_output=True, text=True, check=False)
        with Database(f"sqlite:///{file}") as database:
            reached.add(len(block_rows(database)))
            if moment > moments:
                assert (ended.returncode, ended.stdout.strip()) == (0, str(moments)), ended.stderr
            else:
                assert ended.returncode == -signal.SIGKILL, ended.stderr
                Follower(node.url, record, StoredChain(database), NEVER).catch_up()
            assert_same(database, undisturbed)
    assert len(reached) >= 3  # it was killed at really different moments
