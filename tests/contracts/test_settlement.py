"""Settlement: rows agreed, attested, published and applied, claims; three ways, one law."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement import merkle, preimages
from settlement.formula.templates import (
    DEVIATION,
    FIXED_PRICE_CONTRACTED,
    INTER_UTILITY,
    MARKET,
    Role,
    Template,
    template_from_text,
)
from settlement.hashing import ZERO_HASH, keccak256
from settlement.rows import RowContent
from settlement.trade import Claim, FlowLeaf, HotKeyChange, RowAttestation, Trade
from settlement.units import RATE_BOUND, WH_BOUND
from tests.contracts.market import ATTESTORS, CONTRACTS
from tests.contracts.settling import FUNDS, Pair, Scene, deploy_settling, events, later
from tests.contracts.trading import (
    CONFIG,
    CYCLE,
    DAY,
    HOUR,
    pause,
    resume,
    trade_of,
    use_wallet,
    wallet_bytes,
)

LOCK = 30_000_000
OWED = 20_000_000  # what five trades come to, 50 000 000, beyond the lock
BUYER, SELLER = "platform_a", "platform_b"
PAIR = (BUYER, SELLER)


def own_meters(number: int) -> dict[str, bytes]:
    """Meters that no other trade uses."""
    return {
        "buyer_meter": keccak256(b"buyer", bytes([number])),
        "seller_meter": keccak256(b"seller", bytes([number])),
    }


@pytest.fixture(scope="module")
def committed() -> Scene:
    """Five trades of 2 kWh at 5 a kWh between platforms a and b, committed with a lock of 30."""
    scene = Scene(deploy_settling())
    trades = [trade_of(scene.market, number, **own_meters(number)) for number in range(5)]
    scene.commit(trades, [(BUYER, SELLER, LOCK)])
    return scene


@pytest.fixture
def scene(committed: Scene) -> Scene:
    """The same with run 0 sealed, all meters fully read."""
    scene = committed.copy()
    scene.settle_inputs()
    return scene


def content_of(scene: Scene) -> RowContent:
    """The right row's content between platforms a and b."""
    return scene.contents()[scene.id(BUYER), scene.id(SELLER)]


def skipped(scene: Scene, *rows: Any, signed: list[Any] | None = None, wallets: list[bytes] | None = None) -> list[str]:
    """Settles rows beside one that applies, and gives the reasons of those that did not."""
    good = scene.plain("platform_c", SELLER, 1)
    good = replace(good, version=1 + scene.market.settlement.highest_version(CYCLE, good.payer, good.payee))
    listed = signed if signed is not None else [scene.signed(row) for row in rows]
    applied = scene.market.settlement.settle([*listed, scene.signed(good)], wallets or [])
    found = events(scene.market.settlement, "RowSkipped")
    assert applied == len(listed) + 1 - len(found)
    return [str(event["reason"]) for event in found]


# --- agreed rows ---


def test_agreed_row_pays_from_the_lock_and_owes_the_rest(scene: Scene) -> None:
    row = scene.row(content_of(scene))
    assert (scene.word(*PAIR), scene.free(BUYER)) == (Pair(LOCK, 0, 0, 0, False, False), FUNDS - LOCK)
    assert scene.settle(row) == 1
    assert events(scene.market.settlement, "RowApplied") == [
        {
            "cycle": CYCLE,
            "payer": row.payer,
            "payee": row.payee,
            "way": 1,
            "run": 0,
            "version": 1,
            "amount": 50_000_000,
            "paid": LOCK,
            "owed": OWED,
            "owed_back": 0,
            "row_digest": scene.market.domain.digest(row),
        }
    ]
    assert scene.word(*PAIR) == Pair(0, 50_000_000, 1, 1, True, False)
    assert (scene.free(SELLER), scene.owed(*PAIR)) == (FUNDS + LOCK, OWED)
    assert scene.market.settlement.highest_version(CYCLE, row.payer, row.payee) == 1


@pytest.mark.parametrize(("keep", "kept"), [(0, 0), (7, 7), (20_000_000, 20_000_000), (2**96 - 1, 20_000_000)])
def test_agreed_row_releases_the_lock_above_keep(scene: Scene, keep: int, kept: int) -> None:
    scene.settle(scene.plain(*PAIR, 10_000_000, keep=keep))
    assert scene.word(*PAIR).lock == kept
    assert scene.free(BUYER) == FUNDS - LOCK + (20_000_000 - kept)
    assert scene.owed(*PAIR) == 0


def test_rows_are_cumulative(scene: Scene) -> None:
    """Only differences move; down is owed back, and paid money stays."""
    for version, (amount, owed, owed_back) in enumerate(
        ((10_000_000, 0, 0), (45_000_000, 15_000_000, 0), (25_000_000, 0, 20_000_000), (25_000_000, 0, 0)), start=1
    ):
        before = scene.owed(*PAIR), scene.owed(SELLER, BUYER)
        scene.settle(scene.plain(*PAIR, amount, version=version, keep=LOCK))
        event = events(scene.market.settlement, "RowApplied")[0]
        assert (event["owed"], event["owed_back"]) == (owed, owed_back)
        assert (scene.owed(*PAIR) - before[0], scene.owed(SELLER, BUYER) - before[1]) == (owed, owed_back)
        assert scene.word(*PAIR).applied == amount


def test_row_without_leaves_releases_a_lock(scene: Scene) -> None:
    scene.settle(scene.row(scene.empty(*PAIR)))
    assert (scene.word(*PAIR).lock, scene.free(BUYER)) == (0, FUNDS)


def test_sixty_four_rows_in_a_call(scene: Scene) -> None:
    rows = [scene.plain("platform_c", "utility_c", number, version=number) for number in range(1, 65)]
    assert scene.settle(*rows) == 64
    assert scene.word("platform_c", "utility_c") == Pair(0, 64, 64, 1, True, False)


def test_versions_below_and_far_ahead(scene: Scene) -> None:
    scene.settle(scene.plain(*PAIR, 1, version=5))
    rows = [scene.plain(*PAIR, 2, version=version) for version in (0, 4, 5, 1_006)]
    assert skipped(scene, *rows) == [*["version not above the last"] * 3, "version too far ahead"]
    assert scene.settle(scene.plain(*PAIR, 2, version=1_005)) == 1
    assert scene.word(*PAIR).version == 1_005


def test_an_attested_version_counts_as_seen(scene: Scene) -> None:
    """But an agreed row may be below it, as long as none was applied."""
    content = content_of(scene)
    scene.attest(scene.row(content))
    assert skipped(scene, scene.plain(*PAIR, 2, version=1_002)) == ["version too far ahead"]
    assert scene.settle(scene.plain(*PAIR, 2, version=1_001)) == 1


def test_row_must_be_on_sealed_inputs(scene: Scene) -> None:
    other = b"\7" * 32
    rows = [scene.plain(*PAIR, 2, inputs=other), scene.plain(*PAIR, 2, run=1, inputs=other)]
    assert skipped(scene, *rows) == ["not the sealed inputs"] * 2
    # After the seal there is no early row; a run that is not sealed has no inputs, which is no way around.
    assert skipped(scene, scene.plain(*PAIR, 2, inputs=ZERO_HASH)) == ["early row after the seal"]


def test_refused_whoever_signed(scene: Scene) -> None:
    assert skipped(scene, scene.plain(BUYER, BUYER, 2)) == ["payer is payee"]
    event = events(scene.market.settlement, "RowSkipped")[0]
    assert event == {
        "cycle": CYCLE,
        "payer": scene.id(BUYER),
        "payee": scene.id(BUYER),
        "version": 1,
        "reason": "payer is payee",
    }


def test_both_must_sign(scene: Scene) -> None:
    row = scene.plain(*PAIR, 2)
    value, payer, payee = scene.signed(row)
    other = scene.signed(replace(row, amount=3))
    none = (27, bytes(32), bytes(32))
    cases = [
        ((value, payee, payee), "not signed by the payer"),
        ((value, payer, payer), "not signed by the payee"),
        ((value, other[1], payee), "not signed by the payer"),
        ((value, payer, other[2]), "not signed by the payee"),
        ((value, none, payee), "not signed by the payer"),
        ((value, payer, none), "not signed by the payee"),
        # An attestation is no agreement.
        (
            (value, scene.market.sign(BUYER, RowAttestation(scene.market.domain.digest(row))), payee),
            "not signed by the payer",
        ),
    ]
    assert skipped(scene, signed=[case for case, _ in cases]) == [reason for _, reason in cases]
    stranger = replace(row, payee=b"\5" * 32)
    signatures = scene.market.sign(BUYER, stranger), none
    later_version = [(astuple(replace(stranger)), *signatures)]
    with boa.reverts("Settlement: no row applied"):
        scene.market.settlement.settle(later_version, [])


def test_no_row_applied(scene: Scene) -> None:
    with boa.reverts("Settlement: no row applied"):
        scene.settle(scene.plain(*PAIR, 2, version=0))
    with boa.reverts("Settlement: no row applied"):
        scene.settle()


def test_the_key_of_today_counts(scene: Scene) -> None:
    row = scene.plain(*PAIR, 2)
    signed = scene.signed(row)
    who = scene.market.members[BUYER]
    new = scene.market.members["bank"].payout
    change = HotKeyChange(who.id, new, scene.market.registry.cold_sequence(who.id))
    scene.market.registry.change_hot_key(who.id, new, scene.market.sign_cold(BUYER, change), b"")
    assert skipped(scene, signed=[signed]) == ["not signed by the payer"]


def test_suspended_members_still_sign(scene: Scene) -> None:
    with boa.env.prank(scene.market.council):
        scene.market.registry.suspend(scene.id(BUYER), True)
    assert scene.settle(scene.plain(*PAIR, 2)) == 1


def test_rows_are_never_paused(scene: Scene) -> None:
    pause(scene.market)
    assert scene.settle(scene.plain(*PAIR, 2)) == 1


def test_contracts_sign_rows(scene: Scene) -> None:
    """Each signature with v = 0 takes the next of the wallets', whatever becomes of its row."""
    use_wallet(scene.market, BUYER)
    use_wallet(scene.market, "platform_c")
    zero = (0, bytes(32), bytes(32))
    settlement = scene.market.settlement
    first = scene.plain(*PAIR, 2, version=0)
    second = scene.plain("platform_c", BUYER, 3)
    third = scene.plain(BUYER, "utility_c", 4)
    bytes_of = [
        wallet_bytes(scene.market, BUYER, first),
        wallet_bytes(scene.market, "platform_c", second),
        wallet_bytes(scene.market, BUYER, second),
        wallet_bytes(scene.market, BUYER, third),
    ]
    rows = [
        (astuple(first), zero, scene.market.sign(SELLER, first)),
        (astuple(second), zero, zero),
        (astuple(third), zero, scene.market.sign("utility_c", third)),
    ]
    with boa.env.anchor():
        assert settlement.settle(rows, bytes_of) == 2
    with boa.env.anchor():
        # In another order they are others' signatures.
        assert settlement.settle(rows, [bytes_of[0], bytes_of[2], bytes_of[1], bytes_of[3]]) == 1
        assert [event["reason"] for event in events(settlement, "RowSkipped")] == [
            "version not above the last",
            "not signed by the payer",
        ]
    with boa.env.anchor():
        # One is missing at the end.
        assert settlement.settle(rows, bytes_of[:3]) == 1
        assert events(settlement, "RowSkipped")[1]["reason"] == "not signed by the payer"
    # v = 0 is nothing for a member whose key is no contract; nor is a key's signature for one whose key is.
    plain = scene.plain("utility_c", "utility_d", 1)
    key_signed = (astuple(third), scene.market.sign(BUYER, third), scene.market.sign("utility_c", third))
    for signed in ([(astuple(plain), zero, scene.market.sign("utility_d", plain))], [key_signed]):
        with boa.reverts("Settlement: no row applied"):
            settlement.settle(signed, [bytes_of[3]])


def test_a_wallet_that_burns_gas_stops_only_its_own_row(scene: Scene) -> None:
    wallet = boa.load(str(CONTRACTS / "mocks" / "GasBurningWallet.vy"))
    who = scene.market.members[BUYER]
    change = HotKeyChange(who.id, wallet.address, scene.market.registry.cold_sequence(who.id))
    scene.market.registry.change_hot_key(who.id, wallet.address, scene.market.sign_cold(BUYER, change), b"")
    row = scene.plain(*PAIR, 2)
    signed = (astuple(row), (0, bytes(32), bytes(32)), scene.market.sign(SELLER, row))
    assert skipped(scene, signed=[signed], wallets=[b"x"]) == ["not signed by the payer"]


# --- early rows ---


def test_early_row(committed: Scene) -> None:
    """Before run 0 is sealed the two settle whatever they accept; it settles no run."""
    scene = committed.copy()
    row = scene.plain(*PAIR, 10_000_000, inputs=ZERO_HASH, keep=LOCK)
    assert scene.settle(row) == 1
    assert events(scene.market.settlement, "RowApplied")[0]["way"] == 2
    assert scene.word(*PAIR) == Pair(20_000_000, 10_000_000, 1, 0, False, False)
    wrong = [
        replace(row, version=2, run=1),
        replace(row, version=2, inputs=b"\1" * 32),
    ]
    for one in wrong:
        with boa.reverts("Settlement: no row applied"):
            scene.settle(one)
    assert scene.settle(replace(row, version=2, amount=4_000_000)) == 1
    # Once run 0 is sealed no more of them; what they applied counts.
    scene.settle_inputs()
    assert skipped(scene, replace(row, version=3)) == ["early row after the seal"]
    scene.settle(scene.row(content_of(scene), version=3))
    assert scene.word(*PAIR) == Pair(0, 50_000_000, 3, 1, True, False)
    assert (scene.owed(*PAIR), scene.owed(SELLER, BUYER)) == (26_000_000, 6_000_000)
    assert LOCK + 26_000_000 - 6_000_000 == 50_000_000


def test_refusal_of_early_rows_is_told(committed: Scene) -> None:
    scene = committed.copy()
    early = scene.plain(*PAIR, 1, inputs=ZERO_HASH)
    scene.market.settlement.settle([scene.signed(early), scene.signed(replace(early, version=2, run=1))], [])
    assert events(scene.market.settlement, "RowSkipped")[0]["reason"] == "early row after the seal"


# --- later runs ---


def test_later_runs_and_a_missed_one(scene: Scene) -> None:
    content = content_of(scene)
    old = scene.row(content)
    scene.settle_inputs()
    # A row of run 0 is still taken as long as no later run is settled.
    assert scene.settle(old) == 1
    assert scene.settle(scene.row(content, run=1, version=2)) == 1
    assert scene.word(*PAIR).runs == 2
    assert skipped(scene, replace(old, version=3)) == ["a later run is settled"]


# --- attested rows ---


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


# --- publishing ---


def many(scene: Scene, count: int) -> RowContent:
    """A row of so many leaves; what trades they are of does not matter here."""
    digests = sorted(keccak256(number.to_bytes(8, "big")) for number in range(-(-count // 2)))
    leaves = [FlowLeaf(digest, flow, 1, flow + 1, keccak256(digest)) for digest in digests for flow in (0, 1)]
    return RowContent(scene.id(BUYER), scene.id(SELLER), tuple(leaves[:count]))


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 256, 257, 300])
def test_publish_in_chunks(scene: Scene, count: int) -> None:
    content = many(scene, count)
    row = scene.row(content)
    scene.attest(row)
    digest = scene.market.domain.digest(row)
    for chunk in range(-(-count // 128)):
        leaves = content.leaves[chunk * 128 : chunk * 128 + 128]
        path = list(content.tree.chunk(7, chunk)[1])
        scene.market.settlement.publish(astuple(row), [astuple(leaf) for leaf in leaves], path)
        assert events(scene.market.settlement, "ChunkPublished") == [
            {"row_digest": digest, "first": chunk * 128, "count": len(leaves)}
        ]
        progress = scene.market.settlement.pending_progress(CYCLE, row.payer, row.payee)
        assert progress[:2] == (
            chunk * 128 + len(leaves),
            sum(leaf.amount for leaf in content.leaves[: chunk * 128 + 128]),
        )
    assert scene.market.settlement.pending(CYCLE, row.payer, row.payee)[0] == 2
    with boa.reverts("Settlement: published already"):
        scene.publish(row, content)


def test_chunks_in_their_order_and_whole(scene: Scene) -> None:
    content = many(scene, 300)
    row = scene.row(content)
    scene.attest(row)

    def publish(first: int, last: int, chunk: int) -> None:
        leaves = [astuple(leaf) for leaf in content.leaves[first:last]]
        scene.market.settlement.publish(astuple(row), leaves, list(content.tree.chunk(7, chunk)[1]))

    for first, last, chunk in ((128, 256, 1), (0, 127, 0), (0, 128, 1), (0, 0, 0)):
        with boa.reverts("Settlement: not the next chunk"):
            publish(first, last, chunk)
    publish(0, 128, 0)
    with boa.reverts("Settlement: leaves out of order"):
        publish(0, 128, 0)
    with boa.reverts("Settlement: not the next chunk"):
        publish(256, 300, 2)
    with boa.reverts("Settlement: row not pending"):
        scene.market.settlement.publish(astuple(replace(row, amount=1)), [], [])
    with boa.reverts("Settlement: row not pending"):
        scene.market.settlement.publish_empty(astuple(replace(row, payee=scene.id("utility_a"))))
    with boa.reverts("Settlement: the row has leaves"):
        scene.market.settlement.publish_empty(astuple(row))
    with boa.reverts("Settlement: not published"):
        scene.market.settlement.apply_attested(astuple(row))


def unordered(content: RowContent, order: Callable[[list[FlowLeaf]], list[FlowLeaf]]) -> tuple[list[FlowLeaf], Any]:
    """Leaves in another order, and their tree."""
    leaves = order(list(content.leaves))
    return leaves, merkle.Tree([preimages.flow_leaf(leaf) for leaf in leaves])


@pytest.mark.parametrize(
    "order",
    [
        lambda leaves: [leaves[1], leaves[0], *leaves[2:]],
        lambda leaves: [leaves[2], leaves[3], leaves[0], *leaves[4:], leaves[1]],
        lambda leaves: [leaves[0], leaves[0], *leaves[1:]],
        lambda leaves: [replace(leaves[0], trade_digest=ZERO_HASH), *leaves[1:]],
    ],
    ids=["flows", "trades", "repeated", "no trade"],
)
def test_leaves_out_of_order_are_never_published(scene: Scene, order: Callable[..., Any]) -> None:
    content = many(scene, 6)
    leaves, tree = unordered(content, order)
    row = scene.row(content, count=len(leaves), root=tree.root)
    scene.attest(row)
    with boa.reverts("Settlement: leaves out of order"):
        scene.market.settlement.publish(astuple(row), [astuple(leaf) for leaf in leaves], [])


def test_order_across_chunks(scene: Scene) -> None:
    """The first leaf of a chunk comes after the last of the chunk before: by trade, or by flow."""
    content = many(scene, 130)
    for number in (127, 126):
        leaves = [*content.leaves[:128], content.leaves[number], content.leaves[129]]
        tree = merkle.Tree([preimages.flow_leaf(leaf) for leaf in leaves])
        row = scene.row(content, root=tree.root, amount=sum(leaf.amount for leaf in leaves))
        with boa.env.anchor():
            scene.attest(row)
            settlement = scene.market.settlement
            settlement.publish(astuple(row), [astuple(leaf) for leaf in leaves[:128]], list(tree.chunk(7, 0)[1]))
            with boa.reverts("Settlement: leaves out of order"):
                settlement.publish(astuple(row), [astuple(leaf) for leaf in leaves[128:]], list(tree.chunk(7, 1)[1]))
    # The other flow of the same trade goes on.
    shifted = RowContent(content.payer, content.payee, content.leaves[1:])
    scene.pending(shifted)


@pytest.mark.parametrize(("more", "count"), [(1, 5), (-1, 5), (-100, 300), (5, 300)])
def test_total_that_differs_strikes_the_row(scene: Scene, more: int, count: int) -> None:
    """Too little is known at the end, too much as soon as the sum exceeds the amount."""
    content = many(scene, count)
    row = scene.row(content, amount=content.amount + more)
    scene.attest(row)
    if more < -50:
        leaves = [astuple(leaf) for leaf in content.leaves[:128]]
        scene.market.settlement.publish(astuple(row), leaves, list(content.tree.chunk(7, 0)[1]))
        leaves = [astuple(leaf) for leaf in content.leaves[128:256]]
        scene.market.settlement.publish(astuple(row), leaves, list(content.tree.chunk(7, 1)[1]))
    else:
        scene.publish(row, content)
    assert events(scene.market.settlement, "RowStruck") == [
        {
            "cycle": CYCLE,
            "payer": row.payer,
            "payee": row.payee,
            "row_digest": scene.market.domain.digest(row),
            "reason": "leaves do not add up",
        }
    ]
    assert tuple(scene.market.settlement.pending(CYCLE, row.payer, row.payee)) == (0, ZERO_HASH)
    # The version is gone; the next is free.
    with boa.reverts("Settlement: not the next version"):
        scene.attest(scene.row(content))
    scene.pending(content, version=2)


def test_publish_empty(scene: Scene) -> None:
    row = scene.row(scene.empty(*PAIR))
    scene.attest(row)
    scene.market.settlement.publish_empty(astuple(row))
    assert events(scene.market.settlement, "RowPublished") == [{"row_digest": scene.market.domain.digest(row)}]
    with boa.reverts("Settlement: published already"):
        scene.market.settlement.publish_empty(astuple(row))


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
    assert market.settlement.claim_hash(digest, 0) == preimages.claim_record(claim)
    with boa.reverts("Settlement: claimed already"):
        scene.claim(trade)
    later(CONFIG.claim_window - 1)
    with boa.reverts("Settlement: claim's window open"):
        market.settlement.apply_claim(astuple(claim))
    later(1)
    with boa.reverts("Settlement: no such claim"):
        market.settlement.apply_claim(astuple(replace(claim, settled_wh=1)))
    market.settlement.apply_claim(astuple(claim))
    assert events(market.settlement, "ClaimApplied") == [
        {
            "trade_digest": digest,
            "payer": flow.payer,
            "payee": flow.payee,
            "cycle": CYCLE,
            "run": 0,
            "claimed_sum": flow.amount,
            "paid": flow.amount if flow.payee == scene.id(SELLER) else 0,
            "owed": 0 if flow.payee == scene.id(SELLER) else flow.amount,
        }
        for flow in listed
    ]
    assert scene.word(*PAIR) == Pair(LOCK - 10_000_000, 10_000_000, 0, 1, False, False)
    assert scene.owed(BUYER, "utility_b") == 800_000
    assert market.settlement.claim_hash(digest, 0) == (1).to_bytes(32, "big")
    with boa.reverts("Settlement: no such claim"):
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


def apply_claims(scene: Scene, *trades: Trade, leaf_run: int = 0) -> None:
    """Claims, and applies after the window."""
    claims = [scene.claim(trade, leaf_run) for trade in trades]
    later(CONFIG.claim_window)
    for claim in claims:
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


def test_sum_of_claims_is_bounded() -> None:
    """Two claims of nearly 2^96 each: the second is refused, and blocks nobody else."""
    template: Template = template_from_text("huge", 1, ("price",), ((Role.BUYER, Role.SELLER, "settled × price × 3"),))
    scene = Scene(deploy_settling())
    with boa.env.prank(scene.market.council):
        described = [(flow.payer, flow.payee, flow.program) for flow in template.flows]
        scene.market.flows.register(template.name, template.version, list(template.rate_names), described)
    trades = [
        trade_of(
            scene.market,
            number,
            template=template.template_id,
            rates=(RATE_BOUND - 1,),
            contracted_wh=WH_BOUND - 1,
            grid_operator=ZERO_HASH,
            **own_meters(number),
        )
        for number in range(2)
    ]
    later(1)
    scene.commit(trades)
    scene.settle_inputs()
    first, second = (scene.claim(trade) for trade in trades)
    later(CONFIG.claim_window)
    scene.market.settlement.apply_claim(astuple(first))
    with boa.reverts("Settlement: sum beyond 2^96"):
        scene.market.settlement.apply_claim(astuple(second))


# --- strikes ---


def test_only_row_faults_strikes(scene: Scene) -> None:
    row, claim = scene.pending(content_of(scene)), scene.claim(scene.trades[0])
    with boa.reverts("Settlement: may not strike"):
        scene.market.settlement.strike_row(astuple(row), "wrong leaf")
    with boa.reverts("Settlement: only RowFaults"):
        scene.market.settlement.strike_claim(astuple(claim))


def test_strikes_within_the_window(scene: Scene) -> None:
    market = scene.market
    row, claim = scene.row(content_of(scene)), scene.claim(scene.trades[0])
    faults = market.addresses["RowFaults"]
    with boa.env.prank(faults), boa.reverts("Settlement: row not pending"):
        market.settlement.strike_row(astuple(row), "wrong leaf")
    with boa.env.prank(faults), boa.reverts("Settlement: claim not pending"):
        market.settlement.strike_claim(astuple(replace(claim, settled_wh=1)))
    scene.attest(row)
    with boa.env.anchor(), boa.env.prank(faults):
        # While it is being published too.
        market.settlement.strike_row(astuple(row), "wrong leaf")
        assert events(market.settlement, "RowStruck")[0]["reason"] == "wrong leaf"
    scene.publish(row, content_of(scene))
    later(CONFIG.row_window - 1)
    with boa.env.anchor(), boa.env.prank(faults):
        market.settlement.strike_row(astuple(row), "wrong leaf")
        market.settlement.strike_claim(astuple(claim))
        assert events(market.settlement, "ClaimStruck") == [
            {"trade_digest": claim.trade_digest, "cycle": CYCLE, "run": 0}
        ]
        assert market.settlement.claim_hash(claim.trade_digest, 0) == ZERO_HASH
    with boa.env.anchor(), boa.env.prank(faults):
        market.settlement.strike_claim(astuple(claim))
        # A struck claim may be made again.
        scene.claim(scene.trades[0])
    later(1)
    with boa.env.prank(faults), boa.reverts("Settlement: row's window over"):
        market.settlement.strike_row(astuple(row), "wrong leaf")
    with boa.env.prank(faults), boa.reverts("Settlement: claim's window over"):
        market.settlement.strike_claim(astuple(claim))


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
