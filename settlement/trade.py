"""The objects that parties sign and the records that the chain keeps by hash.

Each dataclass mirrors one struct of `contracts/interfaces/Types.vyi`: same names, same order. Energy is Wh, money is
base units (10^-6 of the currency), times are UTC epoch seconds, members and meters are 32-byte hashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from settlement.hashing import Hash32


@dataclass(frozen=True, slots=True)
class Signature:
    """A secp256k1 signature; `v` is 27 or 28, or 0 where a contract signs by ERC-1271."""

    v: int
    r: Hash32
    s: Hash32


@dataclass(frozen=True, slots=True)
class Trade:
    """One sale of energy in one slot between two members' users; signed by every member that fills a role."""

    trade_id: Hash32
    template: Hash32
    buyer_platform: Hash32
    seller_platform: Hash32
    buyer_utility: Hash32
    seller_utility: Hash32
    grid_operator: Hash32
    market_agent: Hash32
    buyer_meter: Hash32
    seller_meter: Hash32
    slot_start: int
    slot_end: int
    contracted_wh: int
    traded_at: int
    valid_until: int
    rates: tuple[int, ...]
    order_hash: Hash32
    salt: Hash32

    @property
    def platforms(self) -> tuple[Hash32, ...]:
        """The buyer's platform and the seller's, once if they are one."""
        return tuple(dict.fromkeys((self.buyer_platform, self.seller_platform)))

    @property
    def signers(self) -> tuple[Hash32, ...]:
        """The members that must sign, each once, in role order."""
        roles = (
            self.buyer_platform,
            self.seller_platform,
            self.buyer_utility,
            self.seller_utility,
            self.grid_operator,
            self.market_agent,
        )
        return tuple(dict.fromkeys(member for member in roles if any(member)))


@dataclass(frozen=True, slots=True)
class Lock:
    """How much of what `payer` may come to owe `payee` in a cycle is locked in escrow."""

    payer: Hash32
    payee: Hash32
    amount: int


@dataclass(frozen=True, slots=True)
class TradeLocks:
    """A registered trade's locks, or that it has none: signed by its platforms and every other payer in them."""

    trade_digest: Hash32
    locks: tuple[Lock, ...]


def lock_signers(trade: Trade, locks: Iterable[Lock]) -> tuple[Hash32, ...]:
    """Who signs a registered trade's TradeLocks: its platforms, then every other payer in the locks, each once."""
    return tuple(dict.fromkeys((*trade.platforms, *(lock.payer for lock in locks))))


@dataclass(frozen=True, slots=True)
class TradeBatch:
    """Trades between two platforms (or inside one), committed by their root."""

    cycle: int
    platform_a: Hash32
    platform_b: Hash32
    sequence: int
    earliest_slot: int
    count: int
    root: Hash32
    locks: tuple[Lock, ...]

    @property
    def signers(self) -> tuple[Hash32, ...]:
        """Both platforms, then every other payer in the locks, each once."""
        return tuple(dict.fromkeys((self.platform_a, self.platform_b, *(lock.payer for lock in self.locks))))


@dataclass(frozen=True, slots=True)
class Commitment:
    """What the chain keeps (by hash) of a batch or a registered trade."""

    cycle: int
    platform_a: Hash32
    platform_b: Hash32
    sequence: int
    earliest_slot: int
    count: int
    root: Hash32
    committed_at: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trade stands: the commitment's number and record, the index in its tree, and the proof."""

    number: int
    commitment: Commitment
    index: int
    path: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class Curtailment:
    """Lowers what is contracted at one place; `contracted_wh` is the new quantity, 0 cancels."""

    commitment: int
    index: int
    contracted_wh: int
    reason: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """A utility's signed statement: the root over all its allocation leaves of a cycle."""

    cycle: int
    run: int
    attempt: int
    utility: Hash32
    root: Hash32
    count: int
    config_digest: Hash32


@dataclass(frozen=True, slots=True)
class AllocationLeaf:
    """What one meter's reading gives one trade on one side."""

    trade_digest: Hash32
    commitment: int
    index: int
    side: int
    meter: Hash32
    slot_start: int
    contracted_wh: int
    contracted_before: int
    meter_wh: int
    contracted_total_wh: int
    status: int
    allocated_wh: int
    salt: Hash32


@dataclass(frozen=True, slots=True)
class ShownLeaf:
    """An allocation leaf with the posted tree it stands in and its proof."""

    run: int
    root: Hash32
    count: int
    index: int
    leaf: AllocationLeaf
    path: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class FlowLeaf:
    """One flow of one settled trade: a summand of a row."""

    trade_digest: Hash32
    flow: int
    settled_wh: int
    amount: int
    salt: Hash32


@dataclass(frozen=True, slots=True)
class Row:
    """What one member owes another in a cycle, cumulative over runs."""

    cycle: int
    run: int
    version: int
    payer: Hash32
    payee: Hash32
    amount: int
    count: int
    root: Hash32
    keep: int
    inputs: Hash32


@dataclass(frozen=True, slots=True)
class RowAttestation:
    """An attestor's word that it recomputed the row and found it right."""

    row_digest: Hash32


@dataclass(frozen=True, slots=True)
class MemberFlow:
    """An evaluated flow between two members."""

    payer: Hash32
    payee: Hash32
    amount: int


@dataclass(frozen=True, slots=True)
class Claim:
    """What the chain keeps (by hash) of a claimed trade; `*_origin`: 0 none, 1 a leaf of `*_run`, 2 recorded."""

    cycle: int
    run: int
    trade_digest: Hash32
    settled_wh: int
    buyer_origin: int
    buyer_run: int
    seller_origin: int
    seller_run: int
    claimed_at: int
    flows: tuple[MemberFlow, ...]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Pays free escrow balance out to the member's registered payout address."""

    member: Hash32
    amount: int
    sequence: int


@dataclass(frozen=True, slots=True)
class PaymentNotice:
    """The debtor says that a bank payment under this reference pays these obligations."""

    debtor: Hash32
    creditor: Hash32
    obligations: tuple[int, ...]
    amount: int
    rail: Hash32
    value_date: int
    reference_hash: Hash32


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The creditor says how much of a debtor's arrived under a reference, in all so far."""

    creditor: Hash32
    debtor: Hash32
    reference_hash: Hash32
    acknowledged: int


@dataclass(frozen=True, slots=True)
class BankAttestation:
    """A settlement bank says how much of a debtor's arrived at a creditor under a reference, in all so far."""

    creditor: Hash32
    debtor: Hash32
    reference_hash: Hash32
    attested: int


@dataclass(frozen=True, slots=True)
class Denial:
    """The creditor says that nothing, or nothing more, of a debtor's arrived under a reference."""

    creditor: Hash32
    debtor: Hash32
    reference_hash: Hash32


@dataclass(frozen=True, slots=True)
class NoticeRuling:
    """The arbiters find how much arrived under a reference that the creditor denied or kept silent on."""

    creditor: Hash32
    debtor: Hash32
    reference_hash: Hash32
    arrived: int


@dataclass(frozen=True, slots=True)
class EscrowPayment:
    """The debtor pays obligations from its free escrow balance."""

    debtor: Hash32
    creditor: Hash32
    obligations: tuple[int, ...]
    amount: int
    sequence: int


@dataclass(frozen=True, slots=True)
class HotKeyChange:
    """A member's cold key names the hot key that signs for it from now on."""

    member: Hash32
    key: str
    sequence: int


@dataclass(frozen=True, slots=True)
class PayoutChange:
    """A member's cold key names the address that withdrawals go to, after the delay."""

    member: Hash32
    payout: str
    sequence: int


@dataclass(frozen=True, slots=True)
class KeyCompromised:
    """A member's cold key stops a hot key at once."""

    member: Hash32
    key: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Demand:
    """A signer of a trade demands the leaf of one side that its utility did not serve."""

    cycle: int
    run: int
    member: Hash32
    trade_digest: Hash32
    side: int


@dataclass(frozen=True, slots=True)
class SilentDemand:
    """The side of a trade whose leaf was demanded, and which its utility has left unanswered."""

    trade_digest: Hash32
    side: int


@dataclass(frozen=True, slots=True)
class Contest:
    """A signer of a trade doubts one side's reading, or its lack; `evidence` is a hash of what it will show."""

    cycle: int
    run: int
    member: Hash32
    trade_digest: Hash32
    side: int
    evidence: Hash32


@dataclass(frozen=True, slots=True)
class FigureAgreement:
    """All signers of a trade agree on the Wh of a contested side."""

    cycle: int
    trade_digest: Hash32
    side: int
    wh: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """The arbiters find the Wh of a contested side."""

    cycle: int
    trade_digest: Hash32
    side: int
    wh: int


@dataclass(frozen=True, slots=True)
class RowDemand:
    """The payer or payee of an attested row demands that the trade behind one of its leaves be shown."""

    row_digest: Hash32
    index: int
    member: Hash32


@dataclass(frozen=True, slots=True)
class MissingLeaf:
    """The payee of an attested row says that it lacks a flow of a trade."""

    row_digest: Hash32
    trade_digest: Hash32
    flow: int


@dataclass(frozen=True, slots=True)
class ShownFlow:
    """A leaf of a row with its index and proof."""

    leaf: FlowLeaf
    index: int
    path: tuple[Hash32, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A month's statement is final: of a member, or of a pair (`member` is then the smaller id).

    `counterparty` is zero for a member's own, `subject` zero for the market's, `period` is YYYYMM.
    """

    member: Hash32
    counterparty: Hash32
    subject: Hash32
    period: int
    digest: Hash32


@dataclass(frozen=True, slots=True)
class CouncilAct:
    """A call that the council's seats approve, by their cold keys; `data` is selector and arguments."""

    target: str
    data: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class CouncilCancel:
    """Seats call a waiting act off; `act` is its struct hash."""

    act: Hash32
