"""A small market for audits up to delivery; `scene` plays what comes after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from audit.money import PairAccount
from settlement import merkle, preimages, typed_data
from settlement.config import HOUR
from settlement.formula.templates import FIXED_PRICE_SETTLED, INTER_UTILITY, Template
from settlement.hashing import ZERO_HASH, Hash32, keccak256
from settlement.identity import market_id, meter_hash
from settlement.placed import PlacedTrade as CountingTrade
from settlement.trade import (
    Curtailment,
    Lock,
    Signature,
    Trade,
    TradeBatch,
    TradeLocks,
)
from settlement.typed_data import Domain
from store.records import (
    MemberSignature,
    PlacedTrade,
    RecordedCommitment,
    RecordedCurtailment,
    RecordedLock,
)
from tests.audit.fake_chain import (
    ADDRESSES,
    CHAIN_ID,
    CONFIG,
    CYCLE,
    GENESIS,
    IDS,
    KEYS,
    MARKET,
    ROLES,
    START,
    UA,
    UB,
    A,
    B,
    FakeChain,
)


class TradingScene:
    """A market up to delivery: members, templates, deposits, commitments with locks, a curtailment."""

    def __init__(self) -> None:
        self.chain = FakeChain()
        self.domain = Domain(CHAIN_ID, ADDRESSES["MemberRegistry"], market_id(GENESIS, MARKET))
        self.pairs: dict[tuple[Hash32, Hash32], PairAccount] = {}
        self.free = dict.fromkeys(IDS.values(), 0)
        self.commitments: list[RecordedCommitment] = []
        self.locks: list[RecordedLock] = []
        self.placed: list[PlacedTrade] = []
        self.curtailments: list[RecordedCurtailment] = []
        self.accumulator = ZERO_HASH
        self._found_market()
        self._trade()

    # --- the market ---

    def _found_market(self) -> None:
        emit = self.chain.emit
        emit("MemberRegistry", "ConfigSet", version=1, digest=CONFIG.digest(), config=asdict(CONFIG))
        for name, roles in ROLES.items():
            member = IDS[name]
            emit("MemberRegistry", "MemberAdmitted", member=member, roles=int(roles))
            key = int.from_bytes(typed_data.address_of(KEYS[member]), "big")
            word = key | self.chain.time << 160 | int(roles) << 208 | 1 << 224
            emit("MemberRegistry", "StandingChanged", member=member, word=word)
        emit("MemberRegistry", "AttestorsSet", version=1, members=[UA, UB], quorum=2)
        for template in (FIXED_PRICE_SETTLED, INTER_UTILITY):
            flows = [{"payer": int(f.payer), "payee": int(f.payee), "program": f.program} for f in template.flows]
            emit(
                "RevenueFlows",
                "TemplateRegistered",
                template=template.template_id,
                name=template.name,
                version=template.version,
                rate_names=list(template.rate_names),
                flows=flows,
            )
        for member in (A, B):
            emit("SettlementEscrow", "Deposited", member=member, amount=10**9, sender="0x" + "00" * 20)
            self.free[member] += 10**9

    def sign(self, member: Hash32, value: object) -> Signature:
        """A member's signature."""
        return typed_data.sign(KEYS[member], self.domain.digest(value))

    def meter(self, name: str) -> Hash32:
        """A meter's pseudonym."""
        return meter_hash(self.meter_salt(name), name)

    def meter_salt(self, name: str) -> Hash32:
        """A meter's salt."""
        return keccak256(b"salt", name.encode())

    def trade(self, number: int, template: Template, hour: int, wh: int, rates: tuple[int, ...]) -> Trade:
        """A trade from B's seller to A's buyer; the seller's meter is utility B's between utilities, else A's."""
        inside = template is FIXED_PRICE_SETTLED
        start = START + hour * HOUR
        return Trade(
            trade_id=keccak256(b"trade", bytes([number])),
            template=template.template_id,
            buyer_platform=A,
            seller_platform=B,
            buyer_utility=UA,
            seller_utility=UA if inside else UB,
            grid_operator=UB if inside else ZERO_HASH,
            market_agent=ZERO_HASH,
            buyer_meter=self.meter("buyer"),
            seller_meter=self.meter("seller-a" if inside else "seller-b"),
            slot_start=start,
            slot_end=start + HOUR,
            contracted_wh=wh,
            traded_at=START - 5 * HOUR - number,
            valid_until=start,
            rates=rates,
            order_hash=keccak256(b"order", bytes([number])),
            salt=keccak256(b"trade salt", bytes([number])),
        )

    def _trade(self) -> None:
        inside = [self.trade(n, FIXED_PRICE_SETTLED, 1, 1_000 + 10 * n, (6_000_000 + n, 200_000)) for n in range(3)]
        between = [
            self.trade(3 + n, INTER_UTILITY, 2, 2_000 + 7 * n, (5_000_000, 250_000, 300_000, 10_000)) for n in range(3)
        ]
        self._commit(1, inside, (Lock(A, B, 10_000_000),))
        self._commit(2, between, ())
        self._register(self.trade(9, FIXED_PRICE_SETTLED, 3, 700, (6_000_000, 200_000)))
        one = self.placed[1]
        said = Curtailment(one.number, one.index, 900, 1)
        self.chain.time = START - HOUR
        self.chain.emit("TradeBook", "Curtailed", trade_digest=one.digest, cycle=CYCLE, **_curtailed(said))
        self.accumulate(preimages.Act.CURTAILMENT, one.number, typed_data.struct_hash(said))
        self.curtailments.append(RecordedCurtailment(one.number, one.index, one.digest, 900, 1, self.chain.time))

    def _commit(self, sequence: int, trades: Sequence[Trade], locks: tuple[Lock, ...]) -> None:
        low, high = sorted((A, B))
        digests = [self.domain.digest(trade) for trade in trades]
        tree = merkle.Tree([preimages.trade_leaf(digest) for digest in digests])
        earliest = min(trade.slot_start for trade in trades)
        batch = TradeBatch(CYCLE, low, high, sequence, earliest, len(trades), tree.root, locks)
        number = len(self.commitments) + 1
        record = preimages.batch_commitment(batch, self.chain.time + 1)
        told = {"record": asdict(record), "locks": [asdict(lock) for lock in locks]}
        self.chain.emit("TradeBook", "BatchCommitted", number=number, cycle=CYCLE, **told)
        self._committed(RecordedCommitment(number, record), locks)
        for index, (trade, digest) in enumerate(zip(trades, digests, strict=True)):
            self._place(trade, digest, number, index, tree.path(index))

    def _register(self, trade: Trade) -> None:
        digest = self.domain.digest(trade)
        record = preimages.registered_commitment(trade, digest, CYCLE, self.chain.time + 1)
        number = len(self.commitments) + 1
        locks = (Lock(A, B, 1_000_000),)
        told = {"trade_digest": digest, "trade": asdict(trade), "locks": [asdict(lock) for lock in locks]}
        self.chain.emit("TradeBook", "TradeRegistered", number=number, cycle=CYCLE, **told)
        self._committed(RecordedCommitment(number, record), locks)
        self._place(trade, digest, number, 0, (), TradeLocks(digest, locks))

    def _committed(self, one: RecordedCommitment, locks: tuple[Lock, ...]) -> None:
        self.commitments.append(one)
        self.accumulate(preimages.Act.COMMITMENT, one.number, preimages.commitment_record(one.commitment))
        for lock in locks:
            self.locks.append(RecordedLock(one.number, lock))
            self.pairs.setdefault((lock.payer, lock.payee), PairAccount()).lock += lock.amount
            self.free[lock.payer] -= lock.amount

    def _place(
        self,
        trade: Trade,
        digest: Hash32,
        number: int,
        index: int,
        path: tuple[Hash32, ...],
        by_platforms: TradeLocks | None = None,
    ) -> None:
        """With the signatures as the chain has them: those of a registered trade's platforms are on its locks."""
        signatures = tuple(
            MemberSignature.of(
                member, self.sign(member, by_platforms if by_platforms and member in trade.platforms else trade)
            )
            for member in trade.signers
        )
        self.placed.append(PlacedTrade(digest, trade, number, index, path, signatures))

    def counting(self) -> tuple[CountingTrade, ...]:
        """Trades after curtailment."""
        left = {one.trade_digest: one.contracted_wh for one in self.curtailments}
        return tuple(
            CountingTrade(p.digest, p.trade, p.number, p.index, left.get(p.digest, p.trade.contracted_wh))
            for p in self.placed
        )

    def accumulate(self, act: preimages.Act, number: int, what: Hash32) -> None:
        """One more act of the cycle."""
        self.accumulator = preimages.accumulate(self.accumulator, act, number, self.chain.time, what)


def _curtailed(said: Curtailment) -> dict[str, Any]:
    return {
        "number": said.commitment,
        "index": said.index,
        "contracted_wh": said.contracted_wh,
        "reason": said.reason,
    }
