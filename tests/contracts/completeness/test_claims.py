"""Whatever one thing somebody shows wrong in a claim, or in an answer for a row's leaf, and what becomes of it.

Nobody signs these: all that they assert is what is shown with them. What does not fit is refused. What fits and is
only not the newest, or stands twice in its tree, is taken, and ended by whoever shows so; nobody is paid on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from itertools import product
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement.config import PRO_RATA
from settlement.faults import Status
from settlement.rows import RowContent
from settlement.trade import Claim, FlowLeaf, Place, ShownFlow, ShownLeaf, Trade
from tests.contracts.completeness.attested import AttestedRow, tree_of
from tests.contracts.completeness.corruptions import fitted
from tests.contracts.completeness.counting import tried
from tests.contracts.completeness.fields import changed
from tests.contracts.completeness.honest import LATE, HonestCycle, Leaves, Outcome, attempt, meter
from tests.contracts.completeness.test_rows import settle_rightly
from tests.contracts.settling import UTILITIES, claim_from, events, later
from tests.contracts.trading import CONFIG, CYCLE, shown

pytestmark = pytest.mark.usefixtures("counted")

RUN = 1
REGISTERED = 6
PAIR = "platform_a", "platform_b"
Sides = tuple[Sequence[ShownLeaf], Sequence[ShownLeaf]]


@dataclass(frozen=True)
class Shown:
    """All that is shown with a claim or an answer."""

    place: Place
    trade: Trade
    signatures: tuple[Any, ...]
    sides: Sides

    def arguments(self) -> tuple[Any, ...]:
        """As the contracts take it."""
        return (
            astuple(self.place),
            astuple(self.trade),
            list(self.signatures),
            *([astuple(leaf) for leaf in side] for side in self.sides),
        )

    def corrupted(self) -> Iterator[tuple[str, Shown]]:
        """What was changed, and the rest as it was: any field, a signature left out or exchanged, a leaf not shown."""
        for part in ("place", "trade"):
            value = getattr(self, part)
            for field in fields(value):
                for other in changed(getattr(value, field.name)):
                    yield f"{part}.{field.name}", self._with(part, replace(value, **{field.name: other}))
        signatures = self.signatures
        for place, (v, r, s) in enumerate(signatures):
            others = [signatures[place - 1], *((v, one, s) for one in changed(r)), *((v, r, one) for one in changed(s))]
            for other in others:
                yield "signatures", replace(self, signatures=(*signatures[:place], other, *signatures[place + 1 :]))
            yield "signatures", replace(self, signatures=(*signatures[:place], *signatures[place + 1 :]))
        for number, side in enumerate(self.sides):
            yield "leaf", self._with_side(number, ())
            for one in side:
                for field in fields(one):
                    for other in changed(getattr(one, field.name)):
                        yield f"leaf.{field.name}", self._with_side(number, (replace(one, **{field.name: other}),))

    def _with(self, part: str, value: Any) -> Shown:
        change: Any = {part: value}
        return replace(self, **change)

    def _with_side(self, number: int, side: Sequence[ShownLeaf]) -> Shown:
        return replace(self, sides=(side, self.sides[1]) if number == 0 else (self.sides[0], side))


def halved(cycle: HonestCycle, utility: str) -> Leaves:
    """A utility's leaves of run 0 with every reading half of what it is: a first reading, put right in run 1."""
    leaves = cycle.leaves(utility, 0)
    return [
        one if one.status == Status.MISSING else fitted(replace(one, meter_wh=one.meter_wh // 2), PRO_RATA)
        for one in leaves
    ]


@pytest.fixture(scope="module")
def sealed() -> HonestCycle:
    """Two runs are sealed; what was read in the first is put right in the second. Nothing is settled yet."""
    cycle = HonestCycle.committed(PRO_RATA)
    for run, wrong in ((0, {one: halved(cycle, one) for one in UTILITIES}), (1, None)):
        cycle.post(run, wrong)
        cycle.open_window(run)
        cycle.seal()
    return cycle


@pytest.fixture
def cycle(sealed: HonestCycle) -> Iterator[HonestCycle]:
    with boa.env.anchor():
        yield sealed.copy()


def evidence(cycle: HonestCycle, trade: Trade, runs: tuple[int, int] = (RUN, RUN)) -> Shown:
    """What shows a trade with leaves of these runs, the buyer side's and the seller's."""
    scene = cycle.scene
    sides = (scene.shown(trade, 0, runs[0]),), (scene.shown(trade, 1, runs[1]),)
    return Shown(scene.place(trade), trade, tuple(scene.signatures(trade)), sides)


def refusal(cycle: HonestCycle, what: Shown) -> str:
    """Why a claim is not taken; nothing where it would be. Nothing changes."""
    with boa.env.anchor():
        return attempt(cycle.market.settlement, "claim", *what.arguments())


def claimed(cycle: HonestCycle, what: Shown) -> Claim:
    """Somebody claims."""
    return claim_from(cycle.market.settlement.claim(*what.arguments()))


def paid_by_claims(cycle: HonestCycle, trades: Sequence[Trade]) -> Outcome:
    """Where right claims of trades lead."""
    claims = [claimed(cycle, evidence(cycle, trade)) for trade in trades]
    later(CONFIG.claim_window)
    for one in claims:
        assert attempt(cycle.market.settlement, "apply_claim", astuple(one)) == ""
    return cycle.outcome()


def struck_by_newer(cycle: HonestCycle, claim: Claim, trade: Trade, side: int) -> str:
    """By the newest leaf of a side; why not, or nothing."""
    newest = astuple(cycle.scene.shown(trade, side, RUN))
    return attempt(cycle.market.row_faults, "strike_newer_leaf", astuple(claim), astuple(trade), side, newest)


@pytest.mark.parametrize("number", [0, 5, REGISTERED])
def test_what_does_not_fit_is_no_claim(cycle: HonestCycle, number: int) -> None:
    """A batched trade, one with penalties, a registered one: each field of all that is shown."""
    right = evidence(cycle, cycle.trades[number])
    assert refusal(cycle, right) == ""
    reasons: dict[str, Counter[str]] = {}
    for what, wrong in right.corrupted():
        said = refusal(cycle, wrong)
        reasons.setdefault(what, Counter())[said] += 1
        tried("shown with a claim", what, said)
    # A registered trade's digest is its place: a path beside it is not read.
    unread = {"place.path"} if number == REGISTERED else set()
    assert {what for what, found in reasons.items() if "" in found} == unread


def test_a_claim_is_applied_and_struck_as_it_was_made(cycle: HonestCycle) -> None:
    trade = cycle.trades[0]
    claim = claimed(cycle, evidence(cycle, trade, (0, RUN)))
    wrong = [
        (field.name, replace(claim, **{field.name: one}))
        for field in fields(Claim)
        for one in changed(getattr(claim, field.name))
    ]
    assert {struck_by_newer(cycle, one, trade, 0) for _, one in wrong} == STRIKES_NOTHING
    before = cycle.outcome()
    later(CONFIG.claim_window)
    for field, one in wrong:
        said = attempt(cycle.market.settlement, "apply_claim", astuple(one))
        assert said == "Settlement: claim not pending"
        tried("claim applied otherwise", f"Claim.{field}", said)
    assert cycle.outcome() == before


STRIKES_NOTHING = {
    "Settlement: claim not pending",
    "RowFaults: not the claim's trade",
    "RowFaults: not newer",
    "TradeResult: leaf of another run",
}


@pytest.mark.parametrize("number", [0, 1, 2, 4, 5, REGISTERED])
@pytest.mark.parametrize("runs", [(0, RUN), (RUN, 0), (0, 0)], ids=str)
def test_an_older_figure_is_claimed_for_nothing(cycle: HonestCycle, number: int, runs: tuple[int, int]) -> None:
    """The newest leaf of either side that is not shown ends the claim; the right one pays, as if nothing had been."""
    trade = cycle.trades[number]
    with boa.env.anchor():
        truth = paid_by_claims(cycle, [trade])
    before = cycle.outcome()
    claim = claimed(cycle, evidence(cycle, trade, runs))
    for side in (0, 1):
        with boa.env.anchor():
            said = struck_by_newer(cycle, claim, trade, side)
            if runs[side] == RUN:
                assert said == "RowFaults: not newer"
                continue
            assert said == ""
            later(CONFIG.claim_window)
            assert attempt(cycle.market.settlement, "apply_claim", astuple(claim)) == "Settlement: claim not pending"
            assert cycle.outcome() == before
            assert paid_by_claims(cycle, [trade]) == truth
            tried("older figure", "claim", "struck by a newer leaf")


def test_a_reading_that_is_missing_is_no_figure(cycle: HonestCycle) -> None:
    (trade,) = (one for one in cycle.trades if one.seller_meter == meter(LATE))
    assert refusal(cycle, evidence(cycle, trade, (RUN, 0))) == "TradeResult: leaf does not count"
    assert refusal(cycle, evidence(cycle, trade)) == ""


def test_nothing_right_is_ever_struck(cycle: HonestCycle) -> None:
    """Every leaf that can be shown, of either run, against every right claim; and that its leaf stands twice."""
    faults = cycle.market.row_faults
    for trade in cycle.trades:
        claim = claimed(cycle, evidence(cycle, trade))
        for side, run in product((0, 1), range(RUN + 1)):
            leaf = astuple(cycle.scene.shown(trade, side, run))
            said = attempt(faults, "strike_newer_leaf", astuple(claim), astuple(trade), side, leaf)
            assert said in ("RowFaults: not newer", "TradeResult: leaf does not count")
            assert (
                attempt(faults, "strike_twice", astuple(claim), astuple(trade), side) == "RowFaults: not marked twice"
            )


@pytest.mark.parametrize("number", [0, 5, REGISTERED])
@pytest.mark.parametrize("side", [0, 1])
def test_a_leaf_that_stands_twice_ends_the_claims_of_both(number: int, side: int) -> None:
    """One side of a trade stands twice in the newest tree, with two readings. Whichever is claimed falls, and after the
    next run everybody has what is right."""
    honest = HonestCycle.committed(PRO_RATA)
    trade = honest.trades[number]
    utility = honest.utility(trade, side)
    with boa.env.anchor():
        for run in range(RUN + 1):
            honest.post(run)
            honest.open_window(run)
            honest.seal()
        truth = honest.copy().finish(RUN)
    cycle = honest.copy()
    for run in range(RUN + 1):
        cycle.post(run, {utility: with_twin(cycle, utility, trade, side, run)} if run == RUN else None)
        cycle.open_window(run)
        cycle.seal()
    before = cycle.outcome()
    tree, leaves = cycle.scene.posted[utility, RUN]
    digest = cycle.scene.digest(trade)
    own = [place for place, leaf in enumerate(leaves) if (leaf.trade_digest, leaf.side) == (digest, side)]
    both = [shown(tree, place, leaves[place], RUN) for place in own]
    assert len(both) == 2
    for one in both:
        with boa.env.anchor():
            right = evidence(cycle, trade)
            claim = claimed(cycle, right._with_side(side, (one,)))
            twice = CYCLE, cycle.scene.id(utility), *(astuple(leaf) for leaf in both)
            assert attempt(cycle.market.faults, "mark_twice", *twice) == ""
            stated = astuple(claim), astuple(trade), side
            assert attempt(cycle.market.row_faults, "strike_twice", *stated) == ""
            later(CONFIG.claim_window)
            assert attempt(cycle.market.settlement, "apply_claim", astuple(claim)) == "Settlement: claim not pending"
            assert cycle.outcome() == before
            assert cycle.copy().finish(RUN) == truth
            tried("leaf that stands twice", "claim", "struck as marked twice")


def with_twin(cycle: HonestCycle, utility: str, trade: Trade, side: int, run: int) -> Leaves:
    """A utility's leaves with one side of a trade twice, the second of half the reading."""
    digest = cycle.scene.digest(trade)
    found: Leaves = []
    for leaf in cycle.leaves(utility, run):
        found.append(leaf)
        if (leaf.trade_digest, leaf.side) == (digest, side):
            found.append(fitted(replace(leaf, meter_wh=leaf.meter_wh // 2), PRO_RATA))
    return found


# --- answers for a row's leaf ---


@dataclass(frozen=True)
class Demanded:
    """A pending row with one leaf of old figures, which its payer has demanded; `truth` is the right row's content."""

    cycle: HonestCycle
    truth: RowContent
    row: AttestedRow
    place: int
    trade: Trade

    def answer(self, what: Shown, flow: ShownFlow | None = None) -> str:
        """Anybody shows the trade behind the leaf; why that does not do, or nothing."""
        demands = self.cycle.market.row_demands
        return attempt(demands, "answer", astuple(self.row.row), astuple(flow or self.flow), *what.arguments())

    def taken(self, what: Shown) -> Claim:
        """Anybody shows the trade behind the leaf, and it is taken; what that asserted."""
        demands = self.cycle.market.row_demands
        demands.answer(astuple(self.row.row), astuple(self.flow), *what.arguments())
        (event,) = events(demands, "LeafFounded")
        return claim_from(event["claim"])

    @property
    def flow(self) -> ShownFlow:
        """The leaf with its proof."""
        return ShownFlow(self.row.leaves[self.place], self.place, tree_of(self.row.leaves).path(self.place))

    def demand(self) -> None:
        """The payer asks for the leaf."""
        said = self.row.demand_of(self.place)
        assert self.row.demand(said, said) == ""


def right_content(cycle: HonestCycle) -> RowContent:
    """What the pair's row is made of."""
    payer, payee = (cycle.scene.id(name) for name in PAIR)
    return cycle.result(RUN).rows[payer, payee]


def demanded(cycle: HonestCycle, runs: tuple[int, int]) -> Demanded:
    """A row of the pair with one leaf as the leaves of these runs give it."""
    truth, trade = right_content(cycle), cycle.trades[0]
    digest = cycle.scene.digest(trade)
    place, right = next((place, leaf) for place, leaf in enumerate(truth.leaves) if leaf.trade_digest == digest)
    figures = [cycle.scene.shown(trade, side, run).leaf.allocated_wh for side, run in enumerate(runs)]
    settled, flows = cycle.scene.member_flows(trade, *figures)
    wrong = replace(right, settled_wh=settled, amount=flows[right.flow].amount)
    leaves: tuple[FlowLeaf, ...] = (*truth.leaves[:place], wrong, *truth.leaves[place + 1 :])
    row = AttestedRow.over(cycle, truth, leaves, RUN, 1)
    assert row.attest() == row.publish() == ""
    made = Demanded(cycle, truth, row, place, trade)
    made.demand()
    return made


def test_what_does_not_fit_is_no_answer(cycle: HonestCycle) -> None:
    """Each field of the leaf and of all that is shown with it."""
    case = demanded(cycle, (RUN, RUN))
    right = evidence(cycle, case.trade)
    reasons: dict[str, Counter[str]] = {}

    def told(what: str, said: Shown, flow: ShownFlow) -> None:
        with boa.env.anchor():
            found = case.answer(said, flow)
        reasons.setdefault(what, Counter())[found] += 1
        tried("shown with an answer", what, found)

    for what, wrong in right.corrupted():
        told(what, wrong, case.flow)
    for field in fields(ShownFlow):
        for other in changed(getattr(case.flow, field.name)):
            told(f"flow.{field.name}", right, replace(case.flow, **{field.name: other}))
    assert not [what for what, found in reasons.items() if "" in found]
    assert case.answer(right) == ""


@pytest.mark.parametrize("runs", [(0, RUN), (RUN, 0), (0, 0)], ids=str)
def test_an_answer_by_older_figures_holds_no_row(cycle: HonestCycle, runs: tuple[int, int]) -> None:
    """The quorum and who answers lie alike; the newest leaf refutes them, and nothing as old answers again."""
    content = right_content(cycle)
    with boa.env.anchor():
        truth = settle_rightly(cycle, content, 1)
    before = cycle.outcome()
    case = demanded(cycle, runs)
    old = evidence(cycle, case.trade, runs)
    claim = case.taken(old)
    row, newest = astuple(case.row.row), [(astuple(cycle.scene.shown(case.trade, side, RUN)),) for side in (0, 1)]
    for side in (0, 1):
        stated = row, case.place, astuple(claim), astuple(case.trade), side, list(newest[side])
        with boa.env.anchor():
            said = attempt(cycle.market.row_demands, "refute", *stated)
            assert said == ("" if runs[side] != RUN else "RowDemands: not newer")
            if said:
                continue
            assert case.answer(old) == "RowDemands: refuted before"
            assert case.answer(evidence(cycle, case.trade)) == "RowDemands: another leaf results"
            later(max(CONFIG.demand_time, CONFIG.row_window))
            assert case.row.strike_unfounded(case.place) == ""
            assert case.row.apply() == "Settlement: row not pending"
            assert cycle.outcome() == before
            assert settle_rightly(cycle, content, 2) == truth
            tried("older figure", "answer", "refuted by a newer leaf")
