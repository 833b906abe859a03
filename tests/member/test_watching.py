"""Watching on a real chain: what is wrong is proven once, in its window; what is right is left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from member.hearings import Hearings
from member.published import _inner_calls
from settlement.config import HOUR
from settlement.cycle import UtilityAllocation
from settlement.hashing import keccak256
from settlement.rows import RowContent
from settlement.trade import FlowLeaf, Row, RowAttestation
from tests.member.scene import CONFIG, CYCLE, DAY_END
from tests.member.settled_day import SALE, SettledDay

SUN_TO_ROOF = ("sunmarket", "rooftrade")


def with_first(**changes: int | bytes):  # type: ignore[no-untyped-def]
    """Changes the first leaf of an honest allocation."""

    def change(honest: UtilityAllocation) -> UtilityAllocation:
        first, *others = honest.leaves
        return UtilityAllocation(honest.utility, (replace(first, **changes), *others))

    return change


def repeated(honest: UtilityAllocation) -> UtilityAllocation:
    """The same trade and side twice in one tree."""
    return UtilityAllocation(honest.utility, (*honest.leaves, honest.leaves[0]))


def watched(day: SettledDay) -> None:
    """The window opens, and there is time for everybody's turn."""
    day.scene.move_to(DAY_END + CONFIG.run_deadlines[0])
    for _ in range(5):
        day.pass_time(60)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [({"allocated_wh": 499}, 5), ({"meter": keccak256(b"another meter")}, 7), ({"salt": keccak256(b"salt")}, 10)],
    ids=["rule", "meter", "salt"],
)
def test_a_wrong_leaf_is_proven_once(tmp_path: Path, changes: dict[str, int | bytes], fault: int) -> None:
    with SettledDay(tmp_path) as day:
        served = day.allocate(change=with_first(**changes))
        day.pass_time(HOUR)
        assert day.events("FaultProven") == []
        watched(day)

        assert [(one["fault"], one["run"]) for one in day.events("FaultProven")] == [(fault, 0)]
        (by,) = day.senders_of(f"void:{CYCLE}:0:0x{served[0].root.hex()}:0")
        assert by != "eastpower"
        assert len(day.events("GroupVoided")) == 1
        assert day.problems() == []


def test_the_trades_of_a_void_group_wait_and_the_others_settle(tmp_path: Path) -> None:
    with SettledDay(tmp_path, locks={SUN_TO_ROOF: 2 * SALE}) as day:
        day.allocate(change=with_first(allocated_wh=499))
        watched(day)
        day.pass_time(CONFIG.window)
        day.pass_time(HOUR)
        day.pass_time(HOUR)

        state = day.state(*SUN_TO_ROOF)
        assert (state.applied, state.lock, state.settled_run) == (SALE, SALE, 0)


def test_honest_allocations_are_left_alone(tmp_path: Path) -> None:
    with SettledDay(tmp_path) as day:
        day.allocate()
        watched(day)

        assert day.events("FaultProven", "GroupVoided", "SideMarked") == []
        assert day.problems() == []


def test_two_leaves_of_one_side_are_marked_once(tmp_path: Path) -> None:
    with SettledDay(tmp_path) as day:
        day.allocate(change=repeated)
        watched(day)

        assert [(one["kind"], one["trade_digest"]) for one in day.events("SideMarked")] == [
            (9, day.events("SideMarked")[0]["trade_digest"])
        ]
        assert [one["fault"] for one in day.events("FaultProven")] == [12]


# --- attested rows ---


def content_of(day: SettledDay) -> tuple[RowContent, bytes]:
    """The right row and the sealed inputs."""
    roof = day.scene.daemons["rooftrade"]
    roof.once()
    pair = day.scene.id("sunmarket"), day.scene.id("rooftrade")
    return roof.desk.row(CYCLE, 0, pair)[0], roof.market.inputs(CYCLE, 0)


def attest(day: SettledDay, leaves: Sequence[FlowLeaf], inputs: bytes, by: Sequence[str]) -> Row:
    """Attestors sign and publish a row whatever it says."""
    content = RowContent(day.scene.id("sunmarket"), day.scene.id("rooftrade"), tuple(leaves))
    row = content.row(CYCLE, 0, 1, inputs)
    statement = RowAttestation(day.scene.domain.digest(row))
    bits = sorted(day.scene.utilities.index(name) for name in by)
    signatures = [day.scene.members[day.scene.utilities[bit]].sign(day.scene.domain, statement) for bit in bits]
    day.scene.send("Settlement", "attest", row, sum(1 << bit for bit in bits), signatures)
    day.scene.send("Settlement", "publish", row, list(leaves), list(content.tree.chunk(7, 0)[1]))
    return row


def sealed_without_buyer(folder: Path) -> SettledDay:
    day = SettledDay(folder, utilities=4, tables="[timings]\nattest_after = 100000\nclaim_after = 900000\n")
    day.stop("sunmarket")
    day.allocate()
    day.seal()
    day.scene.settle_down()
    return day


def test_a_false_row_of_a_quorum_is_struck_by_one_proof(tmp_path: Path) -> None:
    with sealed_without_buyer(tmp_path) as day:
        right, inputs = content_of(day)
        first, second = right.leaves
        row = attest(day, (first, replace(second, amount=SALE + 9)), inputs, ("eastpower", "westpower", "stategrid"))
        for _ in range(8):
            day.pass_time(60)

        (struck,) = day.events("RowStruck")
        assert (struck["row_digest"], struck["reason"]) == (day.scene.domain.digest(row), "wrong leaf")
        assert day.senders_of(f"strike_row:0x{struck['row_digest'].hex()}") == ["rooftrade"]
        assert day.problems() == []


def test_an_honest_row_is_not_struck(tmp_path: Path) -> None:
    with sealed_without_buyer(tmp_path) as day:
        right, inputs = content_of(day)
        row = attest(day, right.leaves, inputs, ("eastpower", "westpower", "stategrid"))
        for _ in range(8):
            day.pass_time(60)

        assert day.events("RowStruck") == []
        assert day.senders_of(f"strike_row:0x{day.scene.domain.digest(row).hex()}") == []
        assert day.state(*SUN_TO_ROOF).pending is not None


def test_an_attestor_that_was_shown_the_packet_strikes_for_the_silent(tmp_path: Path) -> None:
    with sealed_without_buyer(tmp_path) as day:
        right, inputs = content_of(day)
        pair = day.scene.id("sunmarket"), day.scene.id("rooftrade")
        packet = day.scene.daemons["rooftrade"].desk.packet(CYCLE, 0, pair)
        Hearings(day.scene.daemons["hillpower"].store).add(packet)
        day.stop("rooftrade")
        first, second = right.leaves
        attest(day, (first, replace(second, amount=SALE + 9)), inputs, ("eastpower", "westpower", "stategrid"))
        for _ in range(8):
            day.pass_time(60)

        (struck,) = day.events("RowStruck")
        assert day.senders_of(f"strike_row:0x{struck['row_digest'].hex()}") == ["hillpower"]


def test_a_claim_by_an_older_leaf_is_struck(tmp_path: Path) -> None:
    with sealed_without_buyer(tmp_path) as day:
        old = {one.leaf.side: one for one in day.scene.daemons["rooftrade"].desk.served(CYCLE, 0)}
        digest = old[0].leaf.trade_digest
        old[1] = next(
            one
            for one in day.scene.daemons["rooftrade"].desk.served(CYCLE, 0)
            if (one.leaf.trade_digest, one.leaf.side) == (digest, 1)
        )
        placed = next(one for one in day.placed if one.digest == digest)
        day.stop("rooftrade")
        day.allocate(run=1, delivered=lambda one: 100)
        day.seal(1)
        day.scene.settle_down()
        record = day.scene.daemons["eastpower"].desk.commitment(placed.number).commitment
        signatures = [one.signature for one in placed.signatures]
        place = placed.place(record)
        day.scene.send("Settlement", "claim", place, placed.trade, signatures, [old[0].shown], [old[1].shown])
        for _ in range(5):
            day.pass_time(60)

        (struck,) = day.events("ClaimStruck")
        assert (struck["trade_digest"], struck["run"]) == (digest, 1)
        assert day.problems() == []


def test_calls_inside_other_calls_are_found() -> None:
    settlement = "0x" + "ab" * 20
    wanted = {"type": "CALL", "to": settlement.upper().replace("0X", "0x"), "input": "0x1234"}
    failed = {**wanted, "input": "0x99", "error": "execution reverted"}
    view = {**wanted, "type": "STATICCALL", "input": "0x88"}
    trace = {"type": "CALL", "to": "0x" + "cd" * 20, "input": "0x", "calls": [failed, view, {"calls": [wanted]}]}

    assert list(_inner_calls(trace, settlement)) == [b"\x12\x34"]
