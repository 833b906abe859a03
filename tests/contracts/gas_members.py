"""Gas of what members and the council sign: debts and their payment, deposits, acts, statements, keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from functools import partial

import boa  # type: ignore[import-untyped]

from settlement import typed_data
from settlement.hashing import keccak256
from settlement.trade import (
    Acknowledgement,
    BankAttestation,
    CouncilAct,
    Denial,
    EscrowPayment,
    HotKeyChange,
    NoticeRuling,
    Statement,
    Withdrawal,
)
from tests.contracts import money
from tests.contracts.gas import QUORUMS, Measured, chain, compiled, measure
from tests.contracts.gas_settling import add_members
from tests.contracts.market import PLATFORM, Market, deploy, member

DEBTOR, CREDITOR = "platform_a", "platform_b"
REFERENCE = b"\1" * 32
AMOUNT = 100 * money.UNIT
SEATS = ("platform_a", "platform_b", "utility_a", "utility_b", "utility_c")


def obligations(everything: bool) -> Iterator[Measured]:
    """One obligation, notified and answered in each way; the creditor's alone, the bank's, the escrow's."""
    with chain():
        market = _owing()
        ids = market.members[CREDITOR].id, market.members[DEBTOR].id
        ledger = market.obligations
        with boa.env.prank(market.members[DEBTOR].address):
            yield measure("let a debt fall due", "the pair's first", ledger, partial(ledger.fall_due, ids[1], ids[0]))
        notice = money.notice(market, DEBTOR, CREDITOR, [1], AMOUNT, reference_hash=REFERENCE)
        signed = market.sign(DEBTOR, notice)
        yield measure("notify a payment", "1 obligation", ledger, partial(ledger.notify, astuple(notice), signed, []))
        heard = Acknowledgement(*ids, REFERENCE, AMOUNT)
        heard_by = market.sign(CREDITOR, heard)
        yield measure(
            "acknowledge a payment", "in whole", ledger, partial(ledger.acknowledge, astuple(heard), heard_by, [])
        )
    for way in ("deny", "attest", "rule"):
        with chain():
            market = _owing()
            ids, ledger = (market.members[CREDITOR].id, market.members[DEBTOR].id), market.obligations
            money.fall_due(market, DEBTOR, CREDITOR)
            notice = money.notice(market, DEBTOR, CREDITOR, [1], AMOUNT, reference_hash=REFERENCE)
            money.notify(market, DEBTOR, notice)
            if way == "deny":
                denial = Denial(*ids, REFERENCE)
                denied = market.sign(CREDITOR, denial)
                yield measure("deny a payment", "", ledger, partial(ledger.deny, astuple(denial), denied, []))
                continue
            if way == "rule":
                money.deny(market, CREDITOR, REFERENCE)
                yield _ruled(market, money.ARBITERS, 2)
                continue
            found, bank = BankAttestation(*ids, REFERENCE, AMOUNT), market.members["bank"].id
            seen = market.sign("bank", found)
            yield measure(
                "attest a payment by a bank",
                "in whole",
                ledger,
                partial(ledger.attest, astuple(found), bank, seen, []),
            )
    with chain():
        market = _owing()
        ledger = market.obligations
        money.fall_due(market, DEBTOR, CREDITOR)
        for name in (DEBTOR, CREDITOR):
            money.deposit(market, name, 10 * AMOUNT)
        payment = EscrowPayment(market.members[DEBTOR].id, market.members[CREDITOR].id, (1,), AMOUNT, 0)
        paid = market.sign(DEBTOR, payment)
        yield measure("pay from the escrow", "1 obligation", ledger, partial(ledger.pay, astuple(payment), paid, []))
        withdrawal = Withdrawal(market.members[CREDITOR].id, AMOUNT, 0)
        asked, escrow = market.sign(CREDITOR, withdrawal), market.escrow
        yield measure(
            "withdraw from the escrow",
            "with a plain token",
            escrow,
            partial(escrow.withdraw, astuple(withdrawal), asked, []),
        )
    if everything:
        yield from _rulings()


def _rulings() -> Iterator[Measured]:
    for arbiters, quorum in QUORUMS.items():
        with chain():
            market = _owing()
            keys = tuple(keccak256(b"arbiter", bytes([number])) for number in range(arbiters))
            with boa.env.prank(market.council):
                market.arbiters.set_arbiters(["0x" + typed_data.address_of(key).hex() for key in keys])
            money.fall_due(market, DEBTOR, CREDITOR)
            money.notify(market, DEBTOR, money.notice(market, DEBTOR, CREDITOR, [1], AMOUNT, reference_hash=REFERENCE))
            money.deny(market, CREDITOR, REFERENCE)
            yield _ruled(market, keys, quorum)


def _ruled(market: Market, keys: tuple[bytes, ...], quorum: int) -> Measured:
    value = NoticeRuling(market.members[CREDITOR].id, market.members[DEBTOR].id, REFERENCE, AMOUNT)
    signed = [astuple(typed_data.sign(key, market.domain.digest(value))) for key in keys[:quorum]]
    ruling = partial(market.obligations.rule, astuple(value), 2**quorum - 1, signed)
    return measure("rule on a payment", f"{quorum} of {len(keys)} arbiters, in whole", market.obligations, ruling)


def _owing() -> Market:
    """The debtor owes the creditor, and has owed before."""
    market = money.deploy_money()
    money.record(market, DEBTOR, CREDITOR, AMOUNT)
    return market


def council(everything: bool) -> Iterator[Measured]:
    """An act of the council: approved by its seats in one call, executed by anyone."""
    for seats, threshold in {len(SEATS): 3, **QUORUMS}.items() if everything else ((len(SEATS), 3),):
        with chain():
            yield from _council(seats, threshold)


def _council(seats: int, threshold: int) -> Iterator[Measured]:
    market = deploy(only=("DepositToken",))
    names = (*SEATS, *add_members(market, max(0, seats - len(SEATS)), PLATFORM, "seat"))[:seats]
    ids = [market.members[name].id for name in names]
    board = compiled("Council").deploy(market.registry.address, ids, threshold, override_address=market.council)
    who = member("newcomer")
    data = bytes(
        market.registry.admit.prepare_calldata(who.id, PLATFORM, who.cold_address, who.address, who.payout, bytes(32))
    )
    act = CouncilAct(market.registry.address, data, 0)
    approvals = [market.sign_cold(name, act) for name in names[:threshold]]
    scheduling = partial(board.schedule, act.target, act.data, 2**threshold - 1, approvals, [])
    what = f"{threshold} of {seats} seats, admitting a member"
    yield measure("approve and schedule an act", what, board, scheduling)
    if seats == len(SEATS):
        boa.env.time_travel(seconds=7 * 86_400)
        executing = partial(board.execute, act.target, act.data, act.sequence)
        yield measure("execute an act", "admitting a member", board, executing)


def statements(everything: bool) -> Iterator[Measured]:
    """A month is final; a member's and a pair's."""
    with chain():
        market = deploy(only=())
        registry = compiled("StatementRegistry").deploy(market.registry.address)
        first, second = sorted((DEBTOR, CREDITOR), key=lambda name: market.members[name].id)
        for other in ("", second):
            counterparty = market.members[other].id if other else bytes(32)
            said = Statement(market.members[first].id, counterparty, bytes(32), 202_608, keccak256(b"digest"))
            signed = [market.sign(name, said) for name in (first, other) if name]
            whose = "a pair's, 2 signatures" if other else "a member's, 1 signature"
            yield measure(
                "finalise a statement",
                whose,
                registry,
                partial(registry.finalise, astuple(said), signed, []),
            )


def keys(everything: bool) -> Iterator[Measured]:
    """A hot key is changed; an attestor's is kept in its seat too."""
    with chain():
        market = deploy(only=())
        registry = market.registry
        for name, whose in (("platform_a", "a platform's"), ("utility_a", "an attestor's")):
            who = market.members[name]
            change = HotKeyChange(who.id, "0x" + keccak256(name.encode())[12:].hex(), 0)
            signed = market.sign_cold(name, change)
            yield measure(
                "change a hot key",
                whose,
                registry,
                partial(registry.change_hot_key, who.id, change.key, signed, b""),
            )


OPERATIONS = (obligations, council, statements, keys)
