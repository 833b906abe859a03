"""Trades: where they are committed, when a place is valid, what curtailment leaves, who pays whom by which formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from settlement import preimages
from settlement.config import Config
from settlement.formula.templates import DEVIATION, FIXED_PRICE_CONTRACTED, FIXED_PRICE_SETTLED, INTER_UTILITY, MARKET
from settlement.trade import Lock, Place, Trade, TradeBatch
from tests.contracts.law.model_clock import Clock
from tests.contracts.law.model_inputs import Inputs
from tests.contracts.law.model_members import Members
from tests.contracts.law.world import BEGIN, CYCLE, DAY, END, HOUR, World
from tests.contracts.market import GRID_OPERATOR, MARKET_AGENT, PLATFORM, UTILITY
from tests.contracts.money_model import Model as Money
from tests.contracts.money_model import Refused

GRID, AGENT = "grid_operator", "market_agent"
DUTIES = {
    "buyer_platform": PLATFORM,
    "seller_platform": PLATFORM,
    "buyer_utility": UTILITY,
    "seller_utility": UTILITY,
    GRID: GRID_OPERATOR,
    AGENT: MARKET_AGENT,
}

NOT_REGISTERED = "TradeBook: party without its role", "TradeBook: not a party's key", "TradeBook: signer not active"


@dataclass(frozen=True)
class Terms:
    """A template: number of rates; flows as payer role, payee role, and Wh x rate from (c, s, b, d, rates).

    c is what is contracted, s what is settled, b the buyer's figure, d the seller's (delivered).
    """

    rates: int
    flows: tuple[tuple[str, str, Callable[..., int]], ...]

    @property
    def named(self) -> set[str]:
        return {role for payer, payee, _ in self.flows for role in (payer, payee)}


BUYER, SELLER, BUYER_UTILITY, SELLER_UTILITY = list(DUTIES)[:4]
TEMPLATES = {
    FIXED_PRICE_CONTRACTED.template_id: Terms(
        2,
        ((BUYER, SELLER, lambda c, s, b, d, r: c * r[0]), (BUYER, GRID, lambda c, s, b, d, r: c * r[1])),
    ),
    FIXED_PRICE_SETTLED.template_id: Terms(
        2,
        ((BUYER, SELLER, lambda c, s, b, d, r: s * r[0]), (BUYER, GRID, lambda c, s, b, d, r: s * r[1])),
    ),
    INTER_UTILITY.template_id: Terms(
        4,
        (
            (BUYER, SELLER, lambda c, s, b, d, r: s * r[0]),
            (BUYER, BUYER_UTILITY, lambda c, s, b, d, r: s * r[1]),
            (SELLER, SELLER_UTILITY, lambda c, s, b, d, r: s * r[2] + max(0, c - s) * r[3]),
        ),
    ),
    DEVIATION.template_id: Terms(
        3,
        (
            (BUYER, SELLER, lambda c, s, b, d, r: c * r[0]),
            (BUYER_UTILITY, BUYER, lambda c, s, b, d, r: max(0, c - b) * r[1]),
            (SELLER, SELLER_UTILITY, lambda c, s, b, d, r: max(0, c - d) * r[2]),
        ),
    ),
    MARKET.template_id: Terms(
        3,
        (
            (BUYER, AGENT, lambda c, s, b, d, r: s * (r[0] + r[1])),
            (AGENT, SELLER, lambda c, s, b, d, r: s * r[0]),
            (AGENT, GRID, lambda c, s, b, d, r: s * r[2]),
        ),
    ),
}


@dataclass
class Deal:
    """A trade as its parties know it: who signed with which key (None: nobody did), and where it was committed."""

    trade: Trade
    digest: bytes
    keys: tuple[bytes | None, ...]
    places: list[Place] = field(default_factory=list)
    curtailed: int | None = None
    registered: bool = False

    @property
    def contracted(self) -> int:
        """Wh after curtailment."""
        return self.trade.contracted_wh if self.curtailed is None else min(self.trade.contracted_wh, self.curtailed)

    def utility(self, side: int) -> bytes:
        return self.trade.seller_utility if side else self.trade.buyer_utility

    def meter(self, side: int) -> bytes:
        return self.trade.seller_meter if side else self.trade.buyer_meter

    def group(self, side: int) -> tuple[bytes, bytes, int, int]:
        return self.utility(side), self.meter(side), self.trade.slot_start, side


@dataclass
class Trades:
    """TradeBook and what TradeResult says of places."""

    world: World
    config: Config
    clock: Clock
    members: Members
    money: Money
    inputs: Inputs
    deals: dict[bytes, Deal] = field(default_factory=dict)
    commitments: int = 0
    sequences: dict[tuple[bytes, bytes], int] = field(default_factory=dict)

    # --- commitments ---

    def commit_batch(self, batch: TradeBatch, keys: Sequence[bytes | None], deals: Sequence[Deal]) -> int:
        """`keys` are those of the batch's signers, in their order."""
        pair = batch.platform_a, batch.platform_b
        if self.clock.paused:
            raise Refused("TradeBook: paused")
        if batch.sequence <= self.sequences.get(pair, 0):
            raise Refused("TradeBook: sequence not higher")
        self._check_locks(batch.locks)
        self._check_signers(batch.signers, keys)
        self._check_times(batch.earliest_slot)
        self._lock(batch.locks)
        self.sequences[pair] = batch.sequence
        record = preimages.batch_commitment(batch, self.clock.now)
        return self._take(preimages.commitment_record(record))

    def register(self, deal: Deal, locks: Sequence[Lock], agreed: Sequence[Lock], keys: Sequence[bytes | None]) -> int:
        """The platforms signed the trade with the locks `agreed`; `keys` are those of the payers besides them."""
        trade = deal.trade
        if self.clock.paused:
            raise Refused("TradeBook: paused registration")
        if trade.slot_end != trade.slot_start + HOUR:
            raise Refused("TradeBook: not one slot")
        if self.clock.now > trade.valid_until:
            raise Refused("TradeBook: no longer valid")
        if deal.registered:
            raise Refused("TradeBook: registered already")
        self._check_times(trade.slot_start)
        # A signature of other locks recovers to nobody's key.
        fitting = [
            key if tuple(locks) == tuple(agreed) or member not in trade.platforms else None
            for member, key in zip(trade.signers, deal.keys, strict=True)
        ]
        refusal = self._parties_refusal(trade, fitting, self.clock.now, active=True)
        if refusal:
            raise Refused(NOT_REGISTERED[refusal - 1])
        self._check_locks(locks)
        payers = dict.fromkeys(lock.payer for lock in locks)
        self._check_signers([one for one in payers if one not in trade.platforms], keys)
        self._lock(locks)
        deal.registered = True
        record = preimages.registered_commitment(trade, deal.digest, CYCLE, self.clock.now)
        return self._take(preimages.commitment_record(record))

    def _check_locks(self, locks: Sequence[Lock]) -> None:
        listed = [(lock.payer, lock.payee) for lock in locks]
        if any(payer == payee for payer, payee in listed):
            raise Refused("TradeBook: lock with oneself")
        if listed != sorted(set(listed)):
            raise Refused("TradeBook: locks not sorted")

    def _check_signers(self, signers: Sequence[bytes], keys: Sequence[bytes | None]) -> None:
        for member, key in zip(signers, keys, strict=True):
            name = self.world.name_of(member)
            if not name or self.members[name].suspended or not self.members[name].is_member:
                raise Refused("TradeBook: signer not active")
            if not self.members.signs(name, key):
                raise Refused("TradeBook: wrong signature")

    def _check_times(self, earliest: int) -> None:
        if not BEGIN <= earliest < END:
            raise Refused("TradeBook: not in the cycle")
        if (earliest - BEGIN) % HOUR:
            raise Refused("TradeBook: not on the slot grid")
        # What of the gate was paused shortens it.
        if self.clock.now + self.clock.since(self.clock.now - self.config.gate) > earliest:
            raise Refused("TradeBook: gate closed")
        if self.clock.now < BEGIN - 7 * DAY:
            raise Refused("TradeBook: too far ahead")

    def _lock(self, locks: Sequence[Lock]) -> None:
        name = self.world.name_of
        self.money.lock(CYCLE, [(name(lock.payer), name(lock.payee), lock.amount) for lock in locks])

    def _take(self, record: bytes) -> int:
        self.commitments += 1
        self.inputs.accumulate(1, self.commitments, record)
        return self.commitments

    # --- curtailment ---

    def curtail(self, deal: Deal, place: Place, wh: int, by: Sequence[str], struct_hash: bytes) -> None:
        """`by` are members whose present keys signed."""
        if wh >= deal.contracted:
            raise Refused("TradeBook: does not lower")
        trade = deal.trade
        if trade.template not in TEMPLATES:
            raise Refused("TradeBook: unknown template")
        signers = [self.world.name_of(member) for member in trade.signers]
        utilities = list(dict.fromkeys((trade.buyer_utility, trade.seller_utility)))
        neutral = [self.world.name_of(one) for one in utilities if self._is_neutral(one, trade)]
        if len(by) == len(signers):
            self._check_curtailers(signers, by)
            last = END
        elif len(neutral) == len(utilities) and len(by) == len(utilities):
            self._check_curtailers(neutral, by)
            last = trade.slot_end
        elif len(by) != 1:
            raise Refused("TradeBook: signers do not fit")
        elif by[0] in neutral and self.members[by[0]].key:
            last = trade.slot_start
        else:
            raise Refused("TradeBook: no neutral utility signed")
        if self.clock.now >= last:
            raise Refused("TradeBook: too late to curtail")
        deal.curtailed = wh
        self.inputs.accumulate(2, place.number, struct_hash)

    def _check_curtailers(self, needed: Sequence[str], by: Sequence[str]) -> None:
        if any(a != b or not self.members[b].key for a, b in zip(needed, by, strict=True)):
            raise Refused("TradeBook: wrong signature")

    def _is_neutral(self, utility: bytes, trade: Trade) -> bool:
        paying = {getattr(trade, payer) for payer, _, _ in TEMPLATES[trade.template].flows}
        return utility not in (trade.buyer_platform, trade.seller_platform, trade.market_agent, *paying)

    # --- validity ---

    def place_refusal(self, deal: Deal, place: Place) -> str | None:
        """Why a place of a trade is not valid, as of its commitment; None where it is."""
        trade, record = deal.trade, place.commitment
        misfit = self.misfit(trade)
        if misfit:
            return misfit
        if not BEGIN <= trade.slot_start < END:
            return "TradeResult: another cycle"
        if trade.slot_start < record.earliest_slot:
            return "TradeResult: slot too early"
        if record.committed_at > trade.valid_until:
            return "TradeResult: committed too late"
        if sorted((trade.buyer_platform, trade.seller_platform)) != [record.platform_a, record.platform_b]:
            return "TradeResult: other platforms"
        keys = (None,) * len(deal.keys) if record.sequence == 0 else deal.keys
        refusal = self._parties_refusal(trade, keys, record.committed_at, signed=record.sequence != 0)
        return (None, "TradeResult: role not held", "TradeResult: not signer's key")[refusal]

    def disputable(self, deal: Deal, place: Place, utility: bytes) -> str | None:
        """Why a side of this utility cannot be disputed with this place; None where it can: the utility signed it."""
        record = place.commitment
        if record.sequence == 0:
            return None
        key = deal.keys[deal.trade.signers.index(utility)]
        person = self.members[self.world.name_of(utility)]
        at = record.committed_at
        if person.roles_at(at) & UTILITY and person.had_key(key, at, self.config.key_grace):
            return None
        return "Disputes: not signed by utility"

    def misfit(self, trade: Trade) -> str | None:
        """Why a trade by itself can stand in no valid place."""
        if (trade.slot_start - BEGIN) % HOUR or trade.slot_end != trade.slot_start + HOUR:
            return "TradeResult: not a slot"
        terms = TEMPLATES.get(trade.template)
        if terms is None:
            return "TradeResult: unknown template"
        if any(any(getattr(trade, role)) != (role in terms.named) for role in (GRID, AGENT)):
            return "TradeResult: roles do not fit"
        if not 0 < trade.contracted_wh < 2**40 or len(trade.rates) != terms.rates:
            return "TradeResult: out of bounds"
        return None

    def _parties_refusal(
        self, trade: Trade, keys: Sequence[bytes | None], at: int, signed: bool = True, active: bool = False
    ) -> int:
        """Of the first signer that fails: 1 a role not held, 2 not its key, 3 not active; 0 if none does."""
        for member, key in zip(trade.signers, keys, strict=True):
            duties = 0
            for role, duty in DUTIES.items():
                duties |= duty if getattr(trade, role) == member else 0
            person = self.members[self.world.name_of(member)]
            if active and (person.suspended or not person.is_member):
                return 3
            if person.roles_at(at) & duties != duties:
                return 1
            if signed and not person.had_key(key, at, self.config.key_grace):
                return 2
        return 0

    def valid_place(self, deal: Deal) -> Place | None:
        """Any place at which the trade counts."""
        return next((place for place in deal.places if self.place_refusal(deal, place) is None), None)

    # --- results ---

    def flows(self, deal: Deal, buyer: int, seller: int) -> tuple[int, list[tuple[str, str, int]]]:
        """Settled Wh and what each flow comes to between members by name, for these figures."""
        trade, contracted = deal.trade, deal.contracted
        settled = min(buyer, seller, contracted)
        name = self.world.name_of
        return settled, [
            (
                name(getattr(trade, payer)),
                name(getattr(trade, payee)),
                max(0, formula(contracted, settled, buyer, seller, trade.rates)) // 1_000,
            )
            for payer, payee, formula in TEMPLATES[trade.template].flows
        ]
