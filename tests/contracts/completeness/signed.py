"""Every kind of object that parties sign, as a call that the chain takes, each at its time in one cycle.

An `Act` states one object with signatures over another, so that each field can be shown to be bound, and what becomes
of a wrong one that its signers really signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

import boa  # type: ignore[import-untyped]

from settlement import preimages, typed_data
from settlement.config import PRO_RATA, code
from settlement.hashing import ZERO_HASH, keccak256
from settlement.trade import (
    Acknowledgement,
    Allocation,
    BankAttestation,
    Contest,
    CouncilAct,
    CouncilCancel,
    Curtailment,
    Demand,
    Denial,
    EscrowPayment,
    FigureAgreement,
    HotKeyChange,
    KeyCompromised,
    Lock,
    MissingLeaf,
    NoticeRuling,
    PaymentNotice,
    PayoutChange,
    RowAttestation,
    Ruling,
    Statement,
    Trade,
    TradeLocks,
    Withdrawal,
)
from tests.contracts.completeness.attested import AttestedRow
from tests.contracts.completeness.honest import HonestCycle, attempt, meter
from tests.contracts.market import ATTESTORS, source
from tests.contracts.settling import later
from tests.contracts.trading import CONFIG, CYCLE, MORNING, at_time, batch_of, trade_of

ARBITERS = tuple(keccak256(b"arbiter", bytes([number])) for number in range(3))
RULING = (0, 2)
SEATS = ("platform_a", "platform_b", "utility_a")
A, B = "platform_a", "platform_b"
Signatures = list[tuple[int, bytes, bytes]]


@dataclass(frozen=True)
class Act:
    """A true object, and how one is stated with signatures over another: with what reason refused, or taken."""

    value: Any
    submit: Callable[[Any, Any], str]

    @property
    def kind(self) -> type:
        """What is signed."""
        return type(self.value)


def acts(cycle: HonestCycle | None = None) -> Iterator[Act]:
    """One act of each kind, each at a time at which it is taken. The chain moves on between them: it is that of a
    committed cycle, or of one of its own."""
    cycle = cycle or HonestCycle.committed(PRO_RATA)
    market, scene = cycle.market, cycle.scene
    ids = {name: market.members[name].id for name in market.members}

    def by(*names: str) -> Callable[[Any], Signatures]:
        return lambda said: [market.sign(name, said) for name in names]

    def by_arbiters(said: Any) -> Signatures:
        digest = market.domain.digest(said)
        return [astuple(typed_data.sign(ARBITERS[place], digest)) for place in RULING]  # type: ignore[misc]

    def plain(contract: Any, name: str, value: Any, *rest: Any, signer: str = A) -> Act:
        return Act(
            value,
            lambda stated, signed: attempt(contract, name, astuple(stated), market.sign(signer, signed), [], *rest),
        )

    yield from _of_trading(cycle, by)

    with boa.env.prank(market.council):
        market.arbiters.set_arbiters(["0x" + typed_data.address_of(key).hex() for key in ARBITERS])
    statement = Allocation(CYCLE, 0, 1, ids["utility_a"], *_root_and_count(cycle), market.config.digest())
    yield plain(market.oracle, "post", statement, signer="utility_a")

    cycle.post(0)
    cycle.open_window(0)
    trade, digest = cycle.trades[0], scene.digest(cycle.trades[0])
    leaf = astuple(scene.shown(trade, 1))

    def disputed(name: str, value: Any, *rest: Any) -> Act:
        def submit(stated: Any, signed: Any) -> str:
            of_utility = market.sign(cycle.utility(trade, 1 if stated.side else 0), trade)
            placed = astuple(scene.place(trade)), astuple(trade), of_utility
            return attempt(market.disputes, name, astuple(stated), market.sign(A, signed), [], *placed, *rest)

        return Act(value, submit)

    yield disputed("demand", Demand(CYCLE, 0, ids[A], digest, 1), [])
    contested = Contest(CYCLE, 0, ids[A], digest, 1, keccak256(b"evidence"))
    yield disputed("contest", contested, [leaf])

    assert disputed("contest", contested, [leaf]).submit(contested, contested) == ""
    agreed, ruled = FigureAgreement(CYCLE, digest, 1, 1_538), Ruling(CYCLE, digest, 1, 1_538)
    signers = [scene.name(one) for one in trade.signers]
    yield Act(
        agreed,
        lambda stated, signed: attempt(
            market.disputes, "agree", astuple(stated), astuple(trade), by(*signers)(signed), []
        ),
    )
    yield Act(
        ruled,
        lambda stated, signed: attempt(
            market.disputes, "rule", astuple(stated), astuple(trade), 0b101, by_arbiters(signed)
        ),
    )
    market.disputes.rule(astuple(ruled), astuple(trade), 0b101, by_arbiters(ruled))
    cycle.seal()

    yield from _of_rows(cycle, by)
    cycle.settle(0)
    yield from _of_money(cycle, by_arbiters, plain)
    yield from _of_keys(cycle)
    yield from _of_council(cycle)


def _root_and_count(cycle: HonestCycle) -> tuple[bytes, int]:
    leaves = cycle.leaves("utility_a", 0)
    tree = preimages.merkle.Tree([preimages.allocation_leaf(leaf) for leaf in leaves])
    return tree.root, tree.count


def _of_trading(cycle: HonestCycle, by: Callable[..., Callable[[Any], Signatures]]) -> Iterator[Act]:
    """A trade, locks, a batch, a curtailment: of another trade, as long as it can be committed."""
    market, scene = cycle.market, cycle.scene
    with boa.env.anchor():
        at_time(MORNING)
        trade = trade_of(market, 99, buyer_meter=meter("b9"), seller_meter=meter("s9"))
        lock = Lock(trade.buyer_platform, trade.seller_platform, 1_000)
        locks = TradeLocks(market.domain.digest(trade), (lock,))
        platforms_sign = by(*(scene.name(one) for one in trade.platforms))
        utilities_sign = by(*(scene.name(one) for one in trade.signers[len(trade.platforms) :]))

        def register(stated: Trade, signed: Trade, locks: tuple[Lock, ...], locked: TradeLocks) -> str:
            listed = [astuple(one) for one in locks]
            signatures = [*platforms_sign(locked), *utilities_sign(signed)]
            return attempt(market.book, "register_trade", astuple(stated), signatures, listed, [], [])

        def register_with(stated: tuple[Lock, ...], signed: TradeLocks) -> str:
            return register(trade, trade, stated, signed)

        yield Act(
            trade,
            lambda stated, signed: register(
                stated, signed, (lock,), replace(locks, trade_digest=market.domain.digest(stated))
            ),
        )
        yield Act(locks, lambda stated, signed: register_with(stated.locks, signed))
        yield Act(lock, lambda stated, signed: register_with((stated,), replace(locks, locks=(signed,))))
        batch = batch_of(market, [trade], sequence=99, locks=(lock,))
        platforms = by(*(scene.name(one) for one in batch.signers))
        yield Act(
            batch, lambda stated, signed: attempt(market.book, "commit_batch", astuple(stated), platforms(signed), [])
        )
        shortened = cycle.trades[0]
        place = scene.place(shortened)
        curtailment = Curtailment(place.number, place.index, 1_000, 7)
        yield Act(
            curtailment,
            lambda stated, signed: attempt(
                market.book,
                "curtail",
                astuple(stated),
                astuple(place),
                astuple(shortened),
                by("utility_b")(signed),
                [],
            ),
        )


def _of_rows(cycle: HonestCycle, by: Callable[..., Callable[[Any], Signatures]]) -> Iterator[Act]:
    market, scene = cycle.market, cycle.scene
    truth = cycle.result(0).rows[scene.id(A), scene.id(B)]
    right = AttestedRow.over(cycle, truth, truth.leaves, 0, 1)
    yield Act(
        right.row,
        lambda stated, signed: attempt(market.settlement, "settle", [(astuple(stated), *by(A, B)(signed))], []),
    )
    attestation = RowAttestation(market.domain.digest(right.row))
    yield Act(
        attestation,
        lambda _, signed: attempt(market.settlement, "attest", astuple(right.row), 0b111, by(*ATTESTORS[:3])(signed)),
    )
    with boa.env.anchor():
        short = AttestedRow.over(cycle, truth, truth.leaves[1:], 0, 1)
        assert short.attest() == short.publish() == ""
        yield Act(short.demand_of(0), short.demand)
        missing = truth.leaves[0]
        lacking = MissingLeaf(market.domain.digest(short.row), missing.trade_digest, missing.flow)
        yield Act(lacking, lambda stated, signed: short.strike_missing(missing, stated, signed))


def _of_money(cycle: HonestCycle, by_arbiters: Callable[[Any], Signatures], plain: Callable[..., Act]) -> Iterator[Act]:
    market, scene = cycle.market, cycle.scene
    ledger, debtor, creditor = market.obligations, scene.id(A), scene.id(B)
    yield plain(market.escrow, "withdraw", Withdrawal(debtor, 1_000, 0))
    number = ledger.fall_due(debtor, creditor)
    yield plain(ledger, "pay", EscrowPayment(debtor, creditor, (number,), 10_000, 0))
    reference = keccak256(b"reference")
    now = boa.env.evm.patch.timestamp
    notice = PaymentNotice(debtor, creditor, (number,), 10_000, code("UPI"), now, reference)
    yield plain(ledger, "notify", notice)
    ledger.notify(astuple(notice), market.sign(A, notice), [])
    yield plain(ledger, "acknowledge", Acknowledgement(creditor, debtor, reference, 10_000), signer=B)
    bank = market.members["bank"].id
    attested = BankAttestation(creditor, debtor, reference, 10_000)
    yield Act(
        attested,
        lambda stated, signed: attempt(ledger, "attest", astuple(stated), bank, market.sign("bank", signed), []),
    )
    yield plain(ledger, "deny", Denial(creditor, debtor, reference), signer=B)
    later(CONFIG.notice_silence)
    ruled = NoticeRuling(creditor, debtor, reference, 10_000)
    yield Act(ruled, lambda stated, signed: attempt(ledger, "rule", astuple(stated), 0b101, by_arbiters(signed)))


def _of_keys(cycle: HonestCycle) -> Iterator[Act]:
    market = cycle.market
    who = market.members["platform_c"]
    new = boa.env.generate_address("new key")
    for value, function in (
        (HotKeyChange(who.id, new, 0), "change_hot_key"),
        (PayoutChange(who.id, new, 0), "change_payout"),
        (KeyCompromised(who.id, who.address, 0), "mark_compromised"),
    ):
        # The sequence is the registry's own: it is signed, not stated.
        yield Act(
            value,
            lambda stated, signed, function=function: attempt(
                market.registry, function, *astuple(stated)[:2], market.sign_cold("platform_c", signed), b""
            ),
        )


def _of_council(cycle: HonestCycle) -> Iterator[Act]:
    market = cycle.market
    statements = source("StatementRegistry").deploy(market.registry.address)
    month = Statement(market.members[A].id, ZERO_HASH, ZERO_HASH, 202_608, keccak256(b"statement"))
    yield Act(
        month, lambda stated, signed: attempt(statements, "finalise", astuple(stated), [market.sign(A, signed)], [])
    )
    council = source("Council").deploy(market.registry.address, [market.members[name].id for name in SEATS], 2)

    def seats(said: Any) -> Signatures:
        return [market.sign_cold(name, said) for name in SEATS[:2]]

    data = market.registry.suspend.prepare_calldata(market.members["platform_c"].id, True)
    act = CouncilAct(market.registry.address, data, 0)
    yield Act(
        act, lambda stated, signed: attempt(council, "schedule", stated.target, stated.data, 0b11, seats(signed), [])
    )
    council.schedule(act.target, data, 0b11, seats(act), [])
    key = typed_data.struct_hash(act)
    yield Act(
        CouncilCancel(key), lambda stated, signed: attempt(council, "cancel", stated.act, 0b11, seats(signed), [])
    )
