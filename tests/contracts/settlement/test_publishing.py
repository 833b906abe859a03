"""Settlement: the leaves of an attested row are published in chunks, whole, in order, and add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import merkle, preimages
from settlement.hashing import ZERO_HASH, keccak256
from settlement.rows import RowContent
from settlement.trade import FlowLeaf
from tests.contracts.market import at_time
from tests.contracts.settlement.case import BUYER, PAIR, SELLER
from tests.contracts.settling import Scene, events
from tests.contracts.trading import CYCLE


def many(scene: Scene, count: int) -> RowContent:
    """A row of so many leaves; what trades they are of does not matter here."""
    digests = sorted(keccak256(number.to_bytes(8, "big")) for number in range(-(-count // 2)))
    leaves = [FlowLeaf(digest, flow, 1, flow + 1, keccak256(digest)) for digest in digests for flow in (0, 1)]
    return RowContent(scene.id(BUYER), scene.id(SELLER), tuple(leaves[:count]))


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 256, 257, 300])
def test_publish_in_chunks(scene: Scene, count: int) -> None:
    content = many(scene, count)
    row = scene.row(content)
    scene.attest(row)
    digest = scene.market.domain.digest(row)
    for chunk in range(-(-count // 128)):
        leaves = content.leaves[chunk * 128 : chunk * 128 + 128]
        path = list(content.tree.chunk(7, chunk)[1])
        scene.market.settlement.publish(astuple(row), [astuple(leaf) for leaf in leaves], path)
        assert events(scene.market.settlement, "ChunkPublished") == [
            {"row_digest": digest, "first": chunk * 128, "count": len(leaves)}
        ]
        progress = scene.market.settlement.pending_progress(CYCLE, row.payer, row.payee)
        assert progress[:2] == (
            chunk * 128 + len(leaves),
            sum(leaf.amount for leaf in content.leaves[: chunk * 128 + 128]),
        )
    assert scene.market.settlement.pending(CYCLE, row.payer, row.payee)[0] == 2
    with boa.reverts("Settlement: published already"):
        scene.publish(row, content)


@pytest.mark.parametrize("odd", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_times_of_a_row_stay_apart(scene: Scene, odd: tuple[int, int]) -> None:
    """They are parts of one word: the lowest bit of the later one stands beside the highest of the earlier one."""
    content = many(scene, 3)
    row = scene.row(content)
    times = []
    for act, parity in zip((scene.attest, lambda one: scene.publish(one, content)), odd, strict=True):
        now = boa.env.evm.patch.timestamp
        at_time(now + 1 + (now + 1 + parity) % 2)
        act(row)
        times.append(boa.env.evm.patch.timestamp)
    assert [time % 2 for time in times] == list(odd)
    progress = scene.market.settlement.pending_progress(CYCLE, row.payer, row.payee)
    assert progress[2:] == tuple(times)


def test_chunks_in_their_order_and_whole(scene: Scene) -> None:
    content = many(scene, 300)
    row = scene.row(content)
    scene.attest(row)

    def publish(first: int, last: int, chunk: int) -> None:
        leaves = [astuple(leaf) for leaf in content.leaves[first:last]]
        scene.market.settlement.publish(astuple(row), leaves, list(content.tree.chunk(7, chunk)[1]))

    for first, last, chunk in ((128, 256, 1), (0, 127, 0), (0, 128, 1), (0, 0, 0)):
        with boa.reverts("Settlement: not the next chunk"):
            publish(first, last, chunk)
    publish(0, 128, 0)
    with boa.reverts("Settlement: leaves out of order"):
        publish(0, 128, 0)
    with boa.reverts("Settlement: not the next chunk"):
        publish(256, 300, 2)
    with boa.reverts("Settlement: row not pending"):
        scene.market.settlement.publish(astuple(replace(row, amount=1)), [], [])
    with boa.reverts("Settlement: row not pending"):
        scene.market.settlement.publish_empty(astuple(replace(row, payee=scene.id("utility_a"))))
    with boa.reverts("Settlement: the row has leaves"):
        scene.market.settlement.publish_empty(astuple(row))
    with boa.reverts("Settlement: not published"):
        scene.market.settlement.apply_attested(astuple(row))


def unordered(content: RowContent, order: Callable[[list[FlowLeaf]], list[FlowLeaf]]) -> tuple[list[FlowLeaf], Any]:
    """Leaves in another order, and their tree."""
    leaves = order(list(content.leaves))
    return leaves, merkle.Tree([preimages.flow_leaf(leaf) for leaf in leaves])


@pytest.mark.parametrize(
    "order",
    [
        lambda leaves: [leaves[1], leaves[0], *leaves[2:]],
        lambda leaves: [leaves[2], leaves[3], leaves[0], *leaves[4:], leaves[1]],
        lambda leaves: [leaves[0], leaves[0], *leaves[1:]],
        lambda leaves: [replace(leaves[0], trade_digest=ZERO_HASH), *leaves[1:]],
    ],
    ids=["flows", "trades", "repeated", "no trade"],
)
def test_leaves_out_of_order_are_never_published(scene: Scene, order: Callable[..., Any]) -> None:
    content = many(scene, 6)
    leaves, tree = unordered(content, order)
    row = scene.row(content, count=len(leaves), root=tree.root)
    scene.attest(row)
    with boa.reverts("Settlement: leaves out of order"):
        scene.market.settlement.publish(astuple(row), [astuple(leaf) for leaf in leaves], [])


def test_order_across_chunks(scene: Scene) -> None:
    """The first leaf of a chunk comes after the last of the chunk before: by trade, or by flow."""
    content = many(scene, 130)
    for number in (127, 126):
        leaves = [*content.leaves[:128], content.leaves[number], content.leaves[129]]
        tree = merkle.Tree([preimages.flow_leaf(leaf) for leaf in leaves])
        row = scene.row(content, root=tree.root, amount=sum(leaf.amount for leaf in leaves))
        with boa.env.anchor():
            scene.attest(row)
            settlement = scene.market.settlement
            settlement.publish(astuple(row), [astuple(leaf) for leaf in leaves[:128]], list(tree.chunk(7, 0)[1]))
            with boa.reverts("Settlement: leaves out of order"):
                settlement.publish(astuple(row), [astuple(leaf) for leaf in leaves[128:]], list(tree.chunk(7, 1)[1]))
    # The other flow of the same trade goes on.
    shifted = RowContent(content.payer, content.payee, content.leaves[1:])
    scene.pending(shifted)


@pytest.mark.parametrize(("more", "count"), [(1, 5), (-1, 5), (-100, 300), (5, 300)])
def test_total_that_differs_strikes_the_row(scene: Scene, more: int, count: int) -> None:
    """Too little is known at the end, too much as soon as the sum exceeds the amount."""
    content = many(scene, count)
    row = scene.row(content, amount=content.amount + more)
    scene.attest(row)
    if more < -50:
        leaves = [astuple(leaf) for leaf in content.leaves[:128]]
        scene.market.settlement.publish(astuple(row), leaves, list(content.tree.chunk(7, 0)[1]))
        leaves = [astuple(leaf) for leaf in content.leaves[128:256]]
        scene.market.settlement.publish(astuple(row), leaves, list(content.tree.chunk(7, 1)[1]))
    else:
        scene.publish(row, content)
    assert events(scene.market.settlement, "RowStruck") == [
        {
            "cycle": CYCLE,
            "payer": row.payer,
            "payee": row.payee,
            "row_digest": scene.market.domain.digest(row),
            "reason": "leaves do not add up",
        }
    ]
    assert tuple(scene.market.settlement.pending(CYCLE, row.payer, row.payee)) == (0, ZERO_HASH)
    # The version is gone; the next is free.
    with boa.reverts("Settlement: not the next version"):
        scene.attest(scene.row(content))
    scene.pending(content, version=2)


def test_publish_empty(scene: Scene) -> None:
    row = scene.row(scene.empty(*PAIR))
    scene.attest(row)
    scene.market.settlement.publish_empty(astuple(row))
    assert events(scene.market.settlement, "RowPublished") == [{"row_digest": scene.market.domain.digest(row)}]
    with boa.reverts("Settlement: published already"):
        scene.market.settlement.publish_empty(astuple(row))
