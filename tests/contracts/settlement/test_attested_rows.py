"""Settlement: rows that a quorum of attestors makes pending, and what becomes of them."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import merkle
from settlement.hashing import ZERO_HASH
from settlement.trade import RowAttestation
from tests.contracts.market import ATTESTORS
from tests.contracts.settlement.case import BUYER, LOCK, OWED, PAIR, SELLER, content_of
from tests.contracts.settling import Pair, Scene, events, later
from tests.contracts.trading import CONFIG, CYCLE, DAY, HOUR, pause, resume


def test_attested_row(scene: Scene) -> None:
    market, content = scene.market, content_of(scene)
    row = scene.row(content)
    digest = market.domain.digest(row)
    pair = (CYCLE, row.payer, row.payee)
    assert tuple(market.settlement.pending(*pair)) == (0, ZERO_HASH)
    scene.attest(row)
    attested_at = boa.env.evm.patch.timestamp
    event = events(market.settlement, "RowAttested")[0]
    assert tuple(event.pop("row")) == astuple(row)
    assert event == {
        "cycle": CYCLE,
        "payer": row.payer,
        "payee": row.payee,
        "row_digest": digest,
        "mask": 0b111,
    }
    assert tuple(market.settlement.pending(*pair)) == (1, digest)
    assert tuple(market.settlement.pending_progress(*pair)) == (0, 0, attested_at, 0)
    assert market.settlement.highest_version(*pair) == 1

    later(HOUR)
    market.settlement.publish(astuple(row), [astuple(leaf) for leaf in content.leaves], [])
    published_at = boa.env.evm.patch.timestamp
    assert events(market.settlement, "ChunkPublished") == [{"row_digest": digest, "first": 0, "count": 5}]
    assert events(market.settlement, "RowPublished") == [{"row_digest": digest}]
    assert tuple(market.settlement.pending(*pair)) == (2, digest)
    assert tuple(market.settlement.pending_progress(*pair)) == (5, 50_000_000, attested_at, published_at)

    later(CONFIG.row_window - 1)
    with boa.reverts("Settlement: row's window open"):
        market.settlement.apply_attested(astuple(row))
    later(1)
    market.settlement.apply_attested(astuple(row))
    assert events(market.settlement, "RowApplied") == [
        {
            "cycle": CYCLE,
            "payer": row.payer,
            "payee": row.payee,
            "way": 3,
            "run": 0,
            "version": 1,
            "amount": 50_000_000,
            "paid": LOCK,
            "owed": OWED,
            "owed_back": 0,
            "row_digest": digest,
        }
    ]
    assert scene.word(*PAIR) == Pair(0, 50_000_000, 1, 1, False, True)
    assert tuple(market.settlement.pending(*pair)) == (0, ZERO_HASH)
    assert market.settlement.highest_version(*pair) == 1
    with boa.reverts("Settlement: row not pending"):
        market.settlement.apply_attested(astuple(row))


def test_attested_row_releases_nothing(scene: Scene) -> None:
    row = scene.pending(scene.empty(*PAIR))
    later(CONFIG.row_window)
    scene.market.settlement.apply_attested(astuple(row))
    assert scene.word(*PAIR) == Pair(LOCK, 0, 1, 1, False, True)


def test_paused_time_does_not_run_a_rows_window(scene: Scene) -> None:
    row = scene.pending(content_of(scene))
    pause(scene.market)
    later(10 * HOUR)
    resume(scene.market)
    later(CONFIG.row_window - 1)
    with boa.reverts("Settlement: row's window open"):
        scene.market.settlement.apply_attested(astuple(row))
    later(1)
    scene.market.settlement.apply_attested(astuple(row))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"keep": 1}, "Settlement: malformed row"),
        ({"payee": "payer"}, "Settlement: malformed row"),
        ({"root": ZERO_HASH}, "Settlement: malformed row"),
        ({"count": 2**24 + 1}, "Settlement: malformed row"),
        ({"count": 0}, "Settlement: malformed row"),
        ({"count": 0, "amount": 0}, "Settlement: malformed row"),
        ({"count": 0, "root": merkle.EMPTY_ROOT}, "Settlement: malformed row"),
        ({"run": 1}, "Settlement: not the newest inputs"),
        ({"inputs": b"\1" * 32}, "Settlement: not the newest inputs"),
        ({"inputs": ZERO_HASH}, "Settlement: not the newest inputs"),
        ({"version": 0}, "Settlement: not the next version"),
        ({"version": 2}, "Settlement: not the next version"),
    ],
)
def test_rows_that_cannot_be_attested(scene: Scene, changes: dict[str, Any], reason: str) -> None:
    row = scene.row(content_of(scene))
    row = replace(row, **({"payee": row.payer} if "payee" in changes else changes))
    with boa.reverts(reason):
        scene.attest(row)


def test_only_the_newest_run_is_attested(scene: Scene) -> None:
    row = scene.row(content_of(scene))
    scene.settle_inputs()
    with boa.reverts("Settlement: not the newest inputs"):
        scene.attest(row)
    scene.attest(scene.row(content_of(scene), run=1))


def test_nothing_is_attested_before_a_seal(committed: Scene) -> None:
    scene = committed.copy()
    with boa.reverts("Settlement: not the newest inputs"):
        scene.attest(scene.row(content_of(scene)))


def test_quorum(scene: Scene) -> None:
    """Three of four, exactly, each by the key of its bit."""
    market, row = scene.market, scene.row(content_of(scene))
    mask, signatures = scene.attestations(row)
    four_mask, four = scene.attestations(row, ATTESTORS)
    digest = market.domain.digest(row)
    as_agreed = [market.sign(name, row) for name in ATTESTORS[:3]]
    other = scene.attestations(replace(row, amount=1))[1]
    bad = (27, bytes(32), bytes(32))
    for given_mask, given, reason in (
        (0b11, signatures[:2], "Settlement: not a quorum"),
        (0b111, signatures[:2], "Settlement: not a quorum"),
        (four_mask, four, "Settlement: not a quorum"),
        (0b11, signatures, "Settlement: not a quorum"),
        (0, [], "MemberRegistry: no such attestor"),
        (0b1011, signatures, "Settlement: not attestor's key"),
        (mask, [signatures[1], signatures[0], signatures[2]], "Settlement: not attestor's key"),
        (mask, [signatures[0]] * 3, "Settlement: not attestor's key"),
        (mask, as_agreed, "Settlement: not attestor's key"),
        (mask, other, "Settlement: not attestor's key"),
        (mask, [*signatures[:2], bad], "Settlement: not attestor's key"),
        (1 << 4 | 0b11, signatures, "MemberRegistry: no such attestor"),
    ):
        with boa.reverts(reason):
            market.settlement.attest(astuple(row), given_mask, given)
    assert market.domain.digest(RowAttestation(digest)) != digest
    market.settlement.attest(astuple(row), *scene.attestations(row, ATTESTORS[1:]))
    assert events(market.settlement, "RowAttested")[0]["mask"] == 0b1110


def test_one_row_is_pending_at_a_time(scene: Scene) -> None:
    content = content_of(scene)
    scene.attest(scene.row(content))
    second = scene.row(content, version=2)
    with boa.reverts("Settlement: another row pending"):
        scene.attest(second)
    later(CONFIG.publish_time - 1)
    with boa.reverts("Settlement: another row pending"):
        scene.attest(second)


def test_row_that_is_not_published_in_time_lapses(scene: Scene) -> None:
    market, content = scene.market, content_of(scene)
    first = scene.row(content)
    scene.attest(first)
    later(CONFIG.publish_time)
    with boa.reverts("Settlement: row has lapsed"):
        scene.publish(first, content)
    second = scene.row(content, version=2)
    scene.attest(second)
    struck = events(market.settlement, "RowStruck")
    assert struck == [
        {
            "cycle": CYCLE,
            "payer": first.payer,
            "payee": first.payee,
            "row_digest": market.domain.digest(first),
            "reason": "lapsed",
        }
    ]
    with boa.reverts("Settlement: row not pending"):
        scene.publish(first, content)
    scene.publish(second, content)
    # A published row does not lapse: it is to be applied.
    later(2 * DAY)
    with boa.reverts("Settlement: another row pending"):
        scene.attest(scene.row(content, version=3))
    market.settlement.apply_attested(astuple(second))


def test_row_that_was_overtaken_makes_way(scene: Scene) -> None:
    """A claim of a later run has applied: the pending row never can."""
    row = scene.pending(content_of(scene))
    scene.settle_inputs()
    claim = scene.claim(scene.trades[0], leaf_run=1)
    later(CONFIG.claim_window)
    scene.market.settlement.apply_claim(astuple(claim))
    with boa.reverts("Settlement: later run settled"):
        scene.market.settlement.apply_attested(astuple(row))
    scene.attest(scene.row(content_of(scene), run=1, version=2))
    assert events(scene.market.settlement, "RowStruck")[0]["reason"] == "lapsed"


def test_a_row_of_an_earlier_run_still_applies(scene: Scene) -> None:
    row = scene.pending(content_of(scene))
    scene.settle_inputs()
    scene.market.settlement.apply_attested(astuple(row))
    assert scene.word(*PAIR) == Pair(0, 50_000_000, 1, 1, False, True)


def test_agreed_row_replaces_a_pending_one(scene: Scene) -> None:
    market, content = scene.market, content_of(scene)
    pending = scene.pending(content)
    assert scene.settle(scene.plain(*PAIR, 9_000_000)) == 1
    assert [(event["reason"], event["row_digest"]) for event in events(market.settlement, "RowStruck")] == [
        ("replaced", market.domain.digest(pending))
    ]
    later(CONFIG.row_window)
    with boa.reverts("Settlement: row not pending"):
        market.settlement.apply_attested(astuple(pending))
    # Settled by agreement: nothing is attested in this run any more, but in the next.
    with boa.reverts("Settlement: settled by agreement"):
        scene.attest(scene.row(content, version=2))
    scene.settle_inputs()
    scene.attest(scene.row(content, run=1, version=2))


def test_attested_row_may_follow_an_attested_one(scene: Scene) -> None:
    content = content_of(scene)
    for version in (1, 2):
        row = scene.pending(content, version=version)
        later(CONFIG.row_window)
        scene.market.settlement.apply_attested(astuple(row))
    assert scene.word(*PAIR) == Pair(0, 50_000_000, 2, 1, False, True)
    # And an agreed one may correct it.
    scene.settle(scene.plain(*PAIR, 49_000_000, version=3))
    assert scene.owed(SELLER, BUYER) == 1_000_000
