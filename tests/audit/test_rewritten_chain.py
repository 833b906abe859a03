"""Validators in collusion rewrite the chain: it contradicts nothing in itself, and whoever kept the files notices.

On a real local chain, from which blocks are taken and others put in their place: the same genesis, the same contracts,
signatures of the same members. The folder was written before.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from audit.verify import verify
from cli import exits
from cli.main import run as command
from demo.archive import write_cycle_folders, write_debts
from demo.collect import Records
from member.desk import counting
from settlement.cycle import settle_run
from settlement.figures import Marks, SeenLeaf, Terms
from settlement.formula.templates import SHIPPED_BY_ID
from settlement.hashing import ZERO_HASH, keccak256
from settlement.identity import canonical_meter_id
from settlement.placed import PlacedTrade as CountingTrade
from settlement.trade import AllocationLeaf, Signature
from store.records import PlacedTrade, RecordedReading, RowState, StoredAllocation, Way
from tests.member.scene import CYCLE, DAY_END, Scene

BUYER, SELLER, UTILITY = "sunmarket", "rooftrade", "eastpower"
REWRITES = {
    "a row was never settled": {"rows"},
    "a row was of another amount": {"rows", "row_signatures"},
    "a utility posted other readings": {"cycle_record", "allocations", "allocation_roots", "rows"},
    "another trade was committed": {"cycle_record", "commitments", "trade_places", "allocations", "rows"},
}
"""What is rewritten, and checks that then do not hold of the kept folder."""


@dataclass
class Files:
    """What the members keep, for all of them in one."""

    trades: tuple[PlacedTrade, ...] = ()
    readings: tuple[RecordedReading, ...] = ()
    leaves: tuple[AllocationLeaf, ...] = ()
    rows: list[RowState] = field(default_factory=list)

    def placed(self, cycle: int) -> tuple[PlacedTrade, ...]:
        """The trades at their places."""
        return self.trades

    def allocation(self, cycle: int, run: int) -> StoredAllocation:
        """What the utility posted."""
        return StoredAllocation(cycle, run, 1, self.leaves, self.readings, Signature(0, ZERO_HASH, ZERO_HASH))

    def row_states(self, cycle: int) -> list[RowState]:
        """The rows that were settled."""
        return self.rows


class Week:
    """A cycle of one pair, in three steps, before each of which the chain can be taken back to."""

    def __init__(self, folder: Path) -> None:
        self.scene, self.files = Scene(folder), Files()
        self.scene.fund(BUYER, 10_000_000)

    def commit(self, wh: int = 500) -> None:
        """Two trades, with a lock."""
        signed = [self.scene.trade(hour=8 + place, wh=wh + place, item=f"item-{place}") for place in range(2)]
        self.files.trades = self.scene.commit(signed, {(BUYER, SELLER): 5_000_000})
        self.scene.move_to(DAY_END)

    def allocate(self, share: int = 100) -> None:
        """The utility of all meters posts `share` percent of what was traded, and run 0 is sealed."""

        def delivered(one: CountingTrade) -> int:
            return one.contracted_wh * share // 100

        served = self.scene.allocate(UTILITY, self.files.trades, delivered=delivered)
        self.files.leaves = tuple(one.leaf for one in served)
        self.files.readings = tuple(
            self._reading(place, one.trade.slot_start, side, one.trade.contracted_wh * share // 100)
            for place, one in enumerate(self.files.trades)
            for side in ("buyer", "seller")
        )
        self.scene.seal()

    def settle(self, more: int = 0) -> None:
        """Both members of each pair sign its row, or one of `more`."""
        scene, config = self.scene, self.scene.config
        inputs = scene.call("AllocationOracle", "inputs", CYCLE, 0)
        seen = [SeenLeaf(0, scene.id(UTILITY), leaf) for leaf in self.files.leaves]
        trades = counting(self.files.trades, ())
        result = settle_run(0, trades, seen, Marks({}), SHIPPED_BY_ID, Terms.of(CYCLE, config))
        by_id = {member.id: member for member in scene.members.values()}
        self.files.rows = []
        for pair, content in sorted(result.rows.items()):
            row = content.row(CYCLE, 0, 1, inputs, result.keep.get(pair, 0))
            row = replace(row, amount=row.amount + more)
            signatures = [by_id[one].sign(scene.domain, row) for one in pair]
            scene.send("Settlement", "settle", [(row, *signatures)], [])
            self.files.rows.append(
                RowState(row, scene.domain.digest(row), Way.AGREED, "applied", leaves=tuple(content.leaves))
            )

    def write(self, data: Path) -> Path:
        """The folder for auditors, of the chain as it now is."""
        record = self.scene.record
        records = Records(self.scene.rpc, record, {self.scene.id(UTILITY): cast(Any, self.files)})
        data.mkdir()
        record.save(data)
        write_cycle_folders(data, record, records.cycle(CYCLE))
        write_debts(data, records)
        return data

    def _reading(self, place: int, start: int, side: str, wh: int) -> RecordedReading:
        name = f"{side}-item-{place}"
        return RecordedReading(
            run=0,
            utility=self.scene.id(UTILITY),
            meter=self.scene.meter(UTILITY, name),
            meter_id=canonical_meter_id(name),
            salt=keccak256(b"meter salt", UTILITY.encode(), name.encode(), CYCLE.to_bytes(8, "big")),
            slot_start=start,
            slot_end=start + 3_600,
            direction="import" if side == "buyer" else "export",
            wh=wh,
            raw_kwh=f"{wh // 1000}.{wh % 1000:03d}",
            quality="READ",
        )


@dataclass(frozen=True)
class Answer:
    """What the command says of the kept folder, and an audit of one that was written after."""

    code: int
    document: dict[str, Any]
    own: str


def asked(data: Path, url: str) -> tuple[int, dict[str, Any]]:
    """`clearwatt verify`, as anybody runs it."""
    out = io.StringIO()
    with redirect_stdout(out):
        code = command(["verify", "--data", str(data), "--rpc", url, "--json"])
    return code, json.loads(out.getvalue())


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Answer]]:
    """The answers by what was rewritten; the latest part of the chain first, since it is taken back piece by piece."""
    folder = tmp_path_factory.mktemp("rewritten")
    week = Week(folder / "market")
    with week.scene as scene:
        before_trading = scene.snapshot()
        week.commit()
        before_posting = scene.snapshot()
        week.allocate()
        before_settling = scene.snapshot()
        week.settle()
        kept = week.write(folder / "kept")
        url = scene.node.url
        found: dict[str, Answer] = {}

        def ask(what: str) -> None:
            own = verify(week.write(folder / f"own-{len(found)}"), url).answer
            found[what] = Answer(*asked(kept, url), own)

        ask("nothing")
        scene.take_back(before_settling)
        before_settling = scene.snapshot()
        ask("a row was never settled")
        scene.take_back(before_settling)
        week.settle(more=1)
        ask("a row was of another amount")
        scene.take_back(before_posting)
        week.allocate(share=50)
        week.settle()
        ask("a utility posted other readings")
        scene.take_back(before_trading)
        week.commit(wh=400)
        week.allocate()
        week.settle()
        ask("another trade was committed")
        yield found


def test_the_kept_folder_is_that_of_the_chain(answers: dict[str, Answer]) -> None:
    answer = answers["nothing"]
    assert answer.document["findings"] == []
    assert (answer.code, answer.document["answer"], answer.own) == (exits.FINE, "VALID", "VALID")
    assert answer.document["counts"]["trades"] == 2


@pytest.mark.parametrize("what", list(REWRITES))
def test_a_rewritten_chain_agrees_with_itself_and_not_with_a_kept_folder(answers: dict[str, Answer], what: str) -> None:
    answer = answers[what]
    assert answer.own == "VALID"
    assert (answer.code, answer.document["answer"]) == (exits.CHECK_FALSE, "TAMPERED")
    broken = {name for name, holds in answer.document["checks"].items() if not holds}
    assert broken >= REWRITES[what]
