"""Claims: the last way, with neither the payer's signature nor a quorum's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from member.pairs import pending_claims
from member.watching import Watching
from settlement.config import HOUR
from store.records import ServedLeaf
from tests.member.scene import CONFIG, CYCLE
from tests.member.settled_day import CHARGE, SALE, SettledDay

SUN_TO_ROOF = ("sunmarket", "rooftrade")
CLAIM_AFTER = 36 * HOUR
TIMINGS = f"[timings]\nattest_after = {12 * HOUR}\nclaim_after = {CLAIM_AFTER}\n"


def unattested_day(folder: Path, **more: Any) -> SettledDay:
    """A sealed day whose buyer is silent, and so are two of the four attestors."""
    day = SettledDay(folder, utilities=4, tables=TIMINGS, **more)
    for name in ("sunmarket", "stategrid", "hillpower"):
        day.stop(name)
    day.allocate()
    day.seal()
    day.scene.settle_down()
    return day


def test_without_payer_and_quorum_the_payee_claims_trade_by_trade(tmp_path: Path) -> None:
    with unattested_day(tmp_path, locks={SUN_TO_ROOF: SALE}) as day:
        day.pass_time(CLAIM_AFTER - HOUR)
        assert day.events("Claimed") == []
        day.pass_time(HOUR)
        assert len(day.events("Claimed")) == 2
        day.pass_time(CONFIG.claim_window - HOUR)
        assert day.state(*SUN_TO_ROOF).applied == 0
        day.pass_time(2 * HOUR)
        day.pass_time(HOUR)

        state = day.state(*SUN_TO_ROOF)
        assert (state.applied, state.lock, state.is_agreed, state.is_attested) == (2 * SALE, 0, False, False)
        assert day.state("sunmarket", "westpower").applied == 2 * CHARGE
        assert len(day.events("Claimed")) == 2
        assert day.problems() == []


def test_a_claim_waits_for_no_row_that_is_on_its_way(tmp_path: Path) -> None:
    """With a quorum there is an attested row by then, and nothing is claimed."""
    with SettledDay(tmp_path, tables=TIMINGS) as day:
        day.stop("sunmarket")
        day.allocate()
        day.seal()
        day.scene.settle_down()
        for passed in (12 * HOUR, CONFIG.attest_wait, CLAIM_AFTER - 18 * HOUR, HOUR):
            day.pass_time(passed)

        assert day.state(*SUN_TO_ROOF).pending is not None
        assert day.events("Claimed") == []


def test_the_silent_one_once_back_signs_what_claims_have_settled(tmp_path: Path) -> None:
    with unattested_day(tmp_path, locks={SUN_TO_ROOF: 3 * SALE}) as day:
        for passed in (CLAIM_AFTER, CONFIG.claim_window + HOUR, HOUR):
            day.pass_time(passed)
        state = day.state(*SUN_TO_ROOF)
        assert (state.applied, state.lock) == (2 * SALE, SALE)

        day.start("sunmarket")
        day.pass_time(60)
        day.pass_time(60)

        state = day.state(*SUN_TO_ROOF)
        assert (state.applied, state.lock, state.is_agreed) == (2 * SALE, 0, True)


def test_a_registered_trade_is_claimed_without_signatures(tmp_path: Path) -> None:
    with unattested_day(tmp_path, registered=True) as day:
        day.pass_time(CLAIM_AFTER)

        evidence = day.scene.daemons["rooftrade"].market.view.cycle(CYCLE)
        claimed = sorted(one.claim.trade_digest for one in pending_claims(evidence, CYCLE))
        assert claimed == sorted(one.digest for one in day.placed)
        assert day.problems() == []


def test_a_claim_of_other_figures_keeps_nobody_from_claiming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody strikes it, the right one is made beside it all the same, once."""
    monkeypatch.setattr(Watching, "_watch_claims", lambda self, cycle: False)
    with unattested_day(tmp_path) as day:
        day.allocate(run=1, delivered=lambda one: 100)
        day.seal(1)
        day.pass_time(CLAIM_AFTER - HOUR)
        placed, desk = day.placed[0], day.scene.daemons["rooftrade"].desk

        def older(side: int) -> ServedLeaf:
            return next(
                one for one in desk.served(CYCLE, 0) if (one.leaf.trade_digest, one.leaf.side) == (placed.digest, side)
            )

        place = placed.place(desk.commitment(placed.number).commitment)
        signatures = [one.signature for one in placed.signatures]
        shown = [older(0).shown], [older(1).shown]
        day.scene.send("Settlement", "claim", place, placed.trade, signatures, *shown)
        day.pass_time(HOUR)
        day.pass_time(HOUR)

        claims = [event["claim"] for event in day.events("Claimed") if event["trade_digest"] == placed.digest]
        assert [one["settled_wh"] for one in claims if one["run"] == 1] == [500, 100]
