"""Settling a day: rows that both sign, rows that a quorum attests, trades that the chain computes by itself.

Both members of a pair compute their row from their own desks; only digests meet. Whoever does not answer is worked
around in the ways the mechanism has, and pays or is paid all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from chain.contract import Event
from demo.day import Day, Market, Run, served_in
from demo.desk import SERVED_LEAVES, Desk, ServedLeaf, counting, result_of
from demo.members import Member
from demo.trading import Pair
from settlement import merkle, preimages
from settlement.hashing import ZERO_HASH, Hash32
from settlement.placed import Side
from settlement.rows import RowContent
from settlement.trade import Claim, Commitment, FlowLeaf, MemberFlow, Row, RowAttestation, ShownLeaf, Signature
from store.folders import read_table, write_table
from store.records import (
    MemberSignature,
    PlacedTrade,
    RecordedClaim,
    RecordedCurtailment,
    RecordedFlow,
    SettledRow,
    Way,
)
from store.tables import COMMITMENTS, CURTAILMENTS, TRADES

CHUNK_HEIGHT = 7
NO_SIGNATURE = Signature(0, ZERO_HASH, ZERO_HASH)


class Disagreement(Exception):
    """Two members computed different rows for the same pair; the demo is broken if honest ones do."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an attestor does not sign: the first leaf at which its own row differs from the one it was shown."""

    position: int
    shown: FlowLeaf
    own: FlowLeaf | None


def pairs_of(day: Day, run: int) -> list[Pair]:
    """Every ordered pair that has a flow in the run or a lock in the cycle."""
    flowing = result_of(day.cycle, run, day.counting(), served_in(day, run), day.rule_marks()).rows
    return sorted({*flowing, *((one.lock.payer, one.lock.payee) for one in day.locks)})


@dataclass(frozen=True)
class Packet:
    """What an attestor was handed about one row."""

    trades: tuple[PlacedTrade, ...]
    commitments: Mapping[int, Commitment]
    curtailments: tuple[RecordedCurtailment, ...]
    served: tuple[ServedLeaf, ...]

    @classmethod
    def read(cls, folder: Path) -> Packet:
        """The packet in a folder."""
        return cls(
            read_table(folder, TRADES),
            {one.number: one.commitment for one in read_table(folder, COMMITMENTS)},
            read_table(folder, CURTAILMENTS),
            read_table(folder, SERVED_LEAVES),
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """What a row or claim moved: paid from the lock, newly owed, owed back; base units."""

    paid: int
    owed: int
    owed_back: int

    @classmethod
    def of(cls, event: Event) -> Moved:
        """As the chain reported it."""
        fields = event.fields
        return cls(fields["paid"], fields["owed"], fields.get("owed_back", 0))


@dataclass
class Settling:
    """How rows of the market are settled."""

    market: Market
    moved: dict[Hash32, Moved] = field(default_factory=dict)
    claimed: list[tuple[Pair, int, Moved]] = field(default_factory=list)

    # --- agreed ---

    def agree(
        self, day: Day, run: int, pairs: Iterable[Pair], *, early: bool = False, keep_nothing: bool = False
    ) -> None:
        """Both members of each pair compute and sign their row; all rows go to the chain in one call.

        `early` waives the window (inputs zero). `keep_nothing` releases what is left of the lock.
        """
        world = self.market.world
        signed = [self._both_sign(day, run, pair, early, keep_nothing) for pair in pairs]
        rows = [(row, *signatures) for row, _, signatures in signed]
        receipt = world.send("settle agreed rows, a row", "Settlement", "settle", rows, [], units=len(rows))
        applied = {event["row_digest"]: Moved.of(event) for event in receipt.named("RowApplied")}
        for row, content, signatures in signed:
            digest = world.domain.digest(row)
            if digest not in applied:
                raise Disagreement(f"the chain did not apply {digest.hex()}: {receipt.named('RowSkipped')}")
            by = zip((row.payer, row.payee), signatures, strict=True)
            self._record(
                day,
                run,
                content,
                SettledRow(
                    row,
                    digest,
                    (Way.EARLY if early else Way.AGREED).value,
                    tuple(MemberSignature.of(member, signature) for member, signature in by),
                    0,
                    world.last_time,
                ),
            )
            self.moved[digest] = applied[digest]

    def _both_sign(
        self, day: Day, run: int, pair: Pair, early: bool, keep_nothing: bool
    ) -> tuple[Row, RowContent, tuple[Signature, Signature]]:
        domain = self.market.world.domain
        version = self._next_version(day, pair)
        signatures: list[Signature] = []
        rows: list[Row] = []
        content = RowContent(*pair, ())
        for member in pair:
            desk = self.market.desk(member)
            content, keep = desk.row(day.cycle, run, day.rule_marks(), pair)
            inputs = ZERO_HASH if early else day.runs[run].inputs
            row = content.row(day.cycle, run, version, inputs, 0 if keep_nothing else keep)
            rows.append(row)
            signatures.append(desk.owner.sign(domain, row))
        if rows[0] != rows[1]:
            raise Disagreement(f"{rows[0]} differs from {rows[1]}")
        return rows[0], content, (signatures[0], signatures[1])

    # --- attested ---

    def hand_over(self, day: Day, run: int, pair: Pair, wants: Member, folder: Path) -> None:
        """What the side that wants the row hands the attestors: its trades of this row, signatures, leaves, proofs."""
        desk = self.market.desk(wants.id)
        content, _ = desk.row(day.cycle, run, day.rule_marks(), pair)
        digests = {leaf.trade_digest for leaf in content.leaves}
        trades = [one for one in desk.trades(day.cycle) if one.digest in digests]
        numbers = sorted({one.number for one in trades})
        write_table(folder, TRADES, trades)
        write_table(folder, COMMITMENTS, [desk.commitment(day.cycle, number) for number in numbers])
        write_table(folder, CURTAILMENTS, [one for one in day.curtailments if one.trade_digest in digests])
        served = [one for one in desk.served(day.cycle, run) if one.leaf.trade_digest in digests]
        write_table(folder, SERVED_LEAVES, served)

    def recompute(self, day: Day, run: int, pair: Pair, packet: Packet) -> RowContent:
        """An attestor's own row from a packet, after it checked places and proofs against the chain."""
        world = self.market.world
        for one in packet.trades:
            signatures = [signed.signature for signed in one.signatures]
            place = one.place(packet.commitments[one.number])
            world.call("TradeResult", "check_place", place, one.trade, signatures)
        for leaf in packet.served:
            check_served(world.call("AllocationOracle", "posted", day.cycle, leaf.run, leaf.utility), leaf)
        trades = counting(packet.trades, packet.curtailments)
        result = result_of(day.cycle, run, trades, packet.served, day.rule_marks())
        return result.rows.get(pair, RowContent(*pair, ()))

    def attest(
        self, day: Day, run: int, content: RowContent, attestors: Sequence[Member]
    ) -> tuple[Row, int, tuple[MemberSignature, ...]]:
        """A quorum's signatures put a row before everybody; returns the row, the mask and who signed."""
        world = self.market.world
        pair = content.payer, content.payee
        row = content.row(day.cycle, run, self._next_version(day, pair), day.runs[run].inputs)
        statement = RowAttestation(world.domain.digest(row))
        order = self.market.members.utilities
        mask = sum(1 << order.index(one) for one in attestors)
        signers = [one for one in order if one in attestors]
        signatures = [one.sign(world.domain, statement) for one in signers]
        world.send(f"attest a row, {len(signers)} of {len(order)}", "Settlement", "attest", row, mask, signatures)
        return row, mask, tuple(MemberSignature.of(one.id, made) for one, made in zip(signers, signatures, strict=True))

    def publish(self, row: Row, content: RowContent) -> None:
        """The leaves of an attested row, in order, chunk by chunk."""
        world = self.market.world
        if not content.leaves:
            world.send("publish a row without leaves", "Settlement", "publish_empty", row)
        for first in range(0, content.count, 1 << CHUNK_HEIGHT):
            leaves = list(content.leaves[first : first + (1 << CHUNK_HEIGHT)])
            _, path = content.tree.chunk(CHUNK_HEIGHT, first >> CHUNK_HEIGHT)
            world.send("publish leaves, a leaf", "Settlement", "publish", row, leaves, list(path), units=len(leaves))

    def apply_attested(
        self, day: Day, run: int, row: Row, mask: int, signatures: tuple[MemberSignature, ...], content: RowContent
    ) -> None:
        """After its window an attested row is applied by anyone."""
        world = self.market.world
        sent = world.send("apply an attested row", "Settlement", "apply_attested", row)
        digest = world.domain.digest(row)
        self.moved[digest] = Moved.of(sent.named("RowApplied")[0])
        settled = SettledRow(row, digest, Way.ATTESTED.value, signatures, mask, world.last_time)
        self._record(day, run, content, settled)

    def strike_wrong_leaf(self, row: Row, false: RowContent, refusal: Refusal, packet: Packet) -> None:
        """The one proof that ends a false row: the leaf in it, the trade, both sides' leaves."""
        leaf = refusal.shown
        trade = next(one for one in packet.trades if one.digest == leaf.trade_digest)
        self.market.world.send(
            "strike a wrong leaf",
            "RowFaults",
            "strike_wrong_leaf",
            row,
            leaf,
            refusal.position,
            list(false.tree.path(refusal.position)),
            trade.trade,
            *(newest_first(packet.served, trade, side) for side in Side),
        )

    # --- computed ---

    def claim(self, day: Day, run: int, placed: PlacedTrade, by: Desk) -> Claim:
        """Anyone shows one trade; the chain computes what it settles at."""
        world = self.market.world
        commitment = by.commitment(day.cycle, placed.number).commitment
        signatures = [] if commitment.sequence == 0 else [one.signature for one in placed.signatures]
        receipt = world.send(
            "claim a registered trade",
            "Settlement",
            "claim",
            placed.place(commitment),
            placed.trade,
            signatures,
            *(newest_first(by.served(day.cycle, run), placed, side)[:1] for side in Side),
        )
        made = receipt.named("Claimed")[0]["claim"]
        flows = tuple(MemberFlow(**flow) for flow in made["flows"])
        claim = Claim(**{**made, "flows": flows})
        day.runs[run].claims.append(RecordedClaim(claim, 0, 0))
        return claim

    def apply_claim(self, day: Day, run: int, claim: Claim) -> None:
        """After its window a claim is applied by anyone."""
        world = self.market.world
        sent = world.send("apply a claim", "Settlement", "apply_claim", claim)
        for event in sent.named("ClaimApplied"):
            self.claimed.append(((event["payer"], event["payee"]), day.number, Moved.of(event)))
        claims = day.runs[run].claims
        place = next(i for i, one in enumerate(claims) if one.claim == claim)
        claims[place] = replace(claims[place], applied_at=world.last_time)

    # --- internals ---

    def _next_version(self, day: Day, pair: Pair) -> int:
        return int(self.market.world.call("Settlement", "highest_version", day.cycle, *pair)) + 1

    def _record(self, day: Day, run: int, content: RowContent, settled: SettledRow) -> None:
        state = day.runs.setdefault(run, Run())
        state.rows.append(settled)
        pair = content.payer, content.payee
        state.flows = [one for one in state.flows if (one.payer, one.payee) != pair]
        state.flows += [RecordedFlow(*pair, position, leaf) for position, leaf in enumerate(content.leaves)]


def judge(own: RowContent, shown: RowContent) -> Refusal | None:
    """The first leaf at which the shown row differs from one's own, or None."""
    for position, leaf in enumerate(shown.leaves):
        mine = own.leaves[position] if position < own.count else None
        if leaf != mine:
            return Refusal(position, leaf, mine)
    return None


def with_one_leaf_changed(content: RowContent, add: int) -> RowContent:
    """A false row: its first leaf promises more than the trade gives."""
    first, *rest = content.leaves
    return RowContent(content.payer, content.payee, (replace(first, amount=first.amount + add), *rest))


def check_served(posted: Hash32, served: ServedLeaf) -> None:
    """Raises Disagreement unless the leaf stands in the tree that its utility posted."""
    shown = served.shown
    if preimages.posted_tree(shown.root, shown.count) != posted or not merkle.verify(
        shown.root, shown.count, shown.index, preimages.allocation_leaf(shown.leaf), shown.path
    ):
        raise Disagreement(f"leaf {shown.index} of run {shown.run} is not in the posted tree")


def newest_first(served: Iterable[ServedLeaf], placed: PlacedTrade, side: Side) -> list[ShownLeaf]:
    """The leaves of one side of a trade as a proof shows them."""
    utility = placed.trade.buyer_utility if side is Side.BUYER else placed.trade.seller_utility
    found = (
        one.shown
        for one in served
        if one.utility == utility and (one.leaf.trade_digest, one.leaf.side) == (placed.digest, side)
    )
    return sorted(found, key=lambda shown: -shown.run)
