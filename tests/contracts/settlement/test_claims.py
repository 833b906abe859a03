"""Settlement: claims; strikes of rows and claims; by each of three ways a pair comes to the same amount."""

from __future__ import annotations

import random
from dataclasses import astuple, replace

import boa

from settlement import preimages
from settlement.formula.templates import (
    DEVIATION,
    FIXED_PRICE_CONTRACTED,
    INTER_UTILITY,
    MARKET,
    Role,
)
from settlement.hashing import ZERO_HASH
from settlement.trade import Claim, Trade
from tests.contracts.settlement.case import (
    APPLIED,
    BUYER,
    LOCK,
    NO_CLAIM,
    OWED,
    PAIR,
    PENDING,
    SELLER,
    apply_claims,
    content_of,
    own_meters,
    stage_of,
    struck,
)
from tests.contracts.settling import FUNDS, Pair, Scene, deploy_settling, events, later
from tests.contracts.trading import CONFIG, CYCLE, HOUR, pause, resume, trade_of

# --- claims ---


def test_claim(scene: Scene) -> None:
    market, trade = scene.market, scene.trades[0]
    digest = scene.digest(trade)
    claim = scene.claim(trade)
    settled, listed = scene.member_flows(trade, 2_000, 2_000)
    now = boa.env.evm.patch.timestamp
    assert claim == Claim(CYCLE, 0, digest, settled, 1, 0, 1, 0, now, listed)
    event = events(market.settlement, "Claimed")[0]
    assert (event["trade_digest"], event["cycle"]) == (digest, CYCLE)
    assert stage_of(scene, claim) == PENDING
    with boa.reverts("Settlement: claimed already"):
        scene.claim(trade)
    later(CONFIG.claim_window - 1)
    with boa.reverts("Settlement: claim's window open"):
        market.settlement.apply_claim(astuple(claim))
    later(1)
    with boa.reverts("Settlement: claim not pending"):
        market.settlement.apply_claim(astuple(replace(claim, settled_wh=1)))
    market.settlement.apply_claim(astuple(claim))
    assert events(market.settlement, "ClaimApplied") == [
        {
            "trade_digest": digest,
            "payer": flow.payer,
            "payee": flow.payee,
            "cycle": CYCLE,
            "run": 0,
            "claim_hash": preimages.claim_record(claim),
            "claimed_sum": flow.amount,
            "paid": flow.amount if flow.payee == scene.id(SELLER) else 0,
            "owed": 0 if flow.payee == scene.id(SELLER) else flow.amount,
        }
        for flow in listed
    ]
    assert scene.word(*PAIR) == Pair(LOCK - 10_000_000, 10_000_000, 0, 1, False, False)
    assert scene.owed(BUYER, "utility_b") == 800_000
    assert stage_of(scene, claim) == APPLIED
    with boa.reverts("Settlement: claim not pending"):
        market.settlement.apply_claim(astuple(claim))
    with boa.reverts("Settlement: claimed already"):
        scene.claim(trade)


def test_paused_time_does_not_run_a_claims_window(scene: Scene) -> None:
    claim = scene.claim(scene.trades[0])
    pause(scene.market)
    later(10 * HOUR)
    resume(scene.market)
    later(CONFIG.claim_window - 1)
    with boa.reverts("Settlement: claim's window open"):
        scene.market.settlement.apply_claim(astuple(claim))
    later(1)
    scene.market.settlement.apply_claim(astuple(claim))


def test_claims_add_up_to_the_row(scene: Scene) -> None:
    apply_claims(scene, *scene.trades)
    assert scene.word(*PAIR) == Pair(0, 50_000_000, 0, 1, False, False)
    assert (scene.owed(*PAIR), scene.free(SELLER)) == (OWED, FUNDS + LOCK)
    sums = [event["claimed_sum"] for event in events(scene.market.settlement, "ClaimApplied")]
    assert sums == [50_000_000, 4_000_000]


def test_claim_needs_a_sealed_run(committed: Scene) -> None:
    scene = committed.copy()
    scene.post()
    with boa.reverts("Settlement: no sealed run"):
        scene.claim(scene.trades[0])


def test_claim_lapses_with_a_newer_seal(scene: Scene) -> None:
    claim = scene.claim(scene.trades[0])
    scene.settle_inputs()
    with boa.reverts("Settlement: newer run is sealed"):
        scene.market.settlement.apply_claim(astuple(claim))
    # In the newer run it can be made again.
    apply_claims(scene, scene.trades[0], leaf_run=1)
    assert scene.word(*PAIR).runs == 2


def test_flows_of_pairs_with_a_row_of_the_run_are_left_out(scene: Scene) -> None:
    """By agreement or attested, before or after the claim is made: the row holds them."""
    claims = [scene.claim(trade) for trade in scene.trades[:2]]
    scene.settle(scene.plain(*PAIR, 3_000_000, keep=LOCK))
    later(CONFIG.claim_window)
    scene.market.settlement.apply_claim(astuple(claims[0]))
    assert [event["payee"] for event in events(scene.market.settlement, "ClaimApplied")] == [scene.id("utility_b")]
    assert scene.word(*PAIR).applied == 3_000_000
    grid = scene.contents()[scene.id(BUYER), scene.id("utility_b")]
    row = scene.pending(grid)
    later(CONFIG.row_window)
    scene.market.settlement.apply_attested(astuple(row))
    scene.market.settlement.apply_claim(astuple(claims[1]))
    assert events(scene.market.settlement, "ClaimApplied") == []
    assert scene.word(BUYER, "utility_b").applied == 4_000_000
    # A row of an earlier run does not shut a claim out.
    scene.settle_inputs()
    apply_claims(scene, scene.trades[0], leaf_run=1)
    assert len(events(scene.market.settlement, "ClaimApplied")) == 2


def test_claims_pay_only_what_exceeds_what_is_applied(committed: Scene) -> None:
    """After an early row of 25: the claimed sum has to pass it; each step as `max(applied, S)`."""
    scene = committed.copy()
    scene.settle(scene.plain(*PAIR, 25_000_000, inputs=ZERO_HASH, keep=LOCK))
    scene.settle_inputs()
    applied = []
    for trade in scene.trades[:4]:
        apply_claims(scene, trade)
        event = events(scene.market.settlement, "ClaimApplied")[0]
        applied.append((event["claimed_sum"], event["paid"], event["owed"], scene.word(*PAIR).applied))
    assert applied == [
        (10_000_000, 0, 0, 25_000_000),
        (20_000_000, 0, 0, 25_000_000),
        (30_000_000, 5_000_000, 0, 30_000_000),
        (40_000_000, 0, 10_000_000, 40_000_000),
    ]
    assert scene.word(*PAIR).version == 1


def test_claims_of_a_newer_run_begin_anew(scene: Scene) -> None:
    """Lower figures in the next run: claims never pay twice and never lower."""
    apply_claims(scene, scene.trades[0], scene.trades[1])
    changed = {(scene.digest(trade), 1): {"read": 1_000} for trade in scene.trades}
    scene.settle_inputs(changed)
    sums = []
    for trade in (*scene.trades[:4], scene.trades[4]):
        apply_claims(scene, trade, leaf_run=1)
        event = events(scene.market.settlement, "ClaimApplied")[0]
        sums.append((event["claimed_sum"], scene.word(*PAIR).applied))
    assert sums == [
        (5_000_000, 20_000_000),
        (10_000_000, 20_000_000),
        (15_000_000, 20_000_000),
        (20_000_000, 20_000_000),
        (25_000_000, 25_000_000),
    ]


def test_amounts_and_own_flows_that_do_not_move(committed: Scene) -> None:
    """A flow of nothing, and one to oneself, are in the claim and move nothing."""
    scene = committed.copy()
    both = trade_of(scene.market, 8, **own_meters(8), seller_platform=scene.id(BUYER), rates=(5_000_000, 0))
    scene.commit([both])
    scene.settle_inputs()
    apply_claims(scene, both)
    assert events(scene.market.settlement, "ClaimApplied") == []


def test_registered_trade_is_claimed_without_signatures(committed: Scene) -> None:
    scene = committed.copy()
    trade = trade_of(scene.market, 9, **own_meters(9))
    scene.register(trade)
    scene.settle_inputs()
    apply_claims(scene, trade)
    assert scene.word(*PAIR).applied == 10_000_000


def test_invalid_places_are_not_claimed(scene: Scene) -> None:
    trade = scene.trades[0]
    with boa.reverts("TradeResult: signature missing"):
        scene.market.settlement.claim(astuple(scene.place(trade)), astuple(trade), [], *scene.both(trade))
    with boa.reverts("TradeResult: no figure shown"):
        signatures = scene.signatures(trade)
        scene.market.settlement.claim(astuple(scene.place(trade)), astuple(trade), signatures, [], [])


# --- strikes ---


def test_only_row_faults_strikes(scene: Scene) -> None:
    row, claim = scene.pending(content_of(scene)), scene.claim(scene.trades[0])
    with boa.reverts("Settlement: may not strike"):
        scene.market.settlement.strike_row(astuple(row), "wrong leaf")
    with boa.reverts("Settlement: only RowFaults"):
        scene.market.settlement.strike_claim(*struck(claim))


def test_strikes_within_the_window(scene: Scene) -> None:
    market = scene.market
    row, claim = scene.row(content_of(scene)), scene.claim(scene.trades[0])
    faults = market.addresses["RowFaults"]
    with boa.env.prank(faults), boa.reverts("Settlement: row not pending"):
        market.settlement.strike_row(astuple(row), "wrong leaf")
    with boa.env.prank(faults), boa.reverts("Settlement: claim not pending"):
        market.settlement.strike_claim(*struck(replace(claim, settled_wh=1)))
    scene.attest(row)
    with boa.env.anchor(), boa.env.prank(faults):
        # While it is being published too.
        market.settlement.strike_row(astuple(row), "wrong leaf")
        assert events(market.settlement, "RowStruck")[0]["reason"] == "wrong leaf"
    scene.publish(row, content_of(scene))
    later(CONFIG.row_window - 1)
    with boa.env.anchor(), boa.env.prank(faults):
        market.settlement.strike_row(astuple(row), "wrong leaf")
        market.settlement.strike_claim(*struck(claim))
        assert events(market.settlement, "ClaimStruck") == [
            {
                "trade_digest": claim.trade_digest,
                "cycle": CYCLE,
                "run": 0,
                "claim_hash": preimages.claim_record(claim),
            }
        ]
        assert stage_of(scene, claim) == NO_CLAIM
    with boa.env.anchor(), boa.env.prank(faults):
        market.settlement.strike_claim(*struck(claim))
        # A struck claim may be made again.
        scene.claim(scene.trades[0])
    later(1)
    with boa.env.prank(faults), boa.reverts("Settlement: row's window over"):
        market.settlement.strike_row(astuple(row), "wrong leaf")
    with boa.env.prank(faults), boa.reverts("Settlement: claim's window over"):
        market.settlement.strike_claim(*struck(claim))


# --- three ways, one law ---


def random_trade(scene: Scene, rng: random.Random, number: int) -> Trade:
    """A trade of a random template between platforms a and b."""
    template = rng.choice((FIXED_PRICE_CONTRACTED, INTER_UTILITY, DEVIATION, MARKET))
    return trade_of(
        scene.market,
        number,
        **own_meters(number),
        template=template.template_id,
        rates=tuple(rng.randrange(10_000_000) for _ in template.rate_names),
        contracted_wh=rng.randrange(1, 50_000),
        grid_operator=scene.id("utility_b") if Role.GRID_OPERATOR in template.roles else ZERO_HASH,
        market_agent=scene.id("platform_c") if Role.MARKET_AGENT in template.roles else ZERO_HASH,
    )


def test_agreed_attested_and_claimed_amounts_are_the_same() -> None:
    """Thirty random trades on the same inputs: every pair comes to the row that `settlement` computes, by each way."""
    scene = Scene(deploy_settling())
    rng = random.Random(20_261_121)
    trades = [random_trade(scene, rng, number) for number in range(30)]
    scene.commit(trades)
    wh = {}
    changed = {}
    for trade in trades:
        figures = [min(trade.contracted_wh, rng.randrange(2 * trade.contracted_wh + 1)) for _ in range(2)]
        wh[scene.digest(trade)] = (figures[0], figures[1])
        for side in range(2):
            changed[scene.digest(trade), side] = {"read": figures[side]}
    scene.settle_inputs(changed)
    contents = scene.contents(wh)
    assert len(contents) > 6
    ways: dict[str, dict[tuple[bytes, bytes], int]] = {}

    def applied() -> dict[tuple[bytes, bytes], int]:
        return {pair: Pair.of(scene.market.escrow.pair(CYCLE, *pair)).applied for pair in contents}

    with boa.env.anchor():
        assert scene.settle(*(scene.row(content) for content in contents.values())) == len(contents)
        ways["agreed"] = applied()
    with boa.env.anchor():
        rows = [scene.pending(content) for content in contents.values()]
        later(CONFIG.row_window)
        for row in rows:
            scene.market.settlement.apply_attested(astuple(row))
        ways["attested"] = applied()
    with boa.env.anchor():
        apply_claims(scene, *trades)
        ways["claimed"] = applied()
    expected = {pair: content.amount for pair, content in contents.items()}
    assert ways == dict.fromkeys(("agreed", "attested", "claimed"), expected)
