"""The index: no log outlives its block, a change is made as a whole, and few rows remain of empty blocks."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, func, select

from store import index
from store.database import Database
from store.errors import DatabaseUnfit, IndexOutrun
from store.index import Change, StoredBlock, StoredChain, blocks, logs
from tests.store.databases import database, database_url

__all__ = ["database", "database_url"]

MARKET, GENESIS = bytes(31) + b"\x07", bytes(31) + b"\x08"


def word(number: int, branch: int = 0) -> bytes:
    return branch.to_bytes(16, "big") + number.to_bytes(16, "big")


def opened(database: Database, *listeners: index.Listener) -> StoredChain:
    chain = StoredChain(database, listeners)
    chain.open(MARKET, 8217, GENESIS)
    return chain


def extend(
    chain: StoredChain,
    first: int,
    last: int,
    *,
    after: StoredBlock | None = None,
    branch: int = 0,
    final: int = 0,
    log: dict[str, object] | None = None,
) -> StoredBlock:
    """Blocks `first` to `last`, each with a log if one is given, in place of what is above `after` (the head)."""
    mark = chain.mark()
    head = mark.head if mark else None
    with chain.change(head, after or head, final) as page:
        for number in range(first, last + 1):
            page.add_block(number, word(number, branch), word(number - 1, branch) if number else bytes(32), number * 5)
            if log is not None:
                page.add_log(**{**LOG, **log})  # type: ignore[arg-type]
    newest = chain.newest_block(last)
    assert newest is not None
    return newest


LOG: dict[str, object] = {
    "index": 0,
    "transaction": word(1),
    "contract": "Settlement",
    "name": "RowApplied",
    "cycle": 5,
    "row_digest": None,
    "topics": (word(2), word(3)),
    "data": b"\x00\x01",
}


def count(database: Database, what: object) -> int:
    with database.reading() as connection:
        found: int = connection.scalar(select(func.count()).select_from(what))  # type: ignore[arg-type]
        return found


def test_a_log_comes_back_as_it_was(database: Database) -> None:
    chain = opened(database)
    extend(chain, 0, 3, log={"data": b"", "topics": (word(9),), "row_digest": word(4)})
    mark, found = chain.of_cycle(5, 2)
    assert (mark.head, mark.final, mark.rewinds) == (StoredBlock(3, word(3), word(2), 15), 0, 0)
    (log,) = found
    assert log.block == mark.head
    assert (log.index, log.transaction, log.contract, log.name) == (0, word(1), "Settlement", "RowApplied")
    assert (log.cycle, log.row_digest, log.topics, log.data) == (5, word(4), (word(9),), b"")
    assert [one.block.number for one in chain.of_row(word(4))] == [0, 1, 2, 3]


def test_no_log_outlives_its_block(database: Database) -> None:
    heard: list[Change] = []
    chain = opened(database, lambda _, change: heard.append(change))
    extend(chain, 0, 9, log={})
    ancestor = chain.newest_block(6)
    extend(chain, 7, 8, after=ancestor, branch=1, log={"cycle": 6})
    assert [log.block.number for log in heard[-1].removed] == [7, 8, 9]
    assert {log.block.hash for log in heard[-1].removed} == {word(7), word(8), word(9)}
    assert [(log.block.hash, log.cycle) for log in heard[-1].appended] == [(word(7, 1), 6), (word(8, 1), 6)]
    assert heard[-1].head == StoredBlock(8, word(8, 1), word(7, 1), 40)
    assert count(database, logs) == 9
    mark = chain.mark()
    assert mark is not None
    assert (mark.head.number, mark.rewinds) == (8, 1)


def test_a_block_that_is_deleted_takes_its_logs_along(database: Database) -> None:
    chain = opened(database)
    extend(chain, 0, 3, log={})
    with database.transaction() as connection:
        connection.execute(blocks.delete().where(blocks.c.number == 2))
    assert [log.block.number for log in chain.since(-1, 0, 10)] == [0, 1, 3]


def test_a_listener_that_fails_undoes_the_change(database: Database) -> None:
    class Full(Exception):
        pass

    def refuse(connection: Connection, change: Change) -> None:
        if change.head.number > 3:
            assert connection.scalar(select(func.count()).select_from(logs)) == 8  # it sees what was written
            raise Full

    chain = opened(database, refuse)
    extend(chain, 0, 3, log={}, final=2)
    with pytest.raises(Full):
        extend(chain, 4, 7, log={}, final=6)
    mark = chain.mark()
    assert mark is not None
    assert (mark.head.number, mark.final, count(database, blocks), count(database, logs)) == (3, 2, 4, 4)


def test_what_fails_while_it_is_put_together_changes_nothing(database: Database) -> None:
    chain = opened(database)
    head = extend(chain, 0, 3)

    def give_up() -> None:
        with chain.change(head, head, 0) as page:
            page.add_block(4, word(4), word(3), 20)
            raise ValueError("the node went away")

    with pytest.raises(ValueError, match="the node went away"):
        give_up()
    assert count(database, blocks) == 4


def test_who_is_outrun_changes_nothing(database: Database) -> None:
    slow = opened(database)
    old_head = extend(slow, 0, 3)
    extend(opened(database), 3, 5, after=slow.newest_block(2), branch=1)
    with (
        pytest.raises(IndexOutrun, match="somebody else has followed the chain in the meantime"),
        slow.change(old_head, old_head, 0) as page,
    ):
        page.add_block(4, word(4), word(3), 20)
    mark = slow.mark()
    assert mark is not None
    assert mark.head.hash == word(5, 1)


def test_final_never_sinks_nor_passes_the_head(database: Database) -> None:
    chain = opened(database)
    finals = []
    for first, final in ((0, 99), (10, 4), (20, 25)):
        extend(chain, first, first + 9, final=final)
        mark = chain.mark()
        assert mark is not None
        finals.append(mark.final)
    assert finals == [9, 9, 25]


def test_rows_of_empty_blocks_go_when_they_are_old(database: Database) -> None:
    chain = opened(database)
    extend(chain, 0, 0)
    extend(chain, 1, 3, log={})
    for first in range(4, 4_000, 100):
        extend(chain, first, first + 99, final=first + 90)
    final = 3_904 + 90
    with database.reading() as connection:
        kept = list(connection.scalars(select(blocks.c.number).order_by(blocks.c.number)))
    assert kept[:4] == [0, 1, 2, 3]  # the genesis block, and those that brought logs
    newest_pruned = kept[4] - 1
    assert kept[4:] == list(range(kept[4], 4_004))
    bound = final - index.KEPT_BELOW_FINAL
    assert bound - index.PRUNED_AT_ONCE < newest_pruned <= bound
    assert chain.newest_block(2_000) == StoredBlock(3, word(3), word(2), 15)


@pytest.mark.parametrize("together", [True, False])
def test_a_log_that_names_only_a_row_gets_the_rows_cycle(database: Database, together: bool) -> None:
    chain = opened(database)
    head = extend(chain, 0, 0)
    story = [
        ("RowPublished", None, word(7)),  # before the row is known: of no cycle
        ("RowAttested", 5, word(7)),
        ("RowAttested", 6, word(8)),
        ("RunSealed", 9, None),
        ("ChunkPublished", None, word(7)),
        ("RowPublished", None, word(8)),
        ("FellDue", None, None),
    ]
    for page in [story] if together else [[one] for one in story]:
        with chain.change(head, head, 0) as change:
            for name, cycle, row in page:
                number = head.number + 1
                head = StoredBlock(number, word(number), word(number - 1), 5)
                change.add_block(number, head.hash, head.parent, head.time)
                change.add_log(0, word(1), "Settlement", name, cycle, row, (word(2),), b"")
    assert [(log.name, log.cycle) for log in chain.since(-1, 0, 99)] == [
        ("RowPublished", None),
        ("RowAttested", 5),
        ("RowAttested", 6),
        ("RunSealed", 9),
        ("ChunkPublished", 5),
        ("RowPublished", 6),
        ("FellDue", None),
    ]
    assert chain.cycles({"RowAttested"}) == (5, 6)


def test_an_index_is_of_one_market_on_one_chain(database: Database) -> None:
    opened(database)
    opened(database)  # again is no matter
    for market, chain_id, genesis in ((word(1), 8217, GENESIS), (MARKET, 1, GENESIS), (MARKET, 8217, word(2))):
        with pytest.raises(DatabaseUnfit, match=f"on chain 8217 with genesis .*, not market 0x{market.hex()} on chain"):
            StoredChain(database).open(market, chain_id, genesis)


def test_before_anything_was_followed(database: Database) -> None:
    chain = opened(database)
    assert chain.mark() is None
    assert chain.newest_block(10) is None
    assert chain.since(-1, 0, 10) == ()
    with pytest.raises(DatabaseUnfit, match="nothing of the chain has been followed yet"):
        chain.of_cycle(5, -1)
