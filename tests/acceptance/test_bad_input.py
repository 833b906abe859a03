"""Bad input is refused where it comes in, with the reason, and changes nothing: one test for each case.

What comes as a file or text goes through the command as people run it; what comes to the chain through its contracts.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import boa
import pytest

from settlement.hashing import keccak256
from settlement.rows import RowContent
from settlement.trade import Lock, TradeLocks
from tests.cli.market_files import READING, TRADE, write_market, write_readings, write_trades
from tests.contracts.market import ATTESTORS, Market, at_time
from tests.contracts.settling import Scene, deploy_settling, events, later, nested
from tests.contracts.trading import (
    CYCLE,
    GATE,
    SLOT,
    allocation_of,
    batch_of,
    commit,
    deadline,
    register,
    registration,
    trade_of,
)

ROOT = Path(__file__).resolve().parents[2]
CHECK_READINGS = ("readings", "readings.csv", "--market", "deployment.json", "--meters", "meters.csv")
CHECK_TRADES = ("trades", "trades.csv", "--market", "deployment.json")
MISSING = 2


# --- what comes as a file or text ---


@dataclass(frozen=True)
class Desk:
    """A folder with a market's files, in which somebody runs `clearwatt check`."""

    folder: Path

    def check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the command, and sees that it changed no file."""
        before = self._files()
        command = [sys.executable, "-m", "cli.main", "check", *arguments]
        ended = subprocess.run(
            command, cwd=self.folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
        assert self._files() == before
        return ended

    def refused(self, sentence: str, *arguments: str) -> None:
        """Refused with just this sentence."""
        ended = self.check(*arguments)
        assert (ended.returncode, ended.stdout, ended.stderr) == (3, "", f"Error: {sentence}\n")

    def accepted(self, *arguments: str) -> str:
        """Not refused; what it said."""
        ended = self.check(*arguments)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    def _files(self) -> dict[str, tuple[bytes, int]]:
        return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in self.folder.rglob("*")}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    write_market(tmp_path)
    return Desk(tmp_path)


def test_a_trade_with_an_unknown_member(desk: Desk) -> None:
    write_trades(desk.folder, TRADE, TRADE | {"transaction_id": "tx-2", "seller_platform": "c.platform.example"})
    desk.refused("trades.csv:3: seller_platform: unknown member (got 'c.platform.example')", *CHECK_TRADES)


def test_a_trade_after_the_gate_closed(desk: Desk) -> None:
    write_trades(desk.folder, TRADE)
    desk.accepted(*CHECK_TRADES, "--at", "2026-08-02T08:00:00+05:30")
    desk.refused(
        "trades.csv:2: slot_start: its gate closed at 2026-08-02T02:30:00Z (got '2026-08-02T12:00:00+05:30')",
        *CHECK_TRADES,
        "--at",
        "2026-08-02T08:00:01+05:30",
    )


def test_a_quantity_that_is_not_whole_wh(desk: Desk) -> None:
    write_trades(desk.folder, TRADE | {"quantity": "1.2345"})
    desk.refused("trades.csv:2: quantity: a traded quantity must be a whole number of Wh (got '1.2345')", *CHECK_TRADES)


def test_two_currencies_in_one_file(desk: Desk) -> None:
    write_trades(desk.folder, TRADE, TRADE | {"transaction_id": "tx-2", "currency": "USD"})
    desk.refused(
        "trades.csv:3: currency: all trades of a market are in its one currency, INR (got 'USD')", *CHECK_TRADES
    )


def test_a_rate_out_of_bounds(desk: Desk) -> None:
    write_trades(desk.folder, TRADE | {"rates": "price=18446744073709.551616;wheeling=0.20"})
    desk.refused("trades.csv:2: rates: price: too large (got '18446744073709.551616')", *CHECK_TRADES)


def test_a_reading_for_an_unknown_meter(desk: Desk) -> None:
    write_readings(desk.folder, READING, READING | {"meter_id": "der://meter/IN-0003"})
    desk.refused("readings.csv:3: meter_id: unknown meter (got 'der://meter/IN-0003')", *CHECK_READINGS)


def test_the_same_reading_again_is_ignored(desk: Desk) -> None:
    write_readings(desk.folder, READING, READING)
    assert "1 reading of 2 meters" in desk.accepted(*CHECK_READINGS)


def test_a_different_reading_for_the_same_slot(desk: Desk) -> None:
    write_readings(desk.folder, READING, READING | {"kwh": "1.2346"})
    desk.refused("readings.csv:3: line: differs from an earlier one for this meter, slot, direction", *CHECK_READINGS)


def test_a_missing_reading_is_listed_and_not_refused(desk: Desk) -> None:
    slots = [f"2026-08-02T{hour:02}:00:00+05:30" for hour in range(24)] + ["2026-08-03T00:00:00+05:30"]
    day = [READING | {"slot_start": slots[hour], "slot_end": slots[hour + 1]} for hour in range(24)]
    day[13] |= {"kwh": "", "quality": "MISSING"}
    (desk.folder / "meters.csv").write_text("meter_id\nIN-0001\n")
    write_readings(desk.folder, *day[:20], *day[21:])
    assert desk.accepted(*CHECK_READINGS).splitlines() == [
        "readings.csv: 23 readings of 1 meter (1 MISSING, 22 READ)",
        "  missing: IN-0001 import, 1 slot from 2026-08-02T07:30:00Z",
        "  missing: IN-0001 import, 1 slot from 2026-08-02T14:30:00Z",
    ]


def test_a_broken_csv_line(desk: Desk) -> None:
    write_readings(desk.folder, READING)
    with (desk.folder / "readings.csv").open("a") as file:
        file.write("der://meter/IN-0002,2026-08-02T12:00:00+05:30,2026-08\n")
    desk.refused("readings.csv:3: line: broken: 3 fields, expected 6", *CHECK_READINGS)


def test_a_formula_outside_the_grammar(desk: Desk) -> None:
    desk.refused("formula: column 17: unexpected '÷'", "formula", "settled × price ÷ 2", "--rates", "price")


# --- what comes to the chain ---


@pytest.fixture(scope="module")
def deployed() -> Market:
    return deploy_settling()


@pytest.fixture
def scene(deployed: Market) -> Iterator[Scene]:
    """The market on the morning before the cycle, nothing committed."""
    with boa.env.anchor():
        yield Scene(deployed)


@contextmanager
def unchanged(*figures: Callable[[], Any]) -> Iterator[None]:
    """These figures of the chain are afterwards what they were before."""
    before = [figure() for figure in figures]
    yield
    assert [figure() for figure in figures] == before


def commitments(scene: Scene) -> Callable[[], tuple[object, ...]]:
    """What a commitment would change: the count, the pair's sequence, what is accumulated, locked and free."""
    market, pair = scene.market, sorted((scene.id("platform_a"), scene.id("platform_b")))
    return lambda: (
        market.book.commitment_count(),
        market.book.last_sequence(*pair),
        market.oracle.accumulator(CYCLE),
        scene.word("platform_a", "platform_b"),
        scene.free("platform_a"),
    )


def settled(scene: Scene) -> RowContent:
    """One settled trade of 2 kWh, all of it locked; what A owes B, run 0 sealed."""
    trade = trade_of(scene.market)
    scene.commit([trade], [("platform_a", "platform_b", 10_000_000)])
    scene.settle_inputs()
    return scene.contents()[scene.id("platform_a"), scene.id("platform_b")]


def pair_state(scene: Scene) -> Callable[[], tuple[object, ...]]:
    """What a row between A and B would change."""
    ids = scene.id("platform_a"), scene.id("platform_b")
    return lambda: (
        scene.word("platform_a", "platform_b"),
        scene.free("platform_a"),
        scene.free("platform_b"),
        scene.owed("platform_a", "platform_b"),
        scene.market.settlement.pending(CYCLE, *ids),
        scene.market.settlement.pending_progress(CYCLE, *ids),
    )


def skip_reasons(scene: Scene) -> list[str]:
    """Why rows of the last call were skipped."""
    return [event["reason"] for event in events(scene.market.settlement, "RowSkipped")]


def test_a_registered_trade_of_an_unknown_member(scene: Scene) -> None:
    trade = replace(trade_of(scene.market), seller_platform=keccak256(b"stranger.example"))
    locked = TradeLocks(scene.market.domain.digest(trade), ())
    signatures = [
        *(scene.market.sign(name, locked) for name in ("platform_a", "platform_b")),
        *(scene.market.sign(name, trade) for name in ("utility_a", "utility_b")),
    ]
    with unchanged(commitments(scene)), boa.reverts("TradeBook: signer not active"):
        scene.market.book.register_trade(astuple(trade), signatures, [], [], [])


def test_a_registered_trade_with_a_wrong_signer(scene: Scene) -> None:
    trade = trade_of(scene.market)
    _, signatures, *_ = registration(scene.market, trade)
    signatures[3] = scene.market.sign("utility_c", trade)
    with unchanged(commitments(scene)), boa.reverts("TradeBook: not a party's key"):
        scene.market.book.register_trade(astuple(trade), signatures, [], [], [])


def test_a_registered_trade_with_a_missing_signer(scene: Scene) -> None:
    trade = trade_of(scene.market)
    signatures = registration(scene.market, trade)[1][:-1]
    with unchanged(commitments(scene)), boa.reverts("TradeBook: not its signers' signatures"):
        scene.market.book.register_trade(astuple(trade), signatures, [], [], [])


def test_a_batch_with_a_wrong_signer(scene: Scene) -> None:
    batch = batch_of(scene.market, [trade_of(scene.market)])
    signers = batch.platform_a, scene.id("platform_c")
    with unchanged(commitments(scene)), boa.reverts("TradeBook: wrong signature"):
        commit(scene.market, batch, signers)


def test_a_batch_with_a_missing_signer(scene: Scene) -> None:
    batch = batch_of(scene.market, [trade_of(scene.market)])
    with unchanged(commitments(scene)), boa.reverts("TradeBook: wrong number of signatures"):
        commit(scene.market, batch, [batch.platform_a])


def test_a_commitment_after_the_gate_closed(scene: Scene) -> None:
    trade = trade_of(scene.market)
    at_time(SLOT - GATE + 1)
    with unchanged(commitments(scene)):
        with boa.reverts("TradeBook: gate closed"):
            commit(scene.market, batch_of(scene.market, [trade], earliest_slot=SLOT))
        with boa.reverts("TradeBook: gate closed"):
            register(scene.market, replace(trade, valid_until=SLOT))


def test_a_lock_that_is_not_covered(scene: Scene) -> None:
    trade = trade_of(scene.market)
    lock = Lock(scene.id("platform_a"), scene.id("platform_b"), scene.free("platform_a") + 1)
    with unchanged(commitments(scene)), boa.reverts("SettlementEscrow: lock not covered"):
        commit(scene.market, batch_of(scene.market, [trade], locks=(lock,)))
    scene.commit([trade], [("platform_a", "platform_b", lock.amount - 1)])
    assert (scene.free("platform_a"), scene.word("platform_a", "platform_b").lock) == (0, lock.amount - 1)


def test_an_allocation_after_the_deadline(scene: Scene) -> None:
    scene.commit([trade_of(scene.market)])
    oracle, utility = scene.market.oracle, scene.id("utility_a")
    late = allocation_of(scene.market, "utility_a")
    at_time(deadline())
    with (
        unchanged(lambda: oracle.posted(CYCLE, 0, utility), lambda: oracle.accumulator(CYCLE)),
        boa.reverts("AllocationOracle: not in the intake"),
    ):
        oracle.post(astuple(late), scene.market.sign("utility_a", late), [])
    assert oracle.posted(CYCLE, 0, utility) == bytes(32)


def test_a_missing_reading_waits_and_settles_in_a_later_run(scene: Scene) -> None:
    waiting = trade_of(scene.market)
    other = trade_of(scene.market, 1, buyer_meter=keccak256(b"m1"), seller_meter=keccak256(b"m2"))
    scene.commit([waiting, other], [("platform_a", "platform_b", 20_000_000)])
    side = scene.digest(waiting), 1
    scene.settle_inputs({side: {"status": MISSING, "meter_wh": 0, "allocated_wh": 0}})
    with unchanged(pair_state(scene)), boa.reverts("TradeResult: leaf does not count"):
        scene.claim(waiting)

    first = scene.claim(other)
    later(scene.market.config.claim_window)
    scene.market.settlement.apply_claim(nested(first))
    assert scene.word("platform_a", "platform_b").applied == 10_000_000

    scene.settle_inputs()
    both = [scene.claim(trade, leaf_run=1) for trade in (waiting, other)]
    later(scene.market.config.claim_window)
    for claim in both:
        scene.market.settlement.apply_claim(nested(claim))
    word = scene.word("platform_a", "platform_b")
    assert (word.applied, word.runs, word.lock) == (20_000_000, 2, 0)


def test_a_row_on_inputs_that_are_not_the_sealed_ones(scene: Scene) -> None:
    content = settled(scene)
    fine = scene.row(scene.empty("platform_b", "platform_a"))
    with unchanged(pair_state(scene)):
        assert scene.settle(scene.row(content, inputs=keccak256(b"other inputs")), fine) == 1
        assert skip_reasons(scene) == ["not the sealed inputs"]
    with unchanged(pair_state(scene)), boa.reverts("Settlement: no row applied"):
        scene.settle(scene.row(content, inputs=keccak256(b"other inputs")))


def test_an_old_version_of_a_row(scene: Scene) -> None:
    content = settled(scene)
    scene.settle(scene.row(content, version=2))
    assert scene.word("platform_a", "platform_b").applied == content.amount == 10_000_000
    fine = scene.row(scene.empty("platform_b", "platform_a"))
    with unchanged(pair_state(scene)):
        assert scene.settle(scene.row(content, version=2, amount=1), fine) == 1
        assert skip_reasons(scene) == ["version not above the last"]
    with unchanged(pair_state(scene)), boa.reverts("Settlement: no row applied"):
        scene.settle(scene.row(content, version=1, amount=1))


def test_a_quorum_short_by_one(scene: Scene) -> None:
    row = scene.row(settled(scene))
    mask, signatures = scene.attestations(row, ATTESTORS[:2])
    attest = scene.market.settlement.attest
    with unchanged(pair_state(scene)):
        with boa.reverts("Settlement: not a quorum"):
            attest(astuple(row), mask, signatures)
        with boa.reverts("Settlement: not a quorum"):
            attest(astuple(row), mask | 0b100, signatures)
        with boa.reverts("Settlement: not attestor's key"):
            attest(astuple(row), mask | 0b100, [*signatures, signatures[1]])
    scene.attest(row, ATTESTORS[:3])


def test_leaves_published_out_of_order(scene: Scene) -> None:
    other = trade_of(scene.market, 1, buyer_meter=keccak256(b"m1"), seller_meter=keccak256(b"m2"))
    scene.commit([trade_of(scene.market), other])
    scene.settle_inputs()
    content = scene.contents()[scene.id("platform_a"), scene.id("platform_b")]
    row = scene.row(content)
    scene.attest(row)
    first, second = (astuple(leaf) for leaf in content.leaves)
    with unchanged(pair_state(scene)):
        with boa.reverts("Settlement: leaves out of order"):
            scene.market.settlement.publish(astuple(row), [second, first], [])
        with boa.reverts("Settlement: leaves out of order"):
            scene.market.settlement.publish(astuple(row), [first, first], [])
    scene.publish(row, content)
    assert scene.market.settlement.pending(CYCLE, row.payer, row.payee)[0] == 2
