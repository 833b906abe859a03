"""The follower on chains that grow, fork and lag at random; and followers with a bug each, which it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import IntegrityError

from chain import following
from chain.errors import FinalityBroken, NothingFollowed
from chain.following import Follower
from chain.view import ChainView
from store import index
from store.errors import DatabaseUnfit, IndexOutrun
from store.index import Change, StoredChain, StoredPage, blocks, logs
from tests.chain.following_machine import run


@pytest.fixture(autouse=True)
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that short chains are already long ones."""
    for module, name, value in (
        (following, "NEAR", 4),
        (following, "BLOCKS_AT_ONCE", 3),
        (following, "FIRST_RANGE", 5),
        (following, "LOGS_AT_ONCE", 4),
        (index, "KEPT_BELOW_FINAL", 4),
        (index, "PRUNED_AT_ONCE", 4),
    ):
        monkeypatch.setattr(module, name, value)


def test_follows_whatever_the_chain_does() -> None:
    run(40)


# --- bugs that it must find ---


def ranges_near_the_head(patch: pytest.MonkeyPatch) -> None:
    def fetch(self: Follower, after: Any, tip: Any, final: int) -> Any:
        return self._fetch_range(after, tip.number) if after.number < tip.number else ()

    patch.setattr(Follower, "_fetch", fetch)


def parents_unchecked(patch: pytest.MonkeyPatch) -> None:
    def fetch_each(self: Follower, after: Any, tip: Any) -> list[Any]:
        found: list[Any] = []
        for number in range(after.number + 1, min(tip.number, after.number + 3) + 1):
            header = following._header(self._rpc.block(number))
            logs = self._logs_of(header)
            if logs is None:
                break
            found.append(following.Found(header, logs))
        return found

    patch.setattr(Follower, "_fetch_each", fetch_each)


def reorganisations_unseen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Follower, "_kept", lambda self, mark, tip: mark.head)


def a_lag_taken_for_a_reorganisation(patch: pytest.MonkeyPatch) -> None:
    def kept(self: Follower, mark: Any, tip: Any) -> Any:
        known = self._memory.newest_block(tip.number)
        while known is not None and known.hash != self._hash_at(known.number, tip):
            known = self._memory.newest_block(known.number - 1)
        return known

    patch.setattr(Follower, "_kept", kept)


def one_block_too_few_taken_back(patch: pytest.MonkeyPatch) -> None:
    change = StoredChain.change

    def too_few(self: StoredChain, head: Any, ancestor: Any, final: int) -> Any:
        if ancestor is not None and head is not ancestor and ancestor.number + 1 < head.number:
            ancestor = self.newest_block(ancestor.number + 1)
        return change(self, head, ancestor, final)

    patch.setattr(StoredChain, "change", too_few)


def blocks_written_apart_from_their_logs(patch: pytest.MonkeyPatch) -> None:
    change = StoredChain.change

    @contextmanager
    def apart(self: StoredChain, head: Any, ancestor: Any, final: int) -> Iterator[StoredPage]:
        page = StoredPage()
        yield page
        silent = StoredChain(self._database)
        with change(silent, head, ancestor, final) as blocks_only:
            blocks_only.blocks = page.blocks
        with self._database.transaction() as connection:
            written = index._write_logs(connection, page)
            for listener in self._listeners:
                listener(connection, Change((), written, page.blocks[-1], final))

    patch.setattr(StoredChain, "change", apart)


def logs_that_outlive_their_block(patch: pytest.MonkeyPatch) -> None:
    remember = Follower._remember

    def without_cascade(self: Follower, *arguments: Any) -> None:
        with self._memory._database.engine.connect() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        remember(self, *arguments)

    patch.setattr(Follower, "_remember", without_cascade)


def evidence_kept_over_a_rewind(patch: pytest.MonkeyPatch) -> None:
    brought_up = ChainView._brought_up

    def blind(self: ChainView, selection: Any, kept: Any, mark: Any) -> Any:
        if kept is not None:
            kept = replace(kept, mark=replace(kept.mark, rewinds=mark.rewinds))
        return brought_up(self, selection, kept, mark)

    patch.setattr(ChainView, "_brought_up", blind)


def blocks_with_logs_pruned(patch: pytest.MonkeyPatch) -> None:
    def prune(connection: Connection, pruned: int, final: int) -> int:
        connection.execute(delete(blocks).where(blocks.c.number > pruned, blocks.c.number <= final - 4))
        return max(pruned, final - 4)

    patch.setattr(index, "_prune", prune)


def too_little_compared(patch: pytest.MonkeyPatch) -> None:
    def prune(connection: Connection, pruned: int, final: int) -> int:
        brought = select(logs.c.block)
        connection.execute(delete(blocks).where(blocks.c.number.between(1, final + 3), blocks.c.number.not_in(brought)))
        return final

    patch.setattr(index, "_prune", prune)


BUGS = (
    ranges_near_the_head,
    parents_unchecked,
    reorganisations_unseen,
    a_lag_taken_for_a_reorganisation,
    one_block_too_few_taken_back,
    blocks_written_apart_from_their_logs,
    logs_that_outlive_their_block,
    evidence_kept_over_a_rewind,
    blocks_with_logs_pruned,
    too_little_compared,
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_finds_the_bug(bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    with pytest.raises((AssertionError, IntegrityError, NothingFollowed, FinalityBroken, IndexOutrun, DatabaseUnfit)):
        run(60)
