"""Following a real node: what is remembered equals what a follower that begins later finds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from chain import following
from chain.deployment import DeploymentRecord
from chain.errors import ChainError, ConnectionFailed, DeploymentMismatch, FinalityBroken, RpcError
from chain.finality import Finality
from chain.following import Follower
from chain.node import Anvil
from chain.view import ChainView
from store.database import Database
from store.errors import DatabaseUnfit
from store.index import StoredChain
from tests.chain.conftest import GENESIS_TIME
from tests.chain.echoes import FIRST_OF_LOAD, founded, indexed, say, under_load
from tests.chain.fake_node import FakeChain, FakeNode, log_of
from tests.chain.indexes import assert_same, block_rows, final_number, log_rows
from tests.chain.lagging import lagging
from tests.store.databases import database, database_url

__all__ = ["database", "database_url"]

# Deep enough that no block of these chains is final, so every block has a row and the rows of two indexes are the same.
NEVER = Finality.parse("depth:99999")


@pytest.fixture
def node() -> Iterator[Anvil]:
    with Anvil(GENESIS_TIME) as started:
        yield started


@pytest.fixture
def record(node: Anvil) -> DeploymentRecord:
    return founded(node)


def follower_of(url: str, record: DeploymentRecord, database: Database, finality: Finality = NEVER) -> Follower:
    return Follower(url, record, StoredChain(database), finality)


def follow(follower: Follower, rewound: list[int]) -> None:
    """Follows, and notes from which block on something was taken back."""
    with suppress(RpcError):  # a block left the chain between two questions
        progress = follower.catch_up()
        if progress.rewound_from is not None:
            rewound.append(progress.rewound_from)


def said(database: Database) -> list[int]:
    """The numbers in the followed logs, in chain order."""
    return [int.from_bytes(row[8][32:64], "big") for row in log_rows(database)]


def test_follows_to_the_head_and_then_block_by_block(node: Anvil, record: DeploymentRecord, database: Database) -> None:
    say(node, record, 11, 12)
    follower = follower_of(node.url, record, database)
    first = follower.catch_up()
    assert (first.head.number, first.moved, first.rewound_from) == (3, True, None)
    assert first.head.time == node.rpc.timestamp()
    again = follower.catch_up()
    assert (again.head.number, again.moved, again.rewound_from) == (3, False, None)
    node.rpc.mine(2, GENESIS_TIME + 60)
    say(node, record, 13)
    assert follower.catch_up().head.number == 6
    assert said(database) == [11, 12, 13]
    assert [row[0] for row in block_rows(database)] == list(range(7))
    view = ChainView(StoredChain(database), record)
    assert [(one.name, one["big"], one.block) for one in view.since(-1, 0, 10)] == [
        ("Said", 11, 2),
        ("Said", 12, 3),
        ("Said", 13, 6),
    ]
    assert view.head().time == GENESIS_TIME + 60


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_a_reorganisation_under_load(
    node: Anvil, record: DeploymentRecord, database: Database, tmp_path: Path, depth: int
) -> None:
    say(node, record, *range(20))
    follower = follower_of(node.url, record, database)
    rewound: list[int] = []
    with under_load(node, record):
        for _ in range(200):  # a reorganisation is missed where the load was quicker than the follower
            time.sleep(0.03)
            follow(follower, rewound)
            if len(rewound) >= 3:
                break
            node.rpc.call("anvil_reorg", depth, [])
            follow(follower, rewound)
    follower.catch_up()
    assert len(rewound) >= 3
    fresh = indexed(node.url, record, tmp_path, "fresh", NEVER)
    assert_same(database, fresh)
    assert max(said(database)) >= FIRST_OF_LOAD


def test_a_reorganisation_goes_back_no_further_than_it_must(
    node: Anvil, record: DeploymentRecord, database: Database
) -> None:
    say(node, record, *range(8))
    heard: list[tuple[list[int], list[int], int]] = []
    memory = StoredChain(
        database,
        [
            lambda _, change: heard.append(
                (
                    [log.block.number for log in change.removed],
                    [log.block.number for log in change.appended],
                    change.head.number,
                )
            )
        ],
    )
    follower = Follower(node.url, record, memory, NEVER)
    follower.catch_up()
    kept = block_rows(database)
    heard.clear()
    node.rpc.call("anvil_rollback", 3)
    say(node, record, 101, 102, 103, 104)
    progress = follower.catch_up()
    assert (progress.rewound_from, progress.head.number) == (7, 10)
    assert heard == [([7, 8, 9], [7, 8, 9, 10], 10)]  # what went and what came, in one transaction
    assert block_rows(database)[:7] == kept[:7]
    assert said(database) == [0, 1, 2, 3, 4, 101, 102, 103, 104]


def test_a_shorter_chain_is_followed_too(node: Anvil, record: DeploymentRecord, database: Database) -> None:
    say(node, record, *range(8))
    follower = follower_of(node.url, record, database)
    follower.catch_up()
    node.rpc.call("anvil_rollback", 5)
    say(node, record, 101)
    progress = follower.catch_up()
    assert (progress.rewound_from, progress.head.number) == (5, 5)
    assert said(database) == [0, 1, 2, 101]


@pytest.mark.parametrize("behind", [(4,), (0, 3), (0, 0, 2, 0, 5, 1)])
def test_nodes_that_lag(
    node: Anvil, record: DeploymentRecord, database: Database, tmp_path: Path, behind: tuple[int, ...]
) -> None:
    with lagging(node, *behind) as url:
        follower = follower_of(url, record, database)
        newest = 0
        for number in range(30):
            say(node, record, number)
            try:
                progress = follower.catch_up()
            except RpcError as error:
                assert error.message == "unknown block"  # noqa: PT017 - one knew it, and the next one not
                continue
            assert progress.rewound_from is None
            assert progress.head.number >= newest
            newest = progress.head.number
        node.rpc.mine(max(behind))
        for _ in range(10):
            with suppress(RpcError):
                follower.catch_up()
    assert newest > 20
    fresh = indexed(node.url, record, tmp_path, "fresh", NEVER)
    assert log_rows(database) == log_rows(fresh)
    assert said(database) == list(range(30))


def test_a_node_that_knows_less_than_before_takes_nothing_back(
    node: Anvil, record: DeploymentRecord, database: Database
) -> None:
    say(node, record, *range(12))
    follower_of(node.url, record, database).catch_up()
    before = block_rows(database), log_rows(database)
    with lagging(node, 9) as url:
        progress = follower_of(url, record, database).catch_up()
    assert (progress.moved, progress.rewound_from, progress.head.number) == (False, None, 13)
    assert (block_rows(database), log_rows(database)) == before


def test_a_node_that_was_restarted(record: DeploymentRecord, node: Anvil, database: Database, tmp_path: Path) -> None:
    say(node, record, 1, 2, 3)
    follower = follower_of(node.url, record, database)
    follower.catch_up()
    node.close()
    with pytest.raises(ConnectionFailed):
        follower.catch_up()
    with Anvil(GENESIS_TIME, port=node.port) as empty:
        assert follower.catch_up().moved is False  # it has to catch up itself
        assert founded(empty) == record
        say(empty, record, 1, 2)
        assert follower.catch_up().moved is False
        say(empty, record, 3, 4)
        progress = follower.catch_up()
        assert (progress.head.number, progress.rewound_from) == (5, None)
        assert said(database) == [1, 2, 3, 4]
        assert_same(database, indexed(empty.url, record, tmp_path, "fresh", NEVER))


def test_a_node_of_another_chain_is_refused(node: Anvil, record: DeploymentRecord, database: Database) -> None:
    follower = follower_of(node.url, record, database)
    follower.catch_up()
    before = block_rows(database)
    node.close()
    with pytest.raises(ConnectionFailed):
        follower.catch_up()
    with Anvil(GENESIS_TIME + 1, port=node.port) as other:
        founded(other)
        with pytest.raises(DeploymentMismatch, match="the node's genesis is 0x"):
            follower.catch_up()
    wrong = pytest.raises(DeploymentMismatch, match="the node's chain id is 4242, the record says 8217")
    with Anvil(GENESIS_TIME, port=node.port, chain_id=4242) as other, wrong:
        follower_of(other.url, record, database).catch_up()
    assert block_rows(database) == before


def test_a_node_swapped_behind_the_same_address_is_refused(record: DeploymentRecord, database: Database) -> None:
    chain, other = FakeChain(), FakeChain("another genesis")
    chain.extend([], [])
    node = FakeNode(chain)
    follower = follower_of("http://127.0.0.1:1", chain.record(), database)
    follower._rpc = node
    follower.catch_up()
    other.extend([], [], [])
    node.chain = other
    with pytest.raises(DeploymentMismatch, match="the node's genesis is 0x"):
        follower.catch_up()


def test_a_database_of_another_market_is_refused(node: Anvil, record: DeploymentRecord, database: Database) -> None:
    follower_of(node.url, record, database).catch_up()
    other = DeploymentRecord(**{**vars(record), "market_id": b"\x09" * 32})
    with pytest.raises(DatabaseUnfit, match=f"follows market 0x{record.market_id.hex()} on chain 8217"):
        follower_of(node.url, other, database).catch_up()


@pytest.mark.parametrize(
    ("finality", "depth", "taken_back"), [("instant", 1, False), ("depth:3", 3, True), ("depth:3", 4, False)]
)
def test_final_blocks_are_never_taken_back(
    node: Anvil, record: DeploymentRecord, database: Database, finality: str, depth: int, taken_back: bool
) -> None:
    say(node, record, *range(10))
    follower = follower_of(node.url, record, database, Finality.parse(finality))
    follower.catch_up()
    before = block_rows(database), log_rows(database)
    node.rpc.call("anvil_rollback", depth)
    say(node, record, *range(100, 106))
    if taken_back:
        assert follower.catch_up().rewound_from == 12 - depth
    else:
        final = 11 - (0 if finality == "instant" else 3)
        with pytest.raises(FinalityBroken, match=f"^block {final} was final as 0x.*blocks up to {final} are final"):
            follower.catch_up()
        assert (block_rows(database), log_rows(database)) == before
        # The program may be started again, even with a laxer finality: what was final stays final.
        with pytest.raises(FinalityBroken):
            follower_of(node.url, record, database, NEVER).catch_up()


def test_finality_by_the_nodes_tag(database: Database) -> None:
    chain = FakeChain()
    chain.extend([], [], [], [], [])
    follower = follower_of("http://127.0.0.1:1", chain.record(), database, Finality.parse("tag"))
    node = follower._rpc = FakeNode(chain)
    with pytest.raises(ChainError, match="the node knows no finalized block: choose finality by depth"):
        follower.catch_up()
    node.finalized = 2
    follower.catch_up()
    view = ChainView(StoredChain(database), chain.record())
    assert final_number(database) == 2
    assert view.head().final is False
    node.finalized = 5  # without a new block
    assert follower.catch_up().moved is False
    assert final_number(database) == 5
    assert view.head().final is True
    node.finalized = 3
    follower.catch_up()
    assert final_number(database) == 5


def test_a_locked_database_delays_but_loses_nothing(node: Anvil, record: DeploymentRecord, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/locked.sqlite"
    with Database(url) as locked, Database(url) as other:
        event.listen(locked.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=50"))
        locked.create()
        say(node, record, 1, 2)
        follower = follower_of(node.url, record, locked)
        follower.catch_up()
        say(node, record, 3, 4)
        before = block_rows(locked), log_rows(locked)
        with other.transaction():
            with pytest.raises(OperationalError, match="database is locked"):
                follower.catch_up()
            assert (block_rows(locked), log_rows(locked)) == before
        follower.catch_up()
        assert_same(locked, indexed(node.url, record, tmp_path, "fresh", NEVER))
        assert said(locked) == [1, 2, 3, 4]


# --- ranges ---


def ranges(node: FakeNode) -> list[int]:
    """How wide the ranges were that logs were asked for, in order."""
    asked = [params[0] for method, params in node.asked if method == "eth_getLogs" and "fromBlock" in params[0]]
    return [int(one["toBlock"], 16) - int(one["fromBlock"], 16) + 1 for one in asked]


def test_far_from_the_head_ranges_adapt(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FIRST_RANGE", 64)
    monkeypatch.setattr(following, "WIDEST_RANGE", 128)
    chain = FakeChain()
    busy = log_of("MemberRegistry", "Paused", until=1)
    chain.extend(*[[busy]] * 100, *[[]] * 700)
    follower = follower_of("http://127.0.0.1:1", chain.record(), database, Finality.parse("instant"))
    node = follower._rpc = FakeNode(chain)
    node.most_logs = 20
    follower.catch_up()
    assert ranges(node)[:5] == [64, 32, 16, 32, 16]  # halved when refused, tried wider again when taken
    assert max(ranges(node)) == 128
    by_hash = [params[0]["blockHash"] for method, params in node.asked if "blockHash" in json.dumps(params)]
    assert len(by_hash) == following.NEAR
    assert len(log_rows(database)) == 100
    assert follower.catch_up().moved is False
    assert [row[0] for row in block_rows(database)][-following.NEAR :] == list(range(769, 801))
    assert len(block_rows(database)) < 100 + following.NEAR + 128 + 20  # most empty blocks left no row


def test_a_range_of_one_block_that_is_refused_is_an_error(database: Database) -> None:
    chain = FakeChain()
    chain.extend([log_of("MemberRegistry", "Paused", until=1)], *[[]] * 60)
    follower = follower_of("http://127.0.0.1:1", chain.record(), database, Finality.parse("instant"))
    node = follower._rpc = FakeNode(chain)
    node.most_logs = 0
    with pytest.raises(RpcError, match="more than the allowed number of results"):
        follower.catch_up()
    assert ranges(node) == [29, 14, 7, 3, 1]
    node.most_logs = 1
    assert follower.catch_up().head.number == 61
    assert len(log_rows(database)) == 1


def test_ranges_on_a_real_node(node: Anvil, record: DeploymentRecord, database: Database, tmp_path: Path) -> None:
    node.rpc.mine(300)
    say(node, record, 1, 2)
    node.rpc.mine(300)
    follower = follower_of(node.url, record, database, Finality.parse("instant"))
    follower.catch_up()
    assert said(database) == [1, 2]
    assert len(block_rows(database)) < 50
    one_by_one = indexed(node.url, record, tmp_path, "dense", NEVER)
    assert len(block_rows(one_by_one)) == 604
    assert log_rows(database) == log_rows(one_by_one)


def test_a_log_that_no_abi_knows_stops_following(database: Database) -> None:
    chain = FakeChain()
    chain.extend([log_of("MemberRegistry", "Paused", until=1)])
    follower = follower_of("http://127.0.0.1:1", chain.record(), database)
    follower._rpc = FakeNode(chain)
    del follower._decoder._events["MemberRegistry"][chain.head.logs[0].topics[0]]
    with pytest.raises(DeploymentMismatch, match="MemberRegistry wrote a log that is in no ABI of ours"):
        follower.catch_up()
    assert len(block_rows(database)) == 1


@pytest.mark.parametrize("text", ["", "depth", "depth:", "depth:-1", "depth:01", "depth:1234567", "Instant", "final"])
def test_finality_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="finality is instant, depth:N or tag, not "):
        Finality.parse(text)


def test_finality() -> None:
    def tagged() -> int:
        return 7

    assert [Finality.parse(text).newest_final(10, tagged) for text in ("instant", "depth:3", "depth:0", "tag")] == [
        10,
        7,
        10,
        7,
    ]
    assert Finality.parse("depth:12").newest_final(10, tagged) == 0
