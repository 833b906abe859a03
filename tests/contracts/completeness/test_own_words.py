"""What a wrong word comes to in the end that its own signers signed: it binds them, and nobody else has less by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from typing import Any

import boa  # type: ignore[import-untyped]
import pytest

from settlement.config import PRO_RATA
from settlement.hashing import keccak256
from settlement.trade import Acknowledgement, BankAttestation, FigureAgreement, Lock, Trade
from tests.contracts.completeness.counting import tried
from tests.contracts.completeness.honest import HonestCycle, Outcome, attempt, meter
from tests.contracts.completeness.signed import acts
from tests.contracts.completeness.standing import standings
from tests.contracts.completeness.watching import contest
from tests.contracts.settling import later, nested
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    END,
    MORNING,
    SLOT,
    at_time,
    batch_of,
    batch_place,
    commit,
    curtail,
    trade_of,
)

pytestmark = pytest.mark.usefixtures("counted")

IN_THE_END = "wrong word in the end"


@pytest.fixture(scope="module")
def committed() -> HonestCycle:
    return HonestCycle.committed(PRO_RATA)


@pytest.fixture
def cycle(committed: HonestCycle) -> Iterator[HonestCycle]:
    with boa.env.anchor():
        yield committed.copy()


@pytest.fixture(scope="module")
def honest(committed: HonestCycle) -> tuple[Outcome, dict[bytes, int]]:
    """Where the honest cycle ends, and at how many Wh each trade settles in its first run."""
    with boa.env.anchor():
        cycle = committed.copy()
        settle(cycle)
        return cycle.finish(0), settled_wh(cycle)


def settle(cycle: HonestCycle) -> None:
    """Run 0 of the honest cycle, sealed."""
    cycle.post(0)
    cycle.open_window(0)
    cycle.seal()


def settled_wh(cycle: HonestCycle) -> dict[bytes, int]:
    """By trade digest."""
    return {cycle.scene.digest(trade): wh for trade in cycle.trades for wh, _ in cycle.settled(trade, 0)}


def claimed_and_applied(cycle: HonestCycle, trade: Trade) -> str:
    """A trade is registered as its signers say, both meters read 1 750 Wh, and somebody claims; why that fails."""
    scene, settlement = cycle.scene, cycle.market.settlement
    at_time(MORNING)
    scene.register(trade)
    at_time(END)
    for utility, side in (("utility_a", 0), ("utility_b", 1)):
        scene.post_leaves(utility, [scene.leaf(trade, side, read=1_750)])
    cycle.open_window(0)
    cycle.seal()
    arguments = nested(scene.place(trade)), nested(trade), scene.signatures(trade), *scene.both(trade)
    with boa.env.anchor():
        refused = attempt(settlement, "claim", *arguments)
    if not refused:
        claim = scene.claim(trade)
        later(CONFIG.claim_window)
        refused = attempt(settlement, "apply_claim", astuple(claim))
    return refused


WRONG: dict[str, Any] = {
    "rates": ((7_000_000, 400_000), ""),
    "contracted_wh": (500, ""),
    "template": (keccak256(b"no template"), "TradeResult: unknown template"),
}


@pytest.mark.parametrize("field", list(WRONG))
def test_a_trade_binds_those_who_signed_it(committed: HonestCycle, field: str) -> None:
    """Its amounts are theirs, and come to nothing among them; all others have what they had, whatever it says."""
    value, reason = WRONG[field]
    market = committed.market
    right = trade_of(market, 77, buyer_meter=meter("b7"), seller_meter=meter("s7"))
    found = []
    for trade, expected in ((right, ""), (replace(right, **{field: value}), reason)):
        with boa.env.anchor():
            cycle = committed.copy()
            before = standings(cycle)
            assert claimed_and_applied(cycle, trade) == expected
            moved = {name: one.money - before[name].money for name, one in standings(cycle).items()}
            assert sum(moved.values()) == 0
            bound = {cycle.scene.name(one) for one in trade.signers}
            assert {name for name, change in moved.items() if change} <= bound
            found.append(moved)
    assert any(found[0].values())
    assert found[0] != found[1]
    assert any(found[1].values()) is not bool(reason)
    tried(IN_THE_END, f"Trade.{field}", reason or "its signers pay by it, nobody else")


@pytest.mark.parametrize("payee", ["utility_b", "platform_b"])
def test_what_was_locked_wrongly_comes_back(cycle: HonestCycle, payee: str) -> None:
    """To whomever, and however much: once the cycle is closed the payer has it again."""
    market = cycle.market
    trade = trade_of(market, 99, buyer_meter=meter("b9"), seller_meter=meter("s9"))
    payer, to = cycle.scene.id("platform_c"), cycle.scene.id(payee)
    before = standings(cycle)
    free = cycle.scene.free("platform_c")
    at_time(MORNING)
    batch = batch_of(market, [replace(trade, buyer_platform=payer)], sequence=99, locks=(Lock(payer, to, 123_456_789),))
    pair = sorted((payer, trade.seller_platform))
    commit(market, replace(batch, platform_a=pair[0], platform_b=pair[1]))
    assert cycle.scene.free("platform_c") == free - 123_456_789
    assert standings(cycle) == before
    later(market.config.close_limit + 60 * DAY)
    assert attempt(market.escrow, "release", CYCLE, payer, to) == ""
    assert cycle.scene.free("platform_c") == free
    assert standings(cycle) == before
    tried(IN_THE_END, "Lock", "back with its payer after the cycle")


@pytest.mark.parametrize(("field", "value"), [("root", keccak256(b"of nothing")), ("count", 2)], ids=["root", "count"])
def test_a_batch_over_nothing_settles_nothing(
    cycle: HonestCycle, honest: tuple[Outcome, dict[bytes, int]], field: str, value: Any
) -> None:
    """Its trades have no place, and the cycle ends for all as if it had never been."""
    market = cycle.market
    trade = trade_of(market, 99, buyer_meter=meter("b9"), seller_meter=meter("s9"))
    at_time(MORNING)
    batch = replace(batch_of(market, [trade], sequence=99), **{field: value})
    time, number = boa.env.evm.patch.timestamp, commit(market, batch)
    place = batch_place(market, number, batch, [trade], 0, time)
    signatures = market.sign_all(trade.signers, trade)
    placed = attempt(market.result, "check_place", astuple(place), astuple(trade), signatures)
    assert placed == "TradeResult: not committed"
    at_time(END)
    settle(cycle)
    assert cycle.finish(0) == honest[0]
    tried(IN_THE_END, f"TradeBatch.{field}", placed)


def test_curtailed_too_far_nobody_else_settles_at_less(
    cycle: HonestCycle, honest: tuple[Outcome, dict[bytes, int]]
) -> None:
    """The trade's own parties share what is lowered; to raise it again there is no way."""
    scene, trade = cycle.scene, cycle.trades[0]
    at_time(SLOT - 1)
    curtail(cycle.market, scene.place(trade), trade, 100, ["utility_b"])
    scene.contracted[scene.digest(trade)] = 100
    with boa.reverts("TradeBook: does not lower"):
        curtail(cycle.market, scene.place(trade), trade, 2_000, ["utility_b"])
    at_time(END)
    settle(cycle)
    found, digest = settled_wh(cycle), scene.digest(trade)
    assert found[digest] == 100 < honest[1][digest]
    assert all(found[other] >= wh for other, wh in honest[1].items() if other != digest)
    assert found.keys() == honest[1].keys()
    tried(IN_THE_END, "Curtailment.contracted_wh", "the trade settles at it, no other at less")


@pytest.mark.parametrize("wh", [0, 1_999])
def test_what_all_signers_agreed_on_is_theirs(
    cycle: HonestCycle, honest: tuple[Outcome, dict[bytes, int]], wh: int
) -> None:
    scene, trade = cycle.scene, cycle.trades[0]
    cycle.post(0)
    cycle.open_window(0)
    assert contest(cycle, trade, 1, 0) == ""
    agreed = FigureAgreement(CYCLE, scene.digest(trade), 1, wh)
    signed = cycle.market.sign_all(trade.signers, agreed)
    assert attempt(cycle.market.disputes, "agree", astuple(agreed), astuple(trade), signed, []) == ""
    cycle.seal()
    found, digest = settled_wh(cycle), scene.digest(trade)
    assert found.pop(digest) <= wh
    assert found == {other: figure for other, figure in honest[1].items() if other != digest}
    tried(IN_THE_END, "FigureAgreement.wh", "the trade settles at it, all others as ever")


def test_what_a_creditor_does_not_acknowledge_a_bank_attests(committed: HonestCycle) -> None:
    """The debtor's debt stays open by what is not acknowledged, and not a unit more; a bank's word closes it."""
    with boa.env.anchor():
        cycle = committed.copy()
        market = cycle.market
        with_acts = acts(cycle)
        act = next(act for act in with_acts if act.kind is Acknowledgement)
        true, ledger = act.value, market.obligations
        less = replace(true, acknowledged=true.acknowledged - 7)
        number = ledger.obligation_count()
        assert act.submit(less, less) == ""
        assert ledger.obligation(number).closed == less.acknowledged
        attested = BankAttestation(true.creditor, true.debtor, true.reference_hash, true.acknowledged)
        bank, word = market.members["bank"].id, market.sign("bank", attested)
        assert attempt(ledger, "attest", astuple(attested), bank, word, []) == ""
        assert ledger.obligation(number).closed == true.acknowledged
        with_acts.close()
    tried(IN_THE_END, "Acknowledgement.acknowledged", "a bank attests the rest")
