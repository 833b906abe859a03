"""Settlement: runs with figures of their own, settled in whatever order by whichever way, end at the newest row's.

Every history is played, step by step, on the contracts and on a model: three runs are sealed in turn; in between a run
is agreed on, attested, applied as attested, or claimed, three acts at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

import boa
import pytest

from settlement.rows import RowContent
from tests.contracts.completeness.honest import attempt
from tests.contracts.settlement.case import BUYER, PAIR, SELLER, own_meters
from tests.contracts.settling import FUNDS, Scene, deploy_settling, events, later
from tests.contracts.trading import CONFIG, CYCLE, trade_of

# Wh by run, at 5 a kWh: the second run says less than the first, the third lies between. The lock covers the second.
WH = (2_000, 1_000, 1_500)
AMOUNTS = (10_000_000, 5_000_000, 7_500_000)
LOCK = 6_000_000
MOST_ACTS = 3
AGREED, ATTESTED, APPLIED, CLAIMED, SEALED = "agreed", "attested", "applied", "claimed", "sealed"
Step = tuple[str, int]


@dataclass(frozen=True)
class State:
    """What should be true of the pair: runs sealed, the last settled run + 1, by what, and what is applied."""

    sealed: int = 0
    settled: int = 0
    by: str = ""
    applied: int = 0
    pending: int | None = None
    acts: tuple[Step, ...] = ()

    def steps(self) -> Iterator[Step]:
        """What may be tried next; each run once in each way."""
        if self.sealed < len(WH):
            yield SEALED, self.sealed
        if self.pending is not None:
            yield APPLIED, self.pending
        if len(self.acts) < MOST_ACTS:
            tried = [(AGREED, run) for run in range(self.sealed)]
            tried += [(way, self.sealed - 1) for way in (ATTESTED, CLAIMED) if self.sealed]
            yield from (step for step in tried if step not in self.acts)

    def after(self, step: Step) -> State | str:
        """What is true after a step, or why it is refused."""
        way, run = step
        if way == SEALED:
            return replace(self, sealed=self.sealed + 1)
        if way == APPLIED:
            if run + 1 < self.settled:
                return "Settlement: later run settled"
            return replace(self, settled=run + 1, by=ATTESTED, applied=AMOUNTS[run], pending=None)
        acts = (*self.acts, step)
        if way == AGREED:
            if run + 1 < self.settled:
                return "a later run is settled"
            if self.pending is not None and run < self.pending:
                return "a later run is attested"
            return replace(self, settled=run + 1, by=AGREED, applied=AMOUNTS[run], pending=None, acts=acts)
        if way == ATTESTED:
            if (self.settled, self.by) == (run + 1, AGREED):
                return "Settlement: settled by agreement"
            if self.pending is not None and self.pending + 1 >= self.settled:
                return "Settlement: another row pending"
            return replace(self, pending=run, acts=acts)
        if self.settled == run + 1 and self.by != CLAIMED:
            return replace(self, acts=acts)  # the row holds what is claimed
        return replace(self, settled=run + 1, by=CLAIMED, applied=max(self.applied, AMOUNTS[run]), acts=acts)


@pytest.fixture(scope="module")
def market() -> Scene:
    """A trade of 2 kWh and its lock."""
    scene = Scene(deploy_settling())
    scene.commit([trade_of(scene.market, 0, **own_meters(0))], [(*PAIR, LOCK)])
    return scene


def content(scene: Scene, run: int) -> RowContent:
    """What a run comes to, by `settlement`."""
    wh = {scene.digest(scene.trades[0]): (WH[run], WH[run])}
    return scene.contents(wh)[scene.id(BUYER), scene.id(SELLER)]


def take(scene: Scene, step: Step) -> str:
    """Takes a step on the contracts; the reason with which it was refused, or nothing."""
    way, run = step
    settlement = scene.market.settlement
    if way == SEALED:
        digest = scene.digest(scene.trades[0])
        scene.settle_inputs({(digest, side): {"read": WH[run]} for side in (0, 1)})
        return ""
    if way == CLAIMED:
        claim = scene.claim(scene.trades[0], run)
        later(CONFIG.claim_window)
        return attempt(settlement, "apply_claim", astuple(claim))
    row = scene.row(content(scene, run), run)
    if way == APPLIED:
        later(CONFIG.row_window)
        # The version it was attested with: none came after it, or it would not be pending.
        version = settlement.highest_version(CYCLE, row.payer, row.payee)
        return attempt(settlement, "apply_attested", astuple(replace(row, version=version)))
    row = replace(row, version=1 + settlement.highest_version(CYCLE, row.payer, row.payee))
    if way == AGREED:
        # Beside a row that applies, so that it is told why this one does not.
        other = scene.plain("platform_c", SELLER, 1)
        other = replace(other, version=1 + settlement.highest_version(CYCLE, other.payer, other.payee))
        settlement.settle([scene.signed(row), scene.signed(other)], [])
        return "".join(event["reason"] for event in events(settlement, "RowSkipped"))
    said = attempt(settlement, "attest", astuple(row), *scene.attestations(row))
    if not said:
        scene.publish(row, content(scene, run))
    return said


def check(scene: Scene, state: State) -> None:
    """The pair stands as the model says, and the money with it."""
    word, pending = scene.word(*PAIR), scene.market.settlement.pending(CYCLE, scene.id(BUYER), scene.id(SELLER))
    assert (word.applied, word.runs) == (state.applied, state.settled), state
    assert (word.agreed, word.attested) == (state.by == AGREED, state.by == ATTESTED), state
    if state.by in (AGREED, ATTESTED):
        assert word.applied == AMOUNTS[state.settled - 1], state
    stage = 0 if state.pending is None else 3 if state.pending + 1 < state.settled else 2
    assert pending[0] == stage, state
    came = scene.free(SELLER) - FUNDS + scene.owed(*PAIR) - scene.owed(SELLER, BUYER)
    assert came == word.applied, state


def check_end(scene: Scene) -> None:
    """With the last run agreed on, no order of what was before shows any more."""
    with boa.env.anchor():
        assert take(scene, (AGREED, len(WH) - 1)) == ""
        word = scene.word(*PAIR)
        assert (word.applied, word.lock, word.runs, word.agreed) == (AMOUNTS[-1], 0, len(WH), True)
        check(scene, State(len(WH), len(WH), AGREED, AMOUNTS[-1]))


def play(scene: Scene, state: State, reached: list[State], ended: set[Any]) -> None:
    """Every history from here on."""
    reached.append(state)
    check(scene, state)
    if state.sealed == len(WH):
        # Histories that left the same figures are ended once.
        figures = state.pending, scene.word(*PAIR), scene.free(SELLER), scene.owed(*PAIR), scene.owed(SELLER, BUYER)
        if figures not in ended:
            check_end(scene)
            ended.add(figures)
    for step in state.steps():
        with boa.env.anchor():
            then = scene.copy()
            expected = state.after(step)
            said = take(then, step)
            if isinstance(expected, str):
                assert said == expected, (state, step)
                check(then, state)
            else:
                assert said == "", (state, step)
                play(then, expected, reached, ended)


@pytest.mark.timeout(1_500)
def test_runs_in_any_order_end_at_the_newest_rows_figures(market: Scene) -> None:
    assert tuple(content(market, run).amount for run in range(len(WH))) == AMOUNTS
    reached: list[State] = []
    ended: set[Any] = set()
    play(market.copy(), State(), reached, ended)
    assert len(reached) == 959
    ways = {(state.settled, state.by) for state in reached}
    assert ways >= {(run + 1, by) for run in range(len(WH)) for by in (AGREED, ATTESTED, CLAIMED)}
    assert len(ended) > 50
