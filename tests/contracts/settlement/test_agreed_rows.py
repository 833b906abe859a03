"""Settlement: rows on which both members agree, before the first seal too, and in later runs."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import Any

import boa
import pytest

from settlement.hashing import ZERO_HASH
from settlement.trade import HotKeyChange, RowAttestation
from tests.contracts.market import CONTRACTS
from tests.contracts.settlement.case import BUYER, LOCK, OWED, PAIR, SELLER, content_of
from tests.contracts.settling import FUNDS, Pair, Scene, events, later
from tests.contracts.trading import CONFIG, CYCLE, pause, use_wallet, wallet_bytes

# --- agreed rows ---


def skipped(scene: Scene, *rows: Any, signed: list[Any] | None = None, wallets: list[bytes] | None = None) -> list[str]:
    """Settles rows beside one that applies, and gives the reasons of those that did not."""
    good = scene.plain("platform_c", SELLER, 1)
    good = replace(good, version=1 + scene.market.settlement.highest_version(CYCLE, good.payer, good.payee))
    listed = signed if signed is not None else [scene.signed(row) for row in rows]
    applied = scene.market.settlement.settle([*listed, scene.signed(good)], wallets or [])
    found = events(scene.market.settlement, "RowSkipped")
    assert applied == len(listed) + 1 - len(found)
    return [str(event["reason"]) for event in found]


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


@pytest.mark.parametrize("is_published", [False, True])
def test_a_row_of_an_older_run_ends_no_attested_one_of_a_newer(scene: Scene, is_published: bool) -> None:
    """The payee once signed what run 0 came to; the payer brings it when a quorum says more."""
    content = content_of(scene)
    stale = scene.plain(*PAIR, 1_000_000)
    scene.settle_inputs()
    row = scene.row(content, run=1)
    pair = CYCLE, row.payer, row.payee
    scene.attest(row)
    if is_published:
        scene.publish(row, content)
    for version in (1, 2, 1_001):
        assert skipped(scene, replace(stale, version=version)) == ["a later run is attested"]
    # The reason is told before signatures are looked at, as others are.
    payer, payee = scene.market.sign_all((row.payer, row.payee), stale)
    assert skipped(scene, signed=[(astuple(stale), payee, payer)]) == ["a later run is attested"]
    assert tuple(scene.market.settlement.pending(*pair)) == (1 + is_published, scene.market.domain.digest(row))
    if not is_published:
        # One that lapses holds up nothing.
        later(CONFIG.publish_time - 1)
        assert skipped(scene, stale) == ["a later run is attested"]
        later(1)
        assert scene.settle(replace(stale, version=2)) == 1
        assert scene.market.settlement.pending(*pair)[0] == 0
        return
    later(CONFIG.row_window)
    # Nor does its window's end let the old one in.
    assert skipped(scene, stale) == ["a later run is attested"]
    scene.market.settlement.apply_attested(astuple(row))
    assert scene.word(*PAIR) == Pair(0, 50_000_000, 1, 2, False, True)
    assert skipped(scene, replace(stale, version=2)) == ["a later run is settled"]


def test_a_row_of_the_attested_ones_run_still_ends_it(scene: Scene) -> None:
    """And one of an older run, once the attested one was struck."""
    stale = scene.plain(*PAIR, 1_000_000)
    scene.settle_inputs()
    row = scene.pending(content_of(scene), run=1)
    with boa.env.anchor():
        assert scene.settle(scene.plain(*PAIR, 2_000_000, version=2, run=1)) == 1
        assert scene.market.settlement.pending(CYCLE, row.payer, row.payee)[0] == 0
    with boa.env.prank(scene.market.addresses["RowFaults"]):
        scene.market.settlement.strike_row(astuple(row), "wrong leaf")
    assert scene.settle(replace(stale, version=2)) == 1
