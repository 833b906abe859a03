"""Day 4's adversaries: three attestors that collude sign a row with one leaf changed, and publish it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from audit.node import NodeChain
from chain.account import Account
from chain.evidence import Evidence
from chain.marks import marks_of
from demo.calendar import CONFIG
from demo.members import Member, Members, demo_key
from demo.world import World
from member.desk import counting
from settlement import cycle as rules
from settlement.figures import SeenLeaf, Terms
from settlement.flows import Pair
from settlement.formula.templates import SHIPPED_BY_ID
from settlement.rows import RowContent, empty_row
from settlement.trade import RowAttestation
from store.desk import DeskStore
from store.records import RecordedCurtailment

CHUNK_HEIGHT = 7


def rows_known(world: World, desk: DeskStore, cycle: int) -> dict[Pair, RowContent]:
    """The rows of run 0 by what stands on a member's desk and on the chain."""
    evidence = Evidence(tuple(NodeChain(world.record, world.rpc).events()))
    curtailments = [
        RecordedCurtailment(
            **{name: event[name] for name in ("number", "index", "trade_digest", "contracted_wh", "reason")},
            recorded_at=event.time,
        )
        for event in evidence.of_cycle(cycle, "Curtailed")
    ]
    trades = counting(desk.placed(cycle), curtailments)
    seen = (SeenLeaf(one.run, one.utility, one.leaf) for one in desk.leaves(cycle, 0))
    marks = marks_of(evidence, cycle, 0, trades)
    return dict(rules.settle_run(0, trades, seen, marks, SHIPPED_BY_ID, Terms.of(cycle, CONFIG)).rows)


def longest_row(rows: dict[Pair, RowContent], members: Sequence[Member]) -> RowContent:
    """Of the rows between two members the one with more leaves."""
    one, other = (member.id for member in members)
    found = (rows.get(pair) or empty_row(*pair) for pair in ((one, other), (other, one)))
    return max(found, key=lambda content: (content.count, content.payer))


def with_one_leaf_changed(content: RowContent, add: int) -> RowContent:
    """A false row: its first leaf promises more than the trade gives."""
    first, *rest = content.leaves
    return RowContent(content.payer, content.payee, (replace(first, amount=first.amount + add), *rest))


def attest_falsely(world: World, members: Members, cycle: int, right: RowContent) -> None:
    """Three of four attestors sign a false row in place of the right one, and somebody publishes its leaves.

    Raises Reverted where the chain does not take it.
    """
    *colluding, _ = members.utilities
    false = with_one_leaf_changed(right, 10**CONFIG.money_decimals)
    pair = right.payer, right.payee
    version = world.call("Settlement", "highest_version", cycle, *pair) + 1
    row = false.row(cycle, 0, version, world.call("AllocationOracle", "inputs", cycle, 0))
    statement = RowAttestation(world.domain.digest(row))
    mask = sum(1 << members.utilities.index(one) for one in colluding)
    signatures = [one.sign(world.domain, statement) for one in colluding]
    accomplice = Account(demo_key("accomplice", "accomplice"), world.rpc)
    world.transact(accomplice, "Settlement", "attest", row, mask, signatures)
    for first in range(0, false.count, 1 << CHUNK_HEIGHT):
        leaves = list(false.leaves[first : first + (1 << CHUNK_HEIGHT)])
        _, path = false.tree.chunk(CHUNK_HEIGHT, first >> CHUNK_HEIGHT)
        world.transact(accomplice, "Settlement", "publish", row, leaves, list(path))
