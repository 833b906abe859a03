"""The end of a cycle: when it closes, what is taken after that, and how locks go back to their payers."""

from __future__ import annotations

from dataclasses import astuple, replace

import boa
import pytest

from settlement.hashing import keccak256
from settlement.rows import RowContent
from settlement.trade import RowDemand
from tests.contracts.market import at_time
from tests.contracts.settling import Pair, Scene, deploy_settling, events, later
from tests.contracts.trading import CONFIG, CYCLE, DAY, END, HOUR, pause, resume, trade_of

PAYER, PAYEE = PAIR = ("platform_a", "platform_b")
SHORT = replace(CONFIG, run_deadlines=(12 * HOUR, 14 * DAY), publish_time=DAY + 1, row_window=DAY + 2)
DELAY, LIMIT = SHORT.close_delay, SHORT.close_limit
# After it, nothing that was pending can be in its time.
REST = SHORT.publish_time + SHORT.row_window + SHORT.claim_window
LOCK, AMOUNT = 25_000_000, 20_000_000


@pytest.fixture(scope="module")
def committed() -> Scene:
    """Two trades, with a lock of more than their row comes to, and one for the operator."""
    scene = Scene(deploy_settling(SHORT))
    trades = [
        trade_of(
            scene.market,
            number,
            buyer_meter=keccak256(b"buyer", bytes([number])),
            seller_meter=keccak256(b"seller", bytes([number])),
        )
        for number in range(2)
    ]
    scene.commit(trades, [(PAYER, PAYEE, LOCK), (PAYER, "utility_b", 7)])
    return scene


@pytest.fixture
def scene(committed: Scene) -> Scene:
    """Run 0 is sealed."""
    scene = committed.copy()
    scene.settle_inputs()
    return scene


@pytest.fixture
def complete(scene: Scene) -> Scene:
    """Both runs are sealed."""
    scene.settle_inputs()
    return scene


def content_of(scene: Scene) -> RowContent:
    """The right row's content between platforms a and b."""
    return scene.contents()[scene.id(PAYER), scene.id(PAYEE)]


def closed_for(scene: Scene) -> int:
    """Seconds since the cycle closed."""
    return int(scene.market.oracle.closed_for(CYCLE))


def release(scene: Scene, payer: str = PAYER, payee: str = PAYEE) -> None:
    """Anyone releases a pair's lock."""
    with boa.env.prank(boa.env.generate_address()):
        scene.market.escrow.release(CYCLE, scene.id(payer), scene.id(payee))


# --- when ---


def test_a_cycle_closes_a_while_after_its_last_seal(complete: Scene) -> None:
    sealed = boa.env.evm.patch.timestamp
    assert complete.market.oracle.phase(CYCLE) == 5
    for after in (0, DELAY - 1, DELAY):
        at_time(sealed + after)
        assert closed_for(complete) == 0
    for after in (1, 2, 1_000):
        at_time(sealed + DELAY + after)
        assert closed_for(complete) == after
    # The limit comes later, and then says less.
    at_time(END + LIMIT + 5)
    assert closed_for(complete) == END + LIMIT + 5 - sealed - DELAY


@pytest.mark.parametrize("sealed", [False, True])
def test_a_cycle_closes_at_last_whatever_happened(committed: Scene, sealed: bool) -> None:
    scene = committed.copy()
    if sealed:
        scene.settle_inputs()
    at_time(END + LIMIT)
    assert closed_for(scene) == 0
    at_time(END + LIMIT + 1)
    assert closed_for(scene) == 1
    # A seal that comes after that changes nothing.
    scene.seal()
    since = boa.env.evm.patch.timestamp - END - LIMIT
    assert closed_for(scene) == since > SHORT.window


def test_a_cycle_without_commitments_does_not_close(committed: Scene) -> None:
    at_time(END + 10 * LIMIT)
    assert committed.market.oracle.closed_for(CYCLE + 1) == 0
    assert committed.market.oracle.closed_for(2**64 - 1) == 0


def test_paused_time_does_not_close(complete: Scene) -> None:
    later(DELAY)
    pause(complete.market)
    later(5 * HOUR)
    assert closed_for(complete) == 0
    resume(complete.market)
    later(1)
    assert closed_for(complete) == 1


# --- what is taken ---


def test_a_closed_cycle_takes_only_agreed_rows(complete: Scene) -> None:
    scene, content = complete, content_of(complete)
    row = scene.row(content, run=1)
    later(DELAY)
    with boa.env.anchor():
        scene.attest(row)
    with boa.env.anchor():
        scene.claim(scene.trades[0], leaf_run=1)
    later(1)
    with boa.reverts("Settlement: cycle closed"):
        scene.attest(row)
    with boa.reverts("Settlement: cycle closed"):
        scene.claim(scene.trades[0], leaf_run=1)
    scene.settle(replace(row, keep=3))
    assert scene.word(*PAIR) == Pair(3, AMOUNT, 1, 2, True, False)
    later(REST)
    scene.settle(replace(row, version=2, amount=1))
    assert scene.word(*PAIR) == Pair(0, 1, 2, 2, True, False)


def test_what_was_pending_goes_on(complete: Scene) -> None:
    """Published, its window run, and applied, from the lock, which is not released before."""
    scene, content = complete, content_of(complete)
    row = scene.row(content, run=1)
    later(DELAY)
    scene.attest(row)
    claim = scene.claim(scene.trades[0], leaf_run=1)
    later(SHORT.publish_time - 1)
    assert closed_for(scene) > 0
    scene.publish(row, content)
    later(REST)
    with boa.reverts("SettlementEscrow: a row is pending"):
        release(scene)
    scene.market.settlement.apply_attested(astuple(row))
    assert scene.word(*PAIR) == Pair(LOCK - AMOUNT, AMOUNT, 1, 2, False, True)
    release(scene)
    assert scene.word(*PAIR) == Pair(0, AMOUNT, 1, 2, False, True)
    scene.market.settlement.apply_claim(astuple(claim))
    assert scene.word(PAYER, "utility_b").applied > 0


# --- release ---


def test_locks_go_back_once_the_cycle_was_closed_for_long(complete: Scene) -> None:
    scene, escrow = complete, complete.market.escrow
    scene.settle(scene.plain(*PAIR, AMOUNT, run=1, keep=LOCK))
    before = scene.free(PAYER), scene.free(PAYEE), escrow.held()
    later(DELAY)
    at_time(boa.env.evm.patch.timestamp + REST - 1 - closed_for(scene))
    with boa.reverts("SettlementEscrow: cycle not closed for long"):
        release(scene)
    later(1)
    assert closed_for(scene) == REST
    release(scene)
    released = events(escrow, "Applied")
    word = escrow.pair(CYCLE, scene.id(PAYER), scene.id(PAYEE))
    assert released == [
        {
            "cycle": CYCLE,
            "payer": scene.id(PAYER),
            "payee": scene.id(PAYEE),
            "paid": 0,
            "released": LOCK - AMOUNT,
            "word": word,
        }
    ]
    assert scene.word(*PAIR) == Pair(0, AMOUNT, 1, 2, True, False)
    assert (scene.free(PAYER), scene.free(PAYEE), escrow.held()) == (before[0] + LOCK - AMOUNT, *before[1:])
    with boa.reverts("SettlementEscrow: nothing locked"):
        release(scene)
    for pair in (("platform_b", "platform_a"), ("platform_a", "platform_c")):
        with boa.reverts("SettlementEscrow: nothing locked"):
            release(scene, *pair)
    # Another pair's lock stays until somebody releases it too.
    assert scene.word(PAYER, "utility_b").lock == 7
    release(scene, PAYER, "utility_b")
    assert scene.word(PAYER, "utility_b") == Pair(0, 0, 0, 0, False, False)


def test_a_cycle_that_nobody_settled_gives_its_locks_back(committed: Scene) -> None:
    """Officials, attestors and payees silent: time alone does it."""
    scene = committed.copy()
    before = scene.free(PAYER)
    at_time(END + LIMIT + REST - 1)
    with boa.reverts("SettlementEscrow: cycle not closed for long"):
        release(scene)
    later(1)
    release(scene)
    assert scene.free(PAYER) == before + LOCK


def test_an_open_or_unused_cycle_releases_nothing(scene: Scene) -> None:
    with boa.reverts("SettlementEscrow: cycle not closed for long"):
        release(scene)
    later(10 * LIMIT)
    with boa.reverts("SettlementEscrow: cycle not closed for long"):
        scene.market.escrow.release(CYCLE + 1, scene.id(PAYER), scene.id(PAYEE))


def test_a_row_that_was_never_published_does_not_keep_a_lock(complete: Scene) -> None:
    scene = complete
    row = scene.row(content_of(scene), run=1)
    later(DELAY)
    scene.attest(row)
    assert scene.market.settlement.pending(CYCLE, row.payer, row.payee)[0] == 1
    later(SHORT.publish_time)
    assert scene.market.settlement.pending(CYCLE, row.payer, row.payee)[0] == 3
    later(REST)
    release(scene)
    assert scene.word(*PAIR).lock == 0


def test_a_row_that_was_overtaken_does_not_keep_a_lock(scene: Scene) -> None:
    row = scene.pending(content_of(scene))
    assert scene.market.settlement.pending(CYCLE, row.payer, row.payee)[0] == 2
    scene.settle_inputs()
    claim = scene.claim(scene.trades[0], leaf_run=1)
    later(SHORT.claim_window)
    scene.market.settlement.apply_claim(astuple(claim))
    stage, digest = scene.market.settlement.pending(CYCLE, row.payer, row.payee)
    assert (stage, digest) == (3, scene.market.domain.digest(row))
    later(DELAY + REST)
    release(scene)
    assert scene.word(*PAIR).lock == 0


@pytest.mark.parametrize("in_time", [True, False])
def test_a_claim_that_waits_to_be_applied_does_not_keep_a_lock(complete: Scene, in_time: bool) -> None:
    """What it comes to is then owed, not paid."""
    scene = complete
    later(DELAY)
    claim = scene.claim(scene.trades[0], leaf_run=1)
    later(SHORT.claim_window)
    if in_time:
        scene.market.settlement.apply_claim(astuple(claim))
    later(REST)
    release(scene)
    if not in_time:
        scene.market.settlement.apply_claim(astuple(claim))
    due = AMOUNT // 2
    assert scene.word(*PAIR).applied == due
    assert scene.owed(*PAIR) == (0 if in_time else due)


def test_a_row_that_is_held_keeps_its_lock_until_it_is_struck(complete: Scene) -> None:
    """A leaf that nobody can show, demanded just before the close: anyone ends that."""
    scene = complete
    content = content_of(scene)
    wrong = RowContent(content.payer, content.payee, (replace(content.leaves[0], trade_digest=b"\1" * 32),))
    row = scene.row(wrong, run=1)
    later(DELAY)
    scene.attest(row)
    scene.publish(row, wrong)
    said = RowDemand(scene.market.domain.digest(row), 0, scene.id(PAYER))
    scene.market.row_demands.demand(astuple(row), astuple(said), scene.market.sign(PAYER, said), [])
    later(REST + 1)
    with boa.reverts("SettlementEscrow: a row is pending"):
        release(scene)
    scene.market.row_demands.strike_unfounded(astuple(row), 0)
    release(scene)
    assert scene.word(*PAIR).lock == 0
