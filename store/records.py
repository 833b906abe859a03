"""What is remembered, where `settlement` has no value that is already it: in record folders, and on a member's desk.

For the tables of a record folder the names of the fields and their order are the columns' (`docs/protocol.md`, section
11); a field that is itself a value of `settlement` stands for all of its columns, and a time or word that does not
apply is 0, never absent. Energy is Wh, money base units, times UTC epoch seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from settlement.hashing import Hash32
from settlement.trade import (
    Allocation,
    AllocationLeaf,
    Claim,
    Commitment,
    Curtailment,
    FlowLeaf,
    Lock,
    PaymentNotice,
    Place,
    Row,
    ShownLeaf,
    Signature,
    Trade,
)


class Way(StrEnum):
    """How a row came to be settled; `STRUCK` is one that a proof ended."""

    AGREED = "agreed"
    EARLY = "early"
    ATTESTED = "attested"
    CLAIMED = "claimed"
    STRUCK = "struck"


@dataclass(frozen=True, slots=True)
class MemberSignature:
    """A signature and the member that it is of."""

    member: Hash32
    v: int
    r: Hash32
    s: Hash32

    @property
    def signature(self) -> Signature:
        """The signature alone."""
        return Signature(self.v, self.r, self.s)

    @classmethod
    def of(cls, member: Hash32, signature: Signature) -> MemberSignature:
        """`signature` by `member`."""
        return cls(member, signature.v, signature.r, signature.s)


@dataclass(frozen=True, slots=True)
class RecordedCommitment:
    """A commitment's record under its number."""

    number: int
    commitment: Commitment


@dataclass(frozen=True, slots=True)
class RecordedLock:
    """A lock that came with commitment `number`."""

    number: int
    lock: Lock


@dataclass(frozen=True, slots=True)
class PlacedTrade:
    """A trade at one of its places, with the proof of the place and the signatures on the trade."""

    digest: Hash32
    trade: Trade
    number: int
    index: int
    path: tuple[Hash32, ...]
    signatures: tuple[MemberSignature, ...]

    def place(self, commitment: Commitment) -> Place:
        """The place as contracts take it; `commitment` is the record under `number`."""
        return Place(self.number, commitment, self.index, self.path)


@dataclass(frozen=True, slots=True)
class RecordedCurtailment:
    """A curtailment and when the chain took it."""

    number: int
    index: int
    trade_digest: Hash32
    contracted_wh: int
    reason: int
    recorded_at: int

    @property
    def curtailment(self) -> Curtailment:
        """What was signed."""
        return Curtailment(self.number, self.index, self.contracted_wh, self.reason)


@dataclass(frozen=True, slots=True)
class RecordedReading:
    """A meter's reading in a slot: `meter` is the pseudonym of `meter_id` under `salt`, `raw_kwh` the text it came as.

    `run` is the run in whose allocation the utility used it (a run that posts anew lists all its readings anew).
    `direction` is `import` or `export`, `quality` `READ`, `ESTIMATED` or `MISSING`.
    """

    run: int
    utility: Hash32
    meter: Hash32
    meter_id: str
    salt: Hash32
    slot_start: int
    slot_end: int
    direction: str
    wh: int
    raw_kwh: str
    quality: str


@dataclass(frozen=True, slots=True)
class PostedAllocation:
    """An allocation that a utility signed and somebody posted, any attempt."""

    run: int
    attempt: int
    utility: Hash32
    root: Hash32
    count: int
    config_digest: Hash32
    signature: Signature
    posted_at: int

    def statement(self, cycle: int) -> Allocation:
        """What was signed."""
        return Allocation(cycle, self.run, self.attempt, self.utility, self.root, self.count, self.config_digest)


@dataclass(frozen=True, slots=True)
class RecordedLeaf:
    """Leaf number `position` (from 0) of the last tree that a utility posted in a run."""

    run: int
    utility: Hash32
    position: int
    leaf: AllocationLeaf


@dataclass(frozen=True, slots=True)
class RecordedMark:
    """A mark on a group (void: utility, meter, slot, side) or on a side of a trade (all others).

    `run` is the one whose seal comes next, for *twice* the tree's. `utility` and `meter` of a side's mark are those
    of the trade's side; `trade_digest` of a void is zero; `wh` is a figure's, else 0.
    """

    kind: int
    run: int
    utility: Hash32
    meter: Hash32
    slot_start: int
    side: int
    trade_digest: Hash32
    wh: int
    recorded_at: int


@dataclass(frozen=True, slots=True)
class RecordedFlow:
    """Leaf number `position` (from 0) of the row between two members in the folder's run."""

    payer: Hash32
    payee: Hash32
    position: int
    leaf: FlowLeaf


@dataclass(frozen=True, slots=True)
class SettledRow:
    """A row with what settled it. `applied_at` is 0 until it has applied."""

    row: Row
    digest: Hash32
    way: str
    signatures: tuple[MemberSignature, ...]
    attestation_mask: int
    applied_at: int


@dataclass(frozen=True, slots=True)
class RecordedClaim:
    """A claim and its end: `applied_at` or `struck_at`, both 0 while it is pending, and where its run has passed or
    another claim of its trade was applied."""

    claim: Claim
    applied_at: int
    struck_at: int


@dataclass(frozen=True, slots=True)
class RecordedObligation:
    """What fell due between two members, and how much of it is closed."""

    number: int
    debtor: Hash32
    creditor: Hash32
    amount: int
    closed: int
    due_at: int
    fell_due_at: int


@dataclass(frozen=True, slots=True)
class RecordedNotice:
    """A debtor's notice of a bank payment, and what the creditor has acknowledged under its reference."""

    notice: PaymentNotice
    signature: Signature
    acknowledged: int
    acknowledged_at: int


# --- on a member's desk (`store.desk`) ---

ROW_STATES = frozenset({"proposed", "agreed", "submitted", "applied", "disagreed", "struck"})


@dataclass(frozen=True, slots=True)
class ServedLeaf:
    """A leaf as its utility serves it to the signers of the trade: position and proof in the tree it posted."""

    run: int
    utility: Hash32
    root: Hash32
    count: int
    position: int
    leaf: AllocationLeaf
    path: tuple[Hash32, ...]

    @property
    def shown(self) -> ShownLeaf:
        """As contracts take it."""
        return ShownLeaf(self.run, self.root, self.count, self.position, self.leaf, self.path)


@dataclass(frozen=True, slots=True)
class MeterPseudonym:
    """What a meter is called in one cycle: `meter` is the hash of the salt and `meter_id`, which its utility knows."""

    utility: Hash32
    meter_id: str
    cycle: int
    salt: Hash32
    meter: Hash32


@dataclass(frozen=True, slots=True)
class OpenTrade:
    """A trade before it has a place: how far it got, and who has signed it, in the order of `trade.signers`."""

    digest: Hash32
    trade: Trade
    cycle: int
    state: str
    signatures: tuple[MemberSignature, ...]

    @property
    def missing(self) -> tuple[Hash32, ...]:
        """The members that have to sign it still, in the order of `trade.signers`."""
        signed = {one.member for one in self.signatures}
        return tuple(member for member in self.trade.signers if member not in signed)


@dataclass(frozen=True, slots=True)
class StoredAllocation:
    """An allocation that the owner of the desk made and signed, whole, with the readings that went into it."""

    cycle: int
    run: int
    attempt: int
    leaves: tuple[AllocationLeaf, ...]
    readings: tuple[RecordedReading, ...]
    signature: Signature


@dataclass(frozen=True, slots=True)
class RowState:
    """A row as one of its two members, or an attestor, knows it, and how far it got.

    `own` is the desk owner's signature, `other` the counterparty's; None where it is not given. `leaves` are all
    leaves behind the row, `attestations` what attestors answered (attested rows only), `note` says in words why it
    stands as it does. `state` is one of `ROW_STATES`. Raises ValueError for another.
    """

    row: Row
    digest: Hash32
    way: Way
    state: str
    own: Signature | None = None
    other: Signature | None = None
    leaves: tuple[FlowLeaf, ...] = ()
    attestations: tuple[MemberSignature, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.state not in ROW_STATES:
            raise ValueError(f"a row cannot be {self.state!r}, only {', '.join(sorted(ROW_STATES))}")

    @property
    def cycle(self) -> int:
        """The row's cycle."""
        return self.row.cycle

    @property
    def run(self) -> int:
        """The row's run."""
        return self.row.run

    @property
    def payer(self) -> Hash32:
        """Who owes."""
        return self.row.payer

    @property
    def payee(self) -> Hash32:
        """Who is owed."""
        return self.row.payee
