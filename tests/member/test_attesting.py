"""Rows by a quorum: who is asked and when, what an attestor checks before it signs, what reaches the chain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from member.attesting import AttestationAsked, attestor_of
from member.errors import PeerRefused
from member.packets import Packet
from member.soliciting import exactly_the_quorum
from settlement.config import HOUR
from settlement.documents import document
from settlement.hashing import keccak256
from settlement.trade import Row
from store.records import MemberSignature, Way
from tests.member.scene import CONFIG, CYCLE
from tests.member.settled_day import CHARGE, SALE, SettledDay

SUN_TO_ROOF = ("sunmarket", "rooftrade")
ATTEST_AFTER = 12 * HOUR
TIMINGS = f"[timings]\nattest_after = {ATTEST_AFTER}\nclaim_after = {36 * HOUR}\n"


def silent_day(folder: Path, silent: tuple[str, ...] = ("sunmarket",), **more: Any) -> SettledDay:
    """A sealed day whose buyer is silent; four attestors, of which three make a quorum."""
    day = SettledDay(folder, utilities=4, tables=TIMINGS, **more)
    for name in silent:
        day.stop(name)
    day.allocate()
    day.seal()
    day.scene.settle_down()
    return day


def day_with_a_lazy_buyer(folder: Path, silent_to: tuple[str, ...] = ()) -> SettledDay:
    """A sealed day whose buyer answers, but neither proposes rows nor submits them."""
    day = SettledDay(folder, utilities=4, tables=TIMINGS)
    day.make_lazy("sunmarket")
    day.allocate(silent_to=silent_to)
    day.seal()
    return day


def asking(day: SettledDay) -> AttestationAsked:
    """What the seller asks the attestors."""
    roof = day.scene.daemons["rooftrade"]
    roof.once()
    pair = day.scene.id("sunmarket"), day.scene.id("rooftrade")
    content, _ = roof.desk.row(CYCLE, 0, pair)
    row = content.row(CYCLE, 0, 1, roof.market.inputs(CYCLE, 0))
    return AttestationAsked(row, content.leaves, roof.desk.packet(CYCLE, 0, pair))


def ask(day: SettledDay, attestor: str, asked: AttestationAsked, by: str = "rooftrade") -> Any:
    day.scene.daemons[attestor].once()
    return day.scene.daemons[by].peers.post(day.scene.id(attestor), "/v1/attestations", document(asked))


def test_a_silent_payer_is_attested(tmp_path: Path) -> None:
    with silent_day(tmp_path, locks={SUN_TO_ROOF: SALE}) as day:
        day.pass_time(ATTEST_AFTER - HOUR)
        assert day.events("RowAttested") == []
        assert [one["reason"] for one in day.waiting("rooftrade") if one["stage"] == "soliciting"] == []

        day.pass_time(HOUR)
        (waits,) = [one for one in day.waiting("rooftrade") if one["stage"] == "soliciting"]
        assert waits["reason"].startswith("0 of 3 attestors have signed; ")
        day.pass_time(CONFIG.attest_wait - 1)
        assert day.events("RowAttested") == []
        day.pass_time(1)

        state = day.state(*SUN_TO_ROOF)
        assert state.pending is not None
        assert (state.pending.published, state.pending.published_at is not None) == (2, True)
        attested = [one for one in day.events("RowAttested") if one["payee"] == day.scene.id("rooftrade")]
        assert [one["mask"].bit_count() for one in attested] == [3]
        day.pass_time(CONFIG.row_window - HOUR)
        assert day.state(*SUN_TO_ROOF).applied == 0
        day.pass_time(2 * HOUR)

        state = day.state(*SUN_TO_ROOF)
        assert (state.applied, state.lock, state.is_attested, state.pending) == (2 * SALE, 0, True, None)
        assert day.state("sunmarket", "westpower").applied == 2 * CHARGE
        assert day.problems() == []


def test_two_of_four_attestors_dead_hold_up_attested_rows_only(tmp_path: Path) -> None:
    with silent_day(tmp_path, ("sunmarket", "stategrid", "hillpower")) as day:
        day.pass_time(ATTEST_AFTER)
        day.pass_time(CONFIG.attest_wait)

        (waits,) = [one for one in day.waiting("rooftrade") if one["stage"] == "soliciting"]
        assert sorted(waits["for_whom"]) == ["hillpower.example", "stategrid.example"]
        assert waits["reason"].startswith("2 of 3 attestors have signed; ")
        assert day.events("RowAttested") == []

        day.start("sunmarket")
        day.pass_time(60)
        day.pass_time(60)
        assert day.state(*SUN_TO_ROOF).is_agreed


def test_one_dead_attestor_holds_up_nothing(tmp_path: Path) -> None:
    with silent_day(tmp_path, ("sunmarket", "stategrid")) as day:
        day.pass_time(ATTEST_AFTER)
        day.pass_time(CONFIG.attest_wait)

        (attested,) = [one for one in day.events("RowAttested") if one["payee"] == day.scene.id("rooftrade")]
        assert attested["mask"] == 0b1011


def test_the_silent_one_once_back_signs_what_releases_the_lock(tmp_path: Path) -> None:
    with silent_day(tmp_path, locks={SUN_TO_ROOF: 3 * SALE}) as day:
        for passed in (ATTEST_AFTER, CONFIG.attest_wait, CONFIG.row_window + HOUR):
            day.pass_time(passed)
        state = day.state(*SUN_TO_ROOF)
        assert (state.applied, state.lock, state.version) == (2 * SALE, SALE, 1)

        day.start("sunmarket")
        day.pass_time(60)
        day.pass_time(60)

        state = day.state(*SUN_TO_ROOF)
        assert (state.applied, state.lock, state.version, state.is_agreed) == (2 * SALE, 0, 2, True)
        assert {one.way: one.state for one in day.rows("rooftrade") if one.row.version == state.version - 1} == {
            Way.AGREED: "proposed",
            Way.ATTESTED: "applied",
        }


def test_an_agreed_row_takes_the_place_of_a_pending_one_with_a_higher_version(tmp_path: Path) -> None:
    with silent_day(tmp_path) as day:
        day.pass_time(ATTEST_AFTER)
        day.pass_time(CONFIG.attest_wait)
        assert day.state(*SUN_TO_ROOF).pending is not None

        day.start("sunmarket")
        day.pass_time(60)
        day.pass_time(60)

        state = day.state(*SUN_TO_ROOF)
        assert (state.version, state.is_agreed, state.pending) == (2, True, None)
        assert [one["reason"] for one in day.events("RowStruck")] == ["replaced", "replaced"]


# --- what an attestor does before it signs ---


def test_an_attestor_waits_and_shows_the_packet_to_the_other_member(tmp_path: Path) -> None:
    with day_with_a_lazy_buyer(tmp_path, silent_to=("sunmarket",)) as day:
        asked = asking(day)
        day.scene.daemons["sunmarket"].once()
        asked_at = day.scene.now

        assert ask(day, "hillpower", asked) == {"ready_at": asked_at + CONFIG.attest_wait}
        day.scene.daemons["hillpower"].once()
        assert len(day.scene.daemons["sunmarket"].store.leaves(CYCLE, 0)) == 4

        day.scene.move_to(asked_at + CONFIG.attest_wait - 1)
        assert ask(day, "hillpower", asked) == {"ready_at": asked_at + CONFIG.attest_wait}
        day.scene.move_to(asked_at + CONFIG.attest_wait)
        signed = ask(day, "hillpower", asked)
        assert signed.keys() == {"signature"}
        assert ask(day, "hillpower", asked) == signed


def test_the_wait_begins_when_the_other_member_was_shown_the_packet(tmp_path: Path) -> None:
    """Not when the attestor, which may be behind the chain, was asked."""
    with silent_day(tmp_path) as day:
        asked = asking(day)
        day.scene.daemons["hillpower"].once()
        day.scene.move_to(day.scene.now + 5 * HOUR)
        peers = day.scene.daemons["rooftrade"].peers
        peers.post(day.scene.id("hillpower"), "/v1/attestations", document(asked))

        assert ask(day, "hillpower", asked) == {"ready_at": day.scene.now + CONFIG.attest_wait}


def test_what_the_other_member_adds_counts(tmp_path: Path) -> None:
    """A seller that leaves out a trade whose leaves it was served is found out by what the buyer shows."""
    with day_with_a_lazy_buyer(tmp_path) as day:
        whole = asking(day)
        day.scene.daemons["sunmarket"].once()
        kept = whole.leaves[1:]
        digests = {leaf.trade_digest for leaf in kept}
        packet = replace(
            whole.packet,
            trades=tuple(one for one in whole.packet.trades if one.digest in digests),
            served=tuple(one for one in whole.packet.served if one.leaf.trade_digest in digests),
        )
        amount = sum(leaf.amount for leaf in kept)
        row = replace(whole.row, amount=amount, count=1, root=day_root(day, whole, kept))
        asked = AttestationAsked(row, kept, packet)

        ready = ask(day, "hillpower", asked)["ready_at"]
        day.scene.daemons["hillpower"].once()
        day.scene.move_to(ready)
        with pytest.raises(PeerRefused) as refused:
            ask(day, "hillpower", asked)

        facts = refused.value.problem.facts
        assert (refused.value.problem.code, facts["position"]) == ("attestation-refused", 0)
        assert facts["own"] == document(whole.leaves[0])


def day_root(day: SettledDay, whole: AttestationAsked, leaves: tuple[Any, ...]) -> bytes:
    from settlement.rows import RowContent

    return RowContent(whole.row.payer, whole.row.payee, leaves).root


def test_a_changed_leaf_is_refused_with_both_versions_of_it(tmp_path: Path) -> None:
    with silent_day(tmp_path) as day:
        asked = asking(day)
        leaves = (asked.leaves[0], replace(asked.leaves[1], amount=SALE + 5))
        row = replace(asked.row, amount=2 * SALE + 5, root=day_root(day, asked, leaves))

        with pytest.raises(PeerRefused) as refused:
            ask(day, "hillpower", AttestationAsked(row, leaves, asked.packet))

        problem = refused.value.problem
        assert (problem.code, problem.facts["position"], problem.facts["reason"]) == (
            "attestation-refused",
            1,
            f"an amount of {SALE + 5}, own amount {SALE}",
        )
        assert (problem.facts["shown"], problem.facts["own"]) == (document(leaves[1]), document(asked.leaves[1]))
        assert day.scene.daemons["hillpower"].store.row_states(CYCLE) == ()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("signature", "not signer's key"),
        ("place", "not committed"),
        ("leaf", "it is not in its tree"),
        ("tree", "its tree is not the posted one"),
        ("commitment", "is not in the packet"),
    ],
)
def test_a_packet_that_does_not_prove_itself_is_refused(tmp_path: Path, spoil: str, reason: str) -> None:
    with silent_day(tmp_path) as day:
        asked = asking(day)

        with pytest.raises(PeerRefused) as refused:
            ask(day, "hillpower", replace(asked, packet=spoiled(asked.packet, spoil)))

        assert refused.value.problem.code == "packet-incomplete"
        assert reason in refused.value.problem.detail


def spoiled(packet: Packet, how: str) -> Packet:
    """The packet with one thing in it that is not as the chain has it."""
    first, *others = packet.trades
    leaf, *leaves = packet.served
    match how:
        case "signature":
            by, *rest = first.signatures
            wrong = MemberSignature(by.member, rest[0].v, rest[0].r, rest[0].s)
            return replace(packet, trades=(replace(first, signatures=(wrong, *rest)), *others))
        case "place":
            return replace(packet, trades=(replace(first, path=(keccak256(b"no"),)), *others))
        case "leaf":
            generous = replace(leaf.leaf, meter_wh=leaf.leaf.meter_wh + 1)
            return replace(packet, served=(replace(leaf, leaf=generous), *leaves))
        case "tree":
            return replace(packet, served=(replace(leaf, root=keccak256(b"no")), *leaves))
        case _:
            return replace(packet, commitments=())


def test_rows_that_the_chain_would_not_take_are_refused_at_once(tmp_path: Path) -> None:
    with silent_day(tmp_path) as day:
        asked = asking(day)
        for changes, code in (
            ({"version": 2}, "row-version"),
            ({"run": 1}, "row-not-ready"),
            ({"inputs": keccak256(b"other")}, "row-settled"),
            ({"keep": 1}, "attestation-refused"),
            ({"amount": 1}, "packet-incomplete"),
        ):
            row: Row = replace(asked.row, **changes)  # type: ignore[arg-type]
            with pytest.raises(PeerRefused) as refused:
                ask(day, "hillpower", replace(asked, row=row))
            assert refused.value.problem.code == code

        with pytest.raises(PeerRefused) as refused:
            ask(day, "hillpower", asked, by="eastpower")
        assert refused.value.problem.code == "not-yours"


def test_an_attestor_signs_one_row_a_version(tmp_path: Path) -> None:
    with silent_day(tmp_path) as day:
        asked = asking(day)
        hill = day.scene.daemons["hillpower"]
        other = replace(asked.row, amount=1)
        attestor_of(hill).book.sign(other, Way.ATTESTED, (), hill.desk.sign)
        ready = ask(day, "hillpower", asked)["ready_at"]
        hill.once()
        day.scene.move_to(ready)

        with pytest.raises(PeerRefused) as refused:
            ask(day, "hillpower", asked)

        assert refused.value.problem.code == "row-version"


def test_exactly_the_quorum_is_sent_in_the_order_of_the_bits() -> None:
    attestors = [bytes([number]) * 32 for number in (9, 3, 7, 1, 5)]
    signed = {
        one: MemberSignature(one, 27, one, one) for one in (attestors[4], attestors[3], attestors[1], attestors[0])
    }

    mask, signatures = exactly_the_quorum(attestors, 3, signed)

    assert mask == 0b01011
    assert [one.r for one in signatures] == [attestors[0], attestors[1], attestors[3]]
