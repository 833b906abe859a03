"""Rules of platforms before delivery: trades right and void, batches, registrations, locks, curtailments."""

from __future__ import annotations

from dataclasses import astuple, replace
from random import Random
from typing import Any

from hypothesis.stateful import precondition, rule

from settlement import preimages
from settlement.hashing import keccak256
from settlement.merkle import Tree
from settlement.trade import Curtailment, Lock, Place, Trade, TradeBatch, TradeLocks, lock_signers
from settlement.typed_data import struct_hash
from tests.contracts.law.histogram import tally
from tests.contracts.law.machine_base import FORGER, Base, pick, seeds, some
from tests.contracts.law.model_trades import AGENT, BUYER, GRID, TEMPLATES, Deal
from tests.contracts.law.world import BEGIN, CYCLE, END, HOUR, PLATFORMS, SLOTS, TRADERS, signed

MOST_DEALS = 9
SPOILS = {
    "": 14.0,
    "unsigned": 1.5,
    "off grid": 0.4,
    "unknown template": 0.4,
    "no utility": 0.4,
    "role too many": 0.4,
    "nothing contracted": 0.3,
    "rates": 0.3,
    "expired": 0.5,
    "another cycle": 0.4,
}


class TradeRules(Base):
    """What is committed."""

    drawn = 0

    @precondition(lambda self: self.law.clock.now < SLOTS[-1] and len(self.law.trades.deals) < MOST_DEALS)
    @rule(seed=seeds)
    def commit_batch(self, seed: int) -> None:
        self.make_batch(Random(seed))

    @precondition(lambda self: self.law.clock.now < SLOTS[-1] and len(self.law.trades.deals) < MOST_DEALS)
    @rule(seed=seeds)
    def register_trade(self, seed: int) -> None:
        rng = Random(seed)
        deal = some(rng, list(self.law.trades.deals.values())) if rng.random() < 0.25 else None
        deal = deal or self.draw_deal(rng, rng.choice(self.platforms), rng.choice(self.platforms))
        trade = deal.trade
        if not BEGIN <= trade.slot_start < END or trade.contracted_wh == 0:
            return
        locks = self.draw_locks(rng, [deal])
        payers = [self.name(one) for one in dict.fromkeys(lock.payer for lock in locks)]
        further = [self.name(one) for one in lock_signers(trade, locks)[len(trade.platforms) :]]
        keys = [self.key_or_not(name, rng) for name in further]
        statement = TradeLocks(deal.digest, tuple(locks))
        # Seldom the platforms have agreed on other locks than the ones that are brought.
        agreed = statement if rng.random() < 0.85 else TradeLocks(deal.digest, tuple(locks[1:]))
        digests = [self.world.domain.digest(agreed) if one in trade.platforms else deal.digest for one in trade.signers]
        time = self.law.clock.now
        done = self.act(
            "register trade",
            lambda: self.law.trades.register(deal, locks, agreed.locks, keys),
            lambda: self.world.book.register_trade(
                astuple(trade),
                [signed(key or FORGER, digest) for key, digest in zip(deal.keys, digests, strict=True)],
                [astuple(lock) for lock in locks],
                [self.sign(key, statement) for key in keys],
                [],
            ),
            losers=payers,
        )
        if done:
            assert done[0] == done[1]
            record = preimages.registered_commitment(trade, deal.digest, CYCLE, time)
            self.place(deal, Place(done[0], record, 0, ()))

    def make_batch(self, rng: Random) -> None:
        """Trades between two platforms, some void, some committed before, with locks."""
        a, b = sorted((rng.choice(self.platforms), rng.choice(self.platforms)), key=self.id)
        known = [deal for deal in self.law.trades.deals.values() if not deal.trade.trade_id.endswith(b"\xff")]
        deals = [self.draw_deal(rng, *rng.sample((a, b), 2)) for _ in range(rng.choice((1, 2, 2, 3)))]
        if known and rng.random() < 0.25:
            again = rng.choice(known)
            deals.append(again)
            tally("a trade once more" if again.places else "a trade at last")
        tree = Tree([preimages.trade_leaf(deal.digest) for deal in deals])
        last = self.law.trades.sequences.get((self.id(a), self.id(b)), 0)
        wrong = pick(rng, {"": 20, "sequence": 0.6, "grid": 0.5, "unsorted": 0.5})
        locks = self.draw_locks(rng, deals)
        if wrong == "unsorted" and len(locks) > 1:
            locks = locks[::-1]
        earliest = BEGIN + (1 if wrong == "grid" else 0)
        if self.law.clock.now + self.law.trades.config.gate > earliest:
            earliest = SLOTS[0] if self.law.clock.now + HOUR <= SLOTS[0] else SLOTS[1]
        elif rng.random() < 0.06:
            earliest = SLOTS[-1]
        sequence = last + (0 if wrong == "sequence" and last else rng.choice((1, 1, 5)))
        batch = TradeBatch(CYCLE, self.id(a), self.id(b), sequence, earliest, tree.count, tree.root, tuple(locks))
        names = [self.name(one) for one in batch.signers]
        keys = [self.key_or_not(name, rng) for name in names]
        time = self.law.clock.now
        done = self.act(
            "commit batch",
            lambda: self.law.trades.commit_batch(batch, keys, deals),
            lambda: self.world.book.commit_batch(astuple(batch), [self.sign(key, batch) for key in keys], []),
            losers=[self.name(lock.payer) for lock in locks],
        )
        if done:
            assert done[0] == done[1]
            record = preimages.batch_commitment(batch, time)
            for index, deal in enumerate(deals):
                self.place(deal, Place(done[0], record, index, tree.path(index)))

    def place(self, deal: Deal, place: Place) -> None:
        """Takes note of where a trade stands."""
        self.law.trades.deals[deal.digest] = deal
        deal.places.append(place)
        refusal = self.law.trades.place_refusal(deal, place)
        tally(f"place void: {refusal}" if refusal else "place valid")

    def draw_deal(self, rng: Random, buyer: str, seller: str) -> Deal:
        """A trade of any template, signed by its members, in one of ten cases void."""
        self.drawn += 1
        number = self.drawn.to_bytes(8, "big")
        template = rng.choice(list(TEMPLATES))
        terms = TEMPLATES[template]
        utilities = rng.choice(self.utilities), rng.choice(self.utilities)
        slot = rng.choice(SLOTS)
        trade = Trade(
            trade_id=keccak256(b"trade id", number),
            template=template,
            buyer_platform=self.id(buyer),
            seller_platform=self.id(seller),
            buyer_utility=self.id(utilities[0]),
            seller_utility=self.id(utilities[1]),
            grid_operator=self.id(rng.choice(self.utilities)) if GRID in terms.named else bytes(32),
            market_agent=self.id("platform_c") if AGENT in terms.named else bytes(32),
            buyer_meter=keccak256(b"meter", utilities[0].encode(), bytes([rng.randrange(2)])),
            seller_meter=keccak256(b"meter", utilities[1].encode(), bytes([rng.randrange(2)])),
            slot_start=slot,
            slot_end=slot + HOUR,
            contracted_wh=rng.choice((1, 700, 1_000, 1_999)),
            traded_at=BEGIN - 13 * HOUR,
            valid_until=slot,
            rates=tuple(rng.choice((0, 999, 1_000_000, 5_000_001)) for _ in range(terms.rates)),
            order_hash=keccak256(b"order", number),
            salt=keccak256(b"salt", number),
        )
        spoil = pick(rng, SPOILS)
        changes: dict[str, dict[str, Any]] = {
            "off grid": {"slot_start": slot + 1, "slot_end": slot + 1 + HOUR},
            "unknown template": {"template": keccak256(b"no template")},
            "no utility": {"seller_utility": self.id("bank")},
            "role too many": {"market_agent": self.id("platform_c")} if AGENT not in terms.named else {},
            "nothing contracted": {"contracted_wh": 0},
            "rates": {"rates": (*trade.rates, 1)},
            "expired": {"valid_until": self.law.clock.now - 1},
            "another cycle": {"slot_start": END + HOUR, "slot_end": END + 2 * HOUR},
        }
        trade = replace(trade, **changes.get(spoil, {}))
        keys = [self.key(self.name(member)) for member in trade.signers]
        if spoil == "unsigned":
            keys[rng.randrange(len(keys))] = FORGER
        return Deal(trade, self.world.domain.digest(trade), tuple(keys))

    def draw_locks(self, rng: Random, deals: list[Deal]) -> list[Lock]:
        """Locks for some of the pairs between which these trades have flows: nothing, part, or all and more."""
        amounts: dict[tuple[bytes, bytes], int] = {}
        for deal in deals:
            terms = TEMPLATES.get(deal.trade.template)
            for payer, payee, _ in terms.flows if terms else ():
                pair = getattr(deal.trade, payer), getattr(deal.trade, payee)
                known = {self.name(one) for one in pair} <= set(TRADERS)
                if pair[0] != pair[1] and known and rng.random() < 0.5:
                    amounts[pair] = rng.choice((1, 300_000, 4_000_000, 9_000_000))
        if rng.random() < 0.03:
            amounts[self.id(PLATFORMS[0]), self.id(PLATFORMS[1])] = 10**9
        return [Lock(*pair, amount) for pair, amount in sorted(amounts.items())][:16]

    @precondition(lambda self: self.law.trades.commitments and self.law.clock.now < END + HOUR)
    @rule(seed=seeds)
    def curtail(self, seed: int) -> None:
        self.curtail_one(Random(seed))

    def curtail_one(self, rng: Random) -> None:
        """By one utility, by both, by all signers; mostly lower than before."""
        deal = self.some_deal(rng)
        if deal is None or not BEGIN <= deal.trade.slot_start < END:
            return
        trade, place = deal.trade, rng.choice(deal.places)
        signers = [self.name(member) for member in trade.signers]
        utilities = list(dict.fromkeys(self.name(deal.utility(side)) for side in (0, 1)))
        way = pick(rng, {"one": 2, "both": 2, "all": 2})
        by = {"one": [rng.choice(utilities)], "both": utilities, "all": signers}[way]
        wh = rng.choice((0, 0, 1, max(1, deal.contracted) - 1, deal.contracted // 2, deal.contracted))
        value = Curtailment(place.number, place.index, wh, 7)
        done = self.act(
            f"curtail by {way}",
            lambda: self.law.trades.curtail(deal, place, wh, by, struct_hash(value)),
            lambda: self.world.book.curtail(
                astuple(value), astuple(place), astuple(trade), [self.sign(self.key(name), value) for name in by], []
            ),
        )
        if done:
            tally("trade cancelled" if wh == 0 else "trade curtailed")
            if self.law.clock.now >= trade.slot_start:
                tally("trade curtailed in its slot or later")


__all__ = ["BUYER", "TradeRules"]
