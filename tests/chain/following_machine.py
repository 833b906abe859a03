"""The follower against chains that grow, fork and lag at random, and a model that knows what it must hold.

The node is one address with several backends behind it: each call may be answered by one that lags, or one that still
has the chain of before the last reorganisation. Writing fails now and then, the program is started again now and then.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection

from chain import following, view
from chain.errors import ConnectionFailed, RpcError
from chain.finality import Finality
from chain.following import Follower
from chain.view import ChainView
from store.database import Database
from store.index import Change, StoredChain, blocks, followed, logs
from store.schema import metadata
from tests.chain.fake_node import FakeBlock, FakeChain, FakeLog, FakeNode, log_of, word
from tests.chain.indexes import block_rows, log_rows

DEPTH = 5
LAG = 3
CYCLES = (1, 2)


def row_digest(cycle: int) -> bytes:
    return word(1_000 + cycle)


LOGS = {
    "paused": log_of("MemberRegistry", "Paused", until=9),
    "fell due": log_of("ObligationLedger", "FellDue", number=1),
}
for cycle in CYCLES:
    LOGS |= {
        f"sealed {cycle}": log_of("AllocationOracle", "RunSealed", cycle=cycle),
        f"claimed {cycle}": log_of("Settlement", "ClaimApplied", cycle=cycle),
        f"attested {cycle}": log_of("Settlement", "RowAttested", cycle=cycle, row_digest=row_digest(cycle)),
        f"published {cycle}": log_of("Settlement", "RowPublished", row_digest=row_digest(cycle)),
        f"committed {cycle}": log_of("TradeBook", "BatchCommitted", cycle=cycle),
    }

block_logs = st.lists(st.sampled_from(sorted(LOGS)), max_size=2)
branches = st.lists(block_logs, min_size=1, max_size=4)


def written(names: list[str]) -> list[FakeLog]:
    return [LOGS[name] for name in names]


class WritingFailed(Exception):
    """What the database raises when it cannot write."""


class Following(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.chain = FakeChain()
        self.node = FakeNode(self.chain)
        self.former = self.chain.head
        self.highest = 0
        self.failing = False
        self.heard: list[tuple[int, int, str]] = []
        self.folder = TemporaryDirectory(prefix="clearwatt-index-")
        self.database = Database(f"sqlite:///{self.folder.name}/index.db")
        with self.database.transaction() as connection:
            metadata.create_all(connection, tables=[followed, blocks, logs])
        self.start()

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    def start(self) -> None:
        self.memory = StoredChain(self.database, [self.listen])
        self.follower = Follower("http://127.0.0.1:1", self.chain.record(), self.memory, Finality(DEPTH))
        self.follower._rpc = self.node
        self.view = ChainView(self.memory, self.chain.record())
        self.node.views = []
        self.follower.catch_up()

    def listen(self, connection: Connection, change: Change) -> None:
        if self.failing:
            raise WritingFailed
        for log in change.removed:
            self.heard.remove((log.block.number, log.index, log.name))
        self.heard += [(log.block.number, log.index, log.name) for log in change.appended]

    # --- what happens on the chain ---

    @rule(logs=branches)
    def grow(self, logs: list[list[str]]) -> None:
        self.chain.extend(*map(written, logs))

    @rule(blocks=st.integers(8, 30), logs=block_logs)
    def grow_far(self, blocks: int, logs: list[str]) -> None:
        empty: list[list[FakeLog]] = [[]] * (blocks // 2)
        self.chain.extend(*empty, written(logs), *empty)

    @precondition(lambda self: self.chain.head.number > max(0, self.highest - DEPTH))
    @rule(data=st.data(), logs=st.lists(block_logs, min_size=1, max_size=5))
    def reorganise(self, data: Any, logs: list[list[str]]) -> None:
        self.fork(data, logs)

    # --- what the follower does ---

    @rule()
    def follow(self) -> None:
        self.note_height()
        self.follower.catch_up()
        assert self.followed() == self.chain.head

    @rule(data=st.data())
    def follow_a_node_that_lags(self, data: Any) -> None:
        before = self.followed()
        lag = data.draw(st.integers(1, LAG))
        seen = self.chain.head.at(max(0, self.chain.head.number - lag))
        assert seen is not None
        self.node.views = [seen] * 200
        progress = self.attempt()
        if before in self.chain.head.path():
            assert progress is None or progress.rewound_from is None
            assert self.followed().number == max(before.number, seen.number)

    @rule(data=st.data())
    def follow_many_backends(self, data: Any) -> None:
        self.node.views = data.draw(st.lists(st.sampled_from(self.backends()), max_size=40))
        self.attempt()

    @rule(data=st.data(), grown=branches, logs=branches, calls=st.integers(1, 8))
    def follow_while_the_chain_is_reorganised(
        self, data: Any, grown: list[list[str]], logs: list[list[str]], calls: int
    ) -> None:
        before = self.chain.extend(*map(written, grown))
        self.note_height()
        if before.number > max(0, self.highest - DEPTH):
            self.fork(data, logs)
            self.node.views = [before] * calls
        self.attempt()

    @rule()
    def follow_but_fail_to_write(self) -> None:
        before = block_rows(self.database), log_rows(self.database)
        self.failing = True
        try:
            moved = self.attempt()
        except WritingFailed:
            moved = None
        self.failing = False
        assert moved is None or not moved.moved
        assert before == (block_rows(self.database), log_rows(self.database))

    @rule()
    def start_again(self) -> None:
        self.note_height()
        self.start()

    def attempt(self) -> following.Progress | None:
        self.note_height()
        try:
            return self.follower.catch_up()
        except (RpcError, ConnectionFailed):
            return None  # backends that contradict each other may be refused; then nothing is lost
        finally:
            self.node.views = []

    def fork(self, data: Any, logs: list[list[str]]) -> None:
        deepest = self.chain.head.number - max(0, self.highest - DEPTH)
        self.former = self.chain.head
        self.chain.fork(data.draw(st.integers(1, deepest)), *map(written, logs))

    def note_height(self) -> None:
        # What may be final from now on is what any backend says of the chain's height.
        self.highest = max(self.highest, self.chain.head.number, *(view.number for view in self.node.views))

    def backends(self) -> list[FakeBlock]:
        lagging = [self.chain.head.at(self.chain.head.number - lag) for lag in range(LAG + 1)]
        candidates = [block for block in (*lagging, self.former) if block is not None]
        return [block for block in candidates if block.number >= self.chain.head.number - LAG]

    def followed(self) -> FakeBlock:
        return self.chain.blocks[self.view.head().hash]

    # --- what it must hold ---

    @invariant()
    def holds_the_logs_of_its_chain_and_no_others(self) -> None:
        path = list(reversed(list(self.followed().path())))
        attested: set[bytes] = set()
        expected = []
        for block in path:
            for place, log in enumerate(block.logs):
                cycle, digest = about(log)
                if log.name == "RowAttested" and digest is not None:
                    attested.add(digest)
                if log.name == "RowPublished" and digest not in attested:
                    cycle = None
                expected.append((block.number, place, log.contract, log.name, cycle, digest, block.hash, block.time))
        rows = log_rows(self.database)
        assert [(row[0], row[1], *row[3:7], *row[9:]) for row in rows] == expected
        assert sorted(self.heard) == [(row[0], row[1], row[4]) for row in rows]
        for cycle in CYCLES:
            wanted = [(row[0], row[1]) for row in expected if row[4] == cycle]
            assert [(event.block, event.log_index) for event in self.view.cycle(cycle).events] == wanted
        wanted = [(row[0], row[1]) for row in expected if row[2] in view.STANDING]
        assert [(event.block, event.log_index) for event in self.view.standing().events] == wanted

    @invariant()
    def holds_the_blocks_that_comparing_needs(self) -> None:
        chain = {block.number: block.hash for block in self.followed().path()}
        rows = {row[0]: row[1] for row in block_rows(self.database)}
        assert rows.items() <= chain.items()
        assert 0 in rows
        assert rows.keys() >= {number for number in chain if number > self.highest - DEPTH}
        empty_below = [number for number in rows if number < self.highest - DEPTH - 60]
        assert len(empty_below) <= len(log_rows(self.database)) + 1


def about(log: FakeLog) -> tuple[int | None, bytes | None]:
    for cycle in CYCLES:
        if log.name in ("RowAttested", "RowPublished") and row_digest(cycle) in (*log.topics, log.data[-64:-32]):
            return cycle, row_digest(cycle)
        if log.name == "ClaimApplied" and log.data[:32] == word(cycle):
            return cycle, None
        if log.name in ("RunSealed", "BatchCommitted") and word(cycle) in log.topics[1:]:
            return cycle, None
    return None, None


def run(examples: int) -> None:
    run_state_machine_as_test(
        Following,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
