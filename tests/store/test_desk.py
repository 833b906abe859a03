"""A member's desk: what is kept comes back, keeping it again changes nothing, and what must not be is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from settlement.documents import document
from settlement.hashing import Hash32, keccak256
from settlement.trade import AllocationLeaf, FlowLeaf, Row, Signature, Trade
from store.database import Database
from store.desk import EVIDENCE, DeskStore
from store.errors import StoreError
from store.records import (
    MemberSignature,
    MeterPseudonym,
    OpenTrade,
    PlacedTrade,
    RecordedReading,
    RowState,
    ServedLeaf,
    StoredAllocation,
    Way,
)
from tests.settlement.builders import DOMAIN, PLATFORM_A, PLATFORM_B, UTILITY_A, UTILITY_B, meter, trade

CYCLE = 20_000


@pytest.fixture
def desk(database: Database) -> DeskStore:
    """An empty desk."""
    return DeskStore(database)


def word(name: str) -> Hash32:
    """Some 32 bytes."""
    return keccak256(name.encode())


def signature(name: str) -> Signature:
    """Something of a signature's form."""
    return Signature(27, word(f"r {name}"), word(f"s {name}"))


def signed(member: Hash32, name: str = "") -> MemberSignature:
    """The same by a member."""
    return MemberSignature.of(member, signature(name + member.hex()))


def keep(desk: DeskStore, made: Trade, cycle: int = CYCLE, state: str = "proposed") -> Hash32:
    """Puts a trade on the desk; its digest."""
    digest = DOMAIN.digest(made)
    desk.keep_trade(made, digest, cycle, state)
    return digest


# --- trades that are being signed ---


def test_a_trade_collects_signatures_in_the_order_of_its_signers(desk: DeskStore) -> None:
    made = trade()
    digest = keep(desk, made)
    assert desk.open_trade(digest) == OpenTrade(digest, made, CYCLE, "proposed", ())
    desk.add_signatures(digest, [signed(UTILITY_B), signed(PLATFORM_A)])
    found = desk.open_trade(digest)
    assert found is not None
    assert found.signatures == (signed(PLATFORM_A), signed(UTILITY_B))
    assert found.missing == (PLATFORM_B, UTILITY_A)
    desk.add_signatures(digest, [signed(PLATFORM_B), signed(UTILITY_A)])
    desk.keep_trade(made, digest, CYCLE, "signed")
    found = desk.open_trade(digest)
    assert found == OpenTrade(digest, made, CYCLE, "signed", tuple(signed(member) for member in made.signers))
    assert found.missing == ()


def test_the_first_signature_of_a_member_stays(desk: DeskStore) -> None:
    digest = keep(desk, trade())
    desk.add_signatures(digest, [signed(PLATFORM_A, "first")])
    desk.add_signatures(digest, [signed(PLATFORM_A, "second")])
    found = desk.open_trade(digest)
    assert found is not None
    assert found.signatures == (signed(PLATFORM_A, "first"),)
    assert desk.facts(EVIDENCE) == {}


def test_trades_are_found_by_cycle_and_state(desk: DeskStore) -> None:
    first = keep(desk, trade())
    second = keep(desk, trade(trade_id=word("2")), state="signed")
    third = keep(desk, trade(trade_id=word("3")), cycle=CYCLE + 1, state="signed")
    desk.add_signatures(third, [signed(PLATFORM_A)])

    def digests(*arguments: int | str | None) -> list[Hash32]:
        return [one.digest for one in desk.open_trades(*arguments)]  # type: ignore[arg-type]

    assert digests() == sorted((first, second, third))
    assert digests(CYCLE) == sorted((first, second))
    assert digests(None, "signed") == sorted((second, third))
    assert digests(CYCLE, "signed") == [second]
    assert digests(CYCLE + 2) == []
    assert [one.signatures for one in desk.open_trades(CYCLE + 1)] == [(signed(PLATFORM_A),)]
    assert desk.open_trade(word("unknown")) is None


def test_signatures_on_what_is_not_kept_or_of_strangers_are_refused_as_a_whole(desk: DeskStore) -> None:
    with pytest.raises(StoreError, match=f"trade 0x{word('unknown').hex()} is not on the desk"):
        desk.add_signatures(word("unknown"), [signed(PLATFORM_A)])
    digest = keep(desk, trade())
    with pytest.raises(StoreError, match=f"member 0x{word('stranger').hex()} is no signer of trade"):
        desk.add_signatures(digest, [signed(PLATFORM_A), signed(word("stranger"))])
    found = desk.open_trade(digest)
    assert found is not None
    assert found.signatures == ()


def test_two_trades_signed_under_one_id_are_evidence(desk: DeskStore) -> None:
    one, other, unrelated = trade("10"), trade("11"), trade("12", trade_id=word("other"))
    for made in (one, other, unrelated):
        desk.add_signatures(keep(desk, made), [signed(PLATFORM_A, made.trade_id.hex() + str(made.contracted_wh))])
    desk.add_signatures(DOMAIN.digest(other), [signed(PLATFORM_B)])  # who signed only one of them
    key = f"trade:0x{one.trade_id.hex()}:0x{PLATFORM_A.hex()}"
    assert desk.facts(EVIDENCE) == {
        key: {
            "statements": [
                {
                    "trade": document(made),
                    "signature": document(signed(PLATFORM_A, made.trade_id.hex() + str(made.contracted_wh))),
                }
                for made in (one, other)
            ]
        }
    }


def test_evidence_is_found_however_two_threads_meet(desk: DeskStore) -> None:
    for number in range(12):
        twins = [trade(str(kwh), trade_id=word(str(number))) for kwh in (10, 11)]
        digests = [keep(desk, one) for one in twins]
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda digest: desk.add_signatures(digest, [signed(PLATFORM_A)]), digests))
        assert len(desk.facts(EVIDENCE)) == number + 1


# --- trades at their places ---


def placed(number: int, index: int, made: Trade, *signatures: MemberSignature) -> PlacedTrade:
    """A trade at a place."""
    return PlacedTrade(DOMAIN.digest(made), made, number, index, (word("sibling"),), signatures)


def test_places_of_a_cycle_in_order(desk: DeskStore) -> None:
    first, again = placed(3, 1, trade(), signed(PLATFORM_A)), placed(7, 0, trade())
    second = placed(3, 10, trade(trade_id=word("2")))
    elsewhere = placed(4, 0, trade(trade_id=word("3")))
    desk.place([], CYCLE)
    assert desk.cycles() == ()
    desk.place([again, second, first], CYCLE)
    desk.place([elsewhere], CYCLE - 1)
    desk.place([first], CYCLE)
    assert desk.placed(CYCLE) == (first, second, again)
    assert desk.placed(CYCLE - 1) == (elsewhere,)
    assert desk.placed(CYCLE + 1) == ()
    assert desk.cycles() == (CYCLE - 1, CYCLE)


def test_a_place_told_again_with_more_signatures_has_them(desk: DeskStore) -> None:
    desk.place([placed(3, 1, trade())], CYCLE)
    desk.place([placed(3, 1, trade(), signed(PLATFORM_A))], CYCLE)
    assert desk.placed(CYCLE) == (placed(3, 1, trade(), signed(PLATFORM_A)),)


# --- meters ---


def pseudonym(meter_id: str, cycle: int = CYCLE, name: str = "") -> MeterPseudonym:
    """What a meter is called."""
    return MeterPseudonym(UTILITY_A, meter_id, cycle, word(f"salt {name}"), meter(meter_id + name))


def test_a_meter_has_one_pseudonym_a_cycle(desk: DeskStore) -> None:
    kept = [pseudonym("b"), pseudonym("a"), replace(pseudonym("a"), utility=UTILITY_B), pseudonym("a", CYCLE + 1)]
    for one in (*kept, *kept):
        desk.keep_meter(one)
    in_order = sorted(kept[:3], key=lambda one: (one.utility, one.meter_id))
    assert desk.meters(CYCLE) == tuple(in_order)
    assert desk.meters(CYCLE + 1) == (kept[3],)
    with pytest.raises(StoreError, match=f"a meter of utility 0x{UTILITY_A.hex()} has another pseudonym in {CYCLE}"):
        desk.keep_meter(pseudonym("a", name="another"))
    assert desk.meters(CYCLE) == tuple(in_order)


# --- allocations and leaves ---


def leaf(made: Trade, wh: int = 9_000) -> AllocationLeaf:
    """What a meter's reading gives a trade."""
    return AllocationLeaf(DOMAIN.digest(made), 3, 1, 0, made.buyer_meter, 1, 10_000, 0, wh, 10_000, 0, wh, word("salt"))


READING = RecordedReading(
    0, UTILITY_A, meter("buyer"), "der://meter/1", word("salt"), 1, 2, "import", 9_000, "9.0004", "READ"
)


def test_the_last_attempt_of_a_run_is_the_allocation(desk: DeskStore) -> None:
    assert desk.allocation(CYCLE, 0) is None
    desk.keep_allocation(CYCLE, 0, 1, [leaf(trade())], [READING], signature("1"))
    desk.keep_allocation(CYCLE, 0, 0, [], [], signature("0"))
    desk.keep_allocation(CYCLE, 1, 0, [], [], signature("run 1"))
    desk.keep_allocation(CYCLE, 0, 1, [leaf(trade())], [READING], signature("again"))
    assert desk.allocation(CYCLE, 0) == StoredAllocation(CYCLE, 0, 1, (leaf(trade()),), (READING,), signature("1"))
    assert desk.allocation(CYCLE, 1) == StoredAllocation(CYCLE, 1, 0, (), (), signature("run 1"))
    assert desk.facts(EVIDENCE) == {}


def test_other_leaves_under_the_same_attempt_are_refused_and_kept_as_evidence(desk: DeskStore) -> None:
    desk.keep_allocation(CYCLE, 0, 0, [leaf(trade())], [READING], signature("first"))
    with pytest.raises(StoreError, match=f"attempt 0 of run 0 of cycle {CYCLE} is signed with other leaves"):
        desk.keep_allocation(CYCLE, 0, 0, [leaf(trade(), 8_000)], [READING], signature("second"))
    kept = desk.allocation(CYCLE, 0)
    assert kept is not None
    assert kept.signature == signature("first")
    assert desk.facts(EVIDENCE) == {
        f"allocation:{CYCLE}:0:0": {
            "statements": [
                {"leaves": [document(leaf(trade()))], "signature": document(signature("first"))},
                {"leaves": [document(leaf(trade(), 8_000))], "signature": document(signature("second"))},
            ]
        }
    }


def served(run: int, utility: Hash32, position: int, root: str = "root") -> ServedLeaf:
    """A leaf with its proof."""
    return ServedLeaf(run, utility, word(root), 3, position, leaf(trade()), (word("sibling"), word("another")))


def test_leaves_up_to_a_run(desk: DeskStore) -> None:
    early = [served(0, UTILITY_A, position) for position in (2, 10, 0)]
    late = [served(1, UTILITY_A, 0), served(1, UTILITY_B, 0)]
    desk.keep_leaves(CYCLE, 1, late)
    desk.keep_leaves(CYCLE, 0, early[:2])
    desk.keep_leaves(CYCLE, 0, early)
    desk.keep_leaves(CYCLE + 1, 0, [served(0, UTILITY_B, 5)])
    assert [one.position for one in desk.leaves(CYCLE, 0)] == [0, 2, 10]
    assert desk.leaves(CYCLE, 1)[3:] == tuple(sorted(late, key=lambda one: one.utility))
    assert set(desk.leaves(CYCLE, 5)) == {*early, *late}
    with pytest.raises(StoreError, match="a leaf of run 1 among those of run 0"):
        desk.keep_leaves(CYCLE, 0, late)


def test_a_tree_posted_anew_takes_the_place_of_the_utilitys_earlier_one(desk: DeskStore) -> None:
    before = [served(0, UTILITY_A, 0), served(0, UTILITY_A, 1), served(0, UTILITY_B, 0), served(1, UTILITY_A, 0)]
    desk.keep_leaves(CYCLE, 0, before[:3])
    desk.keep_leaves(CYCLE, 1, before[3:])
    anew = served(0, UTILITY_A, 2, "attempt 1")
    desk.keep_leaves(CYCLE, 0, [anew])
    assert set(desk.leaves(CYCLE, 1)) == {anew, *before[2:]}


# --- rows ---


def row_state(version: int = 1, state: str = "proposed", run: int = 0, **changes: object) -> RowState:
    """A row of platform A to platform B."""
    row = Row(CYCLE, run, version, PLATFORM_A, PLATFORM_B, 1 << 95, 1, word("root"), 7, word("inputs"))
    content = (FlowLeaf(word("trade"), 0, 9_000, 1 << 95, word("salt")),)
    made = RowState(row, DOMAIN.digest(row), Way.AGREED, state, signature("own"), leaves=content)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_a_row_goes_through_its_states(desk: DeskStore) -> None:
    def look() -> RowState | None:
        return desk.row_state(CYCLE, 0, PLATFORM_A, PLATFORM_B, Way.AGREED)

    assert look() is None
    for state in ("proposed", "agreed", "submitted", "applied"):
        made = row_state(state=state, other=signature("other"), attestations=(signed(UTILITY_A),), note="said so")
        desk.keep_row(made)
        desk.keep_row(made)
        assert look() == made
        assert desk.row_states() == (made,)


def test_the_highest_version_counts_and_none_is_forgotten(desk: DeskStore) -> None:
    first, second = row_state(1), row_state(2)
    desk.keep_row(first)
    desk.keep_row(second)
    desk.keep_row(replace(first, state="struck"))
    assert desk.row_state(CYCLE, 0, PLATFORM_A, PLATFORM_B, "agreed") == second
    assert desk.row_states() == (replace(first, state="struck"), second)


def test_of_one_version_the_row_last_kept_counts(desk: DeskStore) -> None:
    mine, theirs = row_state(), row_state(digest=word("theirs"), state="disagreed")
    for last in (mine, theirs, mine, theirs):
        desk.keep_row(last)
        assert desk.row_state(CYCLE, 0, PLATFORM_A, PLATFORM_B, "agreed") == last
    assert desk.row_states(CYCLE) == (mine, theirs)


def test_runs_pairs_and_ways_are_rows_of_their_own(desk: DeskStore) -> None:
    mirrored = row_state()
    mirrored = replace(mirrored, row=replace(mirrored.row, payer=PLATFORM_B, payee=PLATFORM_A))
    made = (row_state(), row_state(way=Way.EARLY), row_state(way=Way.ATTESTED), row_state(run=1), mirrored)
    for one in made:
        desk.keep_row(one)
    for one in made:
        assert desk.row_state(CYCLE, one.run, one.payer, one.payee, one.way) == one
    assert set(desk.row_states()) == set(made)
    assert [one.run for one in desk.row_states(CYCLE)] == [0, 0, 0, 0, 1]
    assert desk.row_states(CYCLE + 1) == ()


def test_a_row_is_in_a_known_state() -> None:
    with pytest.raises(ValueError, match="a row cannot be 'done', only agreed, applied, disagreed, proposed, struck"):
        row_state(state="done")


# --- facts ---


def test_facts_are_kept_by_kind_and_key(desk: DeskStore) -> None:
    desk.keep_fact("refusal", "b", {"why": "NUL \0"})
    desk.keep_fact("refusal", "a", ["first"])
    desk.keep_fact("refusal", "a", ["second"])
    desk.keep_fact("decision", "a", 1)
    assert desk.fact("refusal", "a") == ["second"]
    assert desk.fact("refusal", "c") is None
    assert list(desk.facts("refusal").items()) == [("a", ["second"]), ("b", {"why": "NUL \0"})]
    assert desk.facts("none") == {}
